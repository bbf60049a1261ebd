"""What the compiled pass writes down: numbers for words, and the rows of its two logs.

Words are added at the end: a number is compiled into `kernel`, whose copy on disk is renewed with that file alone.
"""

from __future__ import annotations

import numpy as np

EVENTS = ("filled", "rejected", "intent")
FILLED, REJECTED, INTENT = range(len(EVENTS))

LEGS = ("close", "open", "exit")
"""Close is a signal's order to be flat, open its order for a size, exit a stop or a take-profit."""
CLOSE, OPEN, EXIT = range(len(LEGS))

KINDS = ("market", "stop", "limit")
MARKET, STOP, LIMIT = range(len(KINDS))

REASONS = ("signal", "stop_loss", "trailing_stop", "take_profit", "ruin")
SIGNAL, STOP_LOSS, TRAILING_STOP, TAKE_PROFIT, RUIN = range(len(REASONS))

# Why an order was refused; the words are in `frames`, as they name the market's limits. Never 0: that is "not refused".
NO_EQUITY, NO_STEP, NO_AMOUNT, NO_COST, NO_CASH = range(len(REASONS), len(REASONS) + 5)

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
    ]
)
"""An order and, where it was filled, its fill."""

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
        ("worst", "f8"),
        ("best", "f8"),
    ]
)
"""A round trip; `exit_order` is -1 while it is open."""
