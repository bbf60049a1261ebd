"""The sweep flow: many parameter sets of a strategy on one series or several, ranked, with a verdict on the best."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from prefect import flow
from prefect.artifacts import create_markdown_artifact, create_table_artifact

from data.errors import BadInput, JarvisError
from data.markets import read_market
from data.runs import SWEEPING, canonical, code_version, read_run, record_run, run_id
from data.writer import Lake
from flows.backtest import backtest, describe
from flows.detail import read_finer
from flows.done import Done
from flows.judge import best_varied, judge_sweep, record_verdict, walked_by
from flows.memory import fitting
from flows.parameters import BacktestParameters, SweepParameters
from flows.plan import Plan, try_all
from flows.progress import progress, say
from flows.report import cells, dashboard_address, flow_run_id, tag
from flows.runner import crew
from flows.spec import Spec, candles_of, detail_of, folds_of
from flows.terms import cost_columns
from flows.walk_forward import Walk, chosen, walk_forward
from tasks.evaluate.ranking import best_compromises
from tasks.evaluate.verdict import rank
from tasks.fetch import fetch_data
from tasks.signal import Strategy
from tasks.signal.grid import Grid, checked, read_grid
from tasks.signal.registry import build, find
from tasks.trade import initialize


@dataclass(frozen=True)
class Sweep:
    """A finished sweep: its manifest, its sets as in `sweeps`, its statistics, and the runs of the best sets."""

    run_id: str
    manifest: dict[str, Any]
    sets: pd.DataFrame
    metrics: pd.DataFrame
    runs: list[str]
    walk: Walk | None = None

    @property
    def verdict(self) -> str:
        """The verdict in words."""
        return str(self.metrics.set_index("metric").loc["verdict", "note"])

    @property
    def series(self) -> str:
        """The symbol and the timeframe."""
        return f"{self.manifest['symbol']} {self.manifest['timeframe']}"


@flow(name="sweep", flow_run_name="{parameters.title}")
def sweep(parameters: SweepParameters) -> list[Sweep]:
    """Try many parameter sets of a strategy on series of candles; record them, ranked and judged, a sweep a series.

    The same parameters on the same candles with the same code are the same sweep: what is done of it is in the lake,
    and one that was killed goes on where it stopped. A series that has no candles is said and left out. Raises BadInput
    for a grid that cannot be tried, or where no series can.
    """
    lake, grid = Lake.open(), read_grid(parameters.grid)
    wanted = _wanted(grid, parameters)
    plans = _plans(lake, parameters, grid, wanted)
    room = fitting(parameters, grid, wanted, [plan.spec.told for plan in plans], say)
    with crew(parameters.runner, parameters.address) as workers, progress(parameters.title, "progress") as show:
        specs = [replace(plan.spec, threads=workers.threads or room.threads, held=room.held) for plan in plans]
        plans = [replace(plan, spec=spec) for plan, spec in zip(plans, specs, strict=True)]

        def report() -> None:
            show(sum(len(plan.done) for plan in plans), wanted * len(plans))

        report()
        if parameters.optuna is None:
            try_all(workers, plans, grid.places(parameters.random, parameters.seed), report)
        else:
            from flows.search import search

            search(lake, workers, plans, grid, parameters, report)
    sweeps = [made for plan in plans if (made := _finished(lake, plan, parameters, alone=len(plans) == 1)) is not None]
    if not sweeps:
        raise BadInput("no set could be tried on any of the series")
    for made in sweeps:
        _publish(made, parameters)
    return sweeps


def _wanted(grid: Grid, parameters: SweepParameters) -> int:
    """Return how many sets are to be tried on each series. Raises BadInput for more than a sweep can have."""
    if parameters.optuna is None:
        return len(grid.places(parameters.random, parameters.seed))
    return checked(parameters.optuna)


def _plans(lake: Lake, parameters: SweepParameters, grid: Grid, wanted: int) -> list[Plan]:
    """Return what is to be done on each series that has candles."""
    first = _first(find(parameters.strategy), parameters, grid)
    initialize(parameters.cash)
    described, refusals = list[tuple[BacktestParameters, dict[str, Any], int]](), list[tuple[str, JarvisError]]()
    for symbol in parameters.symbols:
        for timeframe in parameters.timeframes:
            alone = _alone(parameters, symbol, timeframe)
            try:
                described.append(_described(lake, alone, parameters, first))
            except JarvisError as error:
                refusals.append((f"{symbol} {timeframe}", error))
    if not described:
        raise refusals[0][1]
    for refused, refusal in refusals:
        say(f"{refused} left out: {refusal}")
    if parameters.optuna is not None:  # what it asks for on one series depends on all of them
        every = [
            [manifest[name] for name in ("symbol", "timeframe", "data_fingerprint")] for _, manifest, _ in described
        ]
        for _, manifest, _ in described:
            manifest["optuna"]["series"] = every
    plans = []
    for alone, manifest, version in described:
        spec = Spec(lake.address, version, _anywhere(parameters.strategy), canonical(manifest), wanted)
        plans.append(Plan(alone, spec, Done(lake, run_id(manifest), wanted)))
    return plans


def _described(
    lake: Lake, alone: BacktestParameters, parameters: SweepParameters, first: Strategy
) -> tuple[BacktestParameters, dict[str, Any], int]:
    series = (alone.exchange, alone.symbol, alone.timeframe)
    candles = fetch_data(lake, *series, alone.start, alone.end, refresh=alone.refresh)
    market, finer = read_market(lake, *series[:2]), read_finer(lake, alone, candles)
    manifest = describe(alone, first, market, candles, finer) | _varied(parameters, len(candles))
    folds_of(manifest)  # which are refused here, before anything is tried
    return alone, manifest, candles.attrs["version"]


def _first(strategy: type[Strategy], parameters: SweepParameters, grid: Grid) -> Strategy:
    """Return the first set that the strategy takes. Raises BadInput for a parameter that it does not have, or none."""
    draws = parameters.random or (None if parameters.optuna is None else min(1_000, grid.size))
    refusal = ""
    for place in grid.places(draws, parameters.seed):
        try:
            return build(strategy, {**parameters.params, **grid.point(place)})
        except BadInput as error:
            refusal = refusal or str(error)
            if "unknown parameter" in refusal:
                break
    raise BadInput(f"no set of the grid can be tried: {refusal}")


def _varied(parameters: SweepParameters, candles: int) -> dict[str, Any]:
    """Return what the manifest of a sweep has beside, or instead of, that of a backtest."""
    split = parameters.split
    cut = None if split is None else int(candles * split)
    if cut is not None and not 0 < cut < candles:
        raise BadInput(f"split {split:g} leaves one side of {candles} candles without any: choose another")
    by_lot = parameters.random is not None or parameters.optuna is not None
    asked = ("sampler", "pruner", "batch")
    walk = ("train", "anchored", "purge", "embargo")
    return {
        "kind": "sweep",
        "parameters": {"fixed": dict(parameters.params), "grid": dict(parameters.grid)},
        "random": parameters.random,
        "optuna": None
        if parameters.optuna is None
        else {"sets": parameters.optuna} | {name: getattr(parameters, name) for name in asked},
        "seed": parameters.seed if by_lot else None,
        "objective": parameters.objectives[0],
        "objectives": list(parameters.objectives),
        "split": split,
        "split_at": cut,
        "walk_forward": None
        if parameters.walk_forward is None
        else {"tests": parameters.walk_forward} | {name: getattr(parameters, name) for name in walk},
        "code_version": code_version(SWEEPING),
    }


def _alone(parameters: SweepParameters, symbol: str, timeframe: str) -> BacktestParameters:
    """Return the parameters of a backtest on one of the series."""
    own = {name: value for name, value in parameters if name in BacktestParameters.model_fields}
    return BacktestParameters(**own, symbol=symbol, timeframe=timeframe)


def _anywhere(strategy: str) -> str:
    """Return the strategy's name, or the path of its file as it is from any folder."""
    file, colon, name = strategy.rpartition(":") if ".py:" in strategy else (strategy, "", "")
    return f"{Path(file).absolute()}{colon}{name}" if file.endswith(".py") else strategy


def _finished(lake: Lake, plan: Plan, parameters: SweepParameters, *, alone: bool) -> Sweep | None:
    """Judge and record a sweep, all of whose sets are tried; None, and said, where none could be.

    Alone, that is BadInput.
    """
    sets, told, run = plan.done.rows(), plan.spec.told, plan.spec.run_id
    if sets["failure"].notna().all():
        refusal = f"no set could be tried: {sets['failure'].iloc[0]}"
        if alone:
            raise BadInput(refusal)
        say(f"{told['symbol']} {told['timeframe']}: {refusal}")
        return None
    walk = walk_forward(plan.spec, sets)
    _record(lake, plan, sets, walk)
    metrics = read_run(lake, run, "metrics")
    light = sets.drop(columns=[name for name in ("blocks", "returns", "stretches") if name in sets])
    whole = _same_candles(plan.alone, told)
    runs = [_rerun(whole, text) for text in rank(light)["parameters"].drop_duplicates().head(parameters.best)]
    return Sweep(run, told, light, metrics, runs, walk)


def _record(lake: Lake, plan: Plan, sets: pd.DataFrame, walk: Walk | None) -> None:
    """Record the sweep with its statistics and its verdict."""
    told, run = plan.spec.told, plan.spec.run_id
    candles = candles_of(plan.spec)
    varied = best_varied(candles, find(plan.spec.strategy), told, sets, detail_of(plan.spec, candles))
    walked = None if walk is None else walked_by(walk.metrics)
    metrics, verdict = judge_sweep(lake, run, told, sets, candles, varied, walked)
    tables = {"metrics": metrics, "sensitivity": varied}
    if walk is not None:
        tables |= {"metrics": pd.concat([metrics, walk.metrics]), "folds": walk.folds, "equity": walk.equity}
    record_run(lake, _run_row(run, told, plan.spec.candles_version), tables)
    record_verdict(lake, run, verdict)


def _same_candles(alone: BacktestParameters, told: dict[str, Any]) -> BacktestParameters:
    """Return the parameters of a backtest on the very candles of a sweep, whatever came since."""
    start, end = pd.Timestamp(told["start"]), pd.Timestamp(told["end"]) + pd.Timedelta(microseconds=1)
    return alone.model_copy(update={"start": start.to_pydatetime(), "end": end.to_pydatetime(), "refresh": False})


def _rerun(alone: BacktestParameters, text: str) -> str:
    """Backtest a set in full, as a run of its own, and return its id."""
    full = alone.model_copy(update={"params": json.loads(text)})
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
        **cost_columns(manifest),
        "candles_version": candles_version,
        "manifest": canonical(manifest),
        "flow_run_id": flow_run_id(),
        "created_at": datetime.now(UTC),
    }


def _publish(result: Sweep, parameters: SweepParameters) -> None:
    """Attach the verdict, the best sets, the walk-forward and tags to the flow run; without one, nothing."""
    if flow_run_id() is None:
        return
    manifest = result.manifest
    tag(["sweep", manifest["strategy"], manifest["symbol"], manifest["timeframe"]])
    address = dashboard_address(result.run_id, "sweep")
    words = f"# {manifest['strategy']} on {result.series}\n\nSweep [`{result.run_id}`]({address}): "
    create_markdown_artifact(words + result.verdict, key="verdict", description=f"Sweep {result.run_id}")
    tables = {"sets": rank(result.sets).drop(columns=["run_id", "failure", "note"]).head(100)}
    if len(parameters.objectives) > 1:
        tables["front"] = best_compromises(result.sets, parameters.objectives)[list(tables["sets"].columns)].head(100)
    if result.walk is not None:
        tables["folds"] = chosen(result.walk, list(parameters.grid))
    for key, table in tables.items():
        create_table_artifact(cells(table), key=key, description=f"{key.capitalize()} of sweep {result.run_id}")
