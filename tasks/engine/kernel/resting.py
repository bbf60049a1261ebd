"""The entry that waits at its limit: put down, filled, cancelled, made at market. There is one at most."""

from __future__ import annotations

from tasks.engine.codes import CANCELLED, LIMIT, MARKET, OPEN, SIGNAL, TIMEOUT
from tasks.engine.kernel.account import Record
from tasks.engine.kernel.compiled import compiled
from tasks.engine.kernel.costs import paid
from tasks.engine.kernel.fills import place
from tasks.engine.kernel.orders import barred, draft_open
from tasks.engine.rules import Limits, Rules


@compiled
def rest(account: Record, order: Record, bar: int, decision: int) -> None:
    """Let a drafted entry wait from this bar on."""
    account.resting, account.rest_since, account.rest_decision = 1, bar, decision
    account.rest_side, account.rest_amount, account.rest_position = order.side, order.amount, order.position
    account.rest_price, account.rest_close, account.rest_closed = order.trigger, account.close, account.closed


@compiled
def recall(account: Record, order: Record, price: float, maker: int) -> None:
    """Write down the order that waits, as one for this price: 1 where it has waited for it, 0 where it takes it."""
    order.leg, order.kind, order.reason, order.attempt = OPEN, LIMIT, SIGNAL, 1
    order.side, order.amount, order.trigger = account.rest_side, account.rest_amount, account.rest_price
    order.market, order.price, order.position = price, price, account.rest_position
    order.fee = (account.maker if maker else account.taker) * price * account.rest_amount
    order.trade, order.maker = 0, maker


@compiled
def end_rest(account: Record, orders: Record, bar: int, event: int, reason: int) -> None:
    """Put the order that waits into the log with an end that is no fill."""
    order = orders[account.orders]
    account.orders += 1
    recall(account, order, account.rest_price, 1)
    order.bar, order.decision, order.event, order.reason = bar, account.rest_decision, event, reason
    account.resting = 0


@compiled
def is_crossed(account: Record, price: float) -> bool:
    """Tell whether a price lies beyond the limit of the order that waits; one at the limit does not."""
    crossed: bool = account.rest_side * (account.rest_price - price) > 0.0
    return crossed


@compiled
def fill_rest(
    account: Record,
    orders: Record,
    trades: Record,
    bar: int,
    at: int,
    market: float,
    arrives: bool,
    rules: Rules,
    limits: Limits,
) -> None:
    """Fill the order that waits at this price; one that `arrives` beyond its limit takes it, with slippage."""
    order, side = orders[account.orders], account.rest_side
    price = market
    if arrives:
        price = paid(account, market, side, account.rest_amount, rules)
        if is_crossed(account, price) == 0:
            price = account.rest_price
    recall(account, order, price, int(not arrives))
    order.market = market
    account.resting = 0
    place(account, order, trades, bar, account.rest_decision, at, 0, limits)


@compiled
def review(
    account: Record, orders: Record, trades: Record, bar: int, at: int, market: float, rules: Rules, limits: Limits
) -> None:
    """See at an open whether the order that waits may go on; one that has waited long enough may be made at market."""
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
        place(account, order, trades, bar, account.rest_decision, at, why, limits)
