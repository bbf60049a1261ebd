"""One trader process per key: two with the same key spoil each other's nonces, and each trades what is not its own."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager

from data.errors import TryLater
from data.settings import settings


@contextmanager
def sole_trader(exchange: str, public_key: str) -> Iterator[None]:
    """Hold the key for this process until the block ends; the kernel lets go of it when the process dies.

    Raises TryLater with the number of the process that has it.
    """
    name = hashlib.sha256(f"{exchange}\0{public_key}".encode()).hexdigest()[:16]
    folder = settings().state / "traders"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.lock").open(
        "a+"
    ) as file:  # left behind when done: a file that is removed can be held twice
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "another"
            raise TryLater(f"{exchange}: process {holder} trades with this key already; one at a time can") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
