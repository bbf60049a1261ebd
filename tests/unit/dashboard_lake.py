"""A small run in a lake, for the tests of the dashboard."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from data.runs import record_run
from data.writer import Lake

START = pd.Timestamp("2024-01-01", tz="UTC")
MADE = pd.Timestamp("2024-06-01 12:00", tz="UTC")


def times(n: int) -> pd.DatetimeIndex:
    """The first `n` minutes of 2024."""
    return pd.date_range(START, periods=n, freq="min", unit="us")


def candles(n: int, **columns: Any) -> pd.DataFrame:
    """Rows of the table candles: a minute each, the close rising by 1 from 101."""
    close = 101.0 + np.arange(n)
    prices = {"open": close - 1, "high": close + 1, "low": close - 2, "close": close, "volume": 1.0}
    series = {"exchange": "csv", "symbol": "BTC/USD", "timeframe": "1m", "ts": times(n)}
    return pd.DataFrame({**series, **prices, "fetched_at": START, "revision": 0, "superseded_at": pd.NaT, **columns})


def trades(n: int = 1, **columns: Any) -> pd.DataFrame:
    """Rows of the table trades: long ones of a minute each, bought and sold at the opens."""
    entry = times(2 * n)[::2]
    prices = {"entry_price": 100.0, "exit_price": 110.0, "entry_holding": 200.0, "exit_holding": 220.0}
    rest = {"amount": 2.0, "fees": 1.0, "profit": 19.0, "return": 0.095, "exit_reason": "signal"}
    rows = {"symbol": "BTC/USD", "trade_id": np.arange(n) + 1, "side": "long", "status": "closed", "entry_ts": entry}
    return pd.DataFrame({**rows, "exit_ts": entry + pd.Timedelta(minutes=1), **prices, **rest, **columns})


def equity(n: int) -> pd.DataFrame:
    """Rows of the table equity: 1,000 and one more each minute, with a fall of a tenth in the third."""
    fall = np.where(np.arange(n) == 2, -0.1, 0.0)
    price = 101.0 + np.arange(n)
    return pd.DataFrame({"ts": times(n), "price": price, "equity": 1_000.0 + np.arange(n), "drawdown": fall})


def signals(n: int, *names: str, symbol: str = "BTC/USD") -> pa.Table:
    """Rows of the table signals, each indicator at the close's height."""
    maps = pa.array([[(name, 101.0 + row) for name in names] for row in range(n)], pa.map_(pa.string(), pa.float64()))
    return pa.table({"symbol": [symbol] * n, "ts": pa.array(times(n)), "indicators": maps})


def record(lake: Lake, run_id: str = "run-1", n: int = 10, *, tables: dict[str, Any] | None = None, **run: Any) -> None:
    """Record a run of `n` candles with one trade; `tables` replaces rows of a table, the rest those of `runs`."""
    row = {
        "run_id": run_id,
        "kind": "backtest",
        "exchange": "csv",
        "symbol": "BTC/USD",
        "timeframe": "1m",
        "strategy": "sma_crossover",
        "parameters": '{"fast":5,"slow":8}',
        "start_ts": START,
        "end_ts": times(n)[-1],
        "candles": n,
        "cash": 1_000.0,
        "fee": 0.004,
        "slippage": 0.0005,
        "code_version": "0.1.0+test",
        "data_fingerprint": "00",
        "manifest": '{"strategy":"sma_crossover"}',
        "created_at": MADE,
    }
    metrics = pd.DataFrame({"metric": ["sharpe_ratio"], "value": [1.5], "low": [0.5], "high": [2.5], "unit": ["ratio"]})
    told = {**row, **run}
    symbol = str(told["symbol"])
    rows = {
        "signals": signals(n, "fast", symbol=symbol),
        "equity": equity(n),
        "trades": trades(symbol=symbol),
        "metrics": metrics,
    }
    record_run(lake, told, {**rows, **(tables or {})})
