"""A strategy that is in and out all the time, the same for the same candle."""

from tasks.signal import DataFrame, Strategy


class Restless(Strategy):
    """Hold in some candles and not in others, by their time alone."""

    @property
    def warmup(self):
        return 0

    def generate(self, candles):
        minutes = candles.index.as_unit("s").asi8 // 60
        thirds = (minutes * 2654435761 >> 7) % 4
        return DataFrame({"target": thirds / 3}, index=candles.index)
