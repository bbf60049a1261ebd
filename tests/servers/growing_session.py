"""A paper session that goes on by the clock: a process that writes a candle and all that a session makes of it.

`python -m tests.servers.growing_session LAKE FIRST TICKS EVERY` goes on from candle FIRST. At each tick it writes a
line of JSON: its number, the instant at which its last commit was done, in seconds since 1970, and the longest commit
of it in milliseconds. EVERY is the seconds between two ticks; 0 waits for a line of its input before each.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from data.runs import canonical
from data.upkeep import compact
from data.writer import Lake

RUN = "0123456789abcdef"
SERIES = {"exchange": "csv", "symbol": "BTC/USD", "timeframe": "1m"}
START = pd.Timestamp("2024-01-01", tz="UTC")
GROWING = ("candles", "signals", "decisions", "equity")

_COMPACT_EVERY = 50


def rows_of(first: int, end: int) -> dict[str, pd.DataFrame | pa.Table]:
    """Return the rows of some candles by table, in the order in which a session writes them."""
    number = np.arange(first, end)
    ts = START + pd.to_timedelta(number, unit="min").as_unit("us")
    close = 50_000 + 500 * np.sin(number / 30)
    of_run = {"run_id": RUN, "symbol": SERIES["symbol"], "ts": ts}
    prices = {"open": close - 5, "high": close + 20, "low": close - 20, "close": close, "volume": 1.0}
    indicators = pa.array(
        [[("fast", value), ("slow", value - 9)] for value in close], pa.map_(pa.string(), pa.float64())
    )
    decided = {"action": "hold", "reason": "no_change", "detail": [f"tick {tick}" for tick in number], "close": close}
    equity = pd.DataFrame({"run_id": RUN, "ts": ts, "cash": 0.0, "position": 2.0, "price": close, "equity": 2 * close})
    return {
        "candles": pd.DataFrame(
            {**SERIES, "ts": ts, **prices, "fetched_at": ts, "revision": 0, "superseded_at": pd.NaT}
        ),
        "signals": pa.Table.from_pandas(pd.DataFrame({**of_run, "close": close, "signal": 1.0})).append_column(
            "indicators", indicators
        ),
        "equity": equity.assign(drawdown=0.0),
        "decisions": pd.DataFrame({**of_run, **decided, "decided_at": ts, "position": 2.0, "signal": 1.0}),
    }


def begin(lake: Lake, candles: int) -> None:
    """Record the session with its first candles."""
    manifest = {"start": START.isoformat(), "account": "paper"}
    run = {"run_id": RUN, "kind": "paper", **SERIES, "strategy": "sma_crossover", "parameters": "{}", "candles": 0}
    money = {"cash": 100_000.0, "fee": 0.001, "slippage": 0.0, "code_version": "0.1.0+test"}
    times = {"start_ts": START, "end_ts": START, "created_at": START, "manifest": canonical(manifest)}
    lake.append("runs", pd.DataFrame([{**run, **money, **times}]))
    for name, rows in rows_of(0, candles).items():
        lake.append(name, rows)


def go_on(lake: Lake, first: int, ticks: int, every: float) -> None:
    """Write a candle a tick, and keep the number of files low, as a session does."""
    begun = time.monotonic()
    for tick in range(first, first + ticks):
        if every:
            time.sleep(max(0.0, begun + (tick - first) * every - time.monotonic()))
        elif not sys.stdin.readline():
            return
        longest = 0.0
        for name, rows in rows_of(tick, tick + 1).items():
            before = time.perf_counter()
            lake.append(name, rows)
            longest = max(longest, time.perf_counter() - before)
        sys.stdout.write(json.dumps({"tick": tick, "at": time.time(), "ms": longest * 1000}) + "\n")
        sys.stdout.flush()
        if tick % _COMPACT_EVERY == 0:
            for name in GROWING:
                compact(lake, name)


if __name__ == "__main__":
    go_on(Lake(Path(sys.argv[1])), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
