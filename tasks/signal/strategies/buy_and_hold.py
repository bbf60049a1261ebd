"""Buy once and hold: what every other strategy has to beat."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from pandas import DataFrame

from tasks.engine.changes import Changes
from tasks.signal.strategy import Strategy


class BuyAndHold(Strategy):
    """Buy at the first candle and hold."""

    @property
    def warmup(self) -> int:
        """None."""
        return 0

    def generate(self, candles: DataFrame) -> DataFrame:
        """Return a target of 1."""
        return DataFrame({"target": 1.0}, index=candles.index)

    @classmethod
    def shared(cls, candles: DataFrame) -> Callable[[Any], Changes]:  # noqa: ARG003
        """One change, at the first candle."""
        return lambda _: Changes(np.zeros(1, np.int64), np.ones(1))
