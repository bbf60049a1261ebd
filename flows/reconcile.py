"""An account at an exchange compared with the ledger of all the sessions that trade on it."""

from __future__ import annotations

from data.errors import BadInput
from data.writer import Lake
from flows.recorded import opened_recorded, recorded_sessions
from flows.roster import traded_symbols
from flows.session import sole_client
from tasks.exchange.lock import going_first
from tasks.trade.execution import declare_absent
from tasks.trade.live import LiveBroker
from tasks.trade.reconcile import Difference, accept, reconcile


def reconcile_account(lake: Lake, exchange: str, accepted: str | None = None) -> list[Difference]:
    """Compare the account whose keys are set with the ledger, write the rows, and return them.

    `accepted` is a currency whose balance a person has looked at: what the exchange tells is taken as it is. A
    stream waits meanwhile. Raises Taken while a step that trades with the same key is under way for long.
    """
    with going_first(exchange), sole_client(exchange) as client:
        broker = LiveBroker(client)
        rules = {symbol: broker.rules(symbol) for symbol in traded_symbols(lake, broker.account)}
        differences = reconcile(lake, broker, broker.account, rules)
        if accepted is None:
            return differences
        accept(lake, broker.account, accepted)
        return reconcile(lake, broker, broker.account, rules)


def forget_unknown(lake: Lake, run: str) -> list[str]:
    """Take the orders of unknown fate of a session as never made, and return their names.

    For exchanges that do not show whether they have an order: a person has looked there, and it has none. It is looked
    for once more; one that is found after all is taken in instead, and not returned. Raises BadInput where none of the
    session's is unknown, ExchangeError while the exchange does not answer.
    """
    (known,) = recorded_sessions(lake, run)
    with opened_recorded(lake, known) as desk:
        doubtful = [order for order in desk.ledger.orders.values() if order.in_doubt]
        if not doubtful:
            raise BadInput(f"session {run} of {known.run.symbol} has no order of unknown fate")
        return [order.order_id for order in doubtful if declare_absent(desk, order)]
