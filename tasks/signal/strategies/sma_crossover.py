"""Crossover of two simple moving averages."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pandas import DataFrame
from pydantic import Field

from tasks.signal.indicators import sma
from tasks.signal.strategy import Strategy, above, increasing

_REMEMBERED = 2**28
"""Bytes of moving averages that a sweep keeps at most."""


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
    def shared(cls, candles: DataFrame) -> Callable[[Any], NDArray[np.float64]]:
        """Compute the average over each window once."""

        @lru_cache(max(2, _REMEMBERED // (8 * len(candles) or 1)))
        def average(window: int) -> NDArray[np.float64]:
            return sma(candles["close"], window).to_numpy()

        def target(strategy: SmaCrossover) -> NDArray[np.float64]:
            fast, slow = average(strategy.fast), average(strategy.slow)
            wanted = (fast > slow).astype(np.float64)
            if strategy.short:
                wanted -= fast < slow
            wanted[: strategy.warmup] = np.nan
            wanted[np.isnan(fast) | np.isnan(slow)] = np.nan
            return wanted

        return target
