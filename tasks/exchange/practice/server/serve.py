"""Serving a practice exchange: both ports, the beat of its heart, and a clean end."""

from __future__ import annotations

import asyncio
import errno
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from aiohttp import web

from data.errors import BadInput
from tasks.exchange.practice.clock import FASTEST
from tasks.exchange.practice.kraken.limits import Tier
from tasks.exchange.practice.server.admin import admin_server
from tasks.exchange.practice.server.http import NOTICE, Server, checked_host
from tasks.exchange.practice.server.plan import GENERATED, Plan
from tasks.exchange.practice.server.venue import Speed, Venue, to_nobody

LOOPBACK = "127.0.0.1"

_BEAT = 0.1
"""Seconds of the wall clock between two beats."""
_LAST_REQUESTS = 0.2
"""Seconds that requests under way have at the end."""


class Addresses(NamedTuple):
    """Where it is reached."""

    url: str
    admin_url: str


@asynccontextmanager
async def served(venue: Venue, port: int, admin_port: int, host: str = LOOPBACK) -> AsyncIterator[Addresses]:
    """Serve a venue until the block ends; a port of 0 is a free one. BadInput for a port or a host that cannot be."""
    checked_host(host)
    server = Server(venue)
    public = web.ServerRunner(server.web, shutdown_timeout=_LAST_REQUESTS)
    admin = web.ServerRunner(admin_server(server), shutdown_timeout=_LAST_REQUESTS)
    heart = asyncio.create_task(_beat(venue))
    heart.add_done_callback(lambda ended: None if ended.cancelled() else venue.stop(f"{ended.exception()!r}"))
    try:
        yield Addresses(await _listen(public, host, port), await _listen(admin, host, admin_port))
    finally:
        heart.cancel()
        await server.close()
        await public.cleanup()
        await admin.cleanup()


def parse_speed(text: str) -> Speed:
    """Return a speed that was typed. BadInput unless it is `max` or a number that a clock can run at."""
    if text == "max":
        return "max"
    with suppress(ValueError):
        if 0 < float(text) <= FASTEST:
            return float(text)
    raise BadInput(f"speed '{text}' cannot be: write a number above 0, such as 60 ({FASTEST:.0f} at most), or max")


def run(
    symbols: Sequence[str],
    speed: Speed,
    seed: int,
    state: Path | None,
    port: int,
    admin_port: int,
    candles: str = GENERATED,
    say: Callable[[str], None] = to_nobody,
    tier: Tier = "none",
) -> None:
    """Serve a practice exchange until Ctrl-C or SIGTERM; `say` is told where, and what happens to it.

    Without a `state` folder it is forgotten at the end. BadInput when something that was asked for cannot be.
    """
    venue = Venue.open(Plan(tuple(symbols), seed, candles), state, speed=speed, tier=tier, say=say)
    try:
        asyncio.run(_until_told(venue, port, admin_port, say))
    finally:
        venue.close()


async def _until_told(venue: Venue, port: int, admin_port: int, say: Callable[[str], None]) -> None:
    end = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, end.set)
    async with served(venue, port, admin_port) as addresses:
        prices = ", ".join(f"{symbol} at {venue.exchange.engine.last(symbol):f}" for symbol in venue.exchange.markets)
        say(f"practice exchange ({NOTICE}): {prices}")
        say(f"Kraken's and Bitfinex's wire: {addresses.url}   faults, clock, journal: {addresses.admin_url}")
        say(f"state: {venue.store.folder or 'forgotten at the end'}   end it with Ctrl-C")
        await end.wait()


async def _listen(runner: web.ServerRunner, host: str, port: int) -> str:
    """Open a port and return its address."""
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            raise BadInput(
                f"port {port} cannot be had ({error.strerror}): give another one, or end what has it"
            ) from None
        raise
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{runner.addresses[0][1]}"


async def _beat(venue: Venue) -> None:
    """Let the exchange's time pass; at full speed, without a pause but for those who ask."""
    while True:
        venue.heartbeat()
        await asyncio.sleep(0 if venue.fastest and not venue.broken else _BEAT)
