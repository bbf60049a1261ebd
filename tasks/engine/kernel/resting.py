"""The order that waits: an entry for its limit price, or any order for volume. There is one at most."""

from __future__ import annotations

import numpy as np

from tasks.engine.codes import CANCELLED, EXIT, LIMIT, MARKET, NO_CASH, NO_VOLUME, OPEN, PARTIAL, SIGNAL, TIMEOUT
from tasks.engine.kernel.account import NOISE, SPECK, Record
from tasks.engine.kernel.compiled import compiled
from tasks.engine.kernel.costs import paid
from tasks.engine.kernel.fills import count, place, take
from tasks.engine.kernel.orders import barred, draft_open
from tasks.engine.kernel.sizing import affordable, difference, round_down
from tasks.engine.rules import Limits, Rules

AT_LIMIT, AT_OPENS = 1, 2
"""Where it is tried: inside the bars that go beyond its limit, or at the opens; 0: there is none."""

SLACK = 100.0 * NOISE
"""Of the equity: money by which rounding alone may be short."""


@compiled
def rest(account: Record, order: Record, bar: int, decision: int) -> None:
    """Let a drafted order wait from this bar on."""
    account.resting = AT_LIMIT if order.kind == LIMIT and order.leg == OPEN else AT_OPENS
    account.rest_leg, account.rest_kind, account.rest_reason = order.leg, order.kind, order.reason
    account.rest_attempt, account.rest_side, account.rest_fills = order.attempt, order.side, 0
    account.rest_ordered, account.rest_amount, account.rest_position = order.amount, order.amount, order.position
    account.rest_price, account.rest_close, account.rest_closed = order.trigger, account.close, account.closed
    account.rest_since, account.rest_decision = bar, decision


@compiled
def recall(account: Record, order: Record, amount: float, price: float, maker: int) -> None:
    """Write down the order that waits, as one for this amount and price: 1 where it has waited for it, 0 where not."""
    order.leg, order.kind, order.reason = account.rest_leg, account.rest_kind, account.rest_reason
    order.attempt, order.number, order.side = account.rest_attempt, account.rest_fills, account.rest_side
    order.ordered, order.amount, order.trigger = account.rest_ordered, amount, account.rest_price
    order.market, order.price, order.position = price, price, account.rest_position
    order.fee = (account.maker if maker else account.taker) * price * amount
    order.trade, order.maker = 0, maker


@compiled
def end_rest(account: Record, orders: Record, bar: int, event: int, reason: int) -> None:
    """Put the order that waits into the log with an end that is no fill."""
    order = orders[account.orders]
    account.orders += 1
    recall(account, order, account.rest_amount, account.rest_price, 1)
    order.bar, order.decision, order.event, order.reason = bar, account.rest_decision, event, reason
    account.resting = 0


@compiled
def is_crossed(account: Record, price: float) -> bool:
    """Tell whether a price lies beyond the limit of the order that waits; one at the limit does not."""
    crossed: bool = account.rest_side * (account.rest_price - price) > 0.0
    return crossed


@compiled
def is_leaving(account: Record) -> bool:
    """Tell whether an exit is under way: the position is left, and nothing else is done before that."""
    leaving: bool = account.resting == AT_OPENS and account.rest_leg == EXIT
    return leaving


@compiled
def fillable(account: Record, rules: Rules) -> float:
    """Return how much of the order that waits this bar fills; a billionth of the order counts as nothing."""
    amount: float = account.rest_amount
    if amount > account.capacity * (1.0 + SPECK):
        amount = round_down(account.capacity, rules.amount_step)
        if amount <= SPECK * account.rest_ordered:
            amount = 0.0
    return amount


@compiled
def fill_rest(
    account: Record,
    orders: Record,
    trades: Record,
    bar: int,
    at: int,
    market: float,
    most: float,
    takes: bool,
    rules: Rules,
    limits: Limits,
) -> bool:
    """Fill of the order that waits what this bar does, and no more than `most`; tell whether nothing is left of it.

    One that `takes` this price of the market pays slippage, and one with a limit no more than that.
    """
    amount = min(fillable(account, rules), most)
    if amount <= 0.0:
        return False
    order, row, waits = orders[account.orders], account.orders, account.resting == AT_LIMIT
    price = market
    if takes:
        price = paid(account, market, account.rest_side, amount, rules)
        if waits and is_crossed(account, price) == 0:
            price = account.rest_price
    left = difference(account.rest_amount, amount, rules.amount_step) if amount < account.rest_amount else 0.0
    account.rest_fills += 1
    recall(account, order, amount, price, int(waits and not takes))
    order.bar, order.decision, order.market = bar, account.rest_decision, market
    if left > 0.0:
        order.position = difference(account.position, -order.side * amount, rules.amount_step)
    account.orders += 1
    take(account, order, trades, row, bar, limits)
    if account.rest_fills == 1:
        count(account, at)
    account.rest_amount = left
    account.capacity = max(account.capacity - amount, 0.0)
    if left > 0.0:
        order.event = PARTIAL
    else:
        account.resting = 0
    return left == 0.0


@compiled
def send(
    account: Record,
    orders: Record,
    trades: Record,
    bar: int,
    decision: int,
    at: int,
    why: int,
    rules: Rules,
    limits: Limits,
) -> bool:
    """Place the order that is drafted as far as this bar fills it; tell whether that was all of it."""
    order = orders[account.orders]
    if why or account.capacity == np.inf or account.looking_ahead:
        return place(account, order, trades, bar, decision, at, why, limits)
    market, takes = order.market, order.kind != LIMIT
    rest(account, order, bar, decision)
    return fill_rest(account, orders, trades, bar, at, market, np.inf, takes, rules, limits)


@compiled
def covered(account: Record, market: float, rules: Rules) -> float:
    """Return what may be added to the position at this price: what the equity beyond it pays for."""
    equity = account.cash + account.position * market
    free = equity - abs(account.position) * market
    most: float = max(free + SLACK * equity, 0.0) / (market * (1.0 + rules.slippage) * (1.0 + account.taker))
    if rules.impact > 0.0:
        most = affordable(account, 0.0, most, rules)
    most = round_down(most, rules.amount_step)
    return most if most > SPECK * account.rest_ordered else 0.0


@compiled
def go_on(
    account: Record, orders: Record, trades: Record, bar: int, at: int, market: float, rules: Rules, limits: Limits
) -> bool:
    """Fill at an open what is left of the order that waits for volume; tell whether nothing is left of it then.

    What makes the position larger may be given up instead: where an entry is barred, and where the money ends.
    """
    most, why, before = np.inf, 0, account.orders
    if account.rest_side * account.position >= 0.0:
        why = barred(account, at)
        if why == 0 and rules.impact > 0.0 and account.friction == np.inf:
            why = NO_VOLUME
        most = covered(account, market, rules) if why == 0 else 0.0
        if why == 0 and most < fillable(account, rules):
            why = NO_CASH
    whole = fill_rest(account, orders, trades, bar, at, market, most, True, rules, limits)
    if most < np.inf and account.orders > before and -2.0 * SLACK * account.position * market < account.cash < 0.0:
        account.cash = orders[before].cash = 0.0
    if why:
        end_rest(account, orders, bar, CANCELLED, why)
    return whole


@compiled
def review(
    account: Record, orders: Record, trades: Record, bar: int, at: int, market: float, rules: Rules, limits: Limits
) -> None:
    """See at an open whether the entry at a limit may go on; one that has waited long enough may be made at market."""
    why = barred(account, at)
    if why == 0 and bar - account.rest_since >= rules.limit_bars:
        why = TIMEOUT
    if why == 0:
        return
    end_rest(account, orders, bar, CANCELLED, why)
    if why != TIMEOUT or rules.limit_to_market == 0.0:
        return
    order, decided, age = orders[account.orders], account.rest_close, (at - account.rest_closed) / 1e6
    target = account.target
    why = draft_open(account, order, bar, at, age, decided, market, target, MARKET, SIGNAL, rules, limits)
    order.attempt = 2
    if abs(order.position) >= abs(account.position):
        send(account, orders, trades, bar, account.rest_decision, at, why, rules, limits)
