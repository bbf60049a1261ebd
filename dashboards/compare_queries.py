"""Several backtests side by side: their growth on one axis of time, their metrics, and what was decided otherwise."""

from __future__ import annotations

import json
import math
from typing import Any

import pandas as pd

from dashboards.queries import Connection, Rows, Run
from data.timeframe import parse_timeframe

MOST_RUNS = 6
"""More are not told apart on a chart, nor read beside each other."""

MOST_POINTS = 1_500
"""A line has no more points than this, whatever the length of its run."""

Runs = tuple[Run, ...]


def curves(lake: Connection, runs: Runs) -> Rows:
    """Return ts (naive UTC) and the growth of each run since its start, a fraction, as columns r0, r1 and so on.

    All stand on the same instants. Between a run's first and last candle its last known value stands; beyond them
    it has none.
    """
    start, end = min(run.start_ts for run in runs), max(run.end_ts for run in runs)
    candle = min(int(parse_timeframe(run.timeframe).total_seconds()) for run in runs)
    step = candle * max(1, math.ceil(((end - start).total_seconds() + candle) / MOST_POINTS / candle))
    columns = []
    for n, run in enumerate(runs):
        rows = lake.sql(
            f"""SELECT time_bucket(to_seconds({step}), ts) AT TIME ZONE 'UTC' AS ts,
                arg_max(equity, ts) / $cash - 1 AS r{n}
            FROM equity WHERE run_id = $run GROUP BY 1 ORDER BY 1""",  # noqa: S608
            params={"run": run.run_id, "cash": run.cash},
        )
        columns.append(rows.to_arrow_table().to_pandas().set_index("ts")[f"r{n}"])
    joined = pd.concat(columns, axis=1).sort_index()
    held: pd.DataFrame = joined.ffill().where(joined.bfill().notna())
    return held.rename_axis("ts").reset_index()


def metrics(lake: Connection, runs: Runs) -> Rows:
    """Return the metrics: a row each, a column for the value of each run in their order; NaN where there is none."""
    rows = lake.sql(
        "SELECT metric, run_id, value FROM metrics WHERE list_contains($runs, run_id)",
        params={"runs": [run.run_id for run in runs]},
    )
    table: pd.DataFrame = rows.to_arrow_table().to_pandas()
    wide = table.pivot(index="metric", columns="run_id", values="value")
    return wide.reindex(columns=[run.run_id for run in runs])


def differences(runs: Runs) -> list[tuple[str, list[str]]]:
    """Return what decided the results and is not the same for all: its name, and the text of each run's value."""
    told = [dict(_leaves("", _manifest(run))) for run in runs]
    names = dict.fromkeys(name for one in told for name in one)
    rows = [(name, [one.get(name, "") for one in told]) for name in names]
    return [(name, values) for name, values in rows if len(set(values)) > 1]


def _manifest(run: Run) -> dict[str, Any]:
    try:
        known = json.loads(run.manifest)
        parameters = json.loads(run.parameters)
    except (TypeError, ValueError):
        known, parameters = {}, run.parameters
    told = known if isinstance(known, dict) else {}
    own = {name: getattr(run, name) for name in ("strategy", "symbol", "timeframe", "exchange")}
    costs = {"fee": run.fee, "slippage": run.slippage}
    return {**own, "parameters": parameters, "cash": run.cash, "costs": costs, **told}


def _leaves(above: str, value: Any) -> list[tuple[str, str]]:
    """Return the entries of nested dicts by the names that lead to them."""
    if isinstance(value, dict):
        return [
            leaf for name, below in value.items() for leaf in _leaves(f"{above}.{name}" if above else str(name), below)
        ]
    return [(above, value if isinstance(value, str) else json.dumps(value))]
