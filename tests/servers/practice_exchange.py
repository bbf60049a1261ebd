"""A practice exchange on free ports of loopback, in a thread with an event loop of its own.

with practice_exchange() as practice:                    # the clock stands still until `step`
    client.urls["api"] = {"public": practice.url, "private": practice.url, "zendesk": practice.url}
    practice.step(60)                                    # a minute passes
    practice.fault("hang_after", "AddOrder", times=1)
    assert practice.orders_of(client_id) == ["OABCDE-FGHIJ-KLMNOP"]
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

from tasks.exchange.practice.exchange import PracticeExchange
from tasks.exchange.practice.keys import secret_of
from tasks.exchange.practice.kraken.limits import Tier
from tasks.exchange.practice.server.plan import Plan
from tasks.exchange.practice.server.serve import served
from tasks.exchange.practice.server.venue import Venue
from tasks.exchange.units import SECOND

NOW = 1_768_480_200 * SECOND
"""Half past an hour of 15 January 2026: where the clock begins unless told otherwise, in nanoseconds."""

KEY = "PRACTICE-test"

BALANCES = {"USD": "100000", "BTC": "10", "ETH": "100"}
"""What the account begins with unless told otherwise."""

_T = TypeVar("_T")


def signed(url: str, endpoint: str, *, key: str = KEY, **params: Any) -> urllib.request.Request:
    """Return a private request of Kraken's wire; every one has a higher nonce than the one before."""
    path, nonce = f"/0/private/{endpoint}", str(time.time_ns())
    body = urlencode({"nonce": nonce, **params})
    message = path.encode() + hashlib.sha256((nonce + body).encode()).digest()
    mac = hmac.new(base64.b64decode(secret_of(key)), message, hashlib.sha512).digest()
    return urllib.request.Request(
        url + path, body.encode(), {"API-Key": key, "API-Sign": base64.b64encode(mac).decode()}, method="POST"
    )


class Practice:
    """A practice exchange that is being served."""

    def __init__(self, venue: Venue, loop: asyncio.AbstractEventLoop, url: str, admin_url: str) -> None:
        self.venue = venue
        self.url = url
        """Of Kraken's and Bitfinex's wire: paths /0/... and /v2/..."""
        self.ws_url = url.replace("http://", "ws://") + "/v2"
        self.admin_url = admin_url
        self._loop = loop

    @property
    def exchange(self) -> PracticeExchange:
        """The exchange itself, which a restart replaces. Touch it by `on_loop` while requests are under way."""
        return self.venue.exchange

    def on_loop(self, function: Callable[..., _T], *arguments: Any) -> _T:
        """Call a function in the server's own thread, and return its answer."""

        async def call() -> _T:
            return function(*arguments)

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(30)

    def public(self, endpoint: str, **params: Any) -> Any:
        """Ask Kraken's public wire, and return the JSON; HTTP errors are raised as urllib's HTTPError."""
        with urllib.request.urlopen(f"{self.url}/0/public/{endpoint}?{urlencode(params)}", timeout=30) as answer:
            return json.load(answer)

    def private(self, endpoint: str, *, key: str = KEY, timeout: float = 30, **params: Any) -> Any:
        """Ask Kraken's private wire, signed, and return the JSON; HTTP errors are raised as urllib's HTTPError."""
        request = signed(self.url, endpoint, key=key, **params)
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return json.load(answer)

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Ask the admin port; HTTP errors are raised as urllib's HTTPError."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.admin_url + path, data, {"Content-Type": "application/json"}, method=method
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def step(self, seconds: float) -> None:
        """Let time pass, and all that happens in it."""
        self.ask("POST", "/clock", {"step": seconds})

    def fault(self, kind: str, endpoint: str = "*", **parameters: Any) -> Any:
        """Put a fault in force: `times` or `probability`, `seed`, and the parameters of its kind."""
        return self.ask("POST", "/faults", {"kind": kind, "endpoint": endpoint, **parameters})

    def clear_faults(self) -> None:
        """Put an end to all faults."""
        self.ask("DELETE", "/faults")

    def orders_of(self, client_id: str) -> list[str]:
        """Return the ids of all orders that a client id ever made."""
        ids: list[str] = self.ask("GET", f"/journal/orders?client_id={client_id}")["ids"]
        return ids

    def journal(self, endpoint: str = "*", limit: int = 1000) -> list[dict[str, Any]]:
        """Return the latest requests, newest last."""
        entries: list[dict[str, Any]] = self.ask("GET", f"/journal?endpoint={endpoint}&limit={limit}")["entries"]
        return entries

    def restart(self, *, drop_connections: bool = False) -> None:
        """Stop the exchange and start it again from its state."""
        self.ask("POST", "/restart", {"drop_connections": drop_connections})


@contextmanager
def practice_exchange(
    *,
    symbols: Sequence[str] = ("BTC/USD",),
    seed: int = 1,
    start: int | None = NOW,
    paused: bool = True,
    speed: float = 1.0,
    balances: Mapping[str, Decimal] | None = None,
    state: Path | None = None,
    tier: Tier = "none",
) -> Iterator[Practice]:
    """Serve a practice exchange until the block ends; `tier` is whose rate limits it keeps.

    It begins at `start` (None: the machine's time), and when it is paused at no nanosecond later.
    """
    opened = time.time_ns()
    moving = False
    venue = Venue.open(
        Plan(symbols=tuple(symbols), seed=seed),
        state,
        start=start,
        speed=speed,
        balances=balances or {currency: Decimal(amount) for currency, amount in BALANCES.items()},
        tier=tier,
        wall=lambda: time.time_ns() if moving else opened,
    )
    if paused:
        venue.exchange.clock.pause()
    moving = True
    ready: Any = None
    started = threading.Event()

    async def main() -> None:
        nonlocal ready
        stop = asyncio.Event()
        async with served(venue, port=0, admin_port=0) as addresses:
            ready = (asyncio.get_running_loop(), stop, addresses)
            started.set()
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    assert started.wait(30), "the practice exchange did not start"
    loop, stop, addresses = ready
    try:
        yield Practice(venue, loop, addresses.url, addresses.admin_url)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
        venue.close()
