"""An account at the practice exchange, in Kraken's and in Bitfinex' language, by the client that trades for real."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.errors import BadInput, OutcomeUnknown, Refused, TryLater
from data.settings import CHECKOUT
from tasks.exchange import TradingClient, exchange_names, trading_client
from tasks.exchange import client as client_module
from tasks.exchange.orders import Balance, OrderRequest
from tasks.exchange.trading import refuse_breach
from tests.servers.canned_exchange import Answer, canned_exchange, result
from tests.servers.practice_exchange import NOW, Practice, practice_exchange

SYMBOL = "BTC/USD"
SECOND = 1_000_000_000
D = Decimal

Open = Callable[..., Any]


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JARVIS_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(client_module, "_PAUSES", (0.01, 0.01))


@pytest.fixture(scope="module")
def shared() -> Iterator[Practice]:
    """A practice exchange for tests that leave no order behind; its clock stands still."""
    with practice_exchange() as practice:
        yield practice


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Open:
    """Open the account at a practice exchange."""

    @contextmanager
    def opened(practice: Practice, name: str = "practice", **options: Any) -> Iterator[TradingClient]:
        monkeypatch.setenv("JARVIS_EXCHANGE_URLS", json.dumps({name: practice.url}))
        with trading_client(name, timeout=5, **options) as trader:
            yield trader

    return opened


@pytest.fixture(params=["practice", "practice-bitfinex"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def fresh() -> Iterator[Practice]:
    with practice_exchange() as practice:
        yield practice


def order(**changes: Any) -> OrderRequest:
    wanted = OrderRequest(SYMBOL, "buy", "limit", D("0.01"), price=D("1000"), client_id=str(uuid.uuid4()))
    return replace(wanted, **changes)


def market(**changes: Any) -> OrderRequest:
    return order(**{"type": "market", "price": None, **changes})


def test_the_practice_exchange_is_an_exchange_of_its_own() -> None:
    assert {"practice", "practice-bitfinex", "kraken"} <= set(exchange_names())


def test_the_boundary_is_imported_without_ccxt() -> None:
    code = "import sys, tasks.exchange; print({'ccxt', 'requests', 'aiohttp'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_the_practice_exchange_is_found_at_its_port_without_any_settings(
    shared: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JARVIS_PRACTICE_PORT", shared.url.rpartition(":")[2])
    with trading_client("practice") as trader:
        assert trader.exchange == "practice"
        assert trader.balance()["USD"] == Balance(D(100_000), D(0))


def test_an_unknown_exchange_is_answered_with_the_nearest() -> None:
    with pytest.raises(BadInput, match="did you mean practice"), trading_client("practise"):
        pass


def test_an_account_cannot_be_opened_twice(shared: Practice, at: Open) -> None:
    with at(shared), pytest.raises(TryLater, match="trades with this key already"), at(shared):
        pass
    with at(shared):
        pass


def test_real_keys_are_not_sent_to_a_practice_exchange(
    shared: Practice, at: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KRAKEN_PUBLIC_KEY", "a-real-key")
    monkeypatch.setenv("KRAKEN_SECRET_KEY", "c2VjcmV0")
    before = len(shared.journal())
    with pytest.raises(BadInput, match="a real key is not sent to a loopback address"), at(shared, "kraken"):
        pass
    assert len(shared.journal()) == before


def test_a_client_that_cannot_read_the_markets_opens_no_account(at: Open, shared: Practice) -> None:
    with canned_exchange() as exchange:
        exchange.answers["AssetPairs"] = [Answer("", 502)]
        with pytest.raises(TryLater, match="502"), at(exchange):
            pass
    with at(shared):
        pass


def test_rules_are_the_exchanges_with_all_tiers_of_fees(shared: Practice, at: Open) -> None:
    with at(shared) as trader:
        rules = trader.rules(SYMBOL)
    assert (rules.base, rules.quote) == ("BTC", "USD")
    assert (rules.price_step, rules.amount_step) == (D("0.1"), D("1e-8"))
    assert (rules.min_amount, rules.min_cost) == (D("0.00005"), D("0.5"))
    assert rules.taker[:2] == ((D(0), D("0.004")), (D(10_000), D("0.0035")))
    assert rules.maker[:2] == ((D(0), D("0.0025")), (D(10_000), D("0.002")))
    assert all(low < high for (low, _), (high, _) in pairwise(rules.taker))


def test_fees_are_the_accounts_and_are_asked_for(shared: Practice, at: Open, name: str) -> None:
    with at(shared, name) as trader:
        assert (trader.fee(SYMBOL).maker, trader.fee(SYMBOL).taker) == (D("0.0025"), D("0.004"))
        assert trader.rules(SYMBOL).taker[0] == (D(0), D("0.004"))


def test_a_market_that_does_not_tell_its_fees_cannot_be_priced(at: Open) -> None:
    from tests.servers.loopback import PAIR

    with canned_exchange() as exchange:
        exchange.answers["AssetPairs"] = [result({"XXBTZUSD": {**PAIR, "fees": [], "fees_maker": []}})]
        with at(exchange) as trader, pytest.raises(Refused, match="does not tell the fees of BTC/USD"):
            trader.rules(SYMBOL)


def test_a_tick_that_is_coarser_than_the_decimals_of_prices_is_kept(at: Open) -> None:
    from tests.servers.loopback import PAIR

    with canned_exchange() as exchange:
        exchange.answers["AssetPairs"] = [result({"XXBTZUSD": {**PAIR, "tick_size": "0.5"}})]
        with at(exchange) as trader:
            assert trader.prepare(order(price=D("999.9"))).price == D("999.5")


def test_a_price_bears_the_time_of_its_arrival(shared: Practice, at: Open, name: str) -> None:
    with at(shared, name) as trader:
        quote = trader.price(SYMBOL)
        assert quote.bid < quote.ask
        assert quote.bid <= quote.last <= quote.ask
        assert NOW - 3600 * SECOND < quote.arrived <= shared.exchange.clock.now()


@pytest.mark.parametrize("symbol", ["BTC/USDD", "btc/usd", ""])
def test_a_misspelt_symbol_is_answered_before_anything_is_sent(shared: Practice, at: Open, symbol: str) -> None:
    with at(shared) as trader:
        for call in (trader.price, trader.fee, trader.rules, trader.cancel_all):
            with pytest.raises(BadInput, match=r"^unknown symbol"):
                call(symbol)
        with pytest.raises(BadInput, match=r"^unknown symbol"):
            trader.submit(order(symbol=symbol))


@pytest.mark.parametrize(
    ("side", "price", "rounded"),
    [("buy", "1000.19", "1000.1"), ("sell", "1000.11", "1000.2"), ("buy", "1000.1", "1000.1"), ("sell", "0.01", "0.1")],
)
def test_prices_are_rounded_in_favour_of_the_one_who_asks(
    shared: Practice, at: Open, side: Any, price: str, rounded: str
) -> None:
    with at(shared) as trader:
        assert trader.prepare(order(side=side, price=D(price), amount=D(100))).price == D(rounded)


@pytest.mark.parametrize(
    ("side", "price", "rounded"),
    [
        ("buy", "12345.678", "12345"),
        ("sell", "12345.678", "12346"),
        ("buy", "123.45678", "123.45"),
        ("sell", "123.45678", "123.46"),
        ("sell", "99999.1", "100000"),
        ("buy", "0.000123456", "0.00012345"),
        ("buy", "54321", "54321"),
    ],
)
def test_bitfinex_prices_have_five_digits(shared: Practice, at: Open, side: Any, price: str, rounded: str) -> None:
    with at(shared, "practice-bitfinex") as trader:
        assert trader.prepare(order(side=side, price=D(price))).price == D(rounded)


def test_amounts_are_rounded_down(shared: Practice, at: Open, name: str) -> None:
    with at(shared, name) as trader:
        assert trader.prepare(order(amount=D("0.123456789"))).amount == D("0.12345678")


@given(
    amount=st.decimals("0.00005", "1000", places=12),
    price=st.decimals("10000", "1000000", places=6),
    side=st.sampled_from(["buy", "sell"]),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_prepared_never_costs_more_and_is_not_prepared_again(
    shared: Practice, at: Open, amount: Decimal, price: Decimal, side: Any
) -> None:
    trader = _trader(shared, at)
    wanted = order(amount=amount, price=price, side=side)
    ready = trader.prepare(wanted)
    rules = trader.rules(SYMBOL)
    assert ready.price is not None
    assert amount - rules.amount_step < ready.amount <= amount
    assert rules.is_amount(ready.amount)
    assert rules.is_price(ready.price)
    assert ready.price <= price if side == "buy" else ready.price >= price
    assert trader.prepare(ready) == ready


_TRADERS: dict[str, TradingClient] = {}


def _trader(practice: Practice, at: Open) -> TradingClient:
    """One client for all examples: it is opened once and prepares without asking anything."""
    if practice.url not in _TRADERS:
        with at(practice) as trader:
            trader.rules(SYMBOL)
            _TRADERS[practice.url] = trader
    return _TRADERS[practice.url]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"amount": D("0.00004")}, r"0\.00004 BTC is below the least amount, 0\.00005$"),
        ({"amount": D("0.000000001")}, " 0 BTC is below the least amount"),
        ({"amount": D("0.0001")}, "0.1 USD is below the least cost, 0.5"),
        ({"type": "market", "price": None, "amount": D("0.00004")}, "is below the least amount"),
        ({"price": D("0.01"), "amount": D(10)}, "the price is below the smallest step, 0.1"),
        (
            {"type": "market", "price": None, "amount": D("0.4"), "in_quote": True},
            "0.4 USD is below the least amount, 0.5",
        ),
    ],
)
def test_a_broken_rule_of_the_market_is_named_before_anything_is_sent(
    shared: Practice, at: Open, changes: dict[str, Any], reason: str
) -> None:
    with at(shared) as trader:
        for call in (trader.prepare, trader.submit, trader.validate):
            with pytest.raises(Refused, match=reason):
                call(order(**changes))
    assert shared.journal("AddOrder") == []


def test_the_cost_of_a_market_order_is_judged_by_the_price_of_now(shared: Practice, at: Open) -> None:
    with at(shared) as trader:
        rules = trader.rules(SYMBOL)
        with pytest.raises(Refused, match=r"0\.4 USD is below the least cost, 0\.5"):
            refuse_breach(rules, market(amount=D("0.0001")), near=D(4000))
        assert trader.prepare(market(amount=D("0.0001"))).amount == D("0.0001")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"amount": D(0)}, "amount is 0: it must be above 0"),
        ({"amount": D("-1")}, "amount is -1"),
        ({"amount": D("NaN")}, "amount is NaN"),
        ({"amount": D("1e25")}, "must be above 0, and below 1000000000000000"),
        ({"price": D("1e40")}, "must be above 0, and below 1000000000000000"),
        ({"price": D("Infinity")}, "price is Infinity"),
        ({"price": None}, "a limit order has a price"),
        ({"type": "market"}, "a market order has no price"),
        ({"trigger": D(5)}, "a limit order has no trigger"),
        ({"type": "stop_loss", "price": None}, "a stop_loss order has a trigger"),
        ({"type": "stop_loss_limit", "trigger": D(5), "price": None}, "a stop_loss_limit order has a price"),
        ({"type": "market", "price": None, "post_only": True}, "only a limit order can be post-only"),
        ({"post_only": True, "time_in_force": "IOC"}, "a post-only order rests"),
        ({"time_in_force": "GTD"}, "GTD orders expire"),
        ({"expires": NOW}, "GTD orders expire"),
        ({"in_quote": True}, "only market buys are for money"),
        ({"type": "market", "price": None, "side": "sell", "in_quote": True}, "only market buys are for money"),
    ],
)
def test_an_order_that_contradicts_itself_is_not_sent(
    shared: Practice, at: Open, changes: dict[str, Any], reason: str
) -> None:
    with at(shared) as trader:
        for call in (trader.prepare, trader.submit):
            with pytest.raises(BadInput, match=reason):
                call(order(**changes))


@pytest.mark.parametrize("client_id", ["", "x" * 19, "äöü", "0" * 33, "line\nbreak", "\u212aelvin"])
def test_a_client_id_that_kraken_would_not_take_is_not_sent(shared: Practice, at: Open, client_id: str) -> None:
    with at(shared) as trader, pytest.raises(BadInput, match="Kraken takes a UUID or at most 18 characters"):
        trader.submit(order(client_id=client_id))


@pytest.mark.parametrize(
    ("changes", "lacking"),
    [
        ({"type": "take_profit", "price": None, "trigger": D(2000)}, "no take_profit orders"),
        ({"type": "take_profit_limit", "trigger": D(2000)}, "no take_profit_limit orders"),
        ({"deadline": NOW}, "no deadlines of orders"),
        ({"type": "market", "price": None, "in_quote": True}, "no orders for an amount of money"),
    ],
)
def test_what_bitfinex_lacks_is_said_before_anything_is_sent(
    shared: Practice, at: Open, changes: dict[str, Any], lacking: str
) -> None:
    with at(shared, "practice-bitfinex") as trader:
        before = len(shared.journal())
        with pytest.raises(Refused, match=f"^practice-bitfinex has {lacking}: nothing was sent$"):
            trader.submit(order(**changes))
        with pytest.raises(Refused, match="has no orders that are only validated"):
            trader.validate(order())
        with pytest.raises(Refused, match="has no dead man's switch"):
            trader.cancel_all_after(60)
        assert trader.deadline() is None
        sent = shared.journal()[before:]
    assert [entry for entry in sent if "submit" in str(entry)] == []


def test_other_exchanges_are_not_trusted_with_orders_that_wait_for_a_price() -> None:
    from tasks.exchange.client import guarded_class
    from tasks.exchange.dialect import Dialect

    for name in ("okx", "bybit", "gate"):
        dialect = Dialect(guarded_class(name)({}), name, 1.0)
        with pytest.raises(Refused, match=f"^{name} has no stop_loss orders"):
            dialect.refuse_lacking(order(type="stop_loss", price=None, trigger=D(5)))
        with pytest.raises(Refused, match=f"^{name} has no orders for an amount of money"):
            dialect.refuse_lacking(market(in_quote=True))  # okx would buy as many bitcoins as dollars were to be spent
        dialect.refuse_lacking(order(post_only=True))


def test_a_stop_order_at_bitfinex_is_not_made_one_that_trades_at_once(fresh: Practice, at: Open) -> None:
    with at(fresh, "practice-bitfinex") as trader:
        wanted = order(side="sell", type="stop_loss_limit", price=D(890), trigger=D(900), time_in_force="IOC")
        with pytest.raises(BadInput, match="takes no stop_loss_limit order that is IOC"):
            trader.submit(wanted)
        assert trader.fills(NOW - SECOND) == []


def test_an_order_rests_is_seen_and_is_cancelled(fresh: Practice, at: Open, name: str) -> None:
    with at(fresh, name) as trader:
        sent, wanted = trader.clock.now(), order()
        placed = trader.submit(wanted)
        assert (placed.status, placed.request.amount, placed.filled) == ("open", D("0.01"), 0)
        assert trader.balance()["USD"].held > 10
        (resting,) = trader.open_orders(SYMBOL)
        assert (resting.id, resting.status, resting.request.price) == (placed.id, "open", D(1000))
        assert trader.order(placed.id, SYMBOL).status == "open"
        assert wanted.client_id is not None
        found = trader.find(wanted.client_id, sent)
        assert found is not None
        assert (found.id, found.request.client_id) == (placed.id, wanted.client_id)
        trader.cancel(client_id=wanted.client_id)
        ended = trader.order(placed.id, SYMBOL)
        assert (ended.status, ended.filled) == ("cancelled", 0)
        assert ended.closed is not None
        assert ended.reason
        assert trader.open_orders() == []
        assert trader.balance()["USD"] == Balance(D(100_000), D(0))
        again = trader.find(wanted.client_id, sent)
        assert again is not None
        assert again.status == "cancelled"


def test_a_market_order_is_filled_and_its_figures_agree_to_the_last_digit(fresh: Practice, at: Open, name: str) -> None:
    with at(fresh, name) as trader:
        since = trader.clock.now()
        placed = trader.submit(market(amount=D("0.05")))
        done = trader.order(placed.id, SYMBOL)
        fills = trader.fills_of(done)
        assert (done.status, done.filled, done.request.type) == ("closed", D("0.05"), "market")
        assert sum(fill.amount for fill in fills) == done.filled
        assert sum(fill.cost for fill in fills) == done.cost
        assert sum(fill.fee for fill in fills) == done.fee
        assert done.fee == done.cost * D("0.004")
        assert {(fill.order_id, fill.side, fill.fee_currency, fill.maker) for fill in fills} == {
            (placed.id, "buy", "USD", False)
        }
        assert {fill.id for fill in trader.fills(since)} == {fill.id for fill in fills}
        held = trader.balance()
        assert held["BTC"].total == 10 + done.filled
        if name == "practice":
            assert held["USD"].total == 100_000 - done.cost - done.fee


SELL = {"side": "sell", "price": None}


@pytest.mark.parametrize(
    ("names", "changes"),
    [
        ("both", {**SELL, "type": "stop_loss", "trigger": D(900)}),
        ("both", {**SELL, "type": "stop_loss_limit", "price": D(890), "trigger": D(900)}),
        ("kraken", {**SELL, "type": "take_profit", "trigger": D(900_000)}),
        ("kraken", {**SELL, "type": "take_profit_limit", "price": D(890_000), "trigger": D(900_000)}),
        ("both", {"post_only": True}),
        ("both", {"time_in_force": "GTD", "expires": NOW + 3600 * SECOND}),
    ],
)
def test_every_kind_of_order_comes_back_as_it_was_asked_for(
    fresh: Practice, at: Open, names: str, changes: dict[str, Any]
) -> None:
    wanted = order(**changes)
    for name in ("practice", "practice-bitfinex") if names == "both" else ("practice",):
        with at(fresh, name) as trader:
            placed = trader.submit(replace(wanted, client_id=str(uuid.uuid4())))
            (seen,) = trader.open_orders()
            trader.cancel(seen.id)
        assert seen.id == placed.id
        assert replace(seen.request, client_id=None) == replace(wanted, client_id=None)


def test_an_ioc_order_that_meets_nobody_is_cancelled_at_once(fresh: Practice, at: Open, name: str) -> None:
    with at(fresh, name) as trader:
        placed = trader.submit(order(time_in_force="IOC"))
        done = trader.order(placed.id, SYMBOL)
    assert (done.status, done.filled) == ("cancelled", 0)


def test_a_post_only_order_that_would_take_does_not(fresh: Practice, at: Open) -> None:
    with at(fresh) as trader:
        with pytest.raises(Refused, match="EOrder:Post only order"):
            trader.submit(order(price=D(900_000), post_only=True))
        assert trader.fills(NOW - SECOND) == []


def test_money_is_spent_in_steps_of_the_price_and_not_as_an_amount(fresh: Practice, at: Open) -> None:
    with at(fresh) as trader:
        placed = trader.submit(market(amount=D("25.19"), in_quote=True))
        done = trader.order(placed.id)
    assert placed.request.amount == D("25.1")
    assert D(25) < done.cost <= D("25.1")
    assert done.filled < D("0.01")


def test_an_order_is_validated_without_being_placed(fresh: Practice, at: Open) -> None:
    with at(fresh) as trader:
        trader.validate(market())
        trader.validate(order(type="stop_loss", price=None, trigger=D(900), side="sell"))
        assert trader.open_orders() == []
        assert trader.fills(NOW - SECOND) == []
    assert fresh.ask("GET", "/journal/orders?client_id=none")["ids"] == []


def test_an_order_that_was_placed_by_a_validation_is_told(at: Open) -> None:
    with canned_exchange() as exchange:
        exchange.answers["Time"] = [result({"unixtime": 1})]
        exchange.answers["AddOrder"] = [result({"descr": {"order": "buy 0.01 XBTUSD @ limit 1000.0"}, "txid": ["O1"]})]
        with (
            at(exchange) as trader,
            pytest.raises(OutcomeUnknown, match="took order O1, which it was only to validate"),
        ):
            trader.validate(order())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"type": "market", "price": None, "amount": D(50), "side": "sell"}, "Insufficient funds|not enough"),
        ({"amount": D(500)}, "Insufficient funds|not enough"),
    ],
)
def test_a_refusal_is_final_and_says_why(
    fresh: Practice, at: Open, name: str, changes: dict[str, Any], reason: str
) -> None:
    with at(fresh, name) as trader:
        with pytest.raises(Refused, match=rf"^{name}: (buy|sell) .* BTC/USD .* \(client id .*\): .*({reason})"):
            trader.submit(order(**changes))
        assert trader.open_orders() == []


def test_an_order_that_does_not_exist_is_refused(fresh: Practice, at: Open, name: str) -> None:
    missing = "OAAAAA-AAAAA-AAAAAA" if name == "practice" else "12345"
    with at(fresh, name) as trader:
        with pytest.raises(Refused, match=f"^{name}: order {missing}: "):
            trader.order(missing, SYMBOL)
        for options in ({"order_id": missing}, {"client_id": str(uuid.uuid4())}):
            with pytest.raises(Refused, match=f"^{name}: cancellation of order "):
                trader.cancel(**options)
        assert trader.find(str(uuid.uuid4()), NOW - SECOND) is None


def test_an_id_that_bitfinex_cannot_have_given_is_refused_before_anything_is_sent(fresh: Practice, at: Open) -> None:
    with at(fresh, "practice-bitfinex") as trader:
        before = len(fresh.journal())
        for call in (trader.order, trader.cancel):
            with pytest.raises(Refused, match="has no order OABCDE-FGHIJ-KLMNOP: its ids are whole numbers"):
                call("OABCDE-FGHIJ-KLMNOP")
        assert len(fresh.journal()) == before


@pytest.mark.parametrize("options", [{}, {"order_id": "O1", "client_id": "x"}])
def test_a_cancellation_names_one_order(shared: Practice, at: Open, options: dict[str, str]) -> None:
    with at(shared) as trader, pytest.raises(BadInput, match="cancel one order"):
        trader.cancel(**options)


def test_all_orders_of_one_market_are_cancelled_and_no_others(at: Open, name: str) -> None:
    with practice_exchange(symbols=("BTC/USD", "ETH/USD")) as practice, at(practice, name) as trader:
        for symbol in ("BTC/USD", "BTC/USD", "ETH/USD"):
            trader.submit(order(symbol=symbol, price=D(100), amount=D("0.1")))
        trader.cancel_all("BTC/USD")
        assert [left.request.symbol for left in trader.open_orders()] == ["ETH/USD"]
        trader.cancel_all()
        assert trader.open_orders() == []


def test_the_dead_mans_switch_cancels_unless_it_is_set_again(fresh: Practice, at: Open) -> None:
    with at(fresh) as trader:
        trader.submit(order())
        trader.cancel_all_after(60)
        fresh.step(40)
        trader.cancel_all_after(60)
        fresh.step(40)
        assert len(trader.open_orders()) == 1
        trader.cancel_all_after(0)
        fresh.step(3600)
        assert len(trader.open_orders()) == 1
        trader.cancel_all_after(60)
        fresh.step(61)
        assert trader.open_orders() == []


@pytest.mark.parametrize("seconds", [-1, 86_401])
def test_a_dead_mans_switch_beyond_a_day_is_refused(shared: Practice, at: Open, seconds: int) -> None:
    with at(shared) as trader, pytest.raises(BadInput, match="takes 0 to 86400 seconds"):
        trader.cancel_all_after(seconds)


def test_deadlines_are_in_the_exchanges_time_and_its_speed(at: Open) -> None:
    with practice_exchange(paused=False, speed=20.0, start=NOW) as practice, at(practice) as trader:
        soon, late = trader.deadline(1.0), trader.deadline(30.0)
        now = practice.exchange.clock.now()
        assert soon is not None
        assert late is not None
        assert now - 30 * SECOND < soon - 20 * SECOND <= now
        assert now - 30 * SECOND < late - 60 * SECOND <= now
        assert trader.submit(order(deadline=late)).id


def test_an_order_that_comes_after_its_deadline_is_refused(fresh: Practice, at: Open) -> None:
    with at(fresh) as trader:
        deadline = trader.deadline(10)
        fresh.step(20)
        with pytest.raises(Refused, match="EService:Deadline elapsed"):
            trader.submit(order(deadline=deadline))
        assert trader.open_orders() == []


def test_fills_and_ended_orders_are_read_page_by_page(at: Open, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.exchange.bitfinex._PAGE", 50)
    rich = {"USD": D(10**9), "BTC": D(10**6)}
    with practice_exchange(balances=rich) as practice, at(practice, name) as trader:
        since, ids = trader.clock.now(), []
        first = market(amount=D("0.0001"))
        ids.append(trader.submit(first).id)
        while len(trader.fills(since)) < 120:
            practice.step(1)
            ids.append(trader.submit(market(amount=D("0.05"))).id)
        for _ in range(60):
            placed = trader.submit(order(time_in_force="IOC"))
            ids.append(placed.id)
            practice.step(1)
        fills = trader.fills(since)
        assert len({fill.id for fill in fills}) == len(fills) == len(practice.exchange.engine.fills)
        assert [fill.time for fill in fills] == sorted(fill.time for fill in fills)
        assert first.client_id is not None
        oldest = trader.find(first.client_id, since)
        assert oldest is not None
        assert oldest.id == ids[0]
        half = fills[60].time
        assert trader.fills(half) == [fill for fill in fills if fill.time >= half]


def traded(number: int, pair: str = "XXBTZUSD") -> tuple[str, dict[str, Any]]:
    """A row of Kraken's TradesHistory."""
    money = {"price": "1", "cost": "1", "fee": "0.1", "vol": "1", "margin": "0"}
    order_ = {"ordertxid": "O1", "pair": pair, "type": "buy", "ordertype": "limit", "misc": "", "maker": True}
    return f"T{number}", {**money, **order_, "time": 1768480200.5, "trade_id": number}


def test_a_history_whose_pages_do_not_turn_is_not_read_for_ever(at: Open) -> None:
    with canned_exchange() as exchange:
        exchange.answers["TradesHistory"] = [result({"trades": dict(map(traded, range(50))), "count": 1000})]
        with at(exchange) as trader, pytest.raises(TryLater, match="a page of its history again"):
            trader.fills(0)
    assert exchange.count("TradesHistory") == 2


def test_a_trade_in_a_market_that_is_gone_does_not_spoil_the_others(at: Open) -> None:
    with canned_exchange() as exchange:
        rows = dict([traded(1), traded(2, "GONEUSD")])
        exchange.answers["TradesHistory"] = [result({"trades": rows, "count": 2})]
        with at(exchange) as trader:
            assert [(fill.id, fill.fee_currency) for fill in trader.fills(0)] == [("T1", "USD"), ("T2", "")]


def test_a_failure_of_any_kind_after_sending_leaves_the_outcome_unknown(
    fresh: Practice, at: Open, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with at(fresh, name) as trader:
        send = trader._client.create_order

        def sent_but(*args: Any) -> Any:
            send(*args)
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(trader._client, "create_order", sent_but)
        with pytest.raises(OutcomeUnknown, match="can't start new thread"):
            trader.submit(order())
        assert len(trader.open_orders()) == 1


def test_a_price_is_asked_for_market_orders_only(fresh: Practice, at: Open) -> None:
    with at(fresh) as trader:
        trader.prepare(order(side="sell", type="stop_loss", price=None, trigger=D(900)))
        assert fresh.journal("Ticker") == []
        trader.prepare(market())
        assert len(fresh.journal("Ticker")) == 1


def test_a_read_that_fails_for_a_while_is_made_again(fresh: Practice, at: Open, name: str) -> None:
    with at(fresh, name) as trader:
        fresh.fault("http", status=502, times=2)
        assert trader.balance()["USD"].total == 100_000
        fresh.fault("http", status=502)
        with pytest.raises(TryLater, match=rf"^{name}: the balance: .*502.* \(tried 3 times\)$"):
            trader.balance()


def test_nothing_is_sent_again_whatever_the_failure(fresh: Practice, at: Open, name: str) -> None:
    endpoint = "AddOrder" if name == "practice" else "submit"
    with at(fresh, name) as trader:
        trader.clock.measure()
        fresh.fault("http", endpoint, status=502)
        with pytest.raises(OutcomeUnknown, match="502"):
            trader.submit(order())
        assert len(fresh.journal(endpoint)) == 1


def test_orders_are_not_sent_when_the_clocks_differ(at: Open) -> None:
    import time

    with canned_exchange() as exchange:
        exchange.answers["Time"] = lambda asked: result({"unixtime": int(time.time()) + 60})
        with at(exchange) as trader, pytest.raises(TryLater, match=r"clock is \+\d\d\.\d s off this machine's"):
            trader.submit(order())
        assert exchange.count("AddOrder") == 0


def test_the_account_is_let_go_when_the_work_fails(shared: Practice, at: Open) -> None:
    with pytest.raises(ZeroDivisionError), at(shared):
        raise ZeroDivisionError
    with at(shared):
        pass


def test_an_order_with_more_fills_than_a_request_takes_ids_has_all_of_them(at: Open) -> None:
    balances = {"USD": D(10**9), "BTC": D(0)}
    with practice_exchange(balances=balances) as practice, at(practice) as trader:
        done = trader.submit(OrderRequest(SYMBOL, "buy", "market", D(2), client_id=str(uuid.uuid4())))
        order = trader.order(done.id, SYMBOL)
        fills = trader.fills_of(order)
    assert len(fills) > 20
    assert sum(fill.amount for fill in fills) == order.filled == D(2)
