"""What a fill does to the account and to its trade."""

from __future__ import annotations

import numpy as np

from tasks.engine.codes import EXIT, FILLED, INTENT, MARKET, REJECTED, STOP_LOSS, TRAILING_STOP
from tasks.engine.kernel.account import DAY, NOISE, Record
from tasks.engine.kernel.compiled import compiled
from tasks.engine.kernel.costs import note_traded, paid
from tasks.engine.kernel.sizing import round_down, size
from tasks.engine.rules import Limits, Rules


@compiled
def settle(account: Record, change: float, wanted: float, price: float, fee: float) -> None:
    """Move money and position."""
    paid = change * price + fee
    account.cash -= paid
    if account.cash < 0.0 and account.cash > -100.0 * NOISE * paid:
        account.cash = 0.0  # all in: only rounding lies below 0
    account.position = wanted + 0.0  # never -0.0


@compiled
def bought(account: Record, goal: float, market: float, rules: Rules) -> float:
    """Return the position that an order at market makes of a target, in whole steps; below 0: sold."""
    return round_down(size(account, market, market * (1.0 + rules.slippage), goal, MARKET, rules), rules.amount_step)


@compiled
def filled(account: Record, amount: float, wanted: float, market: float, side: int, rules: Rules) -> float:
    """Fill an order at market unless the market refuses it as too small; return its price, 0 where it did.

    For passes that have no need of a draft: what is sized by a fraction of equity is always covered.
    """
    price = paid(account, market, side, amount, rules)
    if amount == 0.0 or amount < rules.min_amount or amount * price < rules.min_cost:
        return 0.0
    settle(account, side * amount, wanted, price, account.taker * price * amount)
    return price


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
        trade.exited, trade.exit_price, trade.fees, trade.carry = 0.0, 0.0, fee, 0.0
        trade.worst, trade.best = 0.0, 0.0
        account.held, account.carry = 0, 0.0
        account.best = account.low = account.high = price
        return number + 1
    trade = trades[number - 1]
    trade.fees += fee
    trade.carry = account.carry
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
    if account.tiers:
        note_traded(account, order.price * order.amount)
    order.event, order.position, order.cash = FILLED, account.position, account.cash
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
def mark(account: Record, trades: Record, close: float) -> None:
    """Value the trade that is still open at the last close; it keeps its exit order of -1."""
    trade = trades[account.trades - 1]
    left = abs(account.position)
    trade.exit_price = (trade.exit_price * trade.exited + close * left) / (trade.exited + left)
    trade.carry = account.carry
    note_range(account, trade)


@compiled
def note_adverse(trades: Record, row: int, high: float, low: float) -> None:
    """Take the adverse side of the bar in which a take-profit was filled to have come first."""
    trade = trades[row]
    adverse = trade.side * ((low if trade.side > 0 else high) / trade.entry_price - 1.0)
    trade.worst, trade.best = min(trade.worst, adverse), max(trade.best, adverse)
