"""What a fill costs, and what it costs to hold: impact, fees by what was traded lately, borrowing and funding."""

from __future__ import annotations

import numpy as np

from tasks.engine.costs import Costs
from tasks.engine.fees import FEE_DAYS
from tasks.engine.kernel.account import DAY, Floats, Ints, Record
from tasks.engine.kernel.compiled import compiled
from tasks.engine.rules import Rules


@compiled
def impact(account: Record, amount: float, rules: Rules) -> float:
    """Return the fraction by which an order of this amount moves the price; 0 where the friction is unknown."""
    if amount == 0.0 or account.friction == np.inf:
        return 0.0
    moved: float = rules.impact * account.friction * amount**rules.power
    return moved


@compiled
def paid(account: Record, market: float, side: int, amount: float, rules: Rules) -> float:
    """Return the price that an order which takes is filled at."""
    price: float = market * (1.0 + side * rules.slippage)
    if rules.impact > 0.0:
        moved = 1.0 + impact(account, amount, rules)
        price = price * moved if side > 0 else price / moved
    return price


@compiled
def set_fees(account: Record) -> None:
    """Set the fees to those of the tier that the volume of 30 days is in."""
    volume = 0.0
    for day in range(FEE_DAYS):
        volume += account.traded[day]
    for row in range(account.tiers):
        if volume >= account.tier[row, 0]:
            account.maker, account.taker = account.tier[row, 1], account.tier[row, 2]


@compiled
def note_traded(account: Record, cost: float) -> None:
    """Count a fill of this cost towards the volume that decides the next one's fee."""
    account.traded[account.fee_day % FEE_DAYS] += cost
    set_fees(account)


@compiled
def forget(account: Record, day: int) -> None:
    """Forget what was traded 30 days before this one, or earlier."""
    for past in range(account.fee_day + 1, min(day, account.fee_day + FEE_DAYS) + 1):
        account.traded[past % FEE_DAYS] = 0.0
    account.fee_day = day


@compiled
def pay(account: Record, price: float, on_long: float, on_short: float) -> None:
    """Pay for the position, if there is one: a fraction of its worth at this price, when long or when short."""
    if account.position != 0.0:
        cost = abs(account.position) * price * (on_long if account.position > 0.0 else on_short)
        account.cash -= cost
        account.carry += cost


@compiled
def begin_bar(account: Record, bar: int, ts: Ints, closes: Floats, costs: Costs | None) -> None:
    """Take what is known of the market at the close before, and pay for the time since then, at its price."""
    if costs is None:
        return
    at = ts[bar]
    if account.tiers and at // DAY > account.fee_day:
        forget(account, at // DAY)
        set_fees(account)
    if bar > 0:
        account.friction = costs.friction[bar - 1]
        pay(account, closes[bar - 1], costs.long_between[bar], costs.short_between[bar])


@compiled
def end_bar(account: Record, bar: int, closes: Floats, costs: Costs | None) -> None:
    """Pay for what is held at the close."""
    if costs is not None:
        pay(account, closes[bar], costs.long[bar], costs.short[bar])
