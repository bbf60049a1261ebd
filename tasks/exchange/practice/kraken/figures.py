"""What a ticker tells of a market's day, and its latest prints."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from tasks.exchange.matching.candles import Candle
from tasks.exchange.practice.market.market import Market
from tasks.exchange.units import MINUTE

HOUR = 60 * MINUTE
DAY = 24 * HOUR


@dataclass(frozen=True, slots=True)
class Figures:
    """A stretch of time in a market."""

    open: Decimal
    high: Decimal
    low: Decimal
    volume: Decimal
    """Base currency."""
    turnover: Decimal
    """Quote currency, about: each candle's volume at its typical price, (high + low + close) / 3."""
    trades: int

    @property
    def vwap(self) -> Decimal:
        """Average price, weighted with volume; 0 when nobody traded."""
        return self.turnover / self.volume if self.volume else Decimal(0)

    def then(self, candle: Candle) -> Figures:
        """Return the figures with one more candle at the end."""
        return Figures(
            self.open,
            max(self.high, candle.high),
            min(self.low, candle.low),
            self.volume + candle.volume,
            self.turnover + _turnover(candle),
            self.trades + candle.trades,
        )


class DayFigures:
    """The figures since midnight UTC and of the last 24 hours, the latter to the minute.

    What closed before the minute of the question is added up once a minute.
    """

    def __init__(self, market: Market) -> None:
        self._market = market
        self._minute = -1
        self._today: Figures | None = None
        self._day: Figures | None = None

    def at(self, now: int) -> tuple[Figures, Figures]:
        """Return the figures of today and of the last 24 hours at `now` (nanoseconds)."""
        if now // MINUTE != self._minute:
            self._minute = now // MINUTE
            self._today, self._day = self._closed(now)
        running = self._market.candles(1, now, 1)[0]
        today, day = (figures.then(running) if figures else _start(running) for figures in (self._today, self._day))
        return today, day

    def _closed(self, now: int) -> tuple[Figures | None, Figures | None]:
        """Add up the hours and minutes before the minute of `now`, with as few candles as make the whole."""
        hour, midnight = now // HOUR * HOUR, now // DAY * DAY
        since = now // MINUTE * MINUTE - DAY + MINUTE
        edge = -(-since // HOUR) * HOUR
        minutes = self._market.candles(1, now, (now - hour) // MINUTE + 1)[:-1]
        # The candle that is open in the nanosecond before it closes is whole.
        hours = self._market.candles(60, hour - 1, (hour - edge) // HOUR)
        first_minutes = self._market.candles(1, edge - 1, (edge - since) // MINUTE)
        today = [candle for candle in hours if candle.ts >= midnight]
        return _sum([*today, *minutes]), _sum([*first_minutes, *hours, *minutes])


def typical(candle: Candle) -> Decimal:
    """Return the price that stands for a candle's average."""
    return (candle.high + candle.low + candle.close) / 3


def _turnover(candle: Candle) -> Decimal:
    return typical(candle) * candle.volume


def _start(candle: Candle) -> Figures:
    return Figures(candle.open, candle.high, candle.low, candle.volume, _turnover(candle), candle.trades)


def _sum(candles: Iterable[Candle]) -> Figures | None:
    figures: Figures | None = None
    for candle in candles:
        figures = figures.then(candle) if figures else _start(candle)
    return figures
