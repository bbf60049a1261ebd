"""From a source into the lake: new candles, revisions of held ones, and facts about them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

import pandas as pd

from data.errors import BadInput
from data.markets import Market
from data.missing import Range
from data.writer import Lake
from tasks.fetch import clock
from tasks.fetch.missing import missing
from tasks.fetch.shelf import Shelf
from tasks.fetch.source import Batch, Fact, Series, Source
from tasks.fetch.store import Stored, store

Progress = Callable[[int, int], None]
"""Told after each batch how many candles are done, and of how many."""


@dataclass(frozen=True)
class Collected:
    """What one collection did."""

    series: Series
    new: int = 0
    revised: int = 0
    unchanged: int = 0
    still_open: int = 0
    """Rows left out because their candle was not closed yet."""
    facts: tuple[Fact, ...] = ()
    """Facts that were not known before."""
    first: pd.Timestamp | None = None
    last: pd.Timestamp | None = None
    """First and last candle that the source answered, UTC."""


def collect(
    source: Source,
    lake: Lake,
    symbol: str,
    timeframe: str,
    start: datetime | None = None,
    end: datetime | None = None,
    *,
    again: bool = False,
    progress: Progress | None = None,
) -> Collected:
    """Bring the candles of a source from `start` to before `end` (UTC) into the lake.

    A source that costs requests is asked only for what the lake lacks, unless `again`: then for the whole range, which
    fills gaps and finds revisions. Every batch is stored, by one commit, before the next is asked for, so a collection
    that is interrupted continues where it stopped. Of a candle that is held and differs, both are kept: the held one
    as superseded, the other as its next revision. A second collection of the same writes nothing.

    Raises BadInput for what the source does not have, SourceError where it cannot be read, LakeError where the lake
    cannot be written.
    """
    shelf = Shelf(lake, Series(source.name, symbol, timeframe))
    first, until = check_range(start, end)
    market = source.market(symbol)
    ranges = [Range(first, until)]
    if source.remote and not again:
        ranges = missing(shelf, first, until, clock.now())
    return bring(source, shelf, market, ranges, progress)


def bring(
    source: Source, shelf: Shelf, market: Market, ranges: Iterable[Range], progress: Progress | None = None
) -> Collected:
    """Bring ranges of a series from its source into the lake, batch by batch."""
    series = shelf.series
    collected = Collected(series)
    for asked in ranges:
        for batch in source.candles(series.symbol, series.timeframe, asked.since, asked.until):
            if collected == Collected(series):
                shelf.record_market(market)
            stored = store(shelf, batch, asked if source.remote else Range(None, None), market.calendar)
            collected = _added(collected, batch, stored)
            if progress is not None:
                progress(batch.done, batch.total)
    return collected


def check_range(start: datetime | None, end: datetime | None) -> tuple[pd.Timestamp | None, pd.Timestamp | None]:
    """Return a range as UTC timestamps; a time without an offset is UTC. Raises BadInput for one that is empty."""
    first, until = _utc(start), _utc(end)
    if first is not None and until is not None and first >= until:
        raise BadInput(f"start {first:%Y-%m-%d %H:%M} is not before end {until:%Y-%m-%d %H:%M}")
    return first, until


def _utc(time: datetime | None) -> pd.Timestamp | None:
    if time is None:
        return None
    stamp = pd.Timestamp(time)
    return stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp.tz_convert("UTC")


def _added(collected: Collected, batch: Batch, stored: Stored) -> Collected:
    ts = batch.candles.index
    return replace(
        collected,
        new=collected.new + stored.new,
        revised=collected.revised + stored.revised,
        unchanged=collected.unchanged + stored.unchanged,
        still_open=collected.still_open + batch.still_open,
        facts=(*collected.facts, *stored.facts),
        first=min(filter(None, (collected.first, *ts[:1])), default=None),
        last=max(filter(None, (collected.last, *ts[-1:])), default=None),
    )
