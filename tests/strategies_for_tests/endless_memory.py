"""Offender: a mean since the beginning depends on where the history begins."""

from tasks.signal import DataFrame, Strategy, above


class EndlessMemory(Strategy):
    """Hold while the close is above its mean since the first candle."""

    @property
    def warmup(self):
        return 200

    def generate(self, candles):
        mean = candles["close"].expanding().mean()
        return DataFrame({"mean": mean, "target": above(candles["close"], mean)})
