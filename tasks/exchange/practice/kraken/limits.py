"""Kraken's rate limits: a counter of requests per key, and one of orders per market; both run down with time.

Numbers: https://docs.kraken.com/api/docs/guides/spot-rest-ratelimits and .../guides/spot-ratelimits
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from tasks.exchange.units import SECOND

Tier = Literal["none", "starter", "intermediate", "pro"]


class Allowance(NamedTuple):
    """What a tier allows: the highest counts, and by how much they fall in a second."""

    requests: float
    request_decay: float
    orders: float
    order_decay: float


TIERS: dict[Tier, Allowance] = {
    "starter": Allowance(15, 0.33, 60, 1.0),
    "intermediate": Allowance(20, 0.5, 125, 2.34),
    "pro": Allowance(20, 1.0, 180, 3.75),
}

CANCELLED_WITHIN = ((5, 8), (10, 6), (15, 5), (45, 4), (90, 2), (300, 1))
"""Seconds that an order lived, and what its cancellation then adds to the order counter."""


class Counter:
    """Counts up with use and down with time, never below 0."""

    def __init__(self, decay: float) -> None:
        self.decay = decay
        """Per second."""
        self._count = 0.0
        self._at = 0

    def count(self, now: int) -> float:
        """Return the count at `now` (ns)."""
        return max(0.0, self._count - self.decay * max(0, now - self._at) / SECOND)

    def add(self, points: float, now: int) -> None:
        """Count up."""
        self._count, self._at = self.count(now) + points, now


class Limits:
    """The counters of one account. Time is the exchange's: at speed 60 a minute of them passes in a second."""

    def __init__(self, tier: Tier = "none") -> None:
        self._allowance = TIERS.get(tier)
        self._requests: dict[str, Counter] = {}
        self._orders: dict[str, Counter] = {}

    def ask(self, key: str, points: int, now: int) -> bool:
        """Count a request of a key; False if it goes beyond the limit and is to be refused."""
        if not self._allowance or not points:
            return True
        counter = self._requests.setdefault(key, Counter(self._allowance.request_decay))
        return _use(counter, points, self._allowance.requests, now)

    def order(self, symbol: str, now: int) -> bool:
        """Count a new order in a market; False if it goes beyond the limit and is to be refused."""
        if not self._allowance:
            return True
        return _use(self._market(symbol, self._allowance), 1, self._allowance.orders, now)

    def cancel(self, symbol: str, lived: int, now: int) -> None:
        """Count the cancellation of an order that lived so long (ns): the shorter, the dearer; it is never refused."""
        if self._allowance:
            points = next((points for seconds, points in CANCELLED_WITHIN if lived < seconds * SECOND), 0)
            self._market(symbol, self._allowance).add(points, now)

    def _market(self, symbol: str, allowance: Allowance) -> Counter:
        return self._orders.setdefault(symbol, Counter(allowance.order_decay))


def _use(counter: Counter, points: int, limit: float, now: int) -> bool:
    if counter.count(now) + points > limit:
        return False
    counter.add(points, now)
    return True
