"""The pass over all bars that keeps everything: what a backtest calls.

Of the curves it writes the equity alone; cash, position and drawdown follow from that and from the log of orders.
"""

from __future__ import annotations

import numpy as np

from tasks.engine.codes import ACCEPTED, CLOSE, FILLED, MARKET, OPEN, ORDERS_A_BAR, SIGNAL
from tasks.engine.costs import Costs
from tasks.engine.kernel.account import Floats, Ints, Record
from tasks.engine.kernel.bars import decide, protect, rebalance, value, watch
from tasks.engine.kernel.compiled import compiled
from tasks.engine.kernel.costs import begin_bar, end_bar
from tasks.engine.kernel.fills import book, bought, filled, mark
from tasks.engine.kernel.inside import Fine, decide_unless_leaving, open_bar, pass_bar
from tasks.engine.kernel.resting import end_rest, is_leaving
from tasks.engine.rules import Limits, Rules


@compiled
def drift(
    account: Record,
    bar: int,
    opens: Floats,
    highs: Floats,
    lows: Floats,
    closes: Floats,
    target: Floats,
    limits: Limits,
    equity: Floats,
) -> int:
    """Value the bars from this one on up to a decision, with the one at which it is made; return the next bar.

    For an account to which only a decision or ruin can happen: no order is pending, no stop or limit looked for. Ruin
    is left to the caller. The peak is not kept, nor the best price: only a limit and a stop ask for them.
    """
    cash, position, acted = account.cash, account.position, account.target
    low, high, going_on = account.low, account.high, True
    while going_on and bar < target.size:
        worth, goal = cash + position * closes[bar], target[bar]
        if worth <= 0.0:
            break
        equity[bar] = worth
        if position != 0.0:
            # The open is within the range. Read here, bar after bar, it is in the cache where the next order needs it.
            least = lows[bar] if lows[bar] < opens[bar] else opens[bar]
            low = least if least < low else low
            high = highs[bar] if highs[bar] > high else high
        going_on = goal == acted or np.isnan(goal)
        bar += 1
    account.low, account.high = low, high
    if not going_on:
        decide(account, target[bar - 1], limits)
    return bar


@compiled
def turn(account: Record, orders: Record, trades: Record, bar: int, market: float, rules: Rules) -> bool:
    """Do what `rebalance` does where nothing is held and all is bought, or all is sold, for a signal, at market.

    What most orders are takes two thirds of the time so. Nothing is done, and False returned, where it is another order
    or one that might be refused. For an account that pays and holds without the series of `costs`.
    """
    goal, position, row = account.goal, account.position, int(account.orders)
    enters = position == 0.0
    if account.limited or account.reason != SIGNAL or enters != (goal != 0.0) or rules.amount > 0.0:
        return False
    wanted = bought(account, goal, market, rules) if enters else 0.0
    change = wanted - position
    side, amount = 1 if change > 0.0 else -1, abs(change)
    price = filled(account, amount, wanted, market, side, rules)
    if price == 0.0:
        return False
    fee = account.taker * price * amount
    account.pending, account.target, account.orders = 0, goal, row + 1
    number = book(account, trades, row, enters, change, price, fee)
    account.decision, account.dust = bar - 1, 0
    order = orders[row]
    order.bar, order.decision, order.event, order.trade = bar, bar - 1, FILLED, number
    order.leg, order.kind, order.reason = OPEN if enters else CLOSE, MARKET, SIGNAL
    order.side, order.amount, order.trigger, order.market, order.price = side, amount, np.nan, market, price
    order.fee, order.position, order.cash = fee, account.position, account.cash
    order.ordered, order.number, order.attempt, order.maker = amount, 1, 1, 0
    return True


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
    fine: Fine | None,
    costs: Costs | None,
    rules: Rules,
    limits: Limits,
    equity: Floats,
) -> int:
    """Simulate the bars from `account.bar` on, fill the equity, and return the first bar not simulated.

    That is before the end only where the logs might not hold another bar's orders; the caller calls again with longer
    ones. Growing them in here would cost more than all the rest: compiled code counts the references to an array that
    it may replace, at every bar. `accounts` has one row; the caller owns it, as a row does not keep its array alive.
    """
    account = accounts[0]
    bar: int = account.bar
    while bar < opens.size:
        if account.orders + ORDERS_A_BAR > orders.size or account.trades + ORDERS_A_BAR > trades.size:
            account.bar = bar
            return bar
        at = ts[bar] if account.limited else 0  # only limits ask for the instant, and it would not be in the cache
        begin_bar(account, bar, ts, closes, costs)
        if fine is not None:
            open_bar(account, orders, trades, bar, at, opens[bar], fine.caps, rules, limits)
        elif account.pending and not (costs is None and turn(account, orders, trades, bar, opens[bar], rules)):
            rebalance(account, orders, trades, bar, bar - 1, at, opens[bar], rules, limits)
        if costs is None and not (account.limited or (account.guarded and account.position != 0.0)):
            bar = drift(account, bar, opens, highs, lows, closes, target, limits, equity)
            if account.pending or bar == opens.size:
                continue
        high, low = highs[bar], lows[bar]
        if fine is not None:
            price = opens[bar]
            high, low = pass_bar(account, orders, trades, bar, at, price, high, low, closes[bar], fine, rules, limits)
        elif account.guarded and account.position != 0.0 and not account.dust:
            protect(account, orders, trades, bar, at, opens[bar], high, low, None, rules, limits)
        end_bar(account, bar, closes, costs)
        worth = value(account, high, low, closes[bar])
        if worth <= 0.0 or account.limited:
            watch(account, ts[bar], closes[bar], worth, limits)
        equity[bar] = worth
        decide_unless_leaving(account, target[bar], fine, limits)
        bar += 1
    return opens.size


@compiled
def finish(
    accounts: Record,
    orders: Record,
    trades: Record,
    at: int,
    close: float,
    costs: Costs | None,
    rules: Rules,
    limits: Limits,
    last: int,
) -> None:
    """Mark the trade that is still open, and note the orders that wait for their price or for the next open."""
    account = accounts[0]
    if account.position != 0.0:
        mark(account, trades, close)
    if is_leaving(account):
        account.pending = 0
    if account.resting and account.rest_fills == 0:
        end_rest(account, orders, last, ACCEPTED, account.rest_reason)
    account.resting = 0
    if costs is not None:
        account.friction = costs.friction[last]
    if account.pending:
        account.looking_ahead = 1
        rebalance(account, orders, trades, last, last, at, close, rules, limits)
