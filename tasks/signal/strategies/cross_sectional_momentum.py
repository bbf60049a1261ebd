"""Cross-sectional momentum: the markets that have risen most."""

from __future__ import annotations

from pandas import DataFrame, concat
from pydantic import Field

from tasks.signal.strategy import PortfolioStrategy


class CrossSectionalMomentum(PortfolioStrategy):
    """Hold, in equal parts, the few markets that have risen most over the look-back; with `positive`, only if they did.

    Jegadeesh and Titman (1993) rank stocks so, by their returns over the months before.
    """

    lookback: int = Field(90, ge=1, le=5_000, description="candles over which the rise is measured")
    top: int = Field(3, ge=1, le=500, description="markets that are held")
    positive: bool = Field(True, description="hold none that has not risen")

    @property
    def warmup(self) -> int:
        """The look-back."""
        return self.lookback

    def generate(self, candles: DataFrame) -> DataFrame:
        """Return `momentum` (a fraction) and the target; a market without a candle, now or then, has no signal."""
        close = DataFrame(candles["close"])
        momentum = close / close.shift(self.lookback) - 1
        held = momentum.rank(axis=1, ascending=False, method="first") <= self.top
        if self.positive:
            held &= momentum > 0
        weights = (held / self.top).mask(momentum.isna())
        return concat({"momentum": momentum, "target": weights}, axis=1)
