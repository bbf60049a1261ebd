"""Which order is to be made, and why one is refused."""

from __future__ import annotations

import numpy as np

from tasks.engine.codes import (
    ADRIFT,
    CLOSE,
    COOLING,
    DAY_LOST,
    DRAWN_DOWN,
    EXIT,
    LIMIT,
    MARKET,
    NO_AMOUNT,
    NO_CASH,
    NO_COST,
    NO_EQUITY,
    NO_ROOM,
    NO_SHARE,
    NO_STEP,
    NO_VOLUME,
    OPEN,
    REBALANCE,
    RUIN,
    SIGNAL,
    STALE,
    STOP,
    STOP_LOSS,
    TAKE_PROFIT,
    TOO_MANY,
    TRAILING_STOP,
)
from tasks.engine.kernel.account import DAY, NOISE, NOTHING, Record
from tasks.engine.kernel.compiled import compiled
from tasks.engine.kernel.costs import paid
from tasks.engine.kernel.sizing import difference, round_down, round_up, size, within
from tasks.engine.rules import Limits, Rules


@compiled
def barred(account: Record, at: int) -> int:
    """Return the limit of loss that bars entries at this instant; 0: none."""
    if account.stopped:
        return DRAWN_DOWN
    return DAY_LOST if account.locked and at // DAY == account.day else 0


@compiled
def forbidden(account: Record, bar: int, at: int, age: float, decided: float, market: float, limits: Limits) -> int:
    """Return the limit that forbids to enter in this bar at this instant, by a decision on this close; 0: none."""
    day, why = at // DAY, barred(account, at)
    if why:
        pass
    elif bar < account.resumes:
        why = COOLING
    elif age > limits.max_signal_age:
        why = STALE
    elif abs(market / decided - 1.0) > limits.max_deviation:
        why = ADRIFT
    elif day == account.order_day and account.placed >= limits.max_orders_a_day:
        why = TOO_MANY
    return why


@compiled
def refusal(account: Record, order: Record, rules: Rules) -> int:
    """Return why the market would not take an order; 0: it would."""
    market, change = order.market, order.side * order.amount
    equity = account.cash + account.others + account.position * market
    free, cost = equity - abs(account.position) * market, order.amount * order.price
    grows, fee, why = change * account.position >= 0.0, account.dearest if order.kind == LIMIT else account.taker, 0
    if change == 0.0 and equity > 0.0:
        why = NO_SHARE if account.cut else NO_STEP
    elif change == 0.0:
        why = NO_EQUITY
    elif order.amount < rules.min_amount:
        why = NO_AMOUNT
    elif cost < rules.min_cost:
        why = NO_COST
    elif grows and rules.impact > 0.0 and order.kind != LIMIT and account.friction == np.inf:
        why = NO_VOLUME
    elif rules.amount > 0.0 and grows and cost * (1.0 + fee) > free + NOISE * equity:
        why = NO_CASH  # sized by a fraction of equity, an order is always covered
    return why


@compiled
def draft(
    account: Record,
    order: Record,
    leg: int,
    kind: int,
    reason: int,
    wanted: float,
    side: int,
    market: float,
    trigger: float,
    rules: Rules,
) -> None:
    """Write down the order that changes the position held to the wanted one.

    `market` is the price before slippage, which a limit order has none of; `trigger` the stop or limit price; `side`
    that of an order for nothing.
    """
    change = difference(wanted, account.position, rules.amount_step)
    side = side if change == 0.0 else 1 if change > 0.0 else -1
    price = market if kind == LIMIT else paid(account, market, side, abs(change), rules)
    order.leg, order.kind, order.reason = leg, kind, reason
    order.side, order.amount, order.trigger = side, abs(change), trigger
    order.market, order.price, order.position = market, price, wanted
    order.fee, order.trade = account.taker * price * abs(change), 0
    order.ordered, order.number, order.attempt, order.maker = order.amount, 1, 1, 0


@compiled
def limit_price(close: float, side: int, rules: Rules) -> float:
    """Return the limit of an entry that was decided on this close: one that the market takes, never a worse one."""
    price = close * (1.0 - side * rules.limit_offset)
    rounded = round_down(price, rules.price_step) if side > 0 else round_up(price, rules.price_step)
    return rounded if rounded > 0.0 else price


@compiled
def draft_open(
    account: Record,
    order: Record,
    bar: int,
    at: int,
    age: float,
    decided: float,
    market: float,
    target: float,
    kind: int,
    reason: int,
    rules: Rules,
    limits: Limits,
) -> int:
    """Draft the order for a position of the target's size; return why it is refused, or 0.

    One that makes the position larger is an entry, of this kind; `age` and `decided` are those of its decision. A limit
    order is sized as if the market stood at its limit.
    """
    position = account.position
    raw = size(account, market, market * (1.0 + rules.slippage), target, MARKET, rules)
    wanted = round_down(raw, rules.amount_step)
    side = 1 if raw > position or (raw == position and target > 0.0) else -1
    why, trigger, price = 0, np.nan, market * (1.0 + side * rules.slippage)
    entry = abs(wanted) > abs(position)
    if entry and account.limited:
        why = forbidden(account, bar, at, age, decided, market, limits)
    if entry and kind == LIMIT:
        market = trigger = price = limit_price(decided, side, rules)
        wanted = round_down(size(account, market, market, target, LIMIT, rules), rules.amount_step)
        wanted = wanted if abs(wanted) > abs(position) else position
    if abs(wanted) > abs(position) and account.limited:
        wanted = within(account, wanted, price, kind, rules, limits)
        if why == 0 and wanted == position:
            why = NO_ROOM
    draft(account, order, OPEN, kind if entry else MARKET, reason, wanted, side, market, trigger, rules)
    return why if why else refusal(account, order, rules)


@compiled
def draft_next(
    account: Record, order: Record, bar: int, at: int, age: float, market: float, rules: Rules, limits: Limits
) -> int:
    """Draft the next order that what is pending asks for; return why it is refused, 0 or NOTHING."""
    position, reason = account.position, account.reason
    target = account.goal if reason in (SIGNAL, REBALANCE) else 0.0
    if position != 0.0 and target * position <= 0.0:
        leg = CLOSE if reason in (SIGNAL, RUIN) else EXIT
        draft(account, order, leg, MARKET, reason, 0.0, 0, market, np.nan, rules)
        return refusal(account, order, rules)
    if target == 0.0:
        return NOTHING
    kind = LIMIT if rules.limit_bars > 0.0 else MARKET
    return draft_open(account, order, bar, at, age, account.close, market, target, kind, reason, rules, limits)


@compiled
def levels(account: Record, trade: Record, rules: Rules) -> tuple[float, int, float]:
    """Return the stop in force, which of the two it is, and the take-profit; infinite where there is none."""
    side = trade.side
    stop, reason = trade.entry_price * (1.0 - side * rules.stop_loss), STOP_LOSS
    trailing = account.best * (1.0 - side * rules.trailing_stop)
    if side * (trailing - stop) > 0.0:
        stop, reason = trailing, TRAILING_STOP
    return stop, reason, trade.entry_price * (1.0 + side * rules.take_profit)


@compiled
def draft_exit(
    account: Record, order: Record, trade: Record, open_: float, high: float, low: float, rules: Rules
) -> int:
    """Draft the exit at the stop that the bar touches or, failing that, at its take-profit; return as `draft_next`."""
    side = trade.side
    adverse, favourable = (low, high) if side > 0 else (high, low)
    stop, reason, goal = levels(account, trade, rules)
    if side * (adverse - stop) <= 0.0:
        market = open_ if side * (open_ - stop) < 0.0 else stop
        draft(account, order, EXIT, STOP, reason, 0.0, 0, market, stop, rules)
    elif side * (favourable - goal) >= 0.0:
        draft(account, order, EXIT, LIMIT, TAKE_PROFIT, 0.0, 0, goal, goal, rules)
    else:
        return NOTHING
    return refusal(account, order, rules)
