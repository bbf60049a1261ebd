"""Offender: looks one candle ahead, and only where there is one."""

import numpy as np

from tasks.signal import DataFrame, Strategy


class FutureExtreme(Strategy):
    """Leave before a candle that falls by more than 8 %; on the last candle it decides without."""

    @property
    def warmup(self):
        return 0

    def generate(self, candles):
        low = candles["low"].to_numpy()
        fall = np.append(low[1:], low[-1:]) / candles["close"].to_numpy() - 1
        return DataFrame({"target": (fall > -0.08).astype(float)}, index=candles.index)
