"""Visitors of a dashboard without a browser: each a websocket that pulls its page and hears what changes on it."""

from __future__ import annotations

import asyncio
import json
import re
import time
from dataclasses import dataclass, field

from tornado.httpclient import AsyncHTTPClient
from tornado.websocket import WebSocketClientConnection, websocket_connect

_TOKEN = re.compile(r'"token":"([^"]+)"')
_TICK = re.compile(r"tick (\d+)\b")

_READY = {
    "events": [
        {
            "kind": "MessageSent",
            "msg_type": "bokeh_event",
            "msg_data": {"type": "event", "name": "document_ready", "values": {"type": "map", "entries": []}},
        }
    ]
}
"""What a browser says when it has drawn the page."""


@dataclass
class Visitor:
    """One session; `heard` has the instant, in seconds since 1970, at which each tick of the writer first arrived."""

    url: str
    heard: dict[int, float] = field(default_factory=dict)
    bytes: int = 0
    """Characters of all messages since the page was there."""
    lost: bool = False
    """Whether the server ended the session."""
    _connection: WebSocketClientConnection | None = None

    async def come(self) -> None:
        """Get the page as a browser does, and listen from then on."""
        page = await AsyncHTTPClient().fetch(self.url, request_timeout=120)
        (token,) = _TOKEN.findall(page.body.decode())[:1]
        place = self.url.partition("?")[0].replace("http:", "ws:") + "/ws"
        connection = await websocket_connect(place, subprotocols=["bokeh", token])
        self._connection = connection
        await self._message(connection)
        await _send(connection, "PULL-DOC-REQ", {})
        while '"PULL-DOC-REPLY"' not in await self._message(connection):
            pass
        await _send(connection, "PATCH-DOC", _READY)
        self._listening = asyncio.create_task(self._listen(connection))

    async def leave(self) -> None:
        """Close the session, as a closed tab does."""
        self._listening.cancel()
        if self._connection is not None:
            self._connection.close()

    async def _listen(self, connection: WebSocketClientConnection) -> None:
        while True:
            said = await self._message(connection)
            now = time.time()
            self.bytes += len(said)
            for tick in _TICK.findall(said):
                self.heard.setdefault(int(tick), now)

    async def _message(self, connection: WebSocketClientConnection) -> str:
        """Return the next message whole: header, metadata and content, with the buffers that the header announces."""
        parts: list[str] = []
        while len(parts) < 3:
            frame = await connection.read_message()
            if frame is None:
                self.lost = True
                raise ConnectionError("the server ended the session")
            parts.append(str(frame))
        for _ in range(2 * int(json.loads(parts[0]).get("num_buffers", 0))):
            await connection.read_message()
        return "".join(parts)


async def _send(connection: WebSocketClientConnection, kind: str, content: dict[str, object]) -> None:
    for frame in ({"msgid": "1", "msgtype": kind}, {}, content):
        await connection.write_message(json.dumps(frame))
