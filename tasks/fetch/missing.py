"""Which ranges of a series the lake lacks, so that an exchange is asked for those alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pandas as pd

from data.timeframe import parse_timeframe
from tasks.fetch.facts import Span
from tasks.fetch.shelf import Shelf
from tasks.fetch.source import Fact

_MICROSECOND = pd.Timedelta(microseconds=1)


class Range(NamedTuple):
    """Candles to ask for, from `since` to before `until`; None: as far as the source goes."""

    since: pd.Timestamp | None
    until: pd.Timestamp | None


def missing(
    shelf: Shelf, start: pd.Timestamp | None, end: pd.Timestamp | None, now: pd.Timestamp, *, again: int = 1
) -> list[Range]:
    """Return what to ask for so that the lake holds the closed candles from `start` to before `end`.

    A hole with a fact (`gap`, `window`) was asked for before, and the source had nothing; one without is still to be
    asked for, as after a collection that was interrupted. Ranges begin and end with a candle that is held, where one
    is: that proves that nothing lies between, and shows whether it was changed. Without `start`, only what is later
    than the last candle is missing. So many of the last candles are asked for `again` together with what is later.
    """
    step = pd.Timedelta(parse_timeframe(shelf.series.timeframe))
    closed = now - step + _MICROSECOND
    after = closed if end is None else min(end, closed)
    if start is not None and start >= after:
        return []
    held = shelf.times(start)
    if held.empty:
        return [Range(start, end)]
    ranges = [] if start is None else list(_before(start, after, held, shelf, step))
    if held[-1] + step < after:
        last = held[-again:][0]
        ranges.append(Range(last if start is None else max(last, start), None))
    return [Range(since, end if until is None else min(until, after)) for since, until in ranges]


def _before(
    start: pd.Timestamp, after: pd.Timestamp, held: pd.DatetimeIndex, shelf: Shelf, step: pd.Timedelta
) -> Iterator[Range]:
    """Yield what is missing before the last candle that is held."""
    earlier = (held[0] - start) // step
    holes = [(one, other) for one, other in _holes(held, step) if other > start and one + step < after]
    facts = [known.fact for known in shelf.facts() if known.resolved_at is None] if earlier > 0 or holes else []
    if earlier > 0:
        due = Span(held[0] - earlier * step, min(held[0], after) - step)
        if not _explained(due, due, facts):
            yield Range(start, held[0] + step)
    for one, other in holes:
        hole = Span(one + step, other - step)
        if not _explained(hole, Span(max(hole.start, start), min(hole.end, after)), facts):
            yield Range(max(one, start), other + step)


def _holes(held: pd.DatetimeIndex, step: pd.Timedelta) -> list[tuple[pd.Timestamp, pd.Timestamp]]:
    """Return the candles that follow each other, though others are due between them."""
    wide = (held[1:] - held[:-1] > step).nonzero()[0].tolist()
    return [(held[at], held[at + 1]) for at in wide]


def _explained(hole: Span, wanted: Span, facts: list[Fact]) -> bool:
    """Tell whether a hole is a known gap, or what is wanted of it lies in a known window."""
    return any(
        (fact.kind == "gap" and (fact.start, fact.end) == hole)
        or (fact.kind == "window" and fact.start <= wanted.start and wanted.end <= fact.end)
        for fact in facts
    )
