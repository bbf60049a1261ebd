"""Crossover of two exponential moving averages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pandas import DataFrame
from pydantic import Field

from tasks.engine.changes import Changes
from tasks.signal.indicators import ema, ema_memory
from tasks.signal.quick import Remembered, crossed, exponential, usable
from tasks.signal.strategy import Strategy, above, increasing


class EmaCrossover(Strategy):
    """Hold while the fast exponential moving average of the close is above the slow one."""

    fast: int = Field(20, ge=1, le=1_000, description="window of the fast average, in candles")
    slow: int = Field(50, ge=2, le=1_000, description="window of the slow average, in candles")
    short: bool = Field(False, description="be short, not flat, while the fast average is below the slow one")
    _order = increasing("fast", "slow")

    @property
    def warmup(self) -> int:
        """All that the slow average looks at, about eight times its window."""
        return ema_memory(self.slow) - 1

    def generate(self, candles: DataFrame) -> DataFrame:
        """Return `fast`, `slow` (quote currency) and the target."""
        fast, slow = ema(candles["close"], self.fast), ema(candles["close"], self.slow)
        target = above(fast, slow) - above(slow, fast) if self.short else above(fast, slow)
        return DataFrame({"fast": fast, "slow": slow, "target": target})

    @classmethod
    def shared(cls, candles: DataFrame) -> Callable[[Any], Changes] | None:
        """Compute the average over each window once."""
        if not usable(candles):
            return None
        close = candles["close"].to_numpy()
        average = Remembered(lambda window: exponential(close, window), len(candles))

        def changes(strategy: EmaCrossover) -> Changes:
            return crossed(average(strategy.fast), average(strategy.slow), strategy.warmup, short=strategy.short)

        return changes
