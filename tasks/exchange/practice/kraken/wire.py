"""Kraken's REST wire: who asks, whether they may, and what is answered.

Every answer is HTTP 200 with `{"error": [...], "result": ...}`, and an error's text is Kraken's own.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable
from typing import Any

from tasks.exchange.matching.refusals import RefusedOrder
from tasks.exchange.practice.exchange import PracticeExchange
from tasks.exchange.practice.keys import KeyRing, secret_of
from tasks.exchange.practice.kraken.arguments import Arguments, read_body
from tasks.exchange.practice.kraken.limits import Limits
from tasks.exchange.practice.kraken.names import Names
from tasks.exchange.practice.kraken.private import Endpoint, PrivateEndpoints
from tasks.exchange.practice.kraken.public import PublicEndpoints
from tasks.exchange.practice.kraken.words import (
    INVALID_KEY,
    INVALID_NONCE,
    INVALID_SIGNATURE,
    PERMISSION_DENIED,
    REQUEST_LIMIT,
    UNAVAILABLE,
    UNKNOWN_METHOD,
    KrakenRefusal,
    words_of,
)
from tasks.exchange.practice.wire import Reply, Request

PUBLIC, PRIVATE = "/0/public/", "/0/private/"

_ALWAYS = ("Time", "SystemStatus")
"""What is answered during maintenance as well."""

_NONCE = re.compile(r"[0-9]{1,20}")


class KrakenWire:
    """Answers requests as Kraken does. Pure: it reads the clock, moves the exchange, and does no I/O."""

    def __init__(self, exchange: PracticeExchange, keys: KeyRing, limits: Limits | None = None) -> None:
        names = Names(market.rules for market in exchange.markets.values())
        self._exchange = exchange
        self._keys = keys
        self._limits = limits or Limits()
        self._public = PublicEndpoints(exchange, names)
        self._private = PrivateEndpoints(exchange, names, self._limits)

    def answer(self, request: Request) -> Reply:
        """Answer a request; whatever it holds, the answer is one of Kraken's."""
        self._exchange.sync()
        reply = Reply({})
        try:
            result = self._result(request, reply)
        except KrakenRefusal as refusal:
            reply.errors = (str(refusal),)
        except RefusedOrder as refusal:
            reply.errors = (words_of(refusal.refusal),)
        else:
            reply.body = {"error": [], "result": result}
            return reply
        reply.body = {"error": list(reply.errors)}
        return reply

    def snapshot(self) -> dict[str, Any]:
        """Return what only this wire knows, to be kept over a restart as JSON: the orders' userrefs."""
        return {"userrefs": dict(self._private.userrefs)}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Take up a snapshot."""
        self._private.userrefs.update(snapshot["userrefs"])

    def _result(self, request: Request, reply: Reply) -> Any:
        path = request.path
        if path.startswith(PUBLIC):
            work = self._public.endpoints.get(path.removeprefix(PUBLIC))
            return self._ask_public(request, work)
        endpoint = self._private.endpoints.get(path.removeprefix(PRIVATE)) if path.startswith(PRIVATE) else None
        if endpoint is None or request.method != "POST":
            raise KrakenRefusal(UNKNOWN_METHOD)
        return self._ask_private(request, endpoint, reply)

    def _ask_public(self, request: Request, work: Callable[[Arguments], Any] | None) -> Any:
        if work is None:
            raise KrakenRefusal(UNKNOWN_METHOD)
        if self._exchange.status == "maintenance" and not request.path.endswith(_ALWAYS):
            raise KrakenRefusal(UNAVAILABLE)
        return work(read_body(request.body, request.query))

    def _ask_private(self, request: Request, endpoint: Endpoint, reply: Reply) -> Any:
        key = request.headers.get("api-key", "")
        if not self._keys.knows(key):
            raise KrakenRefusal(INVALID_KEY)
        arguments = read_body(request.body, {})
        nonce = arguments.text("nonce", "")
        if not hmac.compare_digest(
            signature(secret_of(key), request.path, nonce, request.body),
            request.headers.get("api-sign", "").encode("utf-8", "surrogatepass"),
        ):
            raise KrakenRefusal(INVALID_SIGNATURE)
        reply.key = key
        if not _NONCE.fullmatch(nonce) or not self._keys.take_nonce(key, int(nonce), wire="kraken"):
            raise KrakenRefusal(INVALID_NONCE)
        if endpoint.permission not in self._keys.permissions(key):
            raise KrakenRefusal(PERMISSION_DENIED)
        if self._exchange.status == "maintenance":
            raise KrakenRefusal(UNAVAILABLE)
        if not self._limits.ask(key, endpoint.points, self._exchange.synced):
            raise KrakenRefusal(REQUEST_LIMIT)
        result = endpoint.work(arguments)
        if request.path == f"{PRIVATE}AddOrder" and "txid" in result:
            reply.orders, reply.client_id = tuple(result["txid"]), arguments.client_id()
        return result


def signature(secret: str, path: str, nonce: str, body: str) -> bytes:
    """Return what API-Sign must be: https://docs.kraken.com/api/docs/guides/spot-rest-auth."""
    digest = hashlib.sha256((nonce + body).encode("utf-8", "surrogatepass")).digest()
    message = path.encode("utf-8", "surrogatepass") + digest
    return base64.b64encode(hmac.new(base64.b64decode(secret), message, hashlib.sha512).digest())
