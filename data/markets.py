"""What is known of a market: its calendar, the sizes it takes, its fees."""

from __future__ import annotations

from dataclasses import dataclass, fields

from data.views import read
from data.writer import Lake


@dataclass(frozen=True)
class Market:
    """A row of the table markets, but for the time of its update; None stands for unknown."""

    exchange: str
    symbol: str
    base: str | None = None
    quote: str | None = None
    calendar: str = "24/7"
    amount_step: float | None = None
    price_step: float | None = None
    min_amount: float | None = None
    min_cost: float | None = None
    maker: float | None = None
    taker: float | None = None


def read_market(lake: Lake, exchange: str, symbol: str) -> Market:
    """Return what the lake knows of a market; a market that it does not know has a name and no limits."""
    names = [field.name for field in fields(Market)]
    query = f"SELECT {', '.join(names)} FROM markets WHERE exchange = ? AND symbol = ?"
    rows = read(lake, query, [exchange, symbol], tables={"markets"}).to_pylist()
    return Market(**rows[0]) if rows else Market(exchange, symbol)
