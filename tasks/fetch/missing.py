"""Which ranges of a series the lake lacks, so that an exchange is asked for those alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import duckdb
import pandas as pd

from data.timeframe import parse_timeframe
from data.views import connect
from data.writer import Lake
from tasks.fetch.facts import Span, read_facts
from tasks.fetch.source import Fact, Series

_MICROSECOND = pd.Timedelta(microseconds=1)


class Range(NamedTuple):
    """Candles to ask for, from `since` to before `until`; None: as far as the source goes."""

    since: pd.Timestamp | None
    until: pd.Timestamp | None


class _Held(NamedTuple):
    first: pd.Timestamp
    last: pd.Timestamp
    holes: list[tuple[pd.Timestamp, pd.Timestamp]]
    """Candles that follow each other, though others are due between them."""


def missing(
    lake: Lake, series: Series, start: pd.Timestamp | None, end: pd.Timestamp | None, now: pd.Timestamp
) -> list[Range]:
    """Return what to ask for so that the lake holds the closed candles from `start` to before `end`.

    A hole with a fact (`gap`, `window`) was asked for before, and the source had nothing; one without is still to be
    asked for, as after a collection that was interrupted. Ranges begin and end with a candle that is held, where one
    is: that proves that nothing lies between, and shows whether it was changed. Without `start`, only what is later
    than the last candle is missing.
    """
    step = pd.Timedelta(parse_timeframe(series.timeframe))
    closed = now - step + _MICROSECOND
    after = closed if end is None else min(end, closed)
    if start is not None and start >= after:
        return []
    held = _held(lake, series, start, after, step)
    if held is None:
        return [Range(start, end)]
    ranges = [] if start is None else list(_before(start, after, held, read_facts(lake, series), step))
    if held.last + step < after:
        ranges.append(Range(held.last if start is None else max(held.last, start), None))
    return [Range(since, end if until is None else min(until, after)) for since, until in ranges]


def _before(
    start: pd.Timestamp, after: pd.Timestamp, held: _Held, facts: list[Fact], step: pd.Timedelta
) -> Iterator[Range]:
    earlier = (held.first - start) // step
    if earlier > 0:
        due = Span(held.first - earlier * step, min(held.first, after) - step)
        if not _explained(due, due, facts):
            yield Range(start, held.first + step)
    for one, other in held.holes:
        hole = Span(one + step, other - step)
        if not _explained(hole, Span(max(hole.start, start), min(hole.end, after)), facts):
            yield Range(max(one, start), other + step)


def _explained(hole: Span, wanted: Span, facts: list[Fact]) -> bool:
    """Tell whether a hole is a known gap, or what is wanted of it lies in a known window."""
    return any(
        (fact.kind == "gap" and (fact.start, fact.end) == hole)
        or (fact.kind == "window" and fact.start <= wanted.start and wanted.end <= fact.end)
        for fact in facts
    )


def _held(
    lake: Lake, series: Series, start: pd.Timestamp | None, after: pd.Timestamp, step: pd.Timedelta
) -> _Held | None:
    connection = connect(lake, tables={"candles"})
    connection.execute(
        "CREATE TABLE held AS SELECT ts FROM candles WHERE exchange = ? AND symbol = ? AND timeframe = ?", list(series)
    )
    first, last = _row(connection.execute("SELECT epoch_us(min(ts)), epoch_us(max(ts)) FROM held"))
    holes = connection.execute(
        """SELECT epoch_us(ts), epoch_us(next) FROM (SELECT ts, lead(ts) OVER (ORDER BY ts) AS next FROM held)
        WHERE next - ts > $step AND next > $start AND ts + $step < $after""",
        {"step": step.to_pytimedelta(), "start": start or after, "after": after},
    ).fetchall()
    connection.close()
    return (
        None
        if first is None or last is None
        else _Held(_utc(first), _utc(last), [(_utc(one), _utc(other)) for one, other in holes])
    )


def _utc(microseconds: int) -> pd.Timestamp:
    return pd.Timestamp(microseconds, unit="us", tz="UTC")


def _row(result: duckdb.DuckDBPyConnection) -> tuple[int | None, int | None]:
    row = result.fetchone()
    return (None, None) if row is None else (row[0], row[1])
