"""The practice exchange as a server: who is let in, its admin port, its streams, its journal, its end."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from typing import Any

import aiohttp
import pytest

from data.errors import BadInput
from tasks.exchange.practice.server.http import checked_host
from tasks.exchange.practice.server.journal import READS_KEPT, Entry
from tasks.exchange.practice.server.plan import Plan
from tasks.exchange.practice.server.serve import run, served
from tasks.exchange.practice.server.state import Store
from tasks.exchange.practice.server.venue import Venue
from tasks.exchange.units import SECOND
from tests.servers.practice_exchange import KEY, NOW, Practice, practice_exchange, signed

LIMIT = {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "price": "10000", "volume": "0.001"}
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def shared() -> Iterator[Practice]:
    with practice_exchange() as practice:
        yield practice


@pytest.fixture
def practice() -> Iterator[Practice]:
    with practice_exchange() as practice:
        yield practice


def sent(url: str, method: str, path: str, headers: dict[str, str], body: str | bytes = "") -> tuple[HTTPResponse, str]:
    """Send a request as it is; return the answer and its text."""
    connection = HTTPConnection(url.removeprefix("http://"), timeout=10)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer, answer.read().decode()
    finally:
        connection.close()


def refusal(practice: Practice, method: str, path: str, body: Any = None) -> str:
    """Return the line with which the admin port refuses a request."""
    with pytest.raises(urllib.error.HTTPError) as refused:
        practice.ask(method, path, body)
    with refused.value as error:
        assert error.code == 400
        told: str = json.load(error)["error"]
        assert "\n" not in told
        return told


# Who is let in


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.com", "", "localhost.example.com"])
def test_it_binds_to_loopback_and_to_nothing_else(host: str) -> None:
    with pytest.raises(BadInput, match="serves this machine only"):
        checked_host(host)
    venue = Venue.open(Plan())

    async def serve() -> None:
        async with served(venue, 0, 0, host):
            pytest.fail("it was served")

    with pytest.raises(BadInput, match="bind it to"):
        asyncio.run(serve())
    venue.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.8.8"])
def test_loopback_has_several_names(host: str) -> None:
    assert checked_host(host) == host


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "10.0.0.1", ""])
def test_a_name_that_only_leads_here_is_not_answered(shared: Practice, host: str) -> None:
    for url, path in ((shared.url, "/0/public/Time"), (shared.url, "/"), (shared.admin_url, "/status")):
        answer, text = sent(url, "GET", path, {"Host": host})
        assert (answer.status, "unixtime" in text, "BTC/USD" in text) == (403, False, False)


@pytest.mark.parametrize("host", ["localhost:1234", "127.0.0.1", "[::1]:80"])
def test_this_machines_own_names_are_answered(shared: Practice, host: str) -> None:
    assert sent(shared.url, "GET", "/0/public/Time", {"Host": host})[0].status == 200


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("POST", {**JSON, "Origin": "https://evil.example"}, 403),
        ("POST", {**JSON, "Origin": "null"}, 403),
        ("GET", {"Origin": "http://127.0.0.1:8100"}, 403),
        ("DELETE", {"Origin": "http://localhost"}, 403),
        ("POST", {"Content-Type": "text/plain"}, 415),
        ("POST", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ("POST", {}, 415),
    ],
)
def test_no_page_of_a_browser_reaches_the_admin_port(
    shared: Practice, method: str, headers: dict[str, str], status: int
) -> None:
    answer, _ = sent(shared.admin_url, method, "/faults", headers, '{"kind": "empty"}' if method == "POST" else "")
    assert answer.status == status
    assert shared.ask("GET", "/faults") == {"faults": []}


def test_a_port_that_is_taken_is_named(shared: Practice) -> None:
    port = int(shared.url.rpartition(":")[2])
    with pytest.raises(BadInput, match=f"port {port} cannot be had .*: give another one"):
        run(["BTC/USD"], 1.0, 1, None, port, 0)


# What is answered


@pytest.mark.parametrize(
    ("path", "status"),
    [("/0/public/Time", 200), ("/", 200), ("/nowhere", 404), ("/0/public/Nothing", 200), ("/v2/nothing", 500)],
)
def test_every_answer_says_that_it_is_practice(shared: Practice, path: str, status: int) -> None:
    answer, _ = sent(shared.url, "GET", path, {})
    assert answer.status == status
    assert answer.headers["X-Practice-Exchange"] == "practice prices, not a market"
    assert answer.headers["X-Practice-Speed"] == "0"


def test_answers_tell_the_speed(practice: Practice) -> None:
    for speed, told in ((60, "60"), (0.5, "0.5"), ("max", "0")):
        practice.ask("POST", "/clock", {"speed": speed, "resume": True} if speed != "max" else {"speed": speed})
        assert sent(practice.url, "GET", "/0/public/Time", {})[0].headers["X-Practice-Speed"] == told


def test_answers_tell_no_speed_while_the_clock_is_the_machines() -> None:
    with practice_exchange(start=None, paused=False) as practice:
        assert "X-Practice-Speed" not in sent(practice.url, "GET", "/0/public/Time", {})[0].headers
        practice.step(5)
        assert sent(practice.url, "GET", "/0/public/Time", {})[0].headers["X-Practice-Speed"] == "1"


def test_a_page_of_the_web_is_not_served(shared: Practice) -> None:
    answer, text = sent(shared.url, "POST", "/0/private/AddOrder", {"Origin": "http://example.org"})
    assert (answer.status, text) == (403, "the practice exchange answers to no page of the web\n")


def test_the_page_shows_markets_prices_and_faults_and_escapes_what_it_shows(practice: Practice) -> None:
    practice.fault("error", "AddOrder", message="<script>alert(1)</script>")
    answer, text = sent(practice.url, "GET", "/", {})
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    price = str(practice.on_loop(practice.exchange.engine.last, "BTC/USD"))
    for shown in ("practice prices, not a market", "BTC/USD", price, "paused", "&lt;script&gt;"):
        assert shown in text
    assert "<script>" not in text


def test_a_body_that_is_too_large_or_no_text_harms_nobody(shared: Practice) -> None:
    answer, _ = sent(shared.url, "POST", "/0/private/AddOrder", {}, "x" * 3_000_000)
    assert (answer.status, answer.headers["X-Practice-Speed"]) == (413, "0")
    for charset in ("utf-8", "nonsense"):
        headers = {"Content-Type": f"text/plain; charset={charset}", "API-Key": KEY}
        answer, text = sent(shared.url, "POST", "/0/private/AddOrder", headers, b"\xff\xfe\x00")
        assert (answer.status, text) == (200, '{"error":["EAPI:Invalid signature"]}')
    assert shared.public("Time")["error"] == []


def test_the_same_question_is_answered_afresh_after_a_print_an_order_or_a_minute(practice: Practice) -> None:
    def asked() -> Any:
        return practice.public("Ticker", pair="XBTUSD")["result"]["XXBTZUSD"]

    before = asked()
    assert asked() == before
    practice.private("AddOrder", pair="XBTUSD", type="buy", ordertype="market", volume="0.01")
    bought = asked()
    assert bought["a"] != before["a"]
    practice.step(120)
    assert asked()["c"] != bought["c"]
    candles = [practice.public("OHLC", pair="XBTUSD", interval=1)["result"] for _ in range(2)]
    assert candles[0] == candles[1]
    practice.step(60)
    assert practice.public("OHLC", pair="XBTUSD", interval=1)["result"]["last"] == candles[0]["last"] + 60


def test_time_passes_and_orders_fill_when_nobody_asks() -> None:
    with practice_exchange(paused=False, speed=3600) as practice:
        low = float(practice.public("Ticker")["result"]["XXBTZUSD"]["b"][0]) - 1
        order = {**LIMIT, "price": f"{low:.1f}", "volume": "0.0001"}
        practice.private("AddOrder", cl_ord_id="rests", **order)
        for _ in range(100):
            time.sleep(0.05)
            if practice.on_loop(lambda: list(practice.exchange.engine.fills)):
                return
        pytest.fail("nothing was filled")


def test_at_full_speed_days_pass_in_seconds_and_requests_are_answered_meanwhile(practice: Practice) -> None:
    practice.ask("POST", "/clock", {"speed": "max"})
    begun, answered = time.monotonic(), 0
    while practice.ask("GET", "/status")["time"] < NOW / SECOND + 86_400:
        practice.public("Time")
        answered += 1
        assert time.monotonic() - begun < 60
    assert answered > 10
    assert practice.ask("GET", "/check")["sound"]
    practice.ask("POST", "/clock", {"pause": True})
    stopped = practice.public("Time")["result"]["unixtime"]
    assert practice.public("Time")["result"]["unixtime"] == stopped


# The admin port


def test_the_clock_is_stepped_skewed_sped_up_paused_and_resumed(practice: Practice) -> None:
    assert practice.ask("POST", "/clock", {"step": 1.5, "skew": -2})["time"] == NOW / SECOND + 1.5
    assert practice.public("Time")["result"]["unixtime"] == NOW // SECOND - 1
    resumed = practice.ask("POST", "/clock", {"speed": 1000, "resume": True, "skew": 0})
    assert (resumed["speed"], resumed["paused"], resumed["skew"]) == (1000, False, 0)
    time.sleep(0.05)
    assert practice.ask("GET", "/status")["time"] > NOW / SECOND + 40
    assert practice.ask("POST", "/clock", {"pause": True})["paused"]


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        ("/clock", {"step": -1}, "step cannot be used: input should be greater than or equal to 0"),
        ("/clock", {"speed": 0}, "the practice clock cannot run at speed 0"),
        ("/clock", {"speed": "fast"}, "speed"),
        ("/clock", {"tempo": 1}, "tempo cannot be used: extra inputs are not permitted"),
        ("/deposit", {"currency": "USD"}, "amount cannot be used: field required"),
        ("/deposit", {"currency": "USD", "amount": "NaN"}, "amount cannot be used"),
        ("/deposit", {"currency": "us dollars", "amount": "1"}, "currency cannot be used"),
        ("/deposit", {"currency": "USD", "amount": "-1000000"}, "there is not enough money"),
        ("/keys", {"key": "REAL", "permissions": []}, "key cannot be used"),
        ("/keys", {"key": KEY, "permissions": ["withdraw"]}, "permissions.0 cannot be used"),
        ("/restart", {"drop_connections": "perhaps"}, "drop_connections cannot be used"),
        ("/price", {}, "there is no POST /price: GET /status, GET /faults"),
        ("/clock", [], "the body cannot be used"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(shared: Practice, path: str, body: Any, told: str) -> None:
    assert refusal(shared, "POST", path, body).startswith(told)
    assert shared.ask("GET", "/check") == {"sound": True, "broken": ""}


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/journal?limit=many", "limit cannot be used"),
        ("/journal?limit=-1", "limit cannot be used"),
        ("/journal/orders", "client_id cannot be used: field required"),
        ("/status?x=1", "x cannot be used"),
    ],
)
def test_questions_that_make_no_sense_are_refused_in_one_line(shared: Practice, path: str, told: str) -> None:
    assert refusal(shared, "GET", path).startswith(told)


def test_a_body_that_is_no_json_is_refused(shared: Practice) -> None:
    answer, text = sent(shared.admin_url, "POST", "/clock", JSON, "{step:")
    assert (answer.status, "the body is no JSON" in text) == (400, True)


def test_deposits_move_the_balance_and_nothing_else(practice: Practice) -> None:
    before = practice.ask("GET", "/state")["balances"]
    assert practice.ask("POST", "/deposit", {"currency": "USD", "amount": "-0.5"})["total"] == "99999.5"
    practice.ask("POST", "/deposit", {"currency": "SOL", "amount": "3"})
    after = practice.ask("GET", "/state")["balances"]
    assert {name for name in after if after[name] != before.get(name)} == {"USD", "SOL"}


def test_a_key_can_do_what_it_is_permitted(practice: Practice) -> None:
    practice.ask("POST", "/keys", {"key": KEY, "permissions": ["query"]})
    assert practice.private("Balance")["error"] == []
    assert practice.private("AddOrder", **LIMIT)["error"] == ["EGeneral:Permission denied"]


def test_the_state_shows_money_and_open_orders(practice: Practice) -> None:
    (txid,) = practice.private("AddOrder", cl_ord_id="mine", **LIMIT)["result"]["txid"]
    state = practice.ask("GET", "/state")
    (order,) = state["open_orders"]
    assert (order["id"], order["client_id"], order["price"]) == (txid, "mine", "10000")
    assert (state["orders"], state["fills"], float(state["balances"]["USD"]["held"])) == (1, 0, 10.04)


def test_the_state_writes_money_without_exponents(practice: Practice) -> None:
    (txid,) = practice.private("AddOrder", **LIMIT)["result"]["txid"]
    practice.private("CancelOrder", txid=txid)
    practice.ask("POST", "/deposit", {"currency": "SOL", "amount": "0.00000001"})
    balances = practice.ask("GET", "/state")["balances"]
    assert {text for balance in balances.values() for text in balance.values() if "E" in text} == set()
    assert balances["SOL"]["total"] == "0.00000001"


# The journal


def test_the_journal_tells_what_each_request_asked_made_and_was_refused(practice: Practice) -> None:
    practice.public("Ticker", pair="XBTUSD")
    (txid,) = practice.private("AddOrder", cl_ord_id="one", **LIMIT)["result"]["txid"]
    practice.private("AddOrder", **{**LIMIT, "volume": "0.00001"})
    urllib.request.urlopen(signed(practice.url, "Balance", key="PRACTICE-other")).close()
    ticker, added, refused, balance = practice.journal()
    assert (ticker["method"], ticker["path"], ticker["params"]) == ("GET", "/0/public/Ticker", "pair=XBTUSD")
    assert (added["key"], added["orders"], added["client_id"], added["time"]) == (KEY, [txid], "one", NOW)
    assert "cl_ord_id=one" in added["params"]
    assert (refused["errors"], refused["orders"]) == (["EOrder:Order minimum not met"], [])
    assert balance["key"] == "PRACTICE-other"


def test_what_is_asked_over_and_over_is_in_the_journal_each_time(practice: Practice) -> None:
    for pair in ("XBTUSD", "XBTUSD", "NONE", "NONE"):
        practice.public("Ticker", pair=pair)
    unknown = ["EQuery:Unknown asset pair"]
    assert [entry["errors"] for entry in practice.journal("Ticker")] == [[], [], unknown, unknown]


def test_the_journal_says_how_many_orders_a_client_id_made(practice: Practice) -> None:
    market = {"pair": "XBTUSD", "type": "buy", "ordertype": "market", "volume": "0.0001"}
    for _ in range(3):  # as on Kraken, a filled order does not protect against a second one
        practice.private("AddOrder", cl_ord_id="again", **market)
    practice.private("AddOrder", cl_ord_id="other", **market)
    told = practice.ask("GET", "/journal/orders?client_id=again")
    assert (told["orders"], len(set(told["ids"]))) == (3, 3)
    assert practice.ask("GET", "/journal/orders?client_id=none") == {"orders": 0, "ids": []}
    assert [entry["orders"][0] for entry in practice.journal("AddOrder")[:3]] == told["ids"]


def test_the_journal_is_searched_by_endpoint_client_id_and_number(practice: Practice) -> None:
    for endpoint in ("Balance", "OpenOrders", "Balance"):
        practice.private(endpoint)
    practice.private("AddOrder", cl_ord_id="mine", **LIMIT)
    assert [entry["path"][11:] for entry in practice.journal("Balance")] == ["Balance"] * 2
    assert [entry["path"][11:] for entry in practice.journal("*O*rder*", limit=2)] == ["OpenOrders", "AddOrder"]
    assert practice.ask("GET", "/journal?client_id=mine")["entries"] == practice.journal("AddOrder")
    assert practice.ask("GET", "/journal?limit=0") == {"count": 4, "entries": []}


def test_secrets_and_signatures_are_not_in_the_journal(practice: Practice) -> None:
    request = signed(practice.url, "Balance")
    signature = request.get_header("Api-sign")
    urllib.request.urlopen(request).close()
    assert signature is not None
    assert signature not in json.dumps(practice.journal())


def test_old_public_reads_go_and_what_a_key_asked_for_stays() -> None:
    store = Store(None, {})
    store.journal.note(Entry(0, "POST", "/0/private/Balance", ""))
    for number in range(READS_KEPT + READS_KEPT // 5):
        store.journal.note(Entry(number, "GET", "/0/public/Time", ""))
    for _ in range(2):
        store.save({})
        store.journal.note(Entry(0, "GET", "/0/public/Time", ""))
    assert READS_KEPT <= store.journal.count() <= READS_KEPT * 1.11
    assert store.journal.latest(10, "Balance")[0]["method"] == "POST"
    store.close()


# Restarts, streams, and the worst


def test_a_restart_keeps_connections_or_resets_them(practice: Practice) -> None:
    connection = HTTPConnection(practice.url.removeprefix("http://"), timeout=10)
    connection.request("GET", "/0/public/Time")
    connection.getresponse().read()
    port = connection.sock.getsockname()[1]
    practice.restart()
    connection.request("GET", "/0/public/Time")
    assert connection.getresponse().read()
    assert connection.sock.getsockname()[1] == port
    practice.restart(drop_connections=True)
    with pytest.raises(ConnectionResetError):
        connection.sock.recv(1)
    connection.close()
    assert practice.public("Time")["error"] == []


def test_a_stream_says_that_it_is_practice(shared: Practice) -> None:
    async def begin() -> str | None:
        async with aiohttp.ClientSession() as session, session.ws_connect(shared.ws_url) as stream:
            return stream._response.headers.get("X-Practice-Exchange")

    assert asyncio.run(begin()) == "practice prices, not a market"


def test_streams_go_on_over_a_restart_and_end_when_connections_are_dropped(practice: Practice) -> None:
    subscribe = {"method": "subscribe", "params": {"channel": "trade", "symbol": ["BTC/USD"], "snapshot": False}}

    async def trades(socket: aiohttp.ClientWebSocketResponse) -> list[Any]:
        while True:
            message = await socket.receive_json(timeout=10)
            if message.get("channel") == "trade":
                return list(message["data"])

    async def listen() -> None:
        async with aiohttp.ClientSession() as session, session.ws_connect(practice.ws_url) as stream:
            await stream.send_json(subscribe)
            while (await stream.receive_json(timeout=10)).get("method") != "subscribe":
                pass
            for _ in range(2):
                await asyncio.to_thread(practice.step, 120)
                assert (await trades(stream))[0]["symbol"] == "BTC/USD"
                await asyncio.to_thread(practice.restart)
            await asyncio.to_thread(practice.restart, drop_connections=True)
            while (message := await stream.receive(timeout=10)).type is aiohttp.WSMsgType.TEXT:
                pass
            assert message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)

    asyncio.run(listen())


def test_faults_stay_in_force_over_a_restart(practice: Practice) -> None:
    practice.fault("empty", "Time", times=2)
    practice.restart()
    assert [fault["kind"] for fault in practice.ask("GET", "/faults")["faults"]] == ["empty"]


def test_books_that_do_not_add_up_stop_the_trading_and_the_last_sound_state_is_kept(practice: Practice) -> None:
    practice.private("AddOrder", cl_ord_id="sound", **LIMIT)

    def steal() -> None:
        ledger = practice.exchange.engine._ledger
        ledger.account["USD"] -= 1

    practice.on_loop(steal)
    for endpoint in ("AddOrder", "Balance"):
        with pytest.raises(urllib.error.HTTPError) as failed:
            practice.private(endpoint, cl_ord_id="stolen", **LIMIT)
        with failed.value as error:
            assert error.code == 500
            assert re.search(r"has stopped trading: \w+.*USD", error.read().decode())
    assert not practice.ask("GET", "/check")["sound"]
    assert "has stopped trading" in sent(practice.url, "GET", "/", {})[1]
    assert practice.orders_of("stolen") == []
    practice.restart()
    assert practice.ask("GET", "/check") == {"sound": True, "broken": ""}
    assert list(practice.private("OpenOrders")["result"]["open"]) == practice.orders_of("sound")


def test_an_exchange_whose_heart_stops_says_so_and_trades_no_more(practice: Practice) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("a defect")

    practice.on_loop(setattr, practice.venue, "heartbeat", fail)
    for _ in range(100):
        time.sleep(0.02)
        if practice.ask("GET", "/status")["broken"]:
            break
    assert "has stopped trading: ZeroDivisionError('a defect')" in practice.ask("GET", "/status")["broken"]
    with pytest.raises(urllib.error.HTTPError):
        practice.private("AddOrder", **LIMIT)


def test_rate_limits_are_kept_where_they_are_asked_for() -> None:
    with practice_exchange(tier="starter") as practice:
        answers = [practice.private("Balance")["error"] for _ in range(20)]
    assert answers[0] == []
    assert answers[-1] == ["EAPI:Rate limit exceeded"]


def test_a_client_that_goes_amid_its_request_harms_nobody(shared: Practice) -> None:
    host, _, port = shared.url.removeprefix("http://").partition(":")
    for text in (
        b"",
        b"GET /0/pub",
        b"POST /0/private/AddOrder HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99\r\n\r\nab",
    ):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(text)
    assert shared.public("Time")["error"] == []


def test_ten_minutes_are_the_same_in_one_step_or_in_many() -> None:
    def prices(steps: int) -> tuple[Any, Any]:
        with practice_exchange() as practice:
            practice.private("AddOrder", **{**LIMIT, "price": "47000", "volume": "1"})
            for _ in range(steps):
                practice.step(600 / steps)
            return practice.public("OHLC", pair="XBTUSD"), practice.ask("GET", "/state")

    assert prices(1) == prices(20)


def test_symbols_and_candles_that_cannot_be_are_refused() -> None:
    for symbols, told in (
        ((), "needs markets"),
        (("BTC/USD",) * 2, "each of them once"),
        (("BTC",), "'BTC' is no market"),
    ):
        with pytest.raises(BadInput, match=told):
            Venue.open(Plan(symbols))
    with pytest.raises(BadInput, match="'sometimes' are no candles"):
        Plan(candles="sometimes")
