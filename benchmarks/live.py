"""From the close of a candle to the order at the exchange: `python -m benchmarks.live`.

A practice exchange whose minutes last some seconds, one market, and a strategy that wants another position at almost
every candle. Measured is how long after its candle's close each order of a decision was taken by the exchange, by the
exchange's own clock, in our milliseconds: with `jarvis live --stream`, which waits for the close in one process, and
with scheduled flow runs of a Prefect server, a process each, which start after a moment's delay that is part of it.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import httpx
import numpy as np

from data.settings import CHECKOUT
from data.timeframe import parse_timeframe
from data.views import connect
from data.writer import Lake
from tests.servers.practice_exchange import Practice, practice_exchange
from tests.servers.processes import BIN, environment, free_port

STRATEGY = CHECKOUT / "tests" / "strategies_for_tests" / "restless.py"
OPTIONS = [
    "--exchange=practice", "--mode=live", "--symbol=BTC/USD", "--timeframe=1m", f"--strategy={STRATEGY}",
    "--cash=50000", "--history=100", "--max-signal-age=600",
]  # fmt: skip


def latencies(practice: Practice, lake: Path, speed: float) -> list[float]:
    """Return the milliseconds from close to order, of all orders but those of the first two candles."""
    with connect(Lake(lake), tables={"orders", "runs"}) as connection:
        rows = connection.execute(
            "SELECT DISTINCT client_id, epoch_us(decision_ts) FROM orders WHERE leg <> 'exit' ORDER BY 2"
        ).fetchall()
    minute = int(parse_timeframe("1m").total_seconds() * 1e9)
    taken = {order.request.client_id: order.opened for order in list(practice.exchange.engine.orders.values())}
    return [
        (taken[client_id] - decision * 1000 - minute) / 1e6 / speed
        for client_id, decision in rows[2:]
        if client_id in taken
    ]


@contextmanager
def exchange(speed: float, folder: Path) -> Iterator[tuple[Practice, dict[str, str]]]:
    balances = {"USD": Decimal(1_000_000), "BTC": Decimal(0)}
    with practice_exchange(paused=False, speed=speed, balances=balances, start=None) as practice:
        yield (
            practice,
            environment(
                JARVIS_LAKE=folder / "lake",
                JARVIS_STATE=folder / "state",
                JARVIS_EXCHANGE_URLS=f'{{"practice": "{practice.url}"}}',
                PREFECT_HOME=folder / "home",
            ),
        )


def streamed(seconds: float, speed: float, folder: Path) -> list[float]:
    """Measure `jarvis live --stream`."""
    with exchange(speed, folder) as (practice, user):
        command = [BIN / "jarvis", "live", "--stream", *OPTIONS]
        process = subprocess.Popen(command, cwd=CHECKOUT, env=user, stdout=subprocess.DEVNULL)
        time.sleep(seconds)
        process.send_signal(signal.SIGINT)
        process.wait(60)
        return practice.on_loop(latencies, practice, folder / "lake", speed)


def scheduled(seconds: float, speed: float, folder: Path) -> list[float]:
    """Measure flow runs that a Prefect server schedules."""
    port = free_port()
    with exchange(speed, folder) as (practice, user):
        user |= {"PREFECT_API_URL": f"http://127.0.0.1:{port}/api", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
        server = [BIN / "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
        serve = [BIN / "jarvis", "serve", f"--speed={speed:g}", *OPTIONS]
        processes = []
        try:
            for command in (server, serve):
                processes.append(
                    subprocess.Popen(
                        command, cwd=CHECKOUT, env=user, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
                    )
                )
                while not _answers(user["PREFECT_API_URL"]):
                    time.sleep(0.5)
            time.sleep(seconds)
        finally:
            for process in reversed(processes):
                process.send_signal(signal.SIGTERM)
                process.wait(60)
        return practice.on_loop(latencies, practice, folder / "lake", speed)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=2).is_success
    except httpx.HTTPError:
        return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=240.0, help="for each row of the table")
    seconds = parser.parse_args().seconds
    print("| how | orders | p50 ms | p99 ms | most ms |")
    print("|---|---|---|---|---|")
    for name, measure, speed in (("jarvis live --stream", streamed, 30.0), ("scheduled by Prefect", scheduled, 4.0)):
        with tempfile.TemporaryDirectory() as folder:
            found = measure(seconds, speed, Path(folder))
        middle, late, most = np.percentile(found, [50, 99, 100])
        print(f"| {name} | {len(found)} | {middle:,.0f} | {late:,.0f} | {most:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
