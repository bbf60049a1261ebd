"""Market data of the matching engine: candles, and the prints that make them."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from tasks.exchange.orders import Side


class Candle(NamedTuple):
    """One candle; prices are multiples of the tick, the volume of the amount's step."""

    ts: int
    """Nanoseconds since 1970 UTC, at which it opens."""
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    """Base currency."""
    trades: int
    """Number of trades in it; with 0 nobody traded and it is flat at the close before."""


class Tick(NamedTuple):
    """A print: one trade of the market."""

    time: int
    """Nanoseconds since 1970 UTC."""
    price: Decimal
    amount: Decimal
    """Base currency."""
    side: Side
    """What the taker did."""
