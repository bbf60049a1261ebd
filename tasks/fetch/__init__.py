"""The stage `fetch_data`: candles from an exchange, a file or the sample into the lake, and out of it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from data.candles import read_candles
from data.errors import BadInput, SourceError
from data.markets import read_market
from data.timeframe import parse_timeframe
from data.views import read
from data.writer import Lake
from tasks.exchange import exchange_names
from tasks.fetch import clock
from tasks.fetch.calendars import ALWAYS
from tasks.fetch.collect import Collected, Progress, check_range, collect
from tasks.fetch.exchange import ExchangeSource
from tasks.fetch.files import NAME as FILE
from tasks.fetch.files import FileSource
from tasks.fetch.live import LiveMarket, live_market
from tasks.fetch.missing import missing
from tasks.fetch.sample import NAME as SAMPLE
from tasks.fetch.sample import SampleSource
from tasks.fetch.shelf import Shelf
from tasks.fetch.source import Fact, Series
from tasks.stage import stage

__all__ = [
    "Collected",
    "Fact",
    "LiveMarket",
    "Series",
    "collect_series",
    "fetch_data",
    "fetch_live",
    "live_market",
]


def _source_failed(task: Any, run: Any, state: Any) -> bool:  # noqa: ARG001  Prefect passes all three
    """Tell Prefect to try again only where the source may answer the next time."""
    return isinstance(state.data, SourceError)


_AGAIN: dict[str, Any] = {
    "retries": 3,
    "retry_delay_seconds": [10, 30, 90],
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": _source_failed,
}
_SOON: dict[str, Any] = _AGAIN | {"retries": 2, "retry_delay_seconds": [2, 8]}
"""A session waits for its candles: what fails for minutes is left to the run at the next candle."""


@stage(name="fetch_data", **_AGAIN)
def fetch_data(
    lake: Lake,
    exchange: str | None,
    symbol: str | None,
    timeframe: str | None,
    start: datetime | None = None,
    end: datetime | None = None,
    *,
    file: str | Path | None = None,
    calendar: str | None = None,
    refresh: bool = True,
    offline: bool = False,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Return the candles of a series from `start` to before `end` (UTC), having collected what the lake lacks.

    A candles frame. Nothing is asked of a network when `offline`, when the lake holds the whole range, when it holds
    some of it and `refresh` is off, or when the series came from a file. For `file`, `calendar` and what may be None
    with a file, see `collect_series`. Raises BadInput where there are no candles, or the range is empty; SourceError
    where the source cannot be read.
    """
    first, until = check_range(start, end)
    if file is not None or exchange == SAMPLE:
        done = collect_series.fn(
            lake, exchange, symbol, timeframe, start, end, file=file, calendar=calendar, progress=progress
        )
        return _held(lake, done.series, first, until)
    series = _named(exchange, symbol, timeframe)
    if not refresh and not (candles := read_candles(lake, *series, first, until)).empty:
        return candles
    if not offline and _can_ask(lake, series, first, until):
        collect_series.fn(lake, *series, start, end, calendar=calendar, progress=progress)
    return _held(lake, series, first, until)


def _held(lake: Lake, series: Series, first: pd.Timestamp | None, until: pd.Timestamp | None) -> pd.DataFrame:
    candles = read_candles(lake, *series, first, until)
    if candles.empty:
        raise BadInput(_nothing(lake, series, first, until))
    return candles


@stage(name="fetch_data", **_SOON)
def fetch_live(
    market: LiveMarket,
    lake: Lake,
    symbol: str,
    timeframe: str,
    start: datetime,
    *,
    due: datetime | None = None,
    patience: float = 10.0,
) -> pd.DataFrame:
    """Return the closed candles of a market from `start` on (aware), the one that is `due` among them if it is shown.

    A candles frame; see `LiveMarket.newest`, which also says what is raised.
    """
    opens = None if due is None else pd.Timestamp(due)
    return market.newest(lake, symbol, timeframe, pd.Timestamp(start), due=opens, patience=patience)


@stage(name="collect_series", **_AGAIN)
def collect_series(
    lake: Lake,
    exchange: str | None,
    symbol: str | None,
    timeframe: str | None,
    start: datetime | None = None,
    end: datetime | None = None,
    *,
    file: str | Path | None = None,
    calendar: str | None = None,
    again: bool = False,
    progress: Progress | None = None,
) -> Collected:
    """Collect one series into the lake: from `file` if given, else from the sample or an exchange; see `collect`.

    With a file, `exchange` is the name that the series gets, and what is None is taken from the file as far as it
    tells; `calendar` says when its market trades: 24/7, 24/5, or a stock exchange's code such as XNYS.
    """
    if file is not None:
        if exchange == SAMPLE:
            raise BadInput(f"'{SAMPLE}' names the candles that come with Jarvis; give those of {file} another exchange")
        source = FileSource(file, exchange, symbol, timeframe, calendar)
        if calendar is None and (known := read_market(lake, source.name, source.symbol).calendar) != ALWAYS:
            source.calendar = known
        return collect(source, lake, source.symbol, source.timeframe, start, end, progress=progress)
    series = _named(exchange, symbol, timeframe)
    if calendar is not None:
        raise BadInput(f"a calendar can be given for a file only; {series.exchange} has its own")
    if series.exchange == SAMPLE:
        return collect(SampleSource(), lake, series.symbol, series.timeframe, start, end, progress=progress)
    with ExchangeSource(series.exchange) as remote:
        return collect(remote, lake, series.symbol, series.timeframe, start, end, again=again, progress=progress)


def _named(exchange: str | None, symbol: str | None, timeframe: str | None) -> Series:
    if exchange is None or symbol is None or timeframe is None:
        raise BadInput("name the exchange, the symbol and the timeframe, or a file")
    parse_timeframe(timeframe)
    return Series(exchange, symbol, timeframe)


def _can_ask(lake: Lake, series: Series, first: pd.Timestamp | None, until: pd.Timestamp | None) -> bool:
    """Tell whether to ask an exchange: not for what is held, nor for a series imported under a name of its own."""
    if series.exchange == FILE or not missing(Shelf(lake, series), first, until, clock.now()):
        return False
    return not _is_own(lake, series.exchange)


def _is_own(lake: Lake, exchange: str) -> bool:
    """Tell whether a name is one of the user's own, under which candles of files were imported."""
    if exchange in exchange_names():
        return False
    known = "SELECT 1 FROM markets WHERE exchange = ? LIMIT 1"
    return bool(read(lake, known, [exchange], tables={"markets"}).num_rows)


def _nothing(lake: Lake, series: Series, first: pd.Timestamp | None, until: pd.Timestamp | None) -> str:
    bounds = [
        f"{word} {time:%Y-%m-%d %H:%M}" for word, time in (("from", first), ("before", until)) if time is not None
    ]
    what = " ".join([*series, *bounds])
    named = "" if series.exchange == FILE else f" --exchange {series.exchange}"
    file = " --file FILE" if not named or _is_own(lake, series.exchange) else ""
    command = f"jarvis collect{file}{named} --symbol {series.symbol} --timeframe {series.timeframe}"
    return f"the lake has no candles of {what}; `{command}` brings them"
