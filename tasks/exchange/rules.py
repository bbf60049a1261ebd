"""What an exchange asks of orders in one market: steps, minimums, fees. All Decimal."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from tasks.exchange.orders import Side

Tiers = tuple[tuple[Decimal, Decimal], ...]
"""Fee schedule: from this volume of 30 days (quote currency) on, this fraction; the first begins at 0."""


@dataclass(frozen=True, slots=True)
class MarketRules:
    """The rules of one market."""

    symbol: str
    base: str
    quote: str
    price_step: Decimal
    amount_step: Decimal
    min_amount: Decimal
    """Base currency."""
    min_cost: Decimal
    """Quote currency."""
    taker: Tiers
    maker: Tiers

    def round_amount(self, amount: Decimal) -> Decimal:
        """Return the amount rounded down to the step."""
        return amount // self.amount_step * self.amount_step

    def round_price(self, price: Decimal, side: Side) -> Decimal:
        """Return the price rounded to the tick in favour of the one who asks: buy down, sell up."""
        down = price // self.price_step * self.price_step
        return down if side == "buy" or down == price else down + self.price_step

    def is_price(self, price: Decimal) -> bool:
        """Tell whether the price is a multiple of the tick, above 0."""
        return price > 0 and price % self.price_step == 0

    def is_amount(self, amount: Decimal) -> bool:
        """Tell whether the amount is a multiple of the step, above 0."""
        return amount > 0 and amount % self.amount_step == 0


def fee_at(tiers: Tiers, volume: Decimal) -> Decimal:
    """Return the fee, as a fraction, of one who traded `volume` (quote currency) in 30 days."""
    return [fee for start, fee in tiers if volume >= start][-1]
