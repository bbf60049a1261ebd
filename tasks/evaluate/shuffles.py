"""Monte Carlo of the trades: what their order, and which of them there were, owe to chance."""

from __future__ import annotations

import numpy as np

from tasks.evaluate.account import Floats
from tasks.evaluate.bootstrap import RESAMPLES
from tasks.evaluate.figure import Figure, Figures, absent
from tasks.evaluate.intervals import MIN_TRADES, OUTSIDE

_AT_ONCE = 2**19
"""Trades shuffled at a time, which bounds the memory."""


def shuffle_figures(profit: Floats, cash: float) -> Figures:
    """Compute median and 95 % of the histories that the closed trades could have made, 1,000 of each kind.

    A trade multiplies the equity before it, as closed trades made it, by 1 + profit / equity. Shuffled, the trades lead
    to the same end by another way: the drawdown at their exits is what differs. Drawn with replacement, some of them
    twice and others not at all, they end elsewhere. Both take the trades to be independent of each other.
    """
    names = ("shuffled_drawdown", "drawn_final_equity")
    if len(profit) < MIN_TRADES:
        return dict.fromkeys(names, absent(f"needs {MIN_TRADES} closed trades"))
    before = cash + np.concatenate(([0.0], profit.cumsum()[:-1]))
    factors = 1 + profit / np.maximum(before, np.finfo(float).tiny)
    if (before <= 0).any() or (factors <= 0).any():
        return dict.fromkeys(names, absent("the closed trades lost all the cash"))
    lot, steps, step = np.random.default_rng(0), np.log(factors), max(1, _AT_ONCE // len(profit))
    depths, ends = np.empty(RESAMPLES), np.empty(RESAMPLES)
    for first in range(0, RESAMPLES, step):
        rows = slice(first, min(first + step, RESAMPLES))
        size = rows.stop - rows.start
        depths[rows] = _drawdowns(lot.permuted(np.tile(steps, (size, 1)), axis=1))
        ends[rows] = steps[lot.integers(len(steps), size=(size, len(steps)))].sum(axis=1)
    own = float(_drawdowns(steps[None, :])[0])
    came = f"as they came {own:.2%}; {np.mean(depths < own - 1e-12):.0%} of the orders are deeper"
    return {"shuffled_drawdown": _told(depths, came), "drawn_final_equity": _told(cash * np.exp(ends), None)}


def _drawdowns(steps: Floats) -> Floats:
    """Return the deepest fall of each row of logarithmic growth below its peak so far, or below its beginning."""
    path = np.cumsum(steps, axis=1)
    falls: Floats = np.expm1((path - np.maximum(np.maximum.accumulate(path, axis=1), 0)).min(axis=1))
    return falls


def _told(values: Floats, note: str | None) -> Figure:
    low, middle, high = np.percentile(values, [OUTSIDE, 50, 100 - OUTSIDE])
    return Figure(float(middle), float(low), float(high), note)
