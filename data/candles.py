"""Candles out of the lake, as the frame that every stage works on."""

from __future__ import annotations

import hashlib
from datetime import datetime

import duckdb
import numpy as np
import pandas as pd

from data.tables import TABLES
from data.views import empty, scan
from data.writer import Lake

PRICES = ["open", "high", "low", "close", "volume"]


def read_candles(
    lake: Lake,
    exchange: str,
    symbol: str,
    timeframe: str,
    start: datetime | None = None,
    end: datetime | None = None,
) -> pd.DataFrame:
    """Return the current candles of a series from `start` to before `end` (aware; None: no bound).

    Columns open, high, low, close, volume (float64) and trades (float64, NaN where unknown); the index `ts` is the UTC
    instant at which the candle opens, ascending and unique. No candles give an empty frame.
    """
    declared = TABLES["candles"]
    delta = lake.table("candles")
    files = []
    if delta is not None:
        series = [("exchange", "=", exchange), ("symbol", "=", symbol), ("timeframe", "=", timeframe)]
        files = delta.file_uris(file_pruning_predicate=series)
    connection = duckdb.connect(":memory:")
    connection.execute("SET TimeZone = 'UTC'")
    columns = connection.execute(
        f"""SELECT epoch_us(ts) AS ts, {", ".join(PRICES)}, trades::DOUBLE AS trades
        FROM ({scan(declared, files) if files else empty(declared)})
        WHERE superseded_at IS NULL AND ($start IS NULL OR ts >= $start) AND ($end IS NULL OR ts < $end)""",
        {"start": start, "end": end},
    ).fetchnumpy()
    connection.close()
    numbers = {name: np.ma.filled(columns[name], np.nan) for name in [*PRICES, "trades"]}
    index = pd.DatetimeIndex(np.asarray(columns["ts"]).astype("datetime64[us]"), name="ts").tz_localize("UTC")
    candles = pd.DataFrame(numbers, index=index)
    return candles if index.is_monotonic_increasing else candles.sort_index()


def fingerprint(candles: pd.DataFrame) -> str:
    """Return the sha256 of the candles' times (microseconds, int64) and prices (float64), little-endian."""
    digest = hashlib.sha256()
    times = candles.index.tz_convert(None).to_numpy().astype("datetime64[us]").astype("<i8")  # type: ignore[attr-defined]
    digest.update(times.tobytes())
    for name in PRICES:
        digest.update(candles[name].to_numpy().astype("<f8").tobytes())
    return digest.hexdigest()
