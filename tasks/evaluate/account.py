"""What is evaluated: the account and its market, candle by candle, checked once."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data.errors import BadInput
from data.timeframe import parse_timeframe

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

DAY = 86_400_000_000
"""Microseconds of a day."""
OPEN_ALWAYS = "24/7"
_CLOSES = re.compile(r"24/5|[A-Za-z_]+")
"""Calendars of markets that close: on weekends, or as the exchange of that name does."""


@dataclass(frozen=True)
class Account:
    """The account and its market at every close.

    Instants and the candle's length are microseconds (UTC, since 1970-01-01); money is in quote currency.
    """

    cash: float
    """Money at the start, above 0."""
    opens: Ints
    """Opening instants of the candles, increasing."""
    candle: int
    """Length of a candle."""
    calendar: str
    equity: Floats
    position: Floats
    first_price: float
    """Open of the first candle: what the market cost when the account began."""
    close: Floats
    """Closes of the market."""

    @property
    def closes(self) -> Ints:
        """Closing instants of the candles."""
        return self.opens + self.candle

    @property
    def days(self) -> float:
        """Days from the opening of the first candle to the last close."""
        return float(self.opens[-1] + self.candle - self.opens[0]) / DAY

    @cached_property
    def ruin(self) -> int | None:
        """The first candle at whose close equity is 0 or below; None when it never is."""
        ruined = np.flatnonzero(self.equity <= 0)
        return int(ruined[0]) if len(ruined) else None

    @property
    def ruin_note(self) -> str | None:
        """The sentence that goes with the figures of a ruined account."""
        if self.ruin is None:
            return None
        day = np.datetime_as_string(np.datetime64(int(self.opens[self.ruin]), "us"), unit="D")
        return f"ruined on {day}: equity fell to 0 or below; returns after it do not count"


def read_account(equity: pd.DataFrame, candles: pd.DataFrame, *, cash: float, timeframe: str, calendar: str) -> Account:
    """Check the equity curve and the candles under it.

    Raises BadInput for a table that is empty, lacks a column, has a value that is not a finite number, is not in
    order of time, or where equity and candles are not of the same instants; for cash of 0 or below, an unknown
    timeframe and a calendar that is neither "24/7", "24/5" nor the name of an exchange.
    """
    if not (math.isfinite(cash) and cash > 0):
        raise BadInput(f"cash is {cash}: the account must start with money, a finite number above 0")
    if calendar != OPEN_ALWAYS and not _CLOSES.fullmatch(calendar):
        raise BadInput(f"unknown calendar '{calendar}': write 24/7, 24/5 or the code of a stock exchange, such as XNYS")
    candle = round(parse_timeframe(timeframe).total_seconds() * 1e6)
    require(equity, "equity", ("ts", "equity", "position"))
    require(candles, "candles", ("open", "close"))
    if equity.empty:
        raise BadInput("equity has no rows: there is nothing to evaluate")
    opens = instants(equity["ts"], "equity.ts")
    if (np.diff(opens) <= 0).any():
        raise BadInput("equity.ts is not strictly increasing: sort it, and keep one row an instant")
    if not np.array_equal(opens, instants(candles.index, "the candles' index")):
        raise BadInput("equity and candles are not of the same instants: evaluate a run with the candles it saw")
    close, first = prices(candles["close"], "candles.close"), prices(candles["open"].iloc[:1], "candles.open")
    return Account(
        cash=float(cash),
        opens=opens,
        candle=candle,
        calendar=calendar,
        equity=numbers(equity["equity"], "equity.equity"),
        position=numbers(equity["position"], "equity.position"),
        first_price=float(first[0]),
        close=close,
    )


def require(frame: pd.DataFrame, table: str, columns: Iterable[str]) -> None:
    """Raise BadInput, naming them, if a table lacks columns."""
    missing = [name for name in columns if name not in frame]
    if missing:
        raise BadInput(f"{table} lacks the column {', '.join(missing)}: give the columns of the lake's table")


def numbers(column: pd.Series, name: str) -> Floats:
    """Return a column as floats. Raises BadInput where one is absent, not a number or infinite."""
    try:
        values = column.to_numpy(dtype=np.float64)
    except (TypeError, ValueError):
        raise BadInput(f"{name} holds something that is no number: give finite numbers") from None
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise BadInput(f"{name} is {values[bad[0]]} in row {bad[0]}: give finite numbers")
    return values


def prices(column: pd.Series, name: str) -> Floats:
    """Return a column as prices: numbers above 0. Raises BadInput for anything else."""
    values = numbers(column, name)
    bad = np.flatnonzero(values <= 0)
    if len(bad):
        raise BadInput(f"{name} is {values[bad[0]]} in row {bad[0]}: a price must be above 0")
    return values


def instants(column: pd.Series | pd.Index, name: str) -> Ints:
    """Return instants as microseconds since 1970-01-01 UTC. Raises BadInput if one is absent or has no time zone."""
    if len(column) == 0:
        return np.empty(0, dtype=np.int64)
    if not isinstance(column.dtype, pd.DatetimeTZDtype):
        raise BadInput(f"{name} is {column.dtype}: give instants with their time zone, UTC")
    index = pd.DatetimeIndex(column)
    if index.hasnans:
        raise BadInput(f"{name} lacks an instant in row {int(np.flatnonzero(index.isna())[0])}: give all of them")
    return np.asarray(index.as_unit("us").asi8, dtype=np.int64)
