"""The practice exchange's streams, by a bare WebSocket and by the real ccxt.pro."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import aiohttp
import pytest

from tests.unit.practice_wires import MINUTE, NOW, SECOND, PracticeKraken, served

PRINTS_WITHIN = 40
"""Seconds in which somebody trades BTC/USD, several times."""


@pytest.fixture
def kraken() -> Iterator[PracticeKraken]:
    with served(PracticeKraken()) as practice:
        yield practice


class Line:
    """One connection."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def say(self, message: Any) -> None:
        await self.socket.send_str(message if isinstance(message, str) else json.dumps(message))

    async def hear(self) -> Any:
        """The next message that is no heartbeat."""
        while (message := json.loads(await self.socket.receive_str(timeout=5))) == {"channel": "heartbeat"}:
            pass
        return message

    async def ask(self, method: str, req_id: int = 1, **params: Any) -> Any:
        """Say something, and return the answer to it; what comes before it is dropped."""
        await self.say({"method": method, "params": params, "req_id": req_id})
        while (message := await self.hear()).get("req_id") != req_id:
            pass
        return message


@asynccontextmanager
async def line(kraken: PracticeKraken) -> AsyncIterator[Line]:
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{kraken.url}/v2") as socket:
        found = Line(socket)
        greeting = await found.hear()
        assert (greeting["channel"], greeting["data"][0]["system"]) == ("status", "online")
        yield found


def run(kraken: PracticeKraken, work: Callable[[Line], Awaitable[None]]) -> None:
    async def connected() -> None:
        async with line(kraken) as found:
            await work(found)

    asyncio.run(connected())


def candles_of(interval: Any) -> dict[str, Any]:
    """A subscription."""
    return {"method": "subscribe", "params": {"channel": "ohlc", "symbol": ["BTC/USD"], "interval": interval}}


def candle_row(candle: Any) -> tuple[float, ...]:
    return tuple(float(value) for value in (candle.open, candle.high, candle.low, candle.close, candle.volume))


def test_ping_is_answered_with_pong_and_its_number(kraken: PracticeKraken) -> None:
    async def work(line: Line) -> None:
        pong = await line.ask("ping", req_id=101)
        assert pong == {
            "method": "pong",
            "req_id": 101,
            "time_in": "2026-01-15T12:30:15.000000Z",
            "time_out": "2026-01-15T12:30:15.000000Z",
        }

    run(kraken, work)


def test_heartbeats_come_in_silence(kraken: PracticeKraken) -> None:
    async def work(line: Line) -> None:
        for _ in range(3):
            assert await line.socket.receive_json(timeout=5) == {"channel": "heartbeat"}

    run(kraken, work)


def test_trades_begin_with_the_last_fifty_and_go_on_without_gap_or_repetition(kraken: PracticeKraken) -> None:
    async def work(line: Line) -> None:
        answer = await line.ask("subscribe", channel="trade", symbol=["BTC/USD"])
        assert answer["success"]
        assert answer["result"] == {"channel": "trade", "symbol": "BTC/USD", "snapshot": True}
        snapshot = await line.hear()
        assert (snapshot["channel"], snapshot["type"]) == ("trade", "snapshot")
        told = snapshot["data"]
        assert len(told) == 50
        for _ in range(3):
            kraken.clock.step(PRINTS_WITHIN * SECOND)
            update = await line.hear()
            assert (update["channel"], update["type"]) == ("trade", "update")
            told += update["data"]
        ticks = list(kraken.market.ticks(NOW - 60 * MINUTE, NOW + 3 * PRINTS_WITHIN * SECOND))[-len(told) :]
        assert [(row["trade_id"], row["price"], row["qty"], row["side"]) for row in told] == [
            (tick.time // 1000, float(tick.price), float(tick.amount), tick.side) for tick in ticks
        ]

    run(kraken, work)


def test_candles_are_told_as_they_grow_and_as_they_close(kraken: PracticeKraken) -> None:
    async def work(line: Line) -> None:
        await line.ask("subscribe", channel="ohlc", symbol=["BTC/USD"], interval=1)
        snapshot = await line.hear()
        assert snapshot["type"] == "snapshot"
        assert [candle_row_of(row) for row in snapshot["data"]] == [candle_row(c) for c in kraken.minutes(100)]
        kraken.clock.step(150 * SECOND)
        update = await line.hear()
        grown = kraken.market.candles(1, NOW + 150 * SECOND, 3)
        assert [candle_row_of(row) for row in update["data"]] == [candle_row(candle) for candle in grown]
        assert [row["interval_begin"] for row in update["data"]] == [
            f"2026-01-15T12:{minute}:00.000000000Z" for minute in (30, 31, 32)
        ]
        assert {row["interval"] for row in update["data"]} == {1}

    def candle_row_of(row: dict[str, Any]) -> tuple[float, ...]:
        return tuple(row[name] for name in ("open", "high", "low", "close", "volume"))

    run(kraken, work)


def test_the_ticker_is_told_whenever_somebody_trades(kraken: PracticeKraken) -> None:
    async def work(line: Line) -> None:
        await line.ask("subscribe", channel="ticker", symbol=["BTC/USD"])
        (first,) = (await line.hear())["data"]
        kraken.clock.step(PRINTS_WITHIN * SECOND)
        (then,) = (await line.hear())["data"]
        day = kraken.minutes(1440)
        assert then["last"] == float(kraken.last)
        assert then["volume"] == float(sum(candle.volume for candle in day)) != first["volume"]
        assert then["bid"] < then["last"] < then["ask"]
        assert then["low"] <= then["vwap"] <= then["high"]
        assert then["change"] == float(kraken.last - day[0].open)

    run(kraken, work)


def test_who_does_not_want_a_snapshot_gets_none_and_who_unsubscribes_hears_no_more(kraken: PracticeKraken) -> None:
    async def work(line: Line) -> None:
        await line.ask("subscribe", channel="trade", symbol=["BTC/USD"], snapshot=False)
        kraken.clock.step(PRINTS_WITHIN * SECOND)
        assert (await line.hear())["type"] == "update"
        answer = await line.ask("unsubscribe", req_id=2, channel="trade", symbol=["BTC/USD"])
        assert (answer["success"], answer["method"]) == (True, "unsubscribe")
        kraken.clock.step(PRINTS_WITHIN * SECOND)
        for _ in range(3):
            assert await line.socket.receive_json(timeout=5) == {"channel": "heartbeat"}
        again = await line.ask("unsubscribe", req_id=3, channel="trade", symbol=["BTC/USD"])
        assert (again["success"], again["error"]) == (False, "Subscription Not Found")

    run(kraken, work)


def test_each_symbol_of_a_subscription_has_an_answer_of_its_own(kraken: PracticeKraken) -> None:
    async def work(line: Line) -> None:
        symbols = ["BTC/USD", "XBT/USD", "ETH/USD", "BTC/USD"]
        await line.say(
            {"method": "subscribe", "params": {"channel": "ticker", "symbol": symbols, "snapshot": False}, "req_id": 4}
        )
        answers = [await line.hear() for _ in symbols]
        assert [answer["success"] for answer in answers] == [True, False, True, False]
        assert (answers[1]["error"], answers[1]["symbol"]) == ("Currency pair not supported XBT/USD", "XBT/USD")
        assert answers[3]["error"] == "Already subscribed"
        assert {answer["req_id"] for answer in answers} == {4}

    run(kraken, work)


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("no json", "Malformed request"),
        ("[1]", "Malformed request"),
        ("[" * 50_000, "Malformed request"),
        ('{"method": 5}', "Malformed request"),
        ({"method": "add_order"}, "Unsupported method"),
        ({"method": "subscribe"}, "Channel not supported"),
        ({"method": "subscribe", "params": []}, "Channel not supported"),
        ({"method": "subscribe", "params": {"channel": ["ohlc"]}}, "Channel not supported"),
        ({"method": "subscribe", "params": {"channel": "executions"}}, "Channel not supported"),
        ({"method": "subscribe", "params": {"channel": "trade"}}, "Symbol(s) not given"),
        ({"method": "subscribe", "params": {"channel": "trade", "symbol": [5]}}, "Symbol(s) not given"),
        ({"method": "subscribe", "params": {"channel": "trade", "symbol": "BTC/USD"}}, "Symbol(s) not given"),
        (candles_of(7), "Invalid interval"),
        (candles_of("1"), "Invalid interval"),
        (candles_of(True), "Invalid interval"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_and_the_connection_goes_on(
    kraken: PracticeKraken, message: Any, error: str
) -> None:
    async def work(line: Line) -> None:
        await line.say(message)
        answer = await line.hear()
        assert (answer["error"], answer["success"]) == (error, False)
        assert (await line.ask("ping", req_id=9))["method"] == "pong"

    run(kraken, work)


def test_a_connection_is_told_goodbye_when_the_exchange_goes_down(kraken: PracticeKraken) -> None:
    async def connected() -> None:
        async with line(kraken) as found:
            done = asyncio.run_coroutine_threadsafe(kraken.stream.close(), kraken.loop)
            while (message := await found.socket.receive(timeout=5)).type == aiohttp.WSMsgType.TEXT:
                pass
            assert found.socket.close_code == aiohttp.WSCloseCode.GOING_AWAY
            assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
            await asyncio.wrap_future(done)

    asyncio.run(connected())


# ccxt.pro


@asynccontextmanager
async def client(kraken: PracticeKraken) -> AsyncIterator[Any]:
    import ccxt.pro

    made = ccxt.pro.kraken({"enableRateLimit": False, "newUpdates": True})
    made.urls["api"] = dict.fromkeys(("public", "private", "zendesk"), kraken.url)
    names = ("public", "private", "publicV2", "privateV2", "beta", "beta-private")
    made.urls["api"]["ws"] = dict.fromkeys(names, kraken.url.replace("http", "ws") + "/v2")
    try:
        yield made
    finally:
        await made.close()


def test_ccxt_watches_candles(kraken: PracticeKraken) -> None:
    async def work() -> None:
        async with client(kraken) as exchange:
            first = await asyncio.wait_for(exchange.watch_ohlcv("BTC/USD", "1m"), 5)
            assert [row[0] for row in first] == [candle.ts // 1_000_000 for candle in kraken.minutes(100)]
            kraken.clock.step(PRINTS_WITHIN * SECOND)
            news = await asyncio.wait_for(exchange.watch_ohlcv("BTC/USD", "1m"), 5)
            candle = kraken.minutes(1)[0]
            assert news[-1] == [candle.ts // 1_000_000, *candle_row(candle)]

    asyncio.run(work())


def test_ccxt_watches_the_ticker(kraken: PracticeKraken) -> None:
    async def work() -> None:
        async with client(kraken) as exchange:
            first = await asyncio.wait_for(exchange.watch_ticker("BTC/USD"), 5)
            assert (first["symbol"], first["last"]) == ("BTC/USD", float(kraken.last))
            kraken.clock.step(PRINTS_WITHIN * SECOND)
            news = await asyncio.wait_for(exchange.watch_ticker("BTC/USD"), 5)
            day = kraken.minutes(1440)
            assert news["last"] == float(kraken.last)
            assert news["high"] == float(max(candle.high for candle in day))
            assert news["baseVolume"] == float(sum((candle.volume for candle in day), Decimal(0)))
            assert news["bid"] < news["ask"]

    asyncio.run(work())


def test_ccxt_watches_trades(kraken: PracticeKraken) -> None:
    async def work() -> None:
        async with client(kraken) as exchange:
            first = await asyncio.wait_for(exchange.watch_trades("BTC/USD"), 5)
            assert len(first) == 50
            kraken.clock.step(PRINTS_WITHIN * SECOND)
            news = await asyncio.wait_for(exchange.watch_trades("BTC/USD"), 5)
            ticks = list(kraken.market.ticks(NOW, NOW + PRINTS_WITHIN * SECOND))
            assert [(trade["price"], trade["amount"], trade["side"], trade["timestamp"]) for trade in news] == [
                (float(tick.price), float(tick.amount), tick.side, tick.time // 1_000_000) for tick in ticks
            ]

    asyncio.run(work())
