"""What was traded lately: it decides the tier of the fees."""

from __future__ import annotations

from collections import deque
from decimal import Decimal

from tasks.exchange.units import MINUTE

WINDOW = 30 * 24 * 60 * MINUTE
"""Thirty days in nanoseconds."""


class TradedVolume:
    """The sum of costs over the last thirty days."""

    def __init__(self) -> None:
        self._trades: deque[tuple[int, Decimal]] = deque()
        self._sum = Decimal(0)

    def add(self, time: int, cost: Decimal) -> None:
        """Count a trade; call in the order of times."""
        self._trades.append((time, cost))
        self._sum += cost

    def at(self, now: int) -> Decimal:
        """Return the volume of the trades after now - 30 days."""
        while self._trades and self._trades[0][0] <= now - WINDOW:
            self._sum -= self._trades.popleft()[1]
        return self._sum
