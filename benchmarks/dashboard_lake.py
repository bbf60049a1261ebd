"""The lake that the dashboard is measured on: backtests of any length, by the program's own functions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pyarrow as pa

from benchmarks.market import CASH, FEE, walk
from data.runs import canonical, code_version, record_run, run_id
from data.signals import signals_table
from data.writer import Lake
from tasks.backtest import simulate
from tasks.evaluate.metrics import evaluate
from tasks.signal.registry import create
from tasks.signal.signals import signals

EXCHANGE = "csv"
PARAMETERS = {"fast": 10, "slow": 20}

LAST = pd.Timestamp("2024-01-01", tz="UTC")
"""All the series end here."""

_AT_A_TIME = 1_000_000


def write_run(lake: Lake, length: int) -> str:
    """Backtest SMA(10) / SMA(20) on so many one-minute candles of `market.walk`; return the id of the recorded run."""
    market = f"WALK{length}/USD"
    candles = walk(length)
    candles.index += LAST - candles.index[-1]
    told = signals(candles, create("sma_crossover", PARAMETERS))
    done = simulate(candles, told["signal"], cash=CASH, fee=FEE, slippage=0.0, symbol=market)
    found = evaluate(done.equity, done.trades, done.fills, candles, cash=CASH, timeframe="1m", calendar="24/7")
    row = _run_row(candles, market)
    run = str(row["run_id"])
    _append(lake, "candles", candles, lambda rows: _candle_rows(rows, market))
    _append(lake, "signals", told, lambda rows: _of(run, signals_table(rows, market)))
    _append(lake, "equity", done.equity, lambda rows: rows.assign(run_id=run))
    record_run(lake, row, {"trades": done.trades, "fills": done.fills, "metrics": found})
    return run


def _append(lake: Lake, table: str, frame: pd.DataFrame, rows: Callable[[pd.DataFrame], Any]) -> None:
    """Append a long frame in parts: each becomes a file, and one alone is in memory a second time."""
    for first in range(0, len(frame), _AT_A_TIME):
        lake.append(table, rows(frame.iloc[first : first + _AT_A_TIME]))


def _candle_rows(candles: pd.DataFrame, market: str) -> pd.DataFrame:
    series = {"exchange": EXCHANGE, "symbol": market, "timeframe": "1m"}
    fetched = {"fetched_at": LAST + pd.Timedelta(days=1), "revision": 0, "superseded_at": pd.NaT}
    return candles.reset_index().assign(**series, **fetched)


def _of(run: str, rows: pa.Table) -> pa.Table:
    return rows.append_column("run_id", pa.repeat(pa.scalar(run), rows.num_rows))


def _run_row(candles: pd.DataFrame, market: str) -> dict[str, Any]:
    told = {"kind": "backtest", "exchange": EXCHANGE, "symbol": market, "timeframe": "1m", "strategy": "sma_crossover"}
    manifest = {**told, "parameters": PARAMETERS, "candles": len(candles), "cash": CASH}
    return {
        **told,
        "run_id": run_id(manifest),
        "parameters": canonical(PARAMETERS),
        "start_ts": candles.index[0],
        "end_ts": candles.index[-1],
        "candles": len(candles),
        "cash": CASH,
        "fee": FEE,
        "slippage": 0.0,
        "code_version": code_version(),
        "manifest": canonical(manifest),
        "created_at": datetime.now(UTC),
    }
