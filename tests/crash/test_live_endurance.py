"""A long stream at speed, several markets, one call in ten struck by a fault: nothing lost, doubled, or growing."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from decimal import Decimal
from pathlib import Path

import psutil
import pytest

from data.settings import CHECKOUT
from data.writer import Lake
from tests.crash.test_live_crash import Trials, check
from tests.servers.practice_exchange import Practice, practice_exchange
from tests.servers.processes import BIN, environment

pytestmark = pytest.mark.server

SYMBOLS = ("BTC/USD", "ETH/USD", "SOL/USD")
SPEED = 20.0
"""A candle of a minute lasts three seconds."""
QUICK = ("reset_before", "reset_after", "bad_gateway_after", "html", "truncated", "empty")
SLOW = ("hang_before", "hang_after")


def strike(practice: Practice) -> None:
    """Let a tenth of all calls meet a fault: a tenth of those, no answer at all."""
    for number, kind in enumerate(QUICK):
        practice.fault(kind, probability=0.09 / len(QUICK), seed=number)
    for number, kind in enumerate(SLOW):
        practice.fault(kind, probability=0.01 / len(SLOW), seed=100 + number)


@pytest.mark.parametrize(
    "seconds",
    [pytest.param(20, marks=pytest.mark.slow), pytest.param(3600, marks=[pytest.mark.hour, pytest.mark.timeout(7200)])],
    ids=["short", "hour"],
)
def test_a_stream_under_faults_loses_nothing_and_does_not_grow(seconds: int, tmp_path: Path) -> None:
    opening = {"USD": Decimal(1_000_000), "BTC": Decimal(10), "ETH": Decimal(100), "SOL": Decimal(1000)}
    with practice_exchange(symbols=SYMBOLS, balances=opening, paused=False, speed=SPEED, start=None) as practice:
        settings = {
            "JARVIS_LAKE": str(tmp_path / "lake"),
            "JARVIS_STATE": str(tmp_path / "state"),
            "JARVIS_EXCHANGE_URLS": f'{{"practice": "{practice.url}"}}',
        }
        trials = Trials(practice, settings, random.Random(1), SYMBOLS)
        assert trials.start(0) == "ended"
        strike(practice)
        memory = stream(trials, settings, seconds, tmp_path / "stream.log")
        practice.clear_faults()
        for _ in range(20):
            if trials.start(0) == "ended":
                break
            time.sleep(0.5)
        check(Lake(tmp_path / "lake"), trials, opening)
    warm, last = memory[len(memory) // 3], memory[-1]
    assert last < 1.25 * warm, f"memory grew from {warm >> 20} to {last >> 20} MB"


def stream(trials: Trials, settings: dict[str, str], seconds: float, log: Path) -> list[int]:
    """Run `jarvis live --stream` for so long after its first step, end it with Ctrl-C, and return its resident memory
    over that time (bytes)."""
    named = trials.parameters
    options = [f"--symbol={symbol}" for symbol in named["symbols"]]
    plain = ("exchange", "mode", "timeframe", "strategy", "cash", "history", "max_signal_age", "stop_loss")
    options += [f"--{name.replace('_', '-')}={named[name]}" for name in plain]
    memory = []
    with log.open("w") as output:
        process = subprocess.Popen(
            [BIN / "jarvis", "live", "--stream", *options],
            cwd=CHECKOUT, env=environment(**settings), stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
        while not log.stat().st_size:
            assert process.poll() is None
            time.sleep(0.1)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(min(5.0, seconds / 10))
            assert process.poll() is None, log.read_text()[-2000:]
            memory.append(psutil.Process(process.pid).memory_info().rss)
        process.send_signal(signal.SIGINT)
        process.wait(120)
    assert process.returncode in (0, 130), log.read_text()[-2000:]
    return memory
