"""Orders that one bar's volume does not fill: what is left of them is tried again, bar after bar.

An account has one such order at most, and its fields in `working` and those that follow.
"""

from __future__ import annotations

import numpy as np

from tasks.engine.codes import ACCEPTED, CANCELLED, EXIT, LIMIT, NO_CASH, OPEN, PARTIAL
from tasks.engine.kernel.account import NOISE, Record
from tasks.engine.kernel.compiled import compiled
from tasks.engine.kernel.costs import paid
from tasks.engine.kernel.fills import count, place, take
from tasks.engine.kernel.sizing import affordable, difference, multiple, round_down
from tasks.engine.rules import Limits, Rules

AT_OPENS, INSIDE = 1, 2
"""Where the rest of an order is tried: at the opens, or inside the bars that touch its limit; 0: there is none."""


@compiled
def send(
    account: Record,
    order: Record,
    trades: Record,
    bar: int,
    decision: int,
    at: int,
    why: int,
    rules: Rules,
    limits: Limits,
) -> bool:
    """Put a drafted order into the log, and fill of it what the bar's volume allows; tell whether that was all."""
    if why or not account.capped or account.looking_ahead:
        return place(account, order, trades, bar, decision, at, why, limits)
    begin(account, order, decision)
    if account.limited:
        count(account, at)
    return fill_some(account, order, trades, bar, order.market, order.ordered, rules, limits)


@compiled
def begin(account: Record, order: Record, decision: int) -> None:
    """Let a drafted order be the one that is worked on."""
    account.working = INSIDE if order.kind == LIMIT else AT_OPENS
    account.leg, account.kind, account.why, account.side = order.leg, order.kind, order.reason, order.side
    account.ordered, account.rest, account.aim = order.ordered, order.ordered, order.position
    account.trigger, account.number, account.decided, account.attempt = order.trigger, 0, decision, 1
    if order.leg == EXIT:
        account.exits = account.exits + 1 if decision == account.exit_decided else 1
        account.exit_decided, account.attempt = decision, account.exits


@compiled
def note(account: Record, order: Record, bar: int, event: int, reason: int) -> None:
    """Write down an event of the order that is worked on, as the next row of the log."""
    account.orders += 1
    order.leg, order.kind, order.side, order.reason = account.leg, account.kind, account.side, reason
    order.bar, order.decision, order.event, order.trade = bar, account.decided, event, 0
    order.ordered, order.trigger = account.ordered, account.trigger
    order.number, order.attempt = account.number, account.attempt
    order.amount, order.fee, order.price, order.market = 0.0, 0.0, np.nan, np.nan
    order.position = account.position


@compiled
def fill_some(
    account: Record, order: Record, trades: Record, bar: int, market: float, most: float, rules: Rules, limits: Limits
) -> bool:
    """Fill of the order what is left of the bar's volume, and of this amount; tell whether nothing is left of it."""
    step, position = rules.amount_step, account.position
    amount = min(account.rest, round_down(account.capacity, step), most)
    if amount <= 0.0:
        return False
    rest = difference(account.rest, amount, step) if amount < account.rest else 0.0
    row = account.orders
    account.number += 1
    note(account, order, bar, PARTIAL, account.why)
    resting = order.kind == LIMIT
    price = market if resting else paid(account, market, account.side, amount, rules)
    order.amount, order.market, order.price = amount, market, price
    order.fee = (account.maker if resting else account.taker) * price * amount
    order.position = account.aim if rest == 0.0 else moved(position, account.side * amount, step)
    take(account, order, trades, row, bar, limits)
    account.capacity = max(account.capacity - amount, 0.0)
    account.rest = rest
    if rest == 0.0:
        account.working = 0
        return True
    order.event = PARTIAL
    return False


@compiled
def moved(position: float, change: float, step: float) -> float:
    """Return a position after a change, counted in whole steps where there are steps."""
    if step == 0.0:
        return position + change
    return multiple(np.rint(position / step) + np.rint(change / step), step)


@compiled
def carry_on(
    account: Record, orders: Record, trades: Record, bar: int, market: float, rules: Rules, limits: Limits
) -> bool:
    """Fill at an open what is left of the order; tell whether nothing is left of it.

    What makes the position larger is given up where the equity beyond the position held does not pay for it any more.
    """
    most = account.rest
    if account.leg == OPEN and account.side * account.position >= 0.0:
        free = account.cash + account.position * market - abs(account.position) * market
        unit = market * (1.0 + rules.slippage) * (1.0 + account.taker)
        most = affordable(account, 0.0, max(free, 0.0) / unit, rules)
        most = account.rest if account.rest <= most * (1.0 + 10.0 * NOISE) else round_down(most, rules.amount_step)
    dear = most < min(account.rest, round_down(account.capacity, rules.amount_step))
    if fill_some(account, orders[account.orders], trades, bar, market, most, rules, limits):
        return True
    if dear:
        give_up(account, orders, bar, NO_CASH)
    return False


@compiled
def give_up(account: Record, orders: Record, bar: int, why: int) -> None:
    """Cancel what is left of the order."""
    note(account, orders[account.orders], bar, CANCELLED, why)
    account.working = 0


@compiled
def leave_waiting(account: Record, orders: Record, bar: int) -> None:
    """At the end, write down an order that has no fill yet: no other row tells of it."""
    if account.working and account.number == 0:
        note(account, orders[account.orders], bar, ACCEPTED, account.why)
