"""The rows of trades and of the account as their tables show them."""

from __future__ import annotations

from typing import Any

import pandas as pd

from dashboards.look import NONE, figure, number
from dashboards.queries import Rows, Run

Cell = str | list[str]


def _heads(*heads: tuple[str, str, str]) -> list[dict[str, str]]:
    return [dict(zip(("key", "title", "kind"), head, strict=True)) for head in heads]


TRADE_HEADS = _heads(
    ("trade", "Trade", ""),
    ("side", "Side", ""),
    ("entry", "Entry (UTC)", "when"),
    ("exit", "Exit (UTC)", "when"),
    ("amount", "Amount", "number"),
    ("entry_price", "Entry price", "number"),
    ("exit_price", "Exit price", "number"),
    ("profit", "Profit", "number"),
    ("return", "Return", "number"),
    ("fees", "Fees", "number"),
    ("bars", "Candles", "number"),
    ("worst", "Worst", "number"),
    ("best", "Best", "number"),
    ("reason", "Exit reason", ""),
)
"""The columns of the table of trades; the keys are those of `row_queries.TRADE_COLUMNS`."""

ACCOUNT_HEADS = _heads(
    ("ts", "Candle (UTC)", "when"),
    ("cash", "Cash", "number"),
    ("position", "Position", "number"),
    ("price", "Price", "number"),
    ("holding", "Holding", "number"),
    ("equity", "Equity", "number"),
    ("drawdown", "Drawdown", "number"),
)
"""The columns of the table of the account; the keys are those of `row_queries.ACCOUNT_COLUMNS`."""


def trade_rows(run: Run, rows: Rows) -> list[dict[str, Any]]:
    """Return trades as rows of a table."""
    return [{"id": str(row["trade"]), "cells": _trade(run, row)} for row in rows.to_dict("records")]


def account_rows(run: Run, rows: Rows) -> list[dict[str, Any]]:
    """Return the account at some closes as rows of a table."""
    return [{"id": str(row["ts"]), "cells": _account(run, row)} for row in rows.to_dict("records")]


def when(run: Run, instant: pd.Timestamp | None) -> str:
    """Write the opening of a candle: the day alone where candles are days or longer."""
    if instant is None or pd.isna(instant):
        return NONE
    return f"{instant:{'%Y-%m-%d' if run.timeframe[-1] in 'dwM' else '%Y-%m-%d %H:%M'}}"


def tone(value: float) -> str:
    """Return the tone of a gain or a loss."""
    return "good" if value > 0 else "bad" if value < 0 else ""


def _trade(run: Run, row: dict[Any, Any]) -> list[Cell]:
    reason = row["reason"] if isinstance(row["reason"], str) else "still open"
    profit = row["profit"]
    return [
        str(row["trade"]), str(row["side"]), when(run, row["entry"]),
        "open" if pd.isna(row["exit"]) else when(run, row["exit"]),
        number(row["amount"]), number(row["entry_price"]), number(row["exit_price"]),
        [figure(profit, "quote"), tone(profit)], [figure(row["return"], "fraction"), tone(profit)],
        figure(row["fees"], "quote"), NONE if pd.isna(row["bars"]) else f"{row['bars']:,.0f}",
        figure(row["worst"], "fraction"), figure(row["best"], "fraction"), reason.replace("_", " "),
    ]  # fmt: skip


def _account(run: Run, row: dict[Any, Any]) -> list[Cell]:
    return [
        when(run, row["ts"]), figure(row["cash"], "quote"), number(row["position"]), number(row["price"]),
        figure(row["holding"], "quote"), figure(row["equity"], "quote"), figure(row["drawdown"], "fraction"),
    ]  # fmt: skip
