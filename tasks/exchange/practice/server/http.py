"""The public port of a practice exchange: HTTP and websockets in front of a venue, on loopback only."""

from __future__ import annotations

import asyncio
import html
import socket
import struct
from functools import lru_cache

from aiohttp import web

from data.errors import BadInput
from tasks.exchange.keys import is_loopback
from tasks.exchange.practice.kraken.stream import KrakenStream
from tasks.exchange.practice.server.faults import Standing
from tasks.exchange.practice.server.mischief import Answer
from tasks.exchange.practice.server.venue import Venue
from tasks.exchange.practice.wire import Request

NOTICE = "practice prices, not a market"
"""What every answer says in the header X-Practice-Exchange."""

_STYLE = (
    ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:2rem auto;"
    "padding:0 1rem}td,th{padding-right:2rem;text-align:left;font-variant-numeric:tabular-nums}"
)

_DRIPS = 50
"""Pieces in which a slow answer comes, at most."""
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: on, 0 seconds. Closing then resets the connection in place of ending it."""


@lru_cache(64)
def is_this_machine(host: str) -> bool:
    """Tell whether a host, with or without a port, is this machine and no other.

    >>> [is_this_machine(host) for host in ("127.0.0.1:8100", "[::1]:80", "localhost", "0.0.0.0")]
    [True, True, True, False]
    """
    if host.startswith("["):
        return is_loopback(host[1:].partition("]")[0])
    return is_loopback(host if host.count(":") > 1 else host.partition(":")[0])


def checked_host(host: str) -> str:
    """Return the address to bind to; BadInput unless it is loopback."""
    if not is_this_machine(host):
        raise BadInput(f"the practice exchange serves this machine only, not {host}: bind it to 127.0.0.1")
    return host


class Server:
    """Answers what comes in at the public port: nothing, no routes nor middleware, stands between client and wire."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.stream = KrakenStream(venue.exchange)
        self.web = web.Server(self.handle, access_log=None, handler_cancellation=True)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        if refusal := self._refusal(request):
            return self._text(refusal, 403)
        path = request.path
        if path.startswith(("/0/", "/v2/")) and path != "/v2/":
            try:
                body = (await request.read()).decode("utf-8", "replace") if request.body_exists else ""
            except web.HTTPRequestEntityTooLarge as error:
                return self._text(error.text or error.reason, error.status)
            asked = Request(request.method, path, request.query, request.headers, body)
            return await self._send(request, self.venue.answer(asked))
        if path in ("/v2", "/ws", "/ws/2") and request.headers.get("Upgrade", "").lower() == "websocket":
            # A stream needs no more of a request than any request has.
            return await self.stream.handle(request, self._practice())
        if path == "/" and request.method == "GET":
            return web.Response(body=self._page().encode(), headers=self._headers("text/html; charset=utf-8"))
        return self._text(f"there is nothing at {path}: Kraken's wire is at /0/, Bitfinex's at /v2/", 404)

    def _refusal(self, request: web.BaseRequest) -> str:
        """Return why a request is not served at all; the practice keys are no secret, so that any page could trade."""
        if "Origin" in request.headers:
            return "the practice exchange answers to no page of the web"
        # A page that has its own name lead here would pass for this machine, if not for its Host header.
        if not is_this_machine(request.host):
            return "the practice exchange answers to this machine's own names only"
        return ""

    def restart(self, *, drop_connections: bool) -> None:
        """Start the exchange again from what is saved, and reset all connections or none."""
        self.venue.restart()
        if drop_connections:
            for connection in list(self.web.connections):
                _reset(connection.transport)

    async def close(self) -> None:
        """Say goodbye to those who listen."""
        await self.stream.close()

    async def _send(self, request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
        body, headers = answer.text.encode(), self._headers(answer.content_type)
        match answer.manner:
            case "hang":
                await asyncio.Event().wait()  # until the client goes, which cancels the handler
            case "reset":
                _reset(request.transport)
            case "drip":
                slow = web.StreamResponse(status=answer.status, headers=headers)
                return await _drip(request, slow, body, answer.seconds)
        return web.Response(body=body, status=answer.status, headers=headers)

    def _practice(self) -> dict[str, str]:
        """Return what every answer bears; its speed, 0 while it stands still, if its clock is not the machine's."""
        clock = self.venue.exchange.clock
        if clock.is_wall:
            return {"X-Practice-Exchange": NOTICE}
        return {"X-Practice-Exchange": NOTICE, "X-Practice-Speed": "0" if clock.paused else f"{clock.speed:g}"}

    def _headers(self, content_type: str) -> dict[str, str]:
        return {"Content-Type": content_type, **self._practice()}

    def _text(self, text: str, status: int) -> web.Response:
        return web.Response(
            body=f"{text}\n".encode(), status=status, headers=self._headers("text/plain; charset=utf-8")
        )

    def _page(self) -> str:
        """Return a page for people who look here with a browser."""
        venue, exchange = self.venue, self.venue.exchange
        exchange.sync()
        rows = "".join(f"<tr><td>{html.escape(s)}<td>{exchange.engine.last(s):f}" for s in exchange.markets)
        told = "".join(f"<li>{html.escape(_fault(standing))}" for standing in venue.faults.standing) or "<li>none"
        speed = (
            "as fast as it can" if venue.fastest else "paused" if exchange.clock.paused else f"{exchange.clock.speed:g}"
        )
        broken = f"<p><strong>{html.escape(venue.broken)}</strong>" if venue.broken else ""
        return (
            "<!doctype html><html lang=en><meta charset=utf-8><title>Practice exchange</title>"
            f"<meta name=viewport content='width=device-width'><style>{_STYLE}</style>"
            f"<h1>Practice exchange</h1><p>These are {NOTICE}: nothing here is worth anything.{broken}"
            f"<table><tr><th>Market<th>Last price{rows}</table>"
            f"<p>Status: {exchange.status}. Speed: {speed}. Open orders: {len(exchange.engine.open_orders())}."
            f"<h2>Faults in force</h2><ul>{told}</ul></html>"
        )


def _fault(standing: Standing) -> str:
    """Return a fault in force in words: what is not as usual of it, and how often it has struck."""
    fault = standing.fault
    given = fault.model_dump(mode="json", exclude_defaults=True, exclude={"kind", "endpoint"})
    words = [f"{fault.kind} at {fault.endpoint}", *(f"{name} {value}" for name, value in given.items())]
    return f"{', '.join(words)}; struck {standing.struck}"


async def _drip(
    request: web.BaseRequest, response: web.StreamResponse, body: bytes, seconds: float
) -> web.StreamResponse:
    """Send a body slowly: in pieces, at equal intervals."""
    response.content_length = len(body)
    await response.prepare(request)
    size = max(1, -(-len(body) // _DRIPS))
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    for piece in pieces:
        await asyncio.sleep(seconds / len(pieces))
        await response.write(piece)
    await response.write_eof()
    return response


def _reset(transport: asyncio.BaseTransport | None) -> None:
    """Cut a connection, so that the other side reads of a reset."""
    if isinstance(transport, asyncio.Transport):
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        transport.abort()
