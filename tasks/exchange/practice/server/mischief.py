"""What faults do to a request: one function for each stage of it (`faults` tells which those are)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, Literal

from tasks.exchange.matching.engine import MatchingEngine
from tasks.exchange.practice.clock import Clock
from tasks.exchange.practice.exchange import PracticeExchange
from tasks.exchange.practice.server.faults import (
    Drip,
    ExchangeError,
    Fault,
    Garbling,
    HttpError,
    Loss,
    Maintenance,
    PartialFill,
    Skew,
    Stale,
)
from tasks.exchange.units import SECOND

_PAGE = "<html><head><title>{0}</title></head><body><h1>{0}</h1><p>A fault of the practice exchange.</p></body></html>"
_CLOUDFLARE = {
    520: "Web server is returning an unknown error",
    521: "Web server is down",
    522: "Connection timed out",
    524: "A timeout occurred",
    525: "SSL handshake failed",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it leaves."""

    text: str = ""
    status: int = 200
    content_type: str = "application/json"
    manner: Literal["whole", "hang", "reset", "drip"] = "whole"
    """`hang`: nothing until the client goes; `reset`: the connection is cut; `drip`: byte for byte over `seconds`."""
    seconds: float = 0.0


@contextmanager
def circumstances(fault: Fault | None, exchange: PracticeExchange) -> Iterator[PracticeExchange]:
    """Yield the exchange that does the work, as the fault will have it; afterwards all is as before."""
    status, skew, limit = exchange.status, exchange.clock.skew, exchange.fill_limit
    match fault:
        case Skew():
            exchange.clock.skew += int(fault.seconds * SECOND)
        case Maintenance():
            exchange.status = fault.status
        case PartialFill():
            exchange.fill_limit = fault.fraction
    try:
        yield _as_it_was(exchange, fault.seconds) if isinstance(fault, Stale) else exchange
    finally:
        exchange.status, exchange.clock.skew = status, skew
        if isinstance(fault, PartialFill):
            exchange.fill_limit = limit


def altered(fault: Fault | None, body: Any) -> Any:
    """Return what the answer says in place of `body`."""
    match fault.kind if fault else "":
        case "null_result":
            return {"error": [], "result": None}
        case "no_id":
            return _without_id(body)
        case "candles_missing" | "candles_duplicated" | "candles_disordered" as kind:
            if isinstance(body, list):
                return _jumbled(kind, body)
            result = body.get("result") or {}
            return {**body, "result": {name: _jumbled(kind, rows) for name, rows in result.items()}}
    return body


def intercepted(fault: Fault | None, path: str, answer: Answer) -> Answer:
    """Return what leaves in place of `answer`."""
    match fault:
        case ExchangeError():
            return _refusal(fault, path)
        case HttpError():
            return _page(fault.status)
        case Drip():
            return replace(answer, manner="drip", seconds=fault.seconds)
        case Garbling():
            return _garbled(fault.kind, answer)
        case Loss():
            return _lost(fault.kind, answer)
    return answer


def _refusal(fault: ExchangeError, path: str) -> Answer:
    if path.startswith("/v2/"):
        return Answer(json.dumps(["error", fault.code, fault.message]), 500)
    return Answer(json.dumps({"error": [fault.message]}))


def _lost(kind: str, answer: Answer) -> Answer:
    if kind == "bad_gateway_after":
        return _page(502)
    return replace(answer, manner="hang" if kind.startswith("hang") else "reset")


def _garbled(kind: str, answer: Answer) -> Answer:
    if kind == "html":
        return _page(200)
    texts = {
        "truncated": answer.text[: len(answer.text) // 2],
        "null": "null",
        "empty_object": "{}",
        "empty_list": "[]",
    }
    return Answer(texts.get(kind, ""))


def _as_it_was(exchange: PracticeExchange, seconds: float) -> PracticeExchange:
    """Return the markets of some seconds ago, with nobody's orders in them."""
    clock = Clock(start=exchange.clock.now() - int(seconds * SECOND))
    clock.pause()
    markets = list(exchange.markets.values())
    return PracticeExchange(markets, MatchingEngine([market.rules for market in markets], {}), clock)


def _without_id(body: Any) -> Any:
    if isinstance(body, dict):
        result = body.get("result") or {}
        return {**body, "result": {name: value for name, value in result.items() if name != "txid"}}
    # Bitfinex's notification is [time, "on-req", None, None, [[id, ...], ...], code, "SUCCESS", text]
    return [*body[:4], [[None, *order[1:]] for order in body[4] or []], *body[5:]] if body[0] != "error" else body


def _jumbled(kind: str, rows: Any) -> Any:
    """Return the rows with the middle one of every three missing, or twice; or every three the wrong way round."""
    if not isinstance(rows, list):  # Kraken's `last`
        return rows
    if kind == "candles_disordered":
        return [row for start in range(0, len(rows), 3) for row in rows[start : start + 3][::-1]]
    copies = 0 if kind == "candles_missing" else 2
    return [row for place, row in enumerate(rows) for _ in range(copies if place % 3 == 1 else 1)]


def _page(status: int) -> Answer:
    name = _CLOUDFLARE.get(status) or (HTTPStatus(status).phrase if status in set(HTTPStatus) else "Error")
    return Answer(_PAGE.format(f"{status} {name}"), status, "text/html")
