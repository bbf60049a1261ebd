"""What a run would have come to with other costs, and with other values of each parameter."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from data.errors import JarvisError
from data.tables import TABLES
from flows.terms import times
from flows.trials import part_of, target_of
from tasks.backtest import Detail
from tasks.engine.changes import Changes
from tasks.evaluate.neighbours import FIGURES
from tasks.signal import Strategy
from tasks.signal.registry import build

MULTIPLES = (0, 1, 2, 3)
"""Of fee and slippage; 1 is the run itself."""
MOST = 2**22
"""Candles times neighbours that are measured: parameters of a longer run are not varied."""
COLUMNS = tuple(name for name in TABLES["sensitivity"].schema.names if name != "run_id")


def sensitivity(
    candles: pd.DataFrame,
    target: Changes,
    strategy: Strategy,
    manifest: Mapping[str, Any],
    detail: Detail | None = None,
) -> pd.DataFrame:
    """Return rows as in the table sensitivity, without `run_id`: the costs 0 to 3 times, each parameter a step away.

    `target` is the strategy's. A step is a tenth of the value, a whole number at least for a whole number. Texts, flags
    and zeros are not varied. What the strategy refuses is a row that says why.
    """
    rows = costs_varied(candles, target, manifest, detail)
    steps, shared = list(_steps(strategy)), strategy.shared(candles)
    too_long = f"not varied: {len(candles):,} candles are too many" if len(candles) * len(steps) > MOST else None
    for name, step, value in steps:
        row = {"varied": name, "step": step, "value": json.dumps(value)}
        if too_long:
            rows.append(row | {"note": too_long})
            continue
        try:
            other = build(type(strategy), strategy.model_dump() | {name: value})
            rows.append(row | _figures(candles, target_of(candles, other, shared), manifest, detail))
        except JarvisError as error:
            rows.append(row | {"note": str(error)})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def costs_varied(
    candles: pd.DataFrame, target: Changes, manifest: Mapping[str, Any], detail: Detail | None = None
) -> list[dict[str, Any]]:
    """Return rows for the costs 0, 1, 2 and 3 times."""
    rows = []
    for multiple in MULTIPLES:
        costs = times(manifest["costs"], multiple)
        row = {"varied": "costs", "step": multiple, "value": json.dumps(multiple)}
        rows.append(row | _figures(candles, target, {**manifest, "costs": costs}, detail))
    return rows


def _figures(
    candles: pd.DataFrame, target: Changes, manifest: Mapping[str, Any], detail: Detail | None
) -> dict[str, Any]:
    try:
        part = part_of(candles, slice(0, len(candles)), manifest, detail)
        measured = part.course.measure([target])
    except JarvisError as error:
        return {"note": str(error)}
    found = part.stretch.figures(measured.values[0], measured.tallies[0])
    return {name: found[name].value for name in FIGURES} | {"note": None}


def _steps(strategy: Strategy) -> Iterator[tuple[str, int, float]]:
    """Yield the parameters that are numbers, other than 0, with a lower and a higher value."""
    for name, value in strategy.model_dump().items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not value:
            continue
        away = max(1, round(abs(value) / 10)) if isinstance(value, int) else abs(value) / 10
        for step in (-1, 1):
            yield name, step, value + step * away
