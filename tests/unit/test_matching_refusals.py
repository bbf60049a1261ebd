"""Every reason for which an order is refused, and that a refusal changes nothing."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from data.errors import Refused
from tasks.exchange.matching import MatchingEngine, Refusal, RefusedOrder
from tasks.exchange.orders import OrderRequest
from tasks.exchange.units import SECOND
from tests.unit.matching_market import RULES, START, SYMBOL, D, open_market, order, printed

LIMIT = OrderRequest(SYMBOL, "buy", "limit", D(1), D(95))
FUTURE = START + 60 * SECOND


def limit(**more: Any) -> OrderRequest:
    return order("buy", "limit", "1", "95", **more)


CASES: list[tuple[Refusal, OrderRequest]] = [
    (Refusal.UNKNOWN_SYMBOL, OrderRequest("BTC/EUR", "buy", "limit", D(1), D(95))),
    (Refusal.BAD_ARGUMENTS, order("sell", "market", "100", in_quote=True)),
    (Refusal.BAD_ARGUMENTS, limit(in_quote=True)),
    (Refusal.BAD_ARGUMENTS, order("buy", "market", "1", post_only=True)),
    (Refusal.BAD_ARGUMENTS, limit(post_only=True, time_in_force="IOC")),
    (Refusal.BAD_ARGUMENTS, order("sell", "stop_loss_limit", "1", "89", trigger="90", post_only=True)),
    *((Refusal.BAD_AMOUNT, order("buy", "limit", text, "95")) for text in ("0", "-1", "NaN", "Infinity", "1e15")),
    (Refusal.BAD_AMOUNT, order("buy", "market", "1000.0000000000000000001", in_quote=True)),
    (Refusal.AMOUNT_STEP, order("buy", "limit", "1.005", "95")),
    (Refusal.MIN_AMOUNT, order("buy", "limit", "0.04", "1000")),
    (Refusal.MIN_AMOUNT, order("buy", "market", "4.99", in_quote=True)),
    (Refusal.MIN_COST, order("buy", "limit", "0.1", "99")),
    (Refusal.MIN_COST, order("sell", "market", "0.09")),
    (Refusal.MIN_COST, order("sell", "stop_loss", "0.11", trigger="90")),
    (Refusal.MIN_COST, order("buy", "market", "9.99", in_quote=True)),
    *((Refusal.BAD_PRICE, order("buy", "limit", "1", text)) for text in ("0", "-1", "NaN", "Infinity", "1e15", None)),
    (Refusal.BAD_PRICE, order("buy", "market", "1", "95")),
    (Refusal.BAD_PRICE, order("sell", "stop_loss", "1")),
    (Refusal.BAD_PRICE, order("sell", "stop_loss", "1", "89", trigger="90")),
    (Refusal.BAD_PRICE, order("sell", "stop_loss_limit", "1", trigger="90")),
    (Refusal.BAD_PRICE, order("sell", "stop_loss", "1", trigger="-90")),
    (Refusal.BAD_PRICE, limit(trigger="90")),
    (Refusal.PRICE_STEP, order("buy", "limit", "1", "95.5")),
    (Refusal.PRICE_STEP, order("sell", "take_profit", "1", trigger="110.5")),
    (Refusal.BAD_EXPIRY, limit(time_in_force="GTD")),
    (Refusal.BAD_EXPIRY, limit(expires=FUTURE)),
    (Refusal.BAD_EXPIRY, limit(time_in_force="GTD", expires=START)),
    (Refusal.BAD_EXPIRY, order("buy", "market", "1", time_in_force="GTD", expires=FUTURE)),
    (Refusal.DEADLINE, limit(deadline=START - 1)),
    (Refusal.DEADLINE, limit(deadline=START + SECOND // 2 - 1)),
    (Refusal.BAD_DEADLINE, limit(deadline=START + 61 * SECOND + 1)),
    *((Refusal.BAD_CLIENT_ID, limit(client_id=text)) for text in ("", "x" * 19, "tab\tbed", "größe", "line\n")),
    (Refusal.BAD_CLIENT_ID, limit(client_id="6d1b345e-2821-40e2-ad83-4ecb18a06876x")),
    (Refusal.BAD_CLIENT_ID, limit(client_id="6d1b345e-282140e2-ad83-4ecb18a06876")),
    (Refusal.DUPLICATE_CLIENT_ID, limit(client_id="open")),
    (Refusal.TOO_MANY_ORDERS, limit()),
    (Refusal.POST_ONLY, order("buy", "limit", "1", "101", post_only=True)),
    (Refusal.POST_ONLY, order("buy", "limit", "1", "100", post_only=True)),
    (Refusal.FUNDS, order("buy", "limit", "10000", "95")),
    (Refusal.FUNDS, order("buy", "market", "1000")),
    (Refusal.FUNDS, order("buy", "market", "99900", in_quote=True)),
    (Refusal.FUNDS, order("buy", "stop_loss", "1000", trigger="110")),
    (Refusal.FUNDS, order("sell", "limit", "1000.01", "105")),
    (Refusal.FUNDS, order("sell", "market", "1000.01")),
    (Refusal.FUNDS, order("sell", "stop_loss", "1000.01", trigger="90")),
]


def prepared(refusal: Refusal, request: OrderRequest) -> MatchingEngine:
    engine = open_market(usd="100000", max_open=1 if refusal is Refusal.TOO_MANY_ORDERS else 80)
    if refusal in {Refusal.TOO_MANY_ORDERS, Refusal.DUPLICATE_CLIENT_ID}:
        engine.submit(limit(client_id="open"))
    if refusal is Refusal.POST_ONLY and request.price == 100:
        engine.submit(order("sell", "limit", "1", "101"))
        engine.price(SYMBOL, D(99))  # asks from 100 on
    return engine


@pytest.mark.parametrize(("refusal", "request_"), CASES)
def test_it_is_refused_for_its_reason_and_nothing_has_changed(refusal: Refusal, request_: OrderRequest) -> None:
    engine = prepared(refusal, request_)
    before = engine.snapshot(), copy.deepcopy(engine.orders), engine.balances()
    with pytest.raises(RefusedOrder) as refused:
        engine.submit(request_)
    assert refused.value.refusal is refusal
    assert str(refused.value).startswith(refusal.value)
    assert "\n" not in str(refused.value)
    assert (engine.snapshot(), engine.orders, engine.balances()) == before
    engine.check()


def test_validate_finds_what_is_wrong_with_the_request_itself() -> None:
    by_state = {Refusal.TOO_MANY_ORDERS, Refusal.POST_ONLY, Refusal.FUNDS}
    for refusal, request in CASES:
        engine = prepared(refusal, request)
        if refusal in by_state:
            assert engine.submit(request, validate=True).id == ""
            continue
        with pytest.raises(RefusedOrder) as refused:
            engine.submit(request, validate=True)
        assert refused.value.refusal is refusal


def test_a_market_without_a_price_takes_no_orders() -> None:
    engine = MatchingEngine([RULES], {"USD": D(1000)})
    assert engine.last(SYMBOL) == 0
    assert engine.book(SYMBOL) == ([], [])
    with pytest.raises(RefusedOrder) as refused:
        engine.submit(limit())
    assert refused.value.refusal is Refusal.NO_PRICE


ELSEWHERE: list[tuple[Refusal, Callable[[MatchingEngine], object]]] = [
    (Refusal.UNKNOWN_ORDER, lambda engine: engine.cancel("OABCDE-ABCDE-ABCDEF")),
    (Refusal.UNKNOWN_ORDER, lambda engine: engine.cancel_client("nobody")),
    (Refusal.BAD_ARGUMENTS, lambda engine: engine.cancel_all_after(-1)),
    (Refusal.BAD_ARGUMENTS, lambda engine: engine.cancel_all_after(86_401)),
    (Refusal.BAD_ARGUMENTS, lambda engine: engine.submit(limit(), fill_limit=D("1.1"))),
    (Refusal.BAD_ARGUMENTS, lambda engine: engine.submit(limit(), fill_limit=D("-0.1"))),
    (Refusal.BAD_AMOUNT, lambda engine: engine.deposit("USD", D("NaN"))),
    (Refusal.FUNDS, lambda engine: engine.deposit("USD", D("-100000.01"))),
    (Refusal.FUNDS, lambda _: MatchingEngine([RULES], {"USD": D(-1)})),
    (Refusal.UNKNOWN_SYMBOL, lambda engine: engine.last("BTC/EUR")),
    (Refusal.UNKNOWN_SYMBOL, lambda engine: engine.book("BTC/EUR")),
    (Refusal.UNKNOWN_SYMBOL, lambda engine: engine.fee("BTC/EUR", maker=True)),
]


@pytest.mark.parametrize(("refusal", "ask"), ELSEWHERE)
def test_other_questions_are_refused_too(refusal: Refusal, ask: Callable[[MatchingEngine], object]) -> None:
    engine = open_market()
    before = engine.snapshot()
    with pytest.raises(RefusedOrder) as refused:
        ask(engine)
    assert refused.value.refusal is refusal
    assert engine.snapshot() == before


def test_no_refusal_is_left_without_a_case() -> None:
    assert {case[0] for case in CASES} | {case[0] for case in ELSEWHERE} | {Refusal.NO_PRICE} == set(Refusal)


def test_a_refused_order_is_one_of_the_errors_that_callers_know() -> None:
    assert issubclass(RefusedOrder, Refused)


@pytest.mark.parametrize(
    "client_id", [str(uuid.UUID(int=5)), uuid.UUID(int=2**127).hex, "x" * 18, "1", "with spaces & more"]
)
def test_client_ids_of_krakens_forms_are_taken(client_id: str) -> None:
    assert open_market().submit(limit(client_id=client_id)).request.client_id == client_id


@pytest.mark.parametrize("after", [SECOND // 2, 2 * SECOND, 61 * SECOND])
def test_a_deadline_within_its_range_is_taken(after: int) -> None:
    assert open_market().submit(limit(deadline=START + after)).status == "open"


@pytest.mark.parametrize(
    "request_",
    [
        order("buy", "limit", "0.1", "100"),
        order("buy", "limit", "0.05", "200"),
        order("buy", "market", "10", in_quote=True),
        order("sell", "market", "1000"),
        order("sell", "limit", "1000", "105"),
    ],
)
def test_what_is_just_enough_is_taken(request_: OrderRequest) -> None:
    assert open_market().submit(request_).id


def test_exactly_the_money_that_an_order_can_cost_is_enough() -> None:
    cost = D("95.38")  # 95 and 0.4 %
    assert open_market(usd=str(cost)).submit(limit()).status == "open"
    with pytest.raises(RefusedOrder, match=r"95\.380 USD needed, 95\.37 free"):
        open_market(usd=str(cost - Decimal("0.01"))).submit(limit())


def test_money_that_is_held_cannot_be_used_twice() -> None:
    engine = open_market(usd="200")
    engine.submit(limit())
    engine.submit(limit())
    with pytest.raises(RefusedOrder) as refused:
        engine.submit(limit())
    assert refused.value.refusal is Refusal.FUNDS


def test_a_market_order_may_come_when_as_many_orders_are_open_as_may_be() -> None:
    engine = open_market(max_open=1)
    engine.submit(limit())
    assert engine.submit(order("buy", "market", "1")).status == "closed"
    printed(engine, "94")
    assert engine.submit(limit()).id
