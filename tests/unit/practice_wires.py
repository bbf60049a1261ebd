"""A practice exchange whose clock stands still, asked at its Kraken wire directly or over HTTP on loopback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import cache
from threading import Thread
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from tasks.exchange.matching.candles import Tick
from tasks.exchange.matching.engine import MatchingEngine
from tasks.exchange.practice.clock import Clock
from tasks.exchange.practice.exchange import PracticeExchange
from tasks.exchange.practice.keys import KeyRing, secret_of
from tasks.exchange.practice.kraken.limits import Limits, Tier
from tasks.exchange.practice.kraken.stream import KrakenStream
from tasks.exchange.practice.kraken.wire import KrakenWire, signature
from tasks.exchange.practice.market.market import Market, generated
from tasks.exchange.practice.market.markets_known import known_rules
from tasks.exchange.practice.wire import Reply, Request
from tasks.exchange.units import MINUTE, SECOND

NOW = 1_768_480_215 * SECOND
"""15 January 2026, 12:30:15 UTC, in nanoseconds."""
KEY = "PRACTICE-kraken"
SYMBOLS = ("BTC/USD", "ETH/USD", "DOGE/USD", "SOL/EUR")
MONEY = {"USD": Decimal(100_000), "BTC": Decimal(2)}


@cache
def _market(symbol: str) -> Market:
    """A market holds nothing but what it always was and will be, so all tests may share it."""
    return generated(known_rules(symbol))


class PracticeKraken:
    """The exchange, its wire and its streams; time moves by `wait` only. At first BTC/USD is deep: 1000 BTC a side."""

    def __init__(self, tier: Tier = "none", *, max_open: int = 80, **money: Decimal) -> None:
        self.clock = Clock(start=NOW, wall=lambda: 0)
        markets = [_market(symbol) for symbol in SYMBOLS]
        rules = [market.rules for market in markets]
        self.engine = MatchingEngine(rules, money or MONEY, max_open=max_open, seed=1)
        self.engine.advance(NOW)
        self.exchange = PracticeExchange(markets, self.engine, self.clock)
        self.engine.reference("BTC/USD", self.minutes(2)[0]._replace(volume=Decimal(1000)))
        self.keys = KeyRing()
        self.wire = KrakenWire(self.exchange, self.keys, Limits(tier))
        self.stream = KrakenStream(self.exchange, beat=0.01, silence=0.05)
        self.nonce = 0
        self.url = ""
        self.loop: asyncio.AbstractEventLoop
        """The server's, while it is served."""

    @property
    def market(self) -> Any:
        return self.exchange.markets["BTC/USD"]

    @property
    def last(self) -> Decimal:
        """The last price of BTC/USD."""
        return self.engine.last("BTC/USD")

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.step(int(seconds * SECOND))
        self.exchange.sync()

    def prints(self, price: Decimal, amount: str = "100") -> None:
        """Let somebody trade BTC/USD now."""
        self.engine.trade("BTC/USD", Tick(self.exchange.synced, price, Decimal(amount), "sell"))

    def public(self, endpoint: str, **query: str) -> Any:
        """Return the body of a public answer."""
        return self.wire.answer(Request("GET", f"/0/public/{endpoint}", query)).body

    def private(self, endpoint: str, **params: Any) -> Any:
        """Return the body of a private answer, to a request that is signed as it should be."""
        return self.ask(endpoint, **params).body

    def ask(self, endpoint: str, *, key: str = KEY, **params: Any) -> Reply:
        """Sign a request, and return the whole reply."""
        self.nonce += 1
        return self.send(endpoint, urlencode({"nonce": self.nonce, **params}), nonce=str(self.nonce), key=key)

    def send(self, endpoint: str, body: str, *, nonce: str, key: str = KEY, **headers: str) -> Reply:
        """Sign any body, and return the whole reply."""
        path = f"/0/private/{endpoint}"
        signed = {"api-key": key, "api-sign": signature(secret_of(key), path, nonce, body).decode()}
        return self.wire.answer(Request("POST", path, {}, signed | headers, body))

    def refusal(self, endpoint: str, **params: Any) -> str:
        """Return the only error of a private answer."""
        body = self.private(endpoint, **params)
        assert set(body) == {"error"}, body
        (error,) = body["error"]
        return str(error)

    def minutes(self, count: int, *, symbol: str = "BTC/USD") -> Any:
        """Return the last one-minute candles of a market, the open one last."""
        return self.exchange.markets[symbol].candles(1, self.exchange.synced, count)


@contextmanager
def served(practice: PracticeKraken) -> Iterator[PracticeKraken]:
    """Serve it on a free port of loopback, wire and streams, until the block ends."""

    async def answer(request: web.Request) -> web.Response:
        body = (await request.read()).decode("utf-8", "surrogateescape")
        headers = {name.lower(): value for name, value in request.headers.items()}
        reply = practice.wire.answer(Request(request.method, request.path, dict(request.query), headers, body))
        return web.Response(text=json.dumps(reply.body), status=reply.status, content_type="application/json")

    async def start() -> web.AppRunner:
        app = web.Application()
        app.router.add_get("/v2", practice.stream.handle)
        app.router.add_route("*", "/0/{path:.*}", answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        practice.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return runner

    async def stop(runner: web.AppRunner) -> None:
        await practice.stream.close()
        await runner.cleanup()

    loop = practice.loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever)
    thread.start()
    runner = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    try:
        yield practice
    finally:
        asyncio.run_coroutine_threadsafe(stop(runner), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


__all__ = ["KEY", "MINUTE", "NOW", "SECOND", "SYMBOLS", "PracticeKraken", "served"]
