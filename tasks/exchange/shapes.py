"""What an answer must look like: ccxt takes a damaged one for an empty one, and says that there is nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

Shape = Callable[[Any], bool]


def is_answer(exchange: str, address: str, request: str, response: Any) -> bool:
    """Tell whether a parsed answer has the shape that its endpoint promises; `request` is the body that was sent.

    Kraken's and Bitfinex' endpoints are known; elsewhere anything but null is an answer.
    """
    path = urlsplit(address).path
    if exchange == "kraken":
        return _is_kraken(path.rpartition("/")[2], request, response)
    if exchange == "bitfinex":
        return all(shape(response) for pattern, shape in _BITFINEX if re.search(pattern, path))
    return response is not None


def _is_kraken(endpoint: str, request: str, response: Any) -> bool:
    if not isinstance(response, dict) or response.get("error") != []:
        return False
    result = response.get("result")
    if endpoint == "AddOrder" and "validate=true" in request:
        return isinstance(result, dict) and "descr" in result
    return result is not None and _KRAKEN.get(endpoint, _anything)(result)


def _anything(_: Any) -> bool:
    return True


def _has(**shapes: Shape) -> Shape:
    def shape(value: Any) -> bool:
        return isinstance(value, dict) and all(name in value and fits(value[name]) for name, fits in shapes.items())

    return shape


def _all_of(fits: Shape) -> Shape:
    """Build the shape of a mapping that is not empty."""

    def shape(value: Any) -> bool:
        return isinstance(value, dict) and len(value) > 0 and all(fits(inner) for inner in value.values())

    return shape


def _mapping_of(fits: Shape) -> Shape:
    """Build the shape of a mapping that may be empty."""
    return lambda value: isinstance(value, dict) and all(fits(inner) for inner in value.values())


def _rows(least: int) -> Shape:
    """Build the shape of a list of rows with at least so many columns; no rows are fine."""
    return lambda value: isinstance(value, list) and all(isinstance(row, list) and len(row) >= least for row in value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return False
    return re.fullmatch(r"-?\d+(\.\d+)?([eE][-+]?\d+)?", str(value)) is not None


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _is_mapping(value: Any) -> bool:
    return isinstance(value, dict)


def _is_ohlc(result: Any) -> bool:
    """The still-open candle is always there, so a list that is empty is no answer."""
    return isinstance(result, dict) and any(isinstance(rows, list) and rows for rows in result.values())


def _is_order_ids(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 0 and all(_is_text(order) for order in value)


_ORDER = _has(status=_is_text, descr=_has(type=_is_text, ordertype=_is_text), vol=_is_number, vol_exec=_is_number)
_TRADE = _has(ordertxid=_is_text, price=_is_number, vol=_is_number, fee=_is_number, time=_is_number)
_ENTRY = _has(refid=_is_text, type=_is_text, asset=_is_text, time=_is_number, amount=_is_number, fee=_is_number)

_KRAKEN: Mapping[str, Shape] = {
    "Time": _has(unixtime=_is_number),
    "SystemStatus": _has(status=_is_text),
    "Assets": _all_of(_is_mapping),
    "AssetPairs": _all_of(_has(base=_is_text, quote=_is_text)),
    "Ticker": _all_of(_has(a=_is_list, b=_is_list, c=_is_list)),
    "OHLC": _is_ohlc,
    "Depth": _all_of(_has(asks=_is_list, bids=_is_list)),
    "Trades": _has(last=_is_number),
    "Balance": _all_of(_is_number),
    "BalanceEx": _all_of(_has(balance=_is_number)),
    "TradeVolume": _has(fees=_is_mapping, fees_maker=_is_mapping),
    "OpenOrders": _has(open=_mapping_of(_ORDER)),
    "ClosedOrders": _has(closed=_mapping_of(_ORDER)),
    "QueryOrders": _all_of(_ORDER),
    "TradesHistory": _has(trades=_mapping_of(_TRADE)),
    "QueryTrades": _all_of(_TRADE),
    "Ledgers": _has(ledger=_mapping_of(_ENTRY)),
    "AddOrder": _has(txid=_is_order_ids),
    "CancelOrder": _has(count=_is_number),
    "CancelAll": _has(count=_is_number),
    "CancelAllOrdersAfter": _has(currentTime=_is_text, triggerTime=_is_text),
    "GetWebSocketsToken": _has(token=_is_text),
}
"""Results by endpoint. A key without one currency, or an order that is not there, is answered by none of Kraken's."""


def _is_notice(response: Any) -> bool:
    """A notification: [time, type, id, null, what was done, code, status, text]."""
    return isinstance(response, list) and len(response) >= 8 and _is_text(response[6]) and isinstance(response[7], str)


def _is_done(response: Any) -> bool:
    """Of a notification that ccxt takes for success, whatever its status is."""
    return _is_notice(response) and response[6] not in ("ERROR", "FAILURE")


def _is_submitted(response: Any) -> bool:
    if not _is_notice(response):
        return False
    orders = response[4]
    return response[6] != "SUCCESS" or (_rows(17)(orders) and len(orders) > 0 and isinstance(orders[0][0], int))


def _is_wallets(response: Any) -> bool:
    return _rows(5)(response) and len(response) > 0 and all(_is_number(row[2]) for row in response)


def _is_ticker(response: Any) -> bool:
    return isinstance(response, list) and len(response) >= 10 and all(_is_number(value) for value in response[:10])


def _is_summary(response: Any) -> bool:
    return isinstance(response, list) and len(response) > 4 and _rows(3)(response[4]) and len(response[4]) > 1


_BITFINEX: tuple[tuple[str, Shape], ...] = (
    ("", lambda response: isinstance(response, list)),
    (r"/auth/r/wallets$", _is_wallets),
    (r"/auth/r/orders(/[^/]+)?(/hist)?$", _rows(17)),
    (r"/auth/r/trades(/[^/]+)?/hist$", _rows(11)),
    (r"/auth/r/order/[^/]+/trades$", _rows(11)),
    (r"/auth/r/summary$", _is_summary),
    (r"/auth/w/(?!order/submit$)", _is_done),
    (r"/auth/w/order/submit$", _is_submitted),
    (r"/ticker/t", _is_ticker),
    (r"/platform/status$", lambda response: len(response) > 0),
)
"""Answers by path; all that fit must hold."""
