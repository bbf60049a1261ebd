"""What is done beside trading: in bounded time, and what goes wrong with it is a line in the log.

Prefect shows what happens and is never waited for; the same goes for whoever hears of it.
"""

from __future__ import annotations

import contextvars
import logging
import threading
from collections.abc import Callable
from typing import Self

from data.errors import JarvisError

logger = logging.getLogger(__name__)


def aside(what: str, work: Callable[[], object], seconds: float) -> bool:
    """Do something that trading does not wait for longer than this; tell whether it was done.

    What takes longer goes on in a thread that ends with the process. Raises nothing: the log has one line, and of
    errors that are not our own the kind alone, as their words may hold an address or a key.
    """
    failures: list[str] = []

    def attempt() -> None:
        try:
            work()
        except JarvisError as error:
            failures.append(str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not stop trading
            failures.append(type(error).__name__)

    # With this thread's context, in which Prefect finds the flow run that is under way.
    thread = threading.Thread(target=contextvars.copy_context().run, args=(attempt,), name=what, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        failures.append(f"not done within {seconds:g} s")
    if failures:
        logger.warning("%s: %s", what, failures[0])
    return not failures


class Behind:
    """Work that goes on behind trading, a piece at a time: what comes while one is under way is left out."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None

    @property
    def busy(self) -> bool:
        """Whether a piece is under way."""
        return self._thread is not None and self._thread.is_alive()

    def do(self, work: Callable[[], object]) -> None:
        """Begin a piece of work, which raises nothing, and do not wait for it."""
        if not self.busy:
            self._thread = threading.Thread(target=contextvars.copy_context().run, args=(work,), daemon=True)
            self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Wait for the piece under way, unless something went wrong."""
        if self._thread is not None and kind is None:
            self._thread.join()
