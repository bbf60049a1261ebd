"""Kraken's words: its errors, its types of orders, the sentence that describes one, and how it writes times.

Texts after https://docs.kraken.com/api/docs/guides/spot-errors. Nothing that a sender wrote is repeated in an error.
"""

from __future__ import annotations

from datetime import UTC, datetime

from data.errors import Refused
from tasks.exchange.matching.refusals import Reason, Refusal
from tasks.exchange.orders import OrderRequest, OrderType, Status
from tasks.exchange.practice.kraken.names import Pair, plain
from tasks.exchange.units import SECOND

INVALID_KEY = "EAPI:Invalid key"
INVALID_SIGNATURE = "EAPI:Invalid signature"
INVALID_NONCE = "EAPI:Invalid nonce"
REQUEST_LIMIT = "EAPI:Rate limit exceeded"
ORDER_LIMIT = "EOrder:Rate limit exceeded"
PERMISSION_DENIED = "EGeneral:Permission denied"
INVALID_ARGUMENTS = "EGeneral:Invalid arguments"
UNKNOWN_METHOD = "EGeneral:Unknown method"
UNKNOWN_PAIR = "EQuery:Unknown asset pair"
UNKNOWN_ASSET = "EQuery:Unknown asset"
UNKNOWN_ORDER = "EOrder:Unknown order"
UNAVAILABLE = "EService:Unavailable"

ORDER_TYPES: dict[str, OrderType] = {
    "market": "market",
    "limit": "limit",
    "stop-loss": "stop_loss",
    "take-profit": "take_profit",
    "stop-loss-limit": "stop_loss_limit",
    "take-profit-limit": "take_profit_limit",
}

STATUSES: dict[Status, str] = {
    "open": "open",
    "closed": "closed",
    "cancelled": "canceled",
    "expired": "expired",
    "rejected": "canceled",
}

REASONS = {Reason.ASKED: "User requested", Reason.ALL: "User requested", Reason.EXPIRED: "Order expired"}
"""Kraken's words for why an order ended, where they are known; the engine's own stand for the others."""

_REFUSALS = {
    Refusal.UNKNOWN_SYMBOL: UNKNOWN_PAIR,
    Refusal.NO_PRICE: UNAVAILABLE,
    Refusal.BAD_ARGUMENTS: INVALID_ARGUMENTS,
    Refusal.BAD_AMOUNT: f"{INVALID_ARGUMENTS}:volume",
    Refusal.AMOUNT_STEP: f"{INVALID_ARGUMENTS}:volume",
    Refusal.MIN_AMOUNT: "EOrder:Order minimum not met",
    Refusal.MIN_COST: "EOrder:Cost minimum not met",
    Refusal.BAD_PRICE: f"{INVALID_ARGUMENTS}:price",
    Refusal.PRICE_STEP: "EOrder:Tick size check failed",
    Refusal.BAD_EXPIRY: f"{INVALID_ARGUMENTS}:expiretm",
    Refusal.BAD_DEADLINE: f"{INVALID_ARGUMENTS}:deadline",
    Refusal.DEADLINE: "EService:Deadline elapsed",
    Refusal.BAD_CLIENT_ID: f"{INVALID_ARGUMENTS}:cl_ord_id",
    Refusal.DUPLICATE_CLIENT_ID: f"{INVALID_ARGUMENTS}:cl_ord_id is in use",
    Refusal.TOO_MANY_ORDERS: "EOrder:Orders limit exceeded",
    Refusal.POST_ONLY: "EOrder:Post only order",
    Refusal.FUNDS: "EOrder:Insufficient funds",
    Refusal.UNKNOWN_ORDER: UNKNOWN_ORDER,
}


class KrakenRefusal(Refused):
    """What is asked is answered with an error; the message is Kraken's text."""


def invalid(argument: str) -> KrakenRefusal:
    """Build the refusal of an argument that is missing or cannot be used."""
    return KrakenRefusal(f"{INVALID_ARGUMENTS}:{argument}")


def words_of(refusal: Refusal) -> str:
    """Return Kraken's text for what the engine refused."""
    return _REFUSALS[refusal]


def wire_type(kind: OrderType) -> str:
    """Return Kraken's name of a type of order: stop-loss-limit."""
    return kind.replace("_", "-")


def sentence(pair: Pair, request: OrderRequest, volume: str) -> str:
    """Describe an order as Kraken does, which clients read: `sell 0.5 ETHUSD @ stop loss 2677.00 -> limit 2577.00`."""
    limit = "" if request.price is None else f"limit {plain(request.price, pair.price_decimals)}"
    if request.trigger is None:
        terms = limit or "market"
    else:
        trigger = plain(request.trigger, pair.price_decimals)
        waits = "stop loss" if request.type.startswith("stop_loss") else "take profit"
        terms = f"{waits} {trigger}" + (f" -> {limit}" if limit else "")
    return f"{request.side} {volume} {pair.altname} @ {terms}"


def seconds(ns: int) -> float:
    """Return a time as Kraken writes it in JSON: seconds since 1970, to the microsecond."""
    return ns // 1000 / 1_000_000


def rfc3339(ns: int, *, places: int = 0) -> str:
    """Write a time (nanoseconds since 1970 UTC) as 2026-01-31T12:00:00Z, with so many decimals of a second.

    >>> rfc3339(1_500_000_000), rfc3339(1_500_000_000, places=6)
    ('1970-01-01T00:00:01Z', '1970-01-01T00:00:01.500000Z')
    """
    whole, rest = divmod(ns, SECOND)
    decimals = f".{rest:09d}"[: places + 1] if places else ""
    return f"{datetime.fromtimestamp(whole, UTC):%Y-%m-%dT%H:%M:%S}{decimals}Z"
