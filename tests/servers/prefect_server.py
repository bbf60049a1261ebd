"""A Prefect server in a process of its own, and a door to it that can kill it at a request told beforehand."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import httpx
import pytest

from flows.server import answers, start_command
from tests.servers.processes import free_port

AUTH = ("jarvis", "a password of the tests")
_METHODS = (b"GET ", b"POST ", b"PATCH ", b"PUT ", b"DELETE ")


class PrefectServer:
    """A server on SQLite; `kill` and `start` as often as a test likes."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        self.url = environment["PREFECT_API_URL"]
        self.database = Path(environment["JARVIS_STATE"]) / "prefect.db"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environment.items():
                patch.setenv(name, value)
            command, environment = start_command()
        with (self.database.parent / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self.wait()

    def wait(self) -> None:
        deadline = time.monotonic() + 120
        while not answers(self.url):
            assert self._process is not None
            assert self._process.poll() is None, "the server has ended"
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.2)

    def kill(self) -> None:
        """End it with SIGKILL, and all that it started."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(30)
            self._process = None

    def ask(self, method: str, path: str, **body: Any) -> Any:
        """Call the API as its own clients do: with password and CSRF token."""
        with httpx.Client(base_url=self.url, auth=AUTH, headers={"Prefect-Csrf-Client": "tests"}, timeout=60) as client:
            token = client.get("/csrf-token", params={"client": "tests"}).json()["token"]
            answer = client.request(method, path, headers={"Prefect-Csrf-Token": token}, json=body or None)
            answer.raise_for_status()
            return answer.json() if answer.content else None

    def runs(self) -> list[dict[str, Any]]:
        """Return the runs of the live flow, newest first."""
        found: list[dict[str, Any]] = self.ask(
            "POST", "/flow_runs/filter", sort="START_TIME_DESC", flows={"name": {"any_": ["live-trading"]}}
        )
        return found


class Door:
    """A port that hands on to the server; it counts requests, and kills the server before the one that is told."""

    def __init__(self, server: PrefectServer) -> None:
        self._server, self._port, self._lock = server, free_port(), Lock()
        self._listener: socket.socket | None = None
        self._open: list[socket.socket] = []
        self.requests: list[str] = []
        self.fatal = 0
        self.url = f"http://127.0.0.1:{self._port}/api"

    def open(self, fatal: int = 0) -> None:
        """Let callers in; the server dies of request number `fatal`, 0: of none."""
        self.requests, self.fatal = [], fatal
        self._listener = socket.create_server(("127.0.0.1", self._port))
        Thread(target=self._admit, args=(self._listener,), daemon=True).start()

    def close(self) -> None:
        """Let nobody in, as where no server is."""
        with self._lock:
            for each in (self._listener, *self._open):
                if each is not None:
                    with suppress(OSError):
                        each.shutdown(socket.SHUT_RDWR)
                    each.close()
            self._listener, self._open = None, []

    def _admit(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                caller, _ = listener.accept()
                with self._lock:
                    if self._listener is not listener:  # closed meanwhile
                        caller.close()
                        return
                    self._open.append(caller)
                    callee = socket.create_connection(("127.0.0.1", httpx.URL(self._server.url).port or 0))
                    self._open.append(callee)
                Thread(target=self._hand_on, args=(caller, callee, True), daemon=True).start()
                Thread(target=self._hand_on, args=(callee, caller, False), daemon=True).start()

    def _hand_on(self, source: socket.socket, target: socket.socket, requests: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if requests and data.startswith(_METHODS):
                    self._count(data)
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def _count(self, data: bytes) -> None:
        path = " ".join(data.split(b" ", 2)[i].decode() for i in (0, 1))
        self.requests.append(path)
        if len(self.requests) == self.fatal:
            self._server.kill()
            self.close()


@contextmanager
def prefect_server(environment: dict[str, str]) -> Iterator[PrefectServer]:
    """Start a server with this environment (PREFECT_API_URL, JARVIS_STATE), and end it with the block."""
    server = PrefectServer(environment)
    with ExitStack() as stack:
        stack.callback(server.kill)
        server.start()
        yield server
