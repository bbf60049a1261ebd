"""The compiled pass over the candles; `engine` has its meaning in words.

All compiled functions stand in this one file: numba's cache notices a change of the file that it compiled from, not of
files that this one imports. Importing it imports numba.

`side` is 1 for long or a buy and -1 for short or a sell, so that one formula serves both: `side * (a - b) > 0` says
that a is better for the position than b.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

from tasks.backtest import codes
from tasks.backtest.rules import Rules

P = ParamSpec("P")
R = TypeVar("R")
Floats = npt.NDArray[np.float64]
Record = Any
"""One row of a structured array, seen from compiled code: fields are attributes."""

FILLED, REJECTED, INTENT = codes.FILLED, codes.REJECTED, codes.INTENT
CLOSE, OPEN, EXIT = codes.CLOSE, codes.OPEN, codes.EXIT
MARKET, STOP, LIMIT = codes.MARKET, codes.STOP, codes.LIMIT
SIGNAL, STOP_LOSS, TRAILING_STOP = codes.SIGNAL, codes.STOP_LOSS, codes.TRAILING_STOP
TAKE_PROFIT, RUIN = codes.TAKE_PROFIT, codes.RUIN
NO_EQUITY, NO_STEP, NO_AMOUNT, NO_COST, NO_CASH = (
    codes.NO_EQUITY,
    codes.NO_STEP,
    codes.NO_AMOUNT,
    codes.NO_COST,
    codes.NO_CASH,
)
ORDER, TRADE = codes.ORDER, codes.TRADE

ACCOUNT = np.dtype(
    [
        ("cash", "f8"),
        ("position", "f8"),
        ("best", "f8"),  # best price since the entry, up to the bar before: what a trailing stop hangs on
        ("low", "f8"),  # range of prices since the average entry price last changed
        ("high", "f8"),
        ("decision", "i8"),  # bar that decided the last fill
        ("orders", "i8"),  # rows used
        ("trades", "i8"),
        ("target", "f8"),  # last one acted on
        ("pending", "i8"),  # 1: it is to be acted on at the next open
        ("reason", "i8"),  # why
        ("ruined", "i8"),  # 1: the equity was gone at a close, and nothing more is decided
        ("peak", "f8"),  # highest equity so far
        ("bar", "i8"),  # bar to go on from
        ("guarded", "i8"),  # 1: a stop or a take-profit is to be looked for inside the bars
        ("dust", "i8"),  # 1: an exit was refused as too small, and is not tried again before the next fill
        ("looking_ahead", "i8"),  # 1: there is no next open; orders stay intents
    ]
)
"""The state that the pass carries from bar to bar."""

ORDERS_A_BAR = 3  # close, open, and an exit inside the bar
NOISE = 1e-14  # relative; two prices or amounts nearer than this differ by rounding alone


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile with a cache on disk; without one where no folder can be written."""
    try:
        return cast("Callable[P, R]", numba.njit(function, cache=True, nogil=True))
    except RuntimeError:
        return cast("Callable[P, R]", numba.njit(function, nogil=True))


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
def difference(wanted: float, position: float, step: float) -> float:
    """Return `wanted - position`, counted in whole steps where there are steps."""
    if step == 0.0 or wanted == 0.0 or position == 0.0:
        return wanted - position
    return multiple(np.rint(wanted / step) - np.rint(position / step), step)


@compiled
def size(account: Record, market: float, target: float, rules: Rules) -> float:
    """Return the wanted position before rounding. Without equity it is none."""
    if rules.amount > 0.0:
        return target * rules.amount
    equity: float = max(account.cash + account.position * market, 0.0)
    return target * rules.fraction * equity / (market * (1.0 + rules.slippage) * (1.0 + rules.fee))


@compiled
def refusal(account: Record, market: float, change: float, price: float, rules: Rules) -> int:
    """Return why an order cannot be placed; 0: it can."""
    equity = account.cash + account.position * market
    if change == 0.0:
        return NO_STEP if equity > 0.0 else NO_EQUITY
    if abs(change) < rules.min_amount:
        return NO_AMOUNT
    cost = abs(change) * price
    if cost < rules.min_cost:
        return NO_COST
    grows = change * account.position >= 0.0
    free = equity - abs(account.position) * market
    # Sized by a fraction of equity, an order is always covered.
    if rules.amount > 0.0 and grows and cost * (1.0 + rules.fee) > free + NOISE * equity:
        return NO_CASH
    return 0


@compiled
def settle(account: Record, change: float, wanted: float, price: float, fee: float) -> None:
    """Move money and position."""
    paid = change * price + fee
    account.cash -= paid
    if account.cash < 0.0 and account.cash > -100.0 * NOISE * paid:
        account.cash = 0.0  # all in: only rounding lies below 0
    account.position = wanted + 0.0  # never -0.0


@compiled
def note_range(account: Record, trade: Record) -> None:
    """Turn the range of prices seen so far into the trade's excursions."""
    lowest = trade.side * (account.low / trade.entry_price - 1.0)
    highest = trade.side * (account.high / trade.entry_price - 1.0)
    trade.worst = min(trade.worst, lowest, highest)
    trade.best = max(trade.best, lowest, highest)


@compiled
def book(account: Record, trades: Record, row: int, begins: bool, change: float, price: float, fee: float) -> int:
    """Enter a settled fill, order `row`, into its trade or a new one; return the trade's number, from 1."""
    amount, number = abs(change), int(account.trades)
    if begins:
        trade = trades[number]
        account.trades += 1
        trade.side = 1 if change > 0.0 else -1
        trade.entry_order, trade.exit_order = row, -1
        trade.amount, trade.entry_price = amount, price
        trade.exited, trade.exit_price, trade.fees = 0.0, 0.0, fee
        trade.worst, trade.best = 0.0, 0.0
        account.best = account.low = account.high = price
        return number + 1
    trade = trades[number - 1]
    trade.fees += fee
    if trade.side * change > 0.0:
        note_range(account, trade)
        total = trade.amount + amount
        trade.entry_price = (trade.entry_price * trade.amount + price * amount) / total
        trade.amount = total
        # What was paid for more is not a price that the position has seen: slippage is in it.
        account.low, account.high = np.inf, -np.inf
        return number
    account.low, account.high = min(account.low, price), max(account.high, price)
    total = trade.exited + amount
    whole = amount == total
    trade.exit_price = price if whole else (trade.exit_price * trade.exited + price * amount) / total
    trade.exited = total
    if account.position == 0.0:
        trade.exit_order = row
        note_range(account, trade)
    return number


@compiled
def place(
    account: Record,
    orders: Record,
    trades: Record,
    bar: int,
    decision: int,
    leg: int,
    kind: int,
    reason: int,
    wanted: float,
    side: int,
    market: float,
    trigger: float,
    rules: Rules,
) -> bool:
    """Order the change from the position held to the wanted one; tell whether it was filled.

    `market` is the price before slippage, which a limit order has none of; `trigger` the stop or limit price.
    """
    change = difference(wanted, account.position, rules.amount_step)
    side = side if change == 0.0 else 1 if change > 0.0 else -1
    price = market if kind == LIMIT else market * (1.0 + side * rules.slippage)
    fee = rules.fee * price * abs(change)
    row = account.orders
    account.orders += 1
    order = orders[row]
    order.bar, order.decision, order.leg, order.kind, order.reason = bar, decision, leg, kind, reason
    order.side, order.amount, order.trigger = side, abs(change), trigger
    order.price, order.fee, order.trade = price, fee, 0
    if account.looking_ahead:
        order.event = INTENT
        settle(account, change, wanted, price, fee)
        return True
    refused = refusal(account, market, change, price, rules)
    if refused:
        order.event, order.reason = REJECTED, refused
        return False
    order.event = FILLED
    begins = account.position == 0.0
    settle(account, change, wanted, price, fee)
    order.trade = book(account, trades, row, begins, change, price, fee)
    account.decision, account.dust = decision, 0
    return True


@compiled
def rebalance(
    account: Record,
    orders: Record,
    trades: Record,
    bar: int,
    decision: int,
    market: float,
    rules: Rules,
) -> None:
    """Move the position to the target: in one leg, or in two where it changes side."""
    position, target, reason = account.position, account.target, account.reason
    if position != 0.0 and target * position <= 0.0:
        done = place(account, orders, trades, bar, decision, CLOSE, MARKET, reason, 0.0, 0, market, np.nan, rules)
        if not done:
            return
    if target != 0.0:
        raw = size(account, market, target, rules)
        wanted = round_down(raw, rules.amount_step)
        side = 1 if raw > account.position or (raw == account.position and target > 0.0) else -1
        place(account, orders, trades, bar, decision, OPEN, MARKET, reason, wanted, side, market, np.nan, rules)


@compiled
def protect(
    account: Record, orders: Record, trades: Record, bar: int, open_: float, high: float, low: float, rules: Rules
) -> None:
    """Leave the position where the bar touches its stop or, failing that, its take-profit."""
    trade = trades[account.trades - 1]
    side = trade.side
    adverse, favourable = (low, high) if side > 0 else (high, low)
    stop, reason = trade.entry_price * (1.0 - side * rules.stop_loss), STOP_LOSS
    trailing = account.best * (1.0 - side * rules.trailing_stop)
    if side * (trailing - stop) > 0.0:
        stop, reason = trailing, TRAILING_STOP
    goal = trade.entry_price * (1.0 + side * rules.take_profit)
    if side * (adverse - stop) <= 0.0:
        market, trigger, kind = open_ if side * (open_ - stop) < 0.0 else stop, stop, STOP
    elif side * (favourable - goal) >= 0.0:
        market, trigger, kind, reason = goal, goal, LIMIT, TAKE_PROFIT
        # The adverse side of the bar is taken to come first.
        account.low, account.high = min(account.low, adverse), max(account.high, adverse)
    else:
        return
    done = place(account, orders, trades, bar, account.decision, EXIT, kind, reason, 0.0, 0, market, trigger, rules)
    account.dust = 0 if done else 1


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
def mark(account: Record, trades: Record, close: float) -> None:
    """Value the trade that is still open at the last close; it keeps its exit order of -1."""
    trade = trades[account.trades - 1]
    left = abs(account.position)
    trade.exit_price = (trade.exit_price * trade.exited + close * left) / (trade.exited + left)
    note_range(account, trade)


@compiled
def advance(
    accounts: Record,
    orders: Record,
    trades: Record,
    opens: Floats,
    highs: Floats,
    lows: Floats,
    closes: Floats,
    target: Floats,
    rules: Rules,
    cash: Floats,
    position: Floats,
    equity: Floats,
    drawdown: Floats,
) -> int:
    """Simulate the bars from `account.bar` on, fill the four curves, and return the first bar not simulated.

    That is before the end only where the logs might not hold another bar's orders; the caller calls again with longer
    ones. Growing them in here would cost more than all the rest: compiled code counts the references to an array that
    it may replace, at every bar. `accounts` has one row; the caller owns it, as a row does not keep its array alive.
    """
    account = accounts[0]
    for bar in range(account.bar, opens.size):
        if account.orders + ORDERS_A_BAR > orders.size or account.trades + ORDERS_A_BAR > trades.size:
            account.bar = bar
            return bar
        if account.pending:
            account.pending = 0
            rebalance(account, orders, trades, bar, bar - 1, opens[bar], rules)
        if account.guarded and account.position != 0.0 and not account.dust:
            protect(account, orders, trades, bar, opens[bar], highs[bar], lows[bar], rules)
        if account.position != 0.0:
            note_bar(account, highs[bar], lows[bar])
        worth = account.cash + account.position * closes[bar]
        account.peak = max(account.peak, worth)
        cash[bar], position[bar], equity[bar] = account.cash, account.position, worth
        drawdown[bar] = worth / account.peak - 1.0
        goal = target[bar]
        if worth <= 0.0 and not account.ruined:
            account.ruined, account.pending, account.target, account.reason = 1, 1, 0.0, RUIN
        elif not (np.isnan(goal) or goal == account.target or account.ruined):
            account.pending, account.target = 1, goal
    return opens.size


@compiled
def finish(accounts: Record, orders: Record, trades: Record, close: float, rules: Rules, last: int) -> None:
    """Mark the trade that is still open, and note the orders that wait for an open which is not there yet."""
    account = accounts[0]
    if account.position != 0.0:
        mark(account, trades, close)
    if account.pending:
        account.looking_ahead = 1
        rebalance(account, orders, trades, last, last, close, rules)
