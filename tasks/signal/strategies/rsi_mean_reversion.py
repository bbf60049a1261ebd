"""Mean reversion by Wilder's relative strength index."""

from __future__ import annotations

from pandas import DataFrame
from pydantic import Field

from tasks.signal.indicators import rsi, wilder_memory
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
