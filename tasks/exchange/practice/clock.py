"""The clock of a practice exchange: it follows a wall clock at any speed, can be stopped, and never goes backwards."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from data.errors import BadInput
from tasks.exchange.units import SECOND

FASTEST = 86_400.0
"""A day in a second: the most that a machine trades through while it passes, with room for orders and questions."""

LATEST = 9_214_646_400 * SECOND
"""2262-01-01, where time stands still: nanoseconds since 1970 in 64 bits end soon after."""


class Clock:
    """Exchange time in nanoseconds since 1970 UTC.

    `speed` seconds of exchange time pass in one second of the wall clock, counted from an anchor (wall time, exchange
    time) that is set anew at every change, so that no change makes the time jump. A wall clock that is set back only
    stops the exchange's for the moment of it.
    """

    def __init__(self, speed: float = 1.0, *, start: int | None = None, wall: Callable[[], int] = time.time_ns) -> None:
        """Begin at `start` (nanoseconds since 1970 UTC; None: the wall clock's time); BadInput for a bad speed."""
        self._speed = _checked(speed)
        self._wall = wall
        self._paused = False
        self._anchor = self._latest = wall()
        self._time = self._anchor if start is None else start
        self.skew = 0
        """Nanoseconds by which the time that is told differs from the time that rules: a fault."""

    @property
    def speed(self) -> float:
        """Seconds of exchange time in a second of the wall clock, when not paused."""
        return self._speed

    @property
    def paused(self) -> bool:
        """Whether time moves by `step` only."""
        return self._paused

    def now(self) -> int:
        """Return the exchange time in nanoseconds; never less than before, nor beyond `LATEST`."""
        wall = self._wall()
        if wall < self._latest:
            self._time += self._passed(self._latest)
            self._anchor = wall
        self._latest = wall
        return min(self._time + self._passed(wall), LATEST)

    def server_time(self) -> int:
        """Return the time that the exchange tells: `now` and the skew."""
        return self.now() + self.skew

    def set_speed(self, speed: float) -> None:
        """Go on at another speed from now; BadInput unless it is a number above 0 and no more than `FASTEST`."""
        speed = _checked(speed)
        self._settle()
        self._speed = speed

    @property
    def is_wall(self) -> bool:
        """Whether it shows the wall clock's time, to the second, and goes on as that does."""
        return self._speed == 1 and not self._paused and abs(self.now() - self._wall()) < SECOND

    def pause(self) -> None:
        """Stop the time."""
        self._settle()
        self._paused = True

    def resume(self) -> None:
        """Let the time go on from where it stopped."""
        self._settle()
        self._paused = False

    def step(self, ns: int) -> None:
        """Jump ahead by so many nanoseconds, also while paused; BadInput for a step back."""
        if ns < 0:
            raise BadInput(f"the practice clock cannot step back by {-ns} ns; give a step of 0 or more")
        self._settle()
        self._time += ns

    def snapshot(self) -> dict[str, Any]:
        """Return the state for `restore`, fit for JSON."""
        self._settle()
        state = {"time": self._time, "wall": self._anchor, "speed": self._speed}
        return state | {"paused": self._paused, "skew": self.skew}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on as if the clock of the snapshot had never stopped: what passed on the wall clock since then counts."""
        self._time, self._anchor = int(state["time"]), int(state["wall"])
        self._latest = self._anchor
        self._speed, self._paused, self.skew = _checked(state["speed"]), bool(state["paused"]), int(state["skew"])

    def _settle(self) -> None:
        """Move the anchor to now."""
        self._time = self.now()
        self._anchor = self._latest

    def _passed(self, wall: int) -> int:
        """Return the exchange time since the anchor; whole speeds keep whole nanoseconds."""
        if self._paused:
            return 0
        elapsed = wall - self._anchor
        return elapsed * int(self._speed) if self._speed.is_integer() else int(elapsed * self._speed)


def _checked(speed: float) -> float:
    if not 0 < speed <= FASTEST:
        wanted = f"give a number above 0, {FASTEST:.0f} at most, or pause it"
        raise BadInput(f"the practice clock cannot run at speed {speed}; {wanted}")
    return float(speed)
