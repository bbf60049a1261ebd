"""What the lake holds of every series, told by the log of the table candles: no file of candles is opened."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import pandas as pd
import pyarrow as pa

from data.errors import LakeError
from data.writer import BROKEN, Lake

_SERIES = ("exchange", "symbol", "timeframe")
_STATISTICS = ("min.ts", "max.ts", "max.fetched_at", "null_count.superseded_at", "num_records")
_TOLD = [
    ("min.ts", "min"),
    ("max.ts", "max"),
    ("max.fetched_at", "max"),
    ("null_count.superseded_at", "sum"),  # what is superseded has an instant there
    ("num_records", "sum"),
    ("size_bytes", "sum"),
    ("size_bytes", "count"),
]


class Held(NamedTuple):
    """What is held of one series; times are UTC."""

    exchange: str
    symbol: str
    timeframe: str
    first: pd.Timestamp
    """When the first candle opens."""
    last: pd.Timestamp
    """When the last candle opens."""
    fetched_at: pd.Timestamp
    """When the newest row entered the lake."""
    candles: int
    superseded: int
    """Rows that a later revision replaced; they are held too."""
    size: int
    """Bytes of its files."""
    files: int


def coverage(lake: Lake) -> list[Held]:
    """Return every series of the lake by name, at the price of a look at one log, however many candles there are.

    Raises LakeError where the log cannot be read, or a file in it bears no statistics: not one of this program's.
    """
    delta = lake.table("candles")
    if delta is None or not delta.file_uris():
        return []
    added = pa.table(delta.get_add_actions(flatten=True))
    if any(name not in added.column_names or added[name].null_count for name in _STATISTICS):
        raise LakeError(f"{BROKEN} candles has files without statistics: another program wrote them")
    by_series = added.group_by([f"partition.{name}" for name in _SERIES]).aggregate(_TOLD)
    return sorted(_held(*row.values()) for row in by_series.to_pylist())


def _held(  # in the order of _SERIES and _TOLD
    exchange: str,
    symbol: str,
    timeframe: str,
    first: datetime,
    last: datetime,
    fetched_at: datetime,
    candles: int,
    rows: int,
    size: int,
    files: int,
) -> Held:
    times = pd.Timestamp(first), pd.Timestamp(last), pd.Timestamp(fetched_at)
    return Held(exchange, symbol, timeframe, *times, candles, rows - candles, size, files)
