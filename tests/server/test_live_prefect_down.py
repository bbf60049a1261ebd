"""Live trading while Prefect's server is killed, absent, locked or started anew: what is traded stays right.

A real server on SQLite, `jarvis live` and `jarvis serve` as real processes, orders on the practice exchange.
"""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from data.settings import CHECKOUT
from data.views import connect
from data.writer import Lake
from tests.crash.test_live_crash import Trials, check
from tests.servers.practice_exchange import Practice, practice_exchange
from tests.servers.prefect_server import AUTH, Door, PrefectServer, prefect_server
from tests.servers.processes import BIN, environment, free_port

pytestmark = [pytest.mark.server, pytest.mark.timeout(600)]

SYMBOL = "BTC/USD"
OPENING = {"USD": Decimal(1_000_000), "BTC": Decimal(10), "ETH": Decimal(100)}
SESSION = (
    "--exchange", "practice", "--mode", "live", "--symbol", SYMBOL, "--timeframe", "1m", "--cash", "50000",
    "--strategy", str(CHECKOUT / "tests" / "strategies_for_tests" / "restless.py"),
    "--history", "20", "--max-signal-age", "86400", "--stop-loss", "0.2",
)  # fmt: skip
UNRECORDED = "this run is not recorded there; the lake has it all"
INCOMPLETE = "what it shows of this run is incomplete; the lake has it all"
BOUND = 60.0
"""Seconds that a run may take in all, its start and its report included; a decision is made long before."""


def wait_for(what: Callable[..., object], *arguments: Any, seconds: float = 60, every: float = 0.01) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if what(*arguments):
            return
        time.sleep(every)
    raise AssertionError(f"not within {seconds} s")


@dataclass
class Desk:
    """A session on the practice exchange, Prefect's server, and a door between the two."""

    practice: Practice
    server: PrefectServer
    door: Door
    environment: dict[str, str]

    @property
    def lake(self) -> Lake:
        return Lake(Path(self.environment["JARVIS_LAKE"]))

    def start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [BIN / "jarvis", "live", *SESSION, "--json"],
            env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def end(self, process: subprocess.Popen[str]) -> str:
        """Wait for a run, which has to trade whatever became of the server; return what it said on standard error."""
        out, said = process.communicate(timeout=BOUND)
        assert process.returncode == 0, said
        (outcome,) = json.loads(out)
        assert outcome["failure"] is None
        assert outcome["decisions"]
        return said

    def run(self, fatal: int = 0) -> str:
        """One run, in which the server is killed before request number `fatal`; return what the run said."""
        with self.opened(fatal):
            return self.end(self.start())

    @contextmanager
    def opened(self, fatal: int = 0) -> Iterator[None]:
        self.door.open(fatal)
        yield
        self.door.close()

    def orders(self) -> int:
        return self.practice.on_loop(lambda: len(self.practice.exchange.engine.orders))

    def ordered_or_ended(self, before: int, process: subprocess.Popen[str]) -> bool:
        return self.orders() > before or process.poll() is not None

    def candles_decided(self) -> int:
        with connect(self.lake) as connection:
            (row,) = connection.execute("SELECT count(*) FROM decisions").fetchall()
        return int(row[0])

    def check(self) -> None:
        """The ledger is the exchange's own books, and every candle has one decision."""
        check(self.lake, Trials(self.practice, self.environment, random.Random(1), (SYMBOL,)), OPENING)


@contextmanager
def trading(folder: Path, speed: float) -> Iterator[Desk]:
    """A session that has not begun, on an exchange whose clock runs so fast, and a server that runs."""
    with practice_exchange(balances=OPENING, paused=False, speed=speed, start=None) as practice:
        settings = environment(
            JARVIS_LAKE=folder / "lake",
            JARVIS_STATE=folder / "state",
            JARVIS_EXCHANGE_URLS=json.dumps({"practice": practice.url}),
            PREFECT_HOME=folder / "home",
            PREFECT_API_URL=f"http://127.0.0.1:{free_port()}/api",
            PREFECT_API_AUTH_STRING=":".join(AUTH),
            PREFECT_CLIENT_MAX_RETRIES=1,  # of ours, 2: they are what these tests would wait for
        )
        with prefect_server(settings) as server:
            door = Door(server)
            yield Desk(practice, server, door, settings | {"PREFECT_API_URL": door.url})


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with trading(tmp_path_factory.mktemp("down"), 60.0) as desk:
        yield desk


@pytest.mark.slow
def test_unreachable_at_the_start_it_trades_and_says_that_it_is_not_recorded(desk: Desk) -> None:
    said = desk.end(desk.start())
    assert said.splitlines() == [f"jarvis: no Prefect server admits us at {desk.door.url}: {UNRECORDED}"]
    desk.check()


@pytest.mark.slow
def test_killed_between_its_word_to_begin_and_the_first_decision(desk: Desk) -> None:
    assert desk.run() == ""  # nobody dies, and how many requests there are
    begun = next(n for n, path in enumerate(desk.door.requests, 1) if "/set_state" in path)
    assert desk.server.runs()[0]["state_name"] == "Completed"
    desk.door.requests.clear()
    started = time.monotonic()
    said = desk.run(fatal=begun + 1)
    assert said.splitlines() == [f"jarvis: Prefect's server failed (ConnectError): {UNRECORDED}"]
    assert time.monotonic() - started < BOUND / 2
    desk.server.start()
    assert [run["state_name"] for run in desk.server.runs()] == ["Running", "Completed"]
    desk.check()


@pytest.mark.slow
def test_killed_while_the_exchange_keeps_the_run_waiting_before_its_order(desk: Desk) -> None:
    desk.practice.fault("drip", "OHLC", times=1, seconds=3)
    with desk.opened():
        process = desk.start()
        wait_for(lambda: any(path.startswith("GET /api/flow_runs/") for path in desk.door.requests))
        time.sleep(0.5)  # the last request before the step; it is in it now
        desk.server.kill()
        desk.door.close()
        assert INCOMPLETE in desk.end(process)
    desk.check()
    desk.server.start()


@pytest.mark.slow
def test_killed_after_the_order_while_the_run_reports(desk: Desk) -> None:
    for _ in range(5):  # until a candle wants an order
        before = desk.orders()
        with desk.opened():
            process = desk.start()
            wait_for(desk.ordered_or_ended, before, process)
            killed = process.poll() is None
            if killed:
                desk.server.kill()
                desk.door.close()
            said = desk.end(process)
        if killed:
            break
    assert INCOMPLETE in said
    desk.check()
    desk.server.start()
    assert desk.run() == ""
    assert desk.server.runs()[0]["state_name"] == "Completed"
    desk.check()


@pytest.mark.slow
def test_its_database_locked_before_and_during_a_run(desk: Desk) -> None:
    decided = desk.candles_decided()
    with desk.opened():
        lock = sqlite3.connect(desk.server.database, isolation_level=None, timeout=30)
        lock.execute("BEGIN EXCLUSIVE")
        process = desk.start()
        wait_for(lambda: desk.candles_decided() > decided)
        lock.execute("ROLLBACK")
        lock.close()
        said = desk.end(process)
    assert UNRECORDED in said or INCOMPLETE in said
    desk.check()
    assert desk.run() == ""
    desk.check()


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_killed_before_any_request_of_a_run_it_trades_all_the_same(desk: Desk) -> None:
    desk.run()
    for fatal in range(1, len(desk.door.requests) + 1):
        said = desk.run(fatal)
        assert (UNRECORDED in said) or (INCOMPLETE in said) or len(desk.door.requests) < fatal, (fatal, said)
        desk.server.kill()
        desk.server.start()
        desk.check()


@pytest.mark.slow
def test_scheduled_runs_go_on_when_the_server_is_back(tmp_path: Path) -> None:
    with trading(tmp_path, 4.0) as desk, (tmp_path / "serve.log").open("wb") as log:
        serving = subprocess.Popen(
            [BIN / "jarvis", "serve", *SESSION, "--speed", "4"],
            env=desk.environment | {"PREFECT_API_URL": desk.server.url, "PREFECT_CLIENT_MAX_RETRIES": "5"},
            stdout=log, stderr=log,
        )  # fmt: skip
        try:
            wait_for(one_more, desk, 0, seconds=120, every=2)
            for _ in range(2):
                desk.server.kill()
                time.sleep(20)
                desk.server.start()
                wait_for(one_more, desk, completed(desk), seconds=120, every=2)
        finally:
            serving.send_signal(signal.SIGINT)
            serving.wait(60)
        time.sleep(60 / 4 + 1)  # until a candle has closed that no run has seen
        desk.run()  # of the same session, with what the last one may have left
        desk.check()


def completed(desk: Desk) -> int:
    """Return how many scheduled runs are Completed."""
    return sum(run["auto_scheduled"] and run["state_name"] == "Completed" for run in desk.server.runs())


def one_more(desk: Desk, known: int) -> bool:
    return completed(desk) > known
