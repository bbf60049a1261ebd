"""Bar by bar: what `tasks.engine.books` calls."""

from __future__ import annotations

import numpy as np

from tasks.engine.kernel.account import Floats, Ints, Record
from tasks.engine.kernel.bars import decide, value, watch
from tasks.engine.kernel.compiled import compiled
from tasks.engine.kernel.fills import count, mark, take
from tasks.engine.kernel.orders import draft_exit, draft_next, levels
from tasks.engine.rules import Limits, Rules


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
