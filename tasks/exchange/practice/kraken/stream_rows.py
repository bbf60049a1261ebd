"""What Kraken's streams say of a market: candles, ticker and trades, as rows of JSON with numbers in them."""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from typing import Any, NamedTuple

from tasks.exchange.matching.book import Level
from tasks.exchange.matching.candles import Candle, Tick
from tasks.exchange.practice.exchange import PracticeExchange
from tasks.exchange.practice.kraken.figures import DayFigures, typical
from tasks.exchange.practice.kraken.words import rfc3339
from tasks.exchange.units import MINUTE

Row = dict[str, Any]

SNAPSHOT_TRADES = 50
SNAPSHOT_CANDLES = 100
_MOST_ROWS = 1000
"""Of one update: who reads more slowly than that gets the last ones."""


class Topic(NamedTuple):
    """What one can subscribe to."""

    channel: str
    """ohlc, ticker or trade."""
    symbol: str
    interval: int = 0
    """Minutes, of candles."""


class Rows:
    """The rows of all markets. Times are nanoseconds since 1970 UTC."""

    def __init__(self, exchange: PracticeExchange) -> None:
        self._exchange = exchange
        self._figures = {symbol: DayFigures(market) for symbol, market in exchange.markets.items()}

    def snapshot(self, topic: Topic, now: int) -> list[Row]:
        """Return what a new subscriber is told first."""
        market = self._exchange.markets[topic.symbol]
        if topic.channel == "ticker":
            return [self._ticker(topic.symbol, now)]
        if topic.channel == "trade":
            return [_trade(topic, tick) for tick in market.latest(now, SNAPSHOT_TRADES)]
        return [_candle(topic, candle) for candle in market.candles(topic.interval, now, SNAPSHOT_CANDLES)]

    def update(self, topic: Topic, since: int, until: int) -> list[Row]:
        """Return what is new after `since`; nothing if nobody traded."""
        market = self._exchange.markets[topic.symbol]
        if next(market.ticks(since, until), None) is None:
            return []
        if topic.channel == "ticker":
            return [self._ticker(topic.symbol, until)]
        if topic.channel == "trade":
            return [_trade(topic, tick) for tick in deque(market.ticks(since, until), maxlen=_MOST_ROWS)]
        length = topic.interval * MINUTE
        candles = market.candles(topic.interval, until, min(until // length - since // length + 1, _MOST_ROWS))
        return [_candle(topic, candle) for candle in candles if candle.trades]

    def _ticker(self, symbol: str, now: int) -> Row:
        engine = self._exchange.engine
        book, last = engine.book(symbol, 1), engine.last(symbol)
        _, day = self._figures[symbol].at(now)
        nothing = Level(Decimal(0), Decimal(0))
        bid, ask = (side[0] if side else nothing for side in (book.bids, book.asks))
        return {
            "symbol": symbol,
            "bid": float(bid.price),
            "bid_qty": float(bid.amount),
            "ask": float(ask.price),
            "ask_qty": float(ask.amount),
            "last": float(last),
            "volume": float(day.volume),
            "vwap": float(day.vwap),
            "low": float(day.low),
            "high": float(day.high),
            "change": float(last - day.open),
            "change_pct": float(round((last / day.open - 1) * 100, 2)),
        }


def _trade(topic: Topic, tick: Tick) -> Row:
    return {
        "symbol": topic.symbol,
        "side": tick.side,
        "price": float(tick.price),
        "qty": float(tick.amount),
        "ord_type": "market",
        "trade_id": tick.time // 1000,
        "timestamp": rfc3339(tick.time, places=6),
    }


def _candle(topic: Topic, candle: Candle) -> Row:
    return {
        "symbol": topic.symbol,
        "open": float(candle.open),
        "high": float(candle.high),
        "low": float(candle.low),
        "close": float(candle.close),
        "trades": candle.trades,
        "volume": float(candle.volume),
        "vwap": float(typical(candle)) if candle.trades else 0.0,
        "interval_begin": rfc3339(candle.ts, places=9),
        "interval": topic.interval,
        "timestamp": rfc3339(candle.ts + topic.interval * MINUTE, places=6),
    }
