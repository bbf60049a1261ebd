"""The pass from change to change of the target: what sweeps call where nothing but the target decides.

Between two fills the account is its cash and a constant times the close. So its highest and its lowest worth in a
block of bars are at the block's highest and lowest close, and a block that cannot hold a new lowest drawdown or ruin
is passed over whole. What most sets do most, to enter from nothing and to sell all, is done without an order or a trade
in a log; every other order goes through the same functions as everywhere. The figures are those of `measure`, bit for
bit.
"""

from __future__ import annotations

import numpy as np

from tasks.engine.kernel.account import Floats, Ints, Record
from tasks.engine.kernel.bars import decide, rebalance, value, watch
from tasks.engine.kernel.compiled import compiled
from tasks.engine.kernel.fills import bought, filled
from tasks.engine.kernel.tallies import tally_close, tally_open, tally_trade, tally_trades
from tasks.engine.rules import Limits, Rules

BLOCK = 16
"""Bars of a block, a power of 2: few, as those at the ends of a position that fill no block are passed singly."""
LOW = 1.003
"""Times the worth of the lowest drawdown, below which new ones are to be expected, bar after bar."""
NEAR = 1e-15
"""As a fraction of the peak: more than twice 4 * 2 ** -53, by which (1 + drawdown) * peak may miss the worth that the
drawdown was divided out of."""


@compiled
def first_unfit(starts: Ints, bars: Ints, goals: Floats, size: int) -> int:
    """Find the first change that no target of so many bars has, of targets one after the other; -1: there is none."""
    for target in range(starts.size - 1):
        before = -1
        for change in range(starts[target], starts[target + 1]):
            if not before < bars[change] < size or abs(goals[change]) > 1.0:
                return change
            before = bars[change]
    return -1


@compiled
def extremes(closes: Floats) -> tuple[Floats, Floats]:
    """Return the lowest and the highest close of each whole block of BLOCK bars."""
    blocks = closes.size // BLOCK
    lowest, highest = np.empty(blocks), np.empty(blocks)
    for block in range(blocks):
        least = most = closes[block * BLOCK]
        for bar in range(block * BLOCK + 1, (block + 1) * BLOCK):
            least, most = min(least, closes[bar]), max(most, closes[bar])
        lowest[block], highest[block] = least, most
    return lowest, highest


@compiled
def deepened(closes: Floats, bar: int, until: int, cash: float, position: float, peak: float, drawdown: float) -> float:
    """Return the lowest drawdown after the closes from this bar on, without a look at each whether it is lower.

    NaN where that pays not or is not certain: the first worth is not LOW, there is a new peak or ruin, or another worth
    is so NEAR to the least that rounding decides which of the two is found the lower.
    """
    least = most = cash + position * closes[bar]
    if least > LOW * (1.0 + drawdown) * peak:
        return np.nan
    for at in range(bar + 1, until):
        worth = cash + position * closes[at]
        least, most = min(least, worth), max(most, worth)
    near = 0
    for at in range(bar, until):
        worth = cash + position * closes[at]
        near += (worth != least) & (worth < least + NEAR * peak)
    if near > 0 or least <= 0.0 or most > peak:
        return np.nan
    return least / peak - 1.0 if least < (1.0 + drawdown) * peak else drawdown


@compiled
def glide(account: Record, tally: Record, bar: int, stop: int, closes: Floats, lowest: Floats, highest: Floats) -> int:
    """Hold over the closes from this bar on, up to the bar `stop` or the one that ruins the account; return it."""
    cash, position = account.cash, account.position
    peak, drawdown, first = account.peak, tally.drawdown, bar
    while bar < stop:
        until = min((bar | (BLOCK - 1)) + 1, stop)
        if until - bar == BLOCK:
            one, other = position * lowest[bar // BLOCK], position * highest[bar // BLOCK]
            least, top = cash + min(one, other), max(peak, cash + max(one, other))
            if least > 0.0 and least >= (1.0 + drawdown) * top:
                peak, bar = top, until
                continue
        found = deepened(closes, bar, until, cash, position, peak, drawdown)
        if not np.isnan(found):
            drawdown, bar = found, until
            continue
        while bar < until:
            worth = cash + position * closes[bar]
            if worth <= 0.0:
                stop = until = bar
                break
            if worth > peak:
                peak = worth
            elif worth < (1.0 + drawdown) * peak:
                drawdown = worth / peak - 1.0
            bar += 1
    account.peak, tally.drawdown = peak, drawdown
    tally.held += bar - first
    return bar


@compiled
def wait(account: Record, tally: Record, bar: int, stop: int) -> int:
    """Hold nothing over the closes from this bar on; return as `glide`."""
    cash = account.cash
    if cash <= 0.0 or bar == stop:
        return bar
    account.peak = max(account.peak, cash)
    if cash < (1.0 + tally.drawdown) * account.peak:
        tally.drawdown = cash / account.peak - 1.0
    return stop


@compiled
def note_ends(account: Record, bar: int, closes: Floats, ends: Ints, period: int, values: Floats) -> int:
    """Note the equity at those of `ends` that lie before this bar; return the next of them."""
    while period < ends.size and ends[period] < bar:
        values[period] = account.cash + account.position * closes[ends[period]]
        period += 1
    return period


@compiled
def enter(account: Record, trade: Record, goal: float, market: float, rules: Rules) -> None:
    """Do what `rebalance` does of an account that holds nothing, and write down what a tally asks for alone."""
    account.pending, account.target = 0, goal
    wanted = bought(account, goal, market, rules)
    side, amount = 1 if wanted > 0.0 else -1, abs(wanted)
    price = filled(account, amount, wanted, market, side, rules)
    if price > 0.0:
        account.trades = 1
        trade.side, trade.amount, trade.entry_price, trade.fees = side, amount, price, account.taker * price * amount
        trade.exited, trade.exit_price, trade.carry = 0.0, 0.0, 0.0


@compiled
def leave(account: Record, trade: Record, tally: Record, market: float, rules: Rules) -> None:
    """Do so of an account that sells all at once that it holds, and add its trade to the tally."""
    account.pending, account.target = 0, 0.0
    side, amount = -1 if account.position > 0.0 else 1, abs(account.position)
    price = filled(account, amount, 0.0, market, side, rules)
    if price > 0.0:
        account.trades, trade.exit_price = 0, price
        trade.fees += account.taker * price * amount
        tally_trade(trade, tally)


@compiled
def sink(
    account: Record,
    orders: Record,
    trades: Record,
    bar: int,
    ts: Ints,
    opens: Floats,
    highs: Floats,
    lows: Floats,
    closes: Floats,
    rules: Rules,
    limits: Limits,
    ends: Ints,
    period: int,
    values: Floats,
    tally: Record,
) -> None:
    """Go on to the end, bar by bar, from the one at whose close the account is ruined: nothing is decided any more."""
    while bar < opens.size:
        if account.pending:
            rebalance(account, orders, trades, bar, bar - 1, ts[bar], opens[bar], rules, limits)
        worth = value(account, highs[bar], lows[bar], closes[bar])
        if worth <= 0.0:
            watch(account, ts[bar], closes[bar], worth, limits)
        tally_close(account, tally, bar, worth)
        if bar == ends[period]:
            values[period] = worth
            period += 1
        tally_trades(account, trades, tally)
        bar += 1


@compiled
def follow(
    accounts: Record,
    orders: Record,
    trades: Record,
    ts: Ints,
    opens: Floats,
    highs: Floats,
    lows: Floats,
    closes: Floats,
    lowest: Floats,
    highest: Floats,
    starts: Ints,
    bars: Ints,
    goals: Floats,
    rules: Rules,
    limits: Limits,
    ends: Ints,
    values: Floats,
    tallies: Record,
) -> None:
    """Simulate each target as `measure` does, on an account and with a row of `values` and of `tallies` of its own.

    Target i changes to `goals` at `bars`, from `starts[i]` to `starts[i + 1]`. `lowest` and `highest` are the closes'
    extremes in each whole block of BLOCK bars.
    """
    for target in range(starts.size - 1):
        account, tally, row = accounts[target], tallies[target], values[target]
        bar, period, tally.ruin = 0, 0, -1
        for change in range(starts[target], starts[target + 1] + 1):
            last = change == starts[target + 1]
            stop = opens.size if last else bars[change] + 1
            if account.position == 0.0:
                bar = wait(account, tally, bar, stop)
            else:
                bar = glide(account, tally, bar, stop, closes, lowest, highest)
            period = note_ends(account, bar, closes, ends, period, row)
            if bar < stop or last:
                break
            decide(account, goals[change], limits)
            if account.pending and bar < opens.size:
                goal, position = account.goal, account.position
                if rules.amount == 0.0 and position == 0.0 and goal != 0.0:
                    enter(account, trades[0], goal, opens[bar], rules)
                elif position != 0.0 and goal == 0.0 and trades[0].exited == 0.0:
                    leave(account, trades[0], tally, opens[bar], rules)
                else:  # there is no limit: the instant is no matter
                    rebalance(account, orders, trades, bar, bar - 1, 0, opens[bar], rules, limits)
                    tally_trades(account, trades, tally)
        sink(account, orders, trades, bar, ts, opens, highs, lows, closes, rules, limits, ends, period, row, tally)
        tally_open(account, trades, tally)
