"""Orders and trades of the account as Kraken writes them.

Kraken rounds costs, fees and average prices; here they are exact, as in the engine, so that whoever adds them up gets
the balance. Only an average price that never ends is rounded, to 10 decimals.
"""

from __future__ import annotations

from base64 import b32decode
from decimal import Decimal
from typing import Any

from tasks.exchange.orders import Fill, Order
from tasks.exchange.practice.kraken.names import Pair, plain
from tasks.exchange.practice.kraken.words import REASONS, STATUSES, seconds, sentence, wire_type

_MONEY_DECIMALS = 5
_AVERAGE_STEP = Decimal("1e-10")


def order_row(pair: Pair, order: Order, userref: int | None, *, trades: bool = False) -> dict[str, Any]:
    """Return an order as in OpenOrders, ClosedOrders and QueryOrders; with the ids of its trades if asked for."""
    request, prices = order.request, pair.price_decimals
    # An amount in the quote currency is known in the base currency once it is spent, which is at once.
    volume = plain(order.filled if request.in_quote else request.amount, pair.lot_decimals)
    limit, trigger = (None if price is None else plain(price, prices) for price in (request.price, request.trigger))
    row: dict[str, Any] = {
        "refid": None,
        "userref": userref,
        "status": STATUSES[order.status],
        "opentm": seconds(order.opened),
        "starttm": 0,
        "expiretm": 0 if request.expires is None else seconds(request.expires),
        "descr": {
            "pair": pair.altname,
            "type": request.side,
            "ordertype": wire_type(request.type),
            "price": trigger or limit or "0",
            "price2": (limit if trigger else None) or "0",
            "leverage": "none",
            "order": sentence(pair, request, volume),
            "close": "",
        },
        "vol": volume,
        "vol_exec": plain(order.filled, pair.lot_decimals),
        "cost": plain(order.cost, _MONEY_DECIMALS),
        "fee": plain(order.fee, _MONEY_DECIMALS),
        "price": plain((order.average or Decimal(0)).quantize(_AVERAGE_STEP), prices),
        "stopprice": trigger or plain(Decimal(0), prices),
        "limitprice": (limit if trigger else None) or plain(Decimal(0), prices),
        "misc": "",
        "oflags": ",".join(["fciq", *["post"] * request.post_only, *["viqc"] * request.in_quote]),
    }
    if request.client_id is not None:
        row["cl_ord_id"] = request.client_id
    if order.closed is not None:
        row |= {"closetm": seconds(order.closed), "reason": _reason(order)}
    if trades and order.fills:
        row["trades"] = [fill.id for fill in order.fills]
    return row


def trade_row(pair: Pair, fill: Fill, order: Order) -> dict[str, Any]:
    """Return a trade as in TradesHistory and QueryTrades."""
    return {
        "ordertxid": fill.order_id,
        "pair": pair.id,
        "time": seconds(fill.time),
        "type": fill.side,
        "ordertype": wire_type(order.request.type),
        "price": plain(fill.price, pair.price_decimals),
        "cost": plain(fill.cost, _MONEY_DECIMALS),
        "fee": plain(fill.fee, _MONEY_DECIMALS),
        "vol": plain(fill.amount, pair.lot_decimals),
        "margin": plain(Decimal(0), _MONEY_DECIMALS),
        "leverage": "0",
        "misc": "",
        "trade_id": _number(fill),
        "maker": fill.maker,
    }


def _reason(order: Order) -> str | None:
    known: dict[str, str] = {str(reason): text for reason, text in REASONS.items()}
    return known.get(order.reason, order.reason) or None


def _number(fill: Fill) -> int:
    """Return a fill's number: at Kraken one that goes up by 1 in a market; here one that no other fill has."""
    return int.from_bytes(b32decode(fill.id[1:].replace("-", ""))[:6])
