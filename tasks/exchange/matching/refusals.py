"""Why an order is refused, why one ends early, and what must never be: the engine's words for it."""

from __future__ import annotations

from enum import Enum, StrEnum

from data.errors import Refused


class Refusal(Enum):
    """Why an order was not taken; the value is the sentence that says so."""

    UNKNOWN_SYMBOL = "there is no such market"
    NO_PRICE = "the market has no price yet"
    BAD_ARGUMENTS = "these arguments do not go together"
    BAD_AMOUNT = "the amount is no amount"
    AMOUNT_STEP = "the amount is no multiple of the market's step"
    MIN_AMOUNT = "the amount is below the market's minimum"
    MIN_COST = "the cost is below the market's minimum"
    BAD_PRICE = "the price is no price, or is missing, or has no place in this type of order"
    PRICE_STEP = "the price is no multiple of the market's tick"
    BAD_EXPIRY = "the time of expiry is missing, past, or has no place in this order"
    BAD_DEADLINE = "the deadline is too far ahead"
    DEADLINE = "the deadline has passed"
    BAD_CLIENT_ID = "the client id is neither a UUID nor a text of at most 18 characters"
    DUPLICATE_CLIENT_ID = "an open order has this client id"
    TOO_MANY_ORDERS = "too many orders are open in this market"
    POST_ONLY = "a post-only order would trade at once"
    FUNDS = "there is not enough money"
    UNKNOWN_ORDER = "there is no such open order"


class RefusedOrder(Refused):
    """The engine did not do it, and nothing has changed."""

    def __init__(self, refusal: Refusal, detail: str = "") -> None:
        super().__init__(f"{refusal.value}: {detail}" if detail else refusal.value)
        self.refusal = refusal
        self.detail = detail


class Reason(StrEnum):
    """Why an order ended before it was filled: `Order.reason`."""

    ASKED = "cancelled on request"
    ALL = "all orders cancelled on request"
    DEAD_MAN = "cancelled by the dead man's switch"
    EXPIRED = "expired"
    IMMEDIATE = "immediate or cancel"
    NO_DEPTH = "no more orders to trade with"
    SELF_TRADE = "would trade with an own order"
    FUNDS = "not enough money when the order woke"
    EXCHANGE = "cancelled by the exchange"


class InvariantBroken(AssertionError):
    """The books do not add up: a defect of the engine, or somebody changed its state from outside."""
