"""The rows of trades, of the account and of positions as their tables show them."""

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
    ("symbol", "Symbol", ""),
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

POSITION_HEADS = _heads(
    ("ts", "Candle (UTC)", "when"),
    ("symbol", "Symbol", ""),
    ("position", "Position", "number"),
    ("price", "Price", "number"),
    ("value", "Value", "number"),
)
"""The columns of the table of positions; the keys are those of `row_queries.POSITION_COLUMNS`."""

_OF_SEVERAL = {"symbol"}
_OF_ONE = {"position", "price"}
"""Columns of trades that only a run of several markets has; columns of the account that only a run of one has."""


def trade_heads(run: Run) -> list[dict[str, str]]:
    """Return the columns of a run's trades: the market's name where there are several."""
    return TRADE_HEADS if run.symbols else [head for head in TRADE_HEADS if head["key"] not in _OF_SEVERAL]


def account_heads(run: Run) -> list[dict[str, str]]:
    """Return the columns of a run's account: of several markets there is no one position."""
    return [head for head in ACCOUNT_HEADS if head["key"] not in _OF_ONE] if run.symbols else ACCOUNT_HEADS


def trade_rows(run: Run, rows: Rows) -> list[dict[str, Any]]:
    """Return trades as rows of a table."""
    return [{"id": str(row["trade"]), "cells": _trade(run, row)} for row in rows.to_dict("records")]


def account_rows(run: Run, rows: Rows) -> list[dict[str, Any]]:
    """Return the account at some closes as rows of a table."""
    return [{"id": str(row["ts"]), "cells": _account(run, row)} for row in rows.to_dict("records")]


def position_rows(run: Run, rows: Rows) -> list[dict[str, Any]]:
    """Return positions at some closes as rows of a table."""
    return [{"id": f"{row['ts']} {row['symbol']}", "cells": _position(run, row)} for row in rows.to_dict("records")]


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
        str(row["trade"]), *([str(row["symbol"])] if run.symbols else []), str(row["side"]), when(run, row["entry"]),
        "open" if pd.isna(row["exit"]) else when(run, row["exit"]),
        number(row["amount"]), number(row["entry_price"]), number(row["exit_price"]),
        [figure(profit, "quote"), tone(profit)], [figure(row["return"], "fraction"), tone(profit)],
        figure(row["fees"], "quote"), NONE if pd.isna(row["bars"]) else f"{row['bars']:,.0f}",
        figure(row["worst"], "fraction"), figure(row["best"], "fraction"), reason.replace("_", " "),
    ]  # fmt: skip


def _account(run: Run, row: dict[Any, Any]) -> list[Cell]:
    held = [] if run.symbols else [number(row["position"]), number(row["price"])]
    return [
        when(run, row["ts"]), figure(row["cash"], "quote"), *held,
        figure(row["holding"], "quote"), figure(row["equity"], "quote"), figure(row["drawdown"], "fraction"),
    ]  # fmt: skip


def _position(run: Run, row: dict[Any, Any]) -> list[Cell]:
    return [
        when(run, row["ts"]), str(row["symbol"]), number(row["position"]), number(row["price"]),
        figure(row["value"], "quote"),
    ]  # fmt: skip
