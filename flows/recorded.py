"""Sessions as the lake knows them, opened one by one: without their strategy, their candles and Prefect."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from data.errors import BadInput, unknown
from data.views import read
from data.writer import Lake
from flows.session import session_run, sole_client
from tasks.exchange import TradingClient
from tasks.exchange.lock import alone, going_first, patiently
from tasks.exchange.prices import public_prices
from tasks.fetch.live import live_market
from tasks.trade.broker import Broker
from tasks.trade.desk import Desk, SessionRun, open_desk
from tasks.trade.live import LiveBroker
from tasks.trade.paper import PaperBroker, market_rules

PATIENCE = 60.0
"""Seconds to wait for a step of the session that is under way."""


class Recorded(NamedTuple):
    """A session, and the account that it trades on: None on paper."""

    run: SessionRun
    account: str | None


def recorded_sessions(lake: Lake, run: str | None = None) -> list[Recorded]:
    """Return one session, or all, the oldest first. Raises BadInput for a run that is no session."""
    query = "SELECT run_id, manifest FROM runs WHERE kind IN ('paper', 'live') ORDER BY created_at"
    recorded = read(lake, query, [], tables={"runs"}).to_pylist()
    manifests = {row["run_id"]: json.loads(row["manifest"]) for row in recorded}
    if run is not None and run not in manifests:
        raise unknown("session", run, manifests)
    chosen = manifests if run is None else {run: manifests[run]}
    return [Recorded(session_run(name, manifest), manifest["account"]) for name, manifest in chosen.items()]


@contextmanager
def opened_recorded(lake: Lake, known: Recorded) -> Iterator[Desk]:
    """Open a session for this process alone, before its stream goes on, and once a step that is under way has ended.

    Raises Taken when that takes too long, BadInput for the keys of another account.
    """
    run = known.run
    with ExitStack() as stack:
        stack.enter_context(going_first(run.exchange))
        taken = f"session {run.run_id} of {run.symbol}: process {{}} is at it, end it and try again"
        stack.enter_context(patiently(lambda: alone("sessions", run.run_id, taken), PATIENCE))
        if run.mode == "live":
            broker: Broker = _account(stack.enter_context(sole_client(run.exchange)), known)
        else:
            market = stack.enter_context(live_market(run.exchange)).market(run.symbol)
            prices = stack.enter_context(public_prices(run.exchange))
            broker = PaperBroker(prices, market_rules(market, run.rules.fee), run.rules.slippage)
        yield open_desk(lake, run, broker)


def _account(client: TradingClient, known: Recorded) -> LiveBroker:
    broker = LiveBroker(client)
    if broker.account != known.account:
        raise BadInput(
            f"session {known.run.run_id} trades on the account {known.account}, and the keys are of {broker.account}: "
            "set the keys that it was begun with"
        )
    return broker
