"""Mean reversion by Wilder's relative strength index."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pandas import DataFrame
from pydantic import Field

from tasks.engine.changes import Changes
from tasks.signal.indicators import rsi, wilder_memory
from tasks.signal.quick import Remembered, held, held_on_both_sides, usable
from tasks.signal.strategy import Strategy, hold, increasing


class RsiMeanReversion(Strategy):
    """Buy when the relative strength index falls below `oversold`, and sell when it is back above `recovered`."""

    window: int = Field(14, ge=2, le=500, description="Wilder's window, in candles")
    oversold: float = Field(30, gt=0, lt=100, description="buy below this index")
    recovered: float = Field(50, gt=0, lt=100, description="close the position beyond this index")
    overbought: float = Field(70, gt=0, lt=100, description="sell short above this index, if `short`")
    short: bool = Field(False, description="be short from above `overbought` until below `recovered`")
    _order = increasing("oversold", "recovered", "overbought")

    @property
    def warmup(self) -> int:
        """All that the index looks at, about sixteen times its window."""
        return wilder_memory(self.window)

    def generate(self, candles: DataFrame) -> DataFrame:
        """Return `rsi` (0 to 100) and the target."""
        index = rsi(candles["close"], self.window)
        target = hold(index < self.oversold, index > self.recovered)
        if self.short:
            target -= hold(index > self.overbought, index < self.recovered)
        return DataFrame({"rsi": index, "target": target})

    @classmethod
    def shared(cls, candles: DataFrame) -> Callable[[Any], Changes] | None:
        """Compute the index of each window once."""
        if not usable(candles):
            return None
        close = candles["close"]
        index_of = Remembered(lambda window: rsi(close, window).to_numpy(), len(candles))

        def changes(strategy: RsiMeanReversion) -> Changes:
            index, warmup = index_of(strategy.window), strategy.warmup
            long = index < strategy.oversold, index > strategy.recovered
            if not strategy.short:
                return held(*long, warmup)
            return held_on_both_sides(long, (index > strategy.overbought, index < strategy.recovered), warmup)

        return changes
