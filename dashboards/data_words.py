"""Series in words: the figures of the lake, the rows of the table, and what the next collection would fetch."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pandas as pd

from dashboards import search
from dashboards.data_queries import Holes, Series, ranges
from dashboards.look import NONE, figure, part
from dashboards.metric_words import Words
from dashboards.queries import Rows
from dashboards.session_words import listing
from data.missing import Range

LISTED_RANGES = 20
"""So many ranges are listed of those that a collection would ask for."""

MEANINGS = {
    "held": "the lake has these candles",
    "gap": "candles that the source was asked for and does not have",
    "window": "before it the source has nothing, however far back it is asked",
    "revision": "the source changed a closed candle; both versions are kept",
    "outlier": "a move ten times the usual one",
    "flat": "one price and no volume: nobody traded",
    "duplicate": "the same rows came more than once; one is kept",
    "hole": "candles that are absent and were not asked for yet",
}
"""What each kind of mark on the line of time means."""

_SECOND = pd.Timedelta(seconds=1)


class Column(NamedTuple):
    """A column of the table of series."""

    key: str
    title: str
    number: bool
    meaning: str
    by: Callable[[Series], Any]
    """What it is sorted by."""


def _order(value: int | None) -> int:
    return -1 if value is None else value


COLUMNS = (
    Column("name", "Series", False, "Market, timeframe and exchange", lambda one: one.name),
    Column("newest", "Newest candle", False, "When it closed, against when the next one does", lambda one: (
        one.due is None, one.last + one.step)),
    Column("from", "From", False, "When the first candle opens (UTC)", lambda one: one.first),
    Column("to", "To", False, "When the last candle opens (UTC)", lambda one: one.last),
    Column("candles", "Candles", True, "Candles that hold now", lambda one: one.candles),
    Column("missing", "Missing", True, "Candles absent between the first and the last: on the grid around the clock, "
           "or on the trading days of the calendar", lambda one: _order(one.missing)),
    Column("facts", "Facts", True, "Gaps, revisions and whatever else is known and holds", lambda one: _order(
        one.facts)),
    Column("size", "Size", True, "Size of its files", lambda one: one.size),
    Column("collected", "Collected", False, "When its newest row entered the lake (UTC)", lambda one: one.fetched_at),
)  # fmt: skip


def heads() -> list[dict[str, Any]]:
    """Return the columns as the table takes them."""
    return [{name: getattr(column, name) for name in ("key", "title", "number", "meaning")} for column in COLUMNS]


def ordered(found: list[Series], order: str) -> list[Series]:
    """Return series sorted by the column of a key, falling after a minus; by name where there is none such."""
    key = next((column.by for column in COLUMNS if column.key == order.removeprefix("-")), COLUMNS[0].by)
    return sorted(sorted(found), key=key, reverse=order.startswith("-"))


def label(series: Series) -> str:
    """Return the name of a series as people say it."""
    return f"{series.name.symbol} {series.name.timeframe} {series.name.exchange}"


def matching(found: Sequence[Series], typed: str) -> list[Series]:
    """Return the series in whose names all the words occur that were typed, in either way of writing them."""
    return search.matching(found, typed, lambda series: f"{label(series)} {series.name.address}".lower())


def row(series: Series) -> dict[str, Any]:
    """Return a series as the table takes it."""
    cells = [
        label(series), _time(series, series.first), _time(series, series.last), f"{series.candles:,}",
        figure(series.missing, "count"), figure(series.facts, "count"), size(series.size),
        f"{series.fetched_at:%Y-%m-%d %H:%M}",
    ]  # fmt: skip
    return {"id": series.name.address, "cells": cells, **schedule(series)}


def schedule(series: Series) -> dict[str, float | None]:
    """Return when the newest candle closed and when the next does (milliseconds), and a candle's length."""
    due = None if series.due is None else milliseconds(series.due)
    return {"closed": milliseconds(series.last + series.step), "due": due, "step": series.step / _SECOND * 1000}


def tiles(found: list[Series]) -> str:
    """Return the figures of the whole lake."""
    sizes, revised = sum(one.size for one in found), sum(one.superseded for one in found)
    newest = max(one.fetched_at for one in found)
    unasked = sum(one.unasked for one in found)
    missing = sum(one.missing or 0 for one in found)
    exchanges = len({one.name.exchange for one in found})
    known = [one.facts for one in found if one.facts is not None]
    shown = [
        ("series", "Series", f"{len(found):,}", f"of {_many(exchanges, 'exchange')}",
         "An exchange's market in one timeframe.", ""),
        ("candles", "Candles", f"{sum(one.candles for one in found):,}", f"and {_many(revised, 'replaced revision')}",
         "Candles that hold now; what a source changed later is kept beside them.", ""),
        ("missing", "Missing", f"{missing:,}", f"{unasked:,} not asked for yet" if known else "gaps unknown",
         "Candles absent between the first and the last of a series. Known gaps were asked for: the source has none.",
         "bad" if unasked else ""),
        ("facts", "Facts that hold", f"{sum(known):,}" if known else NONE, f"about {sum(map(bool, known)):,} series",
         "Gaps, windows, revisions, outliers, flat stretches and duplicates.", ""),
        ("size", "Size", size(sizes), _many(sum(one.files for one in found), "file"),
         "What the files of the candles take; the flow upkeep makes many small files few.", ""),
        ("collected", "Last collected", f"{newest:%d %b %H:%M}", f"{newest:%Y}, UTC",
         "When the newest row of all entered the lake.", ""),
    ]  # fmt: skip
    return part("tiles", tiles=[Words._make([*about, "", tone]) for *about, tone in shown])


def head(series: Series) -> str:
    """Return the name of the series picked, and what is known of it."""
    chips = [
        ("from", series.name.exchange),
        ("", f"{_time(series, series.first)} to {_time(series, series.last)}"),
        ("candles", f"{series.candles:,}"),
        ("missing", figure(series.missing, "count")),
        ("not asked for", f"{series.unasked:,}" if series.unasked else ""),
        ("replaced revisions", f"{series.superseded:,}"),
        ("calendar", series.calendar or "unknown"),
        ("size", f"{size(series.size)} in {_many(series.files, 'file')}"),
        ("collected", f"{series.fetched_at:%Y-%m-%d %H:%M} UTC"),
    ]
    title = f"{series.name.symbol} {series.name.timeframe}"
    return part("named", title=title, chips=[chip for chip in chips if chip[1]])


def collections(series: Series, unasked: Holes, now: pd.Timestamp) -> str:
    """Return the commands that bring more of a series, and what each would ask for at `now` (naive UTC)."""
    if series.by_hand:
        return part("collection", title=_FROM_A_FILE, command=_command(series), ranges=[], remark="")
    newest = ranges(series, None, now, [])
    due = f"Nothing before {series.due:%Y-%m-%d %H:%M} UTC, when the next candle closes."
    later = "What is later than the newest candle, which is asked for again" if newest else due
    told = part("collection", title=later, command=_command(series), ranges=_listed(series, newest, now), remark="")
    whole = ranges(series, series.first, now, unasked)
    if len(whole) > len(newest):
        title = f"With --start also what was never asked for: {_many(len(whole) - len(newest), 'range')}"
        command = f"{_command(series)} --start {series.first:%Y-%m-%dT%H:%M}"
        told += part("collection", title=title, command=command, ranges=_listed(series, whole, now),
                     remark=_left(len(whole)))  # fmt: skip
    if series.gaps:
        told += part("said", text=f"Known gaps ({_many(series.gaps, 'candle')}) are asked for no more, but with:",
                     command=f"{_command(series)} --start {series.first:%Y-%m-%dT%H:%M} --again")  # fmt: skip
    return told


NONE_YET = part(
    "message",
    title="No candles yet",
    text="This page fills by itself as soon as the first ones are collected. In the checkout, run:",
    commands=[
        "jarvis collect --exchange sample --symbol AAPL --timeframe 1d",
        "jarvis collect --exchange kraken --symbol BTC/USD --timeframe 1h",
    ],
)


def absent(wanted: str, other: Series, theme: str) -> str:
    """Return what to do about a series that the lake does not have."""
    address = "?" + urlencode({"page": "data", "series": other.name.address, "theme": theme})
    return part("absent_series", wanted=wanted, other=label(other), address=address)


def kinds(counts: dict[str, int], chosen: str) -> list[dict[str, Any]]:
    """Return the kinds of facts to choose from, the chosen one among them even where there is none of it."""
    counted = counts if chosen in {"", *counts} else {**counts, chosen: 0}
    told = {"": sum(counts.values()), **counted}
    return [{"id": kind, "title": kind or "all", "count": count} for kind, count in told.items()]


def facts(rows: Rows, counts: dict[str, int], kind: str) -> str:
    """Return the facts as a table, and what is left out of it."""
    if not counts:
        return listing(rows, "Nothing is known about these candles but that they are there.")
    total = counts.get(kind, 0) if kind else sum(counts.values())
    left = total - len(rows)
    more = part("said", text=f"The newest {len(rows):,} of {total:,}; all of them:", command=_ALL) if left > 0 else ""
    return listing(rows, f"No fact of the kind {kind}.") + more


def size(count: int) -> str:
    """Write a number of bytes.

    >>> size(999), size(1_234_567)
    ('999 B', '1.2 MB')
    """
    value, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:,.0f} B" if unit == "B" else f"{value:,.1f} {unit}"


def milliseconds(time: pd.Timestamp) -> float:
    """Return a time (naive UTC) as browsers count it."""
    return time.timestamp() * 1000


_ALL = "jarvis sql 'SELECT * FROM quality'"
_FROM_A_FILE = "From a file: nothing is due, and nothing is fetched by itself. Read again, it brings what is new in it."


def _command(series: Series) -> str:
    exchange, symbol, timeframe = series.name
    source = ["--file", "FILE"] if series.by_hand and exchange != "sample" else []
    named = [] if exchange == "file" else ["--exchange", exchange]
    return shlex.join(["jarvis", "collect", *source, *named, "--symbol", symbol, "--timeframe", timeframe])


def _listed(series: Series, asked: list[Range], now: pd.Timestamp) -> list[tuple[str, str, str]]:
    """Return the first ranges: from, to before, and how many candles are absent in them."""
    return [
        (
            _time(series, since or series.first),
            "the newest closed" if until is None else f"before {_time(series, until)}",
            f"{_absent(series, since or series.first, until, now):,} absent",
        )
        for since, until in asked[:LISTED_RANGES]
    ]


def _absent(series: Series, since: pd.Timestamp, until: pd.Timestamp | None, now: pd.Timestamp) -> int:
    """Count the candles between those that are held at both ends of a range."""
    if until is None:
        return int((now - since) // series.step) - 1
    return int((until - since) // series.step) - 2


def _left(count: int) -> str:
    return f"and {count - LISTED_RANGES:,} more ranges" if count > LISTED_RANGES else ""


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _time(series: Series, time: pd.Timestamp) -> str:
    return f"{time:%Y-%m-%d}" if series.name.timeframe[-1] in "dw" else f"{time:%Y-%m-%d %H:%M}"
