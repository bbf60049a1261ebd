"""What the compiled pass writes down: numbers for words, and the rows of its two logs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Log = npt.NDArray[np.void]
"""Rows as in `ORDER` or `TRADE`."""

EVENTS = ("filled", "partially_filled", "rejected", "intent", "cancelled", "accepted")
FILLED, PARTIAL, REJECTED, INTENT, CANCELLED, ACCEPTED = range(len(EVENTS))
"""The first two, up to `PARTIAL`, are fills."""

LEGS = ("close", "open", "exit")
"""Close is a signal's order to be flat, open its order for a size, exit a stop, a take-profit or a limit of risk."""
CLOSE, OPEN, EXIT = range(len(LEGS))

KINDS = ("market", "stop", "limit")
MARKET, STOP, LIMIT = range(len(KINDS))

REASONS = (
    "signal",
    "stop_loss",
    "trailing_stop",
    "take_profit",
    "ruin",
    "daily_loss",
    "drawdown",
    "time",
    "flatten",
    "rebalance",
)
(
    SIGNAL,
    STOP_LOSS,
    TRAILING_STOP,
    TAKE_PROFIT,
    RUIN,
    DAILY_LOSS,
    DRAWDOWN,
    TIME,
    FLATTEN,
    REBALANCE,
) = range(len(REASONS))
"""Flatten is a person's order to sell all, which no backtest has; rebalance restores a weight, in a portfolio."""

REFUSALS = (
    "no_equity",
    "too_small",
    "too_small",
    "too_small",
    "no_cash",
    "drawdown",
    "daily_loss",
    "cooldown",
    "stale",
    "deviation",
    "max_orders",
    "max_position",
    "no_cash",
    "no_volume",
    "replaced",
    "timeout",
    "left",
    "exit",
)
"""Why an order was refused or, by the last ones, cancelled, in a word each; the sentences are in `frames`, as they name
the limits."""
# Never 0: that is "not refused".
NO_EQUITY, NO_STEP, NO_AMOUNT, NO_COST, NO_CASH = range(len(REASONS), len(REASONS) + 5)
DRAWN_DOWN, DAY_LOST, COOLING, STALE, ADRIFT, TOO_MANY, NO_ROOM, NO_SHARE = range(NO_CASH + 1, NO_CASH + 9)
NO_VOLUME, REPLACED, TIMEOUT, LEFT, OUTRUN = range(NO_SHARE + 1, NO_SHARE + 6)

ORDER = np.dtype(
    [
        ("bar", "i8"),
        ("decision", "i8"),
        ("leg", "i4"),
        ("kind", "i4"),
        ("event", "i4"),
        ("number", "i4"),
        ("reason", "i8"),
        ("side", "i8"),
        ("trade", "i8"),
        ("attempt", "i4"),
        ("maker", "i4"),
        ("amount", "f8"),
        ("trigger", "f8"),
        ("price", "f8"),
        ("fee", "f8"),
        ("market", "f8"),
        ("position", "f8"),
        ("cash", "f8"),
        ("ordered", "f8"),
    ]
)
"""An order and, where it was filled, its fill or one of them; `market` is the price before slippage, `position` what is
held after, and `cash`, of a fill alone, what is left of it. `amount` is that of the fill, `ordered` that of the order;
`number` counts the fills of one order and `attempt` the orders of one decision and leg, from 1; `maker` is 1 where the
fill took an order that waited."""

TRADE = np.dtype(
    [
        ("side", "i8"),
        ("entry_order", "i8"),
        ("exit_order", "i8"),
        ("amount", "f8"),
        ("entry_price", "f8"),
        ("exited", "f8"),
        ("exit_price", "f8"),
        ("fees", "f8"),
        ("carry", "f8"),
        ("worst", "f8"),
        ("best", "f8"),
    ]
)
"""A round trip; `exit_order` is -1 while it is open, `carry` what it has cost to hold."""

TALLY = np.dtype(
    [
        ("ruin", "i8"),
        ("worth", "f8"),
        ("drawdown", "f8"),
        ("held", "i8"),
        ("trades", "i8"),
        ("closed", "i8"),
        ("won", "i8"),
        ("gain", "f8"),
        ("loss", "f8"),
        ("fees", "f8"),
    ]
)
"""What a pass without curves and logs adds up: `ruin` is the first bar without equity (-1: none) and `worth` the equity
at it; `held` counts the closes with a position, `gain` and `loss` (above 0) are of closed trades."""

ORDERS_A_BAR = 6
"""At most: one that waited and is cancelled, close, open, and inside the bar an exit and the end of what it outruns;
and a row to draft in."""


def with_room(log: Log, used: int) -> Log:
    """Return the log with room for what one more bar can write, and as much again as it holds."""
    if used + ORDERS_A_BAR <= len(log):
        return log
    longer = np.empty(2 * len(log), log.dtype)
    longer[:used] = log[:used]
    return longer
