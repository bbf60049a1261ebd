"""One step of a live session in a process of its own, which is killed at a point that is told.

Points are what a run does that lasts: before and after each commit to the lake, before each request to the exchange and
after its answer. Their number is counted; at the one wanted the process kills itself with SIGKILL.
"""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Callable, Mapping
from typing import Any

from data.errors import JarvisError
from data.writer import Lake
from flows import session
from flows.live import step
from flows.parameters import LiveParameters
from flows.session import opened
from tasks.exchange import client, trading_client
from tasks.exchange.session import BoundedSession


class Points:
    """Counts points, and dies at one of them."""

    def __init__(self, fatal: int) -> None:
        self.fatal = fatal
        self.passed = 0

    def reach(self) -> None:
        """Pass a point, or die there."""
        self.passed += 1
        if self.passed == self.fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function with a point before and one after it."""

        @functools.wraps(function)
        def inside(*args: Any, **kwargs: Any) -> Any:
            self.reach()
            result = function(*args, **kwargs)
            self.reach()
            return result

        return inside


def live(environment: Mapping[str, str], values: Mapping[str, Any], fatal: int, told: Any) -> None:
    """Take one step with these parameters, and tell what came of it: failures by symbol, and the points passed.

    `fatal` is the point at which to die, 0: none. `told` is a queue.
    """
    os.environ.update(environment)
    points = Points(fatal)
    for owner, name in ((Lake, "append"), (Lake, "upsert"), (BoundedSession, "request")):
        setattr(owner, name, points.around(getattr(owner, name)))
    client._PAUSES = (0.01, 0.02, 0.05, 0.1)
    session.trading_client = functools.partial(trading_client, timeout=0.6)  # type: ignore[attr-defined]
    try:
        with opened(LiveParameters(**values)) as opening:
            outcomes = step(opening)
        told.put(({each.symbol: each.failure for each in outcomes if each.failure}, points.passed))
    except JarvisError as error:
        told.put(({"all": str(error)}, points.passed))
