"""Mean reversion between Bollinger's bands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pandas import DataFrame
from pydantic import Field

from tasks.engine.changes import Changes
from tasks.signal.indicators import deviation, sma
from tasks.signal.quick import Remembered, held, held_on_both_sides, outside, usable
from tasks.signal.strategy import Strategy, hold


class BollingerBands(Strategy):
    """Buy when the close falls below the lower Bollinger band, and sell when it is back above the middle one."""

    window: int = Field(20, ge=2, le=5_000, description="candles in the average and the standard deviation")
    width: float = Field(2.0, gt=0, le=10, description="distance of the bands from the middle, in standard deviations")
    short: bool = Field(False, description="be short from above the upper band until below the middle one")

    @property
    def warmup(self) -> int:
        """The window's candles but one."""
        return self.window - 1

    def generate(self, candles: DataFrame) -> DataFrame:
        """Return `lower`, `middle`, `upper` (quote currency) and the target."""
        close = candles["close"]
        middle = sma(close, self.window)
        reach = self.width * deviation(close, self.window)
        lower, upper = middle - reach, middle + reach
        target = hold(close < lower, close > middle)
        if self.short:
            target -= hold(close > upper, close < middle)
        return DataFrame({"lower": lower, "middle": middle, "upper": upper, "target": target})

    @classmethod
    def shared(cls, candles: DataFrame) -> Callable[[Any], Changes] | None:
        """Compute the average and the deviation of each window once."""
        if not usable(candles):
            return None
        close = candles["close"]
        closes = close.to_numpy()
        average = Remembered(lambda window: sma(close, window).to_numpy(), len(candles))
        spread = Remembered(lambda window: deviation(close, window).to_numpy(), len(candles))

        def changes(strategy: BollingerBands) -> Changes:
            middle, warmup = average(strategy.window), strategy.warmup
            bands = closes, middle, spread(strategy.window), strategy.width
            long = outside(*bands, side=1.0), closes > middle
            if not strategy.short:
                return held(*long, warmup)
            return held_on_both_sides(long, (outside(*bands, side=-1.0), closes < middle), warmup)

        return changes
