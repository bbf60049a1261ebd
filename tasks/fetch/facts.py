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


class Known(NamedTuple):
    """A fact that the lake holds."""

    fact: Fact
    found_at: datetime
    resolved_at: datetime | None
    """None: it holds."""

    @property
    def key(self) -> tuple[str, pd.Timestamp, pd.Timestamp]:
        """What makes it one fact, however its words change."""
        return _key(self.fact)


class Span(NamedTuple):
    """A range of times, both ends included."""

    start: pd.Timestamp
    end: pd.Timestamp

    def holds(self, fact: Fact) -> bool:
        """Tell whether a fact lies wholly inside."""
        return self.start <= fact.start and fact.end <= self.end


class Changes(NamedTuple):
    """What a look at a series changes in what is known of it."""

    rows: list[Known]
    """To be written."""
    new: list[Fact]
    """Those that did not hold before."""


def changes(
    held: Iterable[Known], found: Iterable[Fact], judged: Span | None, present: pd.Index[pd.Timestamp]
) -> Changes:
    """Return what is new in the facts `found`, beside those that are held.

    A fact that is known keeps its `found_at`. One that lies in the span `judged` and was not found again is resolved,
    and so is a window in which there are candles now (`present`, their times).
    """
    now = datetime.now(UTC)
    before = {known.key: known for known in held}
    stated = {_key(fact): fact for fact in found}
    changed: list[Known] = []
    new = []
    for key, fact in stated.items():
        known = before.get(key)
        if known is None or known.fact != fact or known.resolved_at is not None:
            changed.append(Known(fact, now if known is None else known.found_at, None))
        if known is None or known.resolved_at is not None:
            new.append(fact)
    for key, known in before.items():
        if known.resolved_at is None and key not in stated and _ceased(known.fact, judged, present):
            changed.append(known._replace(resolved_at=now))
    return Changes(changed, new)


def _ceased(fact: Fact, judged: Span | None, present: pd.Index[pd.Timestamp]) -> bool:
    if fact.kind == "window":
        return bool(((present >= fact.start) & (present <= fact.end)).any())
    return judged is not None and fact.kind not in _EVENTS and judged.holds(fact)


def _key(fact: Fact) -> tuple[str, pd.Timestamp, pd.Timestamp]:
    return fact.kind, fact.start, fact.end


def read_known(lake: Lake, series: Series) -> list[Known]:
    """Return all facts about a series, the resolved ones too."""
    query = """SELECT kind, epoch_us(start_ts) AS start, epoch_us(end_ts) AS "end", candles, detail,
        epoch_us(found_at) AS found, epoch_us(resolved_at) AS resolved
        FROM quality WHERE exchange = ? AND symbol = ? AND timeframe = ?"""
    return [
        Known(
            Fact(row["kind"], _utc(row["start"]), _utc(row["end"]), row["candles"], row["detail"]),
            _utc(row["found"]),
            None if row["resolved"] is None else _utc(row["resolved"]),
        )
        for row in read(lake, query, list(series), tables={"quality"}).to_pylist()
    ]


def write_known(lake: Lake, series: Series, rows: list[Known]) -> None:
    """Write facts about a series in one commit."""
    columns = [
        {
            **series._asdict(),
            "kind": known.fact.kind,
            "start_ts": known.fact.start,
            "end_ts": known.fact.end,
            "candles": known.fact.candles,
            "detail": known.fact.detail,
            "found_at": known.found_at,
            "resolved_at": known.resolved_at,
        }
        for known in rows
    ]
    lake.upsert("quality", pa.Table.from_pylist(columns, schema=TABLES["quality"].schema))


def _utc(microseconds: int) -> pd.Timestamp:
    return pd.Timestamp(microseconds, unit="us", tz="UTC")
