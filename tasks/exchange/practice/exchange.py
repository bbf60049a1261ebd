"""The practice exchange without its wires: markets that move by a clock, and an engine that trades in them."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import Literal

from tasks.exchange.matching.candles import Tick
from tasks.exchange.matching.engine import MatchingEngine
from tasks.exchange.practice.clock import Clock
from tasks.exchange.practice.market.market import Market
from tasks.exchange.practice.transfers import Transfer
from tasks.exchange.units import MINUTE

Listener = Callable[[str, Tick], None]

_DEPTH_OF = 60
"""Minutes of the candle from which the depth is derived: what a book holds changes more slowly than prices."""

Status = Literal["online", "maintenance", "cancel_only", "post_only", "limit_only"]


class PracticeExchange:
    """Markets, clock and engine. Call `sync` before anything is asked: it brings them all to the clock's time."""

    def __init__(self, markets: Iterable[Market], engine: MatchingEngine, clock: Clock) -> None:
        self.markets = {market.rules.symbol: market for market in markets}
        self.engine = engine
        self.clock = clock
        self.listeners: list[Listener] = []
        """Told of every print once the engine has seen it."""
        self.status: Status = "online"
        self.fill_limit: Decimal | None = None
        """A fault for the next order: it fills at most this fraction of itself, and the rest is cancelled."""
        self.transfers: list[Transfer] = []
        """What came from outside since the account was opened, the earliest first."""
        self.synced = engine.now or clock.now()
        """Nanoseconds since 1970 UTC up to which the engine has seen the markets."""
        self._next_print = self.synced
        """Before then nobody prints, so that there is nothing to look for: most requests come between two prints."""
        engine.advance(self.synced)
        for symbol, market in self.markets.items():
            engine.reference(symbol, market.candles(_DEPTH_OF, self.synced, 2)[0])
            engine.price(symbol, market.last(self.synced))

    def sync(self) -> None:
        """Feed the engine the prints since the last time, in the order of their times."""
        now = self.clock.now()
        if now <= self.synced:
            return
        if now < self._next_print:
            self.engine.advance(now)
            self.synced = now
            return
        for tick, symbol in heapq.merge(*(self._prints(market, now) for market in self.markets.values())):
            self.engine.trade(symbol, tick)
            for listener in self.listeners:
                listener(symbol, tick)
        self.engine.advance(now)
        self.synced = now
        coming = (next(market.ticks(now, now + MINUTE), None) for market in self.markets.values())
        self._next_print = min((tick.time for tick in coming if tick is not None), default=now + MINUTE)

    def become(self, other: PracticeExchange) -> None:
        """Go on as another exchange, with the listeners of before: for those who hold this one, as open streams do."""
        listeners = self.listeners
        vars(self).update(vars(other), listeners=listeners)

    def deposit(self, currency: str, amount: Decimal, *, silent: bool = False) -> None:
        """Add money from outside, or take away a negative amount; with `silent`, a fault, the ledger does not tell."""
        self.engine.deposit(currency, amount)
        self.transfers.append(Transfer(self.synced, currency, amount, silent))

    def take_fill_limit(self) -> Decimal | None:
        """Return the fault for this order, which is thereby used up."""
        limit, self.fill_limit = self.fill_limit, None
        return limit

    def _prints(self, market: Market, now: int) -> Iterator[tuple[Tick, str]]:
        """Yield a market's new prints, telling the engine of each hour that closes between them."""
        symbol = market.rules.symbol
        hour = self.synced // (_DEPTH_OF * MINUTE)
        for tick in market.ticks(self.synced, now):
            if tick.time // (_DEPTH_OF * MINUTE) > hour:
                hour = tick.time // (_DEPTH_OF * MINUTE)
                self.engine.reference(symbol, market.candles(_DEPTH_OF, tick.time, 2)[0])
            yield tick, symbol
