"""Crossover of two simple moving averages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pandas import DataFrame
from pydantic import Field

from tasks.engine.changes import Changes
from tasks.signal.indicators import sma
from tasks.signal.quick import Means, Remembered, Together, crossed, usable
from tasks.signal.strategy import Strategy, above, increasing


class SmaCrossover(Strategy):
    """Hold while the fast simple moving average of the close is above the slow one."""

    fast: int = Field(50, ge=1, le=5_000, description="candles in the fast average")
    slow: int = Field(100, ge=2, le=5_000, description="candles in the slow average")
    short: bool = Field(False, description="be short, not flat, while the fast average is below the slow one")
    _order = increasing("fast", "slow")

    @property
    def warmup(self) -> int:
        """The slow average's candles but one."""
        return self.slow - 1

    def generate(self, candles: DataFrame) -> DataFrame:
        """Return `fast`, `slow` (quote currency) and the target."""
        fast, slow = sma(candles["close"], self.fast), sma(candles["close"], self.slow)
        target = above(fast, slow) - above(slow, fast) if self.short else above(fast, slow)
        return DataFrame({"fast": fast, "slow": slow, "target": target})

    @classmethod
    def shared(cls, candles: DataFrame) -> Callable[[Any], Changes] | None:
        """Take all averages from one cumulative sum where that is exact; else compute the one over each window once."""
        if not usable(candles):
            return None
        close = candles["close"]
        means = Means(close.to_numpy())
        average = Remembered(lambda window: sma(close, window).to_numpy(), len(candles))

        def changes(strategies: Sequence[SmaCrossover]) -> list[Changes]:
            if all(means.fit(one.fast, one.slow) for one in strategies):
                return means.crossed([(one.fast, one.slow, one.short) for one in strategies])
            return [crossed(average(one.fast), average(one.slow), one.warmup, short=one.short) for one in strategies]

        return Together(changes)
