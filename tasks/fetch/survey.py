"""What is odd about a stretch of a series: the candles held there, with those about to be stored among them."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

from data.missing import Range
from data.timeframe import parse_timeframe
from tasks.fetch.facts import Span
from tasks.fetch.quality import CONTEXT, find_facts
from tasks.fetch.shelf import Shelf
from tasks.fetch.source import Fact

_DAY = pd.Timedelta(days=1)
_MICROSECOND = pd.Timedelta(microseconds=1)
_DUSK = pd.Timestamp("2262-01-01", tz="UTC")


class Survey(NamedTuple):
    """Facts found in a span of a series; a fact held about the span and not found is no longer true."""

    found: list[Fact]
    judged: Span


def reach(timeframe: str) -> pd.Timedelta:
    """Return how far from a candle those lie that are usually all that matters to it."""
    return 4 * CONTEXT * pd.Timedelta(parse_timeframe(timeframe)) + 2 * _DAY


def survey(shelf: Shelf, candles: pd.DataFrame, calendar: str, asked: Range) -> Survey:
    """Judge the series where candles are about to enter it (one or more, in order of time).

    New candles bear on what is said of others: on the gap before and after them, on the day they belong to, and on
    the next hundred, whose usual move they change. A hole that was not `asked` about is no gap yet.
    """
    first, last = candles.index[0], candles.index[-1]
    held, span = _around(shelf, first, last)
    merged = pd.concat([held[~held.index.isin(candles.index)], candles]).sort_index()
    found = [fact for fact in find_facts(merged, shelf.series.timeframe, calendar) if span.holds(fact)]
    return Survey([fact for fact in found if fact.kind != "gap" or _asked(fact, asked, last)], span)


def _asked(gap: Fact, asked: Range, answered: pd.Timestamp) -> bool:
    return asked.since is None or (asked.since < gap.start and gap.end < answered)


def _around(shelf: Shelf, first: pd.Timestamp, last: pd.Timestamp) -> tuple[pd.DataFrame, Span]:
    """Return the held candles on both sides that matter, and the span in which with them every fact can be told."""
    near_by = reach(shelf.series.timeframe)
    near = shelf.candles(first - near_by, last + near_by)
    start = _first_day(near, first)
    if (near.index < start).sum() < CONTEXT:
        near = shelf.candles(None, last + near_by)
        start = _first_day(near, first)
    if (near.index > last).sum() <= CONTEXT:
        near = pd.concat([near, shelf.candles(last + near_by, None)])
    later = near.index[near.index > last]
    end = _DUSK if len(later) <= CONTEXT else max(later[CONTEXT - 1], last.floor("D") + _DAY - _MICROSECOND)
    return near, Span(start, end)


def _first_day(near: pd.DataFrame, first: pd.Timestamp) -> pd.Timestamp:
    before = near.index[near.index < first]
    return (before[-1] if len(before) else first).floor("D")
