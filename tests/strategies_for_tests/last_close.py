"""Offender: the last row is the future of all the others."""

from tasks.signal import DataFrame, Strategy


class LastClose(Strategy):
    """Hold while the close is below where the history ends."""

    @property
    def warmup(self):
        return 0

    def generate(self, candles):
        return DataFrame({"target": (candles["close"] < candles["close"].iloc[-1]).astype(float)})
