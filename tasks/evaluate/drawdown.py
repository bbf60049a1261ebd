"""Falls of the equity below its peak: how deep, how long, how often."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tasks.evaluate.account import DAY, Account, Flags, Floats, Ints
from tasks.evaluate.figure import Figure, Figures, figure, ratio
from tasks.evaluate.sample import ROUNDING


class Drawdowns(NamedTuple):
    """Stretches below a peak, one entry each, in order of time."""

    depths: Floats
    """Lowest point as a fraction of the peak, below 0."""
    days: Floats
    """From the peak to the close that reaches it again, or to the last close."""
    unfinished: bool
    """Whether the last one has not ended."""


def drawdown_series(start: float, values: Floats) -> Floats:
    """Return values / their peak so far - 1, with the starting value before them as the first peak.

    The result is one longer than the values. What differs from the peak by rounding alone is 0.
    """
    curve = np.concatenate(([start], values))
    series = curve / np.maximum.accumulate(curve) - 1.0
    series[series > -ROUNDING] = 0.0
    return series


def find_drawdowns(series: Floats, instants: Ints) -> Drawdowns:
    """Split a series of drawdowns (0 at the first instant) into its stretches below the peak.

    Instants are microseconds.
    """
    below: Flags = series < 0
    edges = np.diff(below.astype(np.int8), append=0)
    peaks = np.flatnonzero(edges[:-1] == 1)
    if not len(peaks):
        return Drawdowns(np.empty(0), np.empty(0), unfinished=False)
    unfinished = bool(below[-1])
    ends = np.minimum(np.flatnonzero(edges == -1) + 1, len(series) - 1)
    days = (instants[ends] - instants[peaks]) / DAY
    return Drawdowns(np.minimum.reduceat(series, peaks), days, unfinished)


def drawdown_figures(account: Account, cagr: Figure, cumulative_return: Figure) -> Figures:
    """Compute the drawdown's figures over all closes, and the ratios of growth to it."""
    series = drawdown_series(account.cash, account.equity)
    found = find_drawdowns(series, np.concatenate((account.opens[:1], account.closes)))
    deepest = float(series.min())
    none = not len(found.days)
    longest = 0.0 if none else float(found.days.max())
    goes_on = "still under water at the end" if found.unfinished else None
    return {
        "max_drawdown": figure(deepest),
        "max_drawdown_days": figure(longest, note=goes_on if found.unfinished and found.days[-1] == longest else None),
        "average_drawdown": figure(0.0 if none else found.depths.mean(), note=goes_on),
        "average_drawdown_days": figure(0.0 if none else found.days.mean(), note=goes_on),
        "current_drawdown": figure(float(series[-1]), note=goes_on),
        "current_drawdown_days": figure(float(found.days[-1]) if found.unfinished else 0.0, note=goes_on),
        "ulcer_index": figure(np.sqrt(np.mean(series[1:] ** 2))),
        "calmar_ratio": _per_drawdown(cagr, deepest),
        "recovery_factor": _per_drawdown(cumulative_return, deepest),
    }


def _per_drawdown(growth: Figure, deepest: float) -> Figure:
    return growth if growth.value is None else ratio(growth.value, -deepest, "there was no drawdown")
