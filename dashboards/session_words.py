"""A session in words: where it stands, and its decisions, orders, reconciliations and parity as tables."""

from __future__ import annotations

from typing import Any

import pandas as pd

from dashboards.look import NONE, figure, number, part
from dashboards.metric_words import Words
from dashboards.queries import STOPPED, Account, Parity, Rows, Run

_QUIET = {"unchanged", "warm_up", "missed"}
"""Reasons to hold that are no hindrance."""


def tiles(run: Run, account: Account) -> str:
    """Return the headline: the last candle, what is held and worth, and what was decided."""
    base, _, quote = run.symbol.partition("/")
    gain = account.equity - run.cash
    decided = f"decided {_cell(account.decided_at)}" if account.candle else f"begins with {_cell(run.start_ts)}"
    candle = "none yet" if account.candle is None else f"{account.candle:{'%d %b' if _is_long(run) else '%H:%M'}}"
    shown = [
        ("mode", "Mode", run.kind, f"on {run.exchange}", "paper: orders are simulated; live: they are sent.", ""),
        ("candle", "Last candle", candle, decided, "The last closed candle that was decided. Times are UTC.", ""),
        ("position", "Position", number(account.position), base, "What is held by all fills until now.", ""),
        ("equity", "Equity", figure(account.equity, "quote"), f"{quote} from {figure(run.cash, 'quote')}",
         "What the account was worth at the last close.", "good" if gain > 0 else "bad" if gain < 0 else ""),
        ("drawdown", "Drawdown", figure(account.drawdown, "fraction"), f"{account.fills:,} fills",
         "How far the equity stood below its highest at the last close.", ""),
        ("decision", "Last decision", account.action or "none", (account.reason or "").replace("_", " "),
         account.detail or "What was done at the last close, and why.", "bad" if account.reason in STOPPED else ""),
    ]  # fmt: skip
    return part("tiles", tiles=[Words._make([*about, "", tone]) for *about, tone in shown])


def hindrance(account: Account) -> list[str]:
    """Return what kept the session from trading at its last decision; nothing where nothing did."""
    if account.action != "hold" or account.reason in _QUIET:
        return []
    reason, detail = (account.reason or "").replace("_", " "), account.detail or ""
    if account.reason in STOPPED:
        return [part("fault", title=f"Nothing is traded: {reason}", text=detail)]
    return [part("message", title=f"Nothing was done: {reason}", text=detail)]


def listing(rows: Rows, otherwise: str) -> str:
    """Return rows as a table under the names of their columns, or words where there are none.

    A row whose column `marked` is true stands out.
    """
    if rows.empty:
        return part("said", text=otherwise)
    marked = rows["marked"] if "marked" in rows else [False] * len(rows)
    told = rows.drop(columns="marked", errors="ignore")
    kinds = ["number" if kind.kind == "f" else "when" if kind.kind == "M" else "" for kind in told.dtypes]
    cells = [[*zip(map(_cell, row), kinds, strict=True)] for row in told.itertuples(index=False, name=None)]
    return part("listing", heads=zip(told.columns, kinds, strict=True), rows=zip(marked, cells, strict=True))


def parity(run: Run, found: Parity) -> str:
    """Return the verdicts counted, and the candles in which the session did other than its backtest."""
    if not found.counts:
        return part("said", text="not compared yet:", command=f"jarvis parity {run.run_id}")
    later = run.candles - sum(found.counts.values())
    remark = f"compared {_cell(found.compared_at)}" + (f"; {later:,} candles came later" if later > 0 else "")
    counted = part("verdicts", counts=[(verdict, f"{n:,}") for verdict, n in found.counts.items()], remark=remark)
    return counted + listing(found.differing, "Every candle compared is as in the backtest.")


def _is_long(run: Run) -> bool:
    return run.timeframe[-1] in "dwM"


def _cell(value: Any) -> str:
    if value is None or pd.isna(value):
        return NONE
    if hasattr(value, "strftime"):
        return f"{value:{'%Y-%m-%d %H:%M:%S' if value.second else '%Y-%m-%d %H:%M'}}"
    return number(value) if isinstance(value, float) else str(value)
