"""Many visitors of a lake that is written to: `python -m benchmarks.dashboard_load [--sessions 50] [--seconds 600]`.

A process of its own writes a session on paper, a bar a second; `panel serve` shows it; visitors hold open websockets,
every other one the page of the session, the rest that of backtests, of which one is recorded every ten bars. Measured
are how long after a bar's last commit a visitor is told of it, what a visitor costs the server in memory, whether that
grows, and how long the writer needs for a bar, without visitors and with them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import NamedTuple

import httpx
import numpy as np
import psutil

from data.settings import CHECKOUT
from tests.browser.conftest import Dashboard, serving
from tests.servers.dashboard_visitors import Visitor

PAGES = ("live", "backtest")
BACKTEST_EVERY = 10
OPTIONS = ("--rest-session-info", "--session-history=-1", "--check-unused-sessions=1000")
_MEGABYTE = 1024 * 1024


class Bar(NamedTuple):
    """A bar as its writer tells of it: when it was written, in how many seconds, and how many of the processor's."""

    bar: int
    at: float
    took: float
    cpu: float = 0.0


@dataclass
class Load:
    """What visitors found; times in seconds, memory of the server in MB."""

    alone: list[Bar]
    """Bars written while nobody looked."""
    watched: list[Bar] = field(default_factory=list)
    ages: dict[str, list[float]] = field(default_factory=lambda: {page: [] for page in PAGES})
    """How old a bar was when a visitor was told of it, by page."""
    missed: int = 0
    """Bars that a visitor was never told of, over all visitors."""
    a_visitor: float = 0.0
    """What one visitor more took."""
    memory: list[float] = field(default_factory=list)
    """Of the server, a second apart."""
    processor: float = 0.0
    """What the server used, in cores."""
    remained: int = 0
    """Sessions that the server still had after all visitors had left."""


@contextmanager
def streaming(lake: Path, interval: float) -> Iterator[list[Bar]]:
    """Stream a session into a lake; the list of its bars grows."""
    command = [sys.executable, "-m", "tests.servers.streamed_session", str(lake), f"--interval={interval}"]
    bars: list[Bar] = []
    process = subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    out = process.stdout
    bars.append(Bar(**json.loads(out.readline())))
    reader = Thread(target=lambda: bars.extend(Bar(**json.loads(line)) for line in out))
    reader.start()
    try:
        yield bars
    finally:
        process.terminate()
        process.wait(timeout=60)
        reader.join()
        out.close()


def measure(sessions: int, seconds: float, interval: float = 1.0) -> Load:
    """Let visitors watch for some seconds, after a quarter of these, a minute at most, in which nobody does."""
    with tempfile.TemporaryDirectory() as folder:
        lake = Path(folder) / "lake"
        with streaming(lake, interval) as bars, serving(lake, Path(folder), *OPTIONS) as dashboard:
            asyncio.run(_warm(dashboard))
            begun = len(bars)
            time.sleep(min(seconds / 4, 60))
            load = Load(alone=bars[begun:])
            asyncio.run(_watch(dashboard, bars, sessions, seconds, load))
            load.remained = _remaining(dashboard)
            return load


async def _warm(dashboard: Dashboard) -> None:
    """Let a visitor of each page come and leave: the first ones make the server import much."""
    for visitor in await _visit(dashboard, 2):
        await visitor.leave()


async def _visit(dashboard: Dashboard, sessions: int) -> list[Visitor]:
    visitors = [await Visitor.come(f"{dashboard.url}?page={PAGES[n % 2]}") for n in range(sessions)]
    async with asyncio.timeout(300):
        while any(not visitor.seen for visitor in visitors):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    return visitors


async def _watch(dashboard: Dashboard, bars: list[Bar], sessions: int, seconds: float, load: Load) -> None:
    server = psutil.Process(dashboard.pid)
    empty = server.memory_info().rss
    visitors = await _visit(dashboard, sessions)
    await asyncio.sleep(5)
    load.a_visitor = (server.memory_info().rss - empty) / sessions / _MEGABYTE
    begun, began, used = len(bars), time.monotonic(), sum(server.cpu_times()[:2])
    while time.monotonic() < began + seconds:
        load.memory.append(server.memory_info().rss / _MEGABYTE)
        await asyncio.sleep(1)
    load.processor = (sum(server.cpu_times()[:2]) - used) / (time.monotonic() - began)
    load.watched = bars[begun:]
    await _all_told(visitors, load)
    for visitor in visitors:
        await visitor.leave()


async def _all_told(visitors: list[Visitor], load: Load) -> None:
    told = [
        (n, visitor, bar) for n, visitor in enumerate(visitors) for bar in load.watched if _tells(PAGES[n % 2], bar)
    ]
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and any(visitor.arrival(bar.bar) is None for _, visitor, bar in told):  # noqa: ASYNC110
        await asyncio.sleep(0.5)
    for n, visitor, bar in told:
        arrival = visitor.arrival(bar.bar)
        if arrival is None:
            load.missed += 1
        else:
            load.ages[PAGES[n % 2]].append(arrival - bar.at)


def _tells(page: str, bar: Bar) -> bool:
    return page == "live" or bar.bar % BACKTEST_EVERY == 0


def _remaining(dashboard: Dashboard) -> int:
    """Return how many sessions the server has, once that no longer falls."""
    deadline = time.monotonic() + 60
    while (live := _sessions(dashboard)) and time.monotonic() < deadline:
        time.sleep(1)
    return live


def _sessions(dashboard: Dashboard) -> int:
    told = httpx.get(dashboard.url.replace("/trading", "/rest/session_info"), timeout=60).json()["session_info"]
    return sum(1 for session in told["sessions"].values() if session["ended"] is None)


def rows(load: Load) -> Iterator[tuple[str, str, str]]:
    """Tell a load in rows of a table, with the goals set for fifty sessions on two cores of their own."""
    for page, ages in load.ages.items():
        if ages:
            middle, late, most = np.percentile(ages, [50, 95, 100]) * 1000
            yield f"a bar, {page}: p50 / p95 / most", f"{middle:,.0f} / {late:,.0f} / {most:,.0f} ms", "p95 1,000 ms"
    told = load.missed + sum(map(len, load.ages.values()))
    yield "bars not told, over all sessions", f"{load.missed:,} of {told:,}", ""
    yield "memory a session", f"{load.a_visitor:.1f} MB", "3 MB"
    first, last = quarters(load)
    yield "memory of the server, second and last quarter", f"{first:,.0f} / {last:,.0f} MB", ""
    yield "processor of the server", f"{load.processor:.2f} cores", "0.5 cores"
    for name, bars in (("nobody looks", load.alone), ("all look", load.watched)):
        middle, late = np.percentile([bar.took for bar in bars], [50, 95]) * 1000
        cpu = np.median([bar.cpu for bar in bars]) * 1000
        said = f"{middle:,.0f} / {late:,.0f} ms, of which processor {cpu:,.0f} ms"
        yield f"to write a bar, {name}: p50 / p95", said, ""
    yield "sessions left behind", f"{load.remained}", ""


def quarters(load: Load) -> tuple[float, float]:
    """Return the server's median memory in the second and in the last quarter, in MB."""
    quarter = len(load.memory) // 4
    return float(np.median(load.memory[quarter : 2 * quarter])), float(np.median(load.memory[-quarter:]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=600.0)
    arguments = parser.parse_args()
    load = measure(arguments.sessions, arguments.seconds)
    print(f"| {arguments.sessions} sessions, {arguments.seconds:g} s, {len(load.watched)} bars | | goal for 50 |")
    print("|---|---|---|")
    for cells in rows(load):
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
