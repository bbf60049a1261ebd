"""The user's own files: CSV, Parquet, and Kraken's downloadable history."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd

from data.candles import PRICES
from data.errors import BadInput
from data.markets import Market
from data.timeframe import parse_timeframe
from tasks.fetch import calendars, kraken_archive
from tasks.fetch.quality import drop_repeats, find_fault
from tasks.fetch.rows import Rows, read_csv, read_parquet
from tasks.fetch.source import Batch, Fact

NAME = "file"
"""The exchange of a series from a file that says nothing of where it comes from."""


class FileSource:
    """One file with one series. It is read and checked whole at once, so that a bad one leaves nothing behind.

    What is not given is taken from the file: symbol, timeframe and exchange from a name such as Kraken gives
    (`XBTUSD_60.csv`), the timeframe otherwise from the smallest step between rows, the calendar from the weekends.
    Rows may run from the oldest to the newest or the other way round. Raises BadInput with the file, the line and the
    reason for the first thing that is not understood or cannot be.
    """

    remote = False

    def __init__(
        self,
        path: str | Path,
        exchange: str | None = None,
        symbol: str | None = None,
        timeframe: str | None = None,
        calendar: str | None = None,
    ) -> None:
        rows, named = _read(Path(path), symbol, timeframe)
        if named is not None:
            _agree(rows.file, symbol, named.symbol)
            symbol, timeframe, exchange = named.symbol, timeframe or named.timeframe, exchange or "kraken"
        if symbol is None:
            raise BadInput(f"{rows.file} does not say which market it holds: name the symbol")
        self.name = exchange or NAME
        self.symbol = symbol
        rows, candles = _oldest_first(rows)
        _refuse_fault(rows, candles, None)
        self.timeframe = _settle_timeframe(rows.file, candles.index, timeframe)
        _refuse_fault(rows, candles, self.timeframe)
        self._candles, self._facts, self._still_open = _closed(candles, self.timeframe)
        self.calendar = calendars.check(calendar) if calendar else self._infer_calendar()

    def market(self, symbol: str) -> Market:
        """Return the market as far as a file tells. Raises BadInput for another symbol than the file's."""
        _agree("the file", symbol, self.symbol)
        base, _, quote = symbol.partition("/")
        return Market(self.name, symbol, base=base, quote=quote or None, calendar=self.calendar)

    def candles(self, symbol: str, timeframe: str, since: datetime | None, until: datetime | None) -> Iterator[Batch]:
        """Yield all candles of the range at once, so that a file enters the lake whole or not at all."""
        _agree("the file", symbol, self.symbol)
        _agree("the file", timeframe, self.timeframe)
        ts = self._candles.index
        inside = np.ones(len(ts), dtype=bool)
        if since is not None:
            inside &= np.asarray(ts >= since)
        if until is not None:
            inside &= np.asarray(ts < until)
        candles = self._candles[inside]
        facts = tuple(f for f in self._facts if len(candles) and candles.index[0] <= f.start <= candles.index[-1])
        yield Batch(candles, facts, done=len(candles), total=len(candles), still_open=self._still_open)

    def _infer_calendar(self) -> str:
        if parse_timeframe(self.timeframe) > pd.Timedelta(days=1):
            return calendars.ALWAYS
        return calendars.infer(pd.DatetimeIndex(self._candles.index)) or calendars.ALWAYS


def _read(path: Path, symbol: str | None, timeframe: str | None) -> tuple[Rows, kraken_archive.KrakenName | None]:
    kind = path.suffix.lower()
    try:
        if kind == ".zip":
            with kraken_archive.open_member(path, symbol, timeframe) as (member, stream):
                rows = read_csv(stream, f"{path.name}/{member}", symbol, kraken_archive.HEADER)
                return rows, kraken_archive.parse_name(member)
        if kind in (".parquet", ".pq"):
            return read_parquet(path, symbol), None
        if kind in (".csv", ".tsv", ".txt"):
            named = kraken_archive.parse_name(path.name)
            with path.open(encoding="utf-8-sig", newline="") as stream:
                rows = read_csv(stream, path.name, symbol, kraken_archive.HEADER if named else None)
                return rows, named if rows.lines[0] == 1 else None  # with a header it is not Kraken's
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from None
    raise BadInput(f"{path.name} is neither a CSV nor a Parquet file nor a ZIP of Kraken's, by its ending")


def _agree(file: str, wanted: str | None, found: str) -> None:
    if wanted not in (None, found):
        raise BadInput(f"{file} holds {found}, not {wanted}")


def _oldest_first(rows: Rows) -> tuple[Rows, pd.DataFrame]:
    steps = np.diff(rows.ts)
    if (steps < np.timedelta64(0)).sum() > (steps > np.timedelta64(0)).sum():
        backwards = {name: values[::-1] for name, values in rows.numbers.items()}
        rows = rows._replace(ts=rows.ts[::-1], numbers=backwards, lines=rows.lines[::-1])
    trades = rows.numbers.get("trades", np.full(len(rows.ts), np.nan))
    index = pd.DatetimeIndex(rows.ts, name="ts").tz_localize("UTC")
    return rows, pd.DataFrame({**{name: rows.numbers[name] for name in PRICES}, "trades": trades}, index=index)


def _refuse_fault(rows: Rows, candles: pd.DataFrame, timeframe: str | None) -> None:
    fault = find_fault(candles, timeframe)
    if fault is not None:
        raise BadInput(f"{rows.place(fault.row)}: {fault.reason}")
    future = np.asarray(candles.index > pd.Timestamp.now("UTC"))
    if future.any():
        row = int(future.argmax())
        raise BadInput(f"{rows.place(row)}: {candles.index[row]:%Y-%m-%d %H:%M} lies in the future")


def _settle_timeframe(file: str, ts: pd.Index[pd.Timestamp], given: str | None) -> str:
    """Return the timeframe of times in order, the most frequent step of which tells it.

    Raises BadInput where the given one is not theirs, or none can be told.
    """
    steps, counts = np.unique(np.diff(pd.DatetimeIndex(ts).unique().tz_localize(None).to_numpy()), return_counts=True)
    if len(steps) == 0 and given is None:
        raise BadInput(f"{file} has one candle, which does not tell its timeframe: name it")
    usual = _name(steps[counts.argmax()]) if len(steps) else ""
    if usual.endswith("seconds"):
        raise BadInput(f"{file}: its rows are {usual} apart, which is no timeframe")
    if given is None:
        return usual
    length = np.timedelta64(parse_timeframe(given))
    if counts.sum() > 1 and (steps[0] > length or steps[counts.argmax()] < length):
        raise BadInput(f"{file}: its candles are {usual} apart, not {given}")
    return given


def _name(step: np.timedelta64) -> str:
    seconds = int(step / np.timedelta64(1, "s"))
    units = (("w", 604800), ("d", 86400), ("h", 3600), ("m", 60))
    return next((f"{seconds // length}{unit}" for unit, length in units if seconds % length == 0), f"{seconds} seconds")


def _closed(candles: pd.DataFrame, timeframe: str) -> tuple[pd.DataFrame, list[Fact], int]:
    candles, facts = drop_repeats(candles)
    closed = np.asarray(candles.index <= pd.Timestamp.now("UTC") - parse_timeframe(timeframe))
    return candles[closed], facts, int((~closed).sum())
