"""The figures of one parameter set, out of what a pass without tables has added up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.evaluate.account import DAY, Floats, Ints
from tasks.evaluate.figure import Figure, Figures, absent, figure, ratio
from tasks.evaluate.overfitting import BLOCKS, MIN_RETURNS, block_sums
from tasks.evaluate.returns import annual, risk_figures
from tasks.evaluate.sample import ROUNDING, Sample, period_ends, periods_per_year, returns_of

OBJECTIVES = {
    "sharpe": "period_sharpe",
    "sortino": "period_sortino",
    "return": "cumulative_return",
    "drawdown": "max_drawdown",
    "profit_factor": "profit_factor",
}
"""What sets can be ranked by, higher being better; a ratio of one period ranks as the annual one, and needs no year."""

KEPT = 2**24
"""Returns of a sweep that the lake keeps, 64 MB; where its sets have more, those of every n-th set are kept."""


def kept_every(sets: int, periods: int) -> int:
    """Return n: the returns of every n-th of so many sets are kept."""
    return max(1, -(-sets * periods // KEPT))


@dataclass(frozen=True)
class Stretch:
    """The candles that sets are tried on: opening instants and the length of a candle, in microseconds (UTC)."""

    opens: Ints
    candle: int
    calendar: str
    cash: float

    @property
    def ends(self) -> Ints:
        """The candles at whose closes the equity is needed."""
        return period_ends(self.opens, self.candle)

    def figures(self, values: Floats, tally: Any) -> Figures:
        """Return the figures of a run, as `evaluate` gives them, and those that the statistics of a sweep need.

        `values` is the equity at the `ends`, `tally` a row as the engine's pass fills it.
        """
        sample, final = self._sample(values, tally), float(values[-1])
        closed, won = int(tally["closed"]), int(tally["won"])
        drawdown = float(tally["drawdown"])
        return {
            "observations": figure(len(sample.returns)),
            "annual_return": annual(figure(sample.returns.mean() * sample.periods_per_year), sample),
            "cumulative_return": figure(final / self.cash - 1),
            **risk_figures(sample),
            **_moments(sample.returns),
            "max_drawdown": figure(drawdown if drawdown < -ROUNDING else 0.0),
            "trades": figure(int(tally["trades"])),
            "win_rate": ratio(won, closed, "no closed trade"),
            "profit_factor": ratio(float(tally["gain"]), float(tally["loss"]), "no trade lost")
            if closed
            else absent("no closed trade"),
            "exposure_time": figure(int(tally["held"]) / len(self.opens)),
            "fees_paid": figure(float(tally["fees"])),
        }

    def blocks(self, values: Floats, tally: Any) -> dict[str, float] | None:
        """Return the sums by stretch of time that the probability of overfitting needs; None with too few returns."""
        returns = self._sample(values, tally).returns
        if len(returns) < MIN_RETURNS or len(returns) < len(values):
            return None
        sums, squares = block_sums(returns)
        return {
            f"{kind}{block}": float(of[block]) for kind, of in (("s", sums), ("q", squares)) for block in range(BLOCKS)
        }

    def returns(self, values: Floats, tally: Any) -> NDArray[np.float32]:
        """Return the returns as the lake keeps them."""
        return self._sample(values, tally).returns.astype(np.float32)

    def _sample(self, values: Floats, tally: Any) -> Sample:
        """Return the returns, which end at the candle that ruins the account."""
        ruin = int(tally["ruin"])
        if ruin >= 0:
            values = np.append(values[self.ends < ruin], float(tally["worth"]))
        days = float(self.opens[-1] + self.candle - self.opens[0]) / DAY
        per_year = periods_per_year(self.candle, self.calendar)
        return Sample(returns_of(self.cash, values), np.empty(0), per_year, days)


def _moments(returns: Floats) -> dict[str, Figure]:
    """Return the plain third and fourth moments in standard deviations."""
    deviation = float(returns.std())
    if deviation <= ROUNDING:
        return dict.fromkeys(("skewness", "kurtosis"), absent("the returns do not vary"))
    scores = (returns - returns.mean()) / deviation
    return {"skewness": figure(float((scores**3).mean())), "kurtosis": figure(float((scores**4).mean()))}
