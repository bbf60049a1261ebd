"""Bitfinex's rows: orders, trades and numbers as its answers print them (docs.bitfinex.com, reference).

Numbers are JSON numbers, not strings. Times are milliseconds since 1970 UTC. A negative amount sells.
"""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal
from typing import Any

from tasks.exchange.orders import Fill, Order, OrderRequest, Side
from tasks.exchange.practice.bitfinex.words import plain
from tasks.exchange.units import MILLISECOND

POST_ONLY = 4096
"""The flag of an order that must not take."""

PRICE_DIGITS = 5
"""Significant digits of a price."""

POST_ONLY_CROSSED = "post only"
"""Reason of an order that was cancelled because it would have taken."""


def number(value: Decimal) -> int | float:
    """Return a Decimal as the JSON number that JavaScript would print: whole numbers without a point."""
    whole = value.to_integral_value()
    return int(whole) if value == whole else float(value)


def significant(value: Decimal, digits: int = PRICE_DIGITS, rounding: str = ROUND_DOWN) -> Decimal:
    """Return a price with so many significant digits; those of an order that has more "will be cut by the API".

    >>> significant(Decimal("12345.678")), significant(Decimal("0.000123456"))
    (Decimal('12345'), Decimal('0.00012345'))
    """
    return value.quantize(Decimal(1).scaleb(value.adjusted() - digits + 1), rounding) + 0


def signed(amount: Decimal, side: Side) -> int | float:
    """Return an amount with the sign of its side."""
    return number(amount if side == "buy" else -amount)


def type_name(request: OrderRequest) -> str:
    """Return Bitfinex's name for the type of an order on the exchange wallet.

    It knows one kind of stop, which wakes above the market when it buys and below when it sells; take-profit orders,
    which it has not, can come from another wire and bear the same name.
    """
    if request.type == "market":
        return "EXCHANGE MARKET"
    if request.type == "limit":
        return "EXCHANGE IOC" if request.time_in_force == "IOC" else "EXCHANGE LIMIT"
    return "EXCHANGE STOP LIMIT" if request.type.endswith("_limit") else "EXCHANGE STOP"


def status_text(order: Order) -> str:
    """Return the status of an order, which Bitfinex tells in a sentence."""
    filled = ""
    if order.average is not None:
        sign = "" if order.request.side == "buy" else "-"
        filled = f"@ {plain(round(order.average, 8))}({sign}{plain(order.filled)})"
    if order.status == "open":
        return f"PARTIALLY FILLED {filled}" if filled else "ACTIVE"
    if order.status == "closed":
        return f"EXECUTED {filled}"
    why = "CANCELED"
    if order.reason == POST_ONLY_CROSSED:
        why = "POSTONLY CANCELED"
    elif order.request.time_in_force == "IOC" and order.status == "cancelled":
        why = "IOC CANCELED"
    return f"{why} was: PARTIALLY FILLED {filled}" if filled else why


def updated(order: Order) -> int:
    """Return when an order last changed, in nanoseconds."""
    return order.closed or (order.fills[-1].time if order.fills else order.opened)


def order_row(order: Order, number_: int, cid: int, symbol: str) -> list[Any]:
    """Return the 32 fields of an order.

    An order of another wire that spends a sum of money has no amount in the base currency but what it has bought.
    """
    request = order.request
    kind = previous = type_name(request)
    price, auxiliary = request.trigger or request.price or order.average or Decimal(0), Decimal(0)
    if kind == "EXCHANGE STOP LIMIT" and request.price is not None:
        if order.triggered:
            kind, price = "EXCHANGE LIMIT", request.price
        else:
            auxiliary = request.price
    flags = POST_ONLY if request.post_only else 0
    expires = None if request.expires is None else request.expires // MILLISECOND
    times = [order.opened // MILLISECOND, updated(order) // MILLISECOND]
    whole = order.filled if request.in_quote else request.amount
    amounts = [signed(whole - order.filled, request.side), signed(whole, request.side)]
    prices = [number(price), number(order.average or Decimal(0)), 0, number(auxiliary)]
    return [
        *(number_, None, cid, symbol, *times, *amounts),
        *(kind, previous if previous != kind else None, expires, None, flags, status_text(order), None, None),
        *(*prices, None, None, None, 0),
        *(0, None, None, None, "API>BFX", None, None, {"$F7": 1} if request.post_only else {}),
    ]


def trade_row(fill: Fill, order: Order, numbers: tuple[int, int], cid: int, symbol: str) -> list[Any]:
    """Return the fields of an own trade; `numbers` are the trade's and the order's. The fee is taken away: negative."""
    request = order.request
    trade, number_ = numbers
    return [
        *(trade, symbol, fill.time // MILLISECOND, number_, signed(fill.amount, fill.side), number(fill.price)),
        *(type_name(request), number(request.price or request.trigger or fill.price)),
        *(1 if fill.maker else -1, number(-fill.fee), fill.fee_currency, cid),
    ]
