"""What trading and holding cost, once more, slow and obvious: written from the words of `tasks.backtest.simulate`."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.reference.simulator import Bar

LOOKED_BACK_AT = 20
FEE_DAYS = 30
YEAR = timedelta(days=365)

Tier = tuple[float, float, float]


class Costs:
    """Fees, impact and carry of one account."""

    def __init__(
        self,
        bars: list[Bar],
        opens_at: list[datetime],
        timeframe: timedelta,
        *,
        fee: float,
        maker_fee: float | None,
        fee_tiers: list[Tier] | None,
        volumes: list[float] | None,
        impact: tuple[str, float] | None,
        borrow: float | None,
        funding: float | list[float] | None,
        funding_hours: float,
    ) -> None:
        self.bars, self.opens_at, self.timeframe = bars, opens_at, timeframe
        self.tiers = fee_tiers or [(0.0, fee if maker_fee is None else maker_fee, fee)]
        self.volumes, self.impact = volumes, impact
        self.borrow, self.funding, self.funding_hours = borrow or 0.0, funding or 0.0, funding_hours
        self.traded: list[tuple[date, float]] = []

    def tier(self, today: date) -> Tier:
        volume = sum(cost for day, cost in self.traded if today - day < timedelta(days=FEE_DAYS))
        return max(tier for tier in self.tiers if volume >= tier[0])

    def taker(self, today: date) -> float:
        return self.tier(today)[2]

    def maker(self, today: date) -> float:
        return self.tier(today)[1]

    def highest(self) -> float:
        return max(fee for tier in self.tiers for fee in tier[1:])

    def known(self, number: int) -> tuple[float, float]:
        """Return mean volume and volatility of the candles before this bar."""
        assert self.volumes is not None
        first = max(0, number - LOOKED_BACK_AT)
        squares = []
        for bar in range(first, number):
            before = self.bars[bar - 1].close if bar else self.bars[0].open
            squares.append(math.log(self.bars[bar].close / before) ** 2)
        volumes = self.volumes[first:number]
        return math.fsum(volumes) / len(volumes), math.sqrt(math.fsum(squares) / len(squares))

    def scale(self, number: int) -> float | None:
        """Return by how much one unit moves the price, as a fraction; None: it is not known."""
        if self.impact is None:
            return 0.0
        volume, volatility = self.known(number)
        if volume == 0:
            return None
        kind, coefficient = self.impact
        return coefficient / volume if kind == "volume" else coefficient * volatility / math.sqrt(volume)

    def moved(self, amount: float, number: int) -> float:
        scale = self.scale(number) or 0.0
        return scale * (amount if self.impact and self.impact[0] == "volume" else math.sqrt(amount))

    def affordable(self, held: float, most: float, number: int) -> float:
        """Solve amount * (1 + moved(amount - held)) = most for the amount."""
        scale = self.scale(number)
        if not scale or most <= held or self.impact is None:
            return most
        if self.impact[0] == "volume":
            more, rise = most - held, 1 + scale * held  # scale * x * x + rise * x = more, for what is added
            return held + 2 * more / (rise + math.sqrt(rise * rise + 4 * scale * more))
        low, high = 0.0, math.sqrt(most - held)
        for _ in range(200):  # of the root of what is added
            root = (low + high) / 2
            low, high = (root, high) if (held + root * root) * (1 + scale * root) <= most else (low, root)
        return held + low * low

    def due(self, number: int) -> tuple[float, float]:
        """Return what a long and a short pay at the close of a bar, as fractions of their worth."""
        opened = self.opens_at[number]
        if isinstance(self.funding, list):
            rate = self.funding[number]
            paid = 0.0 if math.isnan(rate) else rate
        else:
            paid = self.funding * self.payments(opened, opened + self.timeframe)
        return paid, self.borrow * (self.timeframe / YEAR) - paid

    def due_before(self, number: int) -> tuple[float, float]:
        """Return the same for the time without candles before a bar."""
        opened, closed = self.opens_at[number], self.opens_at[number - 1] + self.timeframe
        paid = 0.0 if isinstance(self.funding, list) else self.funding * self.payments(closed, opened)
        return paid, self.borrow * ((opened - closed) / YEAR) - paid

    def payments(self, after: datetime, until: datetime) -> int:
        instant = datetime(after.year, after.month, after.day, tzinfo=UTC)
        count = 0
        while instant <= until:
            count += instant > after
            instant += timedelta(hours=self.funding_hours)
        return count
