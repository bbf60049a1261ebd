"""Finding an order by the sender's own id, and settling what became of one whose answer was lost."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace

from data.errors import ExchangeError, OutcomeUnknown
from tasks.exchange.clock import ExchangeClock
from tasks.exchange.dialect import Dialect
from tasks.exchange.orders import Order, OrderRequest
from tasks.exchange.units import MILLISECOND, SECOND

MARGIN = 5 * SECOND
"""How long after an order's deadline, by the exchange's clock, its absence is believed."""

SETTLE = 120 * SECOND
"""How long after sending the absence of an order without a deadline is believed: no exchange promises a time, and none
was seen to take an order later. Prefer a deadline where the exchange has them."""


def find_order(dialect: Dialect, client_id: str, since: int, symbol: str | None = None) -> Order | None:
    """Return the order of a client id that was opened since then (ns), or None if all that was asked knows none.

    Asked are the open orders, then those that ended, page by page, then the orders of the own trades. In this turn an
    order that ends meanwhile is met at the latest in the second. A client id can be used again once its order has
    ended; then the latest counts.
    """
    since -= MILLISECOND  # to which some exchanges cut their times
    found = _latest((order for order in dialect.open_orders(symbol) if dialect.bears(order, client_id)), since)
    if found is None:
        ended = dialect.closed_pages(since, symbol, client_id)
        found = _latest((order for page in ended for order in page), since)
    if found is None:
        traded = {fill.order_id: None for page in dialect.fill_pages(since, symbol) for fill in page}
        orders = dialect.orders(list(traded), symbol)
        found = _latest((order for order in orders if dialect.bears(order, client_id)), since)
    if found is None:
        return None
    found.request = replace(found.request, client_id=client_id)  # some exchanges know it by another name
    return dialect.with_figures(found)


def settle(
    dialect: Dialect, clock: ExchangeClock, request: OrderRequest, sent: int, *, timeout: float, pause: float = 1.0
) -> Order | None:
    """Return the order that a request became, or None once it is certain that it became none.

    `sent` is when it was sent, by the exchange's clock (ns). Absence is certain when all was asked, without a failure,
    later than the order's deadline and a margin, by the exchange's clock; never where its lists are not known
    to be whole. Raises OutcomeUnknown when `timeout` seconds did not suffice; nothing may be sent again then.
    """
    if request.client_id is None:
        raise OutcomeUnknown(f"{dialect.exchange}: an order without a client id cannot be looked for: look by hand")
    until = time.monotonic() + timeout
    early = "it is too early to believe that it is absent"
    reason = early if dialect.lists_all else f"{dialect.exchange} is not known to show all orders: look by hand"
    while True:
        try:
            clock.measure()
            late = clock.now() > _final(request, sent, clock)
            order = find_order(dialect, request.client_id, sent, request.symbol)
            if order is not None or (late and dialect.lists_all):
                return order
        except ExchangeError as error:
            reason = str(error)
        if time.monotonic() + pause > until:
            raise OutcomeUnknown(
                f"{dialect.exchange}: order {request.client_id} was not found within {timeout:g} s, "
                f"and may be there all the same: {reason}"
            )
        time.sleep(pause)


def _final(request: OrderRequest, sent: int, clock: ExchangeClock) -> int:
    if request.deadline is not None:
        return request.deadline + MARGIN
    return sent + int(SETTLE * max(1.0, clock.speed or 0.0))


def _latest(orders: Iterable[Order], since: int) -> Order | None:
    return max((order for order in orders if order.opened >= since), key=lambda order: order.opened, default=None)
