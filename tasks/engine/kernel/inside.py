"""A bar from its open to its close; what happens between them is looked for on finer candles where there are some."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tasks.engine.codes import CLOSE
from tasks.engine.kernel.account import Floats, Ints, Record
from tasks.engine.kernel.bars import carry_out, decide, note_bar, protect, take_up
from tasks.engine.kernel.compiled import compiled
from tasks.engine.kernel.orders import levels
from tasks.engine.kernel.resting import AT_LIMIT, AT_OPENS, fill_rest, fillable, go_on, is_crossed, is_leaving, review
from tasks.engine.rules import Limits, Rules

INCOMPLETE, DIFFERENT = -1, -2
"""Why a bar is passed without its finer candles."""


class Fine(NamedTuple):
    """Finer candles: those of bar b are `parts` from `firsts[b]` on, unless that is below 0. No `firsts`: none at all.

    A pass that takes None instead has neither finer candles nor orders that wait, at a limit or for volume. It is
    compiled without what is in here, and so as fast as if that were not there.
    """

    opens: Floats
    highs: Floats
    lows: Floats
    closes: Floats
    firsts: Ints
    parts: int
    caps: Floats
    """What may be traded in each bar, base currency. None of them: any amount."""


@compiled
def open_bar(
    account: Record,
    orders: Record,
    trades: Record,
    bar: int,
    at: int,
    open_: float,
    caps: Floats,
    rules: Rules,
    limits: Limits,
) -> None:
    """Do at the open of a bar what was decided at the close before, or see to the order that waits."""
    if caps.size:
        account.capacity = caps[bar]
    if is_leaving(account):
        account.pending = 0  # a limit of loss asks for no more than that
    wanted, decision = account.pending != 0, bar - 1
    if wanted:
        take_up(account, orders, bar)
    elif account.resting == AT_LIMIT:
        review(account, orders, trades, bar, at, open_, rules, limits)
    elif account.resting == AT_OPENS:
        whole = go_on(account, orders, trades, bar, at, open_, rules, limits)
        if whole and account.rest_leg == CLOSE:  # the other side comes after it, by the same decision
            wanted, decision = True, account.rest_decision
            account.close, account.closed = account.rest_close, account.rest_closed
    if wanted:
        carry_out(account, orders, trades, bar, decision, at, open_, caps, rules, limits)


@compiled
def is_reached(account: Record, high: float, low: float) -> bool:
    """Tell whether a range of prices goes beyond the limit of an order that waits."""
    reached: bool = account.resting == AT_LIMIT and is_crossed(account, low if account.rest_side > 0 else high)
    return reached


@compiled
def is_stopped_first(account: Record, trades: Record, rules: Rules) -> bool:
    """Tell whether the price meets the stop of the position on its way to the limit of the order that waits."""
    if not account.guarded or account.position == 0.0 or account.dust:
        return False
    stop, _, _ = levels(account, trades[account.trades - 1], rules)
    first: bool = account.rest_side * (stop - account.rest_price) >= 0.0
    return first


@compiled
def pass_range(
    account: Record,
    orders: Record,
    trades: Record,
    bar: int,
    at: int,
    open_: float,
    high: float,
    low: float,
    close: float,
    arrives: bool,
    caps: Floats,
    rules: Rules,
    limits: Limits,
) -> tuple[float, float]:
    """Fill the order that waits and leave the position, as a candle brings it; return the high and low that are seen.

    `arrives`: an order that waits has been put down at this very open.
    """
    if account.resting == AT_LIMIT and fillable(account, rules) > 0.0:
        side, inside = account.rest_side, not is_crossed(account, open_)
        if not inside or (is_reached(account, high, low) and not is_stopped_first(account, trades, rules)):
            open_ = account.rest_price if inside else open_
            fill_rest(account, orders, trades, bar, at, open_, np.inf, arrives and not inside, rules, limits)
            # What comes after a fill inside is sure of the adverse side and of the close alone.
            if inside and side > 0:
                high = max(open_, close)
            elif inside:
                low = min(open_, close)
    if account.guarded and account.position != 0.0 and not account.dust and not is_leaving(account):
        protect(account, orders, trades, bar, at, open_, high, low, caps, rules, limits)
    return high, low


@compiled
def is_stirred(account: Record, trades: Record, high: float, low: float, rules: Rules) -> bool:
    """Tell whether anything can be touched within this range, in whatever order its prices came."""
    if is_reached(account, high, low):
        return True
    if not account.guarded or account.position == 0.0 or account.dust:
        return False
    trade = trades[account.trades - 1]
    adverse, favourable = (low, high) if trade.side > 0 else (high, low)
    stop, _, goal = levels(account, trade, rules)
    trailing = favourable * (1.0 - trade.side * rules.trailing_stop)
    nearest = trailing if trade.side * (trailing - stop) > 0.0 else stop
    stirred: bool = trade.side * (adverse - nearest) <= 0.0 or trade.side * (favourable - goal) >= 0.0
    return stirred


@compiled
def pass_bar(
    account: Record,
    orders: Record,
    trades: Record,
    bar: int,
    at: int,
    open_: float,
    high: float,
    low: float,
    close: float,
    fine: Fine,
    rules: Rules,
    limits: Limits,
) -> tuple[float, float]:
    """Do what is to be done inside a bar; return the high and low that a position held at its close has still to note.

    A bar that is made up of finer candles is passed candle by candle, unless nothing is touched in any case.
    """
    if not (account.resting or (account.guarded and account.position != 0.0)):
        return high, low
    arrives = bar == account.rest_since
    first = fine.firsts[bar] if fine.firsts.size and is_stirred(account, trades, high, low, rules) else -1
    if first < 0:
        return pass_range(account, orders, trades, bar, at, open_, high, low, close, arrives, fine.caps, rules, limits)
    for row in range(first, first + fine.parts):
        open_, close = fine.opens[row], fine.closes[row]
        arrives = arrives and row == first
        high, low = fine.highs[row], fine.lows[row]
        high, low = pass_range(
            account, orders, trades, bar, at, open_, high, low, close, arrives, fine.caps, rules, limits
        )
        if account.position != 0.0:
            note_bar(account, high, low)
        elif not account.resting:
            break
    return close, close


@compiled
def decide_unless_leaving(account: Record, goal: float, fine: Fine | None, limits: Limits) -> None:
    """Decide at the close of a bar; while a position is being left nothing is."""
    if fine is None or not is_leaving(account):
        decide(account, goal, limits)


@compiled
def fit(
    ts: Ints,
    opens: Floats,
    highs: Floats,
    lows: Floats,
    closes: Floats,
    length: int,
    fine_ts: Ints,
    fine: Fine,
    step: int,
) -> None:
    """Find the finer candles of each bar, and put their first into `fine.firsts`.

    A bar has them where they are all there, one every `step`, and make up its very prices. Else it gets INCOMPLETE
    where some are absent, DIFFERENT where they make up others.
    """
    row = 0
    for bar in range(ts.size):
        while row < fine_ts.size and fine_ts[row] < ts[bar]:
            row += 1
        first, start, high, low = row, ts[bar], -np.inf, np.inf
        while row < fine_ts.size and fine_ts[row] == start + (row - first) * step and row - first < fine.parts:
            high, low = max(high, fine.highs[row]), min(low, fine.lows[row])
            row += 1
        if row - first < fine.parts or (row < fine_ts.size and fine_ts[row] < start + length):
            fine.firsts[bar] = INCOMPLETE
        elif (fine.opens[first], high, low, fine.closes[row - 1]) != (opens[bar], highs[bar], lows[bar], closes[bar]):
            fine.firsts[bar] = DIFFERENT
        else:
            fine.firsts[bar] = first
