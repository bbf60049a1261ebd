"""The broker on paper: what it costs is the backtest's, to the last bit; what rests, and what a restart leaves."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import BadInput, Refused
from data.markets import Market
from tasks.backtest.simulation import simulate
from tasks.engine.books import Planned
from tasks.exchange.matching import Level, MatchingEngine
from tasks.exchange.orders import Balance, Order, OrderRequest
from tasks.exchange.trading import Quote
from tasks.exchange.units import SECOND
from tasks.trade.broker import Broker
from tasks.trade.intent import Event, Intent
from tasks.trade.paper import PaperBroker, RecordedPrices, market_rules
from tests.unit import matching_market

D = Decimal
SYMBOL = "BTC/USD"
FEE, SLIPPAGE = 0.004, 0.0005
MARKET = Market("practice", SYMBOL, "BTC", "USD", amount_step=1e-8, price_step=0.1, min_amount=0.00005, min_cost=0.5)
MINUTE = pd.Timedelta(minutes=1)
TS = pd.Timestamp("2026-01-15 12:30", tz="UTC").as_unit("us")


def ns(moment: pd.Timestamp) -> int:
    return moment.as_unit("ns").value


NOW = ns(TS)


def account(
    cash: float = 10_000.0, position: str = "0", orders: tuple[Intent, ...] = (), *, price: float = 100.0
) -> tuple[PaperBroker, RecordedPrices]:
    prices = RecordedPrices()
    prices.at(NOW, price)
    broker = PaperBroker(prices, market_rules(MARKET, FEE), SLIPPAGE)
    broker.restore(cash, D(position), orders)
    return broker, prices


def order(side: Any = "buy", amount: str = "1", price: str | None = None, **more: Any) -> OrderRequest:
    kind = "market" if price is None else "limit"
    wanted = {"type": kind, "price": None if price is None else D(price), "client_id": str(uuid.uuid4()), **more}
    return OrderRequest(SYMBOL, side, amount=D(amount), **wanted)


def intent(event: Event = "accepted", amount: str = "1", price: str | None = None, **more: Any) -> Intent:
    kind: Any = "market" if price is None else "limit"
    limit = None if price is None else D(price)
    wish = Intent("run", SYMBOL, TS, "buy", "open", kind, D(amount), limit, "signal", intended=NOW, event=event)
    for name, value in more.items():
        setattr(wish, name, value)
    return wish


class Touched:
    """Prices with a spread, at a time that the test sets."""

    def __init__(self, last: str, bid: str, ask: str) -> None:
        self.quote, self.time, self.asked = (D(last), D(bid), D(ask)), NOW, 0

    def now(self) -> int:
        return self.time

    def price(self, symbol: str) -> Quote:
        self.asked += 1
        return Quote(*self.quote, self.time, self.time)


# Costs


def random_market(seed: int, rise: float) -> tuple[pd.DataFrame, np.ndarray[Any, np.dtype[np.float64]]]:
    """Candles of a minute and a target of 0 or 1, long only."""
    dice = np.random.default_rng(seed)
    closes = 100.0 * np.exp(np.cumsum(dice.normal(rise, 0.01, 120)))
    opens = np.concatenate([[100.0], closes[:-1]]) * np.exp(dice.normal(0.0, 0.002, 120))
    spread = np.abs(dice.normal(0.0, 0.005, (2, 120)))
    high, low = np.maximum(opens, closes) * (1.0 + spread[0]), np.minimum(opens, closes) * (1.0 - spread[1])
    index = pd.date_range(TS, periods=120, freq="min", unit="us", name="ts")
    frame = pd.DataFrame({"open": opens, "high": high, "low": low, "close": closes}, index=index)
    return frame, dice.choice([0.0, 1.0, np.nan], 120)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10**6),
    rise=st.sampled_from([-0.004, 0.0, 0.004]),
    fee=st.sampled_from([0.0, 0.0026, 0.004]),
    slippage=st.sampled_from([0.0, 0.0005, 0.003]),
    cash=st.floats(50.0, 1e6),
    fraction=st.sampled_from([0.37, 1.0]),
)
def test_every_fill_costs_what_the_backtest_says_to_the_last_bit(
    seed: int, rise: float, fee: float, slippage: float, cash: float, fraction: float
) -> None:
    candles, target = random_market(seed, rise)
    stops: dict[str, Any] = {"stop_loss": 0.01, "take_profit": 0.02, "trailing_stop": 0.015, "amount_step": 1e-8}
    expected = simulate(
        candles, target, cash=cash, fee=fee, slippage=slippage, fraction=fraction, symbol=SYMBOL, **stops
    )
    prices = RecordedPrices()
    broker = PaperBroker(prices, market_rules(MARKET, fee), slippage)
    broker.restore(cash, D(0), ())
    kinds = expected.orders.set_index("order_id")["type"]
    fills: list[Any] = list(expected.fills.itertuples())
    for fill in fills:
        amount = D(repr(fill.amount))
        prices.at(ns(fill.ts), float(candles["open"][fill.ts]))
        if kinds[fill.order_id] == "market":
            done = broker.submit(order(fill.side, str(amount)))
        else:
            wish = Intent("run", SYMBOL, fill.ts, fill.side, "exit", kinds[fill.order_id], amount, D(1), fill.reason)
            done = broker.exit_inside(wish, planned(fill), fill.ts, MINUTE)
        (made,) = done.fills
        assert (float(made.price), float(made.fee), float(made.amount)) == (fill.price, fill.fee, fill.amount)
    (left,) = expected.equity.tail(1).itertuples()
    held = broker.balance()
    assert float(held["BTC"].total) == left.position
    assert float(held["USD"].total) == pytest.approx(left.cash, abs=1e-8 * cash)
    assert len(expected.fills) > 0


def planned(fill: Any) -> Planned:
    nothing = {"position": 0.0, "refusal": "", "word": "", "market": float("nan"), "trigger": float("nan")}
    return Planned(
        side=fill.side, leg="exit", type="stop", amount=fill.amount, price=fill.price, fee=fill.fee,
        reason=fill.reason, **nothing,  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("side", "quote", "paid"),
    [
        ("buy", ("100", "99.99", "100.01"), "100.05"),
        ("buy", ("100", "99", "101"), "101"),
        ("sell", ("100", "99.99", "100.01"), "99.95"),
        ("sell", ("100", "99", "101"), "99"),
    ],
)
def test_nobody_trades_at_a_better_price_than_the_touch(side: str, quote: tuple[str, str, str], paid: str) -> None:
    broker = PaperBroker(Touched(*quote), market_rules(MARKET, FEE), SLIPPAGE)
    broker.restore(1000.0, D(5), ())
    (fill,) = broker.submit(order(side)).fills
    assert float(fill.price) == pytest.approx(float(paid), rel=1e-15)


def test_an_order_is_filled_at_the_price_that_it_was_decided_by_unless_that_is_old() -> None:
    prices = Touched("100", "100", "100")
    broker = PaperBroker(prices, market_rules(MARKET, FEE), 0.0)
    broker.restore(1000.0, D(0), ())
    broker.price(SYMBOL)
    prices.quote = (D(110), D(110), D(110))
    prices.time += 5 * SECOND
    assert broker.submit(order()).fills[0].price == 100
    prices.time += 60 * SECOND
    assert broker.submit(order()).fills[0].price == 110


@given(amount=st.integers(10**7, 10**12), price=st.integers(1, 10**6))
@settings(max_examples=50)
def test_an_order_for_all_the_cash_is_covered_whatever_floats_make_of_it(amount: int, price: int) -> None:
    wanted = D(amount).scaleb(-8)
    dear = 10.0 + price / 10
    cost = float(wanted) * (dear * (1.0 + SLIPPAGE)) * (1.0 + FEE)
    broker, _ = account(cash=cost * (1.0 - 1e-15), price=dear)
    assert broker.submit(order(amount=str(wanted))).status == "closed"
    assert abs(float(broker.balance()["USD"].total)) <= 1e-14 * cost


@pytest.mark.parametrize(("side", "amount"), [("buy", "1.0001"), ("sell", "0.50000001")])
def test_an_order_that_is_not_covered_is_refused_in_plain_words_and_changes_nothing(side: str, amount: str) -> None:
    broker, _ = account(cash=100.45, position="0.5")
    before = broker.balance()
    words = rf"^paper: {side} {amount} BTC/USD at about [\d.]{{3,20}}: there is not enough money$"
    with pytest.raises(Refused, match=words):
        broker.submit(order(side, amount))
    assert broker.balance() == before
    assert broker.open_orders(SYMBOL) == []


def test_the_least_cost_is_judged_by_the_price_that_is_paid_as_in_the_backtest() -> None:
    broker, _ = account(price=99.98)
    least = order(amount="0.005")
    assert D("0.005") * D("99.98") < D("0.5") < D("0.005") * D("99.98") * D("1.0005")
    assert broker.submit(least).status == "closed"


def test_an_engine_of_another_depth_and_fee_is_brought_back_with_them() -> None:
    def one_price(*market: Any) -> Iterator[Level]:
        yield Level(D(200), D(10))

    def flat(rate: Decimal, price: Decimal, amount: Decimal) -> Decimal:
        return D(7)

    hooks: dict[str, Any] = {"depth": one_price, "charge": flat}
    engine = matching_market.open_market(**hooks)
    engine.submit(matching_market.order("buy", "market", "2"))
    snapshot = json.loads(json.dumps(engine.snapshot()))
    back = MatchingEngine.restore([matching_market.RULES], snapshot, engine.orders.values(), **hooks)
    for each in (engine, back):
        (fill,) = each.submit(matching_market.order("buy", "market", "3")).fills
        assert (fill.price, fill.fee) == (D(200), D(7))
        each.check()
    assert snapshot.keys() == matching_market.open_market().snapshot().keys()


# What rests


def test_a_limit_order_that_is_touched_is_not_filled_and_one_that_is_passed_is_at_its_price() -> None:
    broker, _ = account()
    resting = broker.submit(order(price="99"))
    assert (resting.status, resting.filled) == ("open", D(0))
    assert broker.balance()["USD"].held == D(99) * (1 + D("0.004"))
    assert broker.pass_candle(SYMBOL, TS + MINUTE, 100.0, 101.0, 99.0, 100.0) == []
    (done,) = broker.pass_candle(SYMBOL, TS + 2 * MINUTE, 100.0, 101.0, 98.9, 100.0)
    assert (done.id, done.status, done.average) == (resting.id, "closed", D(99))
    (fill,) = broker.fills_of(resting)
    assert ns(TS + 2 * MINUTE) <= fill.time < ns(TS + 3 * MINUTE)
    assert float(fill.fee) == FEE * 99.0 * 1.0
    assert fill.maker
    assert broker.pass_candle(SYMBOL, TS + 3 * MINUTE, 100.0, 101.0, 90.0, 100.0) == []
    assert broker.balance()["BTC"] == Balance(D(1), D(0))


def test_a_limit_order_beyond_the_market_takes_at_once_what_a_market_order_would() -> None:
    broker, _ = account()
    (fill,) = broker.submit(order(price="105")).fills
    assert (float(fill.price), fill.maker) == (100.0 * (1.0 + SLIPPAGE), False)


@given(
    limit=st.integers(900, 1100),
    candle=st.lists(st.integers(850, 1150), min_size=4, max_size=4),
    side=st.sampled_from(["buy", "sell"]),
)
@settings(max_examples=60)
def test_a_resting_order_is_filled_by_exactly_the_candles_that_go_beyond_its_price(
    limit: int, candle: list[int], side: Any
) -> None:
    broker, _ = account(position="10")
    placed = broker.submit(order(side, price=f"{limit / 10}"))
    low, *inner, high = (price / 10 for price in sorted(candle))
    broker.pass_candle(SYMBOL, TS, inner[0], high, low, inner[1])
    at_once = limit / 10 >= 100.05 if side == "buy" else limit / 10 <= 99.95
    passed = low < limit / 10 if side == "buy" else high > limit / 10
    assert (broker.order(placed.id, SYMBOL).status == "closed") == (at_once or passed)


def test_a_cancelled_order_holds_nothing_and_is_not_filled_any_more() -> None:
    broker, _ = account()
    resting = broker.submit(order(price="99"))
    broker.cancel(resting.id, SYMBOL)
    assert broker.order(resting.id, SYMBOL).status == "cancelled"
    assert broker.open_orders(SYMBOL) == []
    assert broker.balance()["USD"].held == 0
    assert broker.pass_candle(SYMBOL, TS, 100.0, 101.0, 90.0, 100.0) == []
    with pytest.raises(Refused, match="is not open any more"):
        broker.cancel(resting.id, SYMBOL)


def test_an_exit_inside_a_candle_is_filled_at_the_very_end_of_it() -> None:
    broker, _ = account(cash=0.0, position="1")
    wish = intent(amount="1", price="95", side="sell", leg="exit", type="stop")
    plan = Planned("sell", "exit", "stop", 1.0, 95.0, 95.0, 94.9525, 0.37981, 0.0, "stop_loss", "", "")
    done = broker.exit_inside(wish, plan, TS, MINUTE)
    (fill,) = done.fills
    assert (done.id, done.status, fill.time) == (wish.client_id, "closed", ns(TS + MINUTE) - 1000)
    assert (float(fill.price), float(fill.fee)) == (94.9525, FEE * 94.9525 * 1.0)
    assert broker.balance()["BTC"].total == 0
    again = intent(amount="1", side="sell", leg="exit", attempt=2)
    with pytest.raises(Refused, match="not enough money"):
        broker.exit_inside(again, plan, TS, MINUTE)


# Restarts


def test_an_open_order_rests_again_in_the_next_process_under_the_same_ids() -> None:
    wish = intent(price="99")
    first, _ = account()
    placed = first.submit(wish.request())
    second, _ = account(orders=(wish,))
    assert placed.id == wish.client_id
    assert second.open_orders(SYMBOL) == first.open_orders(SYMBOL) == [placed]
    passed: list[list[Order]] = [
        broker.pass_candle(SYMBOL, TS + MINUTE, 100.0, 100.0, 98.0, 99.0) for broker in (first, second)
    ]
    assert passed[0] == passed[1]
    assert [fill.id for fill in passed[0][0].fills] == [f"{wish.client_id}-1"]


def test_a_limit_order_is_not_filled_by_the_mere_restart() -> None:
    broker, _ = account(orders=(intent(price="120"),))
    assert broker.order(intent(price="120").client_id, SYMBOL).status == "open"


def test_a_market_order_that_was_taken_and_not_filled_is_executed_after_the_restart() -> None:
    broker, _ = account(orders=(intent(),))
    done = broker.order(intent().client_id, SYMBOL)
    assert (done.status, done.filled) == ("closed", D(1))
    assert broker.resolve(intent().request(), 0) == done


def test_an_order_whose_fill_was_recorded_is_not_filled_again() -> None:
    wish = intent(filled=D(1))
    broker, _ = account(cash=0.0, position="1", orders=(wish,))
    done = broker.order(wish.client_id, SYMBOL)
    assert (done.status, done.filled) == ("closed", D(1))
    assert done.fills == []
    assert broker.balance()["BTC"].total == 1


@pytest.mark.parametrize("event", ["intent", "sent", "unknown", "filled", "cancelled", "rejected"])
def test_an_order_in_doubt_never_happened_and_one_that_ended_is_over(event: Event) -> None:
    wish = intent(event)
    broker, _ = account(orders=(wish,))
    assert broker.resolve(wish.request(), 0) is None
    with pytest.raises(Refused, match=f"paper has no order {wish.client_id}"):
        broker.order(wish.client_id, SYMBOL)
    assert broker.balance()["BTC"].total == 0


def test_a_client_id_makes_one_order_only() -> None:
    broker, _ = account()
    wanted = order(amount="0.1")
    broker.submit(wanted)
    with pytest.raises(Refused, match="a client id that no other has had"):
        broker.submit(wanted)
    assert broker.balance()["BTC"].total == D("0.1")


# What it has not


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (order(amount="0.00004"), r"0\.00004 BTC is below the least amount, 0\.00005"),
        (order(amount="0.0001"), r"0\.010005 USD is below the least cost, 0\.5"),
        (order(type="stop_loss", trigger=D(90), side="sell"), "paper has no stop_loss orders"),
        (order(amount="0.000000001"), "0 BTC is below the least amount"),
    ],
)
def test_what_the_market_would_not_take_is_refused_on_paper_too(wanted: OrderRequest, reason: str) -> None:
    broker, _ = account(position="1")
    for call in (broker.prepare, broker.submit):
        with pytest.raises(Refused, match=reason):
            call(wanted)


def test_requests_are_brought_into_steps() -> None:
    broker, _ = account()
    ready = broker.prepare(order(amount="0.123456789", price="99.99"))
    assert (ready.amount, ready.price) == (D("0.12345678"), D("99.9"))


def test_it_knows_one_market_and_no_dead_mans_switch() -> None:
    broker, _ = account()
    for call in (broker.rules, broker.price, broker.open_orders):
        with pytest.raises(BadInput, match="this account on paper trades BTC/USD, not ETH/USD"):
            call("ETH/USD")
    with pytest.raises(Refused, match="no dead man's switch"):
        broker.cancel_all_after(60)
    without: Broker = broker
    assert without.deadline(30.0) is None


@pytest.mark.parametrize(("cash", "position"), [(float("nan"), "0"), (float("inf"), "0"), (1.0, "-1"), (1.0, "NaN")])
def test_an_account_that_cannot_be_is_not_opened(cash: float, position: str) -> None:
    with pytest.raises(BadInput, match="an account on paper cannot begin with"):
        account(cash, position)


def test_what_is_not_known_of_a_market_is_the_finest_step_and_no_minimum() -> None:
    rules = market_rules(Market("csv", "AAPL"), 0.001)
    assert (rules.price_step, rules.amount_step) == (D("1e-8"), D("1e-8"))
    assert (rules.min_amount, rules.min_cost) == (D(0), D(0))
    assert (rules.base, rules.quote) == ("AAPL", "")
    assert rules.taker == rules.maker == ((D(0), D("0.001")),)


@pytest.mark.parametrize("seed", range(10))
def test_after_every_order_the_balances_are_those_that_its_fills_make(seed: int) -> None:
    broker, prices = account(position="10")
    dice = np.random.default_rng(seed)
    cash, position, refused = D(10_000), D(10), 0
    for step in range(40):
        prices.at(NOW + step * 60 * SECOND, float(np.round(dice.uniform(90, 110), 1)))
        side = str(dice.choice(["buy", "sell"]))
        try:
            fills = broker.submit(order(side, f"{dice.uniform(0.1, 30):.8f}")).fills
        except Refused:
            fills, refused = [], refused + 1
        for fill in fills:
            sign = 1 if side == "buy" else -1
            cash, position = cash - sign * fill.cost - fill.fee, position + sign * fill.amount
        held = broker.balance()
        assert held["BTC"] == Balance(position, D(0))
        assert abs(held["USD"].total - cash) < D("1e-15")
    assert 0 < refused < 40
