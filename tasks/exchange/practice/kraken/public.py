"""Kraken's public endpoints: time, status, names, candles, tickers, depth and trades."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from email.utils import formatdate
from itertools import islice
from typing import Any

from tasks.exchange.matching.book import Level
from tasks.exchange.matching.candles import Candle, Tick
from tasks.exchange.practice.exchange import PracticeExchange
from tasks.exchange.practice.kraken.arguments import Arguments, find_pair
from tasks.exchange.practice.kraken.figures import DayFigures, Figures, typical
from tasks.exchange.practice.kraken.names import Asset, Names, Pair, plain
from tasks.exchange.practice.kraken.words import INVALID_ARGUMENTS, UNKNOWN_ASSET, KrakenRefusal, invalid, rfc3339
from tasks.exchange.practice.market.market import INTERVALS
from tasks.exchange.rules import Tiers
from tasks.exchange.units import MINUTE, SECOND

CANDLES = 721
"""The most that are answered: 720 closed ones and the open one. Older ones cannot be had."""

_MOST_TRADES = 1000
_MOST_LEVELS = 500
_NANOSECONDS_FROM = 10**14
"""A `since` of this size is in nanoseconds, a smaller one in seconds."""


class PublicEndpoints:
    """Answers by the endpoint's name; raises KrakenRefusal."""

    def __init__(self, exchange: PracticeExchange, names: Names) -> None:
        self._exchange = exchange
        self._names = names
        self._figures = {symbol: DayFigures(market) for symbol, market in exchange.markets.items()}
        self.endpoints: Mapping[str, Callable[[Arguments], Any]] = {
            "Time": self._time,
            "SystemStatus": self._status,
            "Assets": self._assets,
            "AssetPairs": self._pairs,
            "OHLC": self._candles,
            "Ticker": self._ticker,
            "Depth": self._depth,
            "Trades": self._trades,
        }

    def _time(self, _: Arguments) -> dict[str, Any]:
        now = self._exchange.clock.server_time() // SECOND
        return {"unixtime": now, "rfc1123": formatdate(now, usegmt=True)}

    def _status(self, _: Arguments) -> dict[str, Any]:
        return {"status": self._exchange.status, "timestamp": rfc3339(self._exchange.clock.server_time())}

    def _assets(self, arguments: Arguments) -> dict[str, Any]:
        assets = self._names.assets()
        if arguments.has("asset"):
            named = {each.altname: each for each in assets.values()} | assets
            wanted = arguments.ids("asset", len(named))
            if not set(wanted) <= named.keys():
                raise KrakenRefusal(UNKNOWN_ASSET)
            assets = {named[name].id: named[name] for name in wanted}
        return {name: _asset_row(each) for name, each in assets.items()}

    def _pairs(self, arguments: Arguments) -> dict[str, Any]:
        mode = self._exchange.status
        status = "online" if mode == "maintenance" else mode
        return {pair.id: _pair_row(pair, status) for pair in self._wanted(arguments)}

    def _candles(self, arguments: Arguments) -> dict[str, Any]:
        pair = arguments.pair(self._names)
        interval = arguments.integer("interval", 1)
        if interval not in INTERVALS:
            raise invalid("interval")
        since = arguments.integer("since", 0, least=-(2**63)) * SECOND
        candles = self._exchange.markets[pair.symbol].candles(interval, self._exchange.synced, CANDLES)
        running = candles[-1]
        last = running.ts - interval * MINUTE
        shown = [candle for candle in candles if candle.ts > since or candle is running]
        return {pair.id: [_candle_row(pair, candle) for candle in shown], "last": last // SECOND}

    def _ticker(self, arguments: Arguments) -> dict[str, Any]:
        return {pair.id: self._ticker_row(pair) for pair in self._wanted(arguments)}

    def _depth(self, arguments: Arguments) -> dict[str, Any]:
        pair = arguments.pair(self._names)
        count = arguments.integer("count", 100, least=1, most=_MOST_LEVELS)
        book = self._exchange.engine.book(pair.symbol, count)
        now = self._exchange.synced // SECOND
        sides = {"asks": book.asks, "bids": book.bids}
        return {pair.id: {side: [_level_row(pair, level, now) for level in levels] for side, levels in sides.items()}}

    def _trades(self, arguments: Arguments) -> dict[str, Any]:
        pair = arguments.pair(self._names)
        count = arguments.integer("count", _MOST_TRADES, least=1)
        market, now = self._exchange.markets[pair.symbol], self._exchange.synced
        count = min(count, _MOST_TRADES)
        if arguments.has("since"):
            since = _since(arguments)
            ticks = list(islice(market.ticks(since, now), count))
        else:
            since, ticks = now, market.latest(now, count)
        return {pair.id: [_tick_row(pair, tick) for tick in ticks], "last": str(ticks[-1].time if ticks else since)}

    def _wanted(self, arguments: Arguments) -> list[Pair]:
        """Return the markets that are asked for by name; all, if none is named."""
        if not arguments.has("pair"):
            return list(self._names.pairs.values())
        return [find_pair(self._names, name) for name in arguments.ids("pair", len(self._names.pairs) * 4)]

    def _ticker_row(self, pair: Pair) -> dict[str, Any]:
        exchange, symbol = self._exchange, pair.symbol
        book = exchange.engine.book(symbol, 1)
        tick = exchange.markets[symbol].latest(exchange.synced, 1)
        today, day = self._figures[symbol].at(exchange.synced)
        both = (today, day)
        return {
            "a": _touch(pair, book.asks),
            "b": _touch(pair, book.bids),
            "c": [_price(pair, exchange.engine.last(symbol)), _amount(pair, tick[0].amount if tick else Decimal(0))],
            "v": [_amount(pair, each.volume) for each in both],
            "p": [_average(pair, each) for each in both],
            "t": [each.trades for each in both],
            "l": [_price(pair, each.low) for each in both],
            "h": [_price(pair, each.high) for each in both],
            "o": _price(pair, today.open),
        }


def _price(pair: Pair, price: Decimal) -> str:
    return f"{price:.{pair.price_decimals}f}"


def _amount(pair: Pair, amount: Decimal) -> str:
    return f"{amount:.{pair.lot_decimals}f}"


def _average(pair: Pair, figures: Figures) -> str:
    return _price(pair, figures.vwap)


def _touch(pair: Pair, levels: list[Level]) -> list[str]:
    """Return the best level: price, whole lots, amount; zeros where a side is empty."""
    level = levels[0] if levels else Level(Decimal(0), Decimal(0))
    return [_price(pair, level.price), str(int(level.amount)), _amount(pair, level.amount)]


def _candle_row(pair: Pair, candle: Candle) -> list[Any]:
    """Return t, o, h, l, c, vwap, volume, count; the average price is the typical one, as candles hold no better."""
    prices = (_price(pair, price) for price in (candle.open, candle.high, candle.low, candle.close))
    average = _price(pair, typical(candle).quantize(pair.rules.price_step, ROUND_HALF_EVEN)) if candle.trades else "0.0"
    return [candle.ts // SECOND, *prices, average, _amount(pair, candle.volume), candle.trades]


def _level_row(pair: Pair, level: Level, now: int) -> list[Any]:
    return [_price(pair, level.price), _amount(pair, level.amount), now]


def _tick_row(pair: Pair, tick: Tick) -> list[Any]:
    """Return price, volume, time, side, type, misc, id; a print is known by the microsecond at which it happened."""
    time = tick.time // 1000
    return [_price(pair, tick.price), _amount(pair, tick.amount), time / 1_000_000, tick.side[0], "m", "", time]


def _asset_row(asset: Asset) -> dict[str, Any]:
    return {
        "aclass": "currency",
        "altname": asset.altname,
        "decimals": asset.decimals,
        "display_decimals": asset.display_decimals,
        "status": "enabled",
    }


def _pair_row(pair: Pair, status: str) -> dict[str, Any]:
    rules = pair.rules
    return {
        "altname": pair.altname,
        "wsname": pair.wsname,
        "aclass_base": "currency",
        "base": pair.base.id,
        "aclass_quote": "currency",
        "quote": pair.quote.id,
        "lot": "unit",
        "cost_decimals": max(5, pair.price_decimals),
        "pair_decimals": pair.price_decimals,
        "lot_decimals": pair.lot_decimals,
        "lot_multiplier": 1,
        "leverage_buy": [],
        "leverage_sell": [],
        "fees": _percents(rules.taker),
        "fees_maker": _percents(rules.maker),
        "fee_volume_currency": "ZUSD",
        "margin_call": 80,
        "margin_stop": 40,
        "ordermin": plain(rules.min_amount, 0),
        "costmin": plain(rules.min_cost, 0),
        "tick_size": plain(rules.price_step, 0),
        "status": status,
    }


def _percents(tiers: Tiers) -> list[list[float]]:
    return [[int(start), float(fee * 100)] for start, fee in tiers]


def _since(arguments: Arguments) -> int:
    """Read since when trades are wanted: seconds, with decimals or without, or nanoseconds."""
    value = arguments.number("since")
    since = int(value) if value >= _NANOSECONDS_FROM else int(value * SECOND)
    if since >= 2**63:
        raise KrakenRefusal(INVALID_ARGUMENTS)
    return since
