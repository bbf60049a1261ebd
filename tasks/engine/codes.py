"""What the compiled pass writes down: numbers for words, and the rows of its two logs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Log = npt.NDArray[np.void]
"""Rows as in `ORDER` or `TRADE`."""

EVENTS = ("filled", "rejected", "intent", "partially_filled", "cancelled", "accepted")
FILLED, REJECTED, INTENT, PARTIAL, CANCELLED, ACCEPTED = range(len(EVENTS))
"""Accepted is an order that still waits, at the end, for its first fill."""

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
    "flatten",
)
SIGNAL, STOP_LOSS, TRAILING_STOP, TAKE_PROFIT, RUIN, DAILY_LOSS, DRAWDOWN, FLATTEN = range(len(REASONS))
"""Flatten is a person's order to sell all; no backtest has it."""

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
    "no_volume",
    "replaced",
    "left",
)
"""Why an order was refused or its rest given up, in a word each; the sentences, in `frames`, name the limits."""
# Never 0: that is "not refused".
NO_EQUITY, NO_STEP, NO_AMOUNT, NO_COST, NO_CASH = range(len(REASONS), len(REASONS) + 5)
DRAWN_DOWN, DAY_LOST, COOLING, STALE, ADRIFT, TOO_MANY, NO_ROOM = range(NO_CASH + 1, NO_CASH + 8)
NO_VOLUME, REPLACED, LEFT = range(NO_ROOM + 1, NO_ROOM + 4)

ORDER = np.dtype(
    [
        ("bar", "i8"),
        ("decision", "i8"),
        ("leg", "i8"),
        ("kind", "i8"),
        ("event", "i8"),
        ("reason", "i8"),
        ("side", "i8"),
        ("trade", "i8"),
        ("amount", "f8"),
        ("trigger", "f8"),
        ("price", "f8"),
        ("fee", "f8"),
        ("market", "f8"),
        ("position", "f8"),
        ("ordered", "f8"),
        ("number", "i4"),
        ("attempt", "i4"),
    ]
)
"""An event of an order and, where it is one, its fill: `amount` is the fill's, `ordered` the order's. `number` counts
the fills of an order, `attempt` the orders of a leg, from 1. `market` is the price before slippage, `position` what is held
after."""

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
"""At most: close, open, an exit inside the bar; and for each of them the end of an order that was not filled whole."""


def with_room(log: Log, used: int) -> Log:
    """Return the log with room for what one more bar can write, and as much again as it holds."""
    if used + ORDERS_A_BAR <= len(log):
        return log
    longer = np.empty(2 * len(log), log.dtype)
    longer[:used] = log[:used]
    return longer
