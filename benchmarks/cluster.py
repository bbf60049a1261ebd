"""What a cluster costs and gains, in one run: `python -m benchmarks.cluster [--candles 150000] [--repeats 5]`.

The sets are pairs of SMA windows over `benchmarks.market`'s candles at prices of two decimals. They are tried by
`flows.plan` as a sweep tries them, on a Dask scheduler and on a Ray head in processes of their own, with one
worker and with two, of one thread each, in turns. Measured is from the first task to the last row in the lake, when
each worker has read the candles and compiled. Processor seconds are those of the system: other programs on the machine
hardly change them.
"""

from __future__ import annotations

import json
import os
import pickle
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import typer

from benchmarks.market import walk
from data.candles import read_candles
from data.markets import Market
from data.runs import SWEEPING, canonical, code_version
from data.writer import Lake
from flows.backtest import describe
from flows.done import EVERY, MOST_HELD, Done
from flows.parameters import BacktestParameters
from flows.plan import Plan, try_all
from flows.runner import Task, crew
from flows.spec import Spec, Tried, try_sets
from tasks.signal.grid import read_grid
from tasks.signal.registry import create
from tests.servers.clusters import CLUSTERS

NAMES, SERIES = ("exchange", "symbol", "timeframe"), ("file", "X/USD", "1m")
WHOLE = {"fast": "5:104:1", "slow": "110:209:1"}
SIZES = (1, 2)
EMPTY, BYTES, PIECES = 500, 2**20, 100
"""Tasks without sets, and pieces of so many bytes, that are passed to and fro."""
MANY, TASK_SECONDS, TASK_SETS = 100, 2.0, 5_000
"""Workers that are reasoned about, how long `flows.plan` makes a task, and how many sets one has at most."""


@dataclass(frozen=True)
class Taken:
    """Seconds by the clock, and of the processor: of the workers, the busiest of them, the scheduler, this process."""

    seconds: float
    workers: float
    busiest: float
    scheduler: float
    here: float


@dataclass(frozen=True)
class Once:
    """What one cluster took for a sweep of so many tasks, for EMPTY tasks without sets, and for PIECES of BYTES."""

    tasks: int
    sweep: Taken
    empty: Taken
    pieces: Taken


def fill(lake: Lake, candles: int) -> None:
    """Put the candles into the lake; prices have two decimals, as markets' have, so that they pack like those."""
    rows = walk(candles).round(2).reset_index()
    named = dict(zip(NAMES, SERIES, strict=True))
    last = rows["ts"].iloc[-1]
    lake.append("candles", rows.assign(**named, trades=1, revision=0, superseded_at=pd.NaT, fetched_at=last))


def planned(lake: Lake, grid: dict[str, str], name: str) -> tuple[Plan, range]:
    """Return a sweep that has a name of its own, and the places of its grid."""
    series: dict[str, Any] = dict(zip(NAMES, SERIES, strict=True))
    alone = BacktestParameters(**series, fee=0.001, slippage=0.0)
    candles, size = read_candles(lake, *SERIES), read_grid(grid).size
    manifest: dict[str, Any] = describe(alone, create("sma_crossover", {}), Market(*SERIES[:2]), candles)
    manifest |= {"parameters": {"fixed": {}, "grid": grid}, "objective": "sharpe", "split": None, "split_at": None}
    manifest |= {"walk_forward": None, "code_version": code_version(SWEEPING), "name": name}
    spec = Spec(lake.address, candles.attrs["version"], "sma_crossover", canonical(manifest), size, threads=1)
    return Plan(alone, spec, Done(lake, spec.run_id, size)), range(size)


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def of_processor() -> dict[tuple[int, bool], float]:
    """Return the processor's seconds of each process that this one has started, and whether it is a worker."""
    used = {}
    for process in psutil.Process().children(recursive=True):
        try:
            words, times = process.cmdline(), process.cpu_times()
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
        worker = bool(words) and (words[0].startswith("ray::") or "worker" in words)
        used[process.pid, worker] = times.user + times.system
    return used


def taken(work: Callable[[], object]) -> Taken:
    """Do the work, and return what it took on the cluster and here."""
    before, here = of_processor(), time.process_time()
    clock = seconds(work)
    here = time.process_time() - here
    used = {key: value - before.get(key, 0.0) for key, value in of_processor().items()}
    workers = [value for (_, worker), value in used.items() if worker]
    others = sum(value for (_, worker), value in used.items() if not worker)
    return Taken(clock, sum(workers), max(workers), others, here)


def piece(size: int) -> bytes:
    """Return so many bytes, which do not pack."""
    return np.random.default_rng(0).bytes(size)


@contextmanager
def carrier(runner: str, address: str) -> Iterator[Callable[[int], Future[bytes]]]:
    """Have pieces of some size made on the cluster, and brought here as results of tasks are."""
    if runner == "dask":
        from distributed import Client

        with Client(address, set_as_default=False) as client:
            executor = client.get_executor(pure=False)
            yield lambda size: executor.submit(piece, size)
        return
    import ray

    ray.init(address=address, log_to_driver=False, logging_level="ERROR", configure_logging=False)
    try:
        remote = ray.remote(piece)
        yield lambda size: remote.remote(size).future()
    finally:
        ray.shutdown()


def once(runner: str, workers: int, folder: Path, name: str) -> Once:
    """Start a cluster and measure; to be called in a process of its own."""
    lake = Lake(folder)
    plan, places = planned(lake, WHOLE, name)
    nothing, tasks = np.empty((0, 2), np.int64), []
    with CLUSTERS[runner](workers) as (address, secret):
        os.environ.update(secret)
        if runner == "dask":
            from distributed import Client

            with Client(address, set_as_default=False) as client:
                client.wait_for_workers(workers)
        with crew(runner, address) as found:
            assert found.ahead == 2 * workers
            list(found.run(Task(plan.spec, np.array([[1, 0]])) for _ in range(8 * workers)))
            swept = taken(lambda: try_all(found, [plan], places, lambda: tasks.append(1)))
            empty = taken(lambda: list(found.run(Task(plan.spec, nothing) for _ in range(EMPTY))))
        with carrier(runner, address) as bring:
            bring(BYTES).result()
            pieces = taken(lambda: [bring(BYTES).result() for _ in range(PIECES)])
    return Once(len(tasks), swept, empty, pieces)


def in_a_process(runner: str, workers: int, folder: Path, name: str) -> Once | str:
    """Measure in a process of its own; return why it could not be, where it could not."""
    command = [sys.executable, "-m", "benchmarks.cluster", "--once", runner, str(workers), str(folder), name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return f"not measured: {(done.stderr.strip().splitlines() or ['no word'])[-1]}"
    told = json.loads(done.stdout.splitlines()[-1])
    return Once(told.pop("tasks"), **{part: Taken(**figures) for part, figures in told.items()})


def median(runs: list[Once], of: Callable[[Once], float]) -> float:
    return statistics.median(map(of, runs))


def print_sweeps(runner: str, runs: dict[int, list[Once]]) -> None:
    """Print rows of the first table: the sweep by each number of workers."""
    first = runs[SIZES[0]]
    for workers, each in runs.items():
        least = min(run.sweep.seconds for run in each)
        busiest = median(each, lambda run: run.sweep.busiest)
        gains = [
            min(run.sweep.seconds for run in first) / least,
            median(first, lambda run: run.sweep.busiest) / busiest,
        ]
        cells = [f"{least:.2f}", f"{median(each, lambda run: run.sweep.seconds):.2f}", f"{gains[0]:.2f}"]
        cells += [f"{median(each, lambda run: run.sweep.workers):.2f}", f"{busiest:.2f}", f"{gains[1]:.2f}"]
        cells += [f"{median(each, lambda run: run.tasks):.0f}"]
        typer.echo(f"| {runner} | {workers} | {' | '.join(cells)} |")


def per_task(runs: list[Once]) -> tuple[float, float, float, float]:
    """Return milliseconds a task without sets: by the clock, and of scheduler's, worker's and this processor."""
    of = ("seconds", "scheduler", "workers", "here")
    clock, scheduler, worker, here = (median(runs, lambda r: getattr(r.empty, name)) / EMPTY * 1e3 for name in of)  # noqa: B023
    return clock, scheduler, worker, here


def per_megabyte(runs: list[Once]) -> tuple[float, float, float, float]:
    """Return the same of a million bytes brought here."""
    of, size = ("seconds", "scheduler", "workers", "here"), PIECES * BYTES / 1e6
    clock, scheduler, worker, here = (median(runs, lambda r: getattr(r.pieces, name)) / size * 1e3 for name in of)  # noqa: B023
    return clock, scheduler, worker, here


def commits(lake: Lake, tried: Tried) -> tuple[float, float]:
    """Return the processor's seconds of this process that a commit takes, and a row of it."""
    used = []
    for times in (1, MOST_HELD // len(tried.rows)):
        rows = pa.concat_tables([tried.rows] * times)
        numbers = pa.array(np.arange(1, len(rows) + 1))
        rows = rows.set_column(rows.schema.get_field_index("number"), "number", numbers)
        done = Done(lake, f"commits {times}", len(rows))
        start = time.process_time()
        done.add(rows)
        done.write()
        used.append(time.process_time() - start)
    row = max(0.0, used[1] - used[0]) / (MOST_HELD - len(tried.rows))
    return used[0] - row * len(tried.rows), row


def print_many(runner: str, runs: dict[int, list[Once]], sets: int, row: float, commit: tuple[float, float]) -> None:
    """Print what MANY workers would come to, by what one and two took; `row` is in bytes."""
    one, two = (median(runs[size], lambda run: run.sweep.workers) for size in SIZES)
    own = max(0.0, two - one)  # what the second worker did again, as averages that both need
    a_set = (one - own) / sets
    rate = MANY / a_set
    tasks = max(MANY / TASK_SECONDS, rate / TASK_SETS)
    _, scheduler, _, here = per_task(runs[SIZES[-1]])
    _, by_scheduler, _, by_here = per_megabyte(runs[SIZES[-1]])
    traffic = rate * row / 1e6
    busy = {
        "the scheduler": (tasks * scheduler + traffic * by_scheduler) / 1e3,
        "this process": (tasks * here + traffic * by_here) / 1e3
        + commit[0] * max(1 / EVERY, rate / MOST_HELD)
        + commit[1] * rate,
    }
    name, share = max(busy.items(), key=lambda item: item[1])
    typer.echo(
        f"- {runner}: a set takes {a_set * 1e3:.2f} ms, so {MANY} workers do {tasks:.0f} tasks, "
        f"{rate:,.0f} sets and {traffic:.1f} MB a second. "
        f"That keeps the scheduler busy for {busy['the scheduler']:.0%} of the time and this process for "
        f"{busy['this process']:.0%}; {name} is full at {MANY / share:,.0f} workers. A worker does {own:.2f} s that "
        f"others do too, so these {sets:,} sets would take {own + (one - own) / MANY:.2f} s instead of {one:.2f} s."
    )


def main(
    candles: Annotated[int, typer.Option(help="Candles of the series.")] = 150_000,
    repeats: Annotated[int, typer.Option(help="Sweeps by each number of workers, in turns.")] = 5,
    one: Annotated[tuple[str, int, Path, str] | None, typer.Option("--once", hidden=True)] = None,
) -> None:
    """Print the times, what a task and a byte cost beside the work, and what that says of a hundred workers."""
    os.environ.setdefault("PREFECT_PLUGINS_ENABLED", "false")
    if one is not None:
        typer.echo(json.dumps(asdict(once(*one))))
        return
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(Path(folder) / "lake")
        fill(lake, candles)
        size, load = read_grid(WHOLE).size, os.getloadavg()[0]
        runs: dict[str, dict[int, list[Once]]] = {}
        for repeat in range(repeats):
            for runner in CLUSTERS:
                for workers in SIZES:
                    found = in_a_process(runner, workers, Path(folder) / "lake", f"{runner} {workers} {repeat}")
                    if isinstance(found, str):
                        typer.echo(f"{runner}, {workers} workers: {found}", err=True)
                    else:
                        runs.setdefault(runner, {}).setdefault(workers, []).append(found)
        runs = {runner: each for runner, each in runs.items() if set(each) == set(SIZES)}
        plan, _ = planned(lake, WHOLE, "here")
        sets = np.array([(number, number - 1) for number in range(1, size + 1)], np.int64)
        tried = try_sets(plan.spec, sets)
        commit = commits(lake, tried)
    sent, back = len(pickle.dumps((plan.spec, sets))), len(pickle.dumps(Tried(tried.rows, 1.0)))
    alone = len(pickle.dumps((plan.spec, sets[:1])))
    typer.echo(f"{size:,} sets of {candles:,} candles; load average {load:.1f} to {os.getloadavg()[0]:.1f}\n")
    heads = ("runner", "workers", "s, least", "s, median", "speed-up", "processor s, workers", "busiest", "speed-up")
    typer.echo(f"| {' | '.join((*heads, 'tasks'))} |\n{'|---' * 9}|")
    for runner, each in runs.items():
        print_sweeps(runner, each)
    heads = ("runner", "of what", "ms", "processor ms, scheduler", "worker", "this process")
    typer.echo(f"\n| {' | '.join(heads)} |\n{'|---' * 6}|")
    for runner, each in runs.items():
        for what, figures in (("a task", per_task(each[SIZES[-1]])), ("a megabyte", per_megabyte(each[SIZES[-1]]))):
            typer.echo(f"| {runner} | {what} | {' | '.join(f'{value:.2f}' for value in figures)} |")
    typer.echo(
        f"\nA task is {alone:,} bytes and {(sent - alone) / (size - 1):.0f} a set, its rows {back / size:,.0f} bytes a "
        f"set; a commit takes {commit[0] * 1e3:.0f} ms of this process, and "
        f"{commit[1] * 1e6:.2f} s a million rows.\n"
    )
    for runner, each in runs.items():
        print_many(runner, each, size, back / size, commit)


if __name__ == "__main__":
    typer.run(main)
