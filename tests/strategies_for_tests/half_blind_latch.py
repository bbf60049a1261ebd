"""Offender: at the beginning the exits are seen already and the entries not yet."""

from tasks.signal import DataFrame, Strategy, hold


class HalfBlindLatch(Strategy):
    """Buy above the high of 40 candles, sell below the low of 5."""

    @property
    def warmup(self):
        return 40

    def generate(self, candles):
        entries = candles["close"] > candles["high"].shift(1).rolling(40).max()
        return DataFrame({"target": hold(entries, candles["close"] < candles["low"].shift(1).rolling(5).min())})
