"""Which ranges of a series the lake lacks: the rule by which a source is asked for those alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import pandas as pd

_MICROSECOND = pd.Timedelta(microseconds=1)


class Range(NamedTuple):
    """Candles to ask for, from `since` to before `until`; None: as far as the source goes."""

    since: pd.Timestamp | None
    until: pd.Timestamp | None


class Absence(NamedTuple):
    """Candles that are known not to be had: a `gap`, or a `window` before which the source has nothing."""

    kind: str
    start: pd.Timestamp
    """First candle that it covers."""
    end: pd.Timestamp
    """Last candle that it covers."""


class Holding(NamedTuple):
    """What the lake holds of a series: when candles open."""

    first: pd.Timestamp
    last: pd.Timestamp
    again: pd.Timestamp
    """The candle from which on the last ones are asked for again, together with what is later."""
    holes: Sequence[tuple[pd.Timestamp, pd.Timestamp]]
    """Pairs of candles that follow each other, though others are due between them; ascending."""


def ranges_to_ask(
    look: Callable[[], Holding | None],
    start: pd.Timestamp | None,
    end: pd.Timestamp | None,
    now: pd.Timestamp,
    step: pd.Timedelta,
    absences: Callable[[], Iterable[Absence]],
) -> list[Range]:
    """Return what to ask for so that the lake holds the closed candles from `start` to before `end`.

    A hole that is a known absence was asked for before, and the source had nothing; one that is not is still to be
    asked for, as after a collection that was interrupted. Ranges begin and end with a candle that is held, where one
    is: that proves that nothing lies between, and shows whether it was changed. Without `start`, only what is later
    than the last candle is missing.

    `look` tells what is held (it may leave out what lies before the last candle that is not after `start`), `absences`
    what cannot be had; each is asked only where it matters.
    """
    closed = now - step + _MICROSECOND
    after = closed if end is None else min(end, closed)
    if start is not None and start >= after:
        return []
    held = look()
    if held is None:
        return [Range(start, end)]
    ranges = [] if start is None else list(_before(held, start, after, step, absences))
    if held.last + step < after:
        ranges.append(Range(held.again if start is None else max(held.again, start), None))
    return [Range(since, end if until is None else min(until, after)) for since, until in ranges]


def _before(
    held: Holding,
    start: pd.Timestamp,
    after: pd.Timestamp,
    step: pd.Timedelta,
    absences: Callable[[], Iterable[Absence]],
) -> Iterator[Range]:
    """Yield what is missing before the last candle that is held."""
    earlier = (held.first - start) // step
    holes = [(one, other) for one, other in held.holes if other > start and one + step < after]
    known = list(absences()) if earlier > 0 or holes else []
    if earlier > 0:
        due = held.first - earlier * step, min(held.first, after) - step
        if not _explained(due, due, known):
            yield Range(start, held.first + step)
    for one, other in holes:
        hole = one + step, other - step
        if not _explained(hole, (max(hole[0], start), min(hole[1], after)), known):
            yield Range(max(one, start), other + step)


def _explained(
    hole: tuple[pd.Timestamp, pd.Timestamp], wanted: tuple[pd.Timestamp, pd.Timestamp], known: list[Absence]
) -> bool:
    """Tell whether a hole is a known gap, or what is wanted of it lies in a known window."""
    return any(
        (absence.kind == "gap" and (absence.start, absence.end) == hole)
        or (absence.kind == "window" and absence.start <= wanted[0] and wanted[1] <= absence.end)
        for absence in known
    )
