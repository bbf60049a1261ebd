"""Ledger and account compared, at a real practice exchange: what is explained, what stops, what a person accepts."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import BadInput, TryLater
from data.views import connect
from data.writer import Lake
from tasks.exchange import TradingClient, trading_client
from tasks.exchange import client as client_module
from tasks.exchange.orders import Order, OrderRequest
from tasks.trade.explanation import Event, explain
from tasks.trade.intent import Intent
from tasks.trade.ledger import Ledger
from tasks.trade.live import LiveBroker
from tasks.trade.reconcile import Difference, accept, latest, reconcile
from tests.servers.practice_exchange import Practice, practice_exchange

D = Decimal
BTC, ETH = "BTC/USD", "ETH/USD"
STEP = D("1e-8")


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JARVIS_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(client_module, "_PAUSES", (0.01, 0.01))


class Trading:
    """Live sessions of one account at a practice exchange, as far as reconciliation sees them."""

    def __init__(self, lake: Lake, practice: Practice, trader: TradingClient) -> None:
        self.lake, self.practice, self.trader = lake, practice, trader
        self.markets = {symbol: trader.rules(symbol) for symbol in (BTC, ETH)}
        self.ledgers: dict[str, Ledger] = {}

    def session(self, symbol: str, *, kind: str = "live", account: str | None = None) -> Ledger:
        """Record a session, and open its ledger."""
        run = uuid.uuid4().hex[:16]
        manifest = json.dumps({"kind": kind, "account": account or self.trader.account})
        row = {"run_id": run, "kind": kind, "symbol": symbol, "manifest": manifest}
        self.lake.append("runs", pd.DataFrame([row]))
        return Ledger(self.lake, run, symbol)

    def send(self, ledger: Ledger, side: Any = "buy", amount: str = "0.01", **changes: Any) -> tuple[Intent, Order]:
        """Order as a session does: the intent first."""
        now = self.trader.now()
        decision = pd.Timestamp("2026-01-15", tz="UTC") + pd.Timedelta(minutes=len(ledger.orders))
        terms = {"type": "market", "price": None, "reason": "signal", "intended": now} | changes
        intent = Intent(ledger.run_id, ledger.symbol, decision, side, "open", amount=D(amount), **terms)
        ledger.intend(intent)
        order = self.trader.submit(intent.request())
        return intent, order

    def settle(self, ledger: Ledger, intent: Intent, order: Order) -> None:
        """Take in what became of an order, as a session does."""
        intent.exchange_id = order.id
        ledger.note(intent, "sent", "accepted", at=self.trader.now())
        ledger.take_in(intent, self.trader.fills_of(order))
        if self.trader.order(order.id, ledger.symbol).status == "closed":
            ledger.note(intent, "filled", at=self.trader.now())

    def trade(self, ledger: Ledger, side: Any = "buy", amount: str = "0.01") -> None:
        self.settle(ledger, *self.send(ledger, side, amount))

    def by_hand(self, side: Any = "buy", amount: str = "0.02", **terms: Any) -> Order:
        """Trade on the same account, but for no session."""
        request = OrderRequest(BTC, side, terms.pop("type", "market"), D(amount), client_id=str(uuid.uuid4()), **terms)
        return self.trader.submit(request)

    def move(self, currency: str, amount: str, *, silent: bool = False) -> None:
        self.practice.ask("POST", "/deposit", {"currency": currency, "amount": amount, "silent": silent})

    def reconcile(self, *symbols: str) -> dict[str, Difference]:
        """Compare, and return what is told by currency."""
        markets = {symbol: self.markets[symbol] for symbol in symbols or (BTC,)}
        found = reconcile(self.lake, LiveBroker(self.trader), self.trader.account, markets)
        assert len({difference.currency for difference in found}) == len(found)
        return {difference.currency: difference for difference in found}

    def kinds(self, *symbols: str) -> dict[str, str]:
        return {currency: found.kind for currency, found in self.reconcile(*symbols).items()}

    def rows(self) -> list[tuple[str, str]]:
        """All rows as currency and kind, in the order of their times."""
        return connect(self.lake).execute("SELECT currency, kind FROM reconciliations ORDER BY ts, currency").fetchall()


@pytest.fixture
def trading(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> Iterator[Trading]:
    with practice_exchange(symbols=(BTC, ETH)) as practice, account(practice, monkeypatch) as trader:
        yield Trading(lake, practice, trader)


@contextmanager
def account(practice: Practice, monkeypatch: pytest.MonkeyPatch, name: str = "practice") -> Iterator[TradingClient]:
    monkeypatch.setenv("JARVIS_EXCHANGE_URLS", json.dumps({name: practice.url}))
    with trading_client(name, timeout=5) as trader:
        yield trader


OPENING = [("BTC", "opening"), ("USD", "opening")]


def test_the_first_comparison_takes_the_account_as_it_is(trading: Trading) -> None:
    found = trading.reconcile()
    assert {currency: each.actual for currency, each in found.items()} == {"USD": 100_000, "BTC": 10}
    assert trading.rows() == OPENING
    assert not any(difference.stops for difference in found.values())


def test_nothing_is_written_while_nothing_is_new(trading: Trading) -> None:
    trading.reconcile()
    version = trading.lake.version("reconciliations")
    for _ in range(3):
        trading.practice.step(60)
        assert trading.kinds() == {"BTC": "equal", "USD": "equal"}
    assert trading.lake.version("reconciliations") == version


def test_the_fills_of_the_sessions_are_expected_to_the_last_decimal(trading: Trading) -> None:
    trading.reconcile()
    ledger = trading.session(BTC)
    trading.trade(ledger, "buy", "0.12345678")
    trading.practice.step(60)
    trading.trade(ledger, "sell", "0.1")
    assert trading.kinds() == {"BTC": "equal", "USD": "equal"}
    assert trading.rows()[2:] == [("BTC", "equal"), ("USD", "equal")]
    last = {row.currency: row for row in latest(trading.lake, trading.trader.account)}
    assert (last["BTC"].flows, last["BTC"].actual) == (D("0.02345678"), D("10.02345678"))
    assert last["USD"].actual == 100_000 + last["USD"].flows == trading.trader.balance()["USD"].total


def test_two_sessions_of_one_account_share_the_money_and_nothing_else(trading: Trading) -> None:
    trading.reconcile(BTC)
    first, second = trading.session(BTC), trading.session(ETH)
    trading.trade(first, amount="0.01")
    assert trading.kinds(BTC, ETH) == {"BTC": "equal", "USD": "equal", "ETH": "opening"}
    trading.trade(second, amount="0.5")
    trading.trade(first, "sell", amount="0.01")
    assert trading.kinds(BTC, ETH) == {"BTC": "equal", "USD": "equal", "ETH": "equal"}
    trading.move("ETH", "-1", silent=True)
    found = trading.reconcile(BTC, ETH)
    assert [currency for currency, each in found.items() if each.stops] == ["ETH"]


def test_paper_sessions_and_those_of_another_account_are_no_part_of_it(trading: Trading) -> None:
    trading.reconcile()
    for ledger in (trading.session(BTC, kind="paper"), trading.session(BTC, account="practice:other")):
        intent = Intent(
            ledger.run_id, BTC, pd.Timestamp("2026-01-15", tz="UTC"), "buy", "open", "market", D(1), None, ""
        )
        ledger.intend(intent)
    assert trading.kinds() == {"BTC": "equal", "USD": "equal"}


@pytest.mark.parametrize(("amount", "kind"), [("250.5", "deposit"), ("-0.01", "withdrawal")])
def test_money_moved_in_or_out_is_explained_and_written_down_once(trading: Trading, amount: str, kind: str) -> None:
    trading.reconcile()
    trading.practice.step(3600)
    trading.move("USD", amount)
    found = trading.reconcile()["USD"]
    assert (found.kind, found.expected, found.actual) == (kind, D(100_000), 100_000 + D(amount))
    assert f"a {kind} of {amount.strip('-')} USD" in found.detail
    assert not found.stops
    assert trading.kinds() == {"BTC": "equal", "USD": "equal"}
    assert trading.rows() == [*OPENING, ("USD", kind)]


def test_a_deposit_changes_nothing_for_a_sessions_own_cash(trading: Trading) -> None:
    ledger = trading.session(BTC)
    trading.reconcile()
    trading.trade(ledger)
    before = ledger.cash(5000.0)
    trading.move("USD", "1000")
    trading.reconcile()
    assert Ledger(trading.lake, ledger.run_id, BTC).cash(5000.0) == before


def test_several_movements_one_of_them_at_the_instant_of_a_comparison_are_told_apart(trading: Trading) -> None:
    trading.move("USD", "5")
    trading.reconcile()
    trading.move("USD", "5")
    assert trading.kinds()["USD"] == "deposit"
    trading.move("USD", "5")
    trading.move("USD", "-2")
    found = trading.reconcile()["USD"]
    assert (found.kind, found.actual - found.expected) == ("withdrawal", D(3))
    assert trading.kinds()["USD"] == "equal"


def test_a_trade_by_hand_is_explained_in_both_currencies(trading: Trading) -> None:
    trading.reconcile()
    ledger = trading.session(BTC)
    trading.practice.step(60)
    trading.trade(ledger)
    order = trading.by_hand(amount="0.02")
    found = trading.reconcile()
    assert {currency: each.kind for currency, each in found.items()} == {"BTC": "manual_trade", "USD": "manual_trade"}
    assert found["BTC"].actual - found["BTC"].expected == D("0.02")
    cost = trading.trader.order(order.id, BTC)
    assert found["USD"].actual - found["USD"].expected == -cost.cost - cost.fee
    assert order.id in found["BTC"].detail
    assert trading.kinds() == {"BTC": "equal", "USD": "equal"}


def test_a_drift_that_nothing_explains_stops_until_a_person_accepts_it(trading: Trading) -> None:
    trading.reconcile()
    trading.practice.step(60)
    trading.move("USD", "-12.5", silent=True)
    found = trading.reconcile()
    assert (found["USD"].stops, found["BTC"].stops) == (True, False)
    assert "12.5 less cannot be explained" in found["USD"].detail
    assert trading.reconcile()["USD"].stops
    assert trading.rows() == [*OPENING, ("USD", "unexplained")]
    accepted = accept(trading.lake, trading.trader.account, "USD")
    assert (accepted.kind, accepted.stops, accepted.actual) == ("accepted", False, D("99987.5"))
    assert trading.kinds() == {"BTC": "equal", "USD": "equal"}
    assert trading.rows()[2:] == [("USD", "unexplained"), ("USD", "accepted")]


def test_what_moves_after_an_unexplained_drift_is_explained_and_the_drift_is_not(trading: Trading) -> None:
    trading.reconcile()
    trading.practice.step(3600)
    trading.move("USD", "-12.5", silent=True)
    trading.reconcile()
    trading.practice.step(3600)
    trading.move("USD", "100")
    found = trading.reconcile()["USD"]
    assert found.stops
    assert "12.5 less cannot be explained; besides a deposit of 100 USD" in found.detail
    accept(trading.lake, trading.trader.account, "USD")
    assert trading.kinds()["USD"] == "equal"


def test_a_deposit_between_the_comparison_and_its_acceptance_is_explained_afterwards(trading: Trading) -> None:
    trading.reconcile()
    trading.practice.step(3600)
    trading.move("USD", "-12.5", silent=True)
    trading.reconcile()
    trading.practice.step(3600)
    trading.move("USD", "100")
    accept(trading.lake, trading.trader.account, "USD")
    assert trading.kinds()["USD"] == "deposit"


def test_a_drift_that_goes_away_by_itself_stops_no_more(trading: Trading) -> None:
    trading.reconcile()
    trading.move("USD", "-12.5", silent=True)
    assert trading.reconcile()["USD"].stops
    trading.move("USD", "12.5", silent=True)
    assert trading.kinds()["USD"] == "equal"
    assert [row.kind for row in latest(trading.lake, trading.trader.account)] == ["opening", "equal"]


def test_nothing_but_an_unexplained_difference_can_be_accepted(trading: Trading) -> None:
    with pytest.raises(BadInput, match="no unexplained difference of USD"):
        accept(trading.lake, trading.trader.account, "USD")
    trading.reconcile()
    with pytest.raises(BadInput, match="no unexplained difference of USD"):
        accept(trading.lake, trading.trader.account, "USD")
    assert trading.rows() == OPENING


def test_rounding_by_the_exchange_is_forgiven_by_the_fill_and_no_further(trading: Trading) -> None:
    trading.reconcile()
    trading.practice.step(3600)
    trading.move("USD", "0.0001", silent=True)
    assert trading.reconcile()["USD"].stops  # no fill, no rounding
    trading.move("USD", "-0.0001", silent=True)
    ledger = trading.session(BTC)
    trading.trade(ledger, amount="0.001")
    fills = len(ledger.fills)
    trading.move("USD", str(fills * D("0.0001")), silent=True)
    trading.practice.step(3600)
    assert trading.kinds()["USD"] == "rounding"
    trading.practice.step(3600)
    trading.trade(ledger, "sell", amount="0.001")
    fills = len(ledger.fills) - fills
    trading.move("USD", str(fills * D("0.0001") + D("0.00001")), silent=True)
    assert trading.reconcile()["USD"].stops


def test_a_fill_that_its_session_has_not_taken_in_is_pending_and_no_trade_by_hand(trading: Trading) -> None:
    trading.reconcile()
    ledger = trading.session(BTC)
    left = trading.send(ledger)  # killed before the answer: the ledger knows the client id alone
    assert trading.kinds() == {"BTC": "pending", "USD": "pending"}
    assert trading.rows() == OPENING
    trading.settle(ledger, *left)
    assert trading.kinds() == {"BTC": "equal", "USD": "equal"}


def test_open_orders_that_no_session_made_are_told_and_are_no_rows(trading: Trading) -> None:
    trading.reconcile()
    ledger = trading.session(BTC)
    trading.send(ledger, type="limit", price=D(1000))
    assert trading.kinds() == {"BTC": "equal", "USD": "equal"}
    order = trading.by_hand(type="limit", price=D(1000))
    found = trading.reconcile()[BTC]
    assert (found.kind, found.stops) == ("foreign_order", False)
    assert order.id in found.detail
    assert trading.rows() == OPENING


def test_a_difference_is_looked_at_twice(trading: Trading, monkeypatch: pytest.MonkeyPatch) -> None:
    trading.reconcile()
    honest, looks = trading.trader.balance, []

    def balance() -> Any:
        told = honest()
        looks.append(1)
        if len(looks) == 1:
            del told["BTC"]
        return told

    monkeypatch.setattr(trading.trader, "balance", balance)
    assert trading.kinds() == {"BTC": "equal", "USD": "equal"}
    assert len(looks) == 2
    assert trading.rows() == OPENING


def test_an_exchange_that_does_not_answer_leaves_no_row(trading: Trading) -> None:
    trading.practice.fault("http", "BalanceEx", status=502)
    with pytest.raises(TryLater):
        trading.reconcile()
    trading.practice.clear_faults()
    trading.reconcile()
    trading.move("USD", "5")
    trading.practice.fault("http", "Ledgers", status=502)
    with pytest.raises(TryLater):
        trading.reconcile()
    assert trading.rows() == OPENING


def test_where_the_exchanges_ledger_is_not_read_a_deposit_waits_for_a_person(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        practice_exchange(symbols=(BTC, ETH)) as practice,
        account(practice, monkeypatch, "practice-bitfinex") as trader,
    ):
        trading = Trading(lake, practice, trader)
        trading.reconcile()
        trading.by_hand()
        assert trading.kinds() == {"BTC": "manual_trade", "USD": "manual_trade"}
        trading.move("USD", "5")
        found = trading.reconcile()["USD"]
        assert found.stops
        assert "practice-bitfinex: its ledger of deposits and withdrawals is not read" in found.detail
        accept(lake, trader.account, "USD")
        assert trading.kinds() == {"BTC": "equal", "USD": "equal"}


@given(
    before=st.lists(st.decimals(-1000, 1000, places=8), max_size=4),
    after=st.lists(st.decimals(-1000, 1000, places=8), max_size=4),
    pending=st.decimals(-1000, 1000, places=8),
)
def test_whatever_was_in_the_balance_before_the_rest_of_what_moved_is_what_explains_it(
    before: list[Decimal], after: list[Decimal], pending: Decimal
) -> None:
    moved = [Event(0, "USD", amount, "deposit", "") for amount in before]
    later = [Event(10, "USD", amount, "deposit", "") for amount in after]
    own = [Event(0, "USD", pending, "pending", "")]
    found = explain(sum(after, pending), [*moved, *own, *later], 5, D(0))
    assert found.rest == 0
    assert found.events[-len(later) or len(found.events) :] == later


@given(drift=st.decimals("0.01", "1000", places=2), moved=st.lists(st.integers(-1000, 1000), max_size=4))
def test_a_drift_beyond_the_tolerance_is_never_explained_away(drift: Decimal, moved: list[int]) -> None:
    later = [Event(10, "USD", D(amount), "deposit", "") for amount in moved]
    found = explain(sum(moved) + drift, later, 5, D("0.001"))
    assert found.rest == drift
