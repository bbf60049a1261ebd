"""Sessions: one run of the lake for each symbol that is traded, resumed as long as nothing that decides it changes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from data.errors import BadInput
from data.runs import TRADING, canonical, code_version, library_versions, run_id
from data.timeframe import parse_timeframe
from data.views import read
from data.writer import Claim, Lake

_LEAST = 1e-8
"""Base currency that counts as a position where the market knows no minimum."""


def session_id(terms: Mapping[str, Any]) -> str:
    """Return the name of the session with these terms: a hash of its identity. A change of it is another session."""
    return run_id(terms["identity"])


def read_session(lake: Lake, run: str) -> dict[str, Any] | None:
    """Return the manifest of a recorded session, None if there is none such."""
    query = "SELECT manifest FROM runs WHERE run_id = ? AND kind IN ('paper', 'live')"
    rows = read(lake, query, [run], tables={"runs"})["manifest"].to_pylist()
    return json.loads(rows[0]) if rows else None


def begin(
    lake: Lake, terms: Mapping[str, Any], now: pd.Timestamp, history: int, flow_run_id: str | None
) -> dict[str, Any]:
    """Return the manifest of the session with these terms, recording it if it is new.

    A new session begins with the newest candle that is closed at `now` (UTC, the exchange's clock); its strategy sees
    `history` candles before it. Raises BadInput when another live session of the account holds the same market.
    """
    run = session_id(terms)
    known = read_session(lake, run)
    if known is not None:
        return known
    _refuse_rival(lake, terms, run)
    step = pd.Timedelta(parse_timeframe(terms["timeframe"]))
    start = now.floor(step) - step
    manifest = {
        **terms,
        "start": start.isoformat(),
        "history_start": (start - history * step).isoformat(),
        "code_version": code_version(TRADING),
        "libraries": library_versions(),
        "seed": None,
    }
    lake.append("runs", pd.DataFrame([_row(run, manifest, flow_run_id)]), Claim(run, 1))
    return read_session(lake, run) or manifest


def _refuse_rival(lake: Lake, terms: Mapping[str, Any], run: str) -> None:
    """Two live sessions that trade one market on one account would sell each other's position.

    What is too small to be sold is nobody's rival.
    """
    if terms["kind"] != "live":
        return
    query = """SELECT run_id, sum(
            CASE side WHEN 'buy' THEN 1 ELSE -1 END * amount_exact::DECIMAL(38, 18)
            - CASE fee_currency WHEN split_part(fills.symbol, '/', 1) THEN fee_exact::DECIMAL(38, 18) ELSE 0 END
        )::DOUBLE AS position
        FROM fills JOIN runs USING (run_id) WHERE kind = 'live' AND runs.exchange = ? AND fills.symbol = ?
        AND manifest ->> 'account' = ? GROUP BY run_id"""
    place = [terms["exchange"], terms["symbol"], terms["account"]]
    least = max(terms["sizing"]["min_amount"] or 0.0, _LEAST)
    for other in read(lake, query, place, tables={"runs", "fills"}).to_pylist():
        if other["run_id"] != run and other["position"] >= least:
            raise BadInput(
                f"session {other['run_id']} holds {other['position']:g} of {terms['symbol']} on this account: "
                f"go on with its parameters, or sell it with `jarvis flatten --run {other['run_id']}`"
            )


def _row(run: str, manifest: Mapping[str, Any], flow_run_id: str | None) -> dict[str, Any]:
    copied = ("kind", "exchange", "symbol", "timeframe", "strategy", "cash", "code_version", "seed")
    return {
        "run_id": run,
        **{name: manifest[name] for name in copied},
        "parameters": canonical(manifest["parameters"]),
        "start_ts": pd.Timestamp(manifest["history_start"]),
        **manifest["costs"],
        "manifest": canonical(manifest),
        "flow_run_id": flow_run_id,
        "created_at": datetime.now(UTC),
    }
