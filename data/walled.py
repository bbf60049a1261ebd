"""SQL of the dashboard's visitors, each query in a process of its own that can be stopped whatever it does.

DuckDB's walls keep a query from files, extensions and the network (`data.views.connect`), but not from time and memory:
a single call such as repeat('x', 2000000000) heeds no timeout. A child process does: it has the system's limits, and it
can be killed. One that is started in advance waits, since a start takes longer than most queries.

Children end with the server, however that ends: each has a pipe from it and ends when that is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import pyarrow as pa

from data.errors import BadInput, JarvisError, LakeError
from data.settings import CHECKOUT
from data.writer import Lake

T = TypeVar("T")

AT_ONCE = 2
"""Queries that run at a time."""

MOST_WAITING = 8
"""Queries that wait for their turn."""

LONGEST_QUERY = 10_000
"""Characters of a query."""

READY = b"ready\n"
"""What a child says when it waits for a query."""

_SLOWEST_START = 60.0
"""Seconds that a child may take until then; they are not the query's."""


class Limits(NamedTuple):
    """What a query may take."""

    seconds: float = 10
    memory: int = 512 * 1024**2
    """Bytes for DuckDB; the process may have as much again."""
    rows: int = 200_000
    """An answer is cut off after so many rows ..."""
    bytes: int = 32 * 1024**2
    """... or so many bytes."""


class Answer(NamedTuple):
    """The rows of a query; columns that had the same name are numbered."""

    rows: pa.Table
    whole: bool
    """Whether these are all rows, or the first up to the limit."""


class Walled:
    """Answers queries over one lake in child processes; belongs to one event loop."""

    def __init__(self, lake: Lake, limits: Limits = Limits()) -> None:  # noqa: B008 - it is immutable
        self.limits = limits
        self._lake = lake
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._asked = 0
        self._spare: _Child | None = None
        self._children: set[_Child] = set()

    def prepare(self) -> None:
        """Start the child that will answer the next query, if none waits."""
        if self._spare is None or not self._spare.waits:
            self._dismiss(self._spare)
            self._spare = _Child(self._lake, self.limits)
            self._children.add(self._spare)

    async def ask(self, query: str) -> Answer:
        """Run one statement that reads. Cancelling it stops the query.

        Raises BadInput for a query that cannot be run or takes too much, LakeError where a table cannot be read,
        JarvisError where too many queries wait.
        """
        if len(query) > LONGEST_QUERY:
            raise BadInput(f"the query has {len(query):,} characters: {LONGEST_QUERY:,} are the most")
        if self._asked >= AT_ONCE + MOST_WAITING:
            raise JarvisError(f"{AT_ONCE} queries run and {MOST_WAITING} wait: try again in a moment")
        self._asked += 1
        try:
            async with self._turns:
                return await self._ask(query)
        finally:
            self._asked -= 1

    async def _ask(self, query: str) -> Answer:
        self.prepare()
        child, self._spare = self._spare, None
        assert child is not None
        self.prepare()
        try:
            return await self._tell(child, query)
        finally:
            self._dismiss(child)

    async def _tell(self, child: _Child, query: str) -> Answer:
        try:
            await asyncio.wait_for(_in_thread(child.wait), _SLOWEST_START)
        except TimeoutError:
            raise JarvisError("the machine is too busy to begin a query: try again in a moment") from None
        try:
            said = await asyncio.wait_for(_in_thread(child.ask, query), self.limits.seconds)
        except TimeoutError:
            raise BadInput(_too_long(self.limits)) from None
        return await _in_thread(_heard, said, child, self.limits)

    def _dismiss(self, child: _Child | None) -> None:
        if child is not None:
            self._children.discard(child)
            child.end()

    def close(self) -> None:
        """End all children."""
        self._spare = None
        for child in [*self._children]:
            self._dismiss(child)


class _Child:
    """A process that answers one query and ends."""

    def __init__(self, lake: Lake, limits: Limits) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "data.walled_child", json.dumps([str(lake.root.absolute()), *limits])],
            cwd=CHECKOUT,
            env=_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._asked = False

    @property
    def waits(self) -> bool:
        """Whether it is there to be asked."""
        return self._process.poll() is None

    @property
    def ended_by(self) -> int:
        """The signal that ended it, 0 where none did."""
        return max(0, -(self._process.returncode or 0))

    def wait(self) -> None:
        """Return when it is ready, or has ended."""
        assert self._process.stdout is not None
        self._process.stdout.readline()

    def ask(self, query: str) -> bytes:
        """Return what it says until it ends; it is ready."""
        self._asked = True
        with self._process as process:
            assert process.stdin is not None
            assert process.stdout is not None
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(json.dumps(query).encode() + b"\n")
                process.stdin.flush()
            return process.stdout.read()

    def end(self) -> None:
        """Kill it, if it is still there; the thread that asks it sees to the rest."""
        self._process.kill()
        if not self._asked:
            with self._process:
                pass


def _environment() -> dict[str, str]:
    """Return the little that a child is told of the server's environment: no key, no folder of the user's."""
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH") if name in os.environ}
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
    # Arrow's own allocators reserve more than they use, and the system's limit counts it.
    return {"PATH": os.defpath, "HOME": "/", "LANG": "C.UTF-8", "ARROW_DEFAULT_MEMORY_POOL": "system"} | threads | kept


def _heard(said: bytes, child: _Child, limits: Limits) -> Answer:
    """Return what a child said. Raises the error that it told of, or that its end tells of."""
    head, _, rows = said.partition(b"\n")
    if not head:
        slow = child.ended_by in {signal.SIGALRM, signal.SIGXCPU}
        raise BadInput(_too_long(limits) if slow else f"{_too_much(limits)}, or meets a fault of DuckDB's")
    told: dict[str, Any] = json.loads(head)
    if "lake" in told:
        raise LakeError(told["lake"])
    if "fault" in told:
        raise BadInput(_too_much(limits) if told["fault"] is None else told["fault"])
    return Answer(pa.ipc.open_stream(rows).read_all(), told["whole"])


def _too_long(limits: Limits) -> str:
    return f"stopped after {limits.seconds:g} seconds, the most that a query may take: ask for less"


def _too_much(limits: Limits) -> str:
    return f"stopped: it needs more than {limits.memory // 1024**2} MiB of memory, the most that a query may take"


def _in_thread(work: Callable[..., T], *details: Any) -> asyncio.Future[T]:
    """Run work in a thread that Python does not wait for when it ends, as it does for an executor's."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, failure = None, None
        try:
            result = work(*details)
        except BaseException as error:  # noqa: BLE001 - whoever waits for it is told
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=run, daemon=True).start()
    return done
