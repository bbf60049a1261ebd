"""The real, unmodified ccxt, sync and async, against the practice exchange's Bitfinex wire: what ccxt makes of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from threading import Lock
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest

from tasks.exchange.matching.candles import Tick
from tasks.exchange.matching.engine import MatchingEngine
from tasks.exchange.practice.bitfinex.wire import BitfinexWire
from tasks.exchange.practice.clock import Clock
from tasks.exchange.practice.exchange import PracticeExchange
from tasks.exchange.practice.keys import KeyRing, secret_of
from tasks.exchange.practice.market.market import Market, generated
from tasks.exchange.practice.market.markets_known import known_rules
from tasks.exchange.practice.wire import Request
from tasks.exchange.units import MINUTE, SECOND
from tests.servers.loopback import QuietHandler, listening

NOW = 1_768_480_200 * SECOND
"""15 January 2026, 12:30 UTC, in nanoseconds."""
NOW_MS = NOW // 1_000_000
TODAY = "2026-01-15"
KEY = "PRACTICE-ccxt"
SETTINGS = {"apiKey": KEY, "secret": secret_of(KEY), "enableRateLimit": False, "timeout": 10_000}
SYMBOLS = ("BTC/USD", "ETH/USDT", "DOGE/USD")


class Practice(NamedTuple):
    """A client of ccxt, sync or async, and the exchange that it talks to."""

    call: Callable[..., Any]
    client: Any
    exchange: PracticeExchange
    keys: KeyRing

    def raises(self, error: str, text: str, *args: Any, **options: Any) -> None:
        """See that a call raises exactly this class of ccxt's."""
        with pytest.raises(Exception, match=text) as caught:
            self.call(*args, **options)
        assert type(caught.value).__name__ == error

    def prints(self, price: str, amount: str) -> None:
        """Let somebody trade now."""
        self.exchange.engine.trade("BTC/USD", Tick(NOW, Decimal(price), Decimal(amount), "sell"))


@pytest.fixture(scope="module")
def markets() -> list[Market]:
    return [generated(known_rules(symbol)) for symbol in SYMBOLS]


@pytest.fixture
def exchange(markets: list[Market]) -> PracticeExchange:
    clock = Clock(start=NOW)
    clock.pause()
    engine = MatchingEngine([m.rules for m in markets], {"USD": Decimal(100_000), "BTC": Decimal(2)}, seed=1)
    engine.advance(NOW)
    return PracticeExchange(markets, engine, clock)


@pytest.fixture
def keys() -> KeyRing:
    return KeyRing()


@pytest.fixture
def url(exchange: PracticeExchange, keys: KeyRing) -> Iterator[str]:
    """Serve the wire on a free port of loopback."""
    wire, turn = BitfinexWire(exchange, keys), Lock()

    class Handler(QuietHandler):
        wbufsize = -1

        def do_GET(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            at = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            headers = {name.lower(): value for name, value in self.headers.items()}
            with turn:
                reply = wire.answer(Request(self.command, unquote(at.path), dict(parse_qsl(at.query)), headers, body))
            answer = json.dumps(reply.body).encode()
            self.send_response(reply.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

    with listening(Handler) as address:
        yield address


@pytest.fixture(scope="module")
def sync_client() -> Iterator[tuple[Any, Callable[..., Any]]]:
    import ccxt

    client = ccxt.bitfinex(SETTINGS)
    yield client, lambda name, *args, **options: getattr(client, name)(*args, **options)
    client.close()


@pytest.fixture(scope="module")
def async_client() -> Iterator[tuple[Any, Callable[..., Any]]]:
    import ccxt.async_support

    with asyncio.Runner() as runner:
        client = ccxt.async_support.bitfinex(SETTINGS)

        def call(name: str, *args: Any, **options: Any) -> Any:
            async def asked() -> Any:
                return await getattr(client, name)(*args, **options)

            return runner.run(asked())

        yield client, call
        runner.run(client.close())


@pytest.fixture(params=["sync_client", "async_client"])
def practice(request: pytest.FixtureRequest, url: str, exchange: PracticeExchange, keys: KeyRing) -> Practice:
    client, call = request.getfixturevalue(request.param)
    client.urls["api"] = {"v1": url, "public": url, "private": url}
    return Practice(call, client, exchange, keys)


def order(practice: Practice, kind: str, side: str, amount: float, price: float | None = None, **params: Any) -> Any:
    return practice.call("create_order", "BTC/USD", kind, side, amount, price, params)


def ended(practice: Practice, id_: str) -> Any:
    return practice.call("fetch_closed_order", id_)


def best(practice: Practice) -> tuple[float, float]:
    book = practice.call("fetch_order_book", "BTC/USD", 1)
    return book["bids"][0][0], book["asks"][0][0]


# Market data


def test_markets_and_currencies_are_found_under_their_usual_names(practice: Practice) -> None:
    markets = practice.call("load_markets", True)
    assert set(markets) == set(SYMBOLS)
    assert [markets[symbol]["id"] for symbol in SYMBOLS] == ["tBTCUSD", "tETHUST", "tDOGE:USD"]
    market = markets["BTC/USD"]
    assert (market["spot"], market["active"], market["margin"]) == (True, True, False)
    assert market["limits"]["amount"] == {"min": 0.00005, "max": 500.0}
    assert market["precision"] == {"amount": 8, "price": 5}
    assert set(practice.client.currencies) == {"BTC", "ETH", "DOGE", "USD", "USDT"}
    assert practice.client.currencies["USDT"]["id"] == "UST"


def test_the_platform_is_up_until_it_is_under_maintenance(practice: Practice) -> None:
    practice.call("load_markets")
    assert practice.call("fetch_status")["status"] == "ok"
    practice.exchange.status = "maintenance"
    assert practice.call("fetch_status")["status"] == "maintenance"
    practice.raises("OnMaintenance", "maintenance", "fetch_ticker", "BTC/USD")
    practice.raises("OnMaintenance", "maintenance", "fetch_balance")


def test_the_ticker_is_that_of_the_market_and_its_last_day(practice: Practice) -> None:
    day = practice.exchange.markets["BTC/USD"].candles(1, NOW, 1440)
    ticker = practice.call("fetch_ticker", "BTC/USD")
    assert ticker["last"] == float(day[-1].close)
    assert ticker["open"] == pytest.approx(float(day[0].open))
    assert (ticker["high"], ticker["low"]) == (float(max(c.high for c in day)), float(min(c.low for c in day)))
    assert ticker["baseVolume"] == float(sum(c.volume for c in day))
    assert (ticker["bid"], ticker["ask"]) == best(practice)
    assert ticker["bid"] < ticker["ask"]
    assert ticker["timestamp"] is None
    tickers = practice.call("fetch_tickers", ["BTC/USD", "DOGE/USD"])
    assert set(tickers) == {"BTC/USD", "DOGE/USD"}
    assert tickers["BTC/USD"]["last"] == ticker["last"]
    assert set(practice.call("fetch_tickers")) == set(SYMBOLS)


def test_the_book_is_the_engines_level_by_level_in_the_lengths_that_bitfinex_has(practice: Practice) -> None:
    book = practice.call("fetch_order_book", "BTC/USD", 25)
    engine = practice.exchange.engine.book("BTC/USD", 25)
    assert book["bids"] == [[float(level.price), float(level.amount)] for level in engine.bids]
    assert book["asks"] == [[float(level.price), float(level.amount)] for level in engine.asks]
    assert len(practice.call("fetch_order_book", "BTC/USD")["asks"]) == 25
    practice.raises("BadRequest", "len: invalid", "fetch_order_book", "BTC/USD", 5)


def test_trades_are_the_markets_prints_oldest_first(practice: Practice) -> None:
    ticks = list(practice.exchange.markets["BTC/USD"].ticks(NOW - 5 * MINUTE, NOW))
    expected = [(t.time // 1_000_000, float(t.price), float(t.amount), t.side) for t in ticks]

    def parsed(trades: list[Any]) -> list[tuple[Any, ...]]:
        return [(t["timestamp"], t["price"], t["amount"], t["side"]) for t in trades]

    assert parsed(practice.call("fetch_trades", "BTC/USD", limit=7)) == expected[-7:]
    since = expected[0][0]
    assert parsed(practice.call("fetch_trades", "BTC/USD", since=since, limit=7)) == expected[:7]
    assert parsed(practice.call("fetch_trades", "BTC/USD", since=since)) == expected
    assert len({t["id"] for t in practice.call("fetch_trades", "BTC/USD", limit=500)}) == 500


def test_candles_without_since_are_the_latest_with_the_open_one_last(practice: Practice) -> None:
    candles = practice.call("fetch_ohlcv", "BTC/USD", "1h", limit=3)
    expected = practice.exchange.markets["BTC/USD"].candles(60, NOW, 3)
    assert candles == [[c.ts // 1_000_000, *(float(v) for v in c[1:6])] for c in expected]
    assert candles[-1][0] == NOW_MS - 30 * 60_000
    assert len(practice.call("fetch_ohlcv", "BTC/USD", "1h")) == 100


def test_candles_since_a_time_begin_there_and_end_at_the_limit(practice: Practice) -> None:
    since = NOW_MS - 7 * 60_000
    candles = practice.call("fetch_ohlcv", "BTC/USD", "1m", since=since, limit=4)
    assert [candle[0] for candle in candles] == [since + minute * 60_000 for minute in range(4)]
    assert len(practice.call("fetch_ohlcv", "BTC/USD", "1m", since=since)) == 8
    assert practice.call("fetch_ohlcv", "BTC/USD", "1m", since=NOW_MS + 60_000) == []
    assert len(practice.call("fetch_ohlcv", "DOGE/USD", "1m", since=NOW_MS - 20_000 * 60_000, limit=None)) == 10_000


def test_a_timeframe_that_is_not_served_is_a_bad_request(practice: Practice) -> None:
    for timeframe in ("5m", "3h", "12h", "1d", "1w", "2w"):
        assert practice.call("fetch_ohlcv", "BTC/USD", timeframe, limit=2)
    practice.raises("BadRequest", "timeframe: invalid", "fetch_ohlcv", "BTC/USD", "1M", limit=2)


def test_an_unknown_market_is_a_bad_symbol(practice: Practice, monkeypatch: pytest.MonkeyPatch) -> None:
    practice.call("load_markets")
    monkeypatch.setitem(practice.client.markets["BTC/USD"], "id", "tNOSUCH")
    practice.raises("BadSymbol", "symbol: invalid", "fetch_ticker", "BTC/USD")
    practice.raises("BadSymbol", "symbol: invalid", "create_order", "BTC/USD", "market", "buy", 0.001)


# Orders


def test_a_limit_order_rests_and_holds_its_money(practice: Practice) -> None:
    made = order(practice, "limit", "buy", 0.5, 40_000)
    assert (made["status"], made["type"], made["side"], made["price"]) == ("open", "limit", "buy", 40_000.0)
    assert (made["amount"], made["filled"], made["remaining"]) == (0.5, 0.0, 0.5)
    assert made["timestamp"] == NOW_MS
    assert made["timeInForce"] == "GTC"
    assert [o["id"] for o in practice.call("fetch_open_orders")] == [made["id"]]
    assert practice.call("fetch_order", made["id"])["status"] == "open"
    assert practice.call("fetch_closed_orders") == []
    usd = practice.call("fetch_balance")["USD"]
    assert usd == {"total": 100_000.0, "used": pytest.approx(20_080.0), "free": pytest.approx(79_920.0)}


def test_a_limit_order_fills_as_maker_when_the_price_trades_through_it(practice: Practice) -> None:
    made = order(practice, "limit", "buy", 0.5, 45_000)
    practice.prints("44990", "2")
    (resting,) = practice.call("fetch_open_orders")
    assert (resting["status"], resting["filled"], resting["remaining"]) == ("open", 0.2, 0.3)
    assert resting["info"][13] == "PARTIALLY FILLED @ 45000(0.2)"
    practice.prints("44980", "3")
    done = ended(practice, made["id"])
    assert (done["status"], done["filled"], done["remaining"], done["average"]) == ("closed", 0.5, 0.0, 45_000.0)
    assert done["info"][13] == "EXECUTED @ 45000(0.5)"
    trades = practice.call("fetch_my_trades", "BTC/USD")
    assert [trade["amount"] for trade in trades] == [0.2, 0.3]
    for trade in trades:
        assert (trade["order"], trade["takerOrMaker"], trade["type"]) == (made["id"], "maker", "limit")
        assert trade["fee"] == {"cost": pytest.approx(trade["amount"] * 45_000 * 0.0025), "currency": "USD"}


def test_the_answer_to_a_market_order_has_no_fill_yet_and_the_history_has_all(practice: Practice) -> None:
    _, ask = best(practice)
    made = order(practice, "market", "buy", 0.001, clientOrderId=1001)
    assert (made["status"], made["filled"], made["average"]) == ("open", 0.0, None)
    done = ended(practice, made["id"])
    assert (done["status"], done["filled"], done["clientOrderId"]) == ("closed", 0.001, "1001")
    assert done["average"] >= ask
    trades = practice.call("fetch_my_trades", "BTC/USD", limit=1000)
    assert sum(trade["amount"] for trade in trades) == pytest.approx(0.001)
    assert {trade["takerOrMaker"] for trade in trades} == {"taker"}
    assert {trade["info"][11] for trade in trades} == {1001}
    assert practice.call("fetch_order_trades", made["id"], "BTC/USD") == sorted(
        practice.call("fetch_my_trades"), key=lambda trade: trade["id"]
    )
    cost = sum(trade["cost"] + trade["fee"]["cost"] for trade in trades)
    balance = practice.call("fetch_balance")
    assert balance["USD"]["total"] == pytest.approx(100_000 - cost)
    assert balance["BTC"]["total"] == pytest.approx(2.001)


def test_what_the_market_cannot_give_is_cancelled_with_what_was_filled(practice: Practice) -> None:
    practice.exchange.engine.deposit("BTC", Decimal(400))
    done = ended(practice, order(practice, "market", "sell", 400)["id"])
    assert done["status"] == "canceled"
    assert 0 < done["filled"] < 400
    assert done["info"][13].startswith("CANCELED was: PARTIALLY FILLED @ ")
    assert done["side"] == "sell"


def test_an_order_that_must_not_take_rests_or_is_accepted_and_then_cancelled(practice: Practice) -> None:
    rests = order(practice, "limit", "buy", 0.01, 30_000, postOnly=True)
    crosses = order(practice, "limit", "buy", 0.01, 60_000, postOnly=True)
    assert (crosses["status"], crosses["postOnly"]) == ("open", True)
    assert [o["id"] for o in practice.call("fetch_open_orders")] == [rests["id"]]
    done = ended(practice, crosses["id"])
    # ccxt looks at the first word alone, and so does not know this status.
    assert (done["status"], done["filled"], done["postOnly"]) == ("POSTONLY CANCELED", 0.0, True)
    assert done["price"] == 60_000.0
    assert practice.call("fetch_my_trades") == []
    practice.exchange.engine.check()


def test_an_order_that_must_not_rest_fills_what_it_can_and_is_cancelled(practice: Practice) -> None:
    bid, ask = best(practice)
    misses = order(practice, "limit", "sell", 0.01, int(ask) + 1000, timeInForce="IOC")
    partly = order(practice, "limit", "sell", 1, int(bid) - 1, timeInForce="IOC")
    filled = order(practice, "limit", "buy", 0.00005, int(ask) + 100, timeInForce="IOC")
    assert misses["timeInForce"] == "IOC"
    assert practice.call("fetch_open_orders") == []
    assert ended(practice, misses["id"])["info"][13] == "IOC CANCELED"
    partly = ended(practice, partly["id"])
    assert 0 < partly["filled"] < 1
    assert partly["info"][13].startswith("IOC CANCELED was: PARTIALLY FILLED @ ")
    assert ended(practice, filled["id"])["status"] == "closed"


def test_a_stop_waits_for_its_price_and_sells_at_the_market(practice: Practice) -> None:
    made = order(practice, "market", "sell", 0.00005, triggerPrice=45_000)
    assert (made["triggerPrice"], made["price"], made["status"]) == (45_000.0, None, "open")
    assert practice.call("fetch_open_orders")[0]["triggerPrice"] == 45_000.0
    practice.prints("44990", "1000")
    done = ended(practice, made["id"])
    assert (done["status"], done["filled"]) == ("closed", 0.00005)


def test_a_stop_limit_becomes_a_limit_order_at_its_price(practice: Practice) -> None:
    made = order(practice, "limit", "sell", 0.00005, 45_500, triggerPrice=45_000)
    assert (made["triggerPrice"], made["price"]) == (45_000.0, 45_500.0)
    practice.prints("44990", "1000")
    (resting,) = practice.call("fetch_open_orders", "BTC/USD")
    assert (resting["id"], resting["price"], resting["triggerPrice"]) == (made["id"], 45_500.0, None)
    assert resting["info"][8:10] == ["EXCHANGE LIMIT", "EXCHANGE STOP LIMIT"]


def test_an_order_with_an_end_expires(practice: Practice) -> None:
    made = order(practice, "limit", "buy", 0.01, 30_000, tif="2026-01-15 12:31:00")
    assert made["info"][10] == NOW_MS + 60_000
    practice.exchange.clock.step(61 * SECOND)
    assert practice.call("fetch_open_orders") == []
    assert ended(practice, made["id"])["status"] == "canceled"


def test_prices_are_cut_to_five_digits(practice: Practice) -> None:
    practice.call("load_markets")
    row = practice.call("privatePostAuthWOrderSubmit", submission(price="40000.9", amount="0.1"))[4][0]
    assert row[16] == 40_000
    small = practice.call("privatePostAuthWOrderSubmit", submission(symbol="tDOGE:USD", price="0.1234567", amount="30"))
    assert small[4][0][16] == 0.12345


def test_open_and_ended_orders_are_told_apart_by_market_and_id(practice: Practice) -> None:
    first = order(practice, "limit", "buy", 0.01, 30_000)
    second = order(practice, "limit", "buy", 0.01, 31_000)
    other = practice.call("create_order", "DOGE/USD", "limit", "buy", 100, 0.05)
    assert {o["id"] for o in practice.call("fetch_open_orders", "BTC/USD")} == {first["id"], second["id"]}
    assert [o["id"] for o in practice.call("fetch_open_orders", "DOGE/USD")] == [other["id"]]
    assert practice.call("fetch_open_order", second["id"])["price"] == 31_000.0
    practice.raises("OrderNotFound", "not found", "fetch_open_order", "100000000099")
    practice.call("cancel_order", first["id"])
    assert [o["id"] for o in practice.call("fetch_closed_orders", "BTC/USD")] == [first["id"]]
    assert practice.call("fetch_closed_orders", "DOGE/USD") == []
    assert practice.call("fetch_closed_orders", since=NOW_MS + 1) == []
    assert practice.call("fetch_closed_orders", params={"until": NOW_MS - 1}) == []


def test_the_history_has_25_orders_unless_more_are_asked_for_and_ends_after_two_weeks(practice: Practice) -> None:
    for _ in range(30):
        practice.call("cancel_order", order(practice, "limit", "buy", 0.01, 30_000)["id"])
    assert len(practice.call("fetch_closed_orders")) == 25
    assert len(practice.call("fetch_closed_orders", limit=2500)) == 30
    practice.raises("BadRequest", "limit: invalid", "fetch_closed_orders", limit=2501)
    practice.exchange.clock.step(14 * 24 * 60 * MINUTE)
    practice.exchange.synced = practice.exchange.clock.now()
    assert len(practice.call("fetch_closed_orders", limit=2500)) == 30
    practice.exchange.clock.step(SECOND)
    assert practice.call("fetch_closed_orders", limit=2500) == []


def test_fetch_order_finds_open_orders_alone(practice: Practice) -> None:
    """What ccxt returns for an order that has ended is an order without an id, not an error."""
    made = order(practice, "market", "buy", 0.001)
    assert practice.call("fetch_order", made["id"])["id"] is None
    assert ended(practice, made["id"])["id"] == made["id"]


# Own ids


def test_an_order_is_found_by_its_own_number_among_open_and_ended_ones(practice: Practice) -> None:
    resting = order(practice, "limit", "buy", 0.01, 30_000, clientOrderId=2**45 - 1)
    done = order(practice, "market", "buy", 0.001, clientOrderId=12)
    (found,) = [o for o in practice.call("fetch_open_orders", "BTC/USD") if o["clientOrderId"] == str(2**45 - 1)]
    assert found["id"] == resting["id"]
    ended_ones = practice.call("fetch_closed_orders", "BTC/USD", since=NOW_MS - 1000, limit=2500)
    assert [o["id"] for o in ended_ones if o["clientOrderId"] == "12"] == [done["id"]]


def test_an_own_number_protects_from_nothing(practice: Practice) -> None:
    """Bitfinex's documentation: it should be unique in the day, which is not enforced."""
    for _ in range(2):
        order(practice, "limit", "buy", 0.01, 30_000, clientOrderId=5)
        order(practice, "market", "buy", 0.0001, clientOrderId=6)
    assert [o["clientOrderId"] for o in practice.call("fetch_open_orders")] == ["5", "5"]
    assert [o["clientOrderId"] for o in practice.call("fetch_closed_orders")] == ["6", "6"]


def test_an_order_is_cancelled_by_its_id_or_by_its_own_number_and_day(practice: Practice) -> None:
    first = order(practice, "limit", "buy", 0.01, 30_000, clientOrderId=1)
    second = order(practice, "limit", "buy", 0.01, 30_000, clientOrderId=2)
    assert practice.call("cancel_order", first["id"])["status"] == "open"
    assert ended(practice, first["id"])["status"] == "canceled"
    practice.raises("OrderNotFound", "Order not found", "cancel_order", first["id"])
    wrong = {"clientOrderId": 2, "cidDate": "2026-01-14"}
    practice.raises("OrderNotFound", "Order not found", "cancel_order", "", "BTC/USD", wrong)
    right = {"clientOrderId": 2, "cidDate": TODAY}
    assert practice.call("cancel_order", "", "BTC/USD", right)["id"] == second["id"]
    assert practice.call("fetch_open_orders") == []
    practice.raises("OrderNotFound", "Order not found", "cancel_order", "", "BTC/USD", right)


def test_all_orders_or_those_of_a_list_are_cancelled(practice: Practice) -> None:
    ids = [order(practice, "limit", "buy", 0.01, 30_000 + n)["id"] for n in range(4)]
    assert {o["id"] for o in practice.call("cancel_orders", [*ids[:2], "7"])} == set(ids[:2])
    assert {o["id"] for o in practice.call("cancel_all_orders")} == set(ids[2:])
    assert practice.call("fetch_open_orders") == []
    assert practice.call("cancel_all_orders") == []


# Refusals


def test_refusals_are_the_classes_that_ccxt_makes_of_bitfinexs_words(practice: Practice) -> None:
    practice.raises(
        "InsufficientFunds",
        "not enough exchange balance for 10 BTCUSD at 40000",
        "create_order", "BTC/USD", "limit", "buy", 10, 40_000,
    )  # fmt: skip
    practice.raises(
        "PermissionDenied",
        "minimum size for BTC/USD is 0.00005",
        "create_order", "BTC/USD", "limit", "buy", 0.00004, 40_000,
    )  # fmt: skip
    practice.raises("PermissionDenied", "maximum size", "create_order", "BTC/USD", "limit", "buy", 501, 40_000)
    for params, text in (
        ({"timeInForce": "FOK"}, "type: invalid"),
        ({"reduceOnly": True}, "flags: invalid"),
        ({"clientOrderId": 2**45}, "cid: invalid"),
        ({"clientOrderId": "abc"}, "cid: invalid"),
        ({"tif": "2026-01-15 12:29:00"}, "tif: invalid"),
        ({"trailingAmount": "5"}, "type: invalid"),
    ):
        practice.raises("BadRequest", text, "create_order", "BTC/USD", "limit", "buy", 0.01, 40_000, params)
    assert practice.call("fetch_open_orders") == []
    assert practice.call("fetch_closed_orders") == []


def test_keys_that_are_none_and_wrong_secrets_are_refused(practice: Practice, monkeypatch: pytest.MonkeyPatch) -> None:
    practice.call("load_markets")
    monkeypatch.setattr(practice.client, "apiKey", "a-real-key")
    practice.raises("AuthenticationError", "apikey: invalid", "fetch_balance")
    monkeypatch.setattr(practice.client, "apiKey", KEY)
    monkeypatch.setattr(practice.client, "secret", "wrong")
    practice.raises("AuthenticationError", "apikey: digest invalid", "fetch_balance")


def test_a_nonce_is_used_once(practice: Practice, monkeypatch: pytest.MonkeyPatch) -> None:
    practice.call("load_markets")
    monkeypatch.setattr(practice.client, "incrementing_nonce", lambda: 5)
    practice.call("fetch_balance")
    practice.raises("InvalidNonce", "nonce: small", "fetch_balance")


def test_a_key_does_what_it_is_permitted_to(practice: Practice) -> None:
    practice.call("load_markets")
    practice.keys.permit(KEY, {"query"})
    practice.call("fetch_balance")
    practice.raises("PermissionDenied", "permission", "create_order", "BTC/USD", "market", "buy", 0.001)
    practice.raises("PermissionDenied", "permission", "cancel_all_orders")
    practice.keys.permit(KEY, {"cancel"})
    practice.call("cancel_all_orders")
    practice.raises("PermissionDenied", "permission", "fetch_balance")


def test_fees_are_those_of_the_accounts_tier(practice: Practice) -> None:
    fees = practice.call("fetch_trading_fees")
    assert set(fees) == set(SYMBOLS)
    assert (fees["BTC/USD"]["maker"], fees["BTC/USD"]["taker"]) == (0.0025, 0.004)


def submission(**fields: str) -> dict[str, str]:
    return {"symbol": "tBTCUSD", "type": "EXCHANGE LIMIT", "amount": "0.01", "price": "30000", **fields}
