"""What a simulation is told beside the candles and the target: costs, sizing, stops and the market's rules."""

from __future__ import annotations

import math
from typing import NamedTuple

from data.errors import BadInput


class Rules(NamedTuple):
    """Numbers only, as compiled code takes them; what is absent has the value that makes it void."""

    fee: float
    """Fraction of the cost, a side."""
    slippage: float
    """Fraction of the price, in the direction that hurts."""
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


def make_rules(
    *,
    fee: float,
    slippage: float,
    fraction: float,
    amount: float | None,
    stop_loss: float | None,
    take_profit: float | None,
    trailing_stop: float | None,
    amount_step: float | None,
    min_amount: float | None,
    min_cost: float | None,
) -> Rules:
    """Check each number and put the void value where one is absent. Raises BadInput naming the first bad one."""
    if amount is not None and fraction != 1.0:
        raise BadInput(f"amount {amount:g} and fraction {fraction:g} are both given: size by one of them")
    return Rules(
        fee=_within("fee", fee, 0.0, 1.0, low_included=True),
        slippage=_within("slippage", slippage, 0.0, 1.0, low_included=True),
        fraction=_within("fraction", fraction, 0.0, 1.0, high_included=True),
        amount=_within("amount", amount, absent=0.0),
        stop_loss=_within("stop_loss", stop_loss, 0.0, 1.0, absent=math.inf),
        take_profit=_within("take_profit", take_profit, absent=math.inf),
        trailing_stop=_within("trailing_stop", trailing_stop, 0.0, 1.0, absent=math.inf),
        amount_step=_within("amount_step", amount_step, absent=0.0),
        min_amount=_within("min_amount", min_amount, low_included=True, absent=0.0),
        min_cost=_within("min_cost", min_cost, low_included=True, absent=0.0),
    )


def check_cash(cash: float) -> float:
    """Return the money at the start. Raises BadInput unless it is above 0."""
    return _within("cash", cash)


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
