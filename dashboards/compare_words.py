"""Backtests side by side in words: their metrics with the best marked, and what was decided otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

import pandas as pd

from dashboards.look import NONE, figure
from dashboards.look import part as rendered
from dashboards.queries import Rows, Run
from data.metrics import METRICS

MORE, LESS, NEITHER = 1, -1, 0

COMPARED = {
    "cumulative_return": MORE, "cagr": MORE, "buy_and_hold_return": NEITHER, "sharpe_ratio": MORE,
    "sortino_ratio": MORE, "calmar_ratio": MORE, "annual_volatility": LESS, "max_drawdown": MORE,
    "max_drawdown_days": LESS, "ulcer_index": LESS, "value_at_risk": MORE, "trades": NEITHER, "win_rate": MORE,
    "profit_factor": MORE, "expectancy": MORE, "sqn": MORE, "average_trade": MORE, "exposure_time": NEITHER,
    "turnover": NEITHER, "fees_paid": LESS, "final_equity": NEITHER,
}  # fmt: skip
"""The metrics that are compared, and what is better: losses are below 0, so that of them more is better too."""

_LONGEST = 24


def title(run: Run) -> str:
    """Return how a run is named beside others."""
    return f"{run.strategy} {run.symbol} {run.timeframe} {run.run_id[:6]}"


def table(runs: Sequence[Run], metrics: Rows, differing: list[tuple[str, list[str]]], theme: str) -> str:
    """Return metrics and differences as a table, a column for each run; the others' names lead to their pages."""
    addresses = ["", *("?" + urlencode({"page": "backtest", "run": run.run_id, "theme": theme}) for run in runs[1:])]
    compared = [_metric(name, metrics) for name in COMPARED if name in METRICS]
    decided = [_difference(name, values) for name, values in differing]
    groups = [("Metrics", compared), ("What was decided otherwise", decided)]
    titles = list(zip(map(title, runs), addresses, strict=True))
    return rendered("comparison", titles=titles, groups=[group for group in groups if group[1]])


def _metric(name: str, metrics: Rows) -> dict[str, Any]:
    metric = METRICS[name]
    values = [float("nan")] * len(metrics.columns) if name not in metrics.index else list(metrics.loc[name])
    known = [value * COMPARED[name] for value in values if pd.notna(value)]
    best = max(known) if COMPARED[name] and len(known) > 1 and max(known) > min(known) else None
    cells = [(figure(value, metric.unit), best is not None and value * COMPARED[name] == best) for value in values]
    return {"name": name, "title": metric.title, "meaning": metric.meaning, "cells": cells}


def _difference(name: str, values: list[str]) -> dict[str, Any]:
    cells = [(f"{value[:_LONGEST]}…" if len(value) > _LONGEST else value or NONE, False) for value in values]
    return {"name": name, "title": name.replace("_", " "), "meaning": "", "cells": cells}
