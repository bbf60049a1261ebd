"""What happens in a bar: the order at its open, the exit inside it, its close."""

from __future__ import annotations

import numpy as np

from tasks.engine.codes import CLOSE, DAILY_LOSS, DRAWDOWN, EXIT, LEFT, LIMIT, OPEN, REPLACED, RUIN, SIGNAL
from tasks.engine.kernel.account import DAY, NOTHING, Floats, Record
from tasks.engine.kernel.compiled import compiled
from tasks.engine.kernel.orders import draft_exit, draft_next
from tasks.engine.kernel.parts import AT_OPENS, INSIDE, carry_on, fill_some, give_up, send
from tasks.engine.kernel.sizing import round_down
from tasks.engine.rules import Limits, Rules


@compiled
def first_bad_bar(opens: Floats, highs: Floats, lows: Floats, closes: Floats) -> int:
    """Find the first bar whose prices cannot be; -1: there is none. Comparisons with NaN are false."""
    for bar in range(opens.size):
        low, high = lows[bar], highs[bar]
        sane = 0.0 < low <= opens[bar] <= high < np.inf and low <= closes[bar] <= high
        if not sane:
            return bar
    return -1


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
    """Do what is pending, or what was left of it: in one order, or in two where the position changes side."""
    going_on = True
    if account.pending:
        if account.working and not account.looking_ahead:
            give_up(account, orders, bar, REPLACED)
        account.pending, account.target = 0, account.goal
        account.asked, account.asked_at, account.asked_close = decision, account.closed, account.close
    else:
        going_on = carry_on(account, orders, trades, bar, market, rules, limits) and account.leg == CLOSE
        account.closed, account.close = account.asked_at, account.asked_close
    age = (at - account.closed) / 1e6
    while going_on:
        order = orders[account.orders]
        why = draft_next(account, order, bar, at, age, market, rules, limits)
        going_on = why != NOTHING and (
            send(account, order, trades, bar, account.asked, at, why, rules, limits) and order.leg == CLOSE
        )


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
    rules: Rules,
    limits: Limits,
) -> None:
    """Leave the position where the bar touches its stop or its take-profit."""
    if account.working == AT_OPENS and account.leg != OPEN:
        return  # it is being left already
    trade, order = trades[account.trades - 1], orders[account.orders]
    why = draft_exit(account, order, trade, open_, high, low, rules)
    if why == NOTHING:
        return
    if account.capped and order.kind == LIMIT:
        if round_down(account.capacity, rules.amount_step) <= 0.0:
            return
        if account.working == INSIDE:
            fill_some(account, order, trades, bar, order.market, account.rest, rules, limits)
            return
    if account.working and not why:
        give_up(account, orders, bar, LEFT)
        order = orders[account.orders]
        draft_exit(account, order, trade, open_, high, low, rules)
    if order.kind == LIMIT:
        # The adverse side of the bar is taken to come first.
        adverse = low if trade.side > 0 else high
        account.low, account.high = min(account.low, adverse), max(account.high, adverse)
    send(account, order, trades, bar, account.decision, at, why, rules, limits)


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
    leaving = account.dust or account.ruined or (account.working == AT_OPENS and account.leg == EXIT)
    if (account.locked or account.stopped) and account.position != 0.0 and not leaving:
        account.pending, account.reason = 1, DRAWDOWN if account.stopped else DAILY_LOSS
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
    if account.working == AT_OPENS and not account.pending and account.reason != SIGNAL:
        account.goal = account.target = goal
    elif account.pending and account.reason != SIGNAL:
        account.goal = goal  # all is to be sold; the wish goes with it
    else:
        account.pending, account.goal, account.reason = int(goal != account.target), goal, SIGNAL
