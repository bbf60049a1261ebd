"""The broker that trades at an exchange, against the practice exchange: permission, first check, lost answers."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from data.errors import BadInput, OutcomeUnknown, Refused, TryLater
from tasks.exchange.keys import Keys, Secret, practice_keys
from tasks.exchange.orders import OrderRequest
from tasks.exchange.trading import account_name
from tasks.trade.broker import Broker
from tasks.trade.live import check_permission, first_check
from tests.servers.canned_exchange import canned_exchange, result
from tests.servers.loopback import PAIR
from tests.servers.practice_exchange import Practice, practice_exchange

SYMBOL = "BTC/USD"
SECOND = 1_000_000_000
D = Decimal

Open = Callable[..., Any]

pytestmark = pytest.mark.usefixtures("own_state")


def order(**changes: Any) -> OrderRequest:
    wanted = OrderRequest(SYMBOL, "buy", "limit", D("0.01"), price=D("1000"), client_id=str(uuid.uuid4()))
    return replace(wanted, **changes)


def endpoint(name: str, action: str) -> str:
    return {"cancel": {"practice": "CancelOrder"}, "submit": {"practice": "AddOrder"}}[action].get(name, action)


# Accounts


def test_an_account_has_a_name_that_shows_nothing_of_its_keys(practice: Practice, broker_at: Open) -> None:
    with broker_at(practice) as broker:
        assert broker.account == account_name("practice", practice_keys())
        assert broker.account.startswith("practice:")
        assert len(broker.account) == len("practice:") + 8
    with broker_at(practice, keys=practice_keys("another")) as broker:
        assert broker.account != account_name("practice", practice_keys())


def test_the_same_key_names_the_same_account_whatever_its_secret() -> None:
    first, second = (Keys(Secret("public"), Secret(secret)) for secret in ("a", "b"))
    assert account_name("kraken", first) == account_name("kraken", second) == "kraken:efa1f375"
    assert account_name("bitfinex", first) != account_name("kraken", first)


def test_it_is_a_broker_and_says_what_it_can(practice: Practice, broker_at: Open, name: str) -> None:
    with broker_at(practice, name) as opened:
        broker: Broker = opened
        assert (broker.name, broker.simulates, broker.holds_stops) == (name, False, True)
        assert broker.taker_fee(SYMBOL) == D("0.004")
        assert broker.rules(SYMBOL).min_amount > 0
        assert broker.balance()["USD"].total == 100_000
        assert (broker.deadline(10.0) is None) == (name == "practice-bitfinex")
        assert 0 <= practice.exchange.clock.now() - broker.now() < 3600 * SECOND


def test_an_order_goes_all_its_way_through_the_protocol(practice: Practice, broker_at: Open, name: str) -> None:
    with broker_at(practice, name) as opened:
        broker: Broker = opened
        sent = broker.now()
        wanted = broker.prepare(order(type="market", price=None, amount=D("0.0123456789")))
        placed = broker.submit(wanted)
        done = broker.order(placed.id, SYMBOL)
        assert (done.status, done.filled) == ("closed", D("0.01234567"))
        assert sum(fill.amount for fill in broker.fills_of(done)) == done.filled
        found = broker.resolve(wanted, sent)
        assert found is not None
        assert found.id == placed.id
        assert broker.open_orders(SYMBOL) == []


# Answers that are lost


@pytest.mark.parametrize("kind", ["reset_after", "bad_gateway_after", "reset_before"])
def test_a_cancellation_whose_answer_is_lost_is_followed_until_it_is_certain(
    practice: Practice, broker_at: Open, name: str, kind: str
) -> None:
    with broker_at(practice, name) as broker:
        placed = broker.submit(order())
        practice.fault(kind, endpoint(name, "cancel"), times=2)
        broker.cancel(placed.id, SYMBOL)
        assert broker.order(placed.id, SYMBOL).status == "cancelled"
        assert broker.open_orders(SYMBOL) == []


def test_a_cancellation_that_stays_in_the_dark_is_said_to_be_unknown(
    practice: Practice, broker_at: Open, name: str
) -> None:
    with broker_at(practice, name, patience=0.1) as broker:
        placed = broker.submit(order())
        practice.fault("reset_before", endpoint(name, "cancel"))
        with pytest.raises(OutcomeUnknown, match=f"cancellation of order {placed.id}"):
            broker.cancel(placed.id, SYMBOL)
        practice.clear_faults()
        assert broker.order(placed.id, SYMBOL).status == "open"


def test_an_order_that_is_not_open_any_more_is_not_cancelled(practice: Practice, broker_at: Open, name: str) -> None:
    with broker_at(practice, name) as broker:
        placed = broker.submit(order())
        broker.cancel(placed.id, SYMBOL)
        with pytest.raises(Refused, match=f"cancellation of order {placed.id}"):
            broker.cancel(placed.id, SYMBOL)


def test_an_order_is_looked_for_no_longer_than_the_patience_lasts(practice: Practice, broker_at: Open) -> None:
    with broker_at(practice, patience=0.2) as broker:
        wanted = order(deadline=broker.deadline(20.0))
        practice.fault("reset_before", "AddOrder", times=1)
        sent = broker.now()
        with pytest.raises(OutcomeUnknown):
            broker.submit(wanted)
        with pytest.raises(OutcomeUnknown, match="it is too early to believe that it is absent"):
            broker.resolve(wanted, sent)
        practice.step(60)
        assert broker.resolve(wanted, sent) is None


# Permission and the first check


@pytest.mark.parametrize("exchange", ["practice", "practice-bitfinex"])
def test_the_practice_exchange_needs_no_permission(exchange: str) -> None:
    check_permission(exchange)


@pytest.mark.parametrize("given", [None, "", "no", "YES", "true"])
def test_real_money_is_not_traded_unless_it_is_allowed_in_so_many_words(
    given: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if given is not None:
        monkeypatch.setenv("JARVIS_LIVE", given)
    with pytest.raises(BadInput, match=r"^kraken trades real money: set JARVIS_LIVE=yes"):
        check_permission("kraken")
    monkeypatch.setenv("JARVIS_LIVE", "yes")
    check_permission("kraken")


def test_the_first_check_lets_an_exchange_look_at_an_order_and_buys_nothing(
    practice: Practice, broker_at: Open, name: str
) -> None:
    with broker_at(practice, name) as broker:
        first_check(broker, SYMBOL, 100_000.0)
        assert broker.open_orders(SYMBOL) == []
        assert broker.balance()["USD"].total == 100_000
    assert len(practice.journal("AddOrder")) == (1 if name == "practice" else 0)
    assert practice.journal("submit") == []


@pytest.mark.parametrize("cash", [100_000.01, 1e9])
def test_cash_that_the_account_has_not_is_said_before_anything_is_bought(
    practice: Practice, broker_at: Open, name: str, cash: float
) -> None:
    words = rf"^{name}: the account has 100000 USD free, and the session of BTC/USD needs"
    with broker_at(practice, name) as broker, pytest.raises(BadInput, match=words):
        first_check(broker, SYMBOL, cash)


def test_cash_that_is_promised_to_another_symbol_is_not_there_for_a_session(
    practice: Practice, broker_at: Open
) -> None:
    with broker_at(practice) as broker:
        first_check(broker, SYMBOL, 40_000.0, promised=60_000.0)
        with pytest.raises(BadInput, match=r"needs 40000\.1 besides 60000 for other symbols"):
            first_check(broker, SYMBOL, 40_000.1, promised=60_000.0)


def test_money_that_open_orders_hold_is_not_there_for_a_session(practice: Practice, broker_at: Open) -> None:
    with broker_at(practice) as broker:
        broker.submit(order(amount=D(50)))
        with pytest.raises(BadInput, match="the account has 49800 USD free"):
            first_check(broker, SYMBOL, 60_000.0)


def test_a_market_that_is_halted_is_refused(broker_at: Open) -> None:
    with canned_exchange() as exchange:
        exchange.answers["AssetPairs"] = [result({"XXBTZUSD": {**PAIR, "status": "cancel_only"}})]
        exchange.answers["Ticker"] = [result({"XXBTZUSD": ticker()})]
        exchange.answers["Trades"] = [
            result({"XXBTZUSD": [["100.0", "1", 1768480200.5, "b", "m", "", 1]], "last": "1"})
        ]
        exchange.answers["Time"] = [result({"unixtime": 1768480201})]
        with broker_at(exchange) as broker, pytest.raises(Refused, match="practice does not trade BTC/USD now"):
            first_check(broker, SYMBOL, 1.0)
        assert exchange.count("AddOrder") == 0


def ticker() -> dict[str, Any]:
    told: dict[str, Any] = {"a": ["101", "1", "1"], "b": ["99", "1", "1"], "c": ["100", "1"], "o": "1"}
    return told | {name: ["1", "1"] for name in ("v", "p", "l", "h", "t")}


def test_keys_that_may_not_trade_are_found_out_by_the_first_check(practice: Practice, broker_at: Open) -> None:
    practice.ask("POST", "/keys", {"key": practice_keys().public, "permissions": ["query"]})
    with broker_at(practice) as broker, pytest.raises(Refused, match="EGeneral:Permission denied"):
        first_check(broker, SYMBOL, 1000.0)


# The dead man's switch


def test_the_switch_lasts_as_long_as_it_was_asked_to_by_the_exchanges_clock(
    practice: Practice, broker_at: Open
) -> None:
    with broker_at(practice) as broker:
        placed = broker.submit(order())
        broker.cancel_all_after(180)
        practice.step(170)
        assert broker.order(placed.id, SYMBOL).status == "open"
        practice.step(11)
        assert broker.order(placed.id, SYMBOL).status == "cancelled"


def test_at_a_fast_exchange_the_switch_leaves_this_machine_a_minute(broker_at: Open) -> None:
    with practice_exchange(paused=False, speed=100.0) as practice, broker_at(practice) as broker:
        placed = broker.submit(order())
        broker.cancel_all_after(180)
        fires = practice.exchange.engine._alarms.switch
        assert fires is not None
        assert fires - practice.exchange.clock.now() > 5000 * SECOND
        broker.cancel_all_after(0)
        assert practice.exchange.engine._alarms.switch is None
        broker.cancel(placed.id, SYMBOL)


def test_an_exchange_without_a_switch_says_so(practice: Practice, broker_at: Open) -> None:
    with broker_at(practice, "practice-bitfinex") as broker, pytest.raises(Refused, match="no dead man's switch"):
        broker.cancel_all_after(60)


def test_an_exchange_that_does_not_answer_is_tried_again_later(practice: Practice, broker_at: Open, name: str) -> None:
    with broker_at(practice, name) as broker:
        practice.fault("http", status=502)
        for call in (broker.price, broker.taker_fee, broker.open_orders):
            with pytest.raises(TryLater, match="502"):
                call(SYMBOL)
        with pytest.raises(TryLater, match="502"):
            first_check(broker, SYMBOL, 1000.0)
