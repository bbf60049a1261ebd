"""Candles out of the lake, as the frame that every stage works on."""

from __future__ import annotations

import hashlib
from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from data.errors import BadInput, LakeError
from data.rows import one_line
from data.tables import TABLES, TIME
from data.writer import Lake

PRICES = ["open", "high", "low", "close", "volume"]
_COLUMNS = [*PRICES, "trades"]
_ROW = 8 * (1 + len(PRICES))


def read_candles(
    lake: Lake,
    exchange: str,
    symbol: str,
    timeframe: str,
    start: datetime | None = None,
    end: datetime | None = None,
    version: int | None = None,
) -> pd.DataFrame:
    """Return the current candles of a series from `start` to before `end` (aware; None: no bound).

    Columns open, high, low, close, volume (float64) and trades (float64, NaN where unknown); the index `ts` is the UTC
    instant at which the candle opens, ascending and unique. No candles give an empty frame. `attrs["version"]` is the
    version of the table that was read, -1 where there is none; `version` asks for an older one, whose files upkeep may
    have removed. Raises BadInput for a bound without a time zone,
    LakeError where the candles cannot be read.
    """
    wanted = pc.field("superseded_at").is_null()
    if start is not None:
        wanted &= pc.field("ts") >= _instant("start", start)
    if end is not None:
        wanted &= pc.field("ts") < _instant("end", end)
    delta = lake.table("candles", version)
    series = [("exchange", "=", exchange), ("symbol", "=", symbol), ("timeframe", "=", timeframe)]
    files = [] if delta is None else lake.files("candles", delta, series)
    try:
        files_of = lake.filesystem(delta) if delta is not None else None
        table = ds.dataset(files, TABLES["candles"].schema, format="parquet", filesystem=files_of)
        rows = table.to_table([*_COLUMNS, "ts"], wanted)
    except (pa.ArrowException, OSError) as error:
        reason = f"the candles of {exchange} {symbol} {timeframe} cannot be read: {one_line(error)}"
        raise LakeError(f"{reason}; `jarvis doctor` looks at the lake") from None
    numbers = {name: rows[name].to_numpy().astype("float64", copy=False) for name in _COLUMNS}
    index = pd.DatetimeIndex(rows["ts"].to_numpy(), name="ts").as_unit("us").tz_localize("UTC")
    candles = pd.DataFrame(numbers, index=index)
    candles = candles if index.is_monotonic_increasing else candles.sort_index()
    candles.attrs["version"] = -1 if delta is None else delta.version()
    return candles


def _instant(name: str, bound: datetime) -> pa.Scalar:
    if bound.tzinfo is None:
        raise BadInput(f"{name} {bound} bears no time zone; give it in UTC")
    return pa.scalar(bound, TIME)


def fingerprint(candles: pd.DataFrame) -> str:
    """Return the sha256 of the candles, row by row: time (microseconds, int64), prices and volume (float64)."""
    return hashlib.sha256(_rows(candles)).hexdigest()


def fingerprints(candles: pd.DataFrame) -> list[str]:
    """Return for each candle the fingerprint of all until it, itself included, in one pass."""
    digest, found, rows = hashlib.sha256(), [], _rows(candles)
    for start in range(0, len(rows), _ROW):
        digest.update(rows[start : start + _ROW])
        found.append(digest.copy().hexdigest())
    return found


def _rows(candles: pd.DataFrame) -> bytes:
    """Return the candles as little-endian bytes, `_ROW` a candle."""
    times = candles.index.tz_convert(None).to_numpy().astype("datetime64[us]").astype("<i8")  # type: ignore[attr-defined]
    prices = [candles[name].to_numpy().astype("<f8").view("<i8") for name in PRICES]
    return np.column_stack([times, *prices]).tobytes()
