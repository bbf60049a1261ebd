"""Candles and target as the compiled pass takes them; whatever cannot be used is refused here."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from data.errors import BadInput

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

PRICES = ("open", "high", "low", "close")

MICROSECOND = timedelta(microseconds=1)
"""What compiled code counts time in."""


class Bars(NamedTuple):
    """Candles as read-only arrays of one length, and their opening instants (UTC, microseconds)."""

    ts: pd.DatetimeIndex
    opens: Floats
    highs: Floats
    lows: Floats
    closes: Floats


def read_bars(candles: pd.DataFrame) -> Bars:
    """Take the prices out of a candles frame, without a copy where they lie in one piece.

    Raises BadInput for an absent column, no candles, and an index that is not in UTC or not strictly increasing.
    """
    absent = [name for name in PRICES if name not in candles.columns]
    if absent:
        raise BadInput(f"candles lack the column {absent[0]}: open, high, low and close are needed")
    if len(candles) == 0:
        raise BadInput("there are no candles to simulate: choose a range that has some")
    return Bars(_read_index(candles.index), *(_read_prices(candles, name) for name in PRICES))


def read_target(target: pd.Series | npt.ArrayLike, index: pd.Index) -> Floats:
    """Take the target, one number a candle. Raises BadInput where it does not match or leaves [-1, 1]."""
    if isinstance(target, pd.Series) and not (target.index is index or target.index.equals(index)):
        raise BadInput("the target's index is not the candles': give one target a candle, at the same instants")
    try:
        goal = frozen(target)
    except (TypeError, ValueError):
        raise BadInput("the target holds something that is not a number: use -1 to 1, or NaN for no signal") from None
    if goal.shape != (len(index),):
        raise BadInput(f"the target has the shape {goal.shape} and there are {len(index)} candles: give one a candle")
    if np.fmin.reduce(goal) < -1.0 or np.fmax.reduce(goal) > 1.0:
        bar = int(np.flatnonzero(np.abs(goal) > 1.0)[0])
        raise BadInput(f"the target at {index[bar]} is {goal[bar]:g}: it must lie between -1 and 1")
    return goal


def find_gaps(index: pd.DatetimeIndex, gap_after: npt.ArrayLike | None) -> Ints:
    """Return the sorted positions after which candles are absent.

    Without `gap_after` that is wherever the next candle is further away than usual, which the median tells; right for
    markets that never close.
    """
    if gap_after is None:
        steps = np.diff(index.asi8)
        if steps.size == 0 or steps.min() == steps.max():
            return np.empty(0, np.int64)
        return np.flatnonzero(steps > np.median(steps))
    gaps = np.asarray(gap_after)
    if gaps.size == 0:
        return np.empty(0, np.int64)
    last = len(index) - 2
    if gaps.ndim != 1 or gaps.dtype.kind not in "iu" or gaps.min() < 0 or gaps.max() > last:
        raise BadInput(
            f"gap_after must hold positions of candles from 0 to {last}: those after which candles are absent"
        )
    return np.unique(gaps).astype(np.int64)


def find_length(index: pd.DatetimeIndex, timeframe: timedelta | None) -> int:
    """Return the length of a candle in microseconds; without a timeframe the usual step between two."""
    if timeframe is None:
        steps = np.diff(index.asi8)
        # To look for the median takes longer than to simulate.
        return 0 if steps.size == 0 else int(steps[0] if steps.min() == steps.max() else np.median(steps))
    if timeframe <= timedelta(0):
        raise BadInput(f"timeframe must be above 0, not {timeframe}")
    return timeframe // MICROSECOND


def in_microseconds(index: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """Return the index in microseconds: itself, not a copy, where it is."""
    return index if index.unit == "us" else index.as_unit("us")


def read_instants(index: pd.DatetimeIndex) -> Ints:
    """Return the instants of an index in microseconds, as compiled code takes them: read-only."""
    instants = np.ascontiguousarray(index.asi8).view()
    instants.flags.writeable = False
    return instants


def check_prices(bars: Bars) -> None:
    """Refuse prices that cannot be: not above 0, not finite, or outside their own bar's low and high."""
    from tasks.engine.kernel import first_bad_bar

    bar = first_bad_bar(bars.opens, bars.highs, bars.lows, bars.closes)
    if bar >= 0:
        prices = ", ".join(f"{name} {array[bar]:g}" for name, array in zip(PRICES, bars[1:], strict=True))
        raise BadInput(
            f"the candle at {bars.ts[bar]} cannot be ({prices}): prices must be above 0, with low the least and "
            "high the greatest; mend or leave out that candle"
        )


def frozen(values: pd.Series | npt.ArrayLike) -> Floats:
    """Return a read-only array of floats; read-only always, as compiled code is made for one kind of array."""
    if isinstance(values, pd.Series):
        values = values.to_numpy() if values.dtype == np.float64 else values.to_numpy(np.float64, na_value=np.nan)
    array = np.ascontiguousarray(values, np.float64).view()
    array.flags.writeable = False
    return array


def _read_prices(candles: pd.DataFrame, name: str) -> Floats:
    column = candles[name]
    if not isinstance(column, pd.Series):
        raise BadInput(f"candles have more than one column {name}")
    try:
        return frozen(column)
    except (TypeError, ValueError):
        raise BadInput(f"the candles' column {name} holds something that is not a number") from None


def _read_index(index: pd.Index) -> pd.DatetimeIndex:
    if not isinstance(index, pd.DatetimeIndex) or index.tz is None:
        raise BadInput("the candles' index must be the UTC instants at which they open, with their time zone")
    if index.hasnans:
        raise BadInput("the candles' index has an empty instant (NaT)")
    utc = in_microseconds(index.tz_convert("UTC"))
    late = utc.asi8[1:] <= utc.asi8[:-1]
    if late.any():
        before = int(late.argmax())
        raise BadInput(f"the candles are not in order: {utc[before + 1]} follows {utc[before]}; sort them, each once")
    return utc
