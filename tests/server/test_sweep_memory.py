"""A sweep that is told how much memory it may take stays under it, as the operating system measures it."""

from __future__ import annotations

import re
import subprocess
import sys

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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("candles", "grid", "memory", "detail"),
    [
        (50_000, {"fast": "2:51:1", "slow": "102:301:10"}, "1GB", None),
        (3_000, {"fast": "2:101:1", "slow": "170:369:1"}, "1GB", None),
        (100_000, {"fast": "5:20:1", "slow": "50:100:5"}, "1GB", None),
        (2_000, {"fast": "2:201:1", "slow": "210:409:1"}, "1200MB", None),
        (400_000, {"fast": "2:26:1", "slow": "102:141:1"}, "2.5GB", None),
        (30_000, {"fast": "2:11:1", "slow": "20:40:5"}, "1.6GB", "1m"),
    ],
    ids=[
        "1,000 sets of 50,000 candles",
        "20,000 sets of 3,000 candles",
        "176 sets of 100,000 candles",
        "40,000 sets of 2,000 candles",
        "1,000 sets that keep 16,667 returns each",
        "1,800,000 minutes in 30,000 hours",
    ],
)
def test_a_sweep_stays_under_the_memory_that_it_is_allowed_and_takes_about_what_it_said(
    lake: Lake, candles: int, grid: dict[str, str], memory: str, detail: str | None
) -> None:
    fill(lake, ["A/USD"], candles)
    asked = MINE | {"grid": grid, "memory": memory}
    if detail is not None:
        fill_inside(lake)
        asked |= {"detail": detail, "stop_loss": 0.05}
    parameters = SweepParameters(**asked)
    said, peak = swept_in(lake, parameters)
    assert parameters.memory is not None
    assert peak < parameters.memory
    found = re.search(r"about ([\d.]+) (GB|MB) of memory of", said)
    assert found, said
    told = float(found[1]) * (1e9 if found[2] == "GB" else 1e6)
    assert peak <= told <= 1.5 * peak, (peak, told)
