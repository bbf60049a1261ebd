"""Offender: declares a warm-up of 5 candles, and says nothing for 100."""

from tasks.signal import DataFrame, Strategy, above, sma


class SilentBeginning(Strategy):
    """Hold while the close is above its average, which is not shown."""

    @property
    def warmup(self):
        return 5

    def generate(self, candles):
        return DataFrame({"target": above(candles["close"], sma(candles["close"], 101))})
