"""Candles as columns of whole numbers, on an even grid of time: what a practice market is made of inside."""

from __future__ import annotations

from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Whole = NDArray[np.int64]

PRINTS = 12
"""Prints in a minute in which anybody trades; each has a volume of at least one unit."""

LARGEST = 2**53
"""No price (ticks) and no volume of a day (units) is above it, so that floats hold every one exactly."""


@dataclass(frozen=True, slots=True)
class Bars:
    """Candles one after the other, a value each in every column.

    A bar without an active minute is flat at the close before it and has no volume. Within a bar that is split, the
    first part is active, and every part opens at the close of the part before.
    """

    open: Whole
    """Prices in ticks."""
    high: Whole
    low: Whole
    close: Whole
    volume: Whole
    """Units of the series; at least `PRINTS` for each active minute."""
    active: Whole
    """Minutes in which anybody trades."""

    def __len__(self) -> int:
        return len(self.open)

    def at(self, places: Whole) -> Bars:
        """Return the bars at the given places; before the first one, nobody trades at its open."""
        bars = Bars(*(column[np.maximum(places, 0)] for column in self.columns()))
        return bars.silent_where(places < 0)

    def silent_where(self, silent: NDArray[np.bool_]) -> Bars:
        """Return the bars, some of them without trades: flat at the open."""
        high, low, close = (np.where(silent, self.open, price) for price in (self.high, self.low, self.close))
        return Bars(self.open, high, low, close, np.where(silent, 0, self.volume), np.where(silent, 0, self.active))

    def part(self, first: int, count: int) -> Bars:
        """Return `count` bars from the one at `first`."""
        return Bars(*(column[first : first + count] for column in self.columns()))

    def columns(self) -> list[Whole]:
        """Return the columns in the order of their names above."""
        return [getattr(self, column.name) for column in fields(self)]

    def merge(self, size: int) -> Bars:
        """Return longer bars, of `size` bars each; bars in which nobody trades take no part in their prices."""
        if size == 1:
            return self
        open_, high, low, close, volume, active = (column.reshape(-1, size) for column in self.columns())
        silent = active == 0
        empty = silent.all(axis=1)
        first = np.where(empty, size - 1, (~silent).argmax(axis=1))
        return Bars(
            np.take_along_axis(open_, first[:, None], axis=1)[:, 0],
            np.where(empty, close[:, -1], np.where(silent, 0, high).max(axis=1)),
            np.where(empty, close[:, -1], np.where(silent, LARGEST, low).min(axis=1)),
            close[:, -1],
            volume.sum(axis=1),
            active.sum(axis=1),
        )


class Series(Protocol):
    """Where a market's longest bars come from: any of them, by its number."""

    minutes: int
    """Length of a bar; bar n begins n times this after 1970."""
    first: int
    """The number of the first bar that there is."""
    unit: Decimal
    """Base currency in one unit of volume: the step of the market's amounts, or a power of ten times it."""

    def bars(self, first: int, count: int) -> Bars:
        """Return bars by number; those before the first are flat at its open, and nobody trades in them."""


def volume_unit(step: Decimal, largest: float) -> Decimal:
    """Return the smallest power of ten times the step in which the largest volume of a day is a number that fits.

    >>> volume_unit(Decimal("0.001"), 5), volume_unit(Decimal("0.001"), 1e15)
    (Decimal('0.001'), Decimal('1'))
    """
    unit = step
    while largest > LARGEST * float(unit):
        unit = unit.scaleb(1)
    return Decimal(f"{unit:f}")
