"""Rows for the tests of the lake, and ways to look at its files."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from data.writer import Lake

EPOCH = pd.Timestamp("2024-01-01", tz="UTC")


def hours(n: int, start: str | pd.Timestamp = EPOCH) -> pd.DatetimeIndex:
    """The first `n` hours from `start`."""
    return pd.date_range(start, periods=n, freq="h", tz=None if isinstance(start, pd.Timestamp) else "UTC")


def candles(n: int = 3, *, symbol: str = "BTC/USD", start: str | pd.Timestamp = EPOCH, **columns: Any) -> pd.DataFrame:
    """Rows of the table candles, hourly; further columns by name."""
    ts = hours(n, start)
    price = 100.0 + np.arange(n)
    rows = {
        "exchange": "kraken",
        "symbol": symbol,
        "timeframe": "1h",
        "ts": ts,
        "open": price,
        "high": price + 2,
        "low": price - 2,
        "close": price + 1,
        "volume": 5.0,
        "trades": 7,
        "fetched_at": EPOCH,
        "revision": 0,
        "superseded_at": pd.NaT,
    }
    return pd.DataFrame({**rows, **columns})


def metrics(run: str, *names: str, value: float = 1.0) -> pd.DataFrame:
    """Rows of the table metrics."""
    return pd.DataFrame({"run_id": run, "metric": list(names or ("sharpe_ratio",)), "value": value})


def a_run(run: str) -> dict[str, Any]:
    """A row of the table runs."""
    return {"run_id": run, "kind": "backtest", "symbol": "BTC/USD", "created_at": EPOCH, "seed": None}


SIZES = {"signals": 4, "orders": 2, "fills": 2, "equity": 4, "trades": 1, "metrics": 3}
"""Rows that `of_a_run` has for each table."""


def of_a_run() -> dict[str, pd.DataFrame | pa.Table]:
    """What belongs to a run, without its run_id."""
    indicators = pa.array([[("fast", 1.0), ("slow", 2.0)]] * 4, pa.map_(pa.string(), pa.float64()))
    return {
        "signals": pa.table(
            {"symbol": ["BTC/USD"] * 4, "ts": pa.array(hours(4)), "indicators": indicators, "close": [1.0, 2, 3, 4]}
        ),
        "orders": pd.DataFrame({"symbol": "BTC/USD", "order_id": ["1", "2"], "event": "filled", "ts": hours(2)}),
        "fills": pd.DataFrame({"symbol": "BTC/USD", "fill_id": ["1", "2"], "ts": hours(2), "price": 1.5}),
        "equity": pd.DataFrame({"ts": hours(4), "cash": 1.0, "position": 2.0, "price": 3.0, "equity": 7.0}),
        "trades": pd.DataFrame({"symbol": ["BTC/USD"], "trade_id": 1, "entry_ts": hours(1), "profit": 2.5}),
        "metrics": pd.DataFrame({"metric": ["a", "b", "c"], "value": [1.0, 2.0, float("nan")]}),
    }


def data_files(lake: Lake, table: str) -> list[Path]:
    """The Parquet files in a table's folder, whether they belong to its newest version or not."""
    return sorted(file for file in lake.path(table).rglob("*.parquet") if "_delta_log" not in file.parts)


def content(folder: Path) -> dict[str, str]:
    """Every file under a folder, with the hash of its bytes."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }
