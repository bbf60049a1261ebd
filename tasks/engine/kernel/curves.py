"""The pass over all bars that keeps everything: what a backtest calls."""

from __future__ import annotations

from tasks.engine.codes import ORDERS_A_BAR
from tasks.engine.costs import Costs
from tasks.engine.kernel.account import Floats, Ints, Record
from tasks.engine.kernel.bars import decide, protect, rebalance, value, watch
from tasks.engine.kernel.compiled import compiled
from tasks.engine.kernel.costs import begin_bar, hold
from tasks.engine.kernel.fills import mark
from tasks.engine.kernel.parts import AT_OPENS, leave_waiting
from tasks.engine.rules import Limits, Rules


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
    costs: Costs,
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
    account, costly = accounts[0], accounts[0].costly
    for bar in range(account.bar, opens.size):
        if account.orders + ORDERS_A_BAR > orders.size or account.trades + ORDERS_A_BAR > trades.size:
            account.bar = bar
            return bar
        if costly:
            # At bar 0 nothing is held and nothing filled, so that what index -1 says of the bar before is no matter.
            between = costs.long_between[bar], costs.short_between[bar]
            begin_bar(account, ts[bar], closes[bar - 1], costs.friction[bar - 1], costs.volume[bar], *between, rules)
        if account.pending or (costly and account.working == AT_OPENS):
            rebalance(account, orders, trades, bar, bar - 1, ts[bar], opens[bar], rules, limits)
        if account.guarded and account.position != 0.0 and not account.dust:
            protect(account, orders, trades, bar, ts[bar], opens[bar], highs[bar], lows[bar], rules, limits)
        if costly:
            hold(account, closes[bar], costs.long[bar], costs.short[bar])
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
    costs: Costs,
    rules: Rules,
    limits: Limits,
    last: int,
) -> None:
    """Mark the trade that is still open, and note the orders that wait for an open which is not there yet."""
    account = accounts[0]
    if account.position != 0.0:
        mark(account, trades, close)
    if rules.impact > 0.0:
        account.friction = costs.friction[last]
    leave_waiting(account, orders, last)
    if account.pending:
        account.looking_ahead = 1
        rebalance(account, orders, trades, last, last, at, close, rules, limits)
