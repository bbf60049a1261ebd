"""What a cluster costs and gains, in one run: `python -m benchmarks.cluster [--candles 200000]`.

The sets are pairs of SMA windows over `benchmarks.market`'s candles, tried as a sweep tries them, by one worker and by
two: processes with one thread each, on this machine. Measured is from the first task to the last row in the lake; a
sweep of a few sets before it has the workers read the candles and compile.
"""

from __future__ import annotations

import logging
import os
import pickle
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from distributed import Client, LocalCluster

from benchmarks.market import walk
from data.candles import read_candles
from data.markets import Market
from data.runs import SWEEPING, canonical, code_version
from data.writer import Lake
from flows.backtest import describe
from flows.done import Done
from flows.parameters import BacktestParameters
from flows.plan import Plan, try_all
from flows.runner import Crew
from flows.spec import Spec, Tried, try_sets
from tasks.signal.grid import read_grid
from tasks.signal.registry import create

SERIES = ("file", "X/USD", "1m")
WHOLE = {"fast": "5:100:5", "slow": "110:355:5"}


def fill(lake: Lake, candles: int) -> None:
    """Put the candles into the lake."""
    rows = walk(candles).reset_index()
    named = dict(zip(("exchange", "symbol", "timeframe"), SERIES, strict=True))
    last = rows["ts"].iloc[-1]
    lake.append("candles", rows.assign(**named, trades=1, revision=0, superseded_at=pd.NaT, fetched_at=last))


def planned(lake: Lake, grid: dict[str, str], name: str) -> tuple[Plan, range]:
    """Return a sweep that has a name of its own, and the places of its grid."""
    alone = BacktestParameters(exchange=SERIES[0], symbol=SERIES[1], timeframe=SERIES[2], fee=0.001, slippage=0.0)
    candles, size = read_candles(lake, *SERIES), read_grid(grid).size
    manifest: dict[str, Any] = describe(alone, create("sma_crossover", {}), Market(*SERIES[:2]), candles)
    manifest |= {"parameters": {"fixed": {}, "grid": grid}, "objective": "sharpe", "split": None, "split_at": None}
    manifest |= {"walk_forward": None, "code_version": code_version(SWEEPING), "name": name}
    spec = Spec(lake.address, candles.attrs["version"], "sma_crossover", canonical(manifest), size, threads=1)
    return Plan(alone, spec, Done(lake, spec.run_id, size)), range(size)


def nothing(*of: object) -> int:
    """Do nothing with a task."""
    return len(of)


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


@dataclass(frozen=True)
class Swept:
    """A sweep by so many workers: seconds, and the seconds of a processor that they and this process took."""

    seconds: float
    workers: float
    here: float


def swept(lake: Lake, workers: int, name: str) -> tuple[Swept, float]:
    """Return how long a sweep takes, and the seconds of a task that does nothing."""
    with (
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address=None,
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster) as client,
    ):
        executor = client.get_executor(pure=False)
        crew = Crew(2 * workers, lambda spec, sets: executor.submit(try_sets, spec, sets))
        plan, places = planned(lake, WHOLE, name)
        client.run(try_sets, plan.spec, np.array([[1, 0]]))  # each reads the candles, and compiles
        before, here = sum(client.run(time.process_time).values()), time.process_time()
        took = seconds(lambda: try_all(crew, [plan], places, lambda: None))
        found = Swept(took, sum(client.run(time.process_time).values()) - before, time.process_time() - here)
        sets, count = np.array([[1, 0]]), 500
        tasks = seconds(
            lambda: client.gather([client.submit(nothing, plan.spec, sets, pure=False) for _ in range(count)])
        )
        return found, tasks / count


def main(
    candles: Annotated[int, typer.Option(help="Candles of the series.")] = 200_000,
    repeats: Annotated[int, typer.Option(help="Sweeps by each number of workers, in turns.")] = 5,
) -> None:
    """Print the times, what a task costs beside its work, and how many bytes go to and fro."""
    os.environ.setdefault("PREFECT_PLUGINS_ENABLED", "false")
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(Path(folder) / "lake")
        fill(lake, candles)
        size = read_grid(WHOLE).size
        runs: dict[int, list[Swept]] = {1: [], 2: []}
        idle = []
        for repeat in range(repeats):
            for workers, done in runs.items():
                found, task = swept(lake, workers, f"{workers} {repeat}")
                done.append(found)
                idle.append(task)
        typer.echo(f"{size:,} sets of {candles:,} candles; load average {os.getloadavg()[0]:.1f}")
        typer.echo(
            "| workers | s, least | s, median | processor s, workers | processor s, here |\n|---|---|---|---|---|"
        )
        for workers, done in runs.items():
            times = sorted(each.seconds for each in done)
            cpu = [statistics.median(getattr(each, of) for each in done) for of in ("workers", "here")]
            typer.echo(f"| {workers} | {times[0]:.2f} | {statistics.median(times):.2f} | {cpu[0]:.2f} | {cpu[1]:.2f} |")
        plan, _ = planned(lake, WHOLE, "here")
        sets = np.array([(number, number - 1) for number in range(1, size + 1)], np.int64)
        tried = try_sets(plan.spec, sets)
        commit = seconds(lambda: (plan.done.add(tried.rows), plan.done.write()))
        sent, back = len(pickle.dumps((plan.spec, sets))), len(pickle.dumps(Tried(tried.rows, 1.0)))
        alone = len(pickle.dumps((plan.spec, sets[:1])))
        typer.echo(
            f"a task that does nothing: {min(idle) * 1e3:.2f} ms; a commit of {size:,} rows: {commit * 1e3:.0f} ms"
        )
        per_set = (sent - alone) / (size - 1)
        typer.echo(f"a task is {alone:,} bytes and {per_set:.0f} a set, its rows {back / size:,.0f} bytes a set")


if __name__ == "__main__":
    typer.run(main)
