"""A target as its changes: what a sweep keeps of a signal, which changes seldom, instead of a number a candle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from data.errors import BadInput
from tasks.engine.inputs import Floats, Ints


class Changes(NamedTuple):
    """The candles from which on a target has another value; before the first of them it has none (NaN)."""

    bars: Ints
    """Positions of candles, increasing."""
    goals: Floats
    """The target from there on, -1 to 1; NaN: no signal."""


def changes_of(target: npt.NDArray[np.float64]) -> Changes:
    """Return the changes of a target that has a number a candle."""
    if not target.size:
        return Changes(np.empty(0, np.int64), np.empty(0))
    before, after = target[:-1], target[1:]
    differs = (before != after) & ~(np.isnan(before) & np.isnan(after))
    bars = np.concatenate(([0], np.flatnonzero(differs) + 1))
    return Changes(bars, target[bars])


def spread(changes: Changes, size: int) -> Floats:
    """Return the target, a number a candle, of so many candles: the inverse of `changes_of`."""
    target = np.full(size, np.nan)
    first = changes.bars[0] if changes.bars.size else size
    target[first:] = np.repeat(changes.goals, np.diff(changes.bars, append=size))
    return target


def cut(changes: Changes, span: slice) -> Changes:
    """Return the changes of the target's part from `span.start` to `span.stop`, whose candles are counted from 0."""
    bars, goals = changes
    if span.start == 0 and (not bars.size or bars[-1] < span.stop):
        return changes
    first, last = np.searchsorted(bars, span.start, "right"), np.searchsorted(bars, span.stop, "left")
    begins = max(int(first) - 1, 0)  # what holds at the start was decided before it
    return Changes(np.maximum(bars[begins:last] - span.start, 0), goals[begins:last])


class Many(NamedTuple):
    """Targets one after the other, as compiled code takes them: target i is from `starts[i]` to `starts[i + 1]`."""

    starts: Ints
    bars: Ints
    goals: Floats


def joined(targets: Sequence[Changes]) -> Many:
    """Put targets one after the other."""
    starts = np.cumsum([0, *(len(target.bars) for target in targets)])
    bars = np.concatenate([target.bars for target in targets] or [np.empty(0, np.int64)])
    return Many(starts, bars, np.concatenate([target.goals for target in targets] or [np.empty(0)]))


def checked(changes: Changes, size: int) -> Changes:
    """Return changes as they are. Raises BadInput where they are no target of so many candles."""
    from tasks.engine.kernel import first_unfit

    bars, goals = changes
    if not _typed(changes):
        raise BadInput("a target's changes are positions of candles (int64) and as many values (float64)")
    wrong = first_unfit(*joined([changes]), size)
    if wrong >= 0:
        raise BadInput(
            f"a target changes to {goals[wrong]:g} at candle {bars[wrong]}: it must lie between -1 and 1, and the "
            f"candles between 0 and {size - 1}, in order"
        )
    return changes


def all_fit(targets: Sequence[Changes], size: int) -> bool:
    """Tell whether `checked` would take all of them, by one look."""
    from tasks.engine.kernel import first_unfit

    return all(map(_typed, targets)) and first_unfit(*joined(targets), size) < 0


def _typed(changes: Changes) -> bool:
    bars, goals = changes
    return bars.shape == goals.shape and bars.dtype == np.int64 and goals.dtype == np.float64
