"""What time alone changes: orders that expire, and the dead man's switch."""

from __future__ import annotations

import heapq

NEVER = 2**63
"""Later than any time in nanoseconds."""

SWITCH = ""
"""Stands for the dead man's switch among the ids of orders; at one time it comes after those that expire."""


class Alarms:
    """Times at which something is due."""

    def __init__(self) -> None:
        self.due = NEVER
        """The earliest."""
        self._expiries: list[tuple[int, str]] = []
        self._switch = NEVER

    @property
    def switch(self) -> int | None:
        """When the dead man's switch fires; None while it is not set."""
        return None if self._switch == NEVER else self._switch

    @switch.setter
    def switch(self, time: int | None) -> None:
        self._switch = NEVER if time is None else time
        self._set_due()

    def expire(self, time: int, order_id: str) -> None:
        """Let an order expire at a time; if it has ended by then, nothing will happen."""
        heapq.heappush(self._expiries, (time, order_id))
        self._set_due()

    def pop(self) -> str:
        """Return what is due first, the id of an order or SWITCH, and forget it."""
        if self._expiries and self._expiries[0][0] == self.due:
            _, what = heapq.heappop(self._expiries)
        else:
            what, self._switch = SWITCH, NEVER
        self._set_due()
        return what

    def _set_due(self) -> None:
        self.due = min(self._expiries[0][0] if self._expiries else NEVER, self._switch)
