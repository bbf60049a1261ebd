"""Indicators whose value depends on a bounded window of candles and on nothing before it.

Libraries keep running sums and endless recursions (`pandas.rolling`, TA-Lib): their value then depends, in the last
digits, on where the history begins, and live, which fetches only so much of it, may decide a tie otherwise than the
backtest did. Here each value is built from its own window by doubling: windows of 1, 2, 4, 8 ... candles are joined
until they span the one wanted. That takes log2(window) passes and the same operations for every candle, so that it is
the same, bit for bit, whatever history precedes it. The tests hold the values to TA-Lib and to published tables.

Every function takes a float64 Series and returns one with its index; where the window reaches before the first candle,
or touches a NaN, the value is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pandas import Series

NEGLIGIBLE = 1e-7
"""Share of an exponential mean that may lie before its window."""

GRIDS = (10**4, 10**8)
"""Parts of 1 that prices are whole numbers of: four or eight decimals."""
_EXACT = 2**53

Array = NDArray[Any]
Join = Callable[[Array, Array, int, int], Array]


def sma(values: Series, window: int) -> Series:
    """Return the simple moving average over `window` candles, of the decimal prices rather than of their floats.

    Where all values of a window lie on a grid of four or eight decimals, they are summed as whole numbers and the mean
    is rounded once. So two averages that are equal on paper are equal here, and `fast > slow` is never decided by
    rounding.
    """
    x = _floats(values)
    means = np.full(max(len(x) - window + 1, 0), np.nan)
    for grid in GRIDS:
        missing = np.isnan(means)
        if not missing.any():
            break
        sums, strangers = _fold(_ticks(x, window, grid), window, _add)
        means = np.where(missing & (strangers == 0), sums / (window * grid), means)
    missing = np.isnan(means)
    if missing.any():
        means = np.where(missing, _fold(x, window, _join_means), means)
    return _aligned(values, means)


def deviation(values: Series, window: int, ddof: int = 0) -> Series:
    """Return the standard deviation over `window` candles; exactly 0 where the values do not move.

    `ddof` 0 is the population's (Bollinger's), 1 the sample's. Joined by T. Chan, G. Golub and R. LeVeque, "Updating
    formulae and a pairwise algorithm for computing sample variances" (1979), which does not cancel.
    """
    if window <= ddof:
        raise ValueError(f"window must be above {ddof}")
    x = _floats(values)
    _, squares = _fold(np.stack([x, np.where(np.isnan(x), np.nan, 0.0)]), window, _join_moments)
    return _aligned(values, np.sqrt(squares / (window - ddof)))


def ema(values: Series, window: int) -> Series:
    """Return the exponential moving average that gives the newest candle 2 / (window + 1) of the weight.

    It spans `ema_memory(window)` candles, about eight times the window.
    """
    return _exponential(values, _ema_alpha(window))


def ema_memory(window: int) -> int:
    """Return the number of candles that `ema` looks at.

    >>> ema_memory(20)
    162
    """
    return _memory(_ema_alpha(window))


def wilder(values: Series, window: int) -> Series:
    """Return Wilder's average, which gives the newest candle 1 / window of the weight.

    It spans `wilder_memory(window)` candles, about sixteen times the window.
    """
    return _exponential(values, _wilder_alpha(window))


def wilder_memory(window: int) -> int:
    """Return the number of values that `wilder` looks at; `rsi` looks at one candle more, for it takes changes.

    >>> wilder_memory(14)
    218
    """
    return _memory(_wilder_alpha(window))


def rsi(values: Series, window: int) -> Series:
    """Return the relative strength index, 0 to 100, of J. W. Wilder, "New Concepts in Technical Trading" (1978).

    A market that did not move in all of its memory is neither weak nor strong: 50.
    """
    change = values.diff()
    gain = wilder(change.clip(lower=0), window)
    loss = wilder(-change.clip(upper=0), window)
    moved = gain + loss
    return (100 * gain / moved.where(moved > 0)).where(moved != 0, 50.0)


def _ema_alpha(window: int) -> float:
    return 2 / (_valid(window) + 1)


def _wilder_alpha(window: int) -> float:
    return 1 / _valid(window)


def _valid(window: int) -> int:
    if window < 1:
        raise ValueError(f"window must be 1 or more, not {window}")
    return window


def exponential_shares(window: int) -> tuple[Array, Array]:
    """Return the shares of the older block where `ema` joins two, by the power of 2 that the newer one has for size.

    Of two blocks of that size, and of that size and all that was taken before it (0 where nothing was).
    """
    keep, memory = 1 - _ema_alpha(window), ema_memory(window)
    sizes = [2**power for power in range(memory.bit_length())]
    taken = [memory & (size - 1) for size in sizes]
    doubled = [_older_share(keep, size, size) for size in sizes]
    joined = [_older_share(keep, before, size) if before else 0.0 for before, size in zip(taken, sizes, strict=True)]
    return np.array(doubled), np.array(joined)


def _exponential(values: Series, alpha: float) -> Series:
    keep = 1 - alpha

    def join(older: Array, newer: Array, older_size: int, newer_size: int) -> Array:
        return newer + (older - newer) * _older_share(keep, older_size, newer_size)

    return _aligned(values, _fold(_floats(values), _memory(alpha), join))


def _older_share(keep: float, older_size: int, newer_size: int) -> float:
    """Return the weight of the older of two blocks in their mean."""
    return keep**newer_size * (1 - keep**older_size) / (1 - keep ** (older_size + newer_size))


def _memory(alpha: float) -> int:
    """Count the candles after which less than NEGLIGIBLE of the weight, (1 - alpha) ** candles, is left."""
    return 1 if alpha == 1 else math.ceil(math.log(NEGLIGIBLE) / math.log1p(-alpha))


def _fold(values: Array, window: int, join: Join) -> Array:
    """Reduce every `window` neighbours along the last axis by `join(older, newer, older_size, newer_size)`.

    Only operations element by element are used: numpy's own sums choose their order by the shape of the array.
    """
    if values.shape[-1] < _valid(window):
        return values[..., :0]
    block, size = values, 1
    folded, taken = None, 0
    with np.errstate(invalid="ignore", over="ignore"):
        while True:
            if window & size:
                newer = block[..., taken:]
                folded = newer if folded is None else join(folded[..., : newer.shape[-1]], newer, taken, size)
                taken += size
            if folded is not None and taken == window:
                return folded
            block = join(block[..., :-size], block[..., size:], size, size)
            size *= 2


def _ticks(x: Array, window: int, grid: int) -> Array:
    """Return the values as whole numbers of 1 / grid, and under them 1 for each that is none (its number is 0).

    A value is on the grid when its float is the one nearest to the decimal, and so small that the sum of a window of
    such values is still exact as a float.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        ticks = np.rint(x * grid)
        on_grid = (np.abs(ticks) * window < _EXACT) & (ticks / grid == x)
    return np.stack([np.where(on_grid, ticks, 0), ~on_grid]).astype(np.int64)


def _add(older: Array, newer: Array, _older_size: int, _newer_size: int) -> Array:
    return older + newer


def _join_means(older: Array, newer: Array, older_size: int, newer_size: int) -> Array:
    return older + (newer - older) * (newer_size / (older_size + newer_size))


def _join_moments(older: Array, newer: Array, older_size: int, newer_size: int) -> Array:
    size = older_size + newer_size
    apart = newer[0] - older[0]
    mean = older[0] + apart * (newer_size / size)
    return np.stack([mean, older[1] + newer[1] + apart * apart * (older_size * newer_size / size)])


def _floats(values: Series) -> Array:
    return values.to_numpy(dtype=np.float64, na_value=np.nan)


def _aligned(values: Series, ends: Array) -> Series:
    aligned = np.full(len(values), np.nan)
    aligned[len(values) - len(ends) :] = ends
    return Series(aligned, index=values.index)
