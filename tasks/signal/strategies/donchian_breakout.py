"""Breakout from Donchian's channel, as the Turtles traded it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pandas import DataFrame
from pydantic import Field

from tasks.engine.changes import Changes
from tasks.signal.quick import Remembered, held, held_on_both_sides, usable
from tasks.signal.strategy import Strategy, hold


class DonchianBreakout(Strategy):
    """Buy when the close breaks the highest high of the candles before it, and sell when it breaks their lowest low."""

    entry: int = Field(20, ge=1, le=5_000, description="candles before this one whose high is to be broken")
    exit: int = Field(10, ge=1, le=5_000, description="candles before this one whose low ends the position")
    short: bool = Field(False, description="sell short below the lowest low of `entry` candles, the mirror image")

    @property
    def warmup(self) -> int:
        """The longer channel, which ends before the candle itself."""
        return max(self.entry, self.exit)

    def generate(self, candles: DataFrame) -> DataFrame:
        """Return `upper` (broken to enter), `lower` (broken to leave; both in quote currency) and the target."""
        close = candles["close"]
        highs, lows = candles["high"].shift(1), candles["low"].shift(1)
        upper, lower = highs.rolling(self.entry).max(), lows.rolling(self.exit).min()
        target = hold(close > upper, close < lower, warmup=self.warmup)
        if self.short:
            cover, enter = highs.rolling(self.exit).max(), lows.rolling(self.entry).min()
            target -= hold(close < enter, close > cover, warmup=self.warmup)
        return DataFrame({"upper": upper, "lower": lower, "target": target})

    @classmethod
    def shared(cls, candles: DataFrame) -> Callable[[Any], Changes] | None:
        """Compute the channel of each window once."""
        if not usable(candles):
            return None
        close, highs, lows = candles["close"].to_numpy(), candles["high"].shift(1), candles["low"].shift(1)
        top = Remembered(lambda window: highs.rolling(window).max().to_numpy(), len(candles))
        bottom = Remembered(lambda window: lows.rolling(window).min().to_numpy(), len(candles))

        def changes(strategy: DonchianBreakout) -> Changes:
            entry, leave, warmup = strategy.entry, strategy.exit, strategy.warmup
            long = close > top(entry), close < bottom(leave)
            if not strategy.short:
                return held(*long, warmup)
            return held_on_both_sides(long, (close < bottom(entry), close > top(leave)), warmup)

        return changes
