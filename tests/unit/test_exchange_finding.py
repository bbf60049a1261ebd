"""Orders whose answer was lost: the truth is found, absence is believed when it is final, nothing is sent twice."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from data.errors import ExchangeError, OutcomeUnknown, Refused, TryLater
from tasks.exchange import TradingClient, trading_client
from tasks.exchange import client as client_module
from tasks.exchange.dialect import Dialect
from tasks.exchange.kraken import Kraken
from tasks.exchange.orders import Order, OrderRequest
from tests.servers.practice_exchange import NOW, Practice, practice_exchange

SECOND = 1_000_000_000
D = Decimal
Open = Callable[..., Any]
RICH = {"USD": D(10**9), "BTC": D(10**4)}


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JARVIS_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(client_module, "_PAUSES", (0.01, 0.01))


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Open:
    @contextmanager
    def opened(practice: Practice, name: str = "practice", timeout: float = 0.5) -> Iterator[TradingClient]:
        monkeypatch.setenv("JARVIS_EXCHANGE_URLS", json.dumps({name: practice.url}))
        with trading_client(name, timeout=timeout) as trader:
            trader.clock.measure()
            yield trader

    return opened


@pytest.fixture(params=["practice", "practice-bitfinex"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def served() -> Iterator[Practice]:
    with practice_exchange(balances=RICH) as practice:
        yield practice


@pytest.fixture
def still(served: Practice) -> Iterator[Practice]:
    """A practice exchange whose clock stands still; orders of earlier tests are in its history."""
    yield served
    served.clear_faults()
    served.on_loop(served.exchange.engine.cancel_all)


def order(**changes: Any) -> OrderRequest:
    wanted = OrderRequest("BTC/USD", "buy", "limit", D("0.01"), price=D(1000), client_id=str(uuid.uuid4()))
    return replace(wanted, **changes)


def placing(name: str) -> str:
    return "AddOrder" if name == "practice" else "submit"


def made(practice: Practice, name: str, client_id: str | None) -> int:
    """Return how many orders a client id ever made, as the journal has it."""
    if name == "practice-bitfinex":
        client_id = str(uuid.UUID(client_id).int % 2**45)
    return len(practice.orders_of(str(client_id)))


LOST = ["hang_after", "reset_after", "bad_gateway_after", "truncated", "html", "empty", "null", "empty_object"]
NEVER_DONE = ["hang_before", "reset_before"]


@pytest.mark.parametrize("kind", [*LOST, "empty_list", "no_id", "drip"])
@pytest.mark.parametrize("resting", [True, False])
def test_an_order_whose_answer_was_lost_is_found(
    still: Practice, at: Open, name: str, kind: str, resting: bool
) -> None:
    wanted = order() if resting else order(type="market", price=None)
    with at(still, name) as trader:
        still.fault(kind, placing(name), times=1)
        sent = trader.clock.now()
        with pytest.raises(OutcomeUnknown, match=rf"^{name}: buy 0\.01 BTC/USD .* \(client id {wanted.client_id}\): "):
            trader.submit(wanted)
        found = trader.resolve(wanted, sent, timeout=5)
        assert found is not None
        assert found.request.client_id == wanted.client_id
        assert found.status == ("open" if resting else "closed")
        asked = trader.order(found.id, "BTC/USD")
        assert asked.filled == (0 if resting else wanted.amount)
        assert (found.filled, found.cost, found.fee) == (asked.filled, asked.cost, asked.fee)
    assert made(still, name, wanted.client_id) == 1


@pytest.mark.parametrize("kind", NEVER_DONE)
def test_absence_is_believed_only_after_the_deadline_and_a_margin(still: Practice, at: Open, kind: str) -> None:
    with at(still) as trader:
        wanted = order(deadline=trader.deadline(30))
        still.fault(kind, "AddOrder", times=1)
        sent = trader.clock.now()
        with pytest.raises(OutcomeUnknown):
            trader.submit(wanted)
        for _ in range(2):
            with pytest.raises(OutcomeUnknown, match=r"too early to believe that it is absent$"):
                trader.resolve(wanted, sent, timeout=0.1)
            still.step(16)  # in the middle, then just past the deadline
        still.step(10)
        assert trader.resolve(wanted, sent, timeout=5) is None
    assert made(still, "practice", wanted.client_id) == 0


@pytest.mark.parametrize("endpoint", ["orders", "hist"])
def test_an_empty_list_without_an_envelope_is_asked_for_again(still: Practice, at: Open, endpoint: str) -> None:
    wanted = order() if endpoint == "orders" else order(type="market", price=None)
    with at(still, "practice-bitfinex") as trader:
        placed = trader.submit(wanted)
        still.fault("empty_list", endpoint, times=1)
        assert trader.order(placed.id).id == placed.id
        still.fault("empty_list", endpoint, times=1)
        assert trader.find(str(wanted.client_id), NOW - SECOND) is not None


def test_absence_is_not_believed_from_reads_that_failed(still: Practice, at: Open) -> None:
    with at(still) as trader:
        wanted = order(deadline=trader.deadline(30))
        still.fault("reset_before", "AddOrder", times=1)
        sent = trader.clock.now()
        with pytest.raises(OutcomeUnknown):
            trader.submit(wanted)
        still.step(120)
        for endpoint in ("OpenOrders", "ClosedOrders", "TradesHistory", "Time"):
            for kind in ("html", "empty_object", "null", "reset_before"):
                still.fault(kind, endpoint)
                with pytest.raises(OutcomeUnknown, match="may be there all the same: "):
                    trader.resolve(wanted, sent, timeout=0.05)
                still.clear_faults()
        assert trader.resolve(wanted, sent, timeout=5) is None


def test_without_a_deadline_absence_is_believed_late(still: Practice, at: Open, name: str) -> None:
    wanted = order()
    with at(still, name) as trader:
        still.fault("reset_before", placing(name), times=1)
        sent = trader.clock.now()
        with pytest.raises(OutcomeUnknown):
            trader.submit(wanted)
        still.step(100)
        with pytest.raises(OutcomeUnknown, match="too early"):
            trader.resolve(wanted, sent, timeout=0.1)
        still.step(100)
        assert trader.resolve(wanted, sent, timeout=5) is None


def test_absence_is_never_believed_of_an_exchange_whose_lists_may_not_be_whole(still: Practice, at: Open) -> None:
    with at(still, timeout=5) as trader:
        sent, early = trader.clock.now(), order(time_in_force="IOC")
        trader.submit(early)
        for _ in range(50):
            still.step(2)
            trader.submit(order(time_in_force="IOC"))
        still.step(200)
        trader._dialect = Dialect(trader._client, "okx", 5.0)  # as of an exchange that has no dialect of its own
        assert trader.find(str(early.client_id), sent) is None
        with pytest.raises(OutcomeUnknown, match=r"okx is not known to show all orders: look by hand$"):
            trader.resolve(early, sent, timeout=0.1)


def test_an_older_order_of_the_same_client_id_does_not_hide_the_one_that_is_looked_for(
    still: Practice, at: Open
) -> None:
    with at(still, "practice-bitfinex") as trader:
        resting = order()
        first = trader.submit(resting)
        still.step(30)
        again = replace(resting, type="market", price=None)
        still.fault("hang_after", "submit", times=1)
        sent = trader.clock.now()
        with pytest.raises(OutcomeUnknown):
            trader.submit(again)
        still.step(200)
        found = trader.resolve(again, sent, timeout=5)
        assert found is not None
        assert (found.status, found.filled) == ("closed", again.amount)
        assert found.id != first.id


def test_an_order_without_a_client_id_cannot_be_looked_for(still: Practice, at: Open) -> None:
    with at(still) as trader, pytest.raises(OutcomeUnknown, match="without a client id cannot be looked for"):
        trader.resolve(order(client_id=None), NOW, timeout=1)


def test_an_order_that_was_proven_not_taken_is_certain_at_once(still: Practice, at: Open) -> None:
    with at(still) as trader:
        for message, kind in (("EOrder:Insufficient funds", Refused), ("EAPI:Rate limit exceeded", TryLater)):
            wanted = order()
            still.fault("error", "AddOrder", message=message, times=1)
            with pytest.raises(kind, match=f"{message}$"):
                trader.submit(wanted)
            assert made(still, "practice", wanted.client_id) == 0


@pytest.mark.parametrize("message", ["EService:Timeout", "EService:Unavailable", "EGeneral:Internal error"])
def test_krakens_words_that_prove_nothing_are_looked_into(still: Practice, at: Open, message: str) -> None:
    with at(still) as trader:
        wanted = order()
        still.fault("error", "AddOrder", message=message, worked=True, times=1)
        sent = trader.clock.now()
        with pytest.raises(OutcomeUnknown, match=f"{message}$"):
            trader.submit(wanted)
        assert trader.resolve(wanted, sent, timeout=5) is not None


def test_a_client_id_that_is_used_again_means_the_later_order(still: Practice, at: Open) -> None:
    with at(still) as trader:
        wanted = order(type="market", price=None)
        first = trader.submit(wanted)
        still.step(30)
        between = trader.clock.now()
        assert trader.find(str(wanted.client_id), between) is None
        second = trader.submit(wanted)
        found = trader.find(str(wanted.client_id), NOW - SECOND)
        assert found is not None
        assert found.id == second.id != first.id
    assert made(still, "practice", wanted.client_id) == 2


def test_the_orders_of_own_trades_are_looked_at_last(
    still: Practice, at: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the lists of orders lag behind the trades."""
    with at(still) as trader:
        wanted = order(type="market", price=None)
        placed = trader.submit(wanted)
        monkeypatch.setattr(type(trader._dialect), "closed_pages", lambda *_: iter(()))
        found = trader.find(str(wanted.client_id), NOW - SECOND)
        assert found is not None
        assert found.id == placed.id
        assert trader.find(str(uuid.uuid4()), NOW - SECOND) is None


def test_an_order_behind_many_others_is_found(still: Practice, at: Open, name: str) -> None:
    with at(still, name, timeout=5) as trader:
        since = trader.clock.now()
        early = order(time_in_force="IOC")
        trader.submit(early)
        for _ in range(120):
            still.step(2)
            trader.submit(order(time_in_force="IOC"))
        found = trader.find(str(early.client_id), since)
        assert found is not None
        assert found.status == "cancelled"


@pytest.mark.parametrize("kind", [*LOST[:3], *NEVER_DONE])
def test_a_cancellation_of_unknown_outcome_can_be_made_again(still: Practice, at: Open, name: str, kind: str) -> None:
    with at(still, name) as trader:
        placed = trader.submit(order())
        still.fault(kind, "CancelOrder" if name == "practice" else "cancel", times=1)
        with pytest.raises(OutcomeUnknown, match=f"cancellation of order {placed.id}"):
            trader.cancel(placed.id)
        try:
            trader.cancel(placed.id)
        except Refused:
            assert kind.endswith("_after")
        assert trader.order(placed.id).status == "cancelled"


@pytest.mark.parametrize("seed", [1, 2])
def test_no_trial_of_lost_answers_ends_with_two_orders_or_a_wrong_truth(
    at: Open, name: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.exchange.finding.SETTLE", SECOND // 5)
    dice = random.Random(seed)
    with practice_exchange(balances=RICH, paused=False, speed=600, start=NOW) as practice, at(practice, name) as trader:
        for _ in range(12):
            practice.clear_faults()
            practice.fault(dice.choice([*LOST, *NEVER_DONE]), placing(name), times=1)
            if dice.random() < 0.5:
                practice.fault("http", dice.choice(["OpenOrders", "orders", "hist"]), status=502, times=2)
            kind = {"type": "market", "price": None} if dice.random() < 0.5 else {}
            wanted = order(**kind, deadline=trader.deadline(30))
            found = _find_out(trader, wanted)
            assert made(practice, name, wanted.client_id) == (0 if found is None else 1)


def _find_out(trader: TradingClient, wanted: OrderRequest) -> Order | None:
    sent = trader.clock.now()
    try:
        return trader.submit(wanted)
    except OutcomeUnknown:
        return trader.resolve(wanted, sent, timeout=30)
    except ExchangeError:
        return None


@pytest.mark.parametrize("told", [str.upper, lambda text: text.replace("-", ""), str])
def test_a_uuid_is_known_in_each_of_its_forms(told: Callable[[str], str]) -> None:
    client_id = "60dce304-efe3-417c-b4a7-7fbc695aa6f0"
    order = Order("O1", OrderRequest("BTC/USD", "buy", "market", D(1), client_id=told(client_id)), "open", 0)
    kraken = Kraken(None, "kraken", 1.0)
    assert kraken.bears(order, client_id)
    assert not kraken.bears(order, client_id.replace("6", "7"))


def test_other_client_ids_are_what_they_are() -> None:
    order = Order("O1", OrderRequest("BTC/USD", "buy", "market", D(1), client_id="My-Order"), "open", 0)
    assert Kraken(None, "kraken", 1.0).bears(order, "My-Order")
    assert not Kraken(None, "kraken", 1.0).bears(order, "my-order")
    assert not Kraken(None, "kraken", 1.0).bears(order, "MyOrder")
