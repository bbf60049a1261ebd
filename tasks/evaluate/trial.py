"""The figures of parameter sets, out of what a pass without tables has added up: of one, with reasons, and of many."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
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

BLOCK_NAMES = tuple(f"{kind}{block}" for kind in "sq" for block in range(BLOCKS))

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

    @cached_property
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

    def many(self, values: Floats, tallies: Any) -> dict[str, Floats]:
        """Return the same figures of many runs, a row each of `values` and `tallies`; NaN where one is absent."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            columns = self._columns(values, tallies)
        for row in np.flatnonzero(tallies["ruin"] >= 0):
            found = self.figures(values[row], tallies[row])
            for name, column in columns.items():
                value = found[name].value
                column[row] = math.nan if value is None else value
        return columns

    def blocks(self, values: Floats, tallies: Any) -> Floats:
        """Return the sums by stretch of time that the probability of overfitting needs: a row a run, by BLOCK_NAMES.

        NaN for a run with too few returns, or that was ruined.
        """
        if values.shape[1] < MIN_RETURNS:
            return np.full((len(values), len(BLOCK_NAMES)), math.nan)
        sums = np.hstack(block_sums(returns_of(self.cash, values)))
        sums[tallies["ruin"] >= 0] = math.nan
        return sums

    def _columns(self, values: Floats, tallies: Any) -> dict[str, Floats]:
        """Return the figures of accounts none of which is ruined."""
        returns = returns_of(self.cash, values)
        first = Sample(returns[0], np.empty(0), self._per_year, self._days) if len(values) else None
        year = math.nan if first is None or first.too_short is not None else self._per_year
        volatility, mean = _deviation(returns), returns.mean(axis=1)
        sharpe = _over(mean, volatility, volatility > ROUNDING)
        downside = np.sqrt((np.minimum(returns, 0) ** 2).mean(axis=1))
        sortino = _over(mean, downside, downside != 0)
        closed, loss = tallies["closed"], tallies["loss"]
        skewness, kurtosis = _moments_of(returns)
        found = {
            "observations": np.full(len(values), float(values.shape[1])),
            "annual_return": mean * year,
            "cumulative_return": values[:, -1] / self.cash - 1,
            "annual_volatility": volatility * math.sqrt(year),
            "sharpe_ratio": sharpe * math.sqrt(year),
            "sortino_ratio": sortino * math.sqrt(year),
            "period_volatility": volatility,
            "period_sharpe": sharpe,
            "period_sortino": sortino,
            "skewness": skewness,
            "kurtosis": kurtosis,
            "max_drawdown": np.where(tallies["drawdown"] < -ROUNDING, tallies["drawdown"], 0.0),
            "trades": tallies["trades"].astype(np.float64),
            "win_rate": _over(tallies["won"], closed, closed > 0),
            "profit_factor": _over(tallies["gain"], loss, (closed > 0) & (loss != 0)),
            "exposure_time": tallies["held"] / len(self.opens),
            "fees_paid": tallies["fees"].copy(),
        }
        return {name: np.where(np.isfinite(column), column, math.nan) for name, column in found.items()}

    @cached_property
    def _days(self) -> float:
        return float(self.opens[-1] + self.candle - self.opens[0]) / DAY

    @cached_property
    def _per_year(self) -> float:
        return periods_per_year(self.candle, self.calendar)

    def returns(self, values: Floats, tallies: Any) -> list[NDArray[np.float32]]:
        """Return the returns of many runs as the lake keeps them."""
        rows = list(returns_of(self.cash, values).astype(np.float32))
        for row in np.flatnonzero(tallies["ruin"] >= 0).tolist():
            rows[row] = self._sample(values[row], tallies[row]).returns.astype(np.float32)
        return rows

    def _sample(self, values: Floats, tally: Any) -> Sample:
        """Return the returns, which end at the candle that ruins the account."""
        ruin = int(tally["ruin"])
        if ruin >= 0:
            values = np.append(values[self.ends < ruin], float(tally["worth"]))
        return Sample(returns_of(self.cash, values), np.empty(0), self._per_year, self._days)


def _moments(returns: Floats) -> dict[str, Figure]:
    """Return the plain third and fourth moments in standard deviations."""
    if float(returns.std()) <= ROUNDING:
        return dict.fromkeys(("skewness", "kurtosis"), absent("the returns do not vary"))
    skewness, kurtosis = _moments_of(returns[None])
    return {"skewness": figure(float(skewness[0])), "kurtosis": figure(float(kurtosis[0]))}


def _moments_of(returns: Floats) -> tuple[Floats, Floats]:
    """Return the same of many, a row each."""
    deviation = returns.std(axis=1)
    scores = _over(returns - returns.mean(axis=1)[:, None], deviation[:, None], (deviation > ROUNDING)[:, None])
    squares = scores * scores
    return (squares * scores).mean(axis=1), (squares * squares).mean(axis=1)


def _deviation(returns: Floats) -> Floats:
    return returns.std(axis=1, ddof=1) if returns.shape[1] > 1 else np.full(len(returns), math.nan)


def _over(top: Any, bottom: Any, defined: Any) -> Floats:
    """Return top / bottom where it is defined, else NaN."""
    return np.where(defined, top / bottom, math.nan)
