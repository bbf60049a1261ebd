"""What a source of candles is: the one protocol behind which the sample, files and exchanges stand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple, Protocol

import pandas as pd

from data.markets import Market


class Series(NamedTuple):
    """The name of a series of candles: the first three columns of its key in the lake."""

    exchange: str
    symbol: str
    timeframe: str


class Fact(NamedTuple):
    """Something found about candles; a row of the table `quality`, but for its series and its times of finding."""

    kind: str
    start: pd.Timestamp
    """First candle that it covers, UTC."""
    end: pd.Timestamp
    """Last candle that it covers, UTC."""
    candles: int
    detail: str


class Batch(NamedTuple):
    """Candles that a source answered at once; each batch is stored before the next is asked for."""

    candles: pd.DataFrame
    """A candles frame, checked, with the column `trades` (float64, NaN where unknown)."""
    facts: tuple[Fact, ...] = ()
    """What only the source can tell: repeated rows, and the window beyond which it has nothing."""
    done: int = 0
    total: int = 0
    """How far the work has come, in candles."""
    still_open: int = 0
    """Candles left out because they were not closed yet."""


class Source(Protocol):
    """Where candles come from."""

    @property
    def name(self) -> str:
        """The exchange of the series in the lake."""

    @property
    def remote(self) -> bool:
        """Whether it costs requests, so that only what the lake lacks is asked for."""

    def market(self, symbol: str) -> Market:
        """Return what is known of a market. Raises BadInput for one that the source does not have."""

    def candles(self, symbol: str, timeframe: str, since: datetime | None, until: datetime | None) -> Iterator[Batch]:
        """Yield the closed candles from `since` to before `until` (aware UTC; None: as far as the source goes).

        Raises BadInput for what the source does not have, SourceError where it cannot be read.
        """
