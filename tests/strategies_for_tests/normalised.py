"""Offender: the mean and deviation of the whole series are known only at its end."""

from tasks.signal import DataFrame, Strategy, above


class Normalised(Strategy):
    """Hold while the z-score over all candles is positive."""

    @property
    def warmup(self):
        return 0

    def generate(self, candles):
        score = (candles["close"] - candles["close"].mean()) / candles["close"].std()
        return DataFrame({"score": score, "target": above(score, 0)})
