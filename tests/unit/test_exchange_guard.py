"""The guard on ccxt's classes, synchronous and asynchronous: what goes out, what comes in, what a failure shows."""

from __future__ import annotations

import asyncio
import base64
import enum
import inspect
import io
import json
import logging
import math
import re
import socket
import time
import traceback
import uuid
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from decimal import Decimal
from functools import partial
from threading import Thread
from typing import Any

import numpy as np
import pandas as pd
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from data.errors import BadInput
from tasks.exchange.guard import Guard, plain
from tasks.exchange.keys import Keys, Secret, practice_keys
from tests.servers.canned_exchange import Answer, Asked, CannedExchange, canned_exchange, refusal, result

KEYS = practice_keys("hidden")
SECRET_BYTES = base64.b64decode(KEYS.secret)
TAKEN = result({"descr": {"order": "buy 0.01000000 XBTUSD @ market"}, "txid": ["OABCDE-FGHIJ-KLMNOP"]})


@pytest.fixture
def exchange() -> Iterator[CannedExchange]:
    with canned_exchange() as served:
        yield served


class Calls:
    """Makes one call on the guarded class, synchronous or asynchronous."""

    def __init__(self, kind: str, base: str) -> None:
        import ccxt
        import ccxt.async_support

        module = ccxt if kind == "sync" else ccxt.async_support
        self.kind = type(f"Safe_{base}", (Guard, getattr(module, base)), {})

    def __call__(self, url: str, do: Callable[[Any], Any], keys: Keys = KEYS, **options: Any) -> Any:
        given = {"enableRateLimit": False, "timeout": 2000, "number": str, **keys.for_ccxt(), **options}
        if self.kind.synchronous:  # type: ignore[attr-defined]
            client = self.kind(given)
            client.urls["api"] = dict.fromkeys(client.urls["api"], url)
            try:
                return do(client)
            finally:
                client.close()
        return asyncio.run(self._later(given, url, do))

    def each(
        self, url: str, call: Callable[[Any], Any], before: list[Callable[[], None]]
    ) -> list[BaseException | None]:
        """Make the same call by one client again and again, and return what each raised."""

        def now(client: Any) -> list[BaseException | None]:
            return [_raised(prepare, call, client) for prepare in before]

        async def later(client: Any) -> list[BaseException | None]:
            done = []
            for prepare in before:
                prepare()
                done += await asyncio.gather(call(client), return_exceptions=True)
            return done

        return self(url, now if self.kind.synchronous else later)  # type: ignore[attr-defined,no-any-return]

    async def _later(self, given: dict[str, Any], url: str, do: Callable[[Any], Any]) -> Any:
        client = self.kind(given)
        client.urls["api"] = dict.fromkeys(client.urls["api"], url)
        client.timeout_on_exit = 0
        try:
            done = do(client)
            return await done if inspect.isawaitable(done) else done
        finally:
            await client.close()


def _raised(prepare: Callable[[], None], call: Callable[[Any], Any], client: Any) -> BaseException | None:
    import ccxt

    prepare()
    try:
        call(client)
    except ccxt.BaseError as error:
        return error
    return None


@pytest.fixture(params=["sync", "async"])
def kraken(request: pytest.FixtureRequest) -> Calls:
    return Calls(request.param, "kraken")


@pytest.fixture(params=["sync", "async"])
def bitfinex(request: pytest.FixtureRequest) -> Calls:
    return Calls(request.param, "bitfinex")


def buy(client: Any, params: dict[str, Any] | None = None, amount: Any = "0.01") -> Any:
    return client.create_order("BTC/USD", "market", "buy", amount, None, params or {})


class Colour(enum.StrEnum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (Decimal("1E-8"), "0.00000001"),
        (Decimal("25"), "25"),
        (Decimal("0.10"), "0.10"),
        (np.float64(0.5), 0.5),
        (np.int64(7), 7),
        (np.bool_(True), True),
        (np.str_("x"), "x"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (True, True),
        (np.array(1.5), 1.5),
        (None, None),
        ((1, Decimal("2")), [1, "2"]),
        ({"a": {"b": np.float64(1.5)}}, {"a": {"b": 1.5}}),
    ],
)
def test_values_are_sent_in_builtin_types(value: Any, sent: Any) -> None:
    done = plain(value, "params")
    assert done == sent
    assert type(done) is type(sent)


@pytest.mark.parametrize(
    "value",
    [
        Colour.RED,
        object(),
        {1, 2},
        b"x",
        1j,
        math.nan,
        math.inf,
        Decimal("NaN"),
        Decimal("Infinity"),
        np.float64("nan"),
        np.array([1.0]),
        np.datetime64("2026-01-01"),
        np.complex128(1),
        pd.Timestamp(0),
        pd.NA,
        {1: "a"},
    ],
)
def test_a_value_that_could_be_dropped_in_silence_is_refused(value: Any) -> None:
    with pytest.raises(BadInput, match=r"^create_order: params cannot be sent: "):
        plain(value, "create_order: params")


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_a_decimal_is_sent_with_all_its_digits_and_no_exponent(value: Decimal) -> None:
    sent = plain(value, "amount")
    assert Decimal(sent) == value
    assert "E" not in sent.upper()


@pytest.mark.parametrize("method", ["create_order", "createOrder"])
def test_every_unified_method_coerces_its_arguments_and_params(
    kraken: Calls, exchange: CannedExchange, method: str
) -> None:
    exchange.answers["AddOrder"] = [TAKEN]
    params = {"cost": Decimal(25), "clientOrderId": uuid.UUID(int=5), "postOnly": np.bool_(False)}
    kraken(exchange.url, lambda client: getattr(client, method)("BTC/USD", "market", "buy", Decimal(25), None, params))
    (asked,) = [asked for asked in exchange.asked if asked.endpoint == "AddOrder"]
    assert (asked.fields["volume"], asked.fields["oflags"]) == ("25", "viqc")
    assert asked.fields["cl_ord_id"] == str(uuid.UUID(int=5))


def test_a_trigger_price_of_numpy_does_not_become_an_immediate_order(kraken: Calls, exchange: CannedExchange) -> None:
    exchange.answers["AddOrder"] = [TAKEN]
    kraken(exchange.url, lambda client: buy(client, {"stopLossPrice": np.float64(90000)}))
    (asked,) = [asked for asked in exchange.asked if asked.endpoint == "AddOrder"]
    assert (asked.fields["ordertype"], asked.fields["price"]) == ("stop-loss", "90000")


@pytest.mark.parametrize(
    ("method", "args"),
    [
        ("create_order", ("BTC/USD", "market", "buy", math.nan)),
        ("createMarketBuyOrderWithCost", ("BTC/USD", object())),
        ("edit_order", ("O1", "BTC/USD", "limit", "buy", 1, math.inf)),
        ("cancel_order", (Colour.RED,)),
        ("fetchOrder", ("O1", None, {"x": {1, 2}})),
        ("fetch_my_trades", ("BTC/USD", pd.Timestamp(0))),
        ("privatePostAddOrder", ({"pair": b"XBTUSD"},)),
    ],
)
def test_nothing_is_sent_of_a_call_with_a_value_that_cannot_be(
    kraken: Calls, exchange: CannedExchange, method: str, args: tuple[Any, ...]
) -> None:
    with pytest.raises(BadInput, match="cannot be sent"):
        kraken(exchange.url, lambda client: getattr(client, method)(*args))
    assert exchange.asked == []


READS: list[tuple[str, str, Callable[[Any], Any]]] = [
    ("BalanceEx", "fetch_balance", lambda c: c.fetch_balance()),
    ("OpenOrders", "fetch_open_orders", lambda c: c.fetch_open_orders()),
    ("ClosedOrders", "fetch_closed_orders", lambda c: c.fetch_closed_orders()),
    ("TradesHistory", "fetch_my_trades", lambda c: c.fetch_my_trades()),
    ("QueryOrders", "fetch_order", lambda c: c.fetch_order("O1")),
    ("TradeVolume", "fetch_trading_fee", lambda c: c.fetch_trading_fee("BTC/USD")),
    ("Ticker", "fetch_ticker", lambda c: c.fetch_ticker("BTC/USD")),
    ("OHLC", "fetch_ohlcv", lambda c: c.fetch_ohlcv("BTC/USD", "1h")),
    ("Depth", "fetch_order_book", lambda c: c.fetch_order_book("BTC/USD")),
    ("Trades", "fetch_trades", lambda c: c.fetch_trades("BTC/USD")),
    ("Time", "fetch_time", lambda c: c.fetch_time()),
    ("AssetPairs", "load_markets", lambda c: c.load_markets()),
    ("AddOrder", "create_order", buy),
    ("CancelOrder", "cancel_order", lambda c: c.cancel_order("O1")),
    ("CancelAll", "cancel_all_orders", lambda c: c.cancel_all_orders()),
    ("CancelAllOrdersAfter", "cancel_all_orders_after", lambda c: c.cancel_all_orders_after(60000)),
]
NO_ANSWERS = [
    Answer("<html>checking your browser</html>"),
    Answer('{"error":[],"result":{"open":{"O1":'),
    Answer(""),
    Answer("null"),
    Answer("[]"),
    Answer("{}"),
    Answer('{"error":[],"result":null}'),
    Answer('{"error":[],"result":[]}'),
    Answer('{"error":[],"result":{}}'),
    Answer('{"error":null,"result":{}}'),
    Answer('{"result":{"open":{}}}'),
    Answer('"busy"'),
]


@pytest.mark.parametrize(("endpoint", "name", "call"), READS, ids=[name for _, name, _ in READS])
def test_an_answer_that_is_none_is_not_read_as_nothing(
    kraken: Calls, exchange: CannedExchange, endpoint: str, name: str, call: Callable[[Any], Any]
) -> None:
    import ccxt

    answers = [partial(exchange.answers.update, {endpoint: [answer]}) for answer in NO_ANSWERS]
    for raised in kraken.each(exchange.url, call, answers):
        assert type(raised) is ccxt.BadResponse
        assert re.fullmatch(f"kraken .*/{endpoint} answered .*, which is no data", str(raised))


@pytest.mark.parametrize(
    "body",
    [
        '{"error":[],"result":{"descr":{"order":"buy 1 XBTUSD @ market"}}}',
        '{"error":[],"result":{"descr":{"order":"buy 1 XBTUSD @ market"},"txid":[]}}',
        '{"error":[],"result":{"descr":{"order":"buy 1 XBTUSD @ market"},"txid":[null]}}',
        '{"error":[],"result":{"descr":{"order":"buy 1 XBTUSD @ market"},"txid":[""]}}',
    ],
)
def test_an_order_without_an_id_is_no_answer(kraken: Calls, exchange: CannedExchange, body: str) -> None:
    import ccxt

    exchange.answers["AddOrder"] = [Answer(body)]
    with pytest.raises(ccxt.BadResponse):
        kraken(exchange.url, buy)


def test_an_order_that_is_only_validated_has_no_id(kraken: Calls, exchange: CannedExchange) -> None:
    exchange.answers["AddOrder"] = [result({"descr": {"order": "buy 0.01000000 XBTUSD @ market"}})]
    assert kraken(exchange.url, lambda client: buy(client, {"validate": "true"}))["id"] is None


def test_accounts_and_lists_that_are_truly_empty_are_answers(kraken: Calls, exchange: CannedExchange) -> None:
    exchange.answers["OpenOrders"] = [result({"open": {}})]
    exchange.answers["ClosedOrders"] = [result({"closed": {}, "count": 0})]
    exchange.answers["TradesHistory"] = [result({"trades": {}, "count": 0})]
    for call in (lambda c: c.fetch_open_orders(), lambda c: c.fetch_closed_orders(), lambda c: c.fetch_my_trades()):
        assert kraken(exchange.url, call) == []


@pytest.mark.parametrize("status", [500, 502, 503, 504, 520, 521, 524, 527, 530, 599])
def test_a_failing_gateway_is_never_an_answer(kraken: Calls, exchange: CannedExchange, status: int) -> None:
    import ccxt

    exchange.answers["OpenOrders"] = [Answer('{"error":[],"result":{"open":{}}}', status)]
    with pytest.raises((ccxt.ExchangeNotAvailable, ccxt.RequestTimeout)):
        kraken(exchange.url, lambda client: client.fetch_open_orders())


@pytest.mark.parametrize("status", [400, 402, 403, 404, 406, 412, 429])
def test_a_client_error_is_never_an_answer(kraken: Calls, exchange: CannedExchange, status: int) -> None:
    import ccxt

    exchange.answers["OpenOrders"] = [Answer('{"error":[],"result":{"open":{}}}', status)]
    with pytest.raises(ccxt.BaseError):
        kraken(exchange.url, lambda client: client.fetch_open_orders())


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(kraken: Calls, exchange: CannedExchange, status: int) -> None:
    import ccxt

    with canned_exchange() as elsewhere:
        leads = (("Location", f"{elsewhere.url}/0/private/OpenOrders"),)
        exchange.answers["OpenOrders"] = [Answer("", status, leads)]
        with pytest.raises(ccxt.BadResponse, match="redirect, which is not followed"):
            kraken(exchange.url, lambda client: client.fetch_open_orders())
        assert elsewhere.asked == []


@pytest.mark.parametrize(
    "raised",
    [
        lambda client: client.options.update(maxRetriesOnFailure=3),
        lambda client: client.options.update(AddOrder={"maxRetriesOnFailure": 3}),
        lambda client: None,
    ],
)
def test_a_request_is_sent_once_whatever_retries_are_asked_for(
    kraken: Calls, exchange: CannedExchange, raised: Callable[[Any], None]
) -> None:
    import ccxt

    def order(client: Any) -> Any:
        raised(client)
        return buy(client, {"maxRetriesOnFailure": 3})

    exchange.answers["AddOrder"] = [Answer("", 502)]
    with pytest.raises(ccxt.ExchangeNotAvailable):
        kraken(exchange.url, order)
    assert exchange.count("AddOrder") == 1
    assert "maxRetriesOnFailure" not in exchange.asked[-1].body


@pytest.mark.parametrize("begins", [b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"HTTP/1.1 200 OK\r\nX-Name: "])
def test_an_answer_that_drips_ends_at_the_timeout(begins: bytes) -> None:
    import ccxt

    def drip(listener: socket.socket) -> None:
        with listener, listener.accept()[0] as connection:
            connection.recv(65536)
            connection.sendall(begins)
            try:
                for _ in range(100):
                    connection.sendall(b"{")
                    time.sleep(0.1)
            except OSError:
                pass

    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    thread = Thread(target=drip, args=(listener,), daemon=True)
    thread.start()
    began = time.monotonic()
    with pytest.raises(ccxt.RequestTimeout):
        Calls("sync", "kraken")(url, lambda client: client.fetch_time(), timeout=500)
    assert time.monotonic() - began < 2
    thread.join(5)


BITFINEX_CONF = [[["BTCUSD", [None, None, None, "0.00004", "2000.0", *[None] * 7]]], [], [], ["BTCUSD"]]


def serve_bitfinex(exchange: CannedExchange, answer: Answer) -> None:
    """Have the exchange answer Bitfinex' lists of markets, and this to all else."""

    def answered(asked: Asked) -> Answer:
        if "/conf/" not in asked.path:
            return answer
        return Answer(json.dumps(BITFINEX_CONF if "info:pair" in asked.path else [["BTC", "USD"], *[[]] * 10]))

    exchange.answer = answered  # type: ignore[method-assign]


@pytest.mark.parametrize(
    "call",
    [
        buy,
        lambda c: c.fetch_balance(),
        lambda c: c.fetch_open_orders(),
        lambda c: c.fetch_closed_orders(),
        lambda c: c.fetch_my_trades("BTC/USD"),
        lambda c: c.cancel_order("1"),
        lambda c: c.cancel_all_orders(),
        lambda c: c.fetch_trading_fees(),
        lambda c: c.fetch_ticker("BTC/USD"),
    ],
    ids=["submit", "wallets", "orders", "hist", "trades", "cancel", "multi", "summary", "ticker"],
)
def test_bitfinex_answers_that_are_none_are_refused(
    bitfinex: Calls, exchange: CannedExchange, call: Callable[[Any], Any]
) -> None:
    import ccxt

    bodies = ("<html>busy</html>", "", "null", "{}", "[[1,2]]", "[1,2,3]", '["on-req"', '{"a":1}')
    before = [partial(serve_bitfinex, exchange, Answer(body)) for body in bodies]
    for raised in bitfinex.each(exchange.url, call, before):
        assert isinstance(raised, (ccxt.BadResponse, ccxt.ExchangeError))


@pytest.mark.parametrize("orders", [None, [], [None], [[]], [[None] * 20], [["x"] * 3]])
def test_a_bitfinex_order_without_an_id_is_no_answer(bitfinex: Calls, exchange: CannedExchange, orders: Any) -> None:
    import ccxt

    notice = [1, "on-req", None, None, orders, None, "SUCCESS", "Submitting 1 orders."]
    serve_bitfinex(exchange, Answer(json.dumps(notice)))
    with pytest.raises(ccxt.BadResponse):
        bitfinex(exchange.url, buy)


@pytest.mark.parametrize("status", ["ERROR", "FAILURE"])
@pytest.mark.parametrize("call", [lambda c: c.cancel_order("1"), lambda c: c.cancel_all_orders()])
def test_a_bitfinex_cancellation_that_failed_is_not_read_as_done(
    bitfinex: Calls, exchange: CannedExchange, call: Callable[[Any], Any], status: str
) -> None:
    import ccxt

    serve_bitfinex(exchange, Answer(json.dumps([1, "oc-req", None, None, [], None, status, "Not cancelled."])))
    with pytest.raises(ccxt.BadResponse):
        bitfinex(exchange.url, call)


def test_numbers_of_json_keep_all_their_digits(bitfinex: Calls, exchange: CannedExchange) -> None:
    serve_bitfinex(exchange, Answer('[["exchange","BTC",123456789012.12345678,0,1e-8,null,null]]'))
    balance = bitfinex(exchange.url, lambda client: client.fetch_balance())
    assert balance["info"] == [["exchange", "BTC", "123456789012.12345678", 0, "1e-8", None, None]]
    assert balance["total"]["BTC"] == "123456789012.12345678"


def test_an_empty_list_of_wallets_is_no_balance(bitfinex: Calls, exchange: CannedExchange) -> None:
    import ccxt

    serve_bitfinex(exchange, Answer("[]"))
    with pytest.raises(ccxt.BadResponse):
        bitfinex(exchange.url, lambda client: client.fetch_balance())


REAL = Keys(Secret("a-real-public-key"), Secret(base64.b64encode(b"a real secret key" * 4).decode()))


@pytest.mark.parametrize("call", [buy, lambda c: c.fetch_ticker("BTC/USD")])
def test_a_real_key_never_reaches_a_loopback_address(
    kraken: Calls, exchange: CannedExchange, call: Callable[[Any], Any]
) -> None:
    with pytest.raises(BadInput, match="a real key is not sent to a loopback address"):
        kraken(exchange.url, call, keys=REAL)
    assert exchange.asked == []


@pytest.mark.parametrize("url", ["http://192.0.2.1", "https://192.0.2.1", "https://api.kraken.com"])
def test_a_practice_key_never_leaves_the_machine(kraken: Calls, url: str) -> None:
    with pytest.raises(BadInput, match="a practice key is sent to a loopback address only"):
        kraken(url, buy)


def test_a_real_key_is_not_sent_by_plain_http(kraken: Calls) -> None:
    with pytest.raises(BadInput, match="a key is sent by https only, not to http://192"):
        kraken("http://192.0.2.1", buy, keys=REAL)


@pytest.mark.parametrize("option", ["proxyUrl", "httpProxy"])
def test_a_key_does_not_go_through_a_proxy(kraken: Calls, exchange: CannedExchange, option: str) -> None:
    import ccxt

    with canned_exchange() as proxy:
        with pytest.raises((BadInput, ccxt.InvalidProxySettings), match="proxy"):
            kraken(exchange.url, lambda c: c.fetch_balance(), **{option: f"{proxy.url}/"})
        assert proxy.asked == []


def test_only_a_connection_that_was_never_made_is_told_as_unsent(kraken: Calls, exchange: CannedExchange) -> None:
    import ccxt

    def unreachable(client: Any) -> Any:
        client.urls["api"] = dict.fromkeys(client.urls["api"], "http://127.0.0.1:9")
        return client.privatePostAddOrder({"pair": "XBTUSD"})

    exchange.answers["AddOrder"] = [Answer(status=None)]
    unsent = []
    for call in (unreachable, buy):
        try:
            requests.get("http://127.0.0.1:9", timeout=1)
        except requests.ConnectionError:  # what the caller is busy with says nothing about its request
            with pytest.raises(ccxt.NetworkError) as failed:
                kraken(exchange.url, call)
        unsent.append(failed.value.unsent)
    assert unsent == [True, False]


FAILURES: dict[str, Answer] = {
    "gateway": Answer("<html>", 502),
    "refused": refusal("EOrder:Insufficient funds"),
    "echo": Answer(f'{{"error":["EGeneral:Invalid arguments:{KEYS.public}:{KEYS.secret}"]}}'),
    "html": Answer("<html></html>"),
    "reset": Answer(status=None),
}


@pytest.mark.parametrize("failure", [*FAILURES, "unreachable", "timeout"])
def test_a_failure_shows_no_key_in_any_frame_cause_or_text(
    kraken: Calls, exchange: CannedExchange, failure: str, caplog: pytest.LogCaptureFixture
) -> None:
    import ccxt

    if failure in FAILURES:
        exchange.answers["AddOrder"] = [FAILURES[failure]]
    url, options = exchange.url, {}
    if failure == "timeout":
        exchange.answers["AddOrder"] = lambda asked: time.sleep(0.5) or TAKEN  # type: ignore[func-returns-value]
        options = {"timeout": 200}

    def order(client: Any) -> Any:
        client.verbose = True
        if failure == "unreachable":
            client.set_markets([])
            client.urls["api"] = dict.fromkeys(client.urls["api"], "http://127.0.0.1:9")
            return client.privatePostAddOrder({"pair": "XBTUSD"})
        return buy(client)

    said = io.StringIO()
    with caplog.at_level(logging.DEBUG), redirect_stdout(said), pytest.raises(ccxt.BaseError) as failed:
        kraken(url, order, **options)
    shown = "".join(traceback.TracebackException.from_exception(failed.value, capture_locals=True).format())
    deep: list[BaseException] = [failed.value]
    while (inner := deep[-1].__cause__ or deep[-1].__context__) is not None:
        deep.append(inner)
    shown += "".join(repr((one.args, vars(one))) for one in deep)
    shown += "".join(repr(frame.f_locals) for one in deep for frame, _ in traceback.walk_tb(one.__traceback__))
    assert "AddOrder" in shown
    assert "RequestHeaders" in said.getvalue()
    for text in (shown, said.getvalue(), caplog.text):
        for key in (KEYS.public, KEYS.secret, repr(SECRET_BYTES)[2:-1], "API-Sign': '"):
            assert key not in text


def test_a_client_shows_no_key_in_its_repr_or_its_attributes(exchange: CannedExchange, kraken: Calls) -> None:
    exchange.answers["BalanceEx"] = [result({"ZUSD": {"balance": "1.0", "hold_trade": "0.0"}})]

    async def look(client: Any) -> str:
        await client.fetch_balance()
        return f"{client!r} {client} {vars(client)!r}"

    def look_now(client: Any) -> str:
        client.fetch_balance()
        return f"{client!r} {client} {vars(client)!r}"

    shown = kraken(exchange.url, look_now if kraken.kind.synchronous else look)  # type: ignore[attr-defined]
    assert KEYS.public not in shown
    assert KEYS.secret not in shown
    assert any(asked.headers.get("API-Key") == KEYS.public for asked in exchange.asked)
