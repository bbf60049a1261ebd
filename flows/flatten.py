"""Flatten: halt, cancel what is open, and sell all that sessions hold. Needs neither Prefect nor a strategy."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from data.errors import BadInput, JarvisError, TryLater, unknown
from data.views import read
from data.writer import Lake
from flows.session import session_run, sole_client
from tasks.exchange import TradingClient
from tasks.exchange.lock import alone
from tasks.exchange.prices import public_prices
from tasks.fetch.live import live_market
from tasks.trade.broker import Broker
from tasks.trade.desk import Desk, SessionRun, open_desk
from tasks.trade.execution import cancel, carry_out, settle
from tasks.trade.halt import FLATTEN, halt
from tasks.trade.ledger import Ledger
from tasks.trade.live import LiveBroker
from tasks.trade.paper import PaperBroker, market_rules

PATIENCE = 60.0
"""Seconds to wait for a step of the session that is under way."""


@dataclass(frozen=True)
class Flattened:
    """What was done to one session."""

    run_id: str
    symbol: str
    held: Decimal
    """Base currency, before and, as `left`, after."""
    left: Decimal
    said: tuple[str, ...] = ()
    """What happened on the way, a line each."""
    failure: str = ""
    """Why it is not flat; empty when it is."""


def flatten(lake: Lake, *, run: str | None = None, symbols: Collection[str] = ()) -> list[Flattened]:
    """Halt, and bring one session, those of some symbols, or all to nothing held and nothing open.

    The halt comes first: of the symbols named, of the session's symbol, or of all. It stays until `jarvis resume`. One
    session that fails stops no other. An order that may or may not be at the exchange is found out about before
    anything is sold; while it cannot be, nothing is. What is less than the exchange takes is left. Returned are the
    sessions that held something or had orders open. Raises BadInput for a run that is no session, and for a symbol
    that none trades.
    """
    if run is not None and symbols:
        raise BadInput("--run and --symbol exclude each other: a session has one symbol")
    if run is None:
        for symbol in symbols or (None,):
            halt(FLATTEN, symbol)
    known = _sessions(lake, run)
    traded = {session.run.symbol for session in known}
    strangers = [symbol for symbol in symbols if symbol not in traded]
    if strangers:
        raise unknown("symbol of a session", strangers[0], traded)
    chosen = [session for session in known if not symbols or session.run.symbol in symbols]
    if run is not None:
        halt(FLATTEN, chosen[0].run.symbol)
    return [done for session in chosen if (done := _flattened(lake, session)) is not None]


class _Known(NamedTuple):
    """A recorded session, and the account that it trades on: None on paper."""

    run: SessionRun
    account: str | None


def _sessions(lake: Lake, run: str | None) -> list[_Known]:
    query = "SELECT run_id, manifest FROM runs WHERE kind IN ('paper', 'live') ORDER BY created_at"
    recorded = read(lake, query, [], tables={"runs"}).to_pylist()
    manifests = {row["run_id"]: json.loads(row["manifest"]) for row in recorded}
    if run is not None and run not in manifests:
        raise unknown("session", run, manifests)
    chosen = manifests if run is None else {run: manifests[run]}
    return [_Known(session_run(name, manifest), manifest["account"]) for name, manifest in chosen.items()]


def _flattened(lake: Lake, known: _Known) -> Flattened | None:
    """Flatten one session; None where there was nothing to do."""
    run, held = known.run, Decimal(0)
    try:
        ledger = Ledger(lake, run.run_id, run.symbol)
        held = ledger.position
        if not held and all(order.is_final for order in ledger.orders.values()):
            return None
        with _opened(lake, known) as desk:
            try:
                failure = _sell(desk)
            except JarvisError as error:
                failure = str(error)
            said = tuple(note.text for note in desk.notes)
            return Flattened(run.run_id, run.symbol, held, desk.ledger.position, said, failure)
    except JarvisError as error:
        return Flattened(run.run_id, run.symbol, held, held, failure=str(error))


def _sell(desk: Desk) -> str:
    """Cancel and sell; return why it is not flat, or nothing."""
    settle(desk)
    for order in [order for order in desk.ledger.orders.values() if not order.is_final]:
        if not desk.blocked:
            cancel(desk, order)
    if desk.blocked:
        return desk.blocked
    amount = desk.market.round_amount(desk.ledger.position)
    if desk.is_tradable(amount, desk.broker.price(desk.run.symbol).last):
        decided = desk.ledger.decisions[-1].ts if desk.ledger.decisions else desk.run.start
        order = carry_out(desk, desk.wish(decided, "sell", "exit", amount, FLATTEN))
        if order.event != "filled":
            return f"order {order.order_id} is {order.event}: {order.ended or desk.blocked}"
    return ""


@contextmanager
def _opened(lake: Lake, known: _Known) -> Iterator[Desk]:
    """Open a session for this process alone, once a step that is under way has ended."""
    run = known.run
    with ExitStack() as stack:
        stack.enter_context(_locked(run))
        if run.mode == "live":
            broker: Broker = _account(stack.enter_context(sole_client(run.exchange)), known)
        else:
            market = stack.enter_context(live_market(run.exchange)).market(run.symbol)
            prices = stack.enter_context(public_prices(run.exchange))
            broker = PaperBroker(prices, market_rules(market, run.rules.fee), run.rules.slippage)
        yield open_desk(lake, run, broker)


def _account(client: TradingClient, known: _Known) -> LiveBroker:
    broker = LiveBroker(client)
    if broker.account != known.account:
        raise BadInput(
            f"session {known.run.run_id} trades on the account {known.account}, and the keys are of {broker.account}: "
            "set the keys that it was begun with"
        )
    return broker


@contextmanager
def _locked(run: SessionRun) -> Iterator[None]:
    until = time.monotonic() + PATIENCE
    taken = f"session {run.run_id} of {run.symbol}: process {{}} is at it, end it and flatten again"
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(alone("sessions", run.run_id, taken))
                break
            except TryLater:
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)
        yield
