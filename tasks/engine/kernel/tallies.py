"""The pass over all bars that keeps neither curves nor logs: what sweeps call."""

from __future__ import annotations

import numpy as np

from tasks.engine.costs import Costs
from tasks.engine.kernel.account import Floats, Ints, Record
from tasks.engine.kernel.bars import protect, rebalance, value, watch
from tasks.engine.kernel.compiled import compiled
from tasks.engine.kernel.costs import begin_bar, end_bar
from tasks.engine.kernel.inside import Fine, decide_unless_leaving, open_bar, pass_bar
from tasks.engine.rules import Limits, Rules


@compiled
def tally_trade(trade: Record, tally: Record) -> None:
    """Add up a trade that has ended."""
    moved = trade.side * (trade.amount * trade.exit_price - trade.amount * trade.entry_price)
    profit = moved - trade.fees - trade.carry
    tally.closed += 1
    tally.fees += trade.fees
    if profit > 0.0:
        tally.won += 1
        tally.gain += profit
    else:
        tally.loss -= profit


@compiled
def tally_trades(account: Record, trades: Record, tally: Record) -> None:
    """Add up the trades that ended in this bar, and give their rows free; so for the orders."""
    if account.orders == 0:
        return
    open_ = account.position != 0.0
    for row in range(account.trades - int(open_)):
        tally_trade(trades[row], tally)
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
def tally_open(account: Record, trades: Record, tally: Record) -> None:
    """Add the trade that is still open at the end."""
    tally.trades = tally.closed
    if account.position != 0.0:
        tally.trades += 1
        tally.fees += trades[0].fees


@compiled
def idle(account: Record) -> bool:
    """Tell whether nothing but a decision or ruin can happen to an account."""
    return not (account.pending or account.limited or (account.guarded and account.position != 0.0))


@compiled
def coast(
    account: Record, tally: Record, bar: int, closes: Floats, target: Floats, ends: Ints, period: int, values: Floats
) -> tuple[int, int]:
    """Pass over the bars from this one on at which nothing is decided; return the first that is left, and the period.

    For an idle account.
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
    fine: Fine | None,
    costs: Costs | None,
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
        if costs is None and idle(account):
            bar, period = coast(account, tally, bar, closes, target, ends, period, values)
            if bar == opens.size:
                break
        begin_bar(account, bar, ts, closes, costs)
        if fine is not None:
            open_bar(account, orders, trades, bar, ts[bar], opens[bar], fine.caps, rules, limits)
        elif account.pending:
            rebalance(account, orders, trades, bar, bar - 1, ts[bar], opens[bar], rules, limits)
        high, low = highs[bar], lows[bar]
        if fine is not None:
            at, price = ts[bar], opens[bar]
            high, low = pass_bar(account, orders, trades, bar, at, price, high, low, closes[bar], fine, rules, limits)
        elif account.guarded and account.position != 0.0 and not account.dust:
            protect(account, orders, trades, bar, ts[bar], opens[bar], high, low, None, rules, limits)
        end_bar(account, bar, closes, costs)
        worth = value(account, high, low, closes[bar])
        if worth <= 0.0 or account.limited:
            watch(account, ts[bar], closes[bar], worth, limits)
        tally_close(account, tally, bar, worth)
        if bar == ends[period]:
            values[period] = worth
            period += 1
        tally_trades(account, trades, tally)
        decide_unless_leaving(account, target[bar], fine, limits)
        bar += 1
    tally_open(account, trades, tally)
