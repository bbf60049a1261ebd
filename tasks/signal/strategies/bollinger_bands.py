"""Mean reversion between Bollinger's bands."""

from __future__ import annotations

from pandas import DataFrame
from pydantic import Field

from tasks.signal.indicators import deviation, sma
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
