"""The pass over all bars that keeps everything: what a backtest calls."""

from __future__ import annotations

from tasks.engine.codes import ACCEPTED, ORDERS_A_BAR, SIGNAL
from tasks.engine.kernel.account import Floats, Ints, Record
from tasks.engine.kernel.bars import decide, protect, rebalance, value, watch
from tasks.engine.kernel.compiled import compiled
from tasks.engine.kernel.fills import mark
from tasks.engine.kernel.inside import Fine, is_reached, open_bar, pass_inside
from tasks.engine.kernel.resting import end_rest
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
    fine: Fine,
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
    account, waits, has_fine = accounts[0], rules.limit_bars > 0.0, fine.firsts.size > 0
    for bar in range(account.bar, opens.size):
        if account.orders + ORDERS_A_BAR > orders.size or account.trades + ORDERS_A_BAR > trades.size:
            account.bar = bar
            return bar
        if account.pending or (waits and account.resting):
            open_bar(account, orders, trades, bar, ts[bar], opens[bar], rules, limits)
        high, low, close = highs[bar], lows[bar], closes[bar]
        if (waits and is_reached(account, high, low)) or (has_fine and account.guarded and account.position != 0.0):
            high, low = pass_inside(
                account, orders, trades, bar, ts[bar], opens[bar], high, low, close, fine, rules, limits
            )
        elif account.guarded and account.position != 0.0 and not account.dust:
            protect(account, orders, trades, bar, ts[bar], opens[bar], high, low, rules, limits)
        worth = value(account, high, low, close)
        if worth <= 0.0 or account.limited:
            watch(account, ts[bar], close, worth, limits)
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
    """Mark the trade that is still open, and note the orders that wait for their price or for the next open."""
    account = accounts[0]
    if account.position != 0.0:
        mark(account, trades, close)
    if account.resting:
        end_rest(account, orders, last, ACCEPTED, SIGNAL, rules)
    if account.pending:
        account.looking_ahead = 1
        rebalance(account, orders, trades, last, last, at, close, rules, limits)
