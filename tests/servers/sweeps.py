"""What tests of sweeps share: candles of several series, a strategy that leaves a trace, tables as bytes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from data.candles import read_candles
from data.views import read
from data.writer import Lake
from flows.options import flag
from flows.parameters import SweepParameters
from flows.sweep import Sweep, sweep

TRACED = '''
import os, time
from pathlib import Path
from tasks.signal import DataFrame, Strategy, above


class Traced(Strategy):
    """Hold above a mean; slowly, and each time with a line in a file."""

    window: int = 5

    @property
    def warmup(self):
        return self.window - 1

    def generate(self, candles):
        with Path({trace!r}).open("a") as trace:
            trace.write(f"{{self.window}} {{os.getpid()}}\\n")
        if not Path({trace!r}).with_name("hurry").exists():
            time.sleep({seconds})
        return DataFrame({{"target": above(candles["close"], candles["close"].rolling(self.window).mean())}})
'''


def traced(folder: Path, seconds: float) -> tuple[Path, Path]:
    """Write a strategy; return its file and that of its trace, in which a line is the window and the process of a set.

    A set takes so many seconds until a file `hurry` lies beside the trace.
    """
    file, trace = folder / "traced.py", folder / "trace"
    file.write_text(TRACED.format(trace=str(trace), seconds=seconds), encoding="utf-8")
    return file, trace


def fill(lake: Lake, symbols: Sequence[str] = ("A/USD", "B/USD"), candles: int = 600, seed: int = 1) -> None:
    """Put hourly candles of the exchange `file` into the lake: random walks that rise."""
    rows = []
    for number, symbol in enumerate(symbols):
        noise = np.random.default_rng([seed, number]).normal(3e-4, 0.01, (candles, 2))
        close = 100 * np.exp(noise[:, 0].cumsum())
        opened = np.concatenate([[100.0], close[:-1]])
        spread = 1 + np.abs(noise[:, 1]) / 5
        rows.append(
            pd.DataFrame(
                {
                    "exchange": "file",
                    "symbol": symbol,
                    "timeframe": "1h",
                    "ts": pd.date_range("2024-01-01", periods=candles, freq="h", tz="UTC"),
                    "open": opened,
                    "high": np.maximum(opened, close) * spread,
                    "low": np.minimum(opened, close) / spread,
                    "close": close,
                    "volume": 5.0,
                    "trades": 7,
                    "fetched_at": pd.Timestamp("2024-03-01", tz="UTC"),
                    "revision": 0,
                    "superseded_at": pd.NaT,
                }
            )
        )
    lake.append("candles", pd.concat(rows))


def fill_inside(lake: Lake, symbol: str = "A/USD") -> None:
    """Put the minutes inside the hours of a symbol into the lake: by the high and the low to the close."""
    hours = read_candles(lake, "file", symbol, "1h")
    path = np.repeat(hours[["close"]].to_numpy(), 60, axis=1)
    path[:, :2] = hours[["high", "low"]]
    close = path.reshape(-1)
    opened = np.concatenate([[np.nan], close[:-1]])
    opened[::60] = hours["open"]
    minutes = {"open": opened, "high": np.maximum(opened, close), "low": np.minimum(opened, close), "close": close}
    same = {"exchange": "file", "symbol": symbol, "timeframe": "1m", "volume": 1.0, "trades": 1, "revision": 0}
    times = pd.date_range(hours.index[0], periods=len(close), freq="min")
    known = {"fetched_at": pd.Timestamp("2024-03-01", tz="UTC"), "superseded_at": pd.NaT}
    lake.append("candles", pd.DataFrame({"ts": times, **minutes, **same, **known}))


MINE = {"exchange": "file", "symbols": ("A/USD",), "timeframes": ("1h",), "best": 0}
"""The parameters of a sweep on one of those series."""


def swept(**parameters: object) -> list[Sweep]:
    """Sweep without Prefect."""
    results: list[Sweep] = sweep.fn(SweepParameters(**parameters))  # type: ignore[arg-type]
    return results


def as_bytes(lake: Lake, table: str = "sweeps") -> bytes:
    """Return what the views show of a table of runs, in its order, as a Parquet file."""
    rows = read(lake, f"SELECT * FROM {table} ORDER BY ALL", [], tables={"runs", table})
    file = io.BytesIO()
    pq.write_table(rows.combine_chunks(), file)
    return file.getvalue()


def options_of(parameters: SweepParameters) -> list[str]:
    """Return what of the parameters is not as by default, as the command line has it."""
    options = []
    for name, value in parameters:
        field = SweepParameters.model_fields[name]
        if value == field.get_default(call_default_factory=True):
            continue
        values = [f"{key}={text}" for key, text in value.items()] if isinstance(value, dict) else value
        each = values if isinstance(values, list | tuple) else [values]
        options += [part for text in each for part in (flag(name, field), str(text))]
    return options
