"""What an account trades by beside candles and target: costs, sizing, stops, the market's rules, and limits of risk."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, TypedDict, cast, get_args

from data.errors import BadInput, unknown
from tasks.engine.fees import Tier, read_tiers
from tasks.engine.slippage import Slippage, read_slippage

OrderType = Literal["market", "limit"]
OnTimeout = Literal["cancel", "market"]

COLUMN = "column"
"""Given as the rate of funding: the candles have a column `funding`."""

FUNDING_HOURS = 8.0
"""Between two payments of funding, from midnight UTC on: the usual interval."""


class Rules(NamedTuple):
    """Numbers only, as compiled code takes them; what is absent has the value that makes it void."""

    fee: float
    """Fraction of the cost, a side, of an order that takes; by tiers, that of the first."""
    slippage: float
    """Fraction of the price, in the direction that hurts; what grows with the order comes on top."""
    fraction: float
    """Share of equity that a target of 1 stands for."""
    amount: float
    """Units that a target of 1 stands for; 0: sized by the fraction."""
    stop_loss: float
    """Fraction of the average entry price; infinite: none. So the next two."""
    take_profit: float
    trailing_stop: float
    amount_step: float
    """Amounts are multiples of it; 0: any amount. In base currency, as the next; the third in quote currency."""
    min_amount: float
    min_cost: float
    limit_bars: float
    """Bars for which an entry waits at its limit price, infinite: until the next decision; 0: entries are at market."""
    limit_offset: float
    """Fraction of the close that was decided on, by which the limit price is better."""
    limit_to_market: float
    """1: an entry that was not filled in these bars is made at market; 0: it is cancelled."""
    price_step: float
    """Limit prices are multiples of it; 0: any price. In quote currency."""
    maker_fee: float
    """As `fee`, of an entry that has waited at its limit."""
    tiers: float
    """Fee tiers there are: the account has them; 0: none."""
    impact: float
    """Impact of an order is this * friction * amount ** power; 0: none. The friction is a series of `costs`."""
    power: float
    carried: float
    """1: to hold a position costs what the series of `costs` say; 0: nothing."""
    max_volume: float
    """Fraction of a candle's volume that may be traded in it; infinite: any amount."""


class Limits(NamedTuple):
    """What trading may not go beyond: numbers only, as in `Rules`. The infinite one is void, and so is 0 below."""

    max_position: float
    """Quote currency that an entry may bring the position to."""
    max_order: float
    """Quote currency that an order to enter may cost, without its fee."""
    max_orders_a_day: float
    """Orders in a UTC day after which nothing is entered until the next."""
    daily_loss: float
    """Fraction of the equity at the last close of the UTC day before: lost, all is sold, nothing entered that day."""
    max_drawdown: float
    """Drawdown, as a fraction above 0, at which all is sold, for good."""
    cooldown: float
    """Candles after the one of a stop in which nothing is entered; 0: none."""
    max_deviation: float
    """Fraction that the price may be off the close that was decided on, for an entry."""
    max_signal_age: float
    """Seconds after its candle's close until which a signal to enter is acted on."""
    max_bars: float
    """Closes with a position after which it is sold."""
    long_only: float
    """1: a target below 0 is taken as 0; 0: not so."""


class Terms(TypedDict, total=False):
    """What `simulate` may be told beside candles and target; `make_rules` and `make_limits` have the defaults."""

    fee: float
    maker_fee: float | None
    fee_tiers: Sequence[Tier | str] | None
    slippage: float | str | Slippage
    borrow: float | None
    funding: float | str | None
    funding_hours: float
    fraction: float
    amount: float | None
    stop_loss: float | None
    take_profit: float | None
    trailing_stop: float | None
    amount_step: float | None
    min_amount: float | None
    min_cost: float | None
    max_volume: float | None
    order_type: OrderType
    limit_offset: float
    limit_bars: int | None
    on_timeout: OnTimeout
    price_step: float | None
    max_position: float | None
    max_order: float | None
    max_orders_a_day: int | None
    daily_loss: float | None
    max_drawdown: float | None
    cooldown: int
    max_deviation: float | None
    max_signal_age: float | None
    max_bars: int | None
    long_only: bool


def read_terms(terms: Terms) -> tuple[Rules, Limits]:
    """Check each term and put the void value where one is absent. Raises BadInput naming the first bad one."""
    strange = sorted(set(terms) - set(Terms.__annotations__))
    if strange:
        raise unknown("term", strange[0], Terms.__annotations__)
    given: dict[str, Any] = dict(terms)
    limits = {name: given.pop(name) for name in Limits._fields if name in given}
    return make_rules(**given), make_limits(**limits)


def make_rules(
    *,
    fee: float = 0.004,
    maker_fee: float | None = None,
    fee_tiers: Sequence[Tier | str] | None = None,
    slippage: float | str | Slippage = 0.0005,
    borrow: float | None = None,
    funding: float | str | None = None,
    funding_hours: float = FUNDING_HOURS,
    fraction: float = 1.0,
    amount: float | None = None,
    stop_loss: float | None = None,
    take_profit: float | None = None,
    trailing_stop: float | None = None,
    amount_step: float | None = None,
    min_amount: float | None = None,
    min_cost: float | None = None,
    max_volume: float | None = None,
    order_type: OrderType = "market",
    limit_offset: float = 0.0,
    limit_bars: int | None = None,
    on_timeout: OnTimeout = "cancel",
    price_step: float | None = None,
) -> Rules:
    """Check each number and put the void value where one is absent. Raises BadInput naming the first bad one."""
    check_entries(order_type, limit_offset, limit_bars, on_timeout)
    waits, step = order_type == "limit", _within("price_step", price_step, absent=0.0)
    if amount is not None and fraction != 1.0:
        raise BadInput(f"amount {amount:g} and fraction {fraction:g} are both given: size by one of them")
    model, tiers = read_slippage(slippage), read_tiers(fee_tiers)
    taker = _within("fee", fee, 0.0, 1.0, low_included=True)
    maker = _within("maker_fee", maker_fee, 0.0, 1.0, low_included=True, absent=taker)
    check_carry(borrow, funding, funding_hours)
    return Rules(
        fee=tiers[0][2] if tiers else taker,
        slippage=model.fraction,
        fraction=_within("fraction", fraction, 0.0, 1.0, high_included=True),
        amount=_within("amount", amount, absent=0.0),
        stop_loss=_within("stop_loss", stop_loss, 0.0, 1.0, absent=math.inf),
        take_profit=_within("take_profit", take_profit, absent=math.inf),
        trailing_stop=_within("trailing_stop", trailing_stop, 0.0, 1.0, absent=math.inf),
        amount_step=_within("amount_step", amount_step, absent=0.0),
        min_amount=_within("min_amount", min_amount, low_included=True, absent=0.0),
        min_cost=_within("min_cost", min_cost, low_included=True, absent=0.0),
        limit_bars=_whole("limit_bars", limit_bars, 1.0, absent=math.inf) if waits else 0.0,
        limit_offset=_within("limit_offset", limit_offset, 0.0, 1.0, low_included=True),
        limit_to_market=float(on_timeout == "market"),
        price_step=step if waits else 0.0,
        maker_fee=tiers[0][1] if tiers else maker,
        tiers=float(len(tiers)),
        impact=model.impact,
        power=model.power,
        carried=float(bool(borrow or funding)),
        max_volume=_within("max_volume", max_volume, 0.0, 1.0, high_included=True, absent=math.inf),
    )


def make_limits(
    *,
    max_position: float | None = None,
    max_order: float | None = None,
    max_orders_a_day: int | None = None,
    daily_loss: float | None = None,
    max_drawdown: float | None = None,
    cooldown: int = 0,
    max_deviation: float | None = None,
    max_signal_age: float | None = None,
    max_bars: int | None = None,
    long_only: bool = False,
) -> Limits:
    """Check each number and put the void value where one is absent. Raises BadInput naming the first bad one."""
    return Limits(
        max_position=_within("max_position", max_position, absent=math.inf),
        max_order=_within("max_order", max_order, absent=math.inf),
        max_orders_a_day=_whole("max_orders_a_day", max_orders_a_day, 1.0, absent=math.inf),
        daily_loss=_within("daily_loss", daily_loss, 0.0, 1.0, absent=math.inf),
        max_drawdown=_within("max_drawdown", max_drawdown, 0.0, 1.0, absent=math.inf),
        cooldown=_whole("cooldown", cooldown, 0.0),
        max_deviation=_within("max_deviation", max_deviation, 0.0, 1.0, absent=math.inf),
        max_signal_age=_within("max_signal_age", max_signal_age, absent=math.inf),
        max_bars=_whole("max_bars", max_bars, 1.0, absent=math.inf),
        long_only=float(long_only),
    )


def refuse_alone(rules: Rules, who: str) -> None:
    """Raise BadInput for terms that the backtest of one market has alone; `who` is what lacks them."""
    for name, asked in (("order_type limit", rules.limit_bars > 0.0), ("max_volume", rules.max_volume < math.inf)):
        if asked:
            raise BadInput(f"{who} has no {name}: only the backtest of one market has, so leave it out")


def refuse_beyond(rules: Rules, limits: Limits, who: str) -> None:
    """Raise BadInput for terms that only backtests have; `who` is what lacks them."""
    refuse_alone(rules, who)
    for name, asked in (
        ("max_bars", limits.max_bars < math.inf),
        ("fee_tiers", rules.tiers > 0.0),
        ("impact in its slippage", rules.impact > 0.0),
        ("borrow and no funding", rules.carried > 0.0),
    ):
        if asked:
            raise BadInput(f"{who} has no {name}: only a backtest has, so leave it out")


def target_decides(rules: Rules, limits: Limits) -> bool:
    """Tell whether orders are made where the target changes and nowhere else, at the open, whatever happened between.

    Rules and limits that are not known to leave it so must be void.
    """
    return limits == NO_LIMITS and rules == _VOID._replace(**{name: getattr(rules, name) for name in _AT_THE_OPEN})


def check_policy(every: int | None, tolerance: float, gross: float) -> tuple[int, float, float]:
    """Return when positions of a portfolio are brought back to their weights, and how much may be held in all.

    Bars from one look to the next (0: never), the share of equity that a position may be off by, and positions over
    equity. Raises BadInput naming the first bad one.
    """
    return (
        int(_whole("rebalance_every", every, 1.0, absent=0.0)),
        _within("tolerance", tolerance, 0.0, 1.0, low_included=True),
        _within("gross", gross),
    )


def check_carry(borrow: float | None, funding: float | str | None, funding_hours: float) -> tuple[float, float, float]:
    """Return the yearly rate of borrowing, the rate of funding (NaN: the candles have it) and the hours between.

    Raises BadInput naming the first bad one.
    """
    rate = math.nan if funding == COLUMN else _within("funding", cast("float | None", funding), -1.0, 1.0, absent=0.0)
    hours = _within("funding_hours", funding_hours, 0.0, 24.0, high_included=True)
    if not (24.0 / hours).is_integer():
        raise BadInput(f"funding_hours must divide a day, and {hours:g} do not")
    return _within("borrow", borrow, low_included=True, absent=0.0), rate, hours


def check_cash(cash: float) -> float:
    """Return the money at the start. Raises BadInput unless it is above 0."""
    return _within("cash", cash)


def check_entries(order_type: str, limit_offset: float, limit_bars: int | None, on_timeout: str) -> None:
    """Raise BadInput for words that are none, and for what is said of limit orders where entries are at market."""
    for name, word, words in (
        ("order_type", order_type, get_args(OrderType)),
        ("on_timeout", on_timeout, get_args(OnTimeout)),
    ):
        if word not in words:
            raise unknown(name, str(word), words)
    if order_type == "market" and (limit_offset != 0 or limit_bars is not None or on_timeout != "cancel"):
        raise BadInput("limit_offset, limit_bars and on_timeout are of limit orders: give order_type limit too")
    if on_timeout == "market" and limit_bars is None:
        raise BadInput("on_timeout market needs limit_bars: after so many candles the order is made at market")


def _whole(name: str, value: float | None, low: float, *, absent: float = math.nan) -> float:
    number = _within(name, value, low, low_included=True, absent=absent)
    if math.isfinite(number) and not number.is_integer():
        raise BadInput(f"{name} must be a whole number, not {number:g}")
    return number


def _within(
    name: str,
    value: float | None,
    low: float = 0.0,
    high: float = math.inf,
    *,
    low_included: bool = False,
    high_included: bool = False,
    absent: float = math.nan,
) -> float:
    if value is None and not math.isnan(absent):
        return absent
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise BadInput(f"{name} must be a number, not {value!r}") from None
    above = number >= low if low_included else number > low
    below = number <= high if high_included else number < high
    if above and below:
        return number
    wanted = f"{'at least' if low_included else 'above'} {low:g}"
    if math.isfinite(high):
        wanted += f" and {'at most' if high_included else 'below'} {high:g}"
    raise BadInput(f"{name} must be {wanted}, not {number:g}")


NO_LIMITS = make_limits()
_VOID = make_rules(fee=0.0, slippage=0.0)

_AT_THE_OPEN = ("fee", "maker_fee", "slippage", "fraction", "amount", "amount_step", "min_amount", "min_cost")
"""The rules that bear on an order at the open alone."""
