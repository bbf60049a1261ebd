"""Kraken's public streams, version 2 of its WebSocket: ohlc, ticker and trade.

A connection remembers up to when it has told of each topic, and asks the market for what came since: nothing is stored
for slow readers.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from itertools import count
from types import MappingProxyType
from typing import Any, NamedTuple
from weakref import WeakSet

from aiohttp import WSCloseCode, WSMsgType, web

from tasks.exchange.practice.exchange import PracticeExchange
from tasks.exchange.practice.kraken.stream_rows import Row, Rows, Topic
from tasks.exchange.practice.kraken.words import rfc3339
from tasks.exchange.practice.market.market import INTERVALS

BEAT = 0.1
"""Seconds of the wall clock between two looks at the markets."""
SILENCE = 1.0
"""Seconds of the wall clock after which a heartbeat says that the connection lives."""

_CHANNELS = ("ohlc", "ticker", "trade")
_LONGEST_MESSAGE = 64 * 1024


class KrakenStream:
    """All connections to the streams. `handle` is the handler of aiohttp's route; `close` ends them."""

    def __init__(self, exchange: PracticeExchange, *, beat: float = BEAT, silence: float = SILENCE) -> None:
        self._exchange = exchange
        self._rows = Rows(exchange)
        self._beat, self._silence = beat, silence
        self._sockets: WeakSet[web.WebSocketResponse] = WeakSet()
        self._numbers = count(1)

    async def handle(
        self, request: web.BaseRequest, headers: Mapping[str, str] = MappingProxyType({})
    ) -> web.WebSocketResponse:
        """Serve one connection until either side closes it; `headers` are what its beginning bears besides."""
        socket = web.WebSocketResponse(max_msg_size=_LONGEST_MESSAGE)
        socket.headers.update(headers)
        await socket.prepare(request)
        self._sockets.add(socket)
        connection = _Connection(socket, self._exchange, self._rows)
        with suppress(ConnectionError):
            await connection.greet(next(self._numbers))
            async with _running(connection, self._beat, self._silence):
                async for message in socket:
                    if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                        await connection.hear(message.data)
        return socket

    async def close(self) -> None:
        """End all connections, as an exchange does that goes down."""
        for socket in tuple(self._sockets):
            await socket.close(code=WSCloseCode.GOING_AWAY)


class _Asked(NamedTuple):
    """A message of the client."""

    method: str
    params: dict[str, Any]
    req_id: int | None
    received: int
    """When: nanoseconds since 1970 UTC, as the exchange tells time."""


class _Refusal(Exception):
    """A message that is answered with an error; the text is what it says."""


class _Connection:
    """One client, what it has subscribed to, and up to when (ns) it has been told of each."""

    def __init__(self, socket: web.WebSocketResponse, exchange: PracticeExchange, rows: Rows) -> None:
        self._socket = socket
        self._exchange = exchange
        self._rows = rows
        self._told: dict[Topic, int] = {}
        self._spoke = time.monotonic()

    async def greet(self, number: int) -> None:
        """Tell the state of the exchange, before anything is asked."""
        data = {"api_version": "v2", "connection_id": number, "system": self._exchange.status, "version": "2.0.0"}
        await self._say({"channel": "status", "type": "update", "data": [data]})

    async def hear(self, text: str | bytes) -> None:
        """Answer one message."""
        received = self._exchange.clock.server_time()
        asked = _Asked("error", {}, None, received)
        try:
            asked = _read(text, received)
            if asked.method == "ping":
                await self._answer(asked, {"method": "pong"})
            elif asked.method == "subscribe":
                await self._each(asked, self._subscribe)
            elif asked.method == "unsubscribe":
                await self._each(asked, self._unsubscribe)
            else:
                raise _Refusal("Unsupported method")
        except _Refusal as refusal:
            await self._refuse(asked, str(refusal))

    async def tell(self, beat: float, silence: float) -> None:
        """Tell what is new at every beat, and send a heartbeat after each silence, until the connection ends."""
        with suppress(ConnectionError):
            while not self._socket.closed:
                await asyncio.sleep(beat)
                self._exchange.sync()
                for topic in tuple(self._told):
                    await self._tell_news(topic)
                if time.monotonic() - self._spoke >= silence:
                    await self._say({"channel": "heartbeat"})

    async def _tell_news(self, topic: Topic) -> None:
        """Tell what is new of a topic, unless the client has unsubscribed from it meanwhile."""
        since, until = self._told.get(topic), self._exchange.synced
        if since is not None and since < until:
            self._told[topic] = until
            await self._send(topic, "update", self._rows.update(topic, since, until))

    async def _each(self, asked: _Asked, work: Callable[[_Asked, Topic], Awaitable[None]]) -> None:
        """Do the work for each symbol; each has an answer of its own."""
        channel, symbols = asked.params.get("channel"), asked.params.get("symbol")
        if channel not in _CHANNELS:
            raise _Refusal("Channel not supported")
        if not isinstance(symbols, list) or not symbols or not all(isinstance(symbol, str) for symbol in symbols):
            raise _Refusal("Symbol(s) not given")
        interval = asked.params.get("interval", 1) if channel == "ohlc" else 0
        if channel == "ohlc" and (type(interval) is not int or interval not in INTERVALS):
            raise _Refusal("Invalid interval")
        for symbol in symbols:
            if symbol in self._exchange.markets:
                await work(asked, Topic(channel, symbol, interval))
            else:
                await self._refuse(asked, f"Currency pair not supported {symbol}", symbol)

    async def _subscribe(self, asked: _Asked, topic: Topic) -> None:
        if topic in self._told:
            await self._refuse(asked, "Already subscribed", topic.symbol)
            return
        self._exchange.sync()
        now, snapshot = self._exchange.synced, asked.params.get("snapshot") is not False
        await self._confirm(asked, topic, {"snapshot": snapshot})
        if snapshot:
            await self._send(topic, "snapshot", self._rows.snapshot(topic, now))
        self._told[topic] = now

    async def _unsubscribe(self, asked: _Asked, topic: Topic) -> None:
        if self._told.pop(topic, None) is None:
            await self._refuse(asked, "Subscription Not Found", topic.symbol)
        else:
            await self._confirm(asked, topic, {})

    async def _confirm(self, asked: _Asked, topic: Topic, more: dict[str, Any]) -> None:
        result = {"channel": topic.channel, "symbol": topic.symbol, **more}
        if topic.interval:
            result["interval"] = topic.interval
        await self._answer(asked, {"method": asked.method, "result": result, "success": True})

    async def _refuse(self, asked: _Asked, text: str, symbol: str | None = None) -> None:
        about = {} if symbol is None else {"symbol": symbol}
        await self._answer(asked, {"error": text, "method": asked.method, "success": False, **about})

    async def _answer(self, asked: _Asked, answer: dict[str, Any]) -> None:
        number = {} if asked.req_id is None else {"req_id": asked.req_id}
        times = {
            "time_in": rfc3339(asked.received, places=6),
            "time_out": rfc3339(self._exchange.clock.server_time(), places=6),
        }
        await self._say(answer | number | times)

    async def _send(self, topic: Topic, kind: str, rows: list[Row]) -> None:
        if not rows:
            return
        message: dict[str, Any] = {"channel": topic.channel, "type": kind, "data": rows}
        if topic.channel == "ohlc":
            message["timestamp"] = rfc3339(self._exchange.clock.server_time(), places=9)
        await self._say(message)

    async def _say(self, message: dict[str, Any]) -> None:
        self._spoke = time.monotonic()
        await self._socket.send_str(json.dumps(message))


@asynccontextmanager
async def _running(connection: _Connection, beat: float, silence: float) -> AsyncIterator[None]:
    """Let a connection tell its news meanwhile."""
    task = asyncio.create_task(connection.tell(beat, silence))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _read(text: str | bytes, received: int) -> _Asked:
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        raise _Refusal("Malformed request") from None
    if not isinstance(message, dict) or not isinstance(message.get("method"), str):
        raise _Refusal("Malformed request")
    params, req_id = message.get("params"), message.get("req_id")
    return _Asked(
        message["method"],
        params if isinstance(params, dict) else {},
        req_id if type(req_id) is int else None,
        received,
    )
