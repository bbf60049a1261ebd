"""Parameter sets: all of a grid, or some of it drawn by lot."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cached_property

from data.errors import BadInput

MOST = 1_000_000
"""Sets of a sweep: its rows must fit into memory when it is ranked."""

LARGEST = 2**63 - 1
"""Sets of a grid: a place in it is told to workers as a number of 64 bits."""


@dataclass(frozen=True)
class Steps:
    """The values of a range, none of which exists before it is asked for."""

    start: Decimal
    step: Decimal
    count: int

    def value(self, place: int) -> str:
        """Return the value at a place, from 0."""
        return f"{self.start + place * self.step:f}"

    def place(self, value: float) -> int:
        """Return the place of a value, or of what lies nearest to it."""
        return round((Decimal(repr(value)) - self.start) / self.step)


@dataclass(frozen=True)
class Listed:
    """Values one by one."""

    values: tuple[str, ...]

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.values)

    def value(self, place: int) -> str:
        """Return the value at a place, from 0."""
        return self.values[place]


@dataclass(frozen=True)
class Grid:
    """The product of its axes; the last one changes fastest."""

    axes: Mapping[str, Steps | Listed]

    @cached_property
    def size(self) -> int:
        """How many sets it has."""
        return math.prod(axis.count for axis in self.axes.values())

    def point(self, place: int) -> dict[str, str]:
        """Return the set at a place, from 0."""
        found = {}
        for name, axis in reversed(list(self.axes.items())):
            place, within = divmod(place, axis.count)
            found[name] = axis.value(within)
        return {name: found[name] for name in self.axes}

    def place(self, within: Mapping[str, int]) -> int:
        """Return the place of a set, given the place on each axis."""
        found = 0
        for name, axis in self.axes.items():
            found = found * axis.count + within[name]
        return found

    def places(self, draws: int | None, seed: int) -> Sequence[int]:
        """Return the places to be tried, in order: all, or so many different ones drawn by lot.

        Raises BadInput where that is more than a sweep can have.
        """
        wanted = checked(self.size if draws is None else min(draws, self.size))
        if wanted == self.size:
            return range(self.size)
        lot, drawn = random.Random(seed), set[int]()  # noqa: S311 - no secret
        while len(drawn) < wanted:
            drawn.add(lot.randrange(self.size))
        return sorted(drawn)


def beside(axis: Steps | Listed, value: float) -> tuple[str | None, str | None]:
    """Return the next lower and the next higher value of an axis of numbers; None where there is none."""
    if isinstance(axis, Steps):
        places = [place for place in (axis.place(value) + away for away in (-1, 0, 1)) if 0 <= place < axis.count]
        texts = [axis.value(place) for place in places]
    else:
        texts = [text for text in axis.values if _is_number(text)]
    lower, higher = [text for text in texts if float(text) < value], [text for text in texts if float(text) > value]
    return max(lower, key=float, default=None), min(higher, key=float, default=None)


def checked(sets: int) -> int:
    """Return how many sets are wanted. Raises BadInput where that is more than a sweep can have."""
    if sets > MOST:
        raise BadInput(f"{sets:,} sets are too many: a sweep has {MOST:,} at most; take larger steps or --random N")
    return sets


def read_grid(texts: Mapping[str, str]) -> Grid:
    """Read axes such as 5:50:5 (from, to, step; the end included where a step meets it) or 5,10,20.

    Raises BadInput for a grid without axes or an axis without values, naming it.
    """
    if not texts:
        raise BadInput("the grid is empty: give at least one --grid, such as --grid fast=5:50:5")
    grid = Grid({name: _axis(name, text) for name, text in texts.items()})
    if grid.size > LARGEST:
        raise BadInput(f"10^{len(str(grid.size)) - 1} sets are too many even to draw from: take larger steps")
    return grid


def _is_number(text: str) -> bool:
    try:
        return Decimal(text).is_finite()
    except InvalidOperation:
        return False


def _axis(name: str, text: str) -> Steps | Listed:
    if ":" not in text:
        values = tuple(dict.fromkeys(value.strip() for value in text.split(",")))
        if not all(values):
            raise BadInput(f"grid {name}={text}: a value is missing; write values as 5,10,20 or a range as 5:50:5")
        numbers = [Decimal(value) for value in values if _is_number(value)]
        same = next((number for place, number in enumerate(numbers) if number in numbers[:place]), None)
        if same is not None:
            raise BadInput(f"grid {name}={text}: {same:f} is given twice, so that a set would be tried twice")
        return Listed(values)
    try:
        start, stop, step = (Decimal(part.strip()) for part in text.split(":"))
        count = int((stop - start) / step) + 1 if (stop - start) * step >= 0 else 0
    except (InvalidOperation, ValueError, ArithmeticError):
        raise BadInput(f"grid {name}={text}: write from:to:step in numbers, with a step other than 0") from None
    if count < 1:
        raise BadInput(f"grid {name}={text}: the range has no values; let the step lead from the first to the last")
    return Steps(start, step, count)
