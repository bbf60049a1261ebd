"""How large an order is: steps of the market, a share of equity, the limits of position and order."""

from __future__ import annotations

import numpy as np

from tasks.engine.kernel.account import NOISE, SPECK, Record
from tasks.engine.kernel.compiled import compiled
from tasks.engine.rules import Limits, Rules


@compiled
def multiple(count: float, step: float) -> float:
    """Return `count` steps as the nearest float: 3 steps of 0.1 are 0.3, which 3 * 0.1 is not."""
    per_unit: float = np.rint(1.0 / step)
    if abs(per_unit * step - 1.0) < NOISE:
        return count / per_unit
    return count * step


@compiled
def round_down(amount: float, step: float) -> float:
    """Round the magnitude down to a multiple of the step; what lies under one by float noise alone is that one."""
    if step == 0.0:
        return amount
    count = abs(amount) / step
    nearest = np.rint(count)
    if abs(count - nearest) > NOISE * nearest:
        nearest = np.floor(count)
    rounded: float = np.copysign(multiple(nearest, step), amount)
    return rounded


@compiled
def round_up(amount: float, step: float) -> float:
    """Round up to a multiple of the step; what lies over one by float noise alone is that one."""
    if step == 0.0:
        return amount
    count = amount / step
    nearest = np.rint(count)
    if abs(count - nearest) > NOISE * nearest:
        nearest = np.ceil(count)
    return multiple(nearest, step)


@compiled
def difference(wanted: float, position: float, step: float) -> float:
    """Return `wanted - position`, counted in whole steps where there are steps."""
    if step == 0.0 or wanted == 0.0 or position == 0.0:
        return wanted - position
    return multiple(np.rint(wanted / step) - np.rint(position / step), step)


@compiled
def size(account: Record, market: float, dearest: float, target: float, rules: Rules) -> float:
    """Return the wanted position before rounding, no larger than there is room for. Without equity it is none.

    `dearest` is what may have to be paid.
    """
    if rules.amount > 0.0:
        account.cut = 0
        return target * rules.amount
    equity: float = max(account.cash + account.others + account.position * market, 0.0)
    unit = dearest * (1.0 + rules.fee)
    wanted = target * rules.fraction * equity / unit
    most = max(account.room / unit, abs(account.position))
    account.cut = int(abs(wanted) > most * (1.0 + SPECK))
    within_room: float = np.copysign(min(abs(wanted), most), wanted)
    return within_room


@compiled
def within(account: Record, wanted: float, price: float, rules: Rules, limits: Limits) -> float:
    """Cut a wanted position that is larger than the one held, and on its side, to what the limits leave of it."""
    step, held = rules.amount_step, abs(account.position)
    room = round_down(limits.max_order / price, step)
    reach = held + room if step == 0.0 else multiple(np.rint(held / step) + np.rint(room / step), step)
    most = min(round_down(limits.max_position / price, step), reach)
    cut: float = np.copysign(max(min(abs(wanted), most), held), wanted)
    return cut
