"""Clusters of Dask and Ray as a user starts them: a scheduler or a head with workers, in processes of their own."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.servers.processes import BIN, environment, free_port


@contextmanager
def started(*command: str | Path, **settings: object) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program, with all that it starts, until the block ends."""
    process = subprocess.Popen(
        command,
        env=environment(**settings),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        for sign in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, sign)
                process.wait(5)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue


def wait_until(true: Callable[[], bool], *processes: subprocess.Popen[Any]) -> None:
    deadline = time.monotonic() + 120
    while not true():
        assert all(process.poll() is None for process in processes)
        assert time.monotonic() < deadline
        time.sleep(0.05)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def dask_cluster(workers: int = 2) -> Iterator[tuple[str, dict[str, str]]]:
    """A scheduler and workers of one thread, in processes of their own; yields the address."""
    address = f"127.0.0.1:{free_port()}"
    host, port = address.split(":")
    plain = ("--host", host, "--no-dashboard")
    with ExitStack() as stack:
        scheduler = stack.enter_context(started(BIN / "dask", "scheduler", *plain, "--port", port))
        wait_until(lambda: listens(int(port)), scheduler)
        for _ in range(workers):
            worker = (BIN / "dask", "worker", f"tcp://{address}", *plain, "--nthreads", "1", "--no-nanny")
            stack.enter_context(started(*worker))
        yield address, {}


@contextmanager
def ray_cluster(workers: int = 2) -> Iterator[tuple[str, dict[str, str]]]:
    """A head with so many cores in a process of its own; yields the address, and what its clients need to know."""
    address = f"127.0.0.1:{free_port()}"
    secret = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    folder = tempfile.mkdtemp(prefix="ray", dir="/tmp")  # sockets lie in it, whose paths must be short
    head = (BIN / "ray", "start", "--head", "--block", "--num-cpus", str(workers), "--include-dashboard", "false",
            "--node-ip-address", "127.0.0.1", "--port", address.split(":")[1], "--temp-dir", folder,
            "--disable-usage-stats")  # fmt: skip
    try:
        with started(*head, **secret) as process:
            wait_until(lambda: listens(int(address.split(":")[1])), process)
            yield address, secret
    finally:
        shutil.rmtree(folder, ignore_errors=True)


CLUSTERS = {"dask": dask_cluster, "ray": ray_cluster}
