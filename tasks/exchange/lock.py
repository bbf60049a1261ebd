"""One process at a time: a lock that the system lifts when its holder dies, however it dies."""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import IO, TypeVar

from data.errors import Taken
from data.settings import settings

T = TypeVar("T")

_WAITS = "waits"

_PAUSE = 0.2
"""Seconds between two tries."""


@contextmanager
def sole_trader(exchange: str, public_key: str) -> Iterator[None]:
    """Hold the key for this process until the block ends: two with the same key spoil each other's nonces.

    Raises Taken with the number of the process that has it.
    """
    with alone("traders", f"{exchange}\0{public_key}", f"{exchange}: process {{}} trades with this key already"):
        yield


@contextmanager
def alone(kind: str, name: str, taken: str) -> Iterator[None]:
    """Hold what is so named until the block ends.

    Raises Taken with the words `taken`, in which {} stands for the number of the process that has it.
    """
    with _file(kind, name) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "another"
            raise Taken(f"{taken.format(holder)}; one at a time can") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


@contextmanager
def patiently(opened: Callable[[], AbstractContextManager[T]], seconds: float) -> Iterator[T]:
    """Enter what another process may hold, trying again until it is free. Raises Taken after so many seconds."""
    until = time.monotonic() + seconds
    with ExitStack() as stack:
        while True:
            try:
                held = stack.enter_context(opened())
                break
            except Taken:
                if time.monotonic() > until:
                    raise
                time.sleep(_PAUSE)
        yield held


@contextmanager
def going_first(exchange: str) -> Iterator[None]:
    """Have whoever trades at an exchange for long let go of its sessions and its key, until the block ends.

    What a person commands goes first; several may at once.
    """
    with _file(_WAITS, exchange) as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


def is_waited_for(exchange: str) -> bool:
    """Tell whether somebody is to go first at an exchange."""
    with _file(_WAITS, exchange) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def _file(kind: str, name: str) -> IO[str]:
    """Open the file of a lock. It is left behind when done: one that is removed can be held twice."""
    folder = settings().state / kind
    folder.mkdir(parents=True, exist_ok=True)
    return (folder / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.lock").open("a+")
