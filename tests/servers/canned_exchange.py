"""An exchange on loopback that answers what a test has written, and notes what it was asked. It looks like Kraken."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from tests.servers.loopback import ASSETS, PAIR, QuietHandler, listening


class Asked(NamedTuple):
    """One request."""

    endpoint: str
    path: str
    headers: dict[str, str]
    body: str

    @property
    def fields(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(self.body).items()}


class Answer(NamedTuple):
    """One answer; without a status the connection is closed in its place."""

    body: str = ""
    status: int | None = 200
    headers: tuple[tuple[str, str], ...] = ()


def result(value: Any) -> Answer:
    """Kraken's envelope around a result."""
    return Answer(json.dumps({"error": [], "result": value}))


def refusal(*texts: str) -> Answer:
    """Kraken's envelope around errors."""
    return Answer(json.dumps({"error": texts}))


class CannedExchange:
    """Answers by the last part of the path; a list is used up, and its last answer stays."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Answer] | Callable[[Asked], Answer]] = {
            "Assets": [result(ASSETS)],
            "AssetPairs": [result({"XXBTZUSD": PAIR})],
        }
        self.asked: list[Asked] = []
        self.url = ""

    def count(self, endpoint: str) -> int:
        """Return how often an endpoint was asked."""
        return sum(asked.endpoint == endpoint for asked in self.asked)

    def answer(self, asked: Asked) -> Answer:
        self.asked.append(asked)
        prepared = self.answers.get(asked.endpoint, [refusal("EGeneral:Unknown method")])
        if callable(prepared):
            return prepared(asked)
        return prepared.pop(0) if len(prepared) > 1 else prepared[0]


@contextmanager
def canned_exchange() -> Iterator[CannedExchange]:
    """Serve on a free port of loopback until the block ends."""
    exchange = CannedExchange()

    class Handler(QuietHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 65536  # one packet, or TCP waits 40 ms between the two

        def do_GET(self) -> None:
            self._answer("")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())

        def _answer(self, body: str) -> None:
            path = urlsplit(self.path).path
            answer = exchange.answer(Asked(path.rpartition("/")[2], path, dict(self.headers), body))
            if answer.status is None:
                self.close_connection = True
                return
            self.send_response_only(answer.status)  # no Date of its own
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer.body.encode())))
            for name, value in answer.headers:
                self.send_header(name, value)
            self.end_headers()
            with suppress(OSError):  # a client that no longer waits
                self.wfile.write(answer.body.encode())
                self.wfile.flush()

    with listening(Handler) as exchange.url:
        yield exchange
