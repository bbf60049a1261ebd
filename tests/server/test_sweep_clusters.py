"""The same sweep on local threads, a Dask scheduler with two workers and a Ray head: the same bytes, also when a
worker is killed in the middle.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from data.writer import Lake
from flows.parameters import SweepParameters
from flows.sweep import sweep
from tests.servers.clusters import CLUSTERS, wait_until
from tests.servers.processes import BIN, environment
from tests.servers.sweeps import MINE, as_bytes, fill, options_of, traced

pytestmark = pytest.mark.server

GRID = {"fast": "2:12:2", "slow": "13:53:5"}


def locally(lake: Lake, parameters: SweepParameters) -> bytes:
    """Return the table of the same sweep on threads of this process."""
    fill(lake)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JARVIS_LAKE", str(lake.root))
        sweep.fn(parameters.model_copy(update={"runner": "local", "address": None}))
    return as_bytes(lake)


def command(lake: Lake, parameters: SweepParameters, **settings: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [BIN / "jarvis", "sweep", *options_of(parameters)],
        env=environment(JARVIS_LAKE=lake.root, JARVIS_STATE=lake.root.parent / "state", **settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def done(process: subprocess.Popen[str]) -> tuple[str, str]:
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, (out, err)
    return out, err


def test_a_dask_cluster_of_its_own_makes_the_same_table(lake: Lake, tmp_path: Path) -> None:
    fill(lake)
    parameters = SweepParameters(**MINE | {"grid": GRID, "runner": "dask"})
    _, err = done(command(lake, parameters))
    assert len(err.splitlines()) == 1, err
    assert as_bytes(lake) == locally(Lake(tmp_path / "local"), parameters)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["grid", "search", "walk"])
@pytest.mark.parametrize("name", list(CLUSTERS))
def test_a_worker_that_is_killed_costs_no_results(lake: Lake, tmp_path: Path, name: str, kind: str) -> None:
    strategy, trace = traced(tmp_path, 0.3)
    sets = {
        "grid": {"grid": {"window": "2:61:1"}},
        "search": {"grid": {"window": "2:90:1"}, "optuna": 40, "batch": 8, "pruner": "median", "symbols": SYMBOLS},
        "walk": {"grid": {"window": "2:41:1"}, "walk_forward": 2, "symbols": SYMBOLS},
    }[kind]
    fill(lake)
    with CLUSTERS[name]() as (address, secret):
        given = {"strategy": str(strategy), "runner": name, "address": address}
        parameters = SweepParameters(**MINE | given | sets)
        process = command(lake, parameters, **secret)
        wait_until(lambda: trace.exists() and len(workers_in(trace)) >= 2, process)
        time.sleep(1.0)  # so that something is done, and something under way
        victim = min(workers_in(trace))
        os.kill(victim, signal.SIGKILL)
        _, err = done(process)
        assert len(err.splitlines()) == 1, err
        before = trace.read_text().count(str(victim))
        assert 0 < before < len(trace.read_text().splitlines())
    assert as_bytes(lake) == locally(Lake(tmp_path / "local"), parameters)


SYMBOLS = ("A/USD", "B/USD")


def workers_in(trace: Path) -> set[int]:
    """Return the processes that have tried a set."""
    return {int(line.split()[1]) for line in trace.read_text().splitlines()}


@pytest.mark.slow
@pytest.mark.parametrize("name", list(CLUSTERS))
def test_prefects_task_runners_make_the_same_table(
    prefect_api: None, lake: Lake, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(lake)
    with CLUSTERS[name]() as (address, secret):
        for variable, value in secret.items():
            monkeypatch.setenv(variable, value)
        parameters = SweepParameters(**MINE | {"grid": GRID, "runner": name, "address": address})
        (result,) = sweep(parameters)
    assert len(result.sets) == 54
    assert as_bytes(lake) == locally(Lake(tmp_path / "local"), parameters)
