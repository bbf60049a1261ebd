"""A practice exchange at work: exchange, wires, keys, faults and memory, whatever the server in front of it."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from data.errors import BadInput
from tasks.exchange.matching.engine import InvariantBroken, MatchingEngine
from tasks.exchange.practice.bitfinex.wire import BitfinexWire
from tasks.exchange.practice.clock import Clock
from tasks.exchange.practice.exchange import PracticeExchange
from tasks.exchange.practice.keys import KeyRing
from tasks.exchange.practice.kraken.limits import Limits, Tier
from tasks.exchange.practice.kraken.wire import KrakenWire
from tasks.exchange.practice.server.faults import Fault, Faults, Stage
from tasks.exchange.practice.server.journal import Entry
from tasks.exchange.practice.server.mischief import Answer, altered, circumstances, intercepted
from tasks.exchange.practice.server.plan import Plan
from tasks.exchange.practice.server.state import Saved, Store
from tasks.exchange.practice.transfers import as_json, from_json
from tasks.exchange.practice.wire import Reply, Request
from tasks.exchange.rules import MarketRules
from tasks.exchange.units import MINUTE, SECOND

Speed = float | Literal["max"]

LONGEST_ABSENCE = 7 * 86_400 * SECOND
"""Of what passed between two runs, in nanoseconds of exchange time, only the last part is traded through."""

CASH = Decimal(100_000)
"""Of each quote currency, at the beginning."""

PER_MINUTE = 90
"""Requests that Bitfinex answers of one endpoint, where rate limits are kept."""

_WRITTEN_EVERY, _SAVED_EVERY = 0.1, 60.0
"""Seconds of the wall clock between two saves when only public questions are asked, and when none are."""

_REPEATED = frozenset({"/0/public/Ticker", "/0/public/OHLC"})
"""Paths that are asked over and over; what they answer hangs on the prints so far, the own orders and the minute."""
_MOST_REPEATED = 100

_T = TypeVar("_T")
_UNTOUCHED: Mapping[Stage, Fault] = {}
_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


def to_nobody(_: str) -> None:
    """Say a line to nobody."""


class Venue:
    """All that a server needs to answer. One thread at a time.

    What changes the exchange is checked and saved before its answer is returned. When the check fails, or the state
    cannot be saved, nothing more is traded or saved: `broken` says why, and the state on disk is the last sound one.
    """

    exchange: PracticeExchange
    keys: KeyRing
    _kraken: KrakenWire
    _bitfinex: BitfinexWire

    def __init__(
        self, plan: Plan, store: Store, tier: Tier, wall: Callable[[], int], say: Callable[[str], None]
    ) -> None:
        self.plan = plan
        self.store = store
        self.faults = Faults()
        self.broken = ""
        self.fastest = False
        """Whether the time goes on minute by minute, as fast as the machine can; the clock itself is paused then."""
        self._tier = tier
        self._wall = wall
        self._say = say
        self._begun: dict[str, Any] = {}
        self._saved_at = 0.0
        self._repeated: dict[tuple[int, str, str], tuple[Answer, Reply]] = {}

    @classmethod
    def open(
        cls,
        plan: Plan,
        folder: Path | None = None,
        *,
        speed: Speed = 1.0,
        start: int | None = None,
        balances: Mapping[str, Decimal] | None = None,
        tier: Tier = "none",
        wall: Callable[[], int] = time.time_ns,
        say: Callable[[str], None] = to_nobody,
    ) -> Self:
        """Take up the exchange of the folder, or begin one; without a folder it is forgotten at the end.

        One that begins does so at `start` (nanoseconds since 1970 UTC; None: the wall clock's time) with these
        balances (None: some of each quote currency). `tier` is whose rate limits are kept. Raises BadInput when the
        folder cannot serve.
        """
        venue = cls(plan, Store(folder, plan.identity()), tier, wall, say)
        try:
            venue._build(start, balances)
            venue.set_speed(speed)
            venue.save()
        except BaseException:
            venue.store.close()
            raise
        return venue

    def answer(self, request: Request) -> Answer:
        """Answer a request as the wire of its path does, or as the faults in force will have it."""
        if self.broken:
            return Answer(_encode({"error": [f"EGeneral:Internal error: {self.broken}"]}), 500)
        struck = self.faults.strike(request.path) if self.faults.standing else _UNTOUCHED
        if fault := struck.get("before"):
            self._note(request, Reply(None), struck)
            return intercepted(fault, request.path, Answer())
        with self._sound():
            if request.path in _REPEATED and not struck:
                return self._remembered(request)
            answer, _ = self._work(request, struck)
            if request.method != "GET":
                self._forget()
                self._save()
            return intercepted(struck.get("answer"), request.path, answer)
        return self.answer(request)

    def heartbeat(self) -> None:
        """Let time pass; to be called several times a second, so that things happen when nobody asks."""
        if self.broken:
            return
        with self._sound():
            if self.fastest:
                self.exchange.clock.step(MINUTE)
            self.exchange.sync()
            if time.monotonic() - self._saved_at > (_WRITTEN_EVERY if self.store.journal.waiting else _SAVED_EVERY):
                self._save()

    def change(self, operation: Callable[[], _T]) -> _T:
        """Change the exchange from outside, with the check and the save that follow every change.

        Raises BadInput when it has stopped trading.
        """
        if self.broken:
            raise BadInput(self.broken)
        result = operation()
        self._forget()
        with self._sound():
            self.exchange.sync()
            self.exchange.engine.check()
            self._save()
        return result

    def set_speed(self, speed: Speed) -> None:
        """Go on at another speed; BadInput unless it is `max` or one that the clock can run at."""
        clock = self.exchange.clock
        if speed == "max":
            clock.pause()
        else:
            clock.set_speed(float(speed))
            if self.fastest:
                clock.resume()
        self.fastest = speed == "max"

    def stop(self, reason: str) -> None:
        """Trade, answer and save no more, and say why."""
        self.broken = f"the practice exchange has stopped trading: {reason}"
        self._say(self.broken)

    def save(self) -> None:
        """Save all that is not saved yet, unless broken."""
        if not self.broken:
            with self._sound():
                self._save()

    def restart(self) -> None:
        """Save, forget all but what is saved, and go on from there; the faults stay in force."""
        self.save()
        self.store.reopen()
        self._build(before=self.exchange)
        self.broken = ""

    def close(self) -> None:
        """Save a last time, and let go of the folder."""
        self.save()
        self.store.close()

    def _save(self) -> None:
        """Check what has changed and save it."""
        changed = self.exchange.engine.take_changed()
        if changed:
            self.exchange.engine.check(whole=False)
        parts = {
            "begun": self._begun,
            "engine": self.exchange.engine.snapshot(),
            "clock": self.exchange.clock.snapshot(),
            "keys": self.keys.snapshot(),
            "kraken": self._kraken.snapshot(),
            "transfers": as_json(self.exchange.transfers),
            "fastest": self.fastest,
        }
        self.store.save(parts, changed)
        self._saved_at = time.monotonic()

    def _build(
        self,
        start: int | None = None,
        balances: Mapping[str, Decimal] | None = None,
        before: PracticeExchange | None = None,
    ) -> None:
        """Make the exchange of what is saved, or a new one; `before` is the one that it replaces."""
        saved = self.store.load()
        clock, self.keys = Clock(start=start, wall=self._wall), KeyRing()
        if saved is None:
            self._begun = self.plan.begin(clock.now())
            markets = self.plan.markets(self._begun)
            rules = [market.rules for market in markets]
            money = {each.quote: CASH for each in rules} if balances is None else balances
            engine = MatchingEngine(rules, money, seed=self.plan.seed)
        else:
            self._begun, self.fastest = saved.parts["begun"], saved.parts["fastest"]
            clock.restore(saved.parts["clock"])
            self.keys.restore(saved.parts["keys"])
            markets = self.plan.markets(self._begun)
            engine = self._restored([market.rules for market in markets], saved)
            self._skip(engine, clock.now() - LONGEST_ABSENCE)
        exchange = PracticeExchange(markets, engine, clock)
        if saved is not None:
            exchange.transfers = from_json(saved.parts.get("transfers", []))
        if before is None:
            exchange.listeners.append(self._forget)
            self.exchange = exchange
        else:
            before.become(exchange)
        self._kraken, self._bitfinex = self._wires_of(self.exchange)
        if saved is not None:
            self._kraken.restore(saved.parts["kraken"])
        self.exchange.sync()

    def _restored(self, rules: list[MarketRules], saved: Saved) -> MatchingEngine:
        try:
            return MatchingEngine.restore(rules, saved.parts["engine"], saved.orders)
        except InvariantBroken as error:
            raise BadInput(
                f"the practice state in {self.store.folder} does not add up ({error}): move it away to begin anew"
            ) from None

    def _skip(self, engine: MatchingEngine, until: int) -> None:
        """Let a long absence pass without prints, but for its end."""
        if engine.now < until:
            days = (until - engine.now) / (86_400 * SECOND)
            self._say(f"the exchange was away for long: the first {days:.1f} days of it pass without trading")
            engine.advance(until)

    def _wires_of(self, exchange: PracticeExchange) -> tuple[KrakenWire, BitfinexWire]:
        pace = None if self._tier == "none" else PER_MINUTE
        kraken = KrakenWire(exchange, self.keys, Limits(self._tier))
        return kraken, BitfinexWire(exchange, self.keys, per_minute=pace)

    def _work(self, request: Request, struck: Mapping[Stage, Fault]) -> tuple[Answer, Reply]:
        """Let the wire answer, and return how that leaves, and what it was."""
        with circumstances(struck.get("work"), self.exchange) as exchange:
            own = exchange is self.exchange
            kraken, bitfinex = (self._kraken, self._bitfinex) if own else self._wires_of(exchange)
            reply = (kraken if request.path.startswith("/0/") else bitfinex).answer(request)
        self._note(request, reply, struck)
        return Answer(_encode(altered(struck.get("body"), reply.body)), reply.status), reply

    def _remembered(self, request: Request) -> Answer:
        """Answer as before what has been asked before, if no print and no order has come between, nor a new minute."""
        self.exchange.sync()
        question = (self.exchange.synced // MINUTE, request.path, _params(request))
        known = self._repeated.get(question)
        if known is not None:
            self._note(request, known[1], _UNTOUCHED)
            return known[0]
        if len(self._repeated) >= _MOST_REPEATED:
            self._forget()
        self._repeated[question] = self._work(request, _UNTOUCHED)
        return self._repeated[question][0]

    def _forget(self, *_: object) -> None:
        """Answer afresh: called with every print, too."""
        self._repeated.clear()

    def _note(self, request: Request, reply: Reply, struck: Mapping[Stage, Fault]) -> None:
        self.store.journal.note(
            Entry(
                self.exchange.synced,
                request.method,
                request.path,
                _params(request),
                reply.key,
                reply.status,
                reply.errors,
                reply.orders,
                reply.client_id,
                tuple(fault.kind for fault in struck.values()),
            )
        )

    @contextmanager
    def _sound(self) -> Iterator[None]:
        """Stop for good, and say so, when the books do not add up or the state cannot be saved."""
        try:
            yield
        except (InvariantBroken, sqlite3.Error) as error:
            self.stop(str(error))


def _params(request: Request) -> str:
    return request.body or "&".join(map("=".join, request.query.items()))
