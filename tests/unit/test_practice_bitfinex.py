"""Bitfinex's wire by itself: rows and windows, signatures and nonces, modes and limits, and whatever anybody sends."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.exchange.matching.candles import Candle, Tick
from tasks.exchange.matching.engine import MatchingEngine
from tasks.exchange.orders import OrderRequest
from tasks.exchange.practice.bitfinex.rows import number, significant
from tasks.exchange.practice.bitfinex.wire import BitfinexWire
from tasks.exchange.practice.clock import Clock
from tasks.exchange.practice.exchange import PracticeExchange
from tasks.exchange.practice.keys import KeyRing, secret_of
from tasks.exchange.practice.market.market import Market
from tasks.exchange.practice.market.markets_known import known_rules
from tasks.exchange.practice.wire import Reply, Request
from tasks.exchange.units import MINUTE, SECOND

NOW = 1_768_480_230 * SECOND
"""15 January 2026, 12:30:30 UTC, in nanoseconds."""
NOW_MS = NOW // 1_000_000
KEY = "PRACTICE-1"
EACH_MINUTE_BUT = (7, 8, 9, 23, 60)
"""Minutes before the open one in which nobody trades."""

_NONCES = count(1)


class Scripted:
    """A market whose prints are known: two in each minute of the last two hours, but for some minutes."""

    def __init__(self, symbol: str) -> None:
        self.rules = known_rules(symbol)
        minutes = (NOW // MINUTE - ago for ago in range(120, -1, -1) if ago not in EACH_MINUTE_BUT)
        self.prints = [
            Tick(
                minute * MINUTE + second * SECOND,
                Decimal(50_000 + minute % 10 + second),
                Decimal("0.5"),
                "buy" if second else "sell",
            )
            for minute in minutes
            for second in (0, 20)
        ]

    latest = Market.latest

    def ticks(self, after: int, until: int) -> Iterator[Tick]:
        return (tick for tick in self.prints if after < tick.time <= until)

    def last(self, now: int) -> Decimal:
        return list(self.ticks(0, now))[-1].price

    def candles(self, interval: int, now: int, count: int) -> list[Candle]:
        length = interval * MINUTE
        opens = now // length
        begin = self.prints[0].time // length
        return [self._candle(n * length, length, now) for n in range(max(begin, opens - count + 1), opens + 1)]

    def _candle(self, ts: int, length: int, now: int) -> Candle:
        inside = list(self.ticks(ts - 1, min(ts + length - 1, now)))
        if not inside:
            return Candle(ts, *[self.last(ts)] * 4, Decimal(0), 0)
        prices = [tick.price for tick in inside]
        volume = sum((tick.amount for tick in inside), Decimal(0))
        return Candle(ts, prices[0], max(prices), min(prices), prices[-1], volume, len(inside))


class Desk:
    """A wire and one who signs."""

    def __init__(self, **options: Any) -> None:
        self.clock = Clock(start=NOW)
        self.clock.pause()
        self.markets = [Scripted("BTC/USD"), Scripted("BTC/USDT")]
        self.rules = [market.rules for market in self.markets]
        engine = MatchingEngine(self.rules, {"USD": Decimal(100_000), "BTC": Decimal(2)}, seed=1)
        engine.advance(NOW)
        self.options = options
        self.open(engine)

    def open(self, engine: MatchingEngine) -> None:
        self.engine = engine
        self.exchange = PracticeExchange(self.markets, engine, self.clock)  # type: ignore[arg-type]
        self.wire = BitfinexWire(self.exchange, KeyRing(), **self.options)

    def get(self, path: str, **query: object) -> Any:
        return self.wire.answer(Request("GET", f"/v2/{path}", {name: str(value) for name, value in query.items()}))

    def post(self, path: str, body: object = None, **headers: str) -> Reply:
        text = body if isinstance(body, str) else json.dumps({} if body is None else body)
        nonce = headers.pop("nonce", str(next(_NONCES)))
        proof = hmac.new(secret_of(KEY).encode(), f"/api/v2/auth/{path}{nonce}{text}".encode(), hashlib.sha384)
        signed = {"bfx-apikey": KEY, "bfx-nonce": nonce, "bfx-signature": proof.hexdigest(), **headers}
        return self.wire.answer(Request("POST", f"/v2/auth/{path}", {}, signed, text))

    def submit(self, **fields: Any) -> Reply:
        order = {"symbol": "tBTCUSD", "type": "EXCHANGE LIMIT", "amount": "0.01", "price": "30000"}
        return self.post("w/order/submit", {**order, **fields})


@pytest.fixture
def desk() -> Desk:
    return Desk()


def error(reply: Reply) -> tuple[int, str]:
    """The code and text of an error, once its form is seen to be right."""
    assert reply.status == 500
    word, code, text = reply.body
    assert word == "error"
    assert reply.errors == (text,)
    return code, text


# Numbers and rows


@given(st.decimals("0.00000001", "999999999", places=8))
def test_a_price_is_cut_to_five_digits_and_never_grows(price: Decimal) -> None:
    cut = significant(price)
    assert len(cut.normalize().as_tuple().digits) <= 5
    assert 0 <= price - cut < Decimal(1).scaleb(price.adjusted() - 4)
    assert significant(cut) == cut


def test_whole_numbers_are_printed_without_a_point() -> None:
    assert json.dumps([number(Decimal(text)) for text in ("0", "50000.0", "1E+2", "-3.50", "0.1")]) == (
        "[0, 50000, 100, -3.5, 0.1]"
    )


def test_an_order_has_its_32_fields_at_bitfinexs_places(desk: Desk) -> None:
    reply = desk.submit(cid=9, flags=4096, tif=NOW_MS + 1000, meta={"aff_code": "x"}, gid=4)
    (row,) = reply.body[4]
    nothing = [None]
    assert row == [
        *(100_000_000_000, None, 9, "tBTCUSD", NOW_MS, NOW_MS, 0.01, 0.01, "EXCHANGE LIMIT", None, NOW_MS + 1000),
        *(None, 4096, "ACTIVE", None, None, 30000, 0, 0, 0, *nothing * 3, 0, 0, *nothing * 3, "API>BFX"),
        *(None, None, {"$F7": 1}),
    ]
    assert len(row) == 32
    assert reply.body[:4] == [NOW_MS, "on-req", None, None]
    assert reply.body[5:] == [None, "SUCCESS", "Submitting 1 orders."]
    assert reply.orders == tuple(desk.engine.orders)
    assert (reply.key, reply.client_id, reply.status) == (KEY, "9", 200)


def test_the_whole_wire_speaks_json_numbers_for_money(desk: Desk) -> None:
    desk.submit(type="EXCHANGE MARKET", amount="-0.00005")
    (row,) = desk.post("r/trades/tBTCUSD/hist").body
    assert [type(value) for value in row[:2]] == [int, str]
    assert row[3] == 100_000_000_000
    assert row[4] == -0.00005
    assert row[8] == -1
    assert row[9] < 0
    assert {type(value) for wallet in desk.post("r/wallets").body for value in wallet[2:5]} <= {int, float}


# Market data


def test_minutes_without_a_trade_do_not_exist(desk: Desk) -> None:
    rows = desk.get("candles/trade:1m:tBTCUSD/hist", limit=10).body
    minutes = [(NOW // MINUTE * MINUTE) // 1_000_000 - ago * 60_000 for ago in (0, 1, 2, 3, 4, 5, 6, 10, 11, 12)]
    assert [row[0] for row in rows] == minutes
    opened = 50_000 + NOW // MINUTE % 10
    assert rows[0] == [minutes[0], opened, opened + 20, opened + 20, opened, 1]
    assert desk.get("candles/trade:1m:tBTCUSD/last").body == rows[0]
    assert len(desk.get("candles/trade:1m:tBTCUSD/hist").body) == 100
    assert len(desk.get("candles/trade:1m:tBTCUSD/hist", limit=10_000).body) == 121 - len(EACH_MINUTE_BUT)


@given(
    limit=st.integers(1, 200),
    start=st.none() | st.integers(-140, 5),
    end=st.none() | st.integers(-140, 5),
    sort=st.sampled_from([None, 1, -1, 0]),
    offset=st.integers(0, 59_999),
    minutes=st.sampled_from([1, 5, 60]),
)
@settings(max_examples=150)
def test_a_window_of_candles_is_what_a_filter_over_all_of_them_gives(
    limit: int, start: int | None, end: int | None, sort: int | None, offset: int, minutes: int
) -> None:
    desk = WINDOWS
    query = {"limit": limit, "sort": sort}
    query["start"] = None if start is None else NOW_MS + start * 60_000 + offset
    query["end"] = None if end is None else NOW_MS + end * 60_000 + offset
    asked = {name: value for name, value in query.items() if value is not None}
    every = [c for c in desk.markets[0].candles(minutes, NOW, 1000) if c.trades]
    times = [c.ts // 1_000_000 for c in every]
    inside = [t for t in times if asked.get("start", 0) <= t <= asked.get("end", NOW_MS)]
    expected = inside[:limit] if sort == 1 else inside[::-1][:limit]
    name = {1: "1m", 5: "5m", 60: "1h"}[minutes]
    assert [row[0] for row in desk.get(f"candles/trade:{name}:tBTCUSD/hist", **asked).body] == expected

    prints = [t.time // 1_000_000 for t in desk.markets[0].prints]
    inside = [t for t in prints if asked.get("start", 0) <= t <= asked.get("end", NOW_MS)]
    expected = inside[:limit] if sort == 1 else inside[::-1][:limit]
    assert [row[1] for row in desk.get("trades/tBTCUSD/hist", **asked).body] == expected


def test_a_window_that_begins_long_before_the_market_is_not_searched_through(desk: Desk) -> None:
    market, asked = desk.markets[0], []
    for name in ("candles", "ticks"):
        read = getattr(market, name)
        setattr(market, name, lambda *args, read=read: asked.append(args) or read(*args))
    for sort in (1, -1):
        for start in (0, 1_000_000_000_000):
            asked.clear()
            assert len(desk.get("candles/trade:1m:tBTCUSD/hist", limit=500, start=start, sort=sort).body) == 116
            assert len([args for args in asked if len(args) == 3]) <= 4
            asked.clear()
            assert len(desk.get("trades/tBTCUSD/hist", limit=500, start=start, sort=sort).body) == 232
            assert min(after for after, _ in (args for args in asked if len(args) == 2)) > NOW - 8 * 1440 * MINUTE


def test_a_candle_that_opened_before_the_end_of_a_window_is_whole(desk: Desk) -> None:
    opened = (NOW // MINUTE - 2) * MINUTE // 1_000_000
    (row,) = desk.get("candles/trade:1m:tBTCUSD/hist", end=opened, limit=1).body
    assert (row[0], row[5]) == (opened, 1)


def test_a_book_of_less_digits_adds_up_to_the_raw_one(desk: Desk) -> None:
    raw = desk.get("book/tBTCUSD/R0", len=100).body
    for precision, digits in (("P0", 5), ("P1", 4), ("P2", 3), ("P3", 2), ("P4", 1)):
        rows = desk.get(f"book/tBTCUSD/{precision}", len=100).body
        assert sum(row[1] for row in rows) == len(raw)
        for sign in (1, -1):
            amounts = [sum(row[2] for row in book if row[2] * sign > 0) for book in (rows, raw)]
            assert amounts[0] == pytest.approx(amounts[1])
        assert all(len(str(row[0]).rstrip("0")) <= digits for row in rows)
        assert max(row[0] for row in rows if row[2] > 0) <= max(row[1] for row in raw if row[2] > 0)
        assert min(row[0] for row in rows if row[2] < 0) >= min(row[1] for row in raw if row[2] < 0)
    assert len({row[0] for row in raw}) == len(raw)
    assert len(desk.get("book/tBTCUSD/R0", len=1).body) == 2


def test_lists_come_in_the_order_in_which_they_are_asked_for(desk: Desk) -> None:
    body = desk.get("conf/pub:list:currency,pub:info:pair,pub:list:pair:margin,pub:map:currency:sym").body
    assert body[0] == ["BTC", "USD", "UST"]
    assert [name for name, _ in body[1]] == ["BTCUSD", "BTCUST"]
    assert body[1][0][1][3:5] == ["0.00005", "500"]
    assert body[2:] == [[], [["UST", "USDT"]]]
    assert desk.get("conf/pub:list:pair:exchange").body == [["BTCUSD", "BTCUST"]]
    assert error(desk.get("conf/pub:info:pair,secret")) == (10020, "config: invalid")


# Who asks


def test_a_signature_of_somebody_elses_making_is_accepted(desk: Desk) -> None:
    """The digest was made by `openssl dgst -sha384 -hmac <secret>`."""
    digest = "13b38ea73ae7ed2ebc437a07f820e87ca8b13d08d9157a179aa5b4447d9e897770ffe01a151f07bc8abc444252356ff8"
    headers = {"bfx-apikey": KEY, "bfx-nonce": "1768480200000", "bfx-signature": digest}
    reply = desk.wire.answer(Request("POST", "/v2/auth/r/wallets", {}, headers, "{}"))
    assert (reply.status, reply.key) == (200, KEY)
    assert ["exchange", "USD", 100_000, 0, 100_000, None, None] in reply.body


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"bfx-apikey": "a-real-key"}, (10100, "apikey: invalid")),
        ({"bfx-apikey": ""}, (10100, "apikey: invalid")),
        ({"bfx-signature": "00"}, (10100, "apikey: digest invalid")),
        ({"bfx-signature": "é"}, (10100, "apikey: digest invalid")),
        ({"nonce": "-1"}, (10114, "nonce: small")),
        ({"nonce": "1.5"}, (10114, "nonce: small")),
        ({"nonce": str(2**53)}, (10114, "nonce: small")),
        ({"nonce": "²"}, (10114, "nonce: small")),
        ({"nonce": ""}, (10114, "nonce: small")),
    ],
)
def test_who_does_not_prove_to_hold_a_practice_key_is_refused(
    desk: Desk, headers: dict[str, str], expected: tuple[int, str]
) -> None:
    assert error(desk.post("r/wallets", None, **headers)) == expected


def test_a_request_without_headers_is_refused(desk: Desk) -> None:
    reply = desk.wire.answer(Request("POST", "/v2/auth/w/order/cancel/multi", {}, {}, '{"all":1}'))
    assert error(reply) == (10100, "apikey: invalid")
    assert reply.key is None


def test_nonces_rise_and_a_forged_request_uses_up_none(desk: Desk) -> None:
    high = str(2**53 - 2)
    assert error(desk.post("r/wallets", None, nonce=high, **{"bfx-signature": "00"}))[0] == 10100
    assert desk.post("r/wallets", None, nonce=high).status == 200
    assert error(desk.post("r/wallets", None, nonce=high)) == (10114, "nonce: small")
    assert desk.post("r/wallets", None, nonce=str(2**53 - 1)).status == 200


def test_a_signature_is_good_for_its_own_body_and_path(desk: Desk) -> None:
    signature = hmac.new(secret_of(KEY).encode(), b"/api/v2/auth/r/wallets7{}", hashlib.sha384).hexdigest()
    headers = {"bfx-apikey": KEY, "bfx-nonce": "7", "bfx-signature": signature}
    for path, body in (("w/order/cancel/multi", "{}"), ("r/wallets", '{"all":1}')):
        reply = desk.wire.answer(Request("POST", f"/v2/auth/{path}", {}, headers, body))
        assert error(reply) == (10100, "apikey: digest invalid")


# Orders


def test_an_orders_number_is_the_client_id_by_which_the_engine_knows_it(desk: Desk) -> None:
    desk.submit(cid=77)
    (row,) = desk.post("r/orders").body
    assert row[2] == 77
    assert desk.engine.open_orders()[0].request.client_id == "77"


def test_two_orders_may_bear_one_number_and_the_later_is_cancelled_first(desk: Desk) -> None:
    first, second, third = (desk.submit(cid=5).body[4][0][0] for _ in range(3))
    assert [row[2] for row in desk.post("r/orders").body] == [5, 5, 5]
    cancelled = [desk.post("w/order/cancel", {"cid": 5, "cid_date": "2026-01-15"}).body[4][0] for _ in range(2)]
    assert cancelled == [third, second]
    assert [row[0] for row in desk.post("r/orders").body] == [first]
    assert desk.submit(cid=5).client_id == "5"
    desk.engine.check()


def test_an_order_without_a_number_gets_that_of_its_millisecond(desk: Desk) -> None:
    assert desk.submit().body[4][0][2] == NOW_MS
    assert desk.submit().client_id is None


def test_numbers_stay_after_a_restart(desk: Desk) -> None:
    desk.submit(cid=1)
    desk.submit(type="EXCHANGE MARKET", amount="0.0005")
    desk.submit(price="60000", flags=4096)
    before = [desk.post(f"r/{what}").body for what in ("orders", "orders/hist", "trades/hist")]
    engine = MatchingEngine.restore(desk.rules, desk.engine.snapshot(), desk.engine.orders.values())
    desk.open(engine)
    assert [desk.post(f"r/{what}").body for what in ("orders", "orders/hist", "trades/hist")] == before
    assert desk.submit().body[4][0][0] == 100_000_000_003


def test_a_post_only_order_that_would_take_leaves_no_trade_and_no_hold(desk: Desk) -> None:
    row = desk.submit(price="60000", amount="1.5", flags=4096, cid=3).body[4][0]
    assert (row[8], row[12], row[13]) == ("EXCHANGE LIMIT", 4096, "ACTIVE")
    (ended,) = desk.post("r/orders/hist").body
    assert (ended[0], ended[2], ended[12], ended[13]) == (row[0], 3, 4096, "POSTONLY CANCELED")
    assert ended[6] == ended[7] == 1.5
    assert desk.post("r/trades/hist").body == []
    assert all(balance.held == 0 for balance in desk.engine.balances().values())
    desk.engine.check()


def test_the_history_begins_with_what_ended_last(desk: Desk) -> None:
    first, second, third = (desk.submit().body[4][0][0] for _ in range(3))
    desk.post("w/order/cancel", {"id": second})
    desk.clock.step(SECOND)
    desk.post("w/order/cancel/multi", {"id": [first, third]})
    assert [row[0] for row in desk.post("r/orders/hist").body] == [third, first, second]
    assert [row[0] for row in desk.post("r/orders/hist", {"end": NOW_MS}).body] == [second]
    assert [row[0] for row in desk.post("r/orders/hist", {"start": NOW_MS + 1, "limit": 1}).body] == [third]
    (row,) = desk.post("r/orders/hist", {"id": [first]}).body
    assert (row[0], row[4], row[5]) == (first, NOW_MS, NOW_MS + 1000)


def test_orders_and_trades_of_one_market_are_those_of_no_other(desk: Desk) -> None:
    id_ = desk.submit().body[4][0][0]
    desk.submit(type="EXCHANGE MARKET", amount="0.00005")
    assert [row[0] for row in desk.post("r/orders/tBTCUSD").body] == [id_]
    assert len(desk.post("r/orders/tBTCUSD/hist").body) == len(desk.post("r/trades/tBTCUSD/hist").body) == 1
    for what in ("r/orders/tBTCUST", "r/orders/tBTCUST/hist", "r/trades/tBTCUST/hist"):
        assert desk.post(what).body == []
        assert error(desk.post(what.replace("BTCUST", "ETHUSD"))) == (10020, "symbol: invalid")
    assert len(desk.post(f"r/order/tBTCUSD:{id_ + 1}/trades").body) == 1
    assert desk.post(f"r/order/tBTCUST:{id_ + 1}/trades").body == []


def test_amounts_are_rounded_to_eight_places(desk: Desk) -> None:
    assert desk.submit(amount="0.000123456").body[4][0][7] == 0.00012346
    assert desk.submit(amount="-0.000123454").body[4][0][7] == -0.00012345


def test_a_clock_that_tells_a_wrong_time_tells_it_with_every_order(desk: Desk) -> None:
    desk.clock.skew = 5 * SECOND
    body = desk.submit().body
    assert (body[0], body[4][0][4]) == (NOW_MS + 5000, NOW_MS)


def test_an_order_of_another_wire_that_spends_money_shows_what_it_bought(desk: Desk) -> None:
    order = desk.engine.submit(OrderRequest("BTC/USD", "buy", "market", Decimal(20), in_quote=True, client_id="a b"))
    (row,) = desk.post("r/orders/hist").body
    assert row[6:8] == [0, float(order.filled)]
    assert 0 < row[7] < 0.0005
    assert row[2] == NOW_MS


def test_a_fault_of_the_exchange_fills_a_part_of_the_next_order_alone(desk: Desk) -> None:
    desk.exchange.fill_limit = Decimal("0.5")
    desk.submit(type="EXCHANGE IOC", price="51000", amount="0.0002")
    desk.submit(type="EXCHANGE IOC", price="51000", amount="0.0002")
    second, first = sorted(desk.post("r/orders/hist").body, reverse=True)
    assert first[13].startswith("IOC CANCELED was: PARTIALLY FILLED @ 5")
    assert first[13].endswith("(0.0001)")
    assert second[13].startswith("EXECUTED @ 5")


def test_the_modes_of_the_exchange_let_through_what_they_say(desk: Desk) -> None:
    id_ = desk.submit().body[4][0][0]
    market = {"type": "EXCHANGE MARKET", "amount": "0.001"}
    for mode, refused, taken in (
        ("post_only", {}, {"flags": 4096}),
        ("limit_only", market, {}),
        ("online", {"type": "MARKET"}, market),
    ):
        desk.exchange.status = mode  # type: ignore[assignment]
        assert desk.submit(**refused).status == 500
        assert desk.submit(**taken).status == 200
    desk.exchange.status = "cancel_only"
    assert error(desk.submit(flags=4096)) == (20060, "maintenance")
    assert desk.post("w/order/cancel", {"id": id_}).status == 200
    desk.exchange.status = "maintenance"
    assert error(desk.post("w/order/cancel/multi", {"all": 1})) == (20060, "maintenance")
    assert error(desk.get("tickers", symbols="ALL")) == (20060, "maintenance")
    assert desk.get("platform/status").body == [0]


def test_a_rate_limit_is_kept_by_endpoint_and_minute() -> None:
    desk = Desk(per_minute=3)
    for _ in range(3):
        assert desk.get("ticker/tBTCUSD").status == 200
    assert error(desk.get("ticker/tBTCUSD")) == (11010, "ERR_RATE_LIMIT")
    assert error(desk.get("ticker/tBTCUST")) == (11010, "ERR_RATE_LIMIT")
    assert desk.get("platform/status").status == 200
    desk.clock.step(MINUTE)
    assert desk.get("ticker/tBTCUSD").status == 200


# Whatever anybody sends


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"symbol": None}, "symbol: invalid"),
        ({"symbol": ["tBTCUSD"]}, "symbol: invalid"),
        ({"symbol": "BTCUSD"}, "symbol: invalid"),
        ({"type": "LIMIT"}, "type: invalid"),
        ({"type": {}}, "type: invalid"),
        ({"amount": "0"}, "amount: invalid"),
        ({"amount": "-0"}, "amount: invalid"),
        ({"amount": "NaN"}, "amount: invalid"),
        ({"amount": "Infinity"}, "amount: invalid"),
        ({"amount": "1e999999999"}, "amount: invalid"),
        ({"amount": "0x1"}, "amount: invalid"),
        ({"amount": "\u0661"}, "amount: invalid"),
        ({"amount": True}, "amount: invalid"),
        ({"price": None}, "price: invalid"),
        ({"price": "-1"}, "price: invalid"),
        ({"price": "0.01"}, "price: invalid"),
        ({"price": "1e99"}, "price: invalid"),
        ({"type": "EXCHANGE STOP LIMIT"}, "price_aux_limit: invalid"),
        ({"flags": 64}, "flags: invalid"),
        ({"flags": "x"}, "flags: invalid"),
        ({"flags": 4096, "type": "EXCHANGE IOC"}, "flags: invalid"),
        ({"cid": "12"}, "cid: invalid"),
        ({"cid": 0}, "cid: invalid"),
        ({"cid": 1.5}, "cid: invalid"),
        ({"cid": True}, "cid: invalid"),
        ({"lev": 10}, "lev: invalid"),
        ({"price_oco_stop": "1"}, "price_oco_stop: invalid"),
        ({"tif": "soon"}, "tif: invalid"),
        ({"tif": NOW_MS}, "tif: invalid"),
        ({"tif": "9999-12-31 23:59:59", "type": "EXCHANGE IOC"}, "tif: invalid"),
        ({"tif": NOW_MS + 1000, "type": "EXCHANGE MARKET"}, "tif: invalid"),
    ],
)
def test_what_cannot_be_an_order_is_called_by_its_name(desk: Desk, fields: dict[str, Any], expected: str) -> None:
    assert error(desk.submit(**fields)) == (10020, expected)
    assert not desk.engine.orders


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"amount": "0.00004"}, "Invalid order: minimum size for BTC/USD is 0.00005"),
        ({"amount": "0.000000001"}, "Invalid order: minimum size for BTC/USD is 0.00005"),
        ({"amount": "0.00005", "price": "1"}, "Invalid order: minimum cost for BTC/USD is 0.5"),
        ({"amount": "500.1"}, "Invalid order: maximum size for BTC/USD is 500"),
        ({"amount": "4"}, "Invalid order: not enough exchange balance for 4 BTCUSD at 30000"),
        ({"amount": "-2.5"}, "Invalid order: not enough exchange balance for 2.5 BTCUSD at 30000"),
    ],
)
def test_what_the_account_or_the_market_does_not_allow_is_said_in_bitfinexs_words(
    desk: Desk, fields: dict[str, Any], expected: str
) -> None:
    assert error(desk.submit(**fields)) == (10001, expected)
    assert not desk.engine.orders


@pytest.mark.parametrize("body", ["", "{}"])
def test_a_body_may_be_empty(desk: Desk, body: str) -> None:
    assert desk.post("r/orders", body).body == []


@pytest.mark.parametrize(
    "body", ["[]", "null", "7", '"x"', "{", "[" * 100_000, '{"id": NaN}', '{"a": ' + "9" * 5000 + "}"]
)
def test_a_body_that_is_no_object_is_refused(desk: Desk, body: str) -> None:
    assert error(desk.post("r/orders", body)) == (10020, "body: invalid")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v2/ticker/tBTCUSD"),
        ("GET", "/v2/auth/r/wallets"),
        ("DELETE", "/v2/platform/status"),
        ("GET", "/v2/"),
        ("GET", "/v1/platform/status"),
        ("GET", "platform/status"),
        ("GET", "/v2/book/tBTCUSD"),
        ("GET", "/v2/candles/trade:1m:tBTCUSD/next"),
        ("POST", "/v2/auth/r/order/tBTCUSD:x/trades"),
        ("POST", "/v2/auth/w/order/update"),
    ],
)
def test_an_endpoint_that_there_is_not_is_an_error_row(desk: Desk, method: str, path: str) -> None:
    code, _ = error(desk.wire.answer(Request(method, path)))
    assert code == 10020


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_ORDER_FIELDS = ("symbol", "type", "amount", "price", "price_aux_limit", "flags", "cid", "tif", "meta", "gid")
_NAMES = st.sampled_from([*_ORDER_FIELDS, "cid_date", "id", "all", "limit", "start", "end", "sort"])
_TYPES = st.sampled_from([f"EXCHANGE {kind}" for kind in ("LIMIT", "MARKET", "STOP", "STOP LIMIT", "IOC", "FOK")])
_AMOUNTS = st.sampled_from(["0.001", "-0.001", "0.00005", "1.5", "-2", "1e-9", "1e15", 1])
_PRICES = st.sampled_from(["50000", "49999.99", "60000", "40000", "50020", "1e-9", "1e15", 51_000])
_LIKELY = _TYPES | _AMOUNTS | _PRICES | st.sampled_from(["tBTCUSD", "2026-01-15", 4096, 5, 100_000_000_000])
_PATHS = ["w/order/submit", "w/order/cancel", "w/order/cancel/multi", "r/orders", "r/orders/hist", "r/trades/hist"]


@given(st.sampled_from(_PATHS), st.dictionaries(_NAMES, _LIKELY | _JSON, max_size=9))
@settings(max_examples=150)
def test_whatever_is_signed_is_answered_and_the_books_add_up(path: str, body: dict[str, Any]) -> None:
    reply = HOSTILE.post(path, body)
    answered(reply)
    HOSTILE.engine.check()


@given(
    st.fixed_dictionaries(
        {"symbol": st.just("tBTCUSD"), "type": _TYPES, "amount": _AMOUNTS, "price": _PRICES},
        optional={"flags": st.sampled_from([0, 4096]), "cid": st.integers(1, 9), "price_aux_limit": _PRICES},
    )
)
@settings(max_examples=150)
def test_whatever_looks_like_an_order_is_one_or_is_refused(body: dict[str, Any]) -> None:
    before = len(HOSTILE.engine.orders)
    reply = HOSTILE.post("w/order/submit", body)
    answered(reply)
    assert len(HOSTILE.engine.orders) - before == (1 if reply.status == 200 else 0) == len(reply.orders)
    HOSTILE.engine.check()


@given(
    st.sampled_from(["GET", "POST", "PUT", ""]),
    st.text(max_size=40) | st.sampled_from(["platform/status", "tickers", "book/tBTCUSD/R0", "trades/tBTCUSD/hist"]),
    st.dictionaries(st.sampled_from(["limit", "start", "end", "sort", "len", "symbols"]), st.text(max_size=20)),
    st.dictionaries(st.sampled_from(["bfx-apikey", "bfx-nonce", "bfx-signature"]), st.text(max_size=20)),
    st.text(max_size=20),
)
@settings(max_examples=150)
def test_whatever_is_asked_is_answered(
    method: str, path: str, query: dict[str, str], headers: dict[str, str], body: str
) -> None:
    answered(HOSTILE.wire.answer(Request(method, f"/v2/{path}", query, headers, body)))
    answered(HOSTILE.wire.answer(Request(method, path, query, headers, body)))


def answered(reply: Reply) -> None:
    """See that this is an answer: JSON without NaN, and an error row if it is an error."""
    json.dumps(reply.body, allow_nan=False).encode()
    if reply.status != 200:
        error(reply)
    assert isinstance(reply.body, list)


WINDOWS = Desk()
HOSTILE = Desk()
