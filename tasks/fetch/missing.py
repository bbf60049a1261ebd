"""Which ranges of a series on a shelf the lake lacks: `data.missing` has the rule."""

from __future__ import annotations

import pandas as pd

from data.missing import Absence, Holding, Range, ranges_to_ask
from data.timeframe import parse_timeframe
from tasks.fetch.shelf import Shelf


def missing(
    shelf: Shelf, start: pd.Timestamp | None, end: pd.Timestamp | None, now: pd.Timestamp, *, again: int = 1
) -> list[Range]:
    """Return what to ask for so that the lake holds the closed candles from `start` to before `end`.

    See `ranges_to_ask`. So many of the last candles are asked for `again` together with what is later.
    """
    step = pd.Timedelta(parse_timeframe(shelf.series.timeframe))

    def look() -> Holding | None:
        times = shelf.times(start)
        if times.empty:
            return None
        wide = (times[1:] - times[:-1] > step).nonzero()[0].tolist()
        return Holding(times[0], times[-1], times[-again:][0], [(times[at], times[at + 1]) for at in wide])

    return ranges_to_ask(look, start, end, now, step, lambda: _absences(shelf))


def _absences(shelf: Shelf) -> list[Absence]:
    facts = [known.fact for known in shelf.facts() if known.resolved_at is None]
    return [Absence(fact.kind, fact.start, fact.end) for fact in facts]
