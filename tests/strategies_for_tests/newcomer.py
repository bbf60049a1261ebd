"""No offender: the strategy of a newcomer, as the documentation shows it."""

from tasks.signal import DataFrame, Field, Strategy, above, sma


class Newcomer(Strategy):
    """Hold while the close is above its average."""

    window: int = Field(20, ge=2, description="candles averaged")

    @property
    def warmup(self):
        return self.window - 1

    def generate(self, candles):
        average = sma(candles["close"], self.window)
        return DataFrame({"average": average, "target": above(candles["close"], average)})
