"""Buy once and hold: what every other strategy has to beat."""

from __future__ import annotations

from pandas import DataFrame

from tasks.signal.strategy import Strategy


class BuyAndHold(Strategy):
    """Buy at the first candle and hold."""

    @property
    def warmup(self) -> int:
        """None."""
        return 0

    def generate(self, candles: DataFrame) -> DataFrame:
        """Return a target of 1."""
        return DataFrame({"target": 1.0}, index=candles.index)
