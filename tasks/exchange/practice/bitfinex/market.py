"""Bitfinex's public market data: configuration, ticker, book, trades and candles of the practice markets.

Prices are those of the practice market, which may have more digits than Bitfinex's five; only the aggregated books
(P0 to P4) round them. Endpoints: https://docs.bitfinex.com/reference (rest-public-*).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from itertools import islice
from typing import Any, NamedTuple

from tasks.exchange.matching.book import LEVELS, Level
from tasks.exchange.practice.bitfinex.candles import candle_row, first_trade, minutes_of, newest, oldest
from tasks.exchange.practice.bitfinex.rows import number, signed, significant
from tasks.exchange.practice.bitfinex.words import (
    MAX_INTEGER,
    currency_name,
    integer,
    invalid,
    pair_name,
    plain,
)
from tasks.exchange.practice.exchange import PracticeExchange
from tasks.exchange.practice.market.market import Market
from tasks.exchange.rules import MarketRules
from tasks.exchange.units import MICROSECOND, MILLISECOND

LARGEST_ORDER = 10_000_000
"""Times the smallest order: what one order may ask for at most."""

MAX_LIMIT = 10_000
"""Rows of one answer."""

_LENGTHS = (1, 25, 100)
"""Levels of a book that can be asked for."""

_BOOK_DIGITS = {"P0": 5, "P1": 4, "P2": 3, "P3": 2, "P4": 1}

_DAY = 1440
"""Minutes."""

Query = Mapping[str, str]


def largest_order(rules: MarketRules) -> Decimal:
    """Return the largest amount of one order, in base currency."""
    return rules.min_amount * LARGEST_ORDER


class MarketData:
    """What everybody may ask."""

    def __init__(self, exchange: PracticeExchange) -> None:
        self._exchange = exchange
        self.symbols = {f"t{pair_name(market.rules)}": symbol for symbol, market in exchange.markets.items()}
        """The exchange's symbols by Bitfinex's: BTC/USD by tBTCUSD."""
        self.names = {symbol: name for name, symbol in self.symbols.items()}
        """The other way round."""

    def market(self, name: str) -> Market:
        """Return a market by Bitfinex's symbol; ErrorRow where there is none."""
        if name not in self.symbols:
            raise invalid("symbol")
        return self._exchange.markets[self.symbols[name]]

    def status(self, _: Query) -> list[int]:
        """Tell whether the exchange works (1) or is under maintenance (0)."""
        return [0 if self._exchange.status == "maintenance" else 1]

    def conf(self, _: Query, labels: str) -> list[Any]:
        """Return the lists and maps that are asked for, in their order; those that need not be filled are empty."""
        known: dict[str, Callable[[], list[Any]]] = {
            "pub:info:pair": self._pairs,
            "pub:list:pair:exchange": lambda: [name for name, _ in self._pairs()],
            "pub:list:currency": self._currencies,
            "pub:map:currency:sym": lambda: [[currency_name(c), c] for c in self._codes() if currency_name(c) != c],
        }
        asked = labels.split(",")
        if not all(label.startswith("pub:") for label in asked):
            raise invalid("config")
        return [known.get(label, list)() for label in asked]

    def ticker(self, _: Query, name: str) -> list[int | float]:
        """Return best bid and ask with the amounts behind them, and what the last 24 hours did."""
        market, symbol = self.market(name), self.symbols[name]
        book = self._exchange.engine.book(symbol, 25)
        bid, ask = (side[0].price if side else Decimal(0) for side in (book.bids, book.asks))
        depth = [sum((level.amount for level in side), Decimal(0)) for side in (book.bids, book.asks)]
        day = market.candles(1, self._exchange.synced, _DAY)
        opened, last = day[0].open, self._exchange.engine.last(symbol)
        volume = sum((candle.volume for candle in day), Decimal(0))
        high, low = max(candle.high for candle in day), min(candle.low for candle in day)
        change = last - opened
        relative = round(change / opened, 8)
        return [number(value) for value in (bid, depth[0], ask, depth[1], change, relative, last, volume, high, low)]

    def tickers(self, query: Query) -> list[list[Any]]:
        """Return the tickers of some symbols, or of ALL; symbols that are none are left out."""
        asked = query.get("symbols")
        if not asked:
            raise invalid("symbols")
        names = list(self.symbols) if asked == "ALL" else [n for n in asked.split(",") if n in self.symbols]
        return [[name, *self.ticker(query, name)] for name in names]

    def book(self, query: Query, name: str, precision: str) -> list[list[int | float]]:
        """Return the book: R0 level by level as [id, price, amount], P0 to P4 as [price, count, amount].

        The id of a level is its price in ticks: the levels of a practice market are no orders of anybody.
        """
        rules = self.market(name).rules
        length = integer(query, "len") or 25
        if length not in _LENGTHS:
            raise invalid("len")
        book = self._exchange.engine.book(self.symbols[name], LEVELS)
        if precision == "R0":
            return [
                *([_ticks(x, rules), number(x.price), number(x.amount)] for x in book.bids[:length]),
                *([_ticks(x, rules), number(x.price), number(-x.amount)] for x in book.asks[:length]),
            ]
        if precision not in _BOOK_DIGITS:
            raise invalid("precision")
        digits = _BOOK_DIGITS[precision]
        bids = _aggregated(book.bids, digits, ROUND_FLOOR)[:length]
        asks = _aggregated(book.asks, digits, ROUND_CEILING)[:length]
        return [
            *([number(price), count, number(amount)] for price, count, amount in bids),
            *([number(price), count, number(-amount)] for price, count, amount in asks),
        ]

    def trades(self, query: Query, name: str) -> list[list[int | float]]:
        """Return prints of the market as [id, time, amount, price]: newest first, unless `sort` is 1.

        Arguments: `start` and `end` (milliseconds), `limit` (125 unless told, at most 10,000).
        """
        market, now = self.market(name), self._exchange.synced
        limit, start, end, rising = window(query, 125)
        start, end = first_trade(market, start, now), min(end, now)
        ticks = list(islice(market.ticks(start - 1, end), limit)) if rising else market.latest(end, limit, start)[::-1]
        return [
            [tick.time // MICROSECOND, tick.time // MILLISECOND, signed(tick.amount, tick.side), number(tick.price)]
            for tick in ticks
        ]

    def candles(self, query: Query, timeframe: str, name: str, section: str) -> list[Any]:
        """Return candles as [time, open, close, high, low, volume]; those in which nobody traded do not exist.

        Section `last` is the newest one, alone; `hist` has the arguments of `trades`, with 100 for the limit.
        """
        market, minutes = self.market(name), minutes_of(timeframe)
        limit, start, end, rising = window({"limit": "1"} if section == "last" else query, 100)
        found = (oldest if rising else newest)(market, minutes, limit, start, end, self._exchange.synced)
        rows = [candle_row(candle) for candle in found]
        return rows[0] if section == "last" and rows else rows

    def _pairs(self) -> list[list[Any]]:
        """Return each pair with its smallest and largest order, at the places where Bitfinex has them."""
        rows = [(pair_name(m.rules), m.rules) for m in self._exchange.markets.values()]
        return [
            [name, [None, None, None, plain(rules.min_amount), plain(largest_order(rules)), *[None] * 7]]
            for name, rules in rows
        ]

    def _codes(self) -> list[str]:
        markets = self._exchange.markets.values()
        return sorted({code for market in markets for code in (market.rules.base, market.rules.quote)})

    def _currencies(self) -> list[str]:
        return [currency_name(code) for code in self._codes()]


class Window(NamedTuple):
    """The part of a history that is asked for."""

    limit: int
    start: int
    """Nanoseconds since 1970 UTC."""
    end: int
    """The last moment of its millisecond."""
    rising: bool
    """Oldest first."""


def window(query: Mapping[str, Any], default: int, highest: int = MAX_LIMIT) -> Window:
    """Read `limit`, `start`, `end` and `sort` (1: oldest first); ErrorRow for values that are none."""
    limit = integer(query, "limit", 1, highest) or default
    start, end = integer(query, "start") or 0, integer(query, "end")
    last = (MAX_INTEGER if end is None else end + 1) * MILLISECOND - 1
    return Window(limit, start * MILLISECOND, last, integer(query, "sort", -1, 1) == 1)


def _ticks(level: Level, rules: MarketRules) -> int:
    return int(level.price / rules.price_step)


def _aggregated(levels: list[Level], digits: int, rounding: str) -> list[tuple[Decimal, int, Decimal]]:
    """Add up levels whose prices are the same with so many digits: price, how many levels, amount; best price first."""
    counts: dict[Decimal, int] = defaultdict(int)
    amounts: dict[Decimal, Decimal] = defaultdict(Decimal)
    for level in levels:
        price = significant(level.price, digits, rounding)
        counts[price] += 1
        amounts[price] += level.amount
    return [(price, counts[price], amounts[price]) for price in counts]
