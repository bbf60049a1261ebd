"""Parts of a run's time, and how finely they are drawn: candles are merged until a screen can show them."""

from __future__ import annotations

import math
from typing import NamedTuple

import pandas as pd

MOST_CANDLES = 2_000
"""More candles than this never go to a browser: they are merged before."""

MERGED_CANDLES = 1_500
"""Merged candles are no more than this, and seldom less than half as many."""

_STEPS = (60, 120, 300, 600, 900, 1800, *(3600 * hours for hours in (1, 2, 4, 8, 12, 24, 48, 72, 168)))

_IN_WINDOW = 1_200
"""A window has about so many candles and no more than its snapping adds: two of three are in view."""

_SNAP = 64
"""Windows begin and end at multiples of so many candles: who looks about there asks the same."""

_ORIGIN = pd.Timestamp("1900-01-01")
"""A Monday from which merged candles are counted: they are whole days and weeks."""


class Window(NamedTuple):
    """A part of time, from `start` to before `end` (naive UTC), in candles of `bucket` seconds; 0: the run's own."""

    start: pd.Timestamp
    end: pd.Timestamp
    bucket: int

    @property
    def moment(self) -> str:
        """The candle in which an instant `ts` lies, naive UTC, as SQL."""
        if not self.bucket:
            return "ts AT TIME ZONE 'UTC'"
        size, origin = self.bucket * 1_000_000, int(_ORIGIN.timestamp()) * 1_000_000
        return f"make_timestamp((epoch_us(ts) - {origin}) // {size} * {size} + {origin})"

    def shows(self, start: pd.Timestamp, end: pd.Timestamp, wanted: Window) -> bool:
        """Tell whether it has what is in view as finely as in the window that is wanted for that view."""
        return (
            self.bucket == wanted.bucket and self.start <= max(start, wanted.start) and min(end, wanted.end) <= self.end
        )


def bucket(seconds: float, candle: int, most: int) -> int:
    """Return the length of merged candles that makes no more than `most` of so many seconds: a round one if it can be.

    It is a multiple of the run's own candle.
    """
    wanted = seconds / most
    fitting = [step for step in _STEPS if wanted <= step < 3 * wanted and step % candle == 0]
    return fitting[0] if fitting else candle * max(1, math.ceil(wanted / candle))


def around(start: pd.Timestamp, end: pd.Timestamp, candle: int, whole: Window) -> Window:
    """Return the window to draw for a view: a quarter more on either side, so that the view can move."""
    margin = (end - start) / 4
    first, last = max(start - margin, whole.start), min(end + margin, whole.end)
    size = bucket((last - first).total_seconds(), candle, _IN_WINDOW)
    if not whole.bucket or size >= whole.bucket:
        return whole
    unit = pd.Timedelta(seconds=_SNAP * size)
    first, last = _ORIGIN + (first - _ORIGIN) // unit * unit, _ORIGIN - (_ORIGIN - last) // unit * unit
    return Window(max(first, whole.start), min(last, whole.end), 0 if size == candle else size)
