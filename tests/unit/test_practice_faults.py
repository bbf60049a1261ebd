"""Faults of the practice exchange: which requests they strike, and what the client then sees, over real HTTP."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import BadInput
from tasks.exchange.practice.keys import secret_of
from tasks.exchange.practice.server.faults import KINDS, Faults
from tests.servers.practice_exchange import KEY, NOW, SECOND, Practice, practice_exchange, signed

ADD_ORDER = "/0/private/AddOrder"
OHLC = "/0/public/OHLC"
LIMIT = {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "price": "10000", "volume": "0.1"}
NEEDED = {"error": {"message": "EService:Busy"}, "http": {"status": 503}, "skew": {"seconds": 5}}
"""Parameters without a default, by kind."""


@pytest.fixture(scope="module")
def served() -> Iterator[Practice]:
    with practice_exchange() as practice:
        yield practice


@pytest.fixture
def practice(served: Practice) -> Iterator[Practice]:
    served.clear_faults()
    yield served
    served.clear_faults()
    assert served.ask("GET", "/check") == {"sound": True, "broken": ""}


def kinds(faults: Faults, path: str) -> list[str]:
    return [fault.kind for fault in faults.strike(path).values()]


def add(faults: Faults, kind: str, endpoint: str = "*", **parameters: Any) -> None:
    faults.add({"kind": kind, "endpoint": endpoint, **NEEDED.get(kind, {}), **parameters})


def raw(url: str | urllib.request.Request, timeout: float = 10) -> tuple[int, str, str]:
    """Return status, content type and text, whatever the status."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read().decode()


def signed_bitfinex(url: str, path: str, body: Any) -> urllib.request.Request:
    nonce, text = str(time.time_ns() // 1_000_000), json.dumps(body)
    mac = hmac.new(secret_of(KEY).encode(), f"/api/v2/{path}{nonce}{text}".encode(), hashlib.sha384).hexdigest()
    headers = {"bfx-nonce": nonce, "bfx-apikey": KEY, "bfx-signature": mac, "Content-Type": "application/json"}
    time.sleep(0.002)  # the next nonce is of the next millisecond
    return urllib.request.Request(f"{url}/v2/{path}", text.encode(), headers, method="POST")


def ticker(practice: Practice) -> str:
    return f"{practice.url}/0/public/Ticker?pair=XBTUSD"


# Which requests are struck


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_can_be_put_in_force_and_is_told_of(kind: str) -> None:
    faults = Faults()
    add(faults, kind, times=2)
    assert faults.standing[0].describe().items() >= {"kind": kind, "times": 2, "struck": 0, "seed": 0}.items()


def test_an_endpoint_is_the_last_part_of_a_path_a_pattern_of_it_or_a_pattern_of_the_path() -> None:
    struck = {
        "AddOrder": {ADD_ORDER},
        "*Order": {ADD_ORDER, "/0/private/CancelOrder"},
        "*": {ADD_ORDER, "/0/private/CancelOrder", "/v2/auth/w/order/submit"},
        "/v2/*": {"/v2/auth/w/order/submit"},
        "addorder": set(),
    }
    for endpoint, paths in struck.items():
        faults = Faults()
        add(faults, "empty", endpoint)
        assert {path for path in struck["*"] if faults.strike(path)} == paths


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("candles_missing", "/0/public/Ticker"),
        ("no_id", "/0/private/CancelOrder"),
        ("partial_fill", OHLC),
        ("stale", "/0/private/BalanceEx"),
        ("null_result", "/v2/ticker/tBTCUSD"),
    ],
)
def test_a_kind_strikes_only_where_it_makes_sense(kind: str, path: str) -> None:
    faults = Faults()
    add(faults, kind)
    assert not faults.strike(path)


def test_times_are_counted_down_and_the_fault_is_then_over() -> None:
    faults = Faults()
    add(faults, "empty", "AddOrder", times=2)
    assert [kinds(faults, path) for path in (OHLC, ADD_ORDER, ADD_ORDER, ADD_ORDER)] == [[], ["empty"], ["empty"], []]
    assert faults.standing[0].describe()["struck"] == 2


def test_the_fault_put_in_force_first_strikes_until_it_is_over_then_the_next() -> None:
    faults = Faults()
    add(faults, "empty", times=1)
    add(faults, "null", times=1)
    assert [kinds(faults, OHLC) for _ in range(3)] == [["empty"], ["null"], []]


def test_faults_of_different_stages_strike_together() -> None:
    faults = Faults()
    for kind in ("drip", "candles_missing", "skew"):
        add(faults, kind, times=1)
    assert kinds(faults, OHLC) == ["skew", "candles_missing", "drip"]


def test_nothing_else_is_used_up_by_a_request_whose_work_is_not_done() -> None:
    faults = Faults()
    add(faults, "drip", times=1)
    add(faults, "hang_before", times=1)
    assert [kinds(faults, OHLC) for _ in range(3)] == [["hang_before"], ["drip"], []]


def test_an_error_of_a_request_that_is_carried_out_is_one_of_the_answer() -> None:
    faults = Faults()
    assert faults.add({"kind": "error", "message": "EService:Timeout"}).fault.stage == "before"
    assert faults.add({"kind": "error", "message": "EService:Timeout", "worked": True}).fault.stage == "answer"
    assert faults.add({"kind": "http", "status": 524, "worked": True}).fault.stage == "answer"


@settings(max_examples=30)
@given(seed=st.integers(), probability=st.floats(0.05, 1))
def test_the_same_seed_strikes_the_same_requests(seed: int, probability: float) -> None:
    def struck() -> list[bool]:
        faults = Faults()
        add(faults, "empty", probability=probability, seed=seed)
        return [bool(faults.strike(OHLC)) for _ in range(200)]

    assert struck() == struck()


def test_a_probability_is_about_the_share_that_is_struck() -> None:
    faults = Faults()
    add(faults, "empty", probability=0.25, seed=7)
    assert 430 < sum(bool(faults.strike(OHLC)) for _ in range(2000)) < 570


def test_requests_of_other_endpoints_throw_no_dice() -> None:
    alone, among = Faults(), Faults()
    for faults in (alone, among):
        add(faults, "empty", "AddOrder", probability=0.5, seed=3)
    outcomes = []
    for _ in range(50):
        among.strike(OHLC)
        outcomes.append((bool(alone.strike(ADD_ORDER)), bool(among.strike(ADD_ORDER))))
    assert Counter(one == other for one, other in outcomes) == {True: 50}


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"kind": "hang"}, "unknown fault 'hang': did you mean 'hang_after'?"),
        ({}, "unknown fault 'None'"),
        ([], "a fault is a JSON object such as"),
        ({"kind": "http"}, "status of the fault http cannot be used: field required"),
        ({"kind": "http", "status": 200}, "status of the fault http cannot be used: input should be greater than"),
        ({"kind": "error"}, "message of the fault error cannot be used"),
        ({"kind": "drip", "seconds": -1}, "seconds of the fault drip cannot be used"),
        ({"kind": "empty", "times": 0}, "times of the fault empty cannot be used"),
        ({"kind": "empty", "probability": 1.5}, "probability of the fault empty cannot be used"),
        ({"kind": "empty", "endpoint": ""}, "endpoint of the fault empty cannot be used"),
        ({"kind": "empty", "speed": 1}, "speed of the fault empty cannot be used: extra inputs are not permitted"),
        ({"kind": "partial_fill", "fraction": 1}, "fraction of the fault partial_fill cannot be used"),
        ({"kind": "maintenance", "status": "asleep"}, "status of the fault maintenance cannot be used"),
    ],
)
def test_what_is_no_fault_is_refused_in_one_line(wanted: Any, told: str) -> None:
    faults = Faults()
    with pytest.raises(BadInput) as refused:
        faults.add(wanted)
    assert str(refused.value).startswith(told)
    assert "\n" not in str(refused.value)
    assert faults.standing == []


def test_the_admin_port_refuses_what_is_no_fault_with_400(practice: Practice) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        practice.fault("http", status=99)
    with refused.value as error:
        assert (error.code, "status of the fault http" in json.load(error)["error"]) == (400, True)
    assert practice.ask("GET", "/faults") == {"faults": []}


def test_faults_are_listed_with_how_often_they_struck_and_cleared_together(practice: Practice) -> None:
    practice.fault("empty", "Ticker", times=3)
    practice.fault("null", "OHLC")
    raw(ticker(practice))
    listed = practice.ask("GET", "/faults")["faults"]
    assert [(fault["kind"], fault["struck"]) for fault in listed] == [("empty", 1), ("null", 0)]
    assert practice.ask("DELETE", "/faults") == {"cleared": 2}
    assert json.loads(raw(ticker(practice))[2])["error"] == []


# No work done


def test_an_error_comes_in_the_envelope_of_its_wire(practice: Practice) -> None:
    practice.fault("error", message="EService:Unavailable", code=20060)
    assert raw(ticker(practice)) == (200, "application/json", '{"error": ["EService:Unavailable"]}')
    told = (500, "application/json", '["error", 20060, "EService:Unavailable"]')
    assert raw(f"{practice.url}/v2/platform/status") == told


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 520, 521, 522, 524, 525, 599])
def test_http_errors_are_pages_of_the_server_in_front(practice: Practice, status: int) -> None:
    practice.fault("http", status=status, times=1)
    code, kind, text = raw(ticker(practice))
    assert (code, kind, text.startswith(f"<html><head><title>{status} ")) == (status, "text/html", True)


@pytest.mark.parametrize("fault", [{"kind": "error", "message": "EService:Busy"}, {"kind": "http", "status": 502}])
@pytest.mark.parametrize("worked", [False, True])
def test_whether_an_order_is_placed_behind_an_error_is_as_told(practice: Practice, fault: Any, worked: bool) -> None:
    name = f"{fault['kind']}-{worked}"
    practice.fault(endpoint="AddOrder", times=1, worked=worked, **fault)
    raw(signed(practice.url, "AddOrder", cl_ord_id=name, **LIMIT))
    assert len(practice.orders_of(name)) == int(worked)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_hang_lasts_until_the_client_goes_and_the_work_is_done_or_not(practice: Practice, when: str) -> None:
    practice.fault(f"hang_{when}", "AddOrder", times=1)
    begun = time.monotonic()
    with pytest.raises(TimeoutError):
        practice.private("AddOrder", cl_ord_id=f"hang-{when}", timeout=0.3, **LIMIT)
    assert time.monotonic() - begun > 0.29
    assert len(practice.orders_of(f"hang-{when}")) == {"before": 0, "after": 1}[when]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_reset_is_one_and_the_work_is_done_or_not(practice: Practice, when: str) -> None:
    practice.fault(f"reset_{when}", "AddOrder", times=1)
    with pytest.raises(ConnectionResetError):
        practice.private("AddOrder", cl_ord_id=f"reset-{when}", **LIMIT)
    assert len(practice.orders_of(f"reset-{when}")) == {"before": 0, "after": 1}[when]


def test_a_bad_gateway_hides_work_that_is_done(practice: Practice) -> None:
    practice.fault("bad_gateway_after", "AddOrder", times=1)
    assert raw(signed(practice.url, "AddOrder", cl_ord_id="gateway", **LIMIT))[0] == 502
    assert len(practice.orders_of("gateway")) == 1
    assert [entry["faults"] for entry in practice.journal("AddOrder", limit=1)] == [["bad_gateway_after"]]


# The answer is not what it ought to be


@pytest.mark.parametrize(
    ("kind", "text"), [("empty", ""), ("null", "null"), ("empty_object", "{}"), ("empty_list", "[]")]
)
def test_answers_without_anything_in_them(practice: Practice, kind: str, text: str) -> None:
    practice.fault(kind, "Ticker")
    assert raw(ticker(practice)) == (200, "application/json", text)


def test_html_comes_with_status_200(practice: Practice) -> None:
    practice.fault("html", "Ticker")
    status, kind, text = raw(ticker(practice))
    assert (status, kind, text[:6]) == (200, "text/html", "<html>")


def test_truncated_json_is_the_first_half(practice: Practice) -> None:
    whole = raw(ticker(practice))[2]
    practice.fault("truncated", "Ticker")
    assert raw(ticker(practice))[2] == whole[: len(whole) // 2]


def test_a_null_result_has_no_error_either(practice: Practice) -> None:
    practice.fault("null_result", "Balance")
    assert practice.private("Balance") == {"error": [], "result": None}


def test_an_order_without_an_id_is_placed_none_the_less(practice: Practice) -> None:
    practice.fault("no_id", times=1)
    answer = practice.private("AddOrder", cl_ord_id="no-id", **LIMIT)
    assert (answer["error"], list(answer["result"])) == ([], ["descr"])
    assert len(practice.orders_of("no-id")) == 1


def test_an_order_of_bitfinex_without_an_id_is_placed_none_the_less(practice: Practice) -> None:
    order = {"type": "EXCHANGE LIMIT", "symbol": "tBTCUSD", "amount": "0.001", "price": "10000", "cid": 12345}
    practice.fault("no_id", "submit", times=1)
    rows = [json.loads(raw(signed_bitfinex(practice.url, "auth/w/order/submit", order))[2])[4] for _ in range(2)]
    assert [row[0][0] is None for row in rows] == [True, False]
    assert rows[0][0][2] == rows[1][0][2] == 12345
    assert len(practice.ask("GET", "/state")["open_orders"]) >= 2


def test_a_drip_is_the_whole_answer_slowly(practice: Practice) -> None:
    whole = raw(ticker(practice))[2]
    practice.fault("drip", "Ticker", seconds=0.4)
    begun = time.monotonic()
    assert raw(ticker(practice))[2] == whole
    assert time.monotonic() - begun > 0.39


def test_others_are_answered_while_one_answer_drips_and_another_hangs(practice: Practice) -> None:
    practice.fault("hang_before", "Time", times=1)
    with pytest.raises(TimeoutError):
        raw(f"{practice.url}/0/public/Time", timeout=0.2)
    assert practice.public("SystemStatus")["error"] == []


def times_of(practice: Practice) -> list[int]:
    return [row[0] for row in practice.public("OHLC", pair="XBTUSD", interval=1)["result"]["XXBTZUSD"]]


def test_candles_are_missing_doubled_or_out_of_order(practice: Practice) -> None:
    whole = times_of(practice)
    assert len(whole) > 700
    practice.fault("candles_missing", times=1)
    assert times_of(practice) == [ts for place, ts in enumerate(whole) if place % 3 != 1]
    practice.fault("candles_duplicated", times=1)
    doubled = times_of(practice)
    assert (sorted(set(doubled)), doubled, len(doubled)) == (whole, sorted(doubled), len(whole) + len(whole[1::3]))
    practice.fault("candles_disordered", times=1)
    jumbled = times_of(practice)
    assert (sorted(jumbled), jumbled[:3]) == (whole, whole[2::-1])
    assert times_of(practice) == whole


def test_candles_of_bitfinex_are_doubled_as_well(practice: Practice) -> None:
    url = f"{practice.url}/v2/candles/trade:1m:tBTCUSD/hist?limit=30"
    rows = json.loads(raw(url)[2])
    practice.fault("candles_duplicated", "hist", times=1)
    assert len(json.loads(raw(url)[2])) == len(rows) + len(rows[1::3])


# The exchange is different


def test_stale_answers_are_those_of_the_time_before(practice: Practice) -> None:
    before = raw(ticker(practice))[2]
    practice.step(600)
    assert raw(ticker(practice))[2] != before
    practice.fault("stale", "Ticker", seconds=600, times=1)
    assert raw(ticker(practice))[2] == before
    assert raw(ticker(practice))[2] != before


def test_a_skewed_clock_tells_another_time_and_rules_by_its_own(practice: Practice) -> None:
    now = practice.public("Time")["result"]["unixtime"]
    practice.fault("skew", "Time", seconds=-90, times=1)
    assert practice.public("Time")["result"]["unixtime"] == now - 90
    assert practice.public("Time")["result"]["unixtime"] == now >= NOW // SECOND


def test_maintenance_closes_the_exchange_to_the_requests_that_it_strikes(practice: Practice) -> None:
    practice.fault("maintenance")
    assert practice.public("SystemStatus")["result"]["status"] == "maintenance"
    assert practice.private("AddOrder", cl_ord_id="closed", **LIMIT) == {"error": ["EService:Unavailable"]}
    practice.clear_faults()
    assert practice.public("SystemStatus")["result"]["status"] == "online"
    practice.fault("maintenance", status="post_only", times=1)
    assert practice.public("SystemStatus")["result"]["status"] == "post_only"
    assert practice.orders_of("closed") == []


def test_a_partial_fill_is_cancelled_by_the_exchange_and_the_next_order_is_not(practice: Practice) -> None:
    market = {"pair": "XBTUSD", "type": "buy", "ordertype": "market", "volume": "0.001"}
    practice.fault("partial_fill", fraction="0.25", times=1)
    ids = [practice.private("AddOrder", **market)["result"]["txid"][0] for _ in range(2)]
    orders = [practice.private("QueryOrders", txid=txid)["result"][txid] for txid in ids]
    assert [(order["status"], Decimal(order["vol_exec"])) for order in orders] == [
        ("canceled", Decimal("0.00025")),
        ("closed", Decimal("0.001")),
    ]
    assert practice.exchange.fill_limit is None
