"""Momentum, with a position whose size keeps the risk level."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from pandas import DataFrame, Series
from pydantic import Field

from tasks.engine.changes import Changes
from tasks.signal.indicators import deviation
from tasks.signal.quick import Remembered, sizes_from, usable
from tasks.signal.strategy import Strategy, above


class VolatilityTargetedMomentum(Strategy):
    """Hold while the price has risen over the look-back, the less the more volatile the market is.

    The position is risk / volatility, at most 1, rounded down to one of `steps` equal steps: without them it would be
    traded at every candle.
    """

    lookback: int = Field(90, ge=1, le=5_000, description="candles over which the price must have risen")
    window: int = Field(30, ge=2, le=5_000, description="returns in the volatility")
    risk: float = Field(0.02, gt=0, le=1, description="wanted standard deviation of the account's return per candle")
    steps: int = Field(4, ge=1, le=100, description="sizes of the position, above none")
    short: bool = Field(False, description="be short, not flat, while the price has fallen")

    @property
    def warmup(self) -> int:
        """The longer of the look-back and the volatility's returns."""
        return max(self.lookback, self.window)

    def generate(self, candles: DataFrame) -> DataFrame:
        """Return `momentum`, `volatility` (fractions, the latter a candle's standard deviation) and the target."""
        close = candles["close"]
        momentum = close / close.shift(self.lookback) - 1
        volatility = deviation(close / close.shift(1) - 1, self.window, ddof=1)
        direction = above(momentum, 0) - above(-momentum, 0) if self.short else above(momentum, 0)
        return DataFrame({"momentum": momentum, "volatility": volatility, "target": direction * self._size(volatility)})

    def _size(self, volatility: Series) -> Series:
        size = self.risk / volatility.clip(lower=self.risk)
        return (size * self.steps) // 1 / self.steps

    @classmethod
    def shared(cls, candles: DataFrame) -> Callable[[Any], Changes] | None:
        """Compute the momentum of each look-back and the volatility of each window once."""
        if not usable(candles):
            return None
        close = candles["close"]
        returns = close / close.shift(1) - 1

        def sign(lookback: int, lowest: float) -> npt.NDArray[np.float64]:
            signs: npt.NDArray[np.float64] = np.sign((close / close.shift(lookback) - 1).to_numpy())
            return np.maximum(signs, lowest)

        direction = Remembered(lambda asked: sign(*asked), len(candles))
        volatility = Remembered(lambda window: deviation(returns, window, ddof=1).to_numpy(), len(candles))

        def changes(strategy: VolatilityTargetedMomentum) -> Changes:
            signs = direction((strategy.lookback, -1.0 if strategy.short else 0.0))
            return sizes_from(signs, volatility(strategy.window), strategy.risk, strategy.steps, strategy.warmup)

        return changes
