"""The stationary bootstrap: histories drawn from one, in blocks that keep how neighbouring returns hang together.

`arch.bootstrap` has both the drawing and the block length, one history and one series at a time; it takes longer to
import than a backtest takes. These give the same numbers for all at once, and the tests hold them to it.

Sources: D. N. Politis, J. P. Romano, "The Stationary Bootstrap", Journal of the American Statistical Association
89(428), 1994; D. N. Politis, H. White, "Automatic Block-Length Selection for the Dependent Bootstrap", Econometric
Reviews 23(1), 2004; A. Patton, D. N. Politis, H. White, "Correction", Econometric Reviews 28(4), 2009.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.evaluate.account import Floats, Ints

RESAMPLES = 1_000
_FEWEST = 20
"""Instants below which nothing can be said of autocorrelation."""
_AT_ONCE = 2**19
"""Instants drawn at a time: they stay in the processor's cache, and memory is bounded."""


def draw(count: int, block: float, resamples: int = RESAMPLES, seed: int = 0) -> Iterator[Ints]:
    """Yield the instants of resampled histories of `count` instants, a history a column, some columns at a time.

    Politis and Romano (1994), section 2: a block begins at any instant, goes on with the probability 1 - 1 / `block`,
    so that its mean length is `block`, and after the last instant comes the first. The same seed draws the same.
    """
    lot, step = np.random.default_rng(seed), max(1, _AT_ONCE // count)
    for first in range(0, resamples, step):
        size = (count, min(step, resamples - first))
        yield follow(lot.integers(count, size=size, dtype=np.int32), lot.random(size, dtype=np.float32), 1 / block)


def follow(starts: Ints, chances: NDArray[np.floating[Any]], probability: float) -> Ints:
    """Return the instants where each begins a block, by its start, if its chance is within the probability."""
    if probability >= 1:
        return starts
    count = len(starts)
    place = np.arange(count, dtype=np.int32)[:, None]
    begun = np.where(chances <= probability, place, 0)
    np.maximum.accumulate(begun, axis=0, out=begun)
    found = np.take_along_axis(starts, begun, axis=0) + (place - begun)
    found[found >= count] -= count
    return found


def counts(instants: Ints) -> Floats:
    """Return how often each instant is in each history; figures in rows times it are their sums, a history a column."""
    count, histories = instants.shape
    flat = instants * np.int64(histories) + np.arange(histories)
    return np.bincount(flat.ravel(), minlength=count * histories).reshape(count, histories).astype(np.float64)


def block_length(series: Floats) -> float:
    """Return the mean length of a block for series in columns, 1 or more: the mean of their own best lengths.

    For one series: Politis and White (2004), with the constant as Patton, Politis and White (2009) correct it; their
    flat-top window is as wide as twice the first lag after which autocorrelations stay within 2 * root(log10(n) / n).
    The length grows with the autocorrelation, and is 1 or near it for returns that are independent. Series that do not
    vary count for nothing.
    """
    columns = np.asarray(series, dtype=np.float64).reshape(len(series), -1)
    columns = columns[:, columns.std(axis=0) > 0]
    if len(columns) < _FEWEST or not columns.shape[1]:
        return 1.0
    return max(1.0, float(_block_lengths(columns).mean()))


def _block_lengths(columns: Floats) -> Floats:
    """Return the best mean length for each column."""
    count = len(columns)
    quiet = max(5, int(np.log10(count)))
    furthest = min(int(np.ceil(np.sqrt(count))) + quiet, count - 3)
    centred = columns - columns.mean(axis=0)
    covariance, correlation = _autocovariances(centred, furthest)
    within = np.abs(correlation) < 2 * np.sqrt(np.log10(count) / count)
    streaks = np.lib.stride_tricks.sliding_window_view(within, quiet, axis=0)[:-1].all(axis=-1)
    first = np.where(streaks.any(axis=0), streaks.argmax(axis=0), -1)
    width = np.where(first >= 0, np.minimum(2 * np.maximum(first, 1), furthest), furthest)
    lag = np.arange(1, furthest + 1)[:, None]
    window = np.clip(2 * (1 - lag / width), 0, 1) * covariance[1:]
    slope, variance = 2 * (lag * window).sum(axis=0), covariance[0] + 2 * window.sum(axis=0)
    lengths: Floats = (slope**2 / np.maximum(variance**2, 1e-300) * count) ** (1 / 3)
    longest: Floats = np.minimum(lengths, np.ceil(min(3 * np.sqrt(count), count / 3)))
    return longest


def _autocovariances(centred: Floats, furthest: int) -> tuple[Floats, Floats]:
    """Return autocovariances and autocorrelations from lag 0 on; the latter of the two parts that meet at the lag."""
    count = len(centred)
    covariance, correlation = np.empty((2, furthest + 1, centred.shape[1]))
    for lag in range(furthest + 1):
        ahead, behind = centred[lag:], centred[: count - lag]
        product = np.einsum("ij,ij->j", ahead, behind)
        later, sooner = centred[lag + 1 :], centred[: count - lag - 1]
        spread = np.sqrt(np.einsum("ij,ij->j", later, later) * np.einsum("ij,ij->j", sooner, sooner))
        covariance[lag], correlation[lag] = product / count, product / np.maximum(spread, 1e-300)
    return covariance, correlation
