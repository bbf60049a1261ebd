"""One practice market: the past and the future of its candles and prints, by time alone.

All is made from the top down: a series gives the longest bars (days, or the candles that are replayed), which are split
into hours, minutes and prints when somebody asks. Any time is reached at once, and always holds the same.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import lru_cache

import numpy as np
import pandas as pd

from data.errors import BadInput
from tasks.exchange.matching.candles import Candle, Tick
from tasks.exchange.orders import Side
from tasks.exchange.practice.market import draws, path
from tasks.exchange.practice.market.bars import PRINTS, Bars, Series, Whole
from tasks.exchange.practice.market.generator import Generated
from tasks.exchange.practice.market.replay import Replayed
from tasks.exchange.rules import MarketRules
from tasks.exchange.units import MINUTE

INTERVALS = (1, 5, 15, 30, 60, 240, 1440, 10080, 21600)
"""Minutes: Kraken's; a market makes candles of any other number of minutes as well."""

_SIDES: tuple[Side, Side] = ("sell", "buy")

_PARTS = (1440, 60, 1)
"""Bars longer than these are split into them, in turn (minutes)."""
_BLOCK, _BLOCK_BARS = 240, 100_000
"""Candles that are made and remembered together, and the most bars that these may be made of."""
_LONGEST_LOOK = 30 * 1440 * MINUTE
_BLOCKS, _HOURS = 128, 24
"""How many blocks of candles, and how many hours of prints, are remembered."""


class Market:
    """Candles and prints of one market; everything in it follows from the rules, the series and the seed."""

    def __init__(self, rules: MarketRules, series: Series, seed: int) -> None:
        self.rules = rules
        self._series = series
        self._lengths = [
            series.minutes,
            *(part for part in _PARTS if part < series.minutes and not series.minutes % part),
        ]
        """Lengths of the bars that are split in turn, in minutes; each a multiple of the next."""
        self._keys = [draws.key_of(seed, rules.symbol, length) for length in self._lengths]
        self._block = lru_cache(_BLOCKS)(self._make_block)
        self._hour = lru_cache(_HOURS)(self._make_hour)

    def candles(self, interval: int, now: int, count: int) -> list[Candle]:
        """Return at most `count` candles of `interval` minutes, oldest first, aligned to multiples of it since 1970.

        `now` is in nanoseconds; the last candle is the one that is still open then: of the prints up to and including
        that time. A candle in which nobody trades is flat at the close before, with 0 trades. There are fewer where the
        market begins, and none before.
        """
        opens = now // (interval * MINUTE)
        if count < 1 or now < self._begin:
            return []
        first = max(opens - count + 1, self._begin // (interval * MINUTE))
        return [*self._closed(interval, first, opens), self._open(interval, opens * interval * MINUTE, now)]

    def ticks(self, after: int, until: int) -> Iterator[Tick]:
        """Yield the prints with after < time <= until (nanoseconds), in the order of their times."""
        hour = max(after, self._begin) // (60 * MINUTE)
        while hour * 60 * MINUTE <= until:
            times, ticks = self._hour(hour)
            yield from ticks[bisect_right(times, after) : bisect_right(times, until)]
            hour += 1

    def last(self, now: int) -> Decimal:
        """Return the price of the last print at or before `now` (nanoseconds); BadInput before the market begins."""
        if now < self._begin:
            begin = pd.Timestamp(self._begin, tz="UTC")
            raise BadInput(f"the practice market {self.rules.symbol} begins at {begin}: ask for a later time")
        return self._open(1, now // MINUTE * MINUTE, now).close

    def latest(self, until: int, count: int, since: int = 0) -> list[Tick]:
        """Return the last `count` prints of `since` to `until`, oldest first; no further back than a month."""
        first = max(since - 1, until - _LONGEST_LOOK)
        span = MINUTE
        while True:
            after = max(first, until - span)
            found = deque(self.ticks(after, until), maxlen=count)
            if len(found) == count or after == first:
                return list(found)
            span *= 8

    @property
    def _begin(self) -> int:
        return self._series.first * self._series.minutes * MINUTE

    def _open(self, interval: int, ts: int, now: int) -> Candle:
        """Make the candle that opened at `ts` and is not closed at `now`: of closed ones, and of prints."""
        pieces: list[Candle] = []
        reached = max(ts, self._begin)
        for length in self._lengths:
            if interval % length == 0:
                first, last = reached // (length * MINUTE), now // (length * MINUTE)
                pieces += self._closed(length, first, last)
                reached = last * length * MINUTE
        prints = list(self.ticks(reached - 1, now))
        if prints:
            prices = [tick.price for tick in prints]
            amount = sum((tick.amount for tick in prints), Decimal(0))
            pieces.append(Candle(reached, prices[0], max(prices), min(prices), prices[-1], amount, len(prints)))
        traded = [piece for piece in pieces if piece.trades]
        if traded:
            return _joined(ts, traded)
        before = pieces[-1] if pieces else self._closed(1, reached // MINUTE - 1, reached // MINUTE)[0]
        return Candle(ts, before.close, before.close, before.close, before.close, Decimal(0), 0)

    def _closed(self, interval: int, first: int, last: int) -> list[Candle]:
        """Return the candles from number `first` to before `last`."""
        rows: list[Candle] = []
        many = self._many(interval)
        for block in range(first // many, -(-last // many)):
            rows += self._block(interval, block)[max(first - block * many, 0) : last - block * many]
        return rows

    def _make_block(self, interval: int, block: int) -> list[Candle]:
        depth = self._lengths.index(self._longest(interval))
        size, many = interval // self._lengths[depth], self._many(interval)
        bars = self._bars(depth, block * many * size, many * size).merge(size)
        step = interval * MINUTE
        times = range(block * many * step, (block + 1) * many * step, step)
        prices = (self._prices(column) for column in (bars.open, bars.high, bars.low, bars.close))
        trades = (PRINTS * bars.active).tolist()
        return list(map(Candle, times, *prices, self._amounts(bars.volume), trades))

    def _many(self, interval: int) -> int:
        """Return the number of candles in a block."""
        return min(_BLOCK, max(1, _BLOCK_BARS * self._longest(interval) // interval))

    def _longest(self, interval: int) -> int:
        """Return the length of the longest bars that make candles of the interval (minutes)."""
        return next(length for length in self._lengths if interval % length == 0)

    def _make_hour(self, hour: int) -> tuple[list[int], list[Tick]]:
        """Return the prints of an hour, and their times."""
        first = hour * 60
        minutes = self._bars(len(self._lengths) - 1, first, 60)
        trading = np.flatnonzero(minutes.active)
        bars = Bars(*(column[trading] for column in minutes.columns()))
        prints = path.prints(bars, draws.keys_at(self._keys[-1], first + trading))
        times = (((first + trading) * MINUTE)[:, None] + prints.offset).ravel().tolist()
        sides = (_SIDES[bought] for bought in prints.bought.ravel().tolist())
        return times, list(map(Tick, times, self._prices(prints.price), self._amounts(prints.amount), sides))

    def _bars(self, depth: int, first: int, count: int) -> Bars:
        """Return bars of the length at `depth`, by number since 1970: parts of those above them."""
        if depth == 0:
            return self._series.bars(first, count)
        above, length = self._lengths[depth - 1], self._lengths[depth]
        parts = above // length
        begin, end = first // parts, -(-(first + count) // parts)
        keys = draws.keys_at(self._keys[depth - 1], np.arange(begin, end))
        longer = self._bars(depth - 1, begin, end - begin)
        return path.split(longer, keys, parts, length).part(first - begin * parts, count)

    def _prices(self, ticks: Whole) -> list[Decimal]:
        return _decimals(ticks.ravel().tolist(), self.rules.price_step)

    def _amounts(self, units: Whole) -> list[Decimal]:
        return _decimals(units.ravel().tolist(), self._series.unit)


def generated(rules: MarketRules, seed: int = 1) -> Market:
    """Return a market made up from a seed: the same one at the same time, whenever it is started."""
    return Market(rules, Generated(rules, seed), seed)


def replayed(rules: MarketRules, frame: pd.DataFrame, timeframe: str, start: int, seed: int = 1) -> Market:
    """Return a market of candles of the lake, the last of which closes at `start` (nanoseconds since 1970 UTC).

    The frame is one of `data.candles.read_candles`. See `Replayed` for what is kept of it; the seed draws the paths
    within the candles. Raises BadInput for candles that cannot be played.
    """
    return Market(rules, Replayed(rules, frame, timeframe, start), seed)


def _joined(ts: int, candles: Sequence[Candle]) -> Candle:
    """Return the candle that others make together, in all of which somebody traded."""
    high, low = max(candle.high for candle in candles), min(candle.low for candle in candles)
    volume = sum((candle.volume for candle in candles), Decimal(0))
    trades = sum(candle.trades for candle in candles)
    return Candle(ts, candles[0].open, high, low, candles[-1].close, volume, trades)


def _decimals(numbers: list[int], step: Decimal) -> list[Decimal]:
    return [number * step for number in numbers]
