"""Runs in the lake: the manifest that names one, and its record, seen whole or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import metadata
from typing import Any

import pandas as pd
import pyarrow as pa

from data.settings import CHECKOUT
from data.sources import hash_of
from data.tables import TABLES
from data.views import read
from data.writer import Claim, Lake

_BOTH = ("data/candles.py", "tasks/signal", "tasks/engine", "tasks/evaluate")
_FLOWS = ("backtest", "detail", "sensitivity", "terms")
BACKTESTING = (*_BOTH, "tasks/backtest", *(f"flows/{name}.py" for name in _FLOWS))
PORTFOLIOS = (*BACKTESTING, "flows/portfolio.py")
_SWEEPS = ("sweep", "trials", "spec", "study", "search", "walk_forward", "judge")
SWEEPING = (*BACKTESTING, *(f"flows/{name}.py" for name in _SWEEPS))
TRADING = (*_BOTH, "tasks/trade", "tasks/exchange", "flows/live.py")
"""Where the source lies that decides what a backtest, one of many markets, a sweep and a session do."""

version = cache(metadata.version)
"""Of an installed package, which stays as it is while a process runs: to look it up takes milliseconds."""

_LIBRARIES = ("numba", "numpy", "pandas", "ta-lib")


def code_version(places: Sequence[str] = BACKTESTING) -> str:
    """Return the version of Jarvis and a hash of the source that decides a result, with edits not yet committed."""
    paths = [CHECKOUT / place for place in places]
    files = [file for path in paths for file in (sorted(path.rglob("*.py")) if path.is_dir() else [path])]
    return f"{version('jarvis')}+{hash_of(files, CHECKOUT)[:12]}"


def library_versions() -> dict[str, str]:
    """Return the versions of the libraries whose arithmetic is part of a result."""
    return {name: version(name) for name in _LIBRARIES}


def canonical(manifest: Mapping[str, Any]) -> str:
    """Return the manifest as JSON that is the same text for the same content."""
    return json.dumps(manifest, sort_keys=True, separators=(",", ":"), allow_nan=False)


def run_id(manifest: Mapping[str, Any]) -> str:
    """Return the name of a run: the first 16 hex digits of its manifest's sha256."""
    return hashlib.sha256(canonical(manifest).encode()).hexdigest()[:16]


def is_recorded(lake: Lake, run: str) -> bool:
    """Tell whether the run is in the lake, and with it all that belongs to it."""
    return lake.claimed("runs", run) > 0


def record_run(lake: Lake, run: Mapping[str, Any], tables: Mapping[str, pd.DataFrame | pa.Table]) -> bool:
    """Write a run and what belongs to it; False when it is there already.

    `run` is the row of `runs`; `tables` the rows of the other tables, without `run_id`. The row of `runs` comes last,
    and the views show nothing of a run without it: a writer killed in between leaves no half run to be seen, and
    whoever runs the same manifest again completes it.
    """
    identity = str(run["run_id"])
    if is_recorded(lake, identity):
        return False
    for name, rows in tables.items():
        if len(rows):
            _write_once(lake, name, identity, rows)
    return lake.append("runs", pd.DataFrame([run]), Claim(identity, 1))


def _write_once(lake: Lake, name: str, identity: str, rows: pd.DataFrame | pa.Table) -> None:
    """Write a run's rows, of which an earlier attempt may have left all or, since upkeep was here, none."""
    attempts = lake.claimed(name, identity)
    write = lake.upsert if attempts else lake.append
    write(name, _of_run(identity, rows), Claim(identity, attempts + 1))


def _of_run(identity: str, rows: pd.DataFrame | pa.Table) -> pd.DataFrame | pa.Table:
    if isinstance(rows, pd.DataFrame):
        return rows.assign(run_id=identity)
    return rows.append_column("run_id", pa.repeat(pa.scalar(identity), rows.num_rows))


def read_run(lake: Lake, run: str, table: str) -> pd.DataFrame:
    """Return a run's rows of a table, in the table's order. Raises LakeError where it cannot be read."""
    order = ", ".join(TABLES[table].sort)
    query = f"SELECT * FROM {table} WHERE run_id = ? ORDER BY {order}"
    frame: pd.DataFrame = read(lake, query, [run], tables={"runs", table}).to_pandas()
    return frame
