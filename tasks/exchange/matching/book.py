"""The depth of a market that knows only candles: derived, the same for the same candle and price."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import islice
from typing import NamedTuple

from tasks.exchange.matching.candles import Candle
from tasks.exchange.orders import Side
from tasks.exchange.rules import MarketRules

LEVELS = 100
"""Of each side."""


class Level(NamedTuple):
    """What is offered at one price."""

    price: Decimal
    amount: Decimal
    """Base currency."""


Depth = Callable[[MarketRules, Decimal, Candle | None, Side], Iterator[Level]]
"""What a taker of a side meets, best price first, from the last price and the last closed candle: as `offers`."""


class Book(NamedTuple):
    """Both sides, best price first; the best bid is below the best ask."""

    bids: list[Level]
    asks: list[Level]


def derive_book(rules: MarketRules, last: Decimal, candle: Candle | None, levels: int = LEVELS) -> Book:
    """Return the depth around the last price; see `offers` for the formula."""
    bids, asks = (islice(offers(rules, last, candle, taker), levels) for taker in ("sell", "buy"))
    return Book(list(bids), list(asks))


def offers(rules: MarketRules, last: Decimal, candle: Candle | None, taker: Side) -> Iterator[Level]:
    """Yield what a taker of this side meets, best price first.

    Level k of N lies k ticks from the last price, and (k/N)² of the candle's range further, so prices widen with
    depth. It holds 2k/(N(N+1)) of the candle's volume, so amounts grow with depth and one whole side is the volume
    of the candle: who trades as much as everybody did moves the price about as far as everybody did. Every
    level is more than the market's smallest order; a candle without trades leaves levels of that size, a tick apart.
    """
    tick, step = rules.price_step, rules.amount_step
    middle, smallest = int(last // tick), int(rules.min_amount // step) + 1
    spread = int((candle.high - candle.low) // tick) if candle else 0
    volume = int(candle.volume // step) if candle else 0
    towards = 1 if taker == "buy" else -1
    for k in range(1, LEVELS + 1):
        price = middle + towards * (k + spread * k * k // LEVELS**2)
        if price <= 0:
            return
        yield Level(price * tick, max(volume * 2 * k // (LEVELS * (LEVELS + 1)), smallest) * step)
