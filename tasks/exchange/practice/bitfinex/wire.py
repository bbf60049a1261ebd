"""Bitfinex's REST wire, version 2, of the practice exchange: paths /v2/..., signatures, nonces, errors.

A private request is a POST with a JSON body and three headers; `bfx-signature` is the hexadecimal HMAC-SHA384 of
"/api", the path, the nonce and the body, under the key's secret (https://docs.bitfinex.com/docs/rest-auth).

Where Bitfinex publishes nothing the choice is named at the place: what it answers to unknown paths, in modes that it
does not know (`cancel_only` and the like), and to an order id that never was.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from tasks.exchange.practice.bitfinex.account import Account
from tasks.exchange.practice.bitfinex.market import MarketData
from tasks.exchange.practice.bitfinex.words import (
    BAD_KEY,
    FAILED,
    MAINTENANCE,
    MAX_INTEGER,
    RATE_LIMIT,
    SMALL_NONCE,
    ErrorRow,
    body_of,
    invalid,
)
from tasks.exchange.practice.exchange import PracticeExchange
from tasks.exchange.practice.keys import KeyRing, Permission, secret_of
from tasks.exchange.practice.wire import Reply, Request
from tasks.exchange.units import MINUTE

_NONCE = re.compile(r"[0-9]{1,16}")


class _Route(NamedTuple):
    """One endpoint."""

    path: re.Pattern[str]
    """Below /v2/; its groups are handed on."""
    answer: Callable[..., Any]
    permissions: frozenset[Permission] = frozenset()
    """One of them is needed; none of a public endpoint."""


class BitfinexWire:
    """Answers as Bitfinex does. What is not understood is answered with an error row, whatever it is."""

    def __init__(self, exchange: PracticeExchange, keys: KeyRing, *, per_minute: int | None = None) -> None:
        """Serve an exchange; of one endpoint it answers `per_minute` requests in a minute of its clock (None: all)."""
        self._exchange = exchange
        self._keys = keys
        self._per_minute = per_minute
        self._asked: dict[str, deque[int]] = {}
        markets = MarketData(exchange)
        self._routes = _public(markets) + _private(Account(exchange, markets))

    def answer(self, request: Request) -> Reply:
        """Carry out a request."""
        self._exchange.sync()
        key = None
        try:
            route, parts = self._route(request)
            self._check_pace(route)
            if not route.permissions:
                return Reply(route.answer(request.query, *parts))
            key = self._proven(request)
            if not route.permissions & self._keys.permissions(key):
                raise ErrorRow(FAILED, "api_key: permission invalid")
            answer = route.answer(body_of(request.body), *parts)
        except ErrorRow as error:
            return Reply(error.row, status=500, key=key, errors=(error.text,))
        reply = answer if isinstance(answer, Reply) else Reply(answer)
        reply.key = key
        return reply

    def _route(self, request: Request) -> tuple[_Route, tuple[str, ...]]:
        """Return the endpoint and the variable parts of its path."""
        path = request.path.removeprefix("/v2/")
        if self._exchange.status == "maintenance" and path != "platform/status":
            raise ErrorRow(MAINTENANCE, "maintenance")
        for route in self._routes:
            match = route.path.fullmatch(path)
            if match and path != request.path:
                if request.method != ("POST" if route.permissions else "GET"):
                    raise invalid("method")
                return route, match.groups()
        raise invalid("path")

    def _check_pace(self, route: _Route) -> None:
        """Refuse one request too many of the last minute."""
        if self._per_minute is None:
            return
        now = self._exchange.clock.now()
        times = self._asked.setdefault(route.path.pattern, deque())
        while times and times[0] <= now - MINUTE:
            times.popleft()
        if len(times) >= self._per_minute:
            raise ErrorRow(RATE_LIMIT, "ERR_RATE_LIMIT")
        times.append(now)

    def _proven(self, request: Request) -> str:
        """Return the key that signed the request; its nonce is then used up."""
        key, nonce, signature = (request.headers.get(f"bfx-{name}", "") for name in ("apikey", "nonce", "signature"))
        if not self._keys.knows(key):
            raise ErrorRow(BAD_KEY, "apikey: invalid")
        signed = f"/api{request.path}{nonce}{request.body}".encode("utf-8", "surrogatepass")
        proof = hmac.new(secret_of(key).encode(), signed, hashlib.sha384).hexdigest()
        if not hmac.compare_digest(proof.encode(), signature.encode("utf-8", "surrogatepass")):
            raise ErrorRow(BAD_KEY, "apikey: digest invalid")
        number = int(nonce) if _NONCE.fullmatch(nonce) else MAX_INTEGER + 1
        if number > MAX_INTEGER or not self._keys.take_nonce(key, number, wire="bitfinex"):
            raise ErrorRow(SMALL_NONCE, "nonce: small")
        return key


def _public(markets: MarketData) -> list[_Route]:
    return [
        _Route(re.compile(r"platform/status"), markets.status),
        _Route(re.compile(r"conf/([^/]+)"), markets.conf),
        _Route(re.compile(r"ticker/([^/]+)"), markets.ticker),
        _Route(re.compile(r"tickers"), markets.tickers),
        _Route(re.compile(r"book/([^/]+)/([^/]+)"), markets.book),
        _Route(re.compile(r"trades/([^/]+)/hist"), markets.trades),
        _Route(re.compile(r"candles/trade:([^:/]+):([^/]+)/(hist|last)"), markets.candles),
    ]


def _private(account: Account) -> list[_Route]:
    reads: list[tuple[str, Callable[..., Any]]] = [
        (r"wallets", account.wallets),
        (r"summary", account.summary),
        (r"orders", account.orders),
        (r"orders/hist", account.order_history),
        (r"orders/([^/]+)", account.orders),
        (r"orders/([^/]+)/hist", account.order_history),
        (r"order/([^/]+):([0-9]{1,16})/trades", account.order_trades),
        (r"trades/hist", account.trades),
        (r"trades/([^/]+)/hist", account.trades),
    ]
    cancels: list[tuple[str, Callable[..., Any]]] = [
        (r"cancel", account.cancel),
        (r"cancel/multi", account.cancel_many),
    ]
    return [
        *(_Route(re.compile(f"auth/r/{path}"), answer, frozenset({"query"})) for path, answer in reads),
        _Route(re.compile(r"auth/w/order/submit"), account.submit, frozenset({"trade"})),
        *(
            _Route(re.compile(f"auth/w/order/{path}"), answer, frozenset({"trade", "cancel"}))
            for path, answer in cancels
        ),
    ]
