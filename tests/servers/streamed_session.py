"""A session on paper that grows by a bar at will, written as a session writes; `python -m` this streams one."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from data.runs import canonical, record_run
from data.signals import signals_table
from data.upkeep import compact, settle
from data.writer import Lake

RUN = "streamed-session"
START = pd.Timestamp("2024-01-01", tz="UTC")
MINUTE = pd.Timedelta(minutes=1)
CASH = 10_000.0
SERIES = {"exchange": "csv", "symbol": "BTC/USD", "timeframe": "1m"}
COSTS = {"fee": 0.004, "slippage": 0.0005}

_FILLED_EVERY = 7
_BACKTEST_EVERY = 10
_COMPACTED_EVERY = 100
_SETTLED_EVERY = 24 * 60
"""Bars, of minutes: the upkeep of each night."""
_ALMOST_A_DAY = 23 * 3600
"""Seconds by which all that is there is older at the next upkeep."""
_TABLES = ("candles", "equity", "signals", "decisions", "orders", "fills")


class StreamedSession:
    """A session whose bars are minutes from `START`; bar `n` is told by its decision's detail, "bar n"."""

    def __init__(self, lake: Lake, history: int) -> None:
        """Record the session with `history` bars, written at once, and a backtest."""
        self.lake = lake
        self.bars = 0
        manifest = canonical({"kind": "paper", "start": START.isoformat()})
        row = _run_row(RUN, "paper", manifest) | {"created_at": START}
        lake.append("runs", pd.DataFrame([row]))
        self._write(range(history))
        self._record_backtest()

    def step(self) -> None:
        """Write the next bar, in the order of a session: the decision comes last."""
        bar = self.bars
        self._write([bar])
        if bar % _BACKTEST_EVERY == 0:
            self._record_backtest()
        if bar % _COMPACTED_EVERY == 0:
            for name in _TABLES:
                compact(self.lake, name)
        if bar % _SETTLED_EVERY == 0:
            self._pass_a_day()
            settle(self.lake)

    def _pass_a_day(self) -> None:
        """Make the logs as old as they would be, so that upkeep removes those from before its last time."""
        for file in Path(self.lake.root).glob("*/_delta_log/*"):
            written = file.stat().st_mtime - _ALMOST_A_DAY
            os.utime(file, (written, written))

    def _write(self, bars: Sequence[int]) -> None:
        ts = pd.DatetimeIndex([START + bar * MINUTE for bar in bars]).as_unit("us")
        close = np.array([price(bar) for bar in bars])
        opened = np.array([price(bar - 1) for bar in bars])
        self.lake.append("candles", _candles(ts, opened, close))
        filled = [bar for bar in bars if bar % _FILLED_EVERY == 0]
        if filled:
            self.lake.append("orders", _orders(filled))
            self.lake.append("fills", _fills(filled))
        equity = {"ts": ts, "price": close, "equity": CASH + close, "drawdown": np.minimum(0.0, (close - 120) / 1e4)}
        self.lake.append("equity", pd.DataFrame(equity).assign(run_id=RUN))
        signals = pd.DataFrame({"close": close, "signal": 1.0, "entry_exit": 0.0, "fast": opened, "slow": close}, ts)
        self.lake.append("signals", signals_table(signals, SERIES["symbol"]).append_column("run_id", [[RUN] * len(ts)]))
        self.lake.append("decisions", _decisions(bars, ts, close))
        self.bars = bars[-1] + 1

    def _record_backtest(self) -> None:
        """Record a backtest named after the number of bars that there were."""
        ts = pd.date_range(START, periods=100, freq="min", unit="us")
        worth = 1_000.0 + np.arange(100)
        equity = pd.DataFrame({"ts": ts, "price": worth, "equity": worth, "drawdown": 0.0})
        run = _run_row(backtest_id(self.bars), "backtest", "{}")
        ended = {"end_ts": ts[-1], "candles": 100, "data_fingerprint": "00", "created_at": pd.Timestamp.now("UTC")}
        metrics = pd.DataFrame({"metric": ["sharpe_ratio"], "value": [1.5], "unit": ["ratio"]})
        record_run(self.lake, {**run, **ended}, {"equity": equity, "metrics": metrics})


def price(bar: int) -> float:
    """The close of a bar: a wave, so that old bars and new ones fill the same scale."""
    return 100.0 + 10.0 * math.sin(bar / 15) + 5.0 * math.sin(bar / 4)


def backtest_id(bars: int) -> str:
    """The id of the backtest recorded when the session had so many bars."""
    return f"streamed-{bars:06}"


def _run_row(run_id: str, kind: str, manifest: str) -> dict[str, object]:
    about = {"run_id": run_id, "kind": kind, "strategy": "sma_crossover", "parameters": "{}", "code_version": "0"}
    return {**about, **SERIES, **COSTS, "start_ts": START, "cash": CASH, "manifest": manifest}


def _candles(ts: pd.DatetimeIndex, opened: np.ndarray, close: np.ndarray) -> pd.DataFrame:
    prices = {"open": opened, "high": np.maximum(opened, close) + 1, "low": np.minimum(opened, close) - 1}
    rest = {"close": close, "volume": 1.0, "fetched_at": ts + MINUTE, "revision": 0, "superseded_at": pd.NaT}
    return pd.DataFrame({**SERIES, "ts": ts, **prices, **rest})


def _decisions(bars: Sequence[int], ts: pd.DatetimeIndex, close: np.ndarray) -> pd.DataFrame:
    told = {"action": "hold", "reason": "unchanged", "detail": [f"bar {bar}" for bar in bars], "close": close}
    return pd.DataFrame(
        {"run_id": RUN, "symbol": SERIES["symbol"], "ts": ts, "decided_at": ts + MINUTE, **told, "signal": 1.0}
    )


def _side(bar: int) -> str:
    return "sell" if bar // _FILLED_EVERY % 2 else "buy"


def _orders(bars: Sequence[int]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "run_id": RUN,
            "symbol": SERIES["symbol"],
            "order_id": f"{bar}-{_side(bar)}",
            "event": event,
            "ts": START + (bar + 1) * MINUTE,
            "decision_ts": START + bar * MINUTE,
            "side": _side(bar),
            "type": "market",
            "amount": 1.0,
            "reason": "signal",
        }
        for bar in bars
        for event in ("intent", "filled")
    )


def _fills(bars: Sequence[int]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "run_id": RUN,
            "symbol": SERIES["symbol"],
            "fill_id": str(bar),
            "order_id": f"{bar}-{_side(bar)}",
            "ts": START + (bar + 1) * MINUTE,
            "side": _side(bar),
            "price": price(bar),
            "amount": 1.0,
            "fee": 0.4,
            "reason": "signal",
            "amount_exact": "1",
            "fee_exact": "0.4",
        }
        for bar in bars
    )


def main() -> None:
    """Stream a bar every so often; a line of JSON tells each: its number, when it was written, how long that took."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("lake", type=Path)
    parser.add_argument("--history", type=int, default=500)
    parser.add_argument("--interval", type=float, default=1.0, help="seconds from bar to bar")
    arguments = parser.parse_args()
    session = StreamedSession(Lake(arguments.lake), arguments.history)
    _tell(bar=session.bars - 1, at=time.time(), took=0.0)
    due = time.monotonic()
    while True:
        due = max(due + arguments.interval, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))
        began, cpu = time.monotonic(), time.process_time()
        session.step()
        _tell(bar=session.bars - 1, at=time.time(), took=time.monotonic() - began, cpu=time.process_time() - cpu)


def _tell(**what: float) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
