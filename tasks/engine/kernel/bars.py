"""What happens in a bar: the order at its open, the exit inside it, its close."""

from __future__ import annotations

import numpy as np

from tasks.engine.codes import CANCELLED, CLOSE, DAILY_LOSS, DRAWDOWN, LEFT, LIMIT, OUTRUN, REPLACED, RUIN, SIGNAL, TIME
from tasks.engine.kernel.account import DAY, NOTHING, Floats, Record
from tasks.engine.kernel.compiled import compiled
from tasks.engine.kernel.fills import place
from tasks.engine.kernel.orders import draft_exit, draft_next
from tasks.engine.kernel.resting import end_rest, rest, send
from tasks.engine.rules import Limits, Rules


@compiled
def possible(open_: float, high: float, low: float, close: float) -> bool:
    """Tell whether prices can be a bar's. Comparisons with NaN are false."""
    return (low > 0.0) & (low <= open_) & (open_ <= high) & (high < np.inf) & (low <= close) & (close <= high)


@compiled
def first_bad_bar(opens: Floats, highs: Floats, lows: Floats, closes: Floats) -> int:
    """Find the first bar whose prices cannot be; -1: there is none."""
    good = True
    for bar in range(opens.size):  # of all bars, without a way out: many are compared at once
        good &= possible(opens[bar], highs[bar], lows[bar], closes[bar])
    if good:
        return -1
    bar = 0
    while possible(opens[bar], highs[bar], lows[bar], closes[bar]):
        bar += 1
    return bar


@compiled
def rebalance(
    account: Record,
    orders: Record,
    trades: Record,
    bar: int,
    decision: int,
    at: int,
    market: float,
    rules: Rules,
    limits: Limits,
) -> None:
    """Do what is pending, whole; it takes the place of an order that waits."""
    take_up(account, orders, bar)
    carry_out(account, orders, trades, bar, decision, at, market, None, rules, limits)


@compiled
def take_up(account: Record, orders: Record, bar: int) -> None:
    """Let what is pending count as acted on, and take the place of an order that waits."""
    account.pending, account.target = 0, account.goal
    if account.resting:
        end_rest(account, orders, bar, CANCELLED, REPLACED)


@compiled
def carry_out(
    account: Record,
    orders: Record,
    trades: Record,
    bar: int,
    decision: int,
    at: int,
    market: float,
    caps: Floats | None,
    rules: Rules,
    limits: Limits,
) -> None:
    """Make the order for what is wanted, or two where the position changes side: the second once the first is whole.

    Without `caps` orders are filled whole.
    """
    age = (at - account.closed) / 1e6
    going_on = True
    while going_on:
        order = orders[account.orders]
        why = draft_next(account, order, bar, at, age, market, rules, limits)
        if why == 0 and order.kind == LIMIT and not account.looking_ahead:
            rest(account, order, bar, decision)
            return
        if why == NOTHING:
            return
        if caps is None:
            filled = place(account, order, trades, bar, decision, at, why, limits)
        else:
            filled = send(account, orders, trades, bar, decision, at, why, rules, limits)
        going_on = filled and order.leg == CLOSE


@compiled
def protect(
    account: Record,
    orders: Record,
    trades: Record,
    bar: int,
    at: int,
    open_: float,
    high: float,
    low: float,
    caps: Floats | None,
    rules: Rules,
    limits: Limits,
) -> None:
    """Leave the position where the bar touches its stop or its take-profit. Without `caps` orders are filled whole."""
    trade, order = trades[account.trades - 1], orders[account.orders]
    why = draft_exit(account, order, trade, open_, high, low, rules)
    if why == NOTHING:
        return
    if caps is not None and account.resting and account.capacity < np.inf:
        if why:
            return  # what waits may still make it large enough to be sold
        end_rest(account, orders, bar, CANCELLED, OUTRUN)
        order = orders[account.orders]
        draft_exit(account, order, trade, open_, high, low, rules)
    if order.kind == LIMIT:
        # The adverse side of the bar is taken to come first.
        adverse = low if trade.side > 0 else high
        account.low, account.high = min(account.low, adverse), max(account.high, adverse)
    if caps is None:
        place(account, order, trades, bar, account.decision, at, why, limits)
    else:
        send(account, orders, trades, bar, account.decision, at, why, rules, limits)
    if account.resting and account.position == 0.0:
        end_rest(account, orders, bar, CANCELLED, LEFT)


@compiled
def note_bar(account: Record, high: float, low: float) -> None:
    """Note the range of a bar at whose close the position is still held."""
    account.low = min(account.low, low)
    account.high = max(account.high, high)
    if account.position > 0.0 and high > account.best:
        account.best = high
    elif account.position < 0.0 and low < account.best:
        account.best = low


@compiled
def watch(account: Record, at: int, close: float, worth: float, limits: Limits) -> None:
    """See at the close of the bar that opened at this instant whether the account may go on."""
    day = at // DAY
    if day != account.day:
        account.day, account.morning, account.locked = day, account.equity, 0
    account.close, account.closed, account.equity = close, at + account.length, worth
    if worth <= (1.0 - limits.daily_loss) * account.morning:
        account.locked = 1
    if worth <= (1.0 - limits.max_drawdown) * account.peak:
        account.stopped = 1
    if account.position != 0.0:
        account.held += 1
        lost, late = account.locked or account.stopped, account.held >= limits.max_bars
        if (lost or late) and not account.dust and not account.ruined:
            account.pending = 1
            account.reason = TIME if not lost else DRAWDOWN if account.stopped else DAILY_LOSS
    if worth <= 0.0 and not account.ruined:
        account.ruined, account.pending, account.reason = 1, 1, RUIN


@compiled
def value(account: Record, high: float, low: float, close: float) -> float:
    """Value the account at the close of a bar of this range."""
    if account.position != 0.0:
        note_bar(account, high, low)
    worth: float = account.cash + account.position * close
    account.peak = max(account.peak, worth)
    return worth


@compiled
def decide(account: Record, goal: float, limits: Limits) -> None:
    """Take a target as the new wish, where it is a number and differs from the last one acted on."""
    if np.isnan(goal) or (goal == account.target and not account.pending) or account.ruined:
        return
    if goal < 0.0 and limits.long_only:
        goal = 0.0
    late = account.pending and account.reason == TIME
    if late and goal != account.target and goal * account.position <= 0.0:
        account.goal, account.reason = goal, SIGNAL  # which leaves the position too, and may enter another
    elif account.pending and account.reason != SIGNAL:
        account.goal = goal  # all is to be sold; the wish goes with it
    else:
        account.pending, account.goal, account.reason = int(goal != account.target), goal, SIGNAL
