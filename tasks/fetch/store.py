"""One batch of candles into the lake, whole or not at all, and never twice."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from data.candles import PRICES
from data.errors import LakeError
from data.missing import Range
from data.rows import conform
from data.tables import TABLES, TIME
from data.timeframe import parse_timeframe
from data.views import passing
from tasks.fetch.shelf import Shelf
from tasks.fetch.source import Batch, Fact
from tasks.fetch.survey import survey

_ATTEMPTS = 20


class Stored(NamedTuple):
    """What became of the candles of a batch."""

    new: int
    revised: int
    unchanged: int
    facts: list[Fact]
    """Facts that were not known before."""


def store(shelf: Shelf, batch: Batch, asked: Range, calendar: str) -> Stored:
    """Store a batch: new candles, next revisions of held ones that differ, and the facts about them.

    Facts are written first. Killed between the two commits, the batch is still missing, is asked for again and finds
    the same facts; the other way round they would never be found. Raises LakeError where the lake cannot be written.
    """
    if batch.candles.empty:
        windows = _not_held(shelf, batch.facts)
        return Stored(0, 0, 0, shelf.record(windows, None, batch.candles.index))
    facts: list[Fact] = []
    for _ in range(_ATTEMPTS):
        claim = shelf.claimed() + 1
        new, changed, unchanged = _compare(shelf, batch.candles)
        revised, revisions = _revise(shelf, changed) if len(changed) else (None, [])
        found, judged = survey(shelf, batch.candles, calendar, asked)
        facts += shelf.record([*found, *_not_held(shelf, batch.facts), *revisions], judged, batch.candles.index)
        if (new.empty and revised is None) or shelf.add(new, revised, claim):
            return Stored(len(new), len(changed), unchanged, facts)
        shelf.refresh()
    raise LakeError(f"candles of {shelf.series.symbol}: {_ATTEMPTS} commits lost against other collectors; try again")


def _not_held(shelf: Shelf, facts: Iterable[Fact]) -> list[Fact]:
    """Return facts, a window shortened to what comes after the last candle in it that is held, from elsewhere."""
    step = pd.Timedelta(parse_timeframe(shelf.series.timeframe))
    told = []
    for fact in facts:
        start = fact.start
        if fact.kind == "window" and not (held := shelf.candles(start, fact.end + step)).empty:
            start = held.index[-1] + step
        if start == fact.start:
            told.append(fact)
        elif start <= fact.end:
            told.append(fact._replace(start=start, candles=(fact.end - start) // step + 1))
    return told


def _compare(shelf: Shelf, candles: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, int]:
    """Return the candles that are not held, those that are held with other values, and the number of all others.

    A count of trades that only one side knows is no difference.
    """
    step = parse_timeframe(shelf.series.timeframe)
    held = shelf.candles(candles.index[0], candles.index[-1] + step)
    is_held = candles.index.isin(held.index)
    known = candles[is_held]
    before = held.loc[known.index]
    differs = (known[PRICES].to_numpy() != before[PRICES].to_numpy()).any(axis=1)
    counts = known["trades"].to_numpy() - before["trades"].to_numpy()
    differs |= np.nan_to_num(counts) != 0
    return candles[~is_held], known[differs], int((~differs).sum())


def _revise(shelf: Shelf, changed: pd.DataFrame) -> tuple[pa.Table, list[Fact]]:
    """Return the rows that replace held candles, the held ones as superseded and the next revisions, and the facts."""
    query = """SELECT * FROM candles SEMI JOIN changed USING (ts)
        WHERE exchange = ? AND symbol = ? AND timeframe = ? ORDER BY ts"""
    with passing(shelf.lake, {"candles"}) as connection:
        connection.register("changed", pa.table({"ts": pa.array(changed.index, TIME)}))
        held: pa.Table = connection.sql(query, params=list(shelf.series)).to_arrow_table()
    superseded = held.to_pandas().assign(superseded_at=datetime.now(UTC))
    revision = superseded["revision"].to_numpy() + 1
    declared = TABLES["candles"]
    rows = [conform(declared, superseded), conform(declared, shelf.rows(changed, revision))]
    before = superseded.set_index("ts")
    facts = []
    for ts, number in zip(changed.index, revision, strict=True):
        was, now = before.loc[ts], changed.loc[ts]
        words = [
            f"{name} {was[name]} became {now[name]}" for name in [*PRICES, "trades"] if _differs(was[name], now[name])
        ]
        facts.append(Fact("revision", ts, ts, 1, f"{', '.join(words)} (revision {number})"))
    return pa.concat_tables(rows), facts


def _differs(was: float, now: float) -> bool:
    return was != now and not (np.isnan(was) or np.isnan(now))
