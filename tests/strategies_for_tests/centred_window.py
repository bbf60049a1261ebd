"""Offender: a window that is centred on the candle reaches into the future."""

from tasks.signal import DataFrame, Strategy, above


class CentredWindow(Strategy):
    """Hold while the close is above a centred average."""

    @property
    def warmup(self):
        return 10

    def generate(self, candles):
        average = candles["close"].rolling(11, center=True).mean()
        return DataFrame({"average": average, "target": above(candles["close"], average)})
