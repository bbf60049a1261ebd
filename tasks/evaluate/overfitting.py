"""The probability of backtest overfitting, by combinatorially symmetric cross-validation.

Source: D. H. Bailey, J. M. Borwein, M. Lopez de Prado, Q. J. Zhu, "The Probability of Backtest Overfitting", Journal of
Computational Finance 20(4), 2017, section 3.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BLOCKS = 16
"""S of the paper: stretches of time, of which each half is played against the other, 12,870 ways in all."""
MIN_RETURNS = 4 * BLOCKS
_AT_ONCE = 2**19
"""Ratios computed at a time, which bounds the memory."""


def block_bounds(observations: int) -> NDArray[np.int64]:
    """Return where the 16 stretches begin, and the end: as even as can be."""
    return np.linspace(0, observations, BLOCKS + 1).astype(np.int64)


def block_sums(returns: Floats) -> tuple[Floats, Floats]:
    """Return sum and sum of squares of the returns (last axis) in each stretch: all that their Sharpe ratios need."""
    starts = block_bounds(returns.shape[-1])[:-1]
    return np.add.reduceat(returns, starts, axis=-1), np.add.reduceat(returns**2, starts, axis=-1)


def overfitting_probability(sums: Floats, squares: Floats, observations: int) -> float:
    """Return how often the best set of one half of the time is below the median in the other half (paper, 3.1 to 3.3).

    `sums` and `squares` have a row a stretch and a column a set. The rank is that of the Sharpe ratio; the logit of the
    relative rank w = rank / (N + 1) is 0 or below where w is 1/2 or below. Ties share their rank.
    """
    sizes = np.diff(block_bounds(observations)).astype(np.float64)
    chosen = [blocks for blocks in combinations(range(BLOCKS), BLOCKS // 2) if 0 in blocks]  # the others mirror these
    halves = np.zeros((len(chosen), BLOCKS))
    for row, blocks in enumerate(chosen):
        halves[row, blocks] = 1.0
    step, overfit = max(1, _AT_ONCE // sums.shape[1]), 0
    for first in range(0, len(halves), step):
        half = halves[first : first + step]
        one, other = (_ratios(side, sums, squares, sizes) for side in (half, 1.0 - half))
        overfit += _overfit(one, other) + _overfit(other, one)
    return overfit / (2 * len(halves))


def _overfit(inside: Floats, outside: Floats) -> int:
    """Return in how many rows the best set inside is not above the median outside."""
    own = np.take_along_axis(outside, inside.argmax(axis=1)[:, None], axis=1)
    rank = np.count_nonzero(outside < own, axis=1) + (np.count_nonzero(outside == own, axis=1) + 1) / 2
    return int(np.count_nonzero(rank / (outside.shape[1] + 1) <= 0.5))


def _ratios(halves: Floats, sums: Floats, squares: Floats, sizes: Floats) -> Floats:
    """Return the Sharpe ratio of each set in each half; 0 where its returns do not vary."""
    count = (halves @ sizes)[:, None]
    mean = halves @ sums / count
    variance = (halves @ squares / count - mean**2) * count / (count - 1)
    varies = variance > 1e-24
    ratios: Floats = np.where(varies, mean / np.sqrt(np.where(varies, variance, 1.0)), 0.0)
    return ratios
