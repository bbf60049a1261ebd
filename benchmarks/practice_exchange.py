"""How fast the practice exchange answers, and how fast it replays a day: `python -m benchmarks.practice_exchange`.

Two tables. The first is a ratio: requests of GET /0/public/Ticker a second, against a bare aiohttp server that
answers the same bytes without looking, each in a process of its own, asked in turns by the same client over the same
number of kept connections. The client speaks raw HTTP and reads no more than the length of an answer. What it could ask
at most is shown by a third server that does not even parse. The second: a day of one-minute candles at `--speed max`,
with a bot that trades over HTTP meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import hmac
import json
import multiprocessing
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from tasks.exchange.practice.keys import secret_of
from tasks.exchange.practice.server.plan import Plan
from tasks.exchange.practice.server.serve import served
from tasks.exchange.practice.server.venue import Speed, Venue

ASK = b"GET /0/public/Ticker?pair=XBTUSD HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
KEY = "PRACTICE-benchmark"
DAY = 86_400


async def practice(told: Connection, speed: Speed) -> None:
    venue = Venue.open(Plan(("BTC/USD",)), speed=speed)
    async with served(venue, 0, 0) as addresses:
        told.send([addresses.url.rpartition(":")[2], addresses.admin_url.rpartition(":")[2]])
        await asyncio.to_thread(told.recv)
    venue.close()


async def bare(told: Connection, body: bytes) -> None:
    async def constant(_: web.BaseRequest) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    runner = web.ServerRunner(web.Server(constant, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    told.send([runner.addresses[0][1]])
    await asyncio.to_thread(told.recv)
    await runner.cleanup()


async def nothing(told: Connection, body: bytes) -> None:
    """Answer without parsing: what the client can ask at most."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)

    class Echo(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport

        def data_received(self, _: bytes) -> None:
            self.transport.write(answer)  # type: ignore[attr-defined]

    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0)
    told.send([server.sockets[0].getsockname()[1]])
    await asyncio.to_thread(told.recv)
    server.close()


def _run(work: Callable[..., Any], told: Connection, argument: Any) -> None:
    asyncio.run(work(told, argument))


@contextmanager
def process(work: Callable[..., Any], argument: Any) -> Iterator[list[int]]:
    """Run a server in a process of its own and yield its ports."""
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("spawn").Process(target=_run, args=(work, theirs, argument))
    child.start()
    try:
        yield [int(port) for port in ours.recv()]
    finally:
        ours.send("end")
        child.join(10)


async def read_answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    start = head.index(b"Content-Length: ") + 16
    return await reader.readexactly(int(head[start : head.index(b"\r\n", start)]))


async def rate(port: int, requests: int, connections: int) -> float:
    """Return the answers a second."""

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(requests // connections):
            writer.write(ASK)
            await read_answer(reader)
        writer.close()

    begun = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(connections)))
    return requests / (time.perf_counter() - begun)


async def one_answer(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(ASK)
    body = await read_answer(reader)
    writer.close()
    return body


def ticker_table(repeats: int, requests: int, connections: int, speeds: list[float]) -> None:
    print("| server | answers/s, median | least | most | to bare, median of the pairs |")
    print("|---|---|---|---|---|")
    for speed in speeds:
        with process(practice, speed) as (port, _):
            body = asyncio.run(one_answer(port))
            with process(bare, body) as (bare_port,), process(nothing, body) as (floor_port,):
                ports = {f"practice, speed {speed:g}": port, "bare aiohttp": bare_port, "no server": floor_port}
                rates: dict[str, list[float]] = {name: [] for name in ports}
                for turn in range(repeats + 1):  # the first turn warms up
                    for name, each in ports.items():
                        found = asyncio.run(rate(each, requests, connections))
                        if turn:
                            rates[name].append(found)
        for name, found in rates.items():
            ratio = statistics.median(one / base for one, base in zip(found, rates["bare aiohttp"], strict=True))
            print(f"| {name} | {statistics.median(found):,.0f} | {min(found):,.0f} | {max(found):,.0f} | {ratio:.2f} |")


class Bot:
    """A client that trades at random over one kept connection."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.done: Counter[str] = Counter()
        self.open: list[str] = []
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    async def connect(self, port: int) -> None:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", port)

    async def ask(self, endpoint: str, **params: str) -> Any:
        path, nonce = f"/0/private/{endpoint}", str(time.time_ns())
        body = urlencode({"nonce": nonce, **params})
        digest = hashlib.sha256((nonce + body).encode()).digest()
        mac = hmac.new(base64.b64decode(secret_of(KEY)), path.encode() + digest, hashlib.sha512)
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAPI-Key: {KEY}\r\nContent-Length: {len(body)}\r\n"
        head += f"API-Sign: {base64.b64encode(mac.digest()).decode()}\r\n\r\n"
        self.writer.write(head.encode() + body.encode())
        return json.loads(await read_answer(self.reader))

    async def price(self) -> float:
        self.writer.write(ASK)
        return float(json.loads(await read_answer(self.reader))["result"]["XXBTZUSD"]["c"][0])

    async def act(self) -> None:
        """Place a limit, a market or a stop order, or cancel one."""
        kind = self.random.choice(["limit", "limit", "market", "stop-loss", "cancel"])
        if kind == "cancel":
            if self.open:
                answer = await self.ask("CancelOrder", txid=self.open.pop(0))
                self.done["cancel" if not answer["error"] else "cancel of a filled one"] += 1
            return
        price = await self.price()
        order = {"pair": "XBTUSD", "volume": "0.001", "ordertype": kind}
        order["type"] = "sell" if kind == "stop-loss" else self.random.choice(["buy", "sell"])
        if kind != "market":
            below = order["type"] == "buy" or kind == "stop-loss"
            order["price"] = f"{price * (1 - 0.001 if below else 1 + 0.001):.1f}"
        answer = await self.ask("AddOrder", **order)
        self.done[kind if not answer["error"] else answer["error"][0]] += 1
        if not answer["error"] and kind != "market":
            self.open += answer["result"]["txid"]


async def admin(port: int, method: str, path: str, body: Any = None) -> Any:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    text = json.dumps(body) if body is not None else ""
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: {len(text)}\r\n\r\n{text}".encode())
    answer = json.loads(await read_answer(reader))
    writer.close()
    return answer


async def replay(orders: int) -> tuple[float, Bot, dict[str, Any]]:
    """Return the seconds that a day took, the bot that traded in it, and the state at its end."""
    with process(practice, 1.0) as (port, admin_port):
        await admin(admin_port, "POST", "/clock", {"pause": True})
        await admin(admin_port, "POST", "/deposit", {"currency": "BTC", "amount": "10"})
        bot = Bot(seed=1)
        await bot.connect(port)
        start = (await admin(admin_port, "GET", "/status"))["time"]
        begun = time.perf_counter()
        await admin(admin_port, "POST", "/clock", {"speed": "max"})
        passed, acted = 0.0, 0
        while passed < DAY:
            while acted < orders * passed / DAY:
                await bot.act()
                acted += 1
            passed = (await admin(admin_port, "GET", "/status"))["time"] - start
        seconds = time.perf_counter() - begun
        await admin(admin_port, "POST", "/clock", {"pause": True})
        state = await admin(admin_port, "GET", "/state")
        sound = await admin(admin_port, "GET", "/check")
    assert sound["sound"], sound
    return seconds, bot, state


def replay_table(orders: int, repeats: int) -> None:
    print("\n| orders and cancels sent | seconds, median | least | most | orders placed | fills | what the bot did |")
    print("|---|---|---|---|---|---|---|")
    for count in (0, orders):
        runs = [asyncio.run(replay(count)) for _ in range(repeats)]
        seconds = [run[0] for run in runs]
        _, bot, state = runs[-1]
        told = ", ".join(f"{number} {kind}" for kind, number in bot.done.most_common()) or "nothing"
        print(
            f"| {sum(bot.done.values())} | {statistics.median(seconds):.2f} | {min(seconds):.2f} | {max(seconds):.2f}"
            f" | {state['orders']} | {state['fills']} | {told} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--requests", type=int, default=8000)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--speeds", type=float, nargs="+", default=[1.0, 60.0])
    parser.add_argument("--orders", type=int, default=600)
    given = parser.parse_args()
    ticker_table(given.repeats, given.requests, given.connections, given.speeds)
    replay_table(given.orders, min(3, given.repeats))


if __name__ == "__main__":
    main()
