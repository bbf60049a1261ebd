"""The compiled pass over the candles; `tasks.backtest.simulate` has its meaning in words.

All compiled functions stand in this one file: numba's cache notices a change of the file that it compiled from, not of
files that this one imports. Importing it imports numba.

`side` is 1 for long or a buy and -1 for short or a sell, so that one formula serves both: `side * (a - b) > 0` says
that a is better for the position than b. Instants are microseconds since 1970, days are UTC.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

from tasks.engine import codes
from tasks.engine.rules import NO_LIMITS, Limits, Rules

P = ParamSpec("P")
R = TypeVar("R")
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Record = Any
"""One row of a structured array, seen from compiled code: fields are attributes."""

FILLED, REJECTED, INTENT = codes.FILLED, codes.REJECTED, codes.INTENT
CLOSE, OPEN, EXIT = codes.CLOSE, codes.OPEN, codes.EXIT
MARKET, STOP, LIMIT = codes.MARKET, codes.STOP, codes.LIMIT
SIGNAL, STOP_LOSS, TRAILING_STOP = codes.SIGNAL, codes.STOP_LOSS, codes.TRAILING_STOP
TAKE_PROFIT, RUIN = codes.TAKE_PROFIT, codes.RUIN
DAILY_LOSS, DRAWDOWN = codes.DAILY_LOSS, codes.DRAWDOWN
NO_EQUITY, NO_STEP, NO_AMOUNT = codes.NO_EQUITY, codes.NO_STEP, codes.NO_AMOUNT
NO_COST, NO_CASH, NO_ROOM = codes.NO_COST, codes.NO_CASH, codes.NO_ROOM
DRAWN_DOWN, DAY_LOST, COOLING = codes.DRAWN_DOWN, codes.DAY_LOST, codes.COOLING
STALE, ADRIFT, TOO_MANY = codes.STALE, codes.ADRIFT, codes.TOO_MANY
ORDERS_A_BAR = codes.ORDERS_A_BAR

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
        ("goal", "f8"),  # the one that counts as acted on when what is pending is over
        ("pending", "i8"),  # 1: something is to be done at the next price
        ("reason", "i8"),  # why; a signal's wish is the goal, any other's is to hold nothing
        ("ruined", "i8"),  # 1: the equity was gone at a close, and nothing more is decided
        ("peak", "f8"),  # highest equity so far
        ("bar", "i8"),  # bar to go on from
        ("guarded", "i8"),  # 1: a stop or a take-profit is to be looked for inside the bars
        ("dust", "i8"),  # 1: an exit was refused as too small, and is not tried again before the next fill
        ("looking_ahead", "i8"),  # 1: there is no next open; orders stay intents
        ("limited", "i8"),  # 1: there are limits, and the fields below are kept
        ("length", "i8"),  # of a candle
        ("close", "f8"),  # the last one
        ("closed", "i8"),  # its instant
        ("equity", "f8"),  # at it
        ("day", "i8"),  # it lies in
        ("morning", "f8"),  # equity at the last close before that day
        ("locked", "i8"),  # 1: that day's loss has reached its limit
        ("stopped", "i8"),  # 1: the drawdown has reached its limit
        ("resumes", "i8"),  # first bar that may be entered in after a stop
        ("order_day", "i8"),  # day of the last order
        ("placed", "i8"),  # orders in it
    ]
)
"""The state that the pass carries from bar to bar."""

DAY = 86_400_000_000  # microseconds
NOTHING = -1  # there is no order to make
NOISE = 1e-14  # relative; two prices or amounts nearer than this differ by rounding alone


def new_account(cash: float, rules: Rules, limits: Limits, length: int) -> npt.NDArray[np.void]:
    """Return an account of one row with nothing but its cash."""
    account = np.zeros(1, ACCOUNT)
    account["cash"] = account["peak"] = account["equity"] = account["morning"] = cash
    account["guarded"] = min(rules.stop_loss, rules.take_profit, rules.trailing_stop) < np.inf
    account["limited"] = limits != NO_LIMITS
    account["length"] = length
    return account


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
def within(account: Record, wanted: float, price: float, rules: Rules, limits: Limits) -> float:
    """Cut a wanted position that is larger than the one held, and on its side, to what the limits leave of it."""
    step, held = rules.amount_step, abs(account.position)
    room = round_down(limits.max_order / price, step)
    reach = held + room if step == 0.0 else multiple(np.rint(held / step) + np.rint(room / step), step)
    most = min(round_down(limits.max_position / price, step), reach)
    cut: float = np.copysign(max(min(abs(wanted), most), held), wanted)
    return cut


@compiled
def forbidden(account: Record, bar: int, at: int, age: float, market: float, limits: Limits) -> int:
    """Return the limit that forbids to enter in this bar at this instant; 0: none."""
    day, why = at // DAY, 0
    if account.stopped:
        why = DRAWN_DOWN
    elif account.locked and day == account.day:
        why = DAY_LOST
    elif bar < account.resumes:
        why = COOLING
    elif age > limits.max_signal_age:
        why = STALE
    elif abs(market / account.close - 1.0) > limits.max_deviation:
        why = ADRIFT
    elif day == account.order_day and account.placed >= limits.max_orders_a_day:
        why = TOO_MANY
    return why


@compiled
def refusal(account: Record, order: Record, rules: Rules) -> int:
    """Return why the market would not take an order; 0: it would."""
    market, change = order.market, order.side * order.amount
    equity = account.cash + account.position * market
    if change == 0.0:
        return NO_STEP if equity > 0.0 else NO_EQUITY
    if order.amount < rules.min_amount:
        return NO_AMOUNT
    cost = order.amount * order.price
    if cost < rules.min_cost:
        return NO_COST
    grows = change * account.position >= 0.0
    free = equity - abs(account.position) * market
    # Sized by a fraction of equity, an order is always covered.
    if rules.amount > 0.0 and grows and cost * (1.0 + rules.fee) > free + NOISE * equity:
        return NO_CASH
    return 0


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
    price = market if kind == LIMIT else market * (1.0 + side * rules.slippage)
    order.leg, order.kind, order.reason = leg, kind, reason
    order.side, order.amount, order.trigger = side, abs(change), trigger
    order.market, order.price, order.position = market, price, wanted
    order.fee, order.trade = rules.fee * price * abs(change), 0


@compiled
def draft_next(
    account: Record, order: Record, bar: int, at: int, age: float, market: float, rules: Rules, limits: Limits
) -> int:
    """Draft the next order that what is pending asks for; return why it is refused, 0 or NOTHING."""
    position, reason = account.position, account.reason
    target = account.goal if reason == SIGNAL else 0.0
    if position != 0.0 and target * position <= 0.0:
        leg = CLOSE if reason in (SIGNAL, RUIN) else EXIT
        draft(account, order, leg, MARKET, reason, 0.0, 0, market, np.nan, rules)
        return refusal(account, order, rules)
    if target == 0.0:
        return NOTHING
    raw = size(account, market, target, rules)
    wanted = round_down(raw, rules.amount_step)
    side = 1 if raw > position or (raw == position and target > 0.0) else -1
    why = 0
    if account.limited and abs(wanted) > abs(position):
        why = forbidden(account, bar, at, age, market, limits)
        wanted = within(account, wanted, market * (1.0 + side * rules.slippage), rules, limits)
        if why == 0 and wanted == position:
            why = NO_ROOM
    draft(account, order, OPEN, MARKET, reason, wanted, side, market, np.nan, rules)
    return why if why else refusal(account, order, rules)


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
def count(account: Record, at: int) -> None:
    """Count an order for its day."""
    day = at // DAY
    if day != account.order_day:
        account.order_day, account.placed = day, 0
    account.placed += 1


@compiled
def take(account: Record, order: Record, trades: Record, row: int, bar: int, limits: Limits) -> None:
    """Take in the fill of an order: money, position, its trade, and what a stop forbids from now on."""
    begins = account.position == 0.0
    change = order.side * order.amount
    settle(account, change, order.position, order.price, order.fee)
    order.event = FILLED
    order.trade = book(account, trades, row, begins, change, order.price, order.fee)
    account.decision, account.dust = order.decision, 0
    if account.position == 0.0 and order.reason in (STOP_LOSS, TRAILING_STOP):
        account.resumes = bar + 1 + int(limits.cooldown)


@compiled
def place(
    account: Record, order: Record, trades: Record, bar: int, decision: int, at: int, why: int, limits: Limits
) -> bool:
    """Put a drafted order into the log; tell whether it was filled."""
    row = account.orders
    account.orders += 1
    order.bar, order.decision = bar, decision
    if account.looking_ahead:
        order.event = INTENT
        settle(account, order.side * order.amount, order.position, order.price, order.fee)
        return True
    if why:
        order.event, order.reason = REJECTED, why
        if order.leg == EXIT:
            account.dust = 1
        return False
    take(account, order, trades, row, bar, limits)
    if account.limited:
        count(account, at)
    return True


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
    """Do what is pending: in one order, or in two where the position changes side."""
    account.pending, account.target = 0, account.goal
    age = (at - account.closed) / 1e6
    going_on = True
    while going_on:
        order = orders[account.orders]
        why = draft_next(account, order, bar, at, age, market, rules, limits)
        going_on = (
            why != NOTHING and place(account, order, trades, bar, decision, at, why, limits) and order.leg == CLOSE
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
    trade, order = trades[account.trades - 1], orders[account.orders]
    why = draft_exit(account, order, trade, open_, high, low, rules)
    if why == NOTHING:
        return
    if order.kind == LIMIT:
        # The adverse side of the bar is taken to come first.
        adverse = low if trade.side > 0 else high
        account.low, account.high = min(account.low, adverse), max(account.high, adverse)
    place(account, order, trades, bar, account.decision, at, why, limits)


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
    if (account.locked or account.stopped) and account.position != 0.0 and not account.dust and not account.ruined:
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
    if account.pending and account.reason != SIGNAL:
        account.goal = goal  # all is to be sold; the wish goes with it
    else:
        account.pending, account.goal, account.reason = int(goal != account.target), goal, SIGNAL


@compiled
def advance(
    accounts: Record,
    orders: Record,
    trades: Record,
    ts: Ints,
    opens: Floats,
    highs: Floats,
    lows: Floats,
    closes: Floats,
    target: Floats,
    rules: Rules,
    limits: Limits,
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
            rebalance(account, orders, trades, bar, bar - 1, ts[bar], opens[bar], rules, limits)
        if account.guarded and account.position != 0.0 and not account.dust:
            protect(account, orders, trades, bar, ts[bar], opens[bar], highs[bar], lows[bar], rules, limits)
        worth = value(account, highs[bar], lows[bar], closes[bar])
        if worth <= 0.0 or account.limited:
            watch(account, ts[bar], closes[bar], worth, limits)
        cash[bar], position[bar], equity[bar] = account.cash, account.position, worth
        drawdown[bar] = worth / account.peak - 1.0
        decide(account, target[bar], limits)
    return opens.size


@compiled
def finish(
    accounts: Record,
    orders: Record,
    trades: Record,
    at: int,
    close: float,
    rules: Rules,
    limits: Limits,
    last: int,
) -> None:
    """Mark the trade that is still open, and note the orders that wait for an open which is not there yet."""
    account = accounts[0]
    if account.position != 0.0:
        mark(account, trades, close)
    if account.pending:
        account.looking_ahead = 1
        rebalance(account, orders, trades, last, last, at, close, rules, limits)


# A pass that keeps neither curves nor logs: what sweeps call


@compiled
def tally_trades(account: Record, trades: Record, tally: Record) -> None:
    """Add up the trades that ended in this bar, and give their rows free; so for the orders."""
    open_ = account.position != 0.0
    for row in range(account.trades - int(open_)):
        trade = trades[row]
        profit = trade.side * (trade.amount * trade.exit_price - trade.amount * trade.entry_price) - trade.fees
        tally.closed += 1
        tally.fees += trade.fees
        if profit > 0.0:
            tally.won += 1
            tally.gain += profit
        else:
            tally.loss -= profit
    if open_ and account.trades > 1:
        trades[0] = trades[account.trades - 1]
    account.trades, account.orders = int(open_), 0


@compiled
def tally_close(account: Record, tally: Record, bar: int, worth: float) -> None:
    """Note at the close of a bar what the account is worth."""
    if worth <= 0.0 and tally.ruin < 0:
        tally.ruin, tally.worth = bar, worth
    if worth < (1.0 + tally.drawdown) * account.peak:
        tally.drawdown = worth / account.peak - 1.0
    if account.position != 0.0:
        tally.held += 1


@compiled
def coast(
    account: Record, tally: Record, bar: int, closes: Floats, target: Floats, ends: Ints, period: int, values: Floats
) -> tuple[int, int]:
    """Pass over the bars from this one on at which nothing is decided; return the first that is left, and the period.

    For an account to which only a decision or ruin can happen: no order is pending, no stop or limit looked for.
    """
    cash, position, acted = account.cash, account.position, account.target
    peak, drawdown, first = account.peak, tally.drawdown, bar
    while bar < closes.size:
        worth, goal = cash + position * closes[bar], target[bar]
        if worth <= 0.0 or (goal != acted and not np.isnan(goal)):
            break
        if worth > peak:
            peak = worth
        elif worth < (1.0 + drawdown) * peak:
            drawdown = worth / peak - 1.0
        if bar == ends[period]:
            values[period] = worth
            period += 1
        bar += 1
    account.peak, tally.drawdown = peak, drawdown
    if position != 0.0:
        tally.held += bar - first
    return bar, period


@compiled
def measure(
    accounts: Record,
    orders: Record,
    trades: Record,
    ts: Ints,
    opens: Floats,
    highs: Floats,
    lows: Floats,
    closes: Floats,
    target: Floats,
    rules: Rules,
    limits: Limits,
    ends: Ints,
    values: Floats,
    tallies: Record,
) -> None:
    """Simulate all bars as `advance` does; `values` gets the equity at the bars `ends`, `tallies` has one row."""
    account, tally = accounts[0], tallies[0]
    bar, period, tally.ruin = 0, 0, -1
    while bar < opens.size:
        if not (account.pending or account.limited or (account.guarded and account.position != 0.0)):
            bar, period = coast(account, tally, bar, closes, target, ends, period, values)
            if bar == opens.size:
                break
        if account.pending:
            rebalance(account, orders, trades, bar, bar - 1, ts[bar], opens[bar], rules, limits)
        if account.guarded and account.position != 0.0 and not account.dust:
            protect(account, orders, trades, bar, ts[bar], opens[bar], highs[bar], lows[bar], rules, limits)
        worth = value(account, highs[bar], lows[bar], closes[bar])
        if worth <= 0.0 or account.limited:
            watch(account, ts[bar], closes[bar], worth, limits)
        tally_close(account, tally, bar, worth)
        if bar == ends[period]:
            values[period] = worth
            period += 1
        if account.orders:
            tally_trades(account, trades, tally)
        decide(account, target[bar], limits)
        bar += 1
    tally.trades = tally.closed
    if account.position != 0.0:
        tally.trades += 1
        tally.fees += trades[0].fees


# Candle by candle: what `books` calls


@compiled
def close_bars(
    accounts: Record,
    ts: Ints,
    highs: Floats,
    lows: Floats,
    closes: Floats,
    limits: Limits,
    equity: Floats,
    drawdown: Floats,
) -> None:
    """Close bars in which nothing was traded after what is booked already, and fill the two curves."""
    account = accounts[0]
    for bar in range(closes.size):
        equity[bar] = value(account, highs[bar], lows[bar], closes[bar])
        watch(account, ts[bar], closes[bar], equity[bar], limits)
        drawdown[bar] = equity[bar] / account.peak - 1.0
        account.bar += 1


@compiled
def decide_now(accounts: Record, goal: float, limits: Limits) -> None:
    """Decide at the last close."""
    decide(accounts[0], goal, limits)


@compiled
def plan(accounts: Record, orders: Record, at: int, age: float, market: float, rules: Rules, limits: Limits) -> int:
    """Draft into row 0 what is to be done now; return as `draft_next`."""
    account = accounts[0]
    if np.isnan(age):
        age = (at - account.closed) / 1e6
    return draft_next(account, orders[0], account.bar, at, age, market, rules, limits)


@compiled
def plan_exit(
    accounts: Record, orders: Record, trades: Record, open_: float, high: float, low: float, rules: Rules
) -> int:
    """Draft into row 0 the exit that the next bar brings; return as `draft_next`."""
    account = accounts[0]
    return draft_exit(account, orders[0], trades[account.trades - 1], open_, high, low, rules)


@compiled
def levels_now(accounts: Record, trades: Record, rules: Rules) -> tuple[float, int, float]:
    """Return the levels of the position held, as `levels` does."""
    account = accounts[0]
    return levels(account, trades[account.trades - 1], rules)


@compiled
def take_next(accounts: Record, orders: Record, trades: Record, limits: Limits) -> None:
    """Take in the fill that stands in the next row of the log."""
    account = accounts[0]
    row = account.orders
    account.orders += 1
    take(account, orders[row], trades, row, account.bar, limits)


@compiled
def count_now(accounts: Record, at: int) -> None:
    """Count an order that was placed at this instant."""
    count(accounts[0], at)


@compiled
def mark_now(accounts: Record, trades: Record, close: float) -> None:
    """Value the trade that is open, as `mark` does."""
    mark(accounts[0], trades, close)


@compiled
def note_adverse(trades: Record, row: int, high: float, low: float) -> None:
    """Take the adverse side of the bar in which a take-profit was filled to have come first."""
    trade = trades[row]
    adverse = trade.side * ((low if trade.side > 0 else high) / trade.entry_price - 1.0)
    trade.worst, trade.best = min(trade.worst, adverse), max(trade.best, adverse)
