"""`jarvis up`: everything at once, in processes that end with it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, NamedTuple, Self

import httpx

from data.errors import JarvisError
from data.settings import CHECKOUT, settings
from data.timeframe import parse_timeframe
from flows.server import admits, answers, api_url, ensure_password, load_environment, start_command
from tasks.exchange.lock import alone

_SERVER_SECONDS = 180
_DASHBOARD_SECONDS = 120
_PRACTICE_SECONDS = 60
_GRACE_SECONDS = 10

PRACTICE_SPEED = 3.0
"""Seconds of the practice exchange's time in one of ours: a candle of a minute closes every 20 s."""
PRACTICE_STRATEGY = ("--strategy", "sma_crossover", "--param", "fast=3", "--param", "slow=8")
"""Windows so short that something is traded soon."""

_TIMEFRAMES = ("1m", "5m", "15m", "30m", "1h", "4h", "1d")
_CANDLE_SECONDS = 20.0
"""Of ours, between two candles at least: a run of the live flow is a process, and costs some seconds of a core."""


class PracticeMarket(NamedTuple):
    """What `jarvis up` trades: markets, the speed of their clock, and a timeframe whose candles last `seconds`."""

    symbols: tuple[str, ...]
    speed: float
    timeframe: str
    seconds: float


@dataclass
class Processes:
    """The processes started here; leaving the `with` block ends them, and nothing else."""

    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _logs: list[IO[bytes]] = field(default_factory=list)

    def start(self, name: str, command: list[str], environment: Mapping[str, str] | None = None) -> None:
        """Start a command in a process group of its own, so that Ctrl-C reaches it through us alone."""
        path = _log(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        log = path.open("wb")
        self._logs.append(log)
        self.running[name] = subprocess.Popen(  # noqa: S603
            command,
            env=None if environment is None else dict(environment),
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def wait_until(self, ready: Callable[[], bool], name: str, seconds: float) -> None:
        """Wait for a process to be ready. Raises JarvisError, naming its log, when it ends or takes too long."""
        deadline = time.monotonic() + seconds
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise JarvisError(f"{name} was not ready after {seconds:.0f} s: see {_log(name)}")
            time.sleep(0.2)

    def check(self) -> None:
        """Raise JarvisError when one of the processes has ended."""
        for name, process in self.running.items():
            if process.poll() is not None:
                raise JarvisError(f"{name} ended with exit code {process.returncode}: see {_log(name)}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in reversed(self.running.values()):
            _signal_group(process, signal.SIGTERM)
        deadline = time.monotonic() + _GRACE_SECONDS
        for process in self.running.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
            _signal_group(process, signal.SIGKILL)  # and whatever a child left behind in its group
            process.wait()
        for log in self._logs:
            log.close()


def up(say: Callable[[str], None]) -> None:
    """Start what is not there yet, trade on the practice exchange, backtest the sample, and wait for Ctrl-C.

    Raises JarvisError when a part of it does not start or ends, Taken when it runs already.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # a shell's background job would ignore Ctrl-C
        signal.signal(number, _interrupt)
    load_environment()
    with alone("up", str(CHECKOUT), "process {} runs `jarvis up` already: end it first"), Processes() as processes:
        say("Starting ... the first time takes a minute.")
        ready = _prefect(processes, say)
        market = _practice(processes)
        processes.wait_until(ready, "prefect-server", _SERVER_SECONDS)
        told = {**os.environ, "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "WARNING"}
        processes.start("deployments", serve_command(market), told)  # first of all: a candle closes every few seconds
        port = free_port(settings().dashboard_port)
        os.environ["JARVIS_DASHBOARD_PORT"] = str(port)
        processes.start("dashboard", dashboard_command(port))
        say("Running the backtest flow on the sample: AAPL, daily ...")
        _backtest()
        processes.wait_until(lambda: listens(port), "dashboard", _DASHBOARD_SECONDS)
        say(
            f"Paper trading of {' and '.join(market.symbols)} at practice prices, a candle every {market.seconds:.0f} s"
        )
        say(f"Dashboard   http://127.0.0.1:{port}/trading")
        say(f"Prefect UI  {api_url().removesuffix('/api')}/runs")
        if password := os.environ.get("PREFECT_API_AUTH_STRING"):
            say(f"            log in with  {password}")
        say("Ctrl-C ends it all; `jarvis up` goes on from there.")
        while True:
            processes.check()
            time.sleep(1)


def practice_market() -> PracticeMarket | None:
    """Return what can be traded on the practice exchange that answers; None when none does.

    Raises JarvisError when no schedule fits its clock.
    """
    try:
        status = httpx.get(f"http://127.0.0.1:{settings().practice_admin_port}/status", timeout=2).json()
        speed, symbols = status["speed"], tuple(status["markets"])
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return None
    lasts = {timeframe: parse_timeframe(timeframe).total_seconds() for timeframe in _TIMEFRAMES}
    fitting = [] if speed == "max" else [t for t, seconds in lasts.items() if seconds / speed >= _CANDLE_SECONDS]
    if not fitting:
        raise JarvisError(f"the practice exchange that runs already is at speed {speed}: end it, or set another one")
    return PracticeMarket(symbols, speed, fitting[0], lasts[fitting[0]] / speed)


def serve_command(market: PracticeMarket) -> list[str]:
    """Return the command that serves the deployments, with the live one on the practice exchange."""
    place = ["--exchange", "practice", "--timeframe", market.timeframe, "--speed", f"{market.speed:g}"]
    symbols = [word for symbol in market.symbols for word in ("--symbol", symbol)]
    return [sys.executable, "-m", "flows.cli", "serve", *place, *symbols, *PRACTICE_STRATEGY]


def dashboard_command(port: int) -> list[str]:
    """Return the command that serves the dashboard on loopback."""
    panel = [
        sys.executable,
        "-m",
        "panel",
        "serve",
        "dashboards/trading.py",
        "--address",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    origins = [f"--allow-websocket-origin={host}:{port}" for host in ("127.0.0.1", "localhost")]
    return [*panel, *origins, "--setup", "dashboards/setup.py", "--liveness"]


def free_port(preferred: int) -> int:
    """Return the preferred port of loopback, or the next that nobody listens on."""
    return next(port for port in range(preferred, 65536) if not _taken(port))


def listens(port: int) -> bool:
    """Tell whether a web server answers on a port of loopback."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/liveness", timeout=2).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def _log(name: str) -> Path:
    return settings().state / f"{name}.log"


def _prefect(processes: Processes, say: Callable[[str], None]) -> Callable[[], bool]:
    """Start a Prefect server unless one answers; return what tells whether it is ready."""
    url = api_url()
    if answers(url):
        if not admits(url):
            raise JarvisError(f"the Prefect server at {url} asks for a password: set PREFECT_API_AUTH_STRING")
        os.environ["PREFECT_API_URL"] = url
        say(f"Using the Prefect server that answers at {url}.")
        return lambda: True
    ensure_password()
    processes.start("prefect-server", *start_command())
    return lambda: answers(url)


def _practice(processes: Processes) -> PracticeMarket:
    """Start a practice exchange unless one answers; its state is that of the time before."""
    if (found := practice_market()) is None:
        for name, port in (("PORT", settings().practice_port), ("ADMIN_PORT", settings().practice_admin_port)):
            os.environ[f"JARVIS_PRACTICE_{name}"] = str(free_port(port))
        command = [sys.executable, "-m", "flows.cli", "practice-exchange", "--speed", f"{PRACTICE_SPEED:g}"]
        processes.start("practice-exchange", command)
        processes.wait_until(lambda: practice_market() is not None, "practice-exchange", _PRACTICE_SECONDS)
        found = practice_market()
    assert found is not None
    return found


def _backtest() -> None:
    # A server that has just started is slow or busy: wait for it, as nothing is traded by this run
    patient = {"PREFECT_API_REQUEST_TIMEOUT": "60", "PREFECT_CLIENT_MAX_RETRIES": "5", **os.environ}
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", "backtest"],
        cwd=CHECKOUT, env=patient, stdout=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    if done.returncode:
        raise JarvisError("the backtest of the sample failed; the line above says why")


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
        return False


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
