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
from typing import IO, Self

import httpx

from data.errors import JarvisError
from data.settings import CHECKOUT, settings
from flows.server import admits, answers, api_url, ensure_password, load_environment, start_command

_SERVER_SECONDS = 180
_DASHBOARD_SECONDS = 120
_GRACE_SECONDS = 10


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
    """Start what is not there yet, backtest the sample, print the addresses, and wait for Ctrl-C."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # a shell's background job would ignore Ctrl-C
        signal.signal(number, _interrupt)
    load_environment()
    os.environ.setdefault("PREFECT_RUNNER_POLL_FREQUENCY", "3")  # seconds until a run asked for in the UI is seen
    with Processes() as processes:
        say("Starting ... the first time takes a minute.")
        _prefect(processes, say)
        port = free_port(settings().dashboard_port)
        os.environ["JARVIS_DASHBOARD_PORT"] = str(port)
        processes.start("dashboard", dashboard_command(port))
        processes.start("deployments", [sys.executable, "-m", "flows.cli", "serve"])
        say("Running the backtest flow on the sample: AAPL, daily ...")
        _backtest()
        processes.wait_until(lambda: listens(port), "dashboard", _DASHBOARD_SECONDS)
        say(f"Dashboard   http://127.0.0.1:{port}/trading")
        say(f"Prefect UI  {api_url().removesuffix('/api')}/runs")
        if password := os.environ.get("PREFECT_API_AUTH_STRING"):
            say(f"            log in with  {password}")
        say("Ctrl-C ends both.")
        while True:
            processes.check()
            time.sleep(1)


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


def _prefect(processes: Processes, say: Callable[[str], None]) -> None:
    url = api_url()
    if answers(url):
        if not admits(url):
            raise JarvisError(f"the Prefect server at {url} asks for a password: set PREFECT_API_AUTH_STRING")
        os.environ["PREFECT_API_URL"] = url
        say(f"Using the Prefect server that answers at {url}.")
        return
    ensure_password()
    processes.start("prefect-server", *start_command())
    processes.wait_until(lambda: answers(url), "prefect-server", _SERVER_SECONDS)


def _backtest() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", "backtest"], cwd=CHECKOUT, stdout=subprocess.DEVNULL, check=False
    )
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
