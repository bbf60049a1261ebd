"""Orders sent once and followed to their end, and what is made of those whose fate was left open."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from data.errors import LakeError, OutcomeUnknown, TryLater
from data.writer import Lake
from tasks.exchange import client, trading_client
from tasks.exchange.orders import Order, OrderRequest
from tasks.trade import execution, resume
from tasks.trade.desk import Desk, Options, open_desk
from tasks.trade.execution import cancel, carry_out, declare_absent, end_in_time, settle
from tasks.trade.halt import halt
from tasks.trade.intent import Intent
from tasks.trade.live import LiveBroker
from tests.servers.practice_exchange import NOW, Practice, practice_exchange
from tests.unit.trade_sessions import START, SYMBOL, Killed, ScriptedBroker, a_run, dying

D = Decimal


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JARVIS_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(execution, "FOLLOW", 0.0)
    monkeypatch.setattr(client, "_PAUSES", (0.01, 0.01))


def desk_of(lake: Lake, broker: Any, **options: Any) -> Desk:
    return open_desk(lake, a_run(mode="live", options=Options(**options)), broker)


def to_buy(desk: Desk, amount: str = "0.1", **changes: Any) -> Intent:
    return replace(desk.wish(START, "buy", "open", D(amount), "signal"), **changes)


def to_rest(desk: Desk, amount: str = "0.1", price: str = "19000") -> Intent:
    return to_buy(desk, amount, type="limit", price=D(price))


def buy_and_die(desk: Desk) -> None:
    """An order after which the process ends, if it did not before."""
    carry_out(desk, to_buy(desk))
    raise Killed


def kinds(desk: Desk) -> list[str]:
    return [note.kind for note in desk.notes]


def test_a_market_order_is_written_sent_once_and_followed_to_its_end(lake: Lake) -> None:
    broker = ScriptedBroker()
    desk = desk_of(lake, broker)
    order = carry_out(desk, to_buy(desk))
    assert (order.event, order.filled, order.exchange_id) == ("filled", D("0.1"), "O1")
    assert broker.asked.count("submit") == 1
    assert (desk.ledger.position, desk.blocked) == (D("0.1"), "")
    assert kinds(desk) == ["fill"]
    assert broker.orders["O1"].request == order.request()


def test_nothing_is_sent_before_the_intent_is_on_the_disk(lake: Lake) -> None:
    broker = ScriptedBroker()
    desk = desk_of(lake, broker)
    with pytest.raises(Killed), dying(0):
        carry_out(desk, to_buy(desk))
    assert broker.asked == []


def test_what_another_process_may_be_sending_is_not_sent(lake: Lake) -> None:
    broker = ScriptedBroker()
    desk, other = desk_of(lake, broker), desk_of(lake, broker)
    carry_out(other, to_buy(other))
    with pytest.raises(LakeError, match="another process"):
        carry_out(desk, to_buy(desk))
    assert len(broker.orders) == 1


@pytest.mark.parametrize(
    ("fate", "event", "never_reached", "kind"),
    [
        ("refused", "rejected", False, "refused"),
        ("later", "rejected", True, "failure"),
        ("lost_before", "rejected", True, "failure"),
        ("lost_after", "filled", False, "fill"),
    ],
)
def test_the_fate_of_an_order_is_written_as_it_was(
    lake: Lake, fate: str, event: str, never_reached: bool, kind: str
) -> None:
    broker = ScriptedBroker([fate])
    desk = desk_of(lake, broker)
    order = carry_out(desk, to_buy(desk))
    assert (order.event, order.never_reached, desk.blocked) == (event, never_reached, "")
    assert kind in kinds(desk)
    assert open_desk(lake, desk.run, broker).ledger.orders == desk.ledger.orders
    assert broker.asked.count("submit") == 1


def test_an_order_that_came_after_its_deadline_may_be_wanted_again(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    from data.errors import Refused

    def late(request: OrderRequest) -> Order:
        raise Refused("EService:Deadline elapsed")

    broker = ScriptedBroker()
    monkeypatch.setattr(broker, "submit", late)
    desk = desk_of(lake, broker)
    assert carry_out(desk, to_buy(desk)).never_reached


def test_an_order_that_cannot_be_found_blocks_its_symbol_until_it_is(lake: Lake) -> None:
    broker = ScriptedBroker(["lost_after"])
    broker.knows = False
    desk = desk_of(lake, broker)
    order = carry_out(desk, to_buy(desk))
    assert order.event == "unknown"
    assert "may be at the exchange, or not" in desk.blocked
    assert (desk.blocked_by, kinds(desk)) == ("unknown_order", ["unknown_order"])
    still = resume(lake, desk.run, broker)
    assert still.blocked
    broker.knows = True
    found = resume(lake, desk.run, broker)
    assert (found.blocked, found.ledger.position) == ("", D("0.1"))
    assert broker.asked.count("submit") == 1


@pytest.mark.parametrize("fate", ["lost_before", "lost_after"])
def test_a_person_may_say_that_an_order_is_not_there_unless_it_is_found(lake: Lake, fate: str) -> None:
    broker = ScriptedBroker([fate])
    broker.knows = False
    desk = desk_of(lake, broker)
    order = carry_out(desk, to_buy(desk))
    broker.knows = fate == "lost_after"
    assert declare_absent(desk, order) is (fate == "lost_before")
    assert (order.never_reached, order.event) == ((True, "rejected") if fate == "lost_before" else (False, "filled"))
    after = resume(lake, desk.run, broker)
    assert not after.blocked
    assert after.ledger.position == (D("0.1") if fate == "lost_after" else 0)


def test_a_halt_that_comes_between_decision_and_sending_is_kept(lake: Lake) -> None:
    broker = ScriptedBroker()
    desk = desk_of(lake, broker)
    halt("the roof is on fire", SYMBOL)
    order = carry_out(desk, to_buy(desk))
    assert (order.never_reached, "the roof is on fire" in order.ended, broker.orders) == (True, True, {})
    sold = carry_out(desk, desk.wish(START, "sell", "exit", D("0.1"), "flatten"))
    assert sold.event == "filled"


def test_a_limit_order_rests_and_its_parts_are_taken_in(lake: Lake) -> None:
    broker = ScriptedBroker()
    desk = desk_of(lake, broker, order_type="limit")
    order = carry_out(desk, to_rest(desk))
    assert (order.event, desk.blocked) == ("accepted", "")
    broker.fill("O1", D("0.04"))
    desk = resume(lake, desk.run, broker)
    order = desk.ledger.orders[order.order_id]
    assert (order.event, order.filled) == ("partially_filled", D("0.04"))
    broker.fill("O1", D("0.06"))
    desk = resume(lake, desk.run, broker)
    assert desk.ledger.orders[order.order_id].event == "filled"
    assert [fill.amount for fill in desk.ledger.fills] == [D("0.04"), D("0.06")]


def test_a_limit_order_that_rests_too_long_is_cancelled(lake: Lake) -> None:
    broker = ScriptedBroker()
    desk = desk_of(lake, broker, order_type="limit", limit_timeout=30.0)
    carry_out(desk, to_rest(desk))
    broker.fill("O1", D("0.04"))
    broker.time += 29 * 10**9
    assert not next(iter(resume(lake, desk.run, broker).ledger.orders.values())).is_final
    broker.time += 10**9
    (order,) = resume(lake, desk.run, broker).ledger.orders.values()
    assert (order.event, order.filled, order.ended) == ("cancelled", D("0.04"), "User requested")


@pytest.mark.parametrize(
    ("filled", "limits", "bought"),
    [
        pytest.param("0.04", {}, "0.06", id="rest"),
        pytest.param("0.09999", {}, None, id="dust"),
        pytest.param("0.04", {"max_orders_a_day": 1}, None, id="the day has had its orders"),
        pytest.param("0.04", {"max_orders_a_day": 2}, "0.06", id="the day may have one more"),
        pytest.param("0", {"max_orders_a_day": 1}, "0.1", id="an order that was not filled does not count"),
    ],
)
def test_what_a_limit_order_left_is_bought_at_market_if_the_options_say_so_and_the_limits_let_it(
    lake: Lake, filled: str, limits: dict[str, Any], bought: str | None
) -> None:
    broker = ScriptedBroker()
    options = Options(order_type="limit", on_timeout="market")
    desk = open_desk(lake, a_run(mode="live", options=options, **limits), broker)
    carry_out(desk, to_rest(desk))
    if D(filled):
        broker.fill("O1", D(filled))
    broker.time += 31 * 10**9
    desk = resume(lake, desk.run, broker)
    end_in_time(desk, next(iter(desk.ledger.orders.values())))
    rest = [order for order in desk.ledger.orders.values() if order.attempt == 2]
    assert [(order.type, order.amount, order.event) for order in rest] == (
        [("market", D(bought), "filled")] if bought else []
    )
    assert resume(lake, desk.run, broker).ledger.orders == desk.ledger.orders


def test_an_order_is_over_only_when_all_its_fills_are_there(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    broker = ScriptedBroker()
    known = broker.fills_of
    monkeypatch.setattr(broker, "fills_of", lambda order: [])
    desk = desk_of(lake, broker)
    order = carry_out(desk, to_buy(desk))
    assert (order.event, "filled to 0.1" in desk.blocked) == ("accepted", True)
    monkeypatch.setattr(broker, "fills_of", known)
    desk = resume(lake, desk.run, broker)
    assert (desk.blocked, desk.ledger.position) == ("", D("0.1"))


def test_an_order_that_cannot_be_seen_blocks_and_is_asked_for_again(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = ScriptedBroker()
    desk = desk_of(lake, broker)
    carry_out(desk, to_rest(desk))

    def down(order_id: str, symbol: str) -> Order:
        raise TryLater("502 Bad Gateway")

    with monkeypatch.context() as patched:
        patched.setattr(broker, "order", down)
        assert "502" in resume(lake, desk.run, broker).blocked
    assert not resume(lake, desk.run, broker).blocked


def test_a_cancellation_is_over_when_the_order_says_so(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    broker = ScriptedBroker()
    desk = desk_of(lake, broker)
    order = carry_out(desk, to_rest(desk))

    def lost(order_id: str, symbol: str) -> None:
        raise OutcomeUnknown("the answer was lost")

    with monkeypatch.context() as patched:
        patched.setattr(broker, "cancel", lost)
        cancel(desk, order)
    assert (order.event, "it is still open" in desk.blocked) == ("accepted", True)
    desk.unblock()
    cancel(desk, order)
    assert (order.event, desk.blocked) == ("cancelled", "")


def test_orders_of_others_are_noted_and_left_alone(lake: Lake) -> None:
    broker = ScriptedBroker()
    broker.strangers = [Order("OTHER", OrderRequest(SYMBOL, "buy", "limit", D(1), D(1)), "open", 0)]
    desk = desk_of(lake, broker)
    settle(desk)
    assert [(note.kind, "OTHER" in note.text) for note in desk.notes] == [("foreign_order", True)]
    assert desk.ledger.orders == {}


@pytest.mark.parametrize("fate", ["ok", "lost_after", "lost_before"])
def test_wherever_it_is_killed_an_order_is_one_order_and_its_fill_one_fill(lake: Lake, fate: str) -> None:
    for at in range(6):
        broker = ScriptedBroker([fate])
        run = replace(a_run(mode="live"), run_id=f"{fate}-{at}")
        desk = open_desk(lake, run, broker)
        with pytest.raises(Killed), dying(at):
            buy_and_die(desk)
        desk = resume(lake, run, broker)
        assert not desk.blocked
        assert all(order.is_final for order in desk.ledger.orders.values())
        assert desk.ledger.position == sum(order.filled for order in broker.orders.values())
        assert len(broker.orders) <= 1


@pytest.fixture
def practice(monkeypatch: pytest.MonkeyPatch) -> Iterator[Practice]:
    with practice_exchange() as practice:
        monkeypatch.setenv("JARVIS_EXCHANGE_URLS", json.dumps({"practice": practice.url}))
        yield practice


@contextmanager
def at_practice(lake: Lake, options: Options, timeout: float = 5) -> Iterator[Desk]:
    start = pd.Timestamp(NOW, unit="ns", tz="UTC").floor("h").as_unit("us")
    with trading_client("practice", timeout=timeout) as trader:
        yield resume(lake, a_run(mode="live", start=start, options=options), LiveBroker(trader))


def test_the_practice_exchange_fills_an_order_and_the_ledger_is_its_journal(lake: Lake, practice: Practice) -> None:
    with at_practice(lake, Options()) as desk:
        order = carry_out(desk, to_buy(desk))
        assert order.event == "filled"
        assert practice.orders_of(order.client_id) == [order.exchange_id]
        assert desk.broker.balance()["BTC"].total == 10 + desk.ledger.position
        assert desk.broker.balance()["USD"].total == desk.ledger.cash(100_000.0)


@pytest.mark.parametrize("fault", ["hang_after", "reset_after", "no_id", "bad_gateway_after"])
def test_an_answer_that_the_practice_exchange_loses_makes_no_second_order(
    lake: Lake, practice: Practice, fault: str
) -> None:
    practice.fault(fault, "AddOrder", times=1)
    with at_practice(lake, Options(), timeout=0.5) as desk:
        order = carry_out(desk, to_buy(desk))
        assert (order.event, desk.blocked) == ("filled", "")
        assert practice.orders_of(order.client_id) == [order.exchange_id]


def test_a_resting_order_of_the_practice_exchange_is_met_again_by_the_next_run(lake: Lake, practice: Practice) -> None:
    with at_practice(lake, Options(limit_timeout=60.0)) as desk:
        order = carry_out(desk, to_rest(desk, price="1000"))
        assert order.event == "accepted"
    practice.step(61)
    with at_practice(lake, Options(limit_timeout=60.0)) as desk:
        (order,) = desk.ledger.orders.values()
        assert (order.event, desk.blocked) == ("cancelled", "")
