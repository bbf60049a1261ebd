"""Visitors of the dashboard without a browser: they open a page, hold its websocket, and note what bar they know of."""

from __future__ import annotations

import asyncio
import json
import re
import time
from typing import Self

import httpx
from tornado.websocket import WebSocketClientConnection, websocket_connect

_TOKEN = re.compile(r'"token":\s*"([^"]+)"')
_BAR = re.compile(r"\bbar (\d+)|\bstreamed-(\d{6})\b")
_READY = {
    "kind": "MessageSent",
    "msg_type": "bokeh_event",
    "msg_data": {"type": "event", "name": "document_ready", "values": {"type": "map", "entries": []}},
}


class Visitor:
    """One who looks at a page of a streamed session (tests/servers/streamed_session.py), or of its backtests."""

    def __init__(self, connection: WebSocketClientConnection) -> None:
        self.seen: list[tuple[float, int]] = []
        """When a message told of a newer bar than all before (seconds of the clock), and of which."""
        self._connection = connection
        self._listener = asyncio.get_running_loop().create_task(self._listen())

    @classmethod
    async def come(cls, url: str) -> Self:
        """Open a page as a browser does: the HTML, its websocket, the document, and word that all of it is there."""
        async with httpx.AsyncClient(timeout=120) as client:
            page = (await client.get(url)).text
        found = _TOKEN.search(page)
        assert found, page[:500]
        address = url.partition("?")[0].replace("http:", "ws:") + "/ws"
        connection = await websocket_connect(
            address, subprotocols=["bokeh", found[1]], max_message_size=100 * 1024 * 1024
        )
        await _hear(connection, "ACK")  # before it the server has no session to ask
        await _send(connection, "PULL-DOC-REQ", {})
        await _hear(connection, "PULL-DOC-REPLY")
        await _send(connection, "PATCH-DOC", {"events": [_READY]})
        return cls(connection)

    async def leave(self) -> None:
        """Close the page."""
        self._connection.close()
        await self._listener

    def arrival(self, bar: int) -> float | None:
        """When the visitor first knew of a bar, or of one after it; None where that is not yet."""
        return next((at for at, newest in self.seen if newest >= bar), None)

    async def _listen(self) -> None:
        newest = -1
        while (message := await self._connection.read_message()) is not None:
            if isinstance(message, bytes):
                continue
            told = max((int(bar) if bar else int(bars) - 1 for bar, bars in _BAR.findall(message)), default=-1)
            if told > newest:
                newest = told
                self.seen.append((time.time(), told))


async def _send(connection: WebSocketClientConnection, kind: str, content: object) -> None:
    for part in ({"msgid": kind, "msgtype": kind}, {}, content):
        await connection.write_message(json.dumps(part))


async def _hear(connection: WebSocketClientConnection, kind: str) -> None:
    """Wait for the head of a message of a kind; its body is next."""
    while f'"{kind}"' not in str(message := await connection.read_message()):
        assert message is not None, f"the server hung up before it sent {kind}"
