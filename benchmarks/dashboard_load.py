"""Many open sessions of the dashboard, on a lake that is written to: `python -m benchmarks.dashboard_load`.

A process writes a candle of a paper session each second, four commits through the lake's writer, first for a minute
alone, then with as many visitors of its page as asked for: a websocket each, from the page to the patches, as a
browser has. A refresh lasts from the last commit of a candle until the patch that tells of it is there.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from data.settings import CHECKOUT
from data.writer import Lake
from tests.servers import growing_session
from tests.servers.dashboard_visitors import Visitor
from tests.servers.processes import environment, free_port

HELD = 300
"""Candles that the session has at the beginning."""

ALONE = 60
"""Seconds for which the writer writes alone, at most."""

SETTLED = 5
"""Seconds to wait until all have come, and until the last candle has arrived."""

MOST = 300
"""Seconds within which all visitors have to have come."""

Ticks = dict[int, tuple[float, float]]
"""Of each candle written: when it was there, and the milliseconds of its longest commit."""


@dataclass(frozen=True)
class Load:
    """What was measured. Milliseconds and MB; `memory` is the server's, sampled each second while nobody came."""

    refreshes: list[float]
    missed: int
    """Candles of which a visitor never heard."""
    lost: int
    """Sessions that the server ended."""
    before: float
    memory: list[float]
    processor: float
    """Of one core, by the server."""
    kilobytes: float
    """A second and session, on the websocket."""
    alone: list[float]
    beside: list[float]

    @property
    def growth(self) -> float:
        """How much the server grew from the second third of the time to the last."""
        third = len(self.memory) // 3
        return float(np.median(self.memory[-third:]) - np.median(self.memory[third : 2 * third]))


async def measure(folder: Path, sessions: int, seconds: float) -> Load:
    lake = Lake(folder / "lake")
    growing_session.begin(lake, HELD)
    ticks: Ticks = {}
    visitors: list[Visitor] = []
    async with _writing(lake, ticks), _serving(lake, folder) as (url, server):
        await _first(url)
        before = _megabytes(server)
        alone = len(ticks), await _later(min(ALONE, seconds), ticks)
        visitors += [Visitor(url) for _ in range(sessions)]
        await asyncio.gather(*[visitor.come() for visitor in visitors])
        async with asyncio.timeout(MOST):
            while not all(visitor.heard for visitor in visitors):  # noqa: ASYNC110
                await asyncio.sleep(0.5)
        began = await _later(SETTLED, ticks)
        read, used, started = sum(visitor.bytes for visitor in visitors), server.cpu_times(), time.monotonic()
        memory = []
        while time.monotonic() < started + seconds:
            memory.append(_megabytes(server))
            await asyncio.sleep(1)
        ended, lasted, now = len(ticks), time.monotonic() - started, server.cpu_times()
        read = sum(visitor.bytes for visitor in visitors) - read
        await asyncio.sleep(SETTLED)
        for visitor in visitors:
            await visitor.leave()
    written = sorted(ticks.items())
    beside = written[began:ended]
    refreshes = [_refresh(visitor, tick, at) for visitor in visitors for tick, (at, _) in beside]
    return Load(
        refreshes=[refresh for refresh in refreshes if refresh is not None],
        missed=refreshes.count(None),
        lost=sum(visitor.lost for visitor in visitors),
        before=before,
        memory=memory,
        processor=(now.user + now.system - used.user - used.system) / lasted,
        kilobytes=read / lasted / sessions / 1000,
        alone=[ms for _, (_, ms) in written[slice(*alone)]],
        beside=[ms for _, (_, ms) in beside],
    )


async def _later(seconds: float, ticks: Ticks) -> int:
    """Return how many candles are written after some seconds."""
    await asyncio.sleep(seconds)
    return len(ticks)


def _refresh(visitor: Visitor, tick: int, at: float) -> float | None:
    """Return the milliseconds until a visitor knew of a candle; None where it never did."""
    heard = visitor.heard.get(tick)
    return None if heard is None else (heard - at) * 1000


async def _first(url: str) -> None:
    """Let a first visitor come and go, for whom the server loads what it needs."""
    deadline = time.monotonic() + 120
    while True:
        visitor = Visitor(url)
        try:
            await visitor.come()
        except OSError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.5)
        else:
            break
    await asyncio.sleep(5)
    await visitor.leave()


@asynccontextmanager
async def _serving(lake: Lake, folder: Path) -> AsyncIterator[tuple[str, psutil.Process]]:
    """Serve the dashboard, and give the address of the session's page."""
    port = free_port()
    command = ["-m", "panel", "serve", "dashboards/trading.py", "--setup", "dashboards/setup.py"]
    command += ["--address", "127.0.0.1", "--port", str(port)]
    with (folder / "server.log").open("wb") as log:
        server = await asyncio.create_subprocess_exec(
            sys.executable, *command, cwd=CHECKOUT, env=environment(JARVIS_LAKE=lake.root), stdout=log, stderr=log
        )
        try:
            url = f"http://127.0.0.1:{port}/trading?page=live&run={growing_session.RUN}"
            yield url, psutil.Process(server.pid)
        finally:
            server.terminate()
            await server.wait()


@asynccontextmanager
async def _writing(lake: Lake, ticks: Ticks) -> AsyncIterator[None]:
    """Write a candle a second, and note each in `ticks`."""
    command = ["-m", "tests.servers.growing_session", str(lake.root), str(HELD), "1000000", "1"]
    writer = await asyncio.create_subprocess_exec(sys.executable, *command, cwd=CHECKOUT, stdout=subprocess.PIPE)

    async def note() -> None:
        assert writer.stdout is not None
        async for line in writer.stdout:
            told = json.loads(line)
            ticks[told["tick"]] = (told["at"], told["ms"])

    noting = asyncio.create_task(note())
    try:
        yield
    finally:
        writer.terminate()
        await writer.wait()
        await noting


def _megabytes(process: psutil.Process) -> float:
    return float(process.memory_info().rss) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=120.0, help="for which the sessions are there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        load = asyncio.run(measure(Path(folder), options.sessions, options.seconds))
    middle, late, most = np.percentile(load.refreshes, [50, 95, 100])
    print("| sessions | refresh p50 ms | p95 ms | most ms | missed | lost | processor | kB/s a session |")
    print("|---|---|---|---|---|---|---|---|")
    print(
        f"| {options.sessions} | {middle:,.0f} | {late:,.0f} | {most:,.0f} | {load.missed} | {load.lost} "
        f"| {load.processor:.0%} | {load.kilobytes:.1f} |"
    )
    each = (max(load.memory) - load.before) / options.sessions
    print("\n| MB before | MB at most | MB a session | grown by MB |\n|---|---|---|---|")
    print(f"| {load.before:,.0f} | {max(load.memory):,.0f} | {each:.1f} | {load.growth:.1f} |")
    print("\n| commits | p50 ms | p95 ms | most ms |\n|---|---|---|---|")
    for name, commits in (("alone", load.alone), ("beside the sessions", load.beside)):
        middle, late, most = np.percentile(commits, [50, 95, 100])
        print(f"| {name} | {middle:,.0f} | {late:,.0f} | {most:,.0f} |")


if __name__ == "__main__":
    main()
