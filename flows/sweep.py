"""The sweep flow: many parameter sets of a strategy on one series, ranked, with a verdict on the best."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pyarrow as pa
from prefect import flow
from prefect.artifacts import create_markdown_artifact, create_table_artifact

from data.errors import BadInput
from data.markets import read_market
from data.runs import SWEEPING, canonical, code_version, read_run, record_run, run_id
from data.tables import TABLES
from data.views import read_unrecorded
from data.writer import Claim, Lake
from flows.backtest import backtest, describe
from flows.judge import best_varied, judge_sweep, record_verdict
from flows.parameters import BacktestParameters, SweepParameters
from flows.report import cells, flow_run_id, tag
from flows.trials import Rows, Trials
from tasks.evaluate.verdict import rank
from tasks.fetch import fetch_data
from tasks.signal import Strategy
from tasks.signal.grid import Grid, read_grid
from tasks.signal.registry import build, find
from tasks.stage import stage
from tasks.trade import initialize

CHUNK = 500
"""Sets that are tried, and written to the lake, at a time: what a kill can lose."""


@dataclass(frozen=True)
class Sweep:
    """A finished sweep: its manifest, its sets as in `sweeps`, its statistics, and the runs of the best sets."""

    run_id: str
    manifest: dict[str, Any]
    sets: pd.DataFrame
    metrics: pd.DataFrame
    runs: list[str]

    @property
    def verdict(self) -> str:
        """The verdict in words."""
        return str(self.metrics.set_index("metric").loc["verdict", "note"])


@flow(name="sweep", flow_run_name="{parameters.strategy} on {parameters.symbol} {parameters.timeframe}")
def sweep(parameters: SweepParameters) -> Sweep:
    """Try many parameter sets of a strategy on a series of candles, and record them, ranked and judged, in the lake.

    The same parameters on the same candles with the same code are the same sweep: what is done of it is in the lake,
    and one that was killed goes on where it stopped. Raises BadInput for a grid that cannot be tried.
    """
    lake, strategy, grid = Lake.open(), find(parameters.strategy), read_grid(parameters.grid)
    places = grid.places(parameters.random, parameters.seed)
    first = _first(strategy, parameters, grid, places)
    account = initialize(parameters.cash)
    series = (parameters.exchange, parameters.symbol, parameters.timeframe)
    candles = fetch_data(lake, *series, parameters.start, parameters.end, refresh=parameters.refresh)
    market = read_market(lake, *series[:2])
    manifest = describe(parameters, first, market, candles) | _varied(parameters, candles) | {"cash": account.cash}
    run = run_id(manifest)
    trials = Trials(candles, strategy, dict(parameters.params), manifest, len(places))
    _try_all(lake, run, trials, grid, places)
    sets = _rows(lake, run)
    if sets["failure"].notna().all():
        raise BadInput(f"no set could be tried: {sets['failure'].iloc[0]}")
    varied = best_varied(candles, strategy, manifest, sets)
    metrics, verdict = judge_sweep(lake, run, manifest, sets, candles, varied)
    tables = {"metrics": metrics, "sensitivity": varied}
    record_run(lake, _run_row(run, manifest, candles.attrs["version"]), tables)
    record_verdict(lake, run, verdict)
    metrics, sets = read_run(lake, run, "metrics"), sets.drop(columns=["blocks", "returns"])
    runs = [_rerun(parameters, text) for text in rank(sets)["parameters"].head(parameters.best)]
    result = Sweep(run, manifest, sets, metrics, runs)
    _publish(result)
    return result


@stage(name="execute_sweep")
def execute_sweep(trials: Trials, sets: list[tuple[int, dict[str, str]]]) -> Rows:
    """Try some of the sets; see `flows.trials.Trials.run`."""
    return trials.run(sets)


def _first(strategy: type[Strategy], parameters: SweepParameters, grid: Grid, places: Any) -> Strategy:
    """Return the first set that the strategy takes. Raises BadInput for a parameter that it does not have, or none."""
    refusal = ""
    for place in places:
        try:
            return build(strategy, {**parameters.params, **grid.point(place)})
        except BadInput as error:
            refusal = refusal or str(error)
            if "unknown parameter" in refusal:
                break
    raise BadInput(f"no set of the grid can be tried: {refusal}")


def _varied(parameters: SweepParameters, candles: pd.DataFrame) -> dict[str, Any]:
    """Return what the manifest of a sweep has beside, or instead of, that of a backtest."""
    split = parameters.split
    cut = None if split is None else int(len(candles) * split)
    if cut is not None and not 0 < cut < len(candles):
        raise BadInput(f"split {split:g} leaves one side of {len(candles)} candles without any: choose another")
    return {
        "kind": "sweep",
        "parameters": {"fixed": dict(parameters.params), "grid": dict(parameters.grid)},
        "random": parameters.random,
        "seed": None if parameters.random is None else parameters.seed,
        "objective": parameters.objective,
        "split": split,
        "split_at": cut,
        "code_version": code_version(SWEEPING),
    }


def _try_all(lake: Lake, run: str, trials: Trials, grid: Grid, places: Any) -> None:
    """Try what is not in the lake yet, a chunk at a time; another process at the same sweep is gone along with."""
    for start in range(0, len(places), CHUNK):
        chunk = list(enumerate(places[start : start + CHUNK], start + 1))
        while True:
            claimed = lake.claimed("sweeps", run)
            done = set(_rows(lake, run, ("number",))["number"])
            sets = [(number, grid.point(place)) for number, place in chunk if number not in done]
            if not sets:
                break
            rows = [row | {"run_id": run} for row in execute_sweep(trials, sets)]
            lake.append("sweeps", pa.Table.from_pylist(rows, TABLES["sweeps"].schema), Claim(run, claimed + 1))


def _rows(lake: Lake, run: str, columns: tuple[str, ...] = ()) -> pd.DataFrame:
    """Return what the lake has of a sweep, recorded or not, by number."""
    wanted = columns or tuple(TABLES["sweeps"].schema.names)
    rows: pd.DataFrame = read_unrecorded(lake, "sweeps", lake.table("sweeps"), run, wanted).to_pandas()
    return rows.sort_values("number", ignore_index=True)


def _rerun(parameters: SweepParameters, text: str) -> str:
    """Backtest a set in full, as a run of its own over all the candles, and return its id."""

    own = {name: value for name, value in parameters if name in BacktestParameters.model_fields}
    full = BacktestParameters(**own | {"params": json.loads(text)})
    run = backtest if flow_run_id() else backtest.fn
    return str(run(full).run_id)


def _run_row(run: str, manifest: dict[str, Any], candles_version: int) -> dict[str, Any]:
    copied = ("kind", "exchange", "symbol", "timeframe", "strategy", "candles", "cash", "data_fingerprint", "seed")
    return {
        "run_id": run,
        **{name: manifest[name] for name in (*copied, "code_version")},
        "parameters": canonical(manifest["parameters"]),
        "start_ts": pd.Timestamp(manifest["start"]),
        "end_ts": pd.Timestamp(manifest["end"]),
        **manifest["costs"],
        "candles_version": candles_version,
        "manifest": canonical(manifest),
        "flow_run_id": flow_run_id(),
        "created_at": datetime.now(UTC),
    }


def _publish(result: Sweep) -> None:
    """Attach the verdict, the best sets and tags to the flow run; without one, nothing."""
    if flow_run_id() is None:
        return
    manifest = result.manifest
    tag(["sweep", manifest["strategy"], manifest["symbol"], manifest["timeframe"]])
    words = f"# {manifest['strategy']} on {manifest['symbol']} {manifest['timeframe']}\n\nSweep `{result.run_id}`: "
    create_markdown_artifact(words + result.verdict, key="verdict", description=f"Sweep {result.run_id}")
    best = rank(result.sets).drop(columns=["run_id", "failure", "note"]).head(100)
    create_table_artifact(cells(best), key="sets", description=f"The best sets of sweep {result.run_id}")
