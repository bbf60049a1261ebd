"""What a strategy is: a frozen set of parameters that turns candles into a wanted position.

A strategy of one's own is one class in one file:

    from tasks.signal import DataFrame, Field, Strategy, above, sma

    class MyStrategy(Strategy):
        \"\"\"Hold while the close is above its average.\"\"\"

        window: int = Field(20, ge=2, description="candles averaged")

        @property
        def warmup(self):
            return self.window - 1

        def generate(self, candles):
            average = sma(candles["close"], self.window)
            return DataFrame({"average": average, "target": above(candles["close"], average)})
"""

from __future__ import annotations

import inspect
import itertools
import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from pandas import DataFrame, Series
from pydantic import BaseModel, ConfigDict, model_validator

from tasks.engine.changes import Changes

_RESERVED = ("name", "description", "warmup", "generate", "shared")


class Strategy(BaseModel, ABC):
    """Candles in, wanted position out. The fields are the parameters, with type, bounds and description."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: ClassVar[str]
    """The class's name in snake_case: `SmaCrossover` is `sma_crossover`."""

    description: ClassVar[str]
    """The first line of the class's docstring."""

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        """Name and describe the strategy. Raises TypeError for a parameter whose name is the strategy's own."""
        super().__pydantic_init_subclass__(**options)
        for reserved in _RESERVED:
            if reserved in cls.model_fields:
                raise TypeError(f"{cls.__name__}: a parameter cannot be called '{reserved}'")
        cls.name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls.__name__).lower()
        cls.description = (inspect.cleandoc(cls.__doc__ or "").splitlines() or [""])[0]

    @property
    @abstractmethod
    def warmup(self) -> int:
        """Number of leading candles that have no signal: 99 for an average over 100 candles."""

    @abstractmethod
    def generate(self, candles: DataFrame) -> DataFrame:
        """Return the indicators used and the wanted position for each candle.

        `candles` (index `ts`: UTC, instant at which the candle opens; open, high, low, close, volume) are closed ones,
        in a copy that may be altered. The answer has the same index, any columns of numbers as indicators, and
        `target`: the wanted position as a fraction of equity, -1 to 1, or NaN for no signal, which leaves the position
        as it is. Row t may use rows up to t only.
        """

    @classmethod
    def shared(cls, candles: DataFrame) -> Callable[[Any], Changes] | None:  # noqa: ARG003
        """Return a quicker way from a parameter set to its target, which sweeps over the candles use; None: none.

        It remembers what many sets have in common, is called from many threads, and must give the changes of bit for
        bit the signal that `generate` leads to, none in the warm-up. What it raises fails the set. A
        `tasks.signal.quick.Together` makes the targets of many sets at once.
        """
        return None


class PortfolioStrategy(Strategy):
    """A strategy that sees all markets at once, and weighs them against each other.

    Its candles, and its answer, have columns of two levels, a name and a symbol: `candles["close"]` is a frame with one
    column a symbol, and `concat({"momentum": momentum, "target": weights}, axis=1)` an answer. A row is an instant at
    which any market has a candle; one that has none is NaN in it. The `target` of a symbol is its wanted position as a
    fraction of the equity of the whole; NaN is no signal, and leaves the position as it is. What `warmup` counts are
    rows.
    """


def increasing(*fields: str) -> Any:
    """Demand that the parameters named have growing values; assign it to any name in the class.

    >>> class Cross(Strategy):
    ...     fast: int = 50
    ...     slow: int = 100
    ...     _order = increasing("fast", "slow")
    """

    def check(strategy: Strategy) -> Strategy:
        for low, high in itertools.pairwise(fields):
            low_value, high_value = getattr(strategy, low), getattr(strategy, high)
            if not low_value < high_value:
                raise ValueError(f"{low} must be below {high}, but {low}={low_value} and {high}={high_value}")
        return strategy

    return model_validator(mode="after")(check)


def above(first: Series, second: Series | float) -> Series:
    """Return 1 where the first is above the second, 0 where it is not, NaN where either is unknown."""
    unknown = first.isna() | (second.isna() if isinstance(second, Series) else np.isnan(second))
    return (first > second).astype(float).mask(unknown)


def hold(entries: Series, exits: Series, *, warmup: int = 0) -> Series:
    """Return 1 from an entry to the next exit and 0 from an exit to the next entry; an exit wins over an entry.

    Before the first event of either kind it is NaN: what stood before the history began is unknown, and no signal is
    given, so that a history that begins later never contradicts one that began earlier. For the same reason events in
    the first `warmup` candles do not count: give the strategy's own where entries and exits look back differently far,
    for one may be seen there while the other is still missed. For short positions subtract:
    `hold(long_entries, long_exits) - hold(short_entries, short_exits)`.
    """
    state = Series(np.nan, index=entries.index)
    state[entries.fillna(False).astype(bool)] = 1.0
    state[exits.fillna(False).astype(bool)] = 0.0
    state.iloc[:warmup] = np.nan
    return state.ffill()
