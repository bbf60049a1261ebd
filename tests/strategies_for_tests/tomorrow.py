"""Offender: shift(-1) is tomorrow."""

from tasks.signal import DataFrame, Strategy, above


class Tomorrow(Strategy):
    """Hold while tomorrow's close is higher; no indicator gives it away."""

    @property
    def warmup(self):
        return 0

    def generate(self, candles):
        return DataFrame({"target": above(candles["close"].shift(-1), candles["close"]).fillna(0.0)})
