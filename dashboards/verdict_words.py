"""How far a run can be trusted, in words: its verdict, what small changes do to it, a walk-forward."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from dashboards.look import NONE, figure, number, part
from dashboards.queries import Rows, Run
from dashboards.row_words import tone
from dashboards.verdict_queries import Judged

_MULTIPLES = {0: "no costs", 1: "as it is", 2: "twice the costs", 3: "three times the costs"}


def banner(supported: bool, reason: str) -> str:
    """Return a verdict and the reason for it, success or not in the same size."""
    told = reason.removeprefix("supported: " if supported else "not proven: ")
    title, badge = ("Supported", "practice") if supported else ("Not proven", "live")
    return part("verdict", title=title, tone=badge, text=f"{told[:1].upper()}{told[1:]}.")


def verdict(run: Run, found: Judged) -> list[str]:
    """Return the verdict on a backtest, with what it stands on; without one, how to come by it."""
    row = found.verdict
    if row is None:
        said = "Nobody judged this run by what else was tried on its candles. To have it done:"
        return [part("said", text=said, command=f"jarvis judge {run.run_id}")]
    facts = [
        ("tried on these candles", _count(row["trials"])),
        ("of them different", _count(row["effective_trials"])),
        ("probabilistic Sharpe", figure(row["probabilistic_sharpe"], "fraction")),
        ("deflated Sharpe", figure(row["deflated_sharpe"], "fraction")),
    ]
    chips = part("facts", facts=facts)
    return [banner(bool(row["supported"]), str(row["reason"])), chips]


def sensitivity(found: Judged) -> str:
    """Return what a run comes to at other costs and with other parameters."""
    if found.steps.empty:
        return part("said", text="What other costs and parameters do to it was not tried.")
    heads = [("Varied", ""), ("", ""), ("Return", "number"), ("Sharpe", "number"), ("Drawdown", "number"),
             ("Trades", "number"), ("", "")]  # fmt: skip
    rows = [(row["varied"] == "costs" and row["step"] == 1, _step(row)) for row in found.steps.to_dict("records")]
    return part("sheet", caption="What other costs and parameters do to it", heads=heads, rows=rows)


def folds(rows: Rows) -> str:
    """Return the tests of a walk-forward."""
    heads = [("Test", "number"), ("From (UTC)", "when"), ("To", "when"), ("Set", "number"), ("Parameters", ""),
             ("Objective before", "number"), ("In the test", "number"), ("Return", "number"), ("Drawdown", "number"),
             ("Trades", "number")]  # fmt: skip
    told = [(False, _fold(row)) for row in rows.to_dict("records")]
    return part("sheet", caption="The tests of the walk-forward", heads=heads, rows=told)


def _step(row: dict[Any, Any]) -> list[tuple[str, str]]:
    costs = row["varied"] == "costs"
    words = _MULTIPLES.get(row["step"], f"{row['step']} times the costs") if costs else _value(row["value"])
    return [
        ("Costs" if costs else row["varied"], ""), (words, ""), _gain(row["cumulative_return"]),
        (figure(row["sharpe_ratio"], "ratio"), "number"), (figure(row["max_drawdown"], "fraction"), "number"),
        (_count(row["trades"]), "number"), (row["note"] if isinstance(row["note"], str) else "", ""),
    ]  # fmt: skip


def _fold(row: dict[Any, Any]) -> list[tuple[str, str]]:
    chosen = row["parameters"] if isinstance(row["parameters"], str) else None
    return [
        (f"{row['fold']}", "number"), (_day(row["test_start"]), "when"), (_day(row["test_end"]), "when"),
        (_count(row["number"]), "number"), (NONE if chosen is None else parameters(chosen), ""),
        (number(rounded(row["objective"])), "number"), (number(rounded(row["out_objective"])), "number"),
        _gain(row["out_cumulative_return"]), (figure(row["out_max_drawdown"], "fraction"), "number"),
        (_count(row["out_trades"]), "number"),
    ]  # fmt: skip


def parameters(written: str) -> str:
    """Write the parameters of a set in one line.

    >>> parameters('{"fast":5,"slow":20}')
    'fast=5 slow=20'
    """
    named = json.loads(written)
    return " ".join(f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in named.items())


def rounded(value: float) -> float:
    """Return a value with the five digits that are worth reading."""
    return value if pd.isna(value) else float(f"{value:.5g}")


def _gain(value: float) -> tuple[str, str]:
    return figure(value, "fraction"), f"number {tone(value)}"


def _value(written: object) -> str:
    value = json.loads(str(written))
    return value if isinstance(value, str) else json.dumps(value)


def _day(time: pd.Timestamp) -> str:
    return f"{time:%Y-%m-%d}" if time == time.normalize() else f"{time:%Y-%m-%d %H:%M}"


def _count(value: float | None) -> str:
    return NONE if value is None or pd.isna(value) else f"{value:,.0f}"
