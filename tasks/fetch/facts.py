"""The facts about a series in the lake's table `quality`: found once, kept, and resolved when they cease to hold."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

import pandas as pd
import pyarrow as pa

from data.tables import TABLES
from data.views import read
from data.writer import Lake
from tasks.fetch.source import Fact, Series

_EVENTS = ("duplicate", "revision")
"""Kinds that tell what happened once; the others hold as long as the candles are as they are."""


_Row = tuple[Fact, datetime, datetime | None]
"""A fact, when it was found, and when it was resolved."""


class Span(NamedTuple):
    """A range of times, both ends included."""

    start: pd.Timestamp
    end: pd.Timestamp

    def holds(self, fact: Fact) -> bool:
        """Tell whether a fact lies wholly inside."""
        return self.start <= fact.start and fact.end <= self.end


def read_facts(lake: Lake, series: Series) -> list[Fact]:
    """Return the facts that hold about a series."""
    return [fact for fact, _, resolved in _rows(lake, series) if resolved is None]


def record(
    lake: Lake, series: Series, found: Iterable[Fact], judged: Span | None, present: pd.Index[pd.Timestamp]
) -> list[Fact]:
    """Write what is new about a series and return it; where nothing changed, nothing is written.

    A fact that is known keeps its `found_at`. One that lies in the span `judged` and was not found again is resolved,
    and so is a window in which there are candles now (`present`, their times).
    """
    now = datetime.now(UTC)
    held = {_key(fact): (fact, found_at, resolved) for fact, found_at, resolved in _rows(lake, series)}
    stated = {_key(fact): fact for fact in found}
    changed: list[_Row] = []
    new = []
    for key, fact in stated.items():
        known, found_at, resolved = held.get(key, (None, now, None))
        if known != fact or resolved is not None:
            changed.append((fact, found_at, None))
        if known is None or resolved is not None:
            new.append(fact)
    for key, (fact, found_at, resolved) in held.items():
        if resolved is None and key not in stated and _ceased(fact, judged, present):
            changed.append((fact, found_at, now))
    if changed:
        lake.upsert("quality", _table(series, changed))
    return new


def _ceased(fact: Fact, judged: Span | None, present: pd.Index[pd.Timestamp]) -> bool:
    if fact.kind == "window":
        return bool(((present >= fact.start) & (present <= fact.end)).any())
    return judged is not None and fact.kind not in _EVENTS and judged.holds(fact)


def _key(fact: Fact) -> tuple[str, pd.Timestamp, pd.Timestamp]:
    return fact.kind, fact.start, fact.end


def _rows(lake: Lake, series: Series) -> list[_Row]:
    query = """SELECT kind, epoch_us(start_ts) AS start, epoch_us(end_ts) AS "end", candles, detail,
        epoch_us(found_at) AS found, epoch_us(resolved_at) AS resolved
        FROM quality WHERE exchange = ? AND symbol = ? AND timeframe = ?"""
    return [
        (
            Fact(row["kind"], _utc(row["start"]), _utc(row["end"]), row["candles"], row["detail"]),
            _utc(row["found"]),
            None if row["resolved"] is None else _utc(row["resolved"]),
        )
        for row in read(lake, query, list(series), tables={"quality"}).to_pylist()
    ]


def _utc(microseconds: int) -> pd.Timestamp:
    return pd.Timestamp(microseconds, unit="us", tz="UTC")


def _table(series: Series, rows: list[_Row]) -> pa.Table:
    columns = [
        {
            **series._asdict(),
            "kind": fact.kind,
            "start_ts": fact.start,
            "end_ts": fact.end,
            "candles": fact.candles,
            "detail": fact.detail,
            "found_at": found_at,
            "resolved_at": resolved_at,
        }
        for fact, found_at, resolved_at in rows
    ]
    return pa.Table.from_pylist(columns, schema=TABLES["quality"].schema)
