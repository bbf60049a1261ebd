"""Parity of a session: its candles backtested with its parameters, and compared with what it did."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from data.candles import read_candles
from data.errors import BadInput, unknown
from data.quality import gaps_after
from data.runs import read_run
from data.tables import TABLES
from data.timeframe import parse_timeframe
from data.views import read
from data.writer import Lake
from tasks.backtest import execute_backtest
from tasks.evaluate.parity import Tables, compare
from tasks.signal import Strategy, generate_signals
from tasks.signal.registry import create


def check_parity(lake: Lake, run_id: str) -> pd.DataFrame:
    """Backtest the candles of a session as the lake has them today, compare, and write the table parity.

    Returned are its rows, one a candle from the session's first decision to its last; `tasks.evaluate.parity` says
    what is compared. Raises BadInput for a run that is no session or has decided nothing yet, and where its strategy
    is gone.
    """
    manifest = _session(lake, run_id)
    strategy = _strategy(run_id, manifest)
    decisions = read_run(lake, run_id, "decisions")
    if decisions.empty:
        raise BadInput(f"session {run_id} has decided nothing yet: wait for a candle to close")
    series = manifest["exchange"], manifest["symbol"], manifest["timeframe"]
    timeframe, start = pd.Timedelta(parse_timeframe(series[2])), pd.Timestamp(manifest["start"])
    end = decisions["ts"].max() + timeframe
    candles = read_candles(lake, *series, pd.Timestamp(manifest["history_start"]), end)
    signals = generate_signals(candles, strategy)
    backtest = execute_backtest(
        candles,
        signals.assign(signal=signals["signal"].where(candles.index >= start)),
        symbol=manifest["symbol"],
        cash=manifest["cash"],
        gap_after=gaps_after(lake, *series, pd.DatetimeIndex(candles.index)),
        timeframe=parse_timeframe(series[2]),
        **manifest["costs"],
        **manifest["sizing"],
        **manifest["stops"],
        **manifest["limits"],
    )
    rows: pd.DataFrame = compare(
        candles,
        signals["signal"],
        decisions,
        Tables(*(read_run(lake, run_id, table) for table in Tables._fields)),
        Tables(backtest.orders, backtest.fills, backtest.equity),
        timeframe=timeframe,
        start=start,
    ).assign(run_id=run_id, symbol=manifest["symbol"], compared_at=datetime.now(UTC))
    lake.upsert("parity", rows)
    return rows.reindex(columns=TABLES["parity"].schema.names)


def _session(lake: Lake, run_id: str) -> dict[str, Any]:
    """Return the manifest of a session."""
    recorded = read_run(lake, run_id, "runs")
    if recorded.empty:
        query = "SELECT run_id FROM runs WHERE kind IN ('paper', 'live')"
        raise unknown("session", run_id, read(lake, query, [], tables={"runs"})["run_id"].to_pylist())
    kind = recorded["kind"].iloc[0]
    if kind not in ("paper", "live"):
        raise BadInput(f"run {run_id} is a {kind}: parity is of a session, and `jarvis sessions` lists them")
    manifest: dict[str, Any] = json.loads(recorded["manifest"].iloc[0])
    return manifest


def _strategy(run_id: str, manifest: dict[str, Any]) -> Strategy:
    try:
        return create(manifest["strategy_spec"], manifest["parameters"])
    except BadInput as error:
        raise BadInput(f"the strategy of session {run_id} is gone: {error}") from None
