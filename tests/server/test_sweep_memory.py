"""A sweep that is told how much memory it may take stays under it, as the operating system measures it."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest

from data.writer import Lake
from flows.parameters import SweepParameters
from tests.servers.processes import BIN, environment
from tests.servers.sweeps import MINE, fill, fill_inside, options_of

pytestmark = pytest.mark.server


MEASURED = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
"""Has the system measure a program from a process that is small itself: it says of a child what its parent had, too."""


def swept_in(lake: Lake, parameters: SweepParameters) -> tuple[str, int]:
    """Run `jarvis sweep`; return what it said on standard error, and its highest resident size in bytes."""
    settings = environment(JARVIS_LAKE=lake.root, JARVIS_STATE=lake.root.parent / "state")
    started = [sys.executable, "-S", "-c", MEASURED, BIN / "jarvis", "sweep", *options_of(parameters)]
    done = subprocess.run(started, env=settings, capture_output=True, text=True, check=True)
    code, peak = map(int, done.stdout.split())
    assert code == 0, done.stderr
    return done.stderr, peak * (1 if sys.platform == "darwin" else 1024)


SMA_20_000 = {"fast": "2:101:1", "slow": "170:369:1"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("candles", "grid", "memory", "asked"),
    [
        (50_000, {"fast": "2:51:1", "slow": "102:301:10"}, "1GB", {}),
        (3_000, SMA_20_000, "1GB", {}),
        (100_000, {"fast": "5:20:1", "slow": "50:100:5"}, "1GB", {}),
        (2_000, {"fast": "2:201:1", "slow": "210:409:1"}, "1200MB", {}),
        (400_000, {"fast": "2:26:1", "slow": "102:141:1"}, "2.5GB", {}),
        (30_000, {"fast": "2:11:1", "slow": "20:40:5"}, "1.6GB", {"detail": "1m", "stop_loss": 0.05}),
        (100_000, {"fast": "2:21:1", "slow": "30:49:1", "smooth": "5,9"}, "1.2GB", {"strategy": "macd"}),
        (50_000, SMA_20_000, "1.6GB", {"optuna": 400, "pruner": "median", "symbols": ("A/USD", "B/USD", "C/USD")}),
        (50_000, {"fast": "2:51:1", "slow": "102:301:10"}, "1.2GB", {"symbols": ("A/USD", "B/USD", "C/USD")}),
        (50_000, {"fast": "2:51:1", "slow": "102:301:10"}, "1.2GB", {"walk_forward": 4}),
    ],
    ids=[
        "1,000 sets of 50,000 candles",
        "20,000 sets of 3,000 candles",
        "176 sets of 100,000 candles",
        "40,000 sets of 2,000 candles",
        "1,000 sets that keep 16,667 returns each",
        "1,800,000 minutes in 30,000 hours",
        "800 sets of three averages each",
        "a search that is pruned on three series",
        "three series",
        "a walk-forward",
    ],
)
def test_a_sweep_stays_under_the_memory_that_it_is_allowed_and_takes_about_what_it_said(
    lake: Lake, candles: int, grid: dict[str, str], memory: str, asked: dict[str, Any]
) -> None:
    parameters = SweepParameters(**MINE | {"grid": grid, "memory": memory} | asked)
    fill(lake, parameters.symbols, candles)
    if parameters.detail is not None:
        fill_inside(lake)
    said, peak = swept_in(lake, parameters)
    assert parameters.memory is not None
    assert peak < parameters.memory
    found = re.search(r"about ([\d.]+) (GB|MB) of memory of", said)
    assert found, said
    told = float(found[1]) * (1e9 if found[2] == "GB" else 1e6)
    most = 1.5 if parameters.optuna is None else 2  # a search asks for few of the averages that it may ask for
    assert peak <= told <= most * peak, (peak, told)
