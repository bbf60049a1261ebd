"""The decision at the close of a candle: what is done, and why, in a word and in a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pandas as pd

Action = Literal["buy", "sell", "hold"]

QUIET = frozenset({"unchanged", "warm_up"})
"""Reasons of a decision at which nothing was to be done."""

UNDONE = frozenset({"missed", "halted", "unknown_order", "reconciliation", "failed"})
"""Reasons of a decision at which something may have been left undone: what was wanted then is wanted still."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A row of the table decisions, where each field has its unit and meaning.

    `reason` is one word. An order was made: signal, daily_loss, drawdown, ruin; stop_loss, trailing_stop, take_profit
    also where the position was left inside the candle. Nothing was to be done: unchanged, warm_up. An entry was not
    made, and counts as acted on: stale, too_small, no_cash, no_equity, max_orders, deviation, cooldown, daily_loss,
    drawdown, refused (by the exchange). Left undone: missed (recorded late), halted, unknown_order, reconciliation,
    failed (the exchange could not be reached).
    """

    run_id: str
    symbol: str
    ts: pd.Timestamp
    decided_at: pd.Timestamp
    action: Action
    reason: str
    detail: str
    close: float
    signal: float
    """NaN: the strategy gives none."""
    target: float
    position: float
    price: float | None = None
    amount: float | None = None
    order_id: str | None = None
    age: float = 0.0
    candles: int = 0
    data_fingerprint: str = ""
    candles_version: int = -1
    code_version: str = ""
    flow_run_id: str | None = None
