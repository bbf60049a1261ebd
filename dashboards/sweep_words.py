"""A sweep in words: the verdict and its statistics, what its charts show, and its sets as rows of a table."""

from __future__ import annotations

import math
from typing import Any
from urllib.parse import urlencode

import pandas as pd

from dashboards.look import NONE, figure, number, part
from dashboards.metric_words import Words, described
from dashboards.queries import Rows
from dashboards.row_words import Cell, tone
from dashboards.sweep_queries import MARKED, Parameter, Plane, Progress, Sample, Terms, Wish
from dashboards.verdict_words import banner, parameters, rounded
from data.sweep_metrics import SWEEP_METRICS, WALK_FORWARD_METRICS

_TILES = (
    "deflated_sharpe",
    "best_sharpe",
    "expected_maximum_sharpe",
    "probabilistic_sharpe",
    "strict_deflated_sharpe",
    "superior_ability",
    "reality_check",
    "overfitting_probability",
    "minimum_track_record",
    "trials",
    "effective_trials",
    "return_at_twice_costs",
    "neighbours_return",
    "sets",
    "failed_sets",
    "best_set",
    "best_objective",
)
_OF_A_PERIOD = {"best_sharpe", "expected_maximum_sharpe"}

_BUSY = 300.0
"""Seconds; a sweep under way writes what it has done every few."""

_GO_ON = "No set was tried for five minutes. What was broken off goes on by the same command."

SET_HEADS = [
    {"key": key, "title": title, "kind": kind}
    for key, title, kind in (
        ("rank", "Rank", "number"),
        ("number", "Set", "number"),
        ("parameters", "Parameters", "when"),
        ("objective", "Objective", "number"),
        ("out_objective", "Out-of-sample", "number"),
        ("sharpe", "Sharpe", "number"),
        ("return", "Return", "number"),
        ("drawdown", "Drawdown", "number"),
        ("trades", "Trades", "number"),
        ("win_rate", "Win rate", "number"),
        ("out_return", "Return out-of-sample", "number"),
        ("backtest", "Run in full", "when"),
        ("reason", "Why not", ""),
    )
]
"""The columns of the table of sets; the keys are those of `sweep_queries.SET_COLUMNS`."""


def verdict(metrics: Rows) -> str:
    """Return the verdict and the reason for it."""
    found = metrics.to_dict("index").get("verdict")
    if found is None:
        return part("fault", title="The verdict cannot be shown", text="The lake has no statistics of this sweep.")
    return banner(found["value"] == 1, str(found["note"]))


def tiles(metrics: Rows) -> str:
    """Return the statistics with what they mean."""
    rows = metrics.to_dict("index")
    known = [name for name in (*SWEEP_METRICS, *WALK_FORWARD_METRICS) if name in rows]
    others = [name for name in dict.fromkeys([*known, *rows]) if name not in {*_TILES, "verdict"}]
    return part("tiles", tiles=[_tile(str(name), rows.get(name)) for name in (*_TILES, *others)])


def progress(found: list[Progress], now: float) -> str:
    """Say at an instant (seconds since 1970) which sweeps are under way and which are not finished, and how far."""
    busy = [one for one in found if now - one.written < _BUSY]
    left = [one for one in found if one not in busy]
    return _listed(busy, "under way", "It is listed when it is judged.") + _listed(left, "not finished", _GO_ON)


def _listed(found: list[Progress], state: str, text: str) -> str:
    if not found:
        return ""
    title = f"A sweep is {state}" if len(found) == 1 else f"{len(found)} sweeps are {state}"
    more = f"And {len(found) - 5} more. " if len(found) > 5 else ""
    return part("under_way", title=title, text=more + text, sweeps=[_standing(one) for one in found[:5]])


def _standing(one: Progress) -> dict[str, Any]:
    of = f" of {one.wanted:,}" if one.wanted else ""
    last = one.wanted or one.sets
    where = f", {one.symbol} {one.timeframe}" if one.symbol else ""
    said = f"{one.run_id}{where}: {one.sets:,}{of} set{'' if last == 1 else 's'} tried"
    return {"said": said, "sets": min(one.sets, last), "wanted": one.wanted, "run_id": one.run_id}


def plane(wish: Wish, varied: list[Parameter], found: Plane, title: str, unknown: list[str]) -> str:
    """Say what the map shows, what is not varied of what the address names, and what stands for several sets."""
    others = [one.name for one in varied if one.name not in (wish.x, wish.y)]
    merged = [axis.name for axis in found.axes if axis.merged]
    told = [f"No parameter {', '.join(unknown)} varies in this sweep."] if unknown else []
    told.append(f"{title} by {wish.x}{f' and {wish.y}' if wish.y else ''}.")
    if merged:
        told.append(f"Values of {' and '.join(merged)} that lie beside each other are merged.")
    if others:
        told.append(f"Other parameters vary too: {', '.join(others)}.")
    if merged or others:
        which = "the set of the best objective" if wish.cell == "best" else "the median of its sets"
        told.append(f"What stands for several sets is {which}.")
    return part("said", text=" ".join(told))


def scale(low: float, high: float, unit: str, colours: list[str]) -> str:
    """Return the scale of colours."""
    return part("scale", low=text(low, unit), high=text(high, unit), colours=", ".join(colours))


def drawn(found: Sample) -> str:
    """Say which sets the parallel coordinates draw."""
    few = len(found.rows) < found.total
    which = "The best and an even sample of the rest" if few else "All"
    return f"{which}: {len(found.rows):,} of {found.total:,} sets with an objective; the best {MARKED} stand out."


def beside(told: Terms, found: Sample) -> str:
    """Say how the best set did on the candles that did not choose it."""
    if found.rows.empty:
        return "No set has an objective both in-sample and out-of-sample."
    best = found.rows.iloc[0]
    sample = (
        ""
        if len(found.rows) == found.total
        else f" Drawn are {len(found.rows):,} of them: the best, and an even sample."
    )
    share = f"the first {told.split:.0%} of the candles" if told.split else "the first candles"
    return (
        f"Ranked by {share}, {found.total:,} sets. The best of them, {parameters(str(best['parameters']))}, is number "
        f"{best['out_rank']:,} on those that follow. Below the diagonal a set did worse there than before.{sample}"
    )


def set_rows(rows: Rows, theme: str) -> list[dict[str, Any]]:
    """Return sets as rows of a table."""
    return [{"id": str(row["number"]), "cells": _set(row, theme)} for row in rows.to_dict("records")]


def text(value: float | None, unit: str) -> str:
    """Write a figure; ratios with three decimals, as those of one period are small."""
    if unit == "ratio" and value is not None and abs(value) < 1:
        return f"{value:.3f}"
    return figure(value, unit)


def _tile(name: str, row: dict[Any, Any] | None) -> Words:
    metric = described(name, "ratio" if row is None else str(row["unit"]))
    value = None if row is None or pd.isna(row["value"]) else float(row["value"])
    if value is not None and metric.unit == "count":
        value = math.ceil(value)
    shown = f"{value:.3f}" if name in _OF_A_PERIOD and value is not None else text(value, metric.unit)
    note = "not recorded" if row is None else row["note"] if isinstance(row["note"], str) else ""
    period = "of one period" if name in _OF_A_PERIOD else ""
    below = " · ".join(said for said in (_interval(row, metric.unit), note or period) if said)
    return Words(name, metric.title, shown, below, metric.meaning, metric.source, "")


def _interval(row: dict[Any, Any] | None, unit: str) -> str:
    """Return what the metric's meaning says of its interval."""
    if row is None or pd.isna(row["low"]) or pd.isna(row["high"]):
        return ""
    return f"{text(float(row['low']), unit)} to {text(float(row['high']), unit)}"


def _set(row: dict[Any, Any], theme: str) -> list[Cell]:
    failed, backtest = pd.isna(row["objective"]), row["backtest"]
    ran: Cell = NONE
    if isinstance(backtest, str):
        ran = [backtest, "", "?" + urlencode({"page": "backtest", "run": backtest, "theme": theme})]
    return [
        NONE if failed else f"{row['rank']:,}", f"{row['number']:,}", parameters(row["parameters"]),
        number(rounded(row["objective"])), number(rounded(row["out_objective"])), figure(row["sharpe"], "ratio"),
        [figure(row["return"], "fraction"), tone(row["return"])], figure(row["drawdown"], "fraction"),
        NONE if pd.isna(row["trades"]) else f"{row['trades']:,.0f}", figure(row["win_rate"], "fraction"),
        [figure(row["out_return"], "fraction"), tone(row["out_return"])], ran,
        row["reason"] if isinstance(row["reason"], str) else "",
    ]  # fmt: skip
