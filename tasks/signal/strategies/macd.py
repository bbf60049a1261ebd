"""Moving average convergence and divergence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pandas import DataFrame
from pydantic import Field

from tasks.engine.changes import Changes
from tasks.signal.indicators import ema, ema_memory
from tasks.signal.quick import Remembered, crossed_smoothed, exponential, usable
from tasks.signal.strategy import Strategy, above, increasing


class Macd(Strategy):
    """Hold while the MACD line (fast less slow exponential average) is above its own average."""

    fast: int = Field(12, ge=1, le=1_000, description="window of the fast average, in candles")
    slow: int = Field(26, ge=2, le=1_000, description="window of the slow average, in candles")
    smooth: int = Field(9, ge=2, le=1_000, description="window of the line's own average, in candles")
    short: bool = Field(False, description="be short, not flat, while the line is below its average")
    _order = increasing("fast", "slow")

    @property
    def warmup(self) -> int:
        """All that the average of the line looks at, and all that the line looks at before that."""
        return ema_memory(self.slow) - 1 + ema_memory(self.smooth) - 1

    def generate(self, candles: DataFrame) -> DataFrame:
        """Return `macd`, `macd_average`, `histogram` (their difference, all in quote currency) and the target."""
        line = ema(candles["close"], self.fast) - ema(candles["close"], self.slow)
        average = ema(line, self.smooth)
        target = above(line, average) - above(average, line) if self.short else above(line, average)
        return DataFrame({"macd": line, "macd_average": average, "histogram": line - average, "target": target})

    @classmethod
    def shared(cls, candles: DataFrame) -> Callable[[Any], Changes] | None:
        """Compute the average over each window once."""
        if not usable(candles):
            return None
        close = candles["close"].to_numpy()
        average = Remembered(lambda window: exponential(close, window), len(candles))

        def changes(strategy: Macd) -> Changes:
            fast, slow = average(strategy.fast), average(strategy.slow)
            return crossed_smoothed(fast, slow, strategy.smooth, strategy.warmup, short=strategy.short)

        return changes
