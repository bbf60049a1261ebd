"""How Bitfinex's request for an order is read: types, flags, the sign of the amount, prices cut to five digits.

Fields: https://docs.bitfinex.com/reference/rest-auth-submit-order. Only the exchange wallet trades here. Whatever would
change the meaning of an order, and is not known here, is refused; `meta`, `gid` and unknown fields are ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from tasks.exchange.orders import OrderRequest, OrderType, TimeInForce
from tasks.exchange.practice.bitfinex.market import MarketData, largest_order
from tasks.exchange.practice.bitfinex.numbers import LARGEST_CID
from tasks.exchange.practice.bitfinex.rows import POST_ONLY, significant
from tasks.exchange.practice.bitfinex.words import FAILED, ErrorRow, decimal, integer, invalid, plain
from tasks.exchange.rules import MarketRules
from tasks.exchange.units import MILLISECOND

_TYPES: dict[str, tuple[OrderType, TimeInForce]] = {
    "EXCHANGE MARKET": ("market", "GTC"),
    "EXCHANGE LIMIT": ("limit", "GTC"),
    "EXCHANGE IOC": ("limit", "IOC"),
    "EXCHANGE STOP": ("stop_loss", "GTC"),
    "EXCHANGE STOP LIMIT": ("stop_loss_limit", "GTC"),
}

_NOT_SERVED = ("lev", "price_trailing", "price_oco_stop")

_LARGEST_EXPONENT = 15
_AMOUNT_PLACES = Decimal("0.00000001")


def read_order(body: Mapping[str, Any], markets: MarketData, now: int) -> tuple[OrderRequest, int | None]:
    """Return the request, without client id, and the sender's `cid`, if there is one; `now` in ns.

    Raises ErrorRow for what cannot be an order.
    """
    name, kind = body.get("symbol"), body.get("type")
    if not isinstance(name, str):
        raise invalid("symbol")
    rules = markets.market(name).rules
    if not isinstance(kind, str) or kind not in _TYPES:
        raise invalid("type")
    for field in _NOT_SERVED:
        if body.get(field) is not None:
            raise invalid(field)
    type_, in_force = _TYPES[kind]
    flags = integer(body, "flags") or 0
    if flags not in ((0, POST_ONLY) if kind == "EXCHANGE LIMIT" else (0,)):
        raise invalid("flags")
    amount = decimal(body, "amount")
    expires = _expiry(body, now)
    if expires is not None and (type_ == "market" or in_force == "IOC"):
        raise invalid("tif")
    request = OrderRequest(
        symbol=rules.symbol,
        side="sell" if amount < 0 else "buy",
        type=type_,
        amount=_amount(abs(amount), rules),
        price=_limit(body, rules, type_),
        trigger=_price(body, "price", rules) if type_.startswith("stop_loss") else None,
        post_only=bool(flags),
        time_in_force=in_force if expires is None else "GTD",
        expires=expires,
    )
    return request, _cid(body)


def _limit(body: Mapping[str, Any], rules: MarketRules, type_: OrderType) -> Decimal | None:
    """Return the limit price of the types that have one; that of the others is ignored, as it is for market orders."""
    if type_ == "limit":
        return _price(body, "price", rules)
    return _price(body, "price_aux_limit", rules) if type_ == "stop_loss_limit" else None


def _price(body: Mapping[str, Any], field: str, rules: MarketRules) -> Decimal:
    """Return a price cut to five digits, and then down to the market's tick, which Bitfinex has not."""
    price = decimal(body, field)
    if price <= 0 or price.adjusted() > _LARGEST_EXPONENT:
        raise invalid(field)
    cut = rules.round_price(significant(price), "buy")
    if not cut:
        raise invalid(field)
    return cut


def _amount(amount: Decimal, rules: MarketRules) -> Decimal:
    """Return an amount rounded to eight places, and then down to the market's step."""
    largest = largest_order(rules)
    if amount > largest:
        raise ErrorRow(FAILED, f"Invalid order: maximum size for {rules.symbol} is {plain(largest)}")
    rounded = rules.round_amount(amount.quantize(_AMOUNT_PLACES, ROUND_HALF_UP))
    if amount and not rounded:
        raise ErrorRow(FAILED, f"Invalid order: minimum size for {rules.symbol} is {plain(rules.min_amount)}")
    if not rounded:
        raise invalid("amount")
    return rounded


def _cid(body: Mapping[str, Any]) -> int | None:
    """Return the sender's id, a number: text is none, though ccxt sends whatever it is given."""
    if isinstance(body.get("cid"), str):
        raise invalid("cid")
    return integer(body, "cid", 1, LARGEST_CID)


def _expiry(body: Mapping[str, Any], now: int) -> int | None:
    """Return when an order expires (ns): `tif`, a UTC time as 2026-01-15 10:45:23, or milliseconds since 1970."""
    value = body.get("tif")
    if value is None:
        return None
    if isinstance(value, str) and not value.isdecimal():
        try:
            at = datetime.fromisoformat(value)
            at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
            expires = int(at.timestamp()) * 1000 * MILLISECOND
        except (ValueError, OverflowError):
            raise invalid("tif") from None
    else:
        expires = (integer(body, "tif") or 0) * MILLISECOND
    if expires <= now:
        raise invalid("tif")
    return expires
