"""Offender: an exponential average needs more candles than its window."""

import talib

from tasks.signal import DataFrame, Field, Strategy, above


class ShortWarmupEma(Strategy):
    """Hold while the close is above its exponential average."""

    window: int = Field(30, ge=2, description="window of the average")
    warm: float = Field(1.0, gt=0, description="warm-up in windows; 9 is honest")

    @property
    def warmup(self):
        return int(self.warm * self.window)

    def generate(self, candles):
        average = talib.EMA(candles["close"], self.window)
        return DataFrame({"average": average, "target": above(candles["close"], average)})
