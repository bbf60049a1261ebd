"""Checks of candles on their way in: what cannot be is a fault and refused, what is odd is a fact and kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data.candles import PRICES
from data.timeframe import parse_timeframe
from tasks.fetch import calendars
from tasks.fetch.source import Fact

CONTEXT = 101
"""How many candles before one decide whether it is an outlier."""

_DAY = pd.Timedelta(days=1)
_USUAL_RANGES = 20
_TIMES_USUAL = 10.0
_LEAST_MOVE = 0.02


class Fault(NamedTuple):
    """Why a row cannot be a candle of the series."""

    row: int
    """Its position in the frame, from 0."""
    reason: str


def find_fault(candles: pd.DataFrame, timeframe: str | None) -> Fault | None:
    """Return the first fault in rows that ought to be candles, oldest first; None if there is none.

    A candle has finite prices above 0, a volume not below 0, a high and a low that enclose open and close, and opens
    on the grid of its timeframe. The grid counts from 1970; that of more than a day from the first row, as weeks
    start on a Monday here and on a Thursday there; no timeframe, no grid. Rows of the same time must be equal: see
    `drop_repeats`.
    """
    faults = (*_value_faults(candles), *_time_faults(candles, timeframe))
    return min(faults, key=lambda fault: fault.row, default=None)


def drop_repeats(candles: pd.DataFrame) -> tuple[pd.DataFrame, list[Fact]]:
    """Keep one of each run of equal rows, and tell which candles came more than once (`duplicate`)."""
    repeated = candles.index.duplicated()
    if not repeated.any():
        return candles, []
    times = candles.index[repeated]
    unique = candles[~repeated]
    copies = np.bincount(unique.index.get_indexer(times), minlength=len(unique))
    facts = []
    for first, last in _runs(copies > 0):
        extra = int(copies[first : last + 1].sum())
        detail = f"{extra} repeated {_rows(extra)}, equal to the one kept"
        facts.append(Fact("duplicate", unique.index[first], unique.index[last], last - first + 1, detail))
    return unique, facts


def find_facts(candles: pd.DataFrame, timeframe: str, calendar: str = calendars.ALWAYS) -> list[Fact]:
    """Return what is odd about candles (a candles frame without faults): gaps, flat candles and outliers."""
    return [*find_gaps(candles.index, timeframe, calendar), *find_flats(candles, timeframe), *find_outliers(candles)]


def find_gaps(ts: pd.Index[pd.Timestamp], timeframe: str, calendar: str = calendars.ALWAYS) -> list[Fact]:
    """Return the stretches without candles between the first and the last one, each as one `gap`.

    Around the clock every step of the timeframe is due, and so is every week in any calendar. Where there are days
    off, only whole trading days without a candle are gaps: when a stock exchange opens and closes, and whether a file
    has the hours before and after, is not known. Such a day is taken to lack as many candles as the last one has.
    """
    step = pd.Timedelta(parse_timeframe(timeframe))
    times = pd.DatetimeIndex(ts)
    if len(times) < 2:
        return []
    if calendar == calendars.ALWAYS or step > _DAY:
        return list(_absent_steps(times, step))
    return list(_absent_days(times, step, calendar))


def _absent_steps(times: pd.DatetimeIndex, step: pd.Timedelta) -> Iterator[Fact]:
    width = times[1:] - times[:-1]
    for before in np.flatnonzero(width > step).tolist():
        absent = int(width[before] // step) - 1
        first, last = times[before] + step, times[before + 1] - step
        yield Fact("gap", first, last, absent, f"{absent} {_candles(absent)} absent")


def _absent_days(times: pd.DatetimeIndex, step: pd.Timedelta, calendar: str) -> Iterator[Fact]:
    present, counts = _days(times)
    due = calendars.trading_days(calendar, times[0], times[-1])
    for first, last in _runs(~due.isin(present)):
        days = last - first + 1
        absent = days * int(counts[present.searchsorted(due[first]) - 1])
        detail = f"{days} trading {'day' if days == 1 else 'days'} absent ({calendar})"
        yield Fact("gap", due[first], due[last] + _DAY - step, absent, detail)


def find_flats(candles: pd.DataFrame, timeframe: str) -> list[Fact]:
    """Return the days on which candles stand still: one price and no volume (`flat`, counted by UTC day).

    Some exchanges answer such a candle for every interval without a trade, others leave the interval out.
    """
    still = (candles["high"] == candles["low"]) & (candles["volume"] == 0)
    times = pd.DatetimeIndex(candles.index[still.to_numpy()])
    step = pd.Timedelta(parse_timeframe(timeframe))
    if step >= _DAY:
        return [Fact("flat", ts, ts, 1, "1 candle without a trade") for ts in times]
    return [
        Fact("flat", day, day + _DAY - step, count, f"{count} {_candles(count)} without a trade")
        for day, count in zip(*_days(times), strict=True)
    ]


def find_outliers(candles: pd.DataFrame) -> list[Fact]:
    """Return the candles that move far more than those before them (`outlier`); facts, not faults: crashes happen.

    The move is the true range (Wilder 1978: high and low, stretched to the close before), as a logarithm. An outlier
    moves by more than 2 % and by more than ten times the median move of the 100 candles before, those that stand
    still left out; where fewer than 20 moved, none is called. On Kraken's ETH/USD that finds three days in six years,
    the flash crashes of 2017-05-07 and 2021-02-22 and the crash of 2020-03-12.
    """
    if len(candles) < 2:
        return []
    close = candles["close"].to_numpy()
    high, low = (np.log(candles[name].to_numpy()) for name in ("high", "low"))
    before = np.log(close[:-1])
    move = np.zeros(len(candles))
    move[1:] = np.maximum(high[1:], before) - np.minimum(low[1:], before)
    moved = pd.Series(np.where(move > 0, move, np.nan))
    usual = moved.rolling(CONTEXT - 1, min_periods=_USUAL_RANGES).median().shift(1).to_numpy()
    odd = (move > _LEAST_MOVE) & (move > _TIMES_USUAL * usual)
    return [_outlier(candles, int(row), float(move[row] / usual[row])) for row in np.flatnonzero(odd)]


def _outlier(candles: pd.DataFrame, row: int, times_usual: float) -> Fact:
    low, high = candles["low"].iat[row], candles["high"].iat[row]
    before = candles["close"].iat[row - 1]
    ts = candles.index[row]
    detail = f"low {low:.12g}, high {high:.12g} after a close of {before:.12g}: {times_usual:.0f} times the usual move"
    return Fact("outlier", ts, ts, 1, detail)


def _value_faults(candles: pd.DataFrame) -> Iterator[Fault]:
    value = {name: candles[name].to_numpy() for name in [*PRICES, "trades"]}

    def fault(wrong: NDArray[np.bool_], reason: str, *names: str) -> Iterator[Fault]:
        if wrong.any():
            row = int(wrong.argmax())
            yield Fault(row, reason.format(*(f"{value[name][row]:.12g}" for name in names)))

    for name in PRICES:
        yield from fault(~np.isfinite(value[name]), f"{name} is missing or not a finite number")
    for name in PRICES[:4]:
        yield from fault(value[name] <= 0, f"{name} is not above 0: {{}}", name)
    yield from fault(value["volume"] < 0, "volume is below 0: {}", "volume")
    for name in ("low", "open", "close"):
        yield from fault(value["high"] < value[name], f"high {{}} is below {name} {{}}", "high", name)
    for name in ("open", "close"):
        yield from fault(value["low"] > value[name], f"low {{}} is above {name} {{}}", "low", name)
    trades = value["trades"]
    yield from fault((trades < 0) | (trades % 1 != 0) & ~np.isnan(trades), "trades is not a count: {}", "trades")


def _time_faults(candles: pd.DataFrame, timeframe: str | None) -> Iterator[Fault]:
    times = pd.DatetimeIndex(candles.index)
    if len(times) == 0:
        return
    backwards = np.asarray(times[1:] < times[:-1])
    if backwards.any():
        row = int(backwards.argmax()) + 1
        yield Fault(row, f"{_utc(times[row])} is out of order; sort the rows by time")
    same_time = np.asarray(times[1:] == times[:-1])
    columns = candles[[*PRICES, "trades"]].to_numpy()
    same = ((columns[1:] == columns[:-1]) | np.isnan(columns[1:]) & np.isnan(columns[:-1])).all(axis=1)
    contradictory = same_time & ~same
    if contradictory.any():
        row = int(contradictory.argmax()) + 1
        yield Fault(row, f"{_utc(times[row])} is there twice, with different values")
    if timeframe is not None:
        yield from _grid_faults(times, timeframe)


def _grid_faults(times: pd.DatetimeIndex, timeframe: str) -> Iterator[Fault]:
    step = pd.Timedelta(parse_timeframe(timeframe))
    origin = times[0] if step > _DAY else pd.Timestamp(0, tz="UTC")
    off = np.asarray((times - origin) % step != pd.Timedelta(0))
    if off.any():
        row = int(off.argmax())
        hint = "; a day's bears its date or 00:00 UTC" if step == _DAY else ""
        yield Fault(row, f"{_utc(times[row])} is not the start of a {timeframe} candle{hint}")


def _days(times: pd.DatetimeIndex) -> tuple[pd.DatetimeIndex, list[int]]:
    """Return the days on which there are candles, ascending, and how many."""
    days, counts = np.unique(times.tz_localize(None).floor("D").to_numpy(), return_counts=True)
    return pd.DatetimeIndex(days).tz_localize("UTC"), counts.tolist()


def _runs(flags: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Yield the first and last position of each stretch of true flags."""
    edges = np.diff(np.concatenate(([0], flags.astype(np.int8), [0])))
    for first, after in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True):
        yield int(first), int(after) - 1


def _utc(ts: pd.Timestamp) -> str:
    return f"{ts:%Y-%m-%d %H:%M}" if ts.second == 0 else f"{ts:%Y-%m-%d %H:%M:%S}"


def _candles(count: int) -> str:
    return "candle" if count == 1 else "candles"


def _rows(count: int) -> str:
    return "row" if count == 1 else "rows"
