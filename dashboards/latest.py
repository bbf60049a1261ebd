"""Work that follows a burst of wishes, such as the steps of a zoom: once it is over, for the last of them alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from dashboards.hub import background

_SETTLED = 0.04
"""Seconds in which the steps of one zoom come together."""


class Latest:
    """Does its work soon after each wish: wishes that come together, or during the work, are one."""

    def __init__(self, work: Callable[[], Awaitable[None]]) -> None:
        self._work = work
        self._wished = False
        self.busy = False

    def wish(self) -> None:
        """Ask for the work to be done, once more where it is under way; an event loop runs."""
        self._wished = True
        if not self.busy:
            self.busy = True
            background(self._follow())

    async def _follow(self) -> None:
        try:
            while self._wished:
                await asyncio.sleep(_SETTLED)
                self._wished = False
                await self._work()
        finally:
            self.busy = False


async def sparingly(work: Awaitable[None]) -> None:
    """Do work, and rest nine times as long: it takes a tenth of the time at most."""
    began = time.monotonic()
    await work
    await asyncio.sleep(9 * (time.monotonic() - began))
