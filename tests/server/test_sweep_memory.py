"""A sweep that is told how much memory it may take stays under it, as the operating system measures it."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from data.writer import Lake
from flows.parameters import SweepParameters
from tests.servers.processes import BIN, environment
from tests.servers.sweeps import MINE, fill, options_of

pytestmark = pytest.mark.server


def swept_in(lake: Lake, parameters: SweepParameters) -> tuple[str, int]:
    """Run `jarvis sweep`; return what it said on standard error, and its highest resident size in bytes."""
    said = lake.root.parent / "said"
    started = [str(BIN / "jarvis"), "sweep", *options_of(parameters)]
    with said.open("wb") as err, Path(os.devnull).open("wb") as nothing:
        into = [(os.POSIX_SPAWN_DUP2, nothing.fileno(), 1), (os.POSIX_SPAWN_DUP2, err.fileno(), 2)]
        settings = environment(JARVIS_LAKE=lake.root, JARVIS_STATE=lake.root.parent / "state")
        process = os.posix_spawn(started[0], started, settings, file_actions=into)
    _, status, usage = os.wait4(process, 0)
    text = said.read_text()
    assert os.waitstatus_to_exitcode(status) == 0, text
    return text, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("candles", "grid"),
    [
        (50_000, {"fast": "2:51:1", "slow": "102:301:10"}),
        (3_000, {"fast": "2:101:1", "slow": "170:369:1"}),
        (100_000, {"fast": "5:20:1", "slow": "50:100:5"}),
    ],
    ids=["1,000 sets of 50,000 candles", "20,000 sets of 3,000 candles", "176 sets of 100,000 candles"],
)
def test_a_sweep_stays_under_the_memory_that_it_is_allowed(lake: Lake, candles: int, grid: dict[str, str]) -> None:
    fill(lake, ["A/USD"], candles)
    parameters = SweepParameters(**MINE | {"grid": grid, "memory": "1GB"})
    said, peak = swept_in(lake, parameters)
    assert peak < 1_000_000_000
    found = re.search(r"about ([\d.]+) (GB|MB) of memory of 1\.0 GB", said)
    assert found, said
    told = float(found[1]) * (1e9 if found[2] == "GB" else 1e6)
    assert peak <= told, (peak, told)
