"""A small exchange on loopback with Kraken's and Bitfinex's public market data, as far as candles need it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from tests.servers.loopback import ASSETS, PAIR, QuietHandler, listening

HOUR = 3600
KRAKEN_WINDOW = 720


class Asked(NamedTuple):
    """One request."""

    path: str
    query: dict[str, str]
    at: float


class Candle(NamedTuple):
    """One candle, as numbers are printed."""

    open: str
    high: str
    low: str
    close: str
    volume: str


def candle(ts: int) -> Candle:
    """Return the candle that trades at `ts` unless told otherwise; no two neighbours are alike."""
    price = 20_000 + ts // HOUR % 97
    return Candle(f"{price}.0", f"{price + 9}.5", f"{price - 7}.1", f"{price + 2}.3", f"{1 + ts // HOUR % 13}.00000001")


class PublicExchange:
    """Its clock stands still at `now`; hourly candles from `first` on, the one of `now` still open."""

    def __init__(self, now: int, first: int, page: int = 10_000) -> None:
        self.now = now
        self.page = page
        self.candles = {ts: candle(ts) for ts in range(first, now + 1, HOUR)}
        self.asked: list[Asked] = []
        self.faults: list[tuple[int, str]] = []
        """Answers to give to the next requests for candles in place of candles: status and body."""
        self.repeat: set[int] = set()
        """Candles that are answered twice."""
        self.url = ""

    def candle_requests(self) -> list[Asked]:
        """Return the requests for candles so far."""
        return [asked for asked in self.asked if "OHLC" in asked.path or "/candles/" in asked.path]

    def answer(self, path: str, query: dict[str, str]) -> tuple[int, str]:
        """Return status and body for a request."""
        self.asked.append(Asked(path, query, time.monotonic()))
        if self.faults and ("OHLC" in path or "/candles/" in path):
            return self.faults.pop(0)
        return 200, json.dumps(self._kraken(path, query) if path.startswith("/0/") else self._bitfinex(path, query))

    def _kraken(self, path: str, query: dict[str, str]) -> dict[str, Any]:
        endpoint = path.removeprefix("/0/public/")
        if endpoint == "Assets":
            return {"error": [], "result": ASSETS}
        if endpoint == "AssetPairs":
            return {"error": [], "result": {"XXBTZUSD": PAIR}}
        if endpoint == "Time":
            return {"error": [], "result": {"unixtime": self.now, "rfc1123": ""}}
        if endpoint == "OHLC" and query["pair"] == "XXBTZUSD" and query["interval"] == "60":
            rows = sorted(ts for ts in self.candles if ts <= self.now)[-KRAKEN_WINDOW - 1 :]
            shown = [ts for ts in rows if ts > int(query.get("since", 0))]
            return {"error": [], "result": {"XXBTZUSD": [self._kraken_row(ts) for ts in shown], "last": rows[-2]}}
        return {"error": ["EGeneral:Unknown method"]}

    def _kraken_row(self, ts: int) -> list[Any]:
        c = self.candles[ts]
        return [ts, c.open, c.high, c.low, c.close, c.open, c.volume, 7]

    def _bitfinex(self, path: str, query: dict[str, str]) -> list[Any]:
        if path.startswith("/v2/conf/pub:info:pair"):
            limits = [None, None, None, "0.00004", "2000.0", None, None, None, None, None, None, None]
            return [[["BTCUSD", limits]], [], [], ["BTCUSD"]]
        if path.startswith("/v2/conf/"):
            return [["BTC", "USD"], [], [], [], [], [], [], [], [], [], []]
        assert path == "/v2/candles/trade:1h:tBTCUSD/hist", path
        limit = min(int(query.get("limit", 100)), self.page)
        times = sorted(ts for ts in self.candles if ts * 1000 >= int(query.get("start", 0)))
        times = times[:limit] if query.get("sort") == "1" else times[::-1][:limit]
        times = [ts for ts in times for _ in range(2 if ts in self.repeat else 1)]
        return [self._bitfinex_row(ts) for ts in times]

    def _bitfinex_row(self, ts: int) -> list[float]:
        c = self.candles[ts]
        return [ts * 1000, *(float(text) for text in (c.open, c.close, c.high, c.low, c.volume))]


@contextmanager
def serve(exchange: PublicExchange) -> Iterator[PublicExchange]:
    """Serve an exchange on a free port of loopback until the block ends."""

    class Handler(QuietHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            status, body = exchange.answer(url.path, {name: values[0] for name, values in parse_qs(url.query).items()})
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

    with listening(Handler) as exchange.url:
        yield exchange
