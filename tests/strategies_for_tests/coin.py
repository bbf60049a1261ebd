"""Offender: a coin decides."""

import numpy as np

from tasks.signal import DataFrame, Strategy


class Coin(Strategy):
    """Hold when the coin says so."""

    @property
    def warmup(self):
        return 0

    def generate(self, candles):
        return DataFrame({"target": np.random.default_rng().integers(0, 2, len(candles))}, index=candles.index)
