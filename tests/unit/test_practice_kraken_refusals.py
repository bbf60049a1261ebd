"""The practice exchange's Kraken wire, asked directly: who may ask, how often, and what cannot be."""

from __future__ import annotations

import json
import re
import uuid
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.exchange.practice.keys import secret_of
from tasks.exchange.practice.kraken.wire import signature
from tasks.exchange.practice.wire import Request
from tests.unit.practice_wires import KEY, NOW, SECOND, PracticeKraken

LIMIT = {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "volume": "0.01", "price": "40000.0"}


@pytest.fixture
def kraken() -> PracticeKraken:
    return PracticeKraken()


# Who asks


def test_a_signature_covers_path_nonce_and_body(kraken: PracticeKraken) -> None:
    path, body = "/0/private/AddOrder", urlencode({"nonce": 5, **LIMIT})
    good = {"api-key": KEY, "api-sign": signature(secret_of(KEY), path, "5", body).decode()}
    tampered = [
        Request("POST", "/0/private/CancelAll", {}, good, body),
        Request("POST", path, {}, good, body.replace("volume=0.01", "volume=0.09")),
        Request("POST", path, {}, good, body + "&validate=true"),
        Request("POST", path, {}, good | {"api-sign": ""}, body),
        Request("POST", path, {}, good | {"api-sign": "caf\u00e9 \udcff"}, body),
        Request("POST", path, {}, {"api-key": KEY}, body),
    ]
    for request in tampered:
        reply = kraken.wire.answer(request)
        assert reply.body == {"error": ["EAPI:Invalid signature"]}
        assert reply.key is None
    reply = kraken.wire.answer(Request("POST", path, {}, good, body))
    assert reply.key == KEY
    assert list(reply.orders) == reply.body["result"]["txid"]


def test_a_key_without_the_prefix_is_none(kraken: PracticeKraken) -> None:
    for key in ("", "PRACTICE-", "practice-x", "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz"):
        assert kraken.ask("Balance", key=key).body == {"error": ["EAPI:Invalid key"]}
    assert kraken.wire.answer(Request("POST", "/0/private/Balance", {}, {}, "nonce=1")).errors == ("EAPI:Invalid key",)


def test_a_nonce_is_used_once_and_they_rise_per_key(kraken: PracticeKraken) -> None:
    def ask(nonce: str, key: str = KEY) -> Any:
        return kraken.send("Balance", f"nonce={nonce}", nonce=nonce, key=key).body["error"]

    assert ask("100") == []
    assert [ask(nonce) for nonce in ("100", "99", "abc", "", "-5", "1e9", "9" * 30)] == [["EAPI:Invalid nonce"]] * 7
    assert ask("1", key="PRACTICE-other") == []
    assert ask("101") == []


def test_a_wrong_signature_uses_up_no_nonce(kraken: PracticeKraken) -> None:
    headers = {"api-key": KEY, "api-sign": "nonsense"}
    kraken.wire.answer(Request("POST", "/0/private/Balance", {}, headers, "nonce=999"))
    assert kraken.send("Balance", "nonce=1", nonce="1").body["error"] == []


def test_permissions_are_asked_for_what_they_are(kraken: PracticeKraken) -> None:
    allowed = {"query": "Balance", "trade": "AddOrder", "cancel": "CancelAll"}
    for permission in allowed:
        kraken.keys.permit(KEY, {permission})  # type: ignore[arg-type]
        for needed, endpoint in allowed.items():
            errors = kraken.private(endpoint, **(LIMIT if endpoint == "AddOrder" else {}))["error"]
            assert errors == ([] if needed == permission else ["EGeneral:Permission denied"])


def test_userrefs_keys_and_nonces_live_on_after_a_restart(kraken: PracticeKraken) -> None:
    (txid,) = kraken.private("AddOrder", **LIMIT, userref="7")["result"]["txid"]
    kraken.keys.permit(KEY, {"query"})
    wire, keys = (json.loads(json.dumps(each)) for each in (kraken.wire.snapshot(), kraken.keys.snapshot()))
    again = PracticeKraken()
    again.engine.orders.update(kraken.engine.orders)
    again.wire.restore(wire)
    again.keys.restore(keys)
    assert again.refusal("Balance") == "EAPI:Invalid nonce"
    assert again.refusal("CancelAll") == "EGeneral:Permission denied"
    again.nonce = 100
    assert again.private("QueryOrders", txid=txid, userref="7")["result"][txid]["userref"] == 7


# Limits


def test_requests_beyond_the_limit_are_refused_until_the_counter_has_run_down() -> None:
    kraken = PracticeKraken("starter")
    answers = [kraken.private("Balance")["error"] for _ in range(16)]
    assert answers == [[]] * 15 + [["EAPI:Rate limit exceeded"]]
    assert kraken.ask("Balance", key="PRACTICE-other").errors == ()
    kraken.wait(4)
    assert kraken.private("Balance")["error"] == []
    assert kraken.private("TradesHistory")["error"] == ["EAPI:Rate limit exceeded"]
    assert kraken.private("AddOrder", **LIMIT)["error"] == []
    kraken.wait(6)
    assert kraken.private("TradesHistory")["error"] == []


def test_orders_that_are_cancelled_at_once_use_up_the_limit_of_their_market() -> None:
    kraken = PracticeKraken("starter")

    def place(pair: str = "XBTUSD") -> Any:
        return kraken.private("AddOrder", **LIMIT | {"pair": pair, "volume": "1", "price": "0.5"})

    placed = 0
    while not (answer := place())["error"]:
        kraken.private("CancelOrder", txid=answer["result"]["txid"][0])
        placed += 1
    assert answer == {"error": ["EOrder:Rate limit exceeded"]}
    assert placed == 7  # of 9 points each: 1 to place it, 8 to cancel it at once; 63 are more than 60
    assert place("XETHZUSD")["error"] == []
    kraken.wait(10)
    (txid,) = place()["result"]["txid"]
    kraken.wait(400)
    kraken.private("CancelOrder", txid=txid)
    assert [place()["error"] for _ in range(60)] == [[]] * 60


def test_no_tier_has_no_limits(kraken: PracticeKraken) -> None:
    assert all(kraken.private("TradesHistory")["error"] == [] for _ in range(100))


def test_there_is_a_limit_to_open_orders() -> None:
    kraken = PracticeKraken(max_open=2)
    assert [kraken.private("AddOrder", **LIMIT)["error"] for _ in range(3)] == [
        [], [], ["EOrder:Orders limit exceeded"],
    ]  # fmt: skip


# What cannot be


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"pair": "NOSUCH"}, "EQuery:Unknown asset pair"),
        ({"pair": ""}, "EGeneral:Invalid arguments:pair"),
        ({"type": "hold"}, "EGeneral:Invalid arguments:type"),
        ({"ordertype": "trailing-stop"}, "EGeneral:Invalid arguments:ordertype"),
        ({"ordertype": "stop-loss-limit"}, "EGeneral:Invalid arguments:price2"),
        ({"volume": ""}, "EGeneral:Invalid arguments:volume"),
        ({"volume": "NaN"}, "EGeneral:Invalid arguments:volume"),
        ({"volume": "1e999"}, "EGeneral:Invalid arguments:volume"),
        ({"volume": "-1"}, "EGeneral:Invalid arguments:volume"),
        ({"volume": "0"}, "EGeneral:Invalid arguments:volume"),
        ({"volume": "0.010000001"}, "EGeneral:Invalid arguments:volume"),
        ({"volume": "0.00001"}, "EOrder:Order minimum not met"),
        ({"price": "0.1", "volume": "0.001"}, "EOrder:Cost minimum not met"),
        ({"price": ""}, "EGeneral:Invalid arguments:price"),
        ({"price": "0"}, "EGeneral:Invalid arguments:price"),
        ({"price": "+5"}, "EGeneral:Invalid arguments:price"),
        ({"price": "#1%"}, "EGeneral:Invalid arguments:price"),
        ({"price": "40000.05"}, "EOrder:Invalid price:XBTUSD price can only be specified up to 1 decimals."),
        ({"volume": "10"}, "EOrder:Insufficient funds"),
        ({"oflags": "post", "price": "99999.0"}, "EOrder:Post only order"),
        ({"oflags": "viqc"}, "EGeneral:Invalid arguments:viqc"),
        ({"oflags": "fcib"}, "EGeneral:Invalid arguments:oflags"),
        ({"timeinforce": "FOK"}, "EGeneral:Invalid arguments:timeinforce"),
        ({"timeinforce": "GTD"}, "EGeneral:Invalid arguments:expiretm"),
        ({"timeinforce": "GTC", "expiretm": "+60"}, "EGeneral:Invalid arguments:expiretm"),
        ({"expiretm": "1700000000"}, "EGeneral:Invalid arguments:expiretm"),
        ({"expiretm": "+inf"}, "EGeneral:Invalid arguments:expiretm"),
        ({"expiretm": "9" * 19}, "EGeneral:Invalid arguments:expiretm"),
        ({"deadline": "tomorrow"}, "EGeneral:Invalid arguments:deadline"),
        ({"deadline": "2026-01-15T12:30:40"}, "EGeneral:Invalid arguments:deadline"),
        ({"deadline": "2026-13-45T99:30:40Z"}, "EGeneral:Invalid arguments:deadline"),
        ({"deadline": "0001-01-01T00:00:00+23:59"}, "EService:Deadline elapsed"),
        ({"deadline": "2026-01-15T12:30:14.9Z"}, "EService:Deadline elapsed"),
        ({"deadline": "2026-01-15T13:30:15Z"}, "EGeneral:Invalid arguments:deadline"),
        ({"userref": "2147483648"}, "EGeneral:Invalid arguments:userref"),
        ({"userref": "one"}, "EGeneral:Invalid arguments:userref"),
        ({"cl_ord_id": "x" * 19}, "EGeneral:Invalid arguments:cl_ord_id"),
        ({"cl_ord_id": "sm\u00f6rg\u00e5s"}, "EGeneral:Invalid arguments:cl_ord_id"),
        ({"cl_ord_id": "x", "userref": "1"}, "EGeneral:Invalid arguments:cl_ord_id and userref exclude each other"),
        ({"leverage": "2"}, "EGeneral:Invalid arguments:leverage"),
        ({"close[ordertype]": "limit", "close": "x"}, "EGeneral:Invalid arguments:close"),
        ({"displayvol": "0.001"}, "EGeneral:Invalid arguments:displayvol"),
        ({"starttm": "+60"}, "EGeneral:Invalid arguments:starttm"),
        ({"trigger": "index"}, "EGeneral:Invalid arguments:trigger"),
    ],
)
def test_an_order_that_cannot_be_is_refused_with_krakens_words_and_changes_nothing(
    kraken: PracticeKraken, change: dict[str, str], error: str
) -> None:
    before = kraken.engine.snapshot()
    assert kraken.refusal("AddOrder", **LIMIT | change) == error
    assert kraken.engine.snapshot() == before


def test_a_price_between_two_ticks_fails_the_check_of_the_tick() -> None:
    kraken = PracticeKraken()
    rules = kraken.market.rules
    assert rules.price_step == Decimal("0.1")
    pair = kraken.public("AssetPairs", pair="SOLEUR")["result"]["SOLEUR"]
    assert pair["tick_size"] == "0.01"
    error = kraken.refusal("AddOrder", **LIMIT | {"pair": "SOLEUR", "price": "100.005", "volume": "1"})
    assert error == "EOrder:Invalid price:SOLEUR price can only be specified up to 2 decimals."


def test_a_refused_order_leaves_the_fault_of_a_partial_fill_for_the_next(kraken: PracticeKraken) -> None:
    kraken.exchange.fill_limit = Decimal("0.5")
    kraken.private("AddOrder", **LIMIT | {"volume": "NaN"})
    kraken.private("AddOrder", **LIMIT, validate="true")
    (txid,) = kraken.private("AddOrder", **LIMIT | {"ordertype": "market"})["result"]["txid"]
    assert kraken.engine.orders[txid].filled == Decimal("0.005")


@pytest.mark.parametrize("word", ["true", "True", "1", "yes", "0"])
def test_any_validate_but_false_places_nothing(kraken: PracticeKraken, word: str) -> None:
    assert "txid" not in kraken.private("AddOrder", **LIMIT, validate=word)["result"]
    assert kraken.engine.orders == {}
    assert "txid" in kraken.private("AddOrder", **LIMIT, validate="false")["result"]


@pytest.mark.parametrize("client_id", [str(uuid.UUID(int=5)), uuid.UUID(int=5).hex, "a b_c-18.characters"[:18], "x"])
def test_client_ids_are_uuids_or_short_texts(kraken: PracticeKraken, client_id: str) -> None:
    reply = kraken.ask("AddOrder", **LIMIT, cl_ord_id=client_id)
    assert reply.client_id == client_id
    assert kraken.refusal("AddOrder", **LIMIT, cl_ord_id=client_id) == "EGeneral:Invalid arguments:cl_ord_id is in use"
    assert kraken.private("CancelOrder", cl_ord_id=client_id)["result"] == {"count": 1}
    assert kraken.private("AddOrder", **LIMIT, cl_ord_id=client_id)["error"] == []


def test_expiry_is_told_in_seconds_from_now_or_since_1970(kraken: PracticeKraken) -> None:
    for expiry in ("+60", str(NOW // SECOND + 60)):
        (txid,) = kraken.private("AddOrder", **LIMIT, timeinforce="GTD", expiretm=expiry)["result"]["txid"]
        row = kraken.private("QueryOrders", txid=txid)["result"][txid]
        assert row["expiretm"] == NOW // SECOND + 60
    kraken.wait(60)
    ended = kraken.private("ClosedOrders")["result"]["closed"].values()
    assert [(row["status"], row["reason"]) for row in ended] == [("expired", "Order expired")] * 2


@pytest.mark.parametrize(
    ("endpoint", "query", "error"),
    [
        ("Nothing", {}, "EGeneral:Unknown method"),
        ("OHLC", {}, "EGeneral:Invalid arguments:pair"),
        ("OHLC", {"pair": "XBTUSD", "interval": "7"}, "EGeneral:Invalid arguments:interval"),
        ("OHLC", {"pair": "XBTUSD", "interval": "1e3"}, "EGeneral:Invalid arguments:interval"),
        ("OHLC", {"pair": "XBTUSD", "since": "yesterday"}, "EGeneral:Invalid arguments:since"),
        ("OHLC", {"pair": "XBTUSD", "since": "9" * 5000}, "EGeneral:Invalid arguments:since"),
        ("Ticker", {"pair": "XBTUSD,NOSUCH"}, "EQuery:Unknown asset pair"),
        ("Depth", {"pair": "XBTUSD", "count": "0"}, "EGeneral:Invalid arguments:count"),
        ("Depth", {"pair": "XBTUSD", "count": "501"}, "EGeneral:Invalid arguments:count"),
        ("Trades", {"pair": "XBTUSD", "since": "-1"}, "EGeneral:Invalid arguments:since"),
        ("Trades", {"pair": "XBTUSD", "since": "9" * 20}, "EGeneral:Invalid arguments"),
        ("Assets", {"asset": "NOSUCH"}, "EQuery:Unknown asset"),
        ("AssetPairs", {"pair": "xxbtzusd"}, "EQuery:Unknown asset pair"),
    ],
)
def test_public_questions_that_make_no_sense_are_refused(
    kraken: PracticeKraken, endpoint: str, query: dict[str, str], error: str
) -> None:
    assert kraken.public(endpoint, **query) == {"error": [error]}


@pytest.mark.parametrize(
    ("endpoint", "params", "error"),
    [
        ("AddOrderBatch", {}, "EGeneral:Unknown method"),
        ("Withdraw", {}, "EGeneral:Unknown method"),
        ("QueryOrders", {}, "EGeneral:Invalid arguments:txid"),
        ("CancelOrder", {}, "EGeneral:Invalid arguments:txid"),
        ("CancelOrder", {"txid": "x", "cl_ord_id": "y"}, "EGeneral:Invalid arguments"),
        ("CancelOrder", {"cl_ord_id": "y"}, "EOrder:Unknown order"),
        ("CancelAllOrdersAfter", {}, "EGeneral:Invalid arguments:timeout"),
        ("CancelAllOrdersAfter", {"timeout": "-1"}, "EGeneral:Invalid arguments:timeout"),
        ("CancelAllOrdersAfter", {"timeout": "86401"}, "EGeneral:Invalid arguments:timeout"),
        ("ClosedOrders", {"ofs": "-1"}, "EGeneral:Invalid arguments:ofs"),
        ("ClosedOrders", {"start": "NaN"}, "EGeneral:Invalid arguments:start"),
        ("ClosedOrders", {"closetime": "never"}, "EGeneral:Invalid arguments:closetime"),
        ("OpenOrders", {"userref": "1.5"}, "EGeneral:Invalid arguments:userref"),
        ("TradeVolume", {"pair": "NOSUCH"}, "EQuery:Unknown asset pair"),
    ],
)
def test_private_questions_that_make_no_sense_are_refused(
    kraken: PracticeKraken, endpoint: str, params: dict[str, str], error: str
) -> None:
    assert kraken.refusal(endpoint, **params) == error


def test_private_endpoints_are_posted_to(kraken: PracticeKraken) -> None:
    for path in ("/0/private/Balance", "/0/", "/0/private/", "/0/public", "/0/other/Time"):
        reply = kraken.wire.answer(Request("GET", path))
        assert (reply.status, reply.body) == (200, {"error": ["EGeneral:Unknown method"]})


def test_a_body_of_json_is_read_as_well(kraken: PracticeKraken) -> None:
    body = json.dumps({"nonce": 7, **LIMIT, "volume": 0.02, "validate": False, "userref": 3, "deadline": None})
    (txid,) = kraken.send("AddOrder", body, nonce="7").body["result"]["txid"]
    assert kraken.engine.orders[txid].request.amount == Decimal("0.02")
    for number, bad in enumerate(("[1]", "{", '{"nonce": "8", "orders": [{}]}', "{" * 50_000, '{"nonce":"8","a":NaN}')):
        errors = kraken.send("Balance", bad, nonce=str(8 + number)).body["error"]
        assert errors[0].split(":")[0] in ("EGeneral", "EAPI")


def test_bodies_beyond_all_measure_are_refused(kraken: PracticeKraken) -> None:
    many = "nonce=1&" + "&".join(f"a{n}=1" for n in range(1000))
    for body in (many, "nonce=1&x=" + "y" * 10**6):
        assert kraken.send("Balance", body, nonce="1").body == {"error": ["EGeneral:Invalid arguments"]}


_TEXT = st.text(max_size=30) | st.sampled_from(
    ["NaN", "-1", "1e999", "0", "", "XBTUSD", "limit", "market", "buy", "9" * 40, "+5", "true", "GTD", "post", "\udcff"]
)
_ENDPOINTS = [
    "Balance", "BalanceEx", "TradeVolume", "QueryOrders", "OpenOrders", "ClosedOrders", "TradesHistory", "QueryTrades",
    "GetWebSocketsToken", "AddOrder", "CancelOrder", "CancelAll", "CancelAllOrdersAfter",
]  # fmt: skip
_NAMES = [
    "pair", "type", "ordertype", "volume", "price", "price2", "oflags", "timeinforce", "expiretm", "deadline",
    "validate", "cl_ord_id", "userref", "txid", "ofs", "start", "end", "closetime", "trades", "timeout", "leverage",
    "trigger", "since", "interval", "count", "asset",
]  # fmt: skip
_ERROR = re.compile(r"E(API|General|Order|Query|Service):[A-Z].*")


def _is_answer(body: Any) -> bool:
    json.dumps(body)
    return body["error"] == [] if "result" in body else all(_ERROR.fullmatch(error) for error in body["error"])


SLOW = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


@SLOW
@given(
    endpoint=st.sampled_from(_ENDPOINTS), params=st.dictionaries(st.sampled_from(_NAMES), _TEXT), order=st.booleans()
)
def test_whatever_a_key_sends_it_gets_an_answer_of_krakens(
    kraken: PracticeKraken, endpoint: str, params: dict[str, str], order: bool
) -> None:
    sent = {**(LIMIT if order else {}), **params}
    kraken.nonce += 1
    body = urlencode({"nonce": kraken.nonce, **sent}, errors="surrogatepass")
    assert _is_answer(kraken.send(endpoint, body, nonce=str(kraken.nonce)).body)
    kraken.engine.check()


@SLOW
@given(
    endpoint=st.sampled_from(["Time", "Assets", "AssetPairs", "OHLC", "Ticker", "Depth", "Trades", "X"]),
    query=st.dictionaries(st.sampled_from(_NAMES), _TEXT),
    body=_TEXT,
)
def test_whatever_anybody_sends_they_get_an_answer_of_krakens(
    kraken: PracticeKraken, endpoint: str, query: dict[str, str], body: str
) -> None:
    assert _is_answer(kraken.wire.answer(Request("POST", f"/0/public/{endpoint}", query, {}, body)).body)


@SLOW
@given(path=_TEXT, headers=st.dictionaries(st.sampled_from(["api-key", "api-sign"]), _TEXT), body=_TEXT)
def test_whatever_is_not_signed_is_refused(
    kraken: PracticeKraken, path: str, headers: dict[str, str], body: str
) -> None:
    prefixed = {name: f"PRACTICE-{text}" for name, text in headers.items()}
    for given_headers in (headers, prefixed):
        reply = kraken.wire.answer(Request("POST", f"/0/private/{path}", {}, given_headers, body))
        assert reply.errors
        assert _is_answer(reply.body)
