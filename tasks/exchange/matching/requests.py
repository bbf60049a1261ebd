"""Whether a request can be an order at all: its numbers, its times and what it combines. Money is looked at later."""

from __future__ import annotations

from decimal import Decimal

from tasks.exchange.matching.refusals import Refusal, RefusedOrder
from tasks.exchange.orders import CLIENT_ID, OrderRequest
from tasks.exchange.rules import MarketRules
from tasks.exchange.units import SECOND

_LIMITED = {"limit", "stop_loss_limit", "take_profit_limit"}
_WAITING = {"stop_loss", "take_profit", "stop_loss_limit", "take_profit_limit"}

_NEAREST_DEADLINE, _FARTHEST_DEADLINE = SECOND // 2, 61 * SECOND
"""Kraken's range is 0.5 to 60 seconds; one more is for clocks that differ."""

_TOO_LARGE, _DECIMALS = Decimal(10) ** 15, 18


def check_request(request: OrderRequest, rules: MarketRules, last: Decimal, now: int) -> None:
    """Raise RefusedOrder for the first thing that is wrong; `last` is the market's price, `now` the exchange's time."""
    if not last:
        raise RefusedOrder(Refusal.NO_PRICE, request.symbol)
    _check_combination(request)
    _check_prices(request, rules)
    _check_amount(request, rules, last)
    if request.client_id is not None and not CLIENT_ID.fullmatch(request.client_id):
        raise RefusedOrder(Refusal.BAD_CLIENT_ID, repr(request.client_id))
    _check_times(request, now)


def _check_combination(request: OrderRequest) -> None:
    if request.in_quote and (request.type, request.side) != ("market", "buy"):
        raise RefusedOrder(Refusal.BAD_ARGUMENTS, "only a market order to buy has its amount in the quote currency")
    if request.post_only and (request.type != "limit" or request.time_in_force == "IOC"):
        raise RefusedOrder(Refusal.BAD_ARGUMENTS, "only a limit order that may rest can be post-only")


def _check_prices(request: OrderRequest, rules: MarketRules) -> None:
    for name, price, types in (("price", request.price, _LIMITED), ("trigger", request.trigger, _WAITING)):
        if (price is not None) != (request.type in types):
            needs = "needs a" if price is None else "has no"
            raise RefusedOrder(Refusal.BAD_PRICE, f"an order of type {request.type} {needs} {name}")
        if price is None:
            continue
        if not _is_number(price):
            raise RefusedOrder(Refusal.BAD_PRICE, f"{name} {price}")
        if not rules.is_price(price):
            raise RefusedOrder(Refusal.PRICE_STEP, f"{name} {price}, tick {rules.price_step}")


def _check_amount(request: OrderRequest, rules: MarketRules, last: Decimal) -> None:
    amount = request.amount
    if not _is_number(amount):
        raise RefusedOrder(Refusal.BAD_AMOUNT, str(amount))
    if not request.in_quote and not rules.is_amount(amount):
        raise RefusedOrder(Refusal.AMOUNT_STEP, f"{amount} {rules.base}, step {rules.amount_step}")
    price = request.price or request.trigger or last
    smallest = rules.min_amount * price if request.in_quote else rules.min_amount
    if amount < smallest:
        raise RefusedOrder(Refusal.MIN_AMOUNT, f"{amount}, at least {smallest}")
    cost = amount if request.in_quote else amount * price
    if cost < rules.min_cost:
        raise RefusedOrder(Refusal.MIN_COST, f"{cost} {rules.quote}, at least {rules.min_cost}")


def _check_times(request: OrderRequest, now: int) -> None:
    if (request.expires is not None) != (request.time_in_force == "GTD") or (
        request.time_in_force == "GTD" and request.type == "market"
    ):
        raise RefusedOrder(Refusal.BAD_EXPIRY, "a GTD order that may rest has a time of expiry, others have none")
    if request.expires is not None and request.expires <= now:
        raise RefusedOrder(Refusal.BAD_EXPIRY, "it is not in the future")
    if request.deadline is None:
        return
    if request.deadline < now + _NEAREST_DEADLINE:
        raise RefusedOrder(Refusal.DEADLINE, "it must be half a second ahead or more")
    if request.deadline > now + _FARTHEST_DEADLINE:
        raise RefusedOrder(Refusal.BAD_DEADLINE, "it must be a minute ahead or less")


def _is_number(value: Decimal) -> bool:
    """Tell whether this is a number of money or goods: finite, above 0, of a sane size and fineness."""
    if not (value.is_finite() and 0 < value < _TOO_LARGE):
        return False
    exponent = value.as_tuple().exponent
    return isinstance(exponent, int) and exponent >= -_DECIMALS
