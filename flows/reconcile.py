"""An account at an exchange compared with the ledger of all the sessions that trade on it."""

from __future__ import annotations

from data.writer import Lake
from flows.roster import traded_symbols
from flows.session import sole_client
from tasks.trade.live import LiveBroker
from tasks.trade.reconcile import Difference, accept, reconcile


def reconcile_account(lake: Lake, exchange: str, accepted: str | None = None) -> list[Difference]:
    """Compare the account whose keys are set with the ledger, write the rows, and return them.

    `accepted` is a currency whose balance a person has looked at: what the exchange tells is taken as it is. Raises
    TryLater while a step of a session is under way, which trades with the same key.
    """
    with sole_client(exchange) as client:
        broker = LiveBroker(client)
        rules = {symbol: broker.rules(symbol) for symbol in traded_symbols(lake, broker.account)}
        differences = reconcile(lake, broker, broker.account, rules)
        if accepted is None:
            return differences
        accept(lake, broker.account, accepted)
        return reconcile(lake, broker, broker.account, rules)
