"""Sweeps under kill -9: what is in the lake is not tried again, and the table is that of one that was left alone."""

from __future__ import annotations

import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data.views import read_unrecorded
from data.writer import Lake
from flows.parameters import SweepParameters
from flows.sweep import sweep
from tests.servers.processes import BIN, environment
from tests.servers.sweeps import MINE, as_bytes, fill, options_of, traced

SWEEPS: dict[str, dict[str, Any]] = {
    "grid": {"grid": {"window": "2:61:1"}},
    "search": {"grid": {"window": "2:400:1"}, "optuna": 24, "batch": 4, "pruner": "median"},
    "walk": {"grid": {"window": "2:50:1"}, "walk_forward": 2, "symbols": ("A/USD", "B/USD")},
}


def command(lake: Lake, parameters: SweepParameters) -> subprocess.Popen[str]:
    """Start `jarvis sweep` as a user does."""
    return subprocess.Popen(
        [BIN / "jarvis", "sweep", *options_of(parameters)],
        env=environment(JARVIS_LAKE=lake.root, JARVIS_STATE=lake.root.parent / "state"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def rows_by_run(lake: Lake) -> Counter[str]:
    """Return how many rows of each sweep are in the lake, recorded or not."""
    runs: Counter[str] = Counter()
    delta = lake.table("sweeps")
    if delta is not None:
        runs.update(delta.to_pyarrow_table(columns=["run_id"])["run_id"].to_pylist())
    return runs


def wait_until(true: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not true():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def finished(process: subprocess.Popen[str]) -> None:
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, (out, err)


@pytest.mark.server
@pytest.mark.parametrize("kind", ["grid", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("search", "walk"))])
def test_a_sweep_that_was_killed_goes_on_where_it_stopped(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    strategy, trace = traced(tmp_path, 0.5)  # so slowly that it cannot end before the kill
    parameters = SweepParameters(**MINE | {"strategy": str(strategy)} | SWEEPS[kind])
    killed, whole = Lake(tmp_path / "killed"), Lake(tmp_path / "whole")
    for lake in (killed, whole):
        fill(lake)
    process = command(killed, parameters)
    wait_until(lambda: rows_by_run(killed).total() >= 8, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    run = min(rows_by_run(killed).items(), key=lambda pair: pair[1])[0]
    kept = read_unrecorded(killed, "sweeps", killed.table("sweeps"), run, ("number", "wanted", "parameters"))
    assert 0 < kept.num_rows < kept["wanted"][0].as_py()
    assert killed.version("runs") == -1
    trace.write_text("")
    trace.with_name("hurry").touch()
    finished(command(killed, parameters))
    again = {line.split()[0] for line in trace.read_text().splitlines()}
    if kind != "walk":  # whose best sets are tried once more
        assert not again & {
            text.removeprefix('{"window":').removesuffix("}") for text in kept["parameters"].to_pylist()
        }
    monkeypatch.setenv("JARVIS_LAKE", str(whole.root))
    sweep.fn(parameters)
    for table in ("sweeps", "folds"):
        assert as_bytes(killed, table) == as_bytes(whole, table)
