"""What the quick ways of the strategies (`Strategy.shared`) are made of: to the changes of a target without a frame.

Each gives bit for bit what its counterpart in `tasks.signal.indicators` or `tasks.signal.strategy` gives, on candles
whose closes are all numbers. The loops are compiled; numba is imported by the first call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt
from pandas import DataFrame

from tasks.engine.changes import Changes
from tasks.signal.indicators import GRIDS, ema_memory, exponential_shares

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Levels = npt.NDArray[np.int8]
Flags = npt.NDArray[np.bool_]

MEMORY = 2**27
"""Bytes of series that a sweep remembers at most, of each of the two kinds that a strategy has."""


class Remembered:
    """A series by what it depends on: computed once, also when many threads ask at once, and while there is room."""

    def __init__(self, compute: Callable[[Any], Floats], candles: int) -> None:
        self._compute = compute
        self._cell = lru_cache(max(2, MEMORY // (8 * candles or 1)))(_Cell)

    def __call__(self, key: Any) -> Floats:
        """Return the series of a key."""
        cell = self._cell(key)
        with cell.lock:
            if cell.series is None:
                cell.series = self._compute(key)
                cell.series.flags.writeable = False
            return cell.series


class _Cell:
    def __init__(self, key: object) -> None:
        self.key, self.lock, self.series = key, Lock(), None  # type: tuple[object, Lock, Floats | None]


class Together:
    """A way from many parameter sets to their targets at once; called with one set, it gives the target of that."""

    def __init__(self, many: Callable[[Sequence[Any]], list[Changes]]) -> None:
        self.many = many

    def __call__(self, strategy: Any) -> Changes:
        """Return the target of one set."""
        return self.many([strategy])[0]


def usable(candles: DataFrame) -> bool:
    """Tell whether the quick ways hold for candles: all closes are numbers."""
    return bool(np.isfinite(candles["close"].to_numpy(np.float64, na_value=np.nan)).all())


def changes_from(levels: Levels, first: int) -> Changes:
    """Return the changes of a target that is -1, 0 or 1 from candle `first` on, and none before."""
    from tasks.signal import scans

    def find(bars: Ints, goals: Floats) -> int:
        return scans.find_changes(levels, first, bars, goals) if first < levels.size else 0

    return _found(find, levels.size)


def sizes_from(direction: Floats, volatility: Floats, risk: float, steps: int, first: int) -> Changes:
    """Return the changes of direction * risk / volatility, that at most 1 and rounded down to one of so many steps."""
    from tasks.signal import scans

    def find(bars: Ints, goals: Floats) -> int:
        return scans.find_sizes(direction, volatility, risk, float(steps), first, bars, goals)

    return _found(find, direction.size)


def _found(find: Callable[[Ints, Floats], int], size: int) -> Changes:
    """Return the changes that a loop finds, given room for as many as there can be."""
    bars, goals = np.empty(size + 1, np.int64), np.empty(size + 1)
    count = find(bars, goals)
    return Changes(bars[:count].copy(), goals[:count].copy())


def crossed(first: Floats, second: Floats, warmup: int, *, short: bool) -> Changes:
    """Return the changes of `above(first, second)`, less `above(second, first)` if `short`."""
    levels = (first > second).view(np.int8)
    if short:
        levels -= (first < second).view(np.int8)
    return changes_from(levels, warmup)


def held(entries: Flags, exits: Flags, warmup: int) -> Changes:
    """Return the changes of `hold(entries, exits, warmup=warmup)`."""
    from tasks.signal import scans

    return _found(lambda bars, goals: scans.find_held(entries, exits, warmup, bars, goals), entries.size)


def held_on_both_sides(long: tuple[Flags, Flags], short: tuple[Flags, Flags], warmup: int) -> Changes:
    """Return the changes of `hold` by the entries and exits of longs, less that by those of shorts."""
    from tasks.signal import scans

    levels = [np.empty(entries.size, np.int8) for entries, _ in (long, short)]
    known = [scans.hold_levels(*flags, warmup, own) for flags, own in zip((long, short), levels, strict=True)]
    return changes_from(levels[0] - levels[1], max(known))


def outside(values: Floats, middle: Floats, spread: Floats, width: float, *, side: float) -> Flags:
    """Return `values < middle - width * spread` for side 1, and `values > middle + width * spread` for side -1."""
    from tasks.signal import scans

    flags = np.empty(values.size, np.bool_)
    scans.leave_band(values, middle, spread, width, side, flags)
    return flags


def exponential(values: Floats, window: int) -> Floats:
    """Return `ema(values, window)` of values that are all numbers."""
    from tasks.signal import scans

    memory, means = ema_memory(window), np.full(len(values), np.nan)
    if memory <= len(values):
        doubled, joined = exponential_shares(window)
        scans.fold_exponential(values, memory, doubled, joined, means[memory - 1 :])
    return means


def crossed_smoothed(fast: Floats, slow: Floats, window: int, warmup: int, *, short: bool) -> Changes:
    """Return the changes as `crossed` does, of `fast - slow` and `exponential` of that over the window.

    The two are numbers from candle `warmup` less `window`'s memory on.
    """
    from tasks.signal import scans

    memory, levels = ema_memory(window), np.empty(len(fast), np.int8)
    known = slice(warmup - memory + 1, None)
    scans.compare_smoothed(fast[known], slow[known], memory, *exponential_shares(window), short, levels[warmup:])
    return changes_from(levels, warmup)


class Means:
    """Crossings of simple moving averages, of closes on a decimal grid: all out of one cumulative sum.

    On such a grid `sma` is the mean of whole numbers, rounded once. Two different means of `fast` and `slow` of them
    are at least 1 / (fast * slow) apart, so that while the largest number times both windows is below 2 ** 52 they are
    never rounded to the same float, and `fast > slow` can be asked of the sums.
    """

    def __init__(self, closes: Floats) -> None:
        from tasks.signal import scans

        self._sums = np.empty(len(closes) + 1)
        found = (scans.sum_ticks(closes, float(grid), self._sums) for grid in GRIDS)
        self._most = next((most for most in found if most >= 0), np.inf)

    def fit(self, fast: int, slow: int) -> bool:
        """Tell whether two windows can be compared so."""
        return self._most * len(self._sums) < 2**53 and self._most * fast * slow < 2**52

    def crossed(self, windows: Sequence[tuple[int, int, bool]]) -> list[Changes]:
        """Return the changes as `crossed` does, for each two windows that fit, the first the smaller one, and `short`.

        One compiled call makes all of them: many short ones would have threads wait for each other.
        """
        from tasks.signal import scans

        size = len(self._sums) - 1
        asked, starts = np.array(windows, np.int64).reshape(-1, 3), np.zeros(len(windows) + 1, np.int64)
        levels, bars, goals, done = np.empty(size, np.int8), np.empty(2 * size, np.int64), np.empty(2 * size), 0
        while (done := scans.find_crossings(self._sums, asked, done, levels, starts, bars, goals)) < len(windows):
            bars, goals = np.append(bars, np.empty_like(bars)), np.append(goals, np.empty_like(goals))
        return [Changes(bars[begin:end], goals[begin:end]) for begin, end in pairwise(starts.tolist())]
