"""Protective stops and the dead man's switch, at the practice exchange in Kraken's and in Bitfinex' language."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest

from data.writer import Lake
from tasks.engine.rules import make_limits, make_rules
from tasks.exchange.matching import Tick
from tasks.exchange.orders import Fill, Order, OrderRequest
from tasks.trade.desk import Desk, Options, SessionRun, open_desk
from tasks.trade.execution import carry_out, settle
from tasks.trade.intent import Intent
from tasks.trade.live import LiveBroker
from tasks.trade.protection import places_stops, release, renew, secure
from tests.servers.practice_exchange import NOW, Practice

SYMBOL = "BTC/USD"
D = Decimal
MINUTE = pd.Timedelta(minutes=1)
DECIDED = pd.Timestamp(NOW, unit="ns", tz="UTC").as_unit("us") - MINUTE
"""The candle that has just closed."""

Open = Callable[..., Any]

pytestmark = pytest.mark.usefixtures("own_state")


def session(*, stop_loss: float | None = 0.02, trailing_stop: float | None = None, **changes: Any) -> SessionRun:
    absent = dict.fromkeys(("amount", "take_profit", "min_amount", "min_cost"))
    stops = {"stop_loss": stop_loss, "trailing_stop": trailing_stop}
    rules = make_rules(fee=0.004, slippage=0.0005, fraction=1.0, amount_step=1e-8, **absent, **stops)
    limits, options = make_limits(long_only=True), Options()
    run = SessionRun("run", "live", "practice", SYMBOL, "1m", 1e4, rules, limits, options, DECIDED, DECIDED)
    return replace(run, **changes)


def desk_of(lake: Lake, broker: LiveBroker, run: SessionRun | None = None) -> Desk:
    """Return a desk whose candles go on after the one that was decided: first sideways, then 2 % up, then sideways."""
    desk = open_desk(lake, run or session(), broker)
    settle(desk)
    price = float(broker.price(SYMBOL).last)
    rows = [(price, price * high, price * 0.995, price) for high in (1.001, 1.001, 1.02, 1.001)]
    index = pd.date_range(DECIDED, periods=4, freq="min", unit="us", name="ts")
    fold = desk.fold_over(pd.DataFrame(rows, index, ["open", "high", "low", "close"]))
    fold.close(0)
    fold.book_until()
    return desk


def trade(desk: Desk, side: str, amount: str, leg: str = "open") -> Intent:
    done = carry_out(desk, desk.wish(DECIDED, side, leg, D(amount), "signal"))
    assert done.event == "filled"
    return done


def stops_at(broker: LiveBroker) -> list[Order]:
    return [order for order in broker.open_orders(SYMBOL) if order.request.type == "stop_loss"]


def fall_to(practice: Practice, price: Decimal) -> None:
    """Let the market print a trade at this price."""
    exchange = practice.exchange
    tick = Tick(exchange.clock.now(), price.quantize(D("0.1")), D(5), "sell")
    practice.on_loop(exchange.engine.trade, SYMBOL, tick)


def test_a_position_gets_one_stop_for_all_of_it_at_its_level(
    practice: Practice, broker_at: Open, lake: Lake, name: str
) -> None:
    with broker_at(practice, name) as broker:
        desk = desk_of(lake, broker)
        trade(desk, "buy", "0.05")
        secure(desk)
        (stop,) = stops_at(broker)
        level = desk.books.levels().stop
    (intent,) = [order for order in desk.ledger.orders.values() if order.type == "stop"]
    assert (stop.id, stop.request.side, stop.request.amount) == (intent.exchange_id, "sell", D("0.05"))
    assert stop.request.trigger == intent.price
    step = D(10) if name == "practice-bitfinex" else D("0.1")
    assert 0 <= float(stop.request.trigger or 0) - level < step
    assert (intent.order_id, intent.event) == (f"{DECIDED:%Y-%m-%dT%H:%M:%SZ}-sell-exit", "accepted")
    assert intent.reason == "stop_loss"


def test_a_stop_that_stands_right_is_left_alone(practice: Practice, broker_at: Open, lake: Lake, name: str) -> None:
    with broker_at(practice, name) as broker:
        desk = desk_of(lake, broker)
        trade(desk, "buy", "0.05")
        secure(desk)
        (before,) = stops_at(broker)
        for again in (desk, desk_of(lake, broker)):
            secure(again)
        assert stops_at(broker) == [before]


def test_a_trailing_stop_is_moved_up_with_the_price(practice: Practice, broker_at: Open, lake: Lake, name: str) -> None:
    with broker_at(practice, name) as broker:
        desk = desk_of(lake, broker, session(trailing_stop=0.03))
        trade(desk, "buy", "0.05")
        secure(desk)
        (first,) = stops_at(broker)
        assert desk.fold is not None
        desk.fold.close(1)
        secure(desk)
        assert stops_at(broker) == [first]
        desk.fold.close(2)
        secure(desk)
        (second,) = stops_at(broker)
        assert broker.order(first.id, SYMBOL).status == "cancelled"
    assert float(second.request.trigger or 0) == pytest.approx(desk.books.levels().stop, abs=10)
    assert (first.request.trigger or 0) < (second.request.trigger or 0)
    stops = [order for order in desk.ledger.orders.values() if order.type == "stop"]
    assert [(order.attempt, order.event, order.reason) for order in stops] == [
        (1, "cancelled", "stop_loss"),
        (2, "accepted", "trailing_stop"),
    ]


def test_a_stop_grows_with_its_position(practice: Practice, broker_at: Open, lake: Lake) -> None:
    with broker_at(practice) as broker:
        desk = desk_of(lake, broker)
        trade(desk, "buy", "0.05")
        secure(desk)
        trade(desk, "buy", "0.01")
        secure(desk)
        (stop,) = stops_at(broker)
    assert stop.request.amount == D("0.06")


def test_what_a_stop_holds_can_be_sold_once_it_is_released(practice: Practice, broker_at: Open, lake: Lake) -> None:
    with broker_at(practice) as broker:
        desk = desk_of(lake, broker)
        trade(desk, "buy", "0.05")
        secure(desk)
        assert broker.balance()["BTC"].held == D("0.05")
        release(desk)
        assert broker.balance()["BTC"].held == 0
        trade(desk, "sell", "0.05", "close")
        secure(desk)
        assert stops_at(broker) == []
    assert (desk.ledger.position, desk.blocked) == (D(0), "")


def test_a_stop_fires_when_the_price_falls_and_the_next_run_takes_its_fills_in(
    practice: Practice, broker_at: Open, lake: Lake, name: str
) -> None:
    with broker_at(practice, name) as broker:
        desk = desk_of(lake, broker)
        trade(desk, "buy", "0.05")
        secure(desk)
        (stop,) = stops_at(broker)
        practice.step(20)
        fall_to(practice, (stop.request.trigger or D(0)) * D("0.99"))
        practice.step(20)
        after = desk_of(lake, broker)
        secure(after)
        assert stops_at(broker) == []
        sold = broker.fills_of(broker.order(stop.id, SYMBOL))
    (intent,) = [order for order in after.ledger.orders.values() if order.type == "stop"]
    taken = after.ledger.fills_of(intent)
    assert (intent.event, intent.filled, after.ledger.position) == ("filled", D("0.05"), D(0))
    assert [(fill.fill_id, fill.price) for fill in taken] == [(fill.id, fill.price) for fill in sold]
    assert {fill.reason for fill in taken} == {"stop_loss"}
    assert after.books.position == 0.0


def test_a_stop_that_fires_while_it_is_moved_leaves_nothing_to_sell_twice(
    practice: Practice, broker_at: Open, lake: Lake
) -> None:
    with broker_at(practice) as broker:
        desk = desk_of(lake, broker, session(trailing_stop=0.03))
        trade(desk, "buy", "0.05")
        secure(desk)
        (stop,) = stops_at(broker)
        assert desk.fold is not None
        desk.fold.close(1)
        desk.fold.close(2)
        fall_to(practice, (stop.request.trigger or D(0)) * D("0.99"))
        secure(desk)
        assert stops_at(broker) == []
        assert broker.balance()["BTC"].total == 10
    assert (desk.ledger.position, desk.blocked) == (D(0), "")


@pytest.mark.parametrize("kind", ["reset_before", "reset_after"])
def test_one_stop_stands_though_the_answer_to_its_cancellation_is_lost(
    practice: Practice, broker_at: Open, lake: Lake, kind: str
) -> None:
    with broker_at(practice) as broker:
        desk = desk_of(lake, broker)
        trade(desk, "buy", "0.05")
        secure(desk)
        trade(desk, "buy", "0.01")
        practice.fault(kind, "CancelOrder", times=1)
        secure(desk)
        (stop,) = stops_at(broker)
    assert (stop.request.amount, desk.blocked) == (D("0.06"), "")


@pytest.mark.parametrize("kind", ["reset_before", "reset_after"])
def test_a_stop_of_unknown_outcome_is_cleared_up_before_another_is_placed(
    practice: Practice, broker_at: Open, lake: Lake, kind: str
) -> None:
    with broker_at(practice, patience=0.1) as broker:
        desk = desk_of(lake, broker)
        trade(desk, "buy", "0.05")
        practice.fault(kind, "AddOrder", times=1)
        secure(desk)
        assert (desk.blocked_by == "unknown_order") == (kind == "reset_before")
        secure(desk)
        practice.step(60)
        after = desk_of(lake, broker)
        secure(after)
        (stop,) = stops_at(broker)
    assert (stop.request.amount, after.blocked) == (D("0.05"), "")
    attempts = [order.attempt for order in after.ledger.orders.values() if order.type == "stop"]
    assert attempts == ([1, 2] if kind == "reset_before" else [1])


def test_a_stop_that_somebody_cancelled_is_placed_again(practice: Practice, broker_at: Open, lake: Lake) -> None:
    with broker_at(practice) as broker:
        desk = desk_of(lake, broker)
        trade(desk, "buy", "0.05")
        secure(desk)
        (stop,) = stops_at(broker)
        broker.cancel(stop.id, SYMBOL)
        secure(desk_of(lake, broker))
        (again,) = stops_at(broker)
    assert again.id != stop.id
    assert again.request == replace(stop.request, client_id=again.request.client_id)


def test_a_failure_to_place_a_stop_is_told_and_tried_again(practice: Practice, broker_at: Open, lake: Lake) -> None:
    with broker_at(practice) as broker:
        desk = desk_of(lake, broker)
        trade(desk, "buy", "0.05")
        practice.fault("error", "AddOrder", message="EOrder:Rate limit exceeded", times=1)
        secure(desk)
        assert "failure" in {note.kind for note in desk.notes}
        assert stops_at(broker) == []
        secure(desk)
        assert len(stops_at(broker)) == 1


def test_dust_has_no_stop_and_is_no_failure(practice: Practice, broker_at: Open, lake: Lake) -> None:
    with broker_at(practice) as broker:
        desk = desk_of(lake, broker)
        wish = desk.wish(DECIDED, "buy", "open", D("0.00004"), "signal")
        desk.ledger.intend(wish)
        fill = Fill("F1", "O1", SYMBOL, "buy", NOW, D(90_000), D("0.00004"), D("3.6"), D(0), "USD", maker=False)
        desk.take_in(wish, [fill])
        secure(desk)
        assert stops_at(broker) == []
    assert {note.kind for note in desk.notes} == {"fill"}


@pytest.mark.parametrize(
    "run",
    [
        session(stop_loss=None),
        session(options=Options(protective_stops=False)),
    ],
)
def test_a_session_that_wants_no_stops_has_none(
    practice: Practice, broker_at: Open, lake: Lake, run: SessionRun
) -> None:
    with broker_at(practice) as broker:
        desk = desk_of(lake, broker, run)
        trade(desk, "buy", "0.05")
        secure(desk)
        assert stops_at(broker) == []
        assert not places_stops(desk)


def test_a_blocked_desk_sends_nothing(practice: Practice, broker_at: Open, lake: Lake) -> None:
    with broker_at(practice) as broker:
        desk = desk_of(lake, broker)
        trade(desk, "buy", "0.05")
        desk.block("reconciliation", "10 USD are missing")
        sent = len(practice.journal("AddOrder"))
        secure(desk)
        assert len(practice.journal("AddOrder")) == sent


# The dead man's switch


def resting(broker: LiveBroker) -> str:
    return broker.submit(OrderRequest(SYMBOL, "buy", "limit", D("0.01"), D(1000), client_id="resting")).id


def test_the_switch_fires_two_candles_and_a_minute_after_it_was_last_renewed(
    practice: Practice, broker_at: Open, lake: Lake
) -> None:
    with broker_at(practice) as broker:
        desks, placed = [desk_of(lake, broker, session(stop_loss=None))], resting(broker)
        for _ in range(3):
            renew(broker, desks)
            practice.step(170)
            assert broker.order(placed, SYMBOL).status == "open"
        practice.step(11)
        assert broker.order(placed, SYMBOL).status == "cancelled"


def test_the_switch_is_taken_away_where_it_would_take_a_stop_away(
    practice: Practice, broker_at: Open, lake: Lake
) -> None:
    with broker_at(practice) as broker:
        desk, placed = desk_of(lake, broker), resting(broker)
        broker.cancel_all_after(100)
        renew(broker, [desk, desk_of(lake, broker, session(stop_loss=None, run_id="other"))])
        practice.step(3600)
        assert broker.order(placed, SYMBOL).status == "open"


def test_the_switch_leaves_the_stops_of_other_sessions_of_the_account(
    practice: Practice, broker_at: Open, lake: Lake
) -> None:
    with broker_at(practice) as broker:
        protected = desk_of(lake, broker, session(run_id="other"))
        trade(protected, "buy", "0.05")
        secure(protected)
        renew(broker, [desk_of(lake, broker, session(stop_loss=None))])
        practice.step(3600)
        assert len(stops_at(broker)) == 1


@pytest.mark.parametrize(
    "changes", [{"options": Options(dead_man=False)}, {"timeframe": "1d"}], ids=["not wanted", "candles too long"]
)
def test_the_switch_is_left_alone(practice: Practice, broker_at: Open, lake: Lake, changes: dict[str, Any]) -> None:
    with broker_at(practice) as broker:
        renew(broker, [desk_of(lake, broker, session(stop_loss=None, **changes))])
        renew(broker, [])
    assert practice.journal("CancelAllOrdersAfter") == []


def test_an_exchange_without_a_switch_is_not_asked_for_one(practice: Practice, broker_at: Open, lake: Lake) -> None:
    with broker_at(practice, "practice-bitfinex") as broker:
        desk = desk_of(lake, broker, session(stop_loss=None))
        renew(broker, [desk])
    assert desk.notes == []


def test_a_switch_that_could_not_be_renewed_is_told(practice: Practice, broker_at: Open, lake: Lake) -> None:
    with broker_at(practice) as broker:
        desk = desk_of(lake, broker, session(stop_loss=None))
        practice.fault("reset_after", "CancelAllOrdersAfter", times=1)
        renew(broker, [desk])
    (note,) = desk.notes
    assert note.kind == "failure"
    assert "the dead man's switch was not renewed" in note.text
