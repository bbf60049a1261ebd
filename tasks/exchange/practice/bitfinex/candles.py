"""Bitfinex's candles: the windows of them that it answers, without the ones in which nobody traded."""

from __future__ import annotations

from tasks.exchange.matching.candles import Candle
from tasks.exchange.practice.bitfinex.rows import number
from tasks.exchange.practice.bitfinex.words import invalid
from tasks.exchange.practice.market.market import Market
from tasks.exchange.units import MILLISECOND, MINUTE

_MINUTES = {
    "1m": 1, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "3h": 180, "4h": 240, "6h": 360, "12h": 720,
    "1D": 1440, "1W": 10080, "7D": 10080, "14D": 20160,
}  # fmt: skip

_WEEK = 10080


def minutes_of(timeframe: str) -> int:
    """Return the length of a timeframe in minutes; ErrorRow for one that is not served (months, 1M, are not)."""
    if timeframe not in _MINUTES:
        raise invalid("timeframe")
    return _MINUTES[timeframe]


def candle_row(candle: Candle) -> list[int | float]:
    """Return a candle as Bitfinex prints it: the close stands before high and low."""
    prices = (candle.open, candle.close, candle.high, candle.low, candle.volume)
    return [candle.ts // MILLISECOND, *map(number, prices)]


def first_trade(market: Market, start: int, now: int) -> int:
    """Return a time from `start` on (ns) before which nobody traded, to a week; `now` where nobody has."""
    weeks = max(now - start, 0) // (_WEEK * MINUTE) + 2
    active = (candle.ts for candle in market.candles(_WEEK, now, weeks) if candle.trades)
    return max(start, next((ts for ts in active if ts + _WEEK * MINUTE > start), now))


def oldest(market: Market, minutes: int, limit: int, start: int, end: int, now: int) -> list[Candle]:
    """Return the first candles that open from `start` to `end` (ns), oldest first; one may still be open at `now`."""
    length = minutes * MINUTE
    found: list[Candle] = []
    at = max(first_trade(market, start, now) // length, -(-start // length)) * length
    while at <= min(end, now) and len(found) < limit:
        stop = at + limit * length
        found += [c for c in _read(market, minutes, min(stop - 1, now), limit) if at <= c.ts <= end]
        at = stop
    return found[:limit]


def newest(market: Market, minutes: int, limit: int, start: int, end: int, now: int) -> list[Candle]:
    """Return the last candles that open from `start` to `end` (ns), newest first; one may still be open at `now`."""
    length = minutes * MINUTE
    found: list[Candle] = []
    at = min(now, end // length * length + length - 1)
    while at >= start and len(found) < limit:
        found += [c for c in reversed(_read(market, minutes, at, limit)) if start <= c.ts <= at]
        at = (at // length - limit + 1) * length - 1
        if len(found) < limit:
            start = max(start, first_trade(market, start, now) // length * length)
    return found[:limit]


def _read(market: Market, minutes: int, now: int, count: int) -> list[Candle]:
    """Return those of the last `count` candles in which somebody traded, oldest first."""
    return [candle for candle in market.candles(minutes, now, count) if candle.trades]
