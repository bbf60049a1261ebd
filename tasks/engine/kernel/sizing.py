"""How large an order is: steps of the market, a share of equity, the limits of position and order."""

from __future__ import annotations

import numpy as np

from tasks.engine.codes import LIMIT
from tasks.engine.kernel.account import NOISE, SPECK, Record
from tasks.engine.kernel.compiled import compiled
from tasks.engine.kernel.costs import impact
from tasks.engine.rules import Limits, Rules

HALVINGS = 64


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
def affordable(account: Record, held: float, most: float, rules: Rules) -> float:
    """Return the largest amount to hold of which the part beyond `held`, with its impact, makes all no dearer than
    `most` is without one: `amount * (1 + impact of (amount - held)) <= most`.

    The left side rises with the amount, so halving finds it: as often as a float has digits, and always from below.
    """
    if most <= held or most == np.inf:
        return most
    low, high = 0.0, most - held
    for _ in range(HALVINGS):
        more = 0.5 * (low + high)
        if (held + more) * (1.0 + impact(account, more, rules)) <= most:
            low = more
        else:
            high = more
    return held + low


@compiled
def size(account: Record, market: float, price: float, target: float, kind: int, rules: Rules) -> float:
    """Return the wanted position before rounding, no larger than there is room for. Without equity it is none.

    `price` is what may have to be paid for it by an order of this kind, but for its impact.
    """
    if rules.amount > 0.0:
        account.cut = 0
        return target * rules.amount
    equity: float = max(account.cash + account.others + account.position * market, 0.0)
    unit = price * (1.0 + (account.dearest if kind == LIMIT else account.taker))
    wanted = target * rules.fraction * equity / unit
    most = max(account.room / unit, abs(account.position))
    account.cut = int(abs(wanted) > most * (1.0 + SPECK))
    amount = min(abs(wanted), most)
    if rules.impact > 0.0 and kind != LIMIT:
        amount = affordable(account, abs(account.position), amount, rules)
    within_room: float = np.copysign(amount, wanted)
    return within_room


@compiled
def within(account: Record, wanted: float, price: float, kind: int, rules: Rules, limits: Limits) -> float:
    """Cut a wanted position that is larger than the one held, and on its side, to what the limits leave of it."""
    step, held = rules.amount_step, abs(account.position)
    order, position = limits.max_order / price, limits.max_position / price
    if rules.impact > 0.0 and kind != LIMIT:
        order, position = affordable(account, 0.0, order, rules), affordable(account, held, position, rules)
    room = round_down(order, step)
    reach = held + room if step == 0.0 else multiple(np.rint(held / step) + np.rint(room / step), step)
    most = min(round_down(position, step), reach)
    cut: float = np.copysign(max(min(abs(wanted), most), held), wanted)
    return cut
