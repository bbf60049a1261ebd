"""How much worse than the market's price an order is filled: small models, each with its formula, units and source.

A model adds up two things: a *fraction* of the price, whatever the order's size, and an *impact* that grows with it,
`impact * friction * amount ** power`. The friction is one number a candle, known at its close, that says how little the
market bears. A buy pays `market * (1 + fraction) * (1 + that)`, a sale gets `market * (1 - fraction) / (1 + that)`: no
order is so large that a sale costs money.

A model of one's own is a subclass of `Slippage`: compiled code knows the three numbers and the friction, not the class.
"""

from __future__ import annotations

import math
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from data.errors import BadInput

if TYPE_CHECKING:
    import pandas as pd

    from tasks.engine.friction import Floats

SYNTAX = "write 0.0005, spread:0.0004, volume:0.1 or sqrt:0.7; or one of the first two + one of the last two"


@dataclass(frozen=True)
class Slippage:
    """A model, of numbers alone; this one costs nothing. Raises BadInput for a number that cannot be."""

    fraction: float = 0.0
    """Of the price, in the direction that hurts: at least 0, below 1."""
    impact: float = 0.0
    """The coefficient; 0: none."""
    power: float = 1.0
    """The exponent of the amount, above 0."""

    name: ClassVar[str] = ""
    """As it is written before the coefficient."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.fraction < 1.0:
            raise BadInput(f"slippage must be at least 0 and below 1, not {self.fraction:g}")
        if not 0.0 <= self.impact < math.inf:
            raise BadInput(f"slippage {self.name}:{self.impact:g}: the coefficient must be at least 0")

    def friction(self, candles: pd.DataFrame) -> Floats:
        """Return for each candle what goes with an order between its close and the next; infinite: it is not known.

        It may look at candles up to that one alone. Raises BadInput where they lack something.
        """
        raise NotImplementedError(f"{type(self).__name__} has an impact and no friction")

    def times(self, multiple: float) -> Slippage:
        """Return the model that costs so many times as much."""
        scaled = copy(self)
        object.__setattr__(scaled, "fraction", self.fraction * multiple)
        object.__setattr__(scaled, "impact", self.impact * multiple)
        scaled.__post_init__()
        return scaled

    def __str__(self) -> str:
        """Return the model as it is written."""
        impact = [f"{self.name}:{self.impact!r}"] if self.name else []
        return "+".join([repr(self.fraction), *impact] if self.fraction or not impact else impact)


class FixedFraction(Slippage):
    """A fraction of the price: `market * (1 +- fraction)`. Written as the number alone."""

    def __init__(self, fraction: float) -> None:
        super().__init__(fraction)


class HalfSpread(Slippage):
    """Half of the spread between bid and ask, itself a fraction of the price in their middle: `spread / 2` a side.

    It is what an order that the touch bears pays beyond the middle (Roll 1984). Written `spread:0.0004`.
    """

    def __init__(self, spread: float) -> None:
        super().__init__(spread / 2.0)


class VolumeShare(Slippage):
    """Impact in proportion to the order's share of a candle's volume: `coefficient * amount / V`.

    V is the mean volume, in base currency, of the last 20 candles that closed before the fill. An order of all of it
    moves the price by the coefficient, a fraction. Linear as in Kyle (1985) and as the temporary impact of Almgren and
    Chriss (2000); zipline's model of that name takes the square of the share. Written `volume:0.1`.
    """

    name = "volume"

    def __init__(self, coefficient: float, fraction: float = 0.0) -> None:
        super().__init__(fraction, coefficient, 1.0)

    def friction(self, candles: pd.DataFrame) -> Floats:
        """Return 1 / V."""
        from tasks.engine.friction import mean_volume, over

        return over(1.0, mean_volume(candles))


class SquareRoot(Slippage):
    """The square-root law: `coefficient * sigma * sqrt(amount / V)`.

    V is that of `VolumeShare`, and sigma the volatility of one candle over the same 20: `tasks.engine.friction` has the
    estimates. As sigma grows with the root of a candle's length and V with the length, the length cancels. The
    coefficient is about 1: Grinold and Kahn (2000), chapter 16; Almgren, Thum, Hauptmann and Li (2005) find the same
    shape, with an exponent of 0.6. Written `sqrt:0.7`.
    """

    name = "sqrt"

    def __init__(self, coefficient: float, fraction: float = 0.0) -> None:
        super().__init__(fraction, coefficient, 0.5)

    def friction(self, candles: pd.DataFrame) -> Floats:
        """Return sigma / sqrt(V)."""
        from tasks.engine.friction import mean_volume, over, volatility

        return over(volatility(candles), mean_volume(candles) ** 0.5)


def read_slippage(given: float | str | Slippage) -> Slippage:
    """Return a model that was given as itself, as its text or as a number. Raises BadInput for anything else."""
    if isinstance(given, Slippage):
        return given
    fraction, name, coefficient = 0.0, "", 0.0
    for part in str(given).split("+"):
        kind, _, number = part.strip().rpartition(":")
        try:
            value = float(number)
        except ValueError:
            raise BadInput(f"slippage {given!r} cannot be read: {SYNTAX}") from None
        if kind in ("", "spread"):
            fraction += (HalfSpread if kind else FixedFraction)(value).fraction
        elif kind in _IMPACTS and not name:
            name, coefficient = kind, value
        else:
            raise BadInput(f"slippage {given!r} cannot be read: {SYNTAX}")
    return _IMPACTS[name](coefficient, fraction) if name else FixedFraction(fraction)


def written(given: float | str | Slippage) -> float | str:
    """Return a model as a manifest bears it: a number where it is a fraction alone, else its text."""
    model = read_slippage(given)
    return str(model) if model.name else model.fraction


_IMPACTS: dict[str, type[VolumeShare] | type[SquareRoot]] = {"volume": VolumeShare, "sqrt": SquareRoot}
