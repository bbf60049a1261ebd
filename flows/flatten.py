"""Flatten: halt, cancel what is open, and sell all that sessions hold. Needs neither Prefect nor a strategy."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal

from data.errors import BadInput, JarvisError, unknown
from data.writer import Lake
from flows.recorded import Recorded, opened_recorded, recorded_sessions
from tasks.trade.desk import Desk
from tasks.trade.execution import cancel, carry_out, settle
from tasks.trade.halt import FLATTEN, halt
from tasks.trade.ledger import Ledger


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
    known = recorded_sessions(lake, run)
    traded = {session.run.symbol for session in known}
    strangers = [symbol for symbol in symbols if symbol not in traded]
    if strangers:
        raise unknown("symbol of a session", strangers[0], traded)
    chosen = [session for session in known if not symbols or session.run.symbol in symbols]
    if run is not None:
        halt(FLATTEN, chosen[0].run.symbol)
    return [done for session in chosen if (done := _flattened(lake, session)) is not None]


def _flattened(lake: Lake, known: Recorded) -> Flattened | None:
    """Flatten one session; None where there was nothing to do."""
    run, held = known.run, Decimal(0)
    try:
        ledger = Ledger(lake, run.run_id, run.symbol)
        held = ledger.position
        if not held and all(order.is_final for order in ledger.orders.values()):
            return None
        with opened_recorded(lake, known) as desk:
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
