"""A session step by step: each candle decided once, the account a fold, and the paper that of the backtest."""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data import writer
from data.errors import LakeError, TryLater
from data.runs import read_run
from data.writer import Lake
from tasks.backtest import simulate
from tasks.exchange import trading_client
from tasks.exchange.orders import Fill
from tasks.trade import execute_trade_strategy, execution, resume
from tasks.trade.decision import Decision
from tasks.trade.desk import Desk, Options, SessionRun, open_desk
from tasks.trade.fold import Fold
from tasks.trade.halt import halt
from tasks.trade.halt import resume as lift
from tasks.trade.live import LiveBroker
from tasks.trade.paper import PaperBroker
from tests.servers.practice_exchange import NOW, practice_exchange
from tests.unit.lake_rows import a_run as run_row
from tests.unit.trade_sessions import (
    COSTS,
    SEEN,
    SIZING,
    START,
    STEP,
    STOPS,
    SYMBOL,
    Killed,
    ScriptedBroker,
    a_run,
    dying,
    paper,
    replay,
    signals_of,
    some_candles,
    some_targets,
    step,
)

D = Decimal
NAN = float("nan")


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JARVIS_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(execution, "FOLLOW", 0.0)
    monkeypatch.setattr(writer, "_fsync", lambda places: None)  # no power is cut here, and it is most of the time


def flat(count: int, price: float = 20_000.0, **last: float) -> pd.DataFrame:
    """Candles at one price; `last` changes prices of the last one."""
    frame = some_candles(count)
    frame[["open", "high", "low", "close"]] = price
    for name, value in last.items():
        frame.loc[frame.index[-1], name] = value
    return frame


class Session:
    """A live session over a scripted exchange, fed candle by candle."""

    def __init__(self, lake: Lake, broker: ScriptedBroker | None = None, **changes: Any) -> None:
        self.lake = lake
        self.broker = broker or ScriptedBroker()
        self.run: SessionRun = a_run(**{"mode": "live", **changes})
        self.desk: Desk | None = None

    def step(self, candles: pd.DataFrame, target: Any, late: float = 1.0) -> list[Decision]:
        """One step, `late` seconds after the last candle closed."""
        self.broker.time = (candles.index[-1] + STEP + pd.Timedelta(seconds=late)).value
        self.desk, decisions = step(self.lake, self.run, self.broker, candles, target)
        return decisions

    def step_and_die(self, candles: pd.DataFrame, target: Any) -> None:
        """A step after which the process ends, if it did not before."""
        self.step(candles, target)
        raise Killed

    @property
    def kinds(self) -> list[str]:
        assert self.desk is not None
        return [note.kind for note in self.desk.notes]

    @property
    def position(self) -> Decimal:
        assert self.desk is not None
        return self.desk.ledger.position


def test_every_closed_candle_is_decided_once_and_says_why(lake: Lake) -> None:
    session = Session(lake)
    target = [NAN, 0.0, 1.0, 1.0, 0.0]
    decisions = [session.step(flat(count), target[:count])[0] for count in range(1, 6)]
    assert [(each.action, each.reason) for each in decisions] == [
        ("hold", "warm_up"),
        ("hold", "unchanged"),
        ("buy", "signal"),
        ("hold", "unchanged"),
        ("sell", "signal"),
    ]
    assert [each.target for each in decisions] == [0.0, 0.0, 1.0, 1.0, 0.0]
    assert session.position == 0
    bought = decisions[2]
    assert (bought.order_id, bought.price, bought.age) == ("2024-01-01T02:00:00Z-buy-open", 20_000.0, 1.0)
    assert (bought.candles, bought.data_fingerprint, bought.candles_version) == (3, SEEN.fingerprint, 3)
    assert "filled to 0.4977" in bought.detail
    assert session.step(flat(5), target) == []
    assert len(session.broker.orders) == 2


def test_the_rows_of_a_session_are_those_of_a_run(lake: Lake) -> None:
    session = Session(lake)
    for count in range(1, 4):
        session.step(flat(count), [NAN, 1.0, 0.0][:count])
    lake.append("runs", pd.DataFrame([run_row(session.run.run_id)]))
    equity = read_run(lake, session.run.run_id, "equity")
    assert equity["equity"].tolist() == pytest.approx((equity["cash"] + equity["position"] * equity["price"]).tolist())
    assert read_run(lake, session.run.run_id, "signals")["indicators"].tolist() == [[("fast", 1.5)]] * 3
    assert read_run(lake, session.run.run_id, "fills")["trade_id"].tolist() == [1, 1]
    trades = read_run(lake, session.run.run_id, "trades")
    assert trades[["status", "exit_reason", "entry_order_id"]].to_numpy().tolist() == [
        ["closed", "signal", "2024-01-01T01:00:00Z-buy-open"]
    ]
    assert read_run(lake, session.run.run_id, "decisions")["ts"].tolist() == list(flat(3).index)


def test_candles_missed_are_recorded_and_only_the_newest_is_acted_on(lake: Lake) -> None:
    session = Session(lake)
    session.step(flat(1), [0.0])
    decisions = session.step(flat(4), [0.0, 1.0, 0.0, 1.0])
    assert [(each.reason, each.action) for each in decisions] == [
        ("missed", "hold"),
        ("missed", "hold"),
        ("signal", "buy"),
    ]
    assert len(session.broker.orders) == 1


def test_a_signal_waits_since_the_first_candle_that_wanted_it(lake: Lake) -> None:
    session = Session(lake, max_signal_age=3600.0)
    session.step(flat(1), [0.0])
    (_, _, late) = session.step(flat(4), [0.0, 1.0, 1.0, 1.0])
    assert (late.reason, late.action, late.target, session.broker.orders) == ("stale", "hold", 1.0, {})
    assert "older than 3600 seconds" in late.detail
    assert session.kinds == ["stale_data"]
    assert session.step(flat(5), [0.0, 1.0, 1.0, 1.0, 1.0])[0].reason == "unchanged"
    session.step(flat(6), [0.0, 1.0, 1.0, 1.0, 1.0, 0.0])
    assert session.step(flat(8), [0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0])[-1].reason == "signal"


def test_a_late_signal_to_leave_is_always_followed(lake: Lake) -> None:
    session = Session(lake, max_signal_age=60.0)
    session.step(flat(1), [1.0])
    decisions = session.step(flat(5), [1.0, 0.0, 0.0, 0.0, 0.0], late=3000.0)
    assert (decisions[-1].action, session.position) == ("sell", 0)


def test_a_candle_that_comes_late_is_recorded_and_changes_nothing(lake: Lake) -> None:
    session = Session(lake)
    all_of_them = flat(4)
    session.step(all_of_them.iloc[[0]], [1.0])
    session.step(all_of_them.iloc[[0, 2]], [1.0, 1.0])
    late, newest = session.step(all_of_them, [1.0, 0.0, 1.0, 1.0])
    assert (late.ts, late.reason, newest.reason) == (START + STEP, "missed", "unchanged")
    assert len(session.broker.orders) == 1
    assert [each.ts for each in open_desk(lake, session.run, session.broker).ledger.decisions] == list(
        all_of_them.index
    )


@pytest.mark.parametrize("fate", ["refused", "later", "lost_before", "lost_after"])
def test_one_lost_answer_makes_neither_two_orders_nor_none(lake: Lake, fate: str) -> None:
    session = Session(lake, ScriptedBroker([fate]))
    (first,) = session.step(flat(1), [1.0])
    made = 0 if fate == "refused" else 1
    assert len(session.broker.orders) == made
    assert first.reason == ("refused" if fate == "refused" else "signal")
    assert first.target == 1.0
    session.step(flat(2), [1.0, 1.0])
    assert len(session.broker.orders) == made


def test_an_exchange_out_of_reach_is_tried_again_at_the_next_candle_unless_that_is_too_late(lake: Lake) -> None:
    for age, reason in ((None, "signal"), (3600.0, "stale")):
        session = Session(lake, ScriptedBroker(["later"] * 3), run_id=reason, max_signal_age=age)
        (failed,) = session.step(flat(1), [1.0])
        assert (failed.reason, failed.action, failed.target) == ("failed", "hold", 0.0)
        assert session.broker.asked.count("submit") == 3
        assert session.step(flat(2), [1.0, 1.0])[0].reason == reason


def test_a_price_that_cannot_be_had_is_no_decision_to_act(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(lake)

    def down(symbol: str) -> None:
        raise TryLater("502 Bad Gateway")

    with monkeypatch.context() as patched:
        patched.setattr(session.broker, "price", down)
        (failed,) = session.step(flat(1), [1.0])
    assert (failed.reason, "502" in failed.detail) == ("failed", True)
    assert session.step(flat(2), [1.0, 1.0])[0].reason == "signal"


@pytest.mark.parametrize("found", [True, False], ids=["found", "absent"])
def test_an_order_in_doubt_blocks_until_it_is_cleared_up_and_counts_if_it_was_made(lake: Lake, found: bool) -> None:
    session = Session(lake, ScriptedBroker(["lost_after" if found else "lost_before"]))
    session.broker.knows = False
    assert session.step(flat(1), [1.0])[0].reason == "unknown_order"
    blocked = session.step(flat(2), [1.0, 0.0])[0]
    assert (blocked.reason, blocked.action) == ("unknown_order", "hold")
    session.broker.knows = True
    cleared = session.step(flat(3), [1.0, 0.0, 1.0])[0]
    assert (cleared.reason, cleared.target) == (("unchanged" if found else "signal"), 1.0)
    assert len(session.broker.orders) == 1


def test_a_block_by_reconciliation_stops_both_ways(lake: Lake) -> None:
    session = Session(lake)
    desk = resume(lake, session.run, session.broker)
    desk.block("reconciliation", "0.3 BTC are not explained")
    (held,) = execute_trade_strategy(desk, flat(1), signals_of(flat(1), [1.0]), SEEN)
    assert (held.reason, held.detail, session.broker.orders) == ("reconciliation", "0.3 BTC are not explained", {})


def test_a_halt_holds_and_what_was_wanted_is_done_after_it_unless_too_old(lake: Lake) -> None:
    session = Session(lake, max_signal_age=2 * 3600.0)
    halt("looking at it")
    (held,) = session.step(flat(1), [1.0])
    assert (held.reason, held.action, held.target) == ("halted", "hold", 0.0)
    assert "looking at it" in held.detail
    lift()
    assert session.step(flat(2), [1.0, 1.0])[0].reason == "signal"


def test_a_position_too_small_to_sell_is_a_state_and_is_tried_once(lake: Lake) -> None:
    session = Session(lake)
    session.broker.fee_currency = "BTC"
    session.step(flat(1), [1.0])
    fill = session.desk.ledger.fills[0]  # type: ignore[union-attr]
    assert session.position == fill.amount * D("0.996")
    assert session.step(flat(2), [1.0, 0.0])[0].action == "sell"
    held = session.position
    session.broker.fee_currency = "USD"
    assert -D("0.01") < held < D("0.00005")
    assert session.step(flat(3), [1.0, 0.0, 0.0])[0].reason == "unchanged"


def test_what_the_market_would_not_take_is_not_sent(lake: Lake) -> None:
    session = Session(lake, cash=1.0)
    (small,) = session.step(flat(1), [0.1])
    assert (small.reason, small.target, session.broker.orders) == ("too_small", 0.1, {})
    assert session.step(flat(2), [0.1, 0.1])[0].reason == "unchanged"


@pytest.mark.parametrize(
    ("limits", "price", "reason"),
    [
        ({"max_deviation": 0.01}, "20300", "deviation"),
        ({"max_orders_a_day": 1}, "20000", "max_orders"),
        ({"max_position": 1_000.0}, "20000", "signal"),
    ],
)
def test_limits_hold_for_entries(lake: Lake, limits: dict[str, float], price: str, reason: str) -> None:
    session = Session(lake, **limits)
    session.step(flat(1), [0.0 if reason != "max_orders" else 0.2])
    session.broker.last = D(price)
    (decision,) = session.step(flat(2), [0.0, 1.0])
    assert decision.reason == reason
    if reason == "signal":
        assert session.position * 20_000 <= 1_000
    else:
        assert "limit" in session.kinds or "stale_data" in session.kinds
        assert decision.action == "hold"


def test_a_limit_order_waits_at_the_bid_and_is_cancelled_before_anything_else_is_done(lake: Lake) -> None:
    session = Session(lake, options=Options(order_type="limit", limit_timeout=1e6))
    (waits,) = session.step(flat(1), [1.0])
    order = session.broker.orders["O1"]
    assert (waits.action, order.request.type, order.request.price) == ("buy", "limit", D(19_999))
    session.broker.fill("O1", D("0.1"))
    (sold,) = session.step(flat(2), [1.0, 0.0])
    assert (order.status, sold.action, sold.amount, session.position) == ("cancelled", "sell", 0.1, 0)


@pytest.mark.parametrize("filled", ["0", "0.1"])
def test_an_entry_that_rests_is_given_up_when_the_signal_goes(lake: Lake, filled: str) -> None:
    session = Session(lake, options=Options(order_type="limit", limit_timeout=1e6))
    session.step(flat(1), [1.0])
    cancelled = session.broker.cancel

    def too_late_for_some(order_id: str, symbol: str) -> None:
        if D(filled):
            session.broker.fill(order_id, D(filled))
        cancelled(order_id, symbol)

    session.broker.cancel = too_late_for_some  # type: ignore[method-assign]
    (given_up,) = session.step(flat(2), [1.0, 0.0])
    assert session.broker.orders["O1"].status == "cancelled"
    assert (given_up.action, session.position) == ("sell" if D(filled) else "hold", 0)


@pytest.mark.parametrize(("signal", "bought"), [(1.0, ["limit", "market"]), (0.0, ["limit"])])
def test_what_a_limit_order_left_is_bought_only_while_the_newest_candle_wants_it(
    lake: Lake, signal: float, bought: list[str]
) -> None:
    session = Session(lake, options=Options(order_type="limit", on_timeout="market"))
    session.step(flat(1), [1.0])
    session.step(flat(2), [1.0, signal])
    assert [order.request.type for order in session.broker.orders.values()] == bought
    assert session.broker.orders["O1"].status == "cancelled"


def test_what_a_limit_order_left_is_not_bought_on_an_account_that_cannot_be_explained(lake: Lake) -> None:
    session = Session(lake, options=Options(order_type="limit", on_timeout="market"))
    session.step(flat(1), [1.0])
    session.broker.time = (START + 2 * STEP).value
    desk = resume(lake, session.run, session.broker)
    desk.block("reconciliation", "0.3 BTC are not explained")
    execute_trade_strategy(desk, flat(2), signals_of(flat(2), [1.0, 1.0]), SEEN)
    assert [order.status for order in session.broker.orders.values()] == ["cancelled"]


@pytest.mark.parametrize("on_timeout", ["cancel", "market"])
def test_a_halt_ends_an_entry_that_rests(lake: Lake, on_timeout: Any) -> None:
    session = Session(lake, options=Options(order_type="limit", limit_timeout=1e6, on_timeout=on_timeout))
    session.step(flat(1), [1.0])
    halt("looking at it")
    assert session.step(flat(2), [1.0, 1.0])[0].reason == "halted"
    assert [order.status for order in session.broker.orders.values()] == ["cancelled"]


def test_an_exit_that_the_exchange_refused_is_wanted_still(lake: Lake) -> None:
    session = Session(lake)
    session.step(flat(1), [1.0])
    session.broker.fates = ["refused"]
    (held,) = session.step(flat(2), [1.0, 0.0])
    assert (held.action, held.reason, held.target) == ("hold", "failed", 1.0)
    assert "Insufficient funds" in held.detail
    (sold,) = session.step(flat(3), [1.0, 0.0, 0.0])
    assert (sold.action, sold.reason, session.position) == ("sell", "signal", 0)


def test_an_entry_goes_ahead_though_a_missed_candle_brought_an_exit_of_what_is_sold_already(lake: Lake) -> None:
    session = Session(lake, stop_loss=0.05)
    session.step(flat(1), [0.5])
    desk = resume(lake, session.run, session.broker)
    session.broker.time = (START + 2 * STEP).value + 5 * 10**9
    execution.carry_out(desk, desk.wish(START, "sell", "exit", desk.ledger.position, "flatten"))
    candles = flat(3)
    candles.loc[candles.index[1], "low"] = 18_900.0
    assert session.step(candles, [0.5, 0.5, 1.0])[-1].action == "buy"


def test_a_goal_that_was_reached_is_taken_at_the_market_by_a_live_session(lake: Lake) -> None:
    session = Session(lake, take_profit=0.1)
    session.step(flat(1), [1.0])
    session.broker.last = D(21_900)
    (left,) = session.step(flat(2, high=22_500.0, close=21_900.0), [1.0, 1.0])
    assert (left.action, left.reason, session.position) == ("sell", "take_profit", 0)
    assert session.step(flat(3), [1.0, 1.0, 1.0])[0].reason == "unchanged"


def test_a_stop_that_no_exchange_holds_is_seen_to_by_the_session(lake: Lake) -> None:
    session = Session(lake, stop_loss=0.05)
    session.step(flat(1), [1.0])
    session.broker.last = D(18_500)
    decisions = session.step(flat(3), [1.0, 1.0, 1.0])
    assert decisions[-1].reason == "unchanged"
    candles = flat(5)
    candles.loc[candles.index[3], ["low", "close"]] = 18_900.0
    decisions = session.step(candles, [1.0] * 5)
    assert [(each.reason, each.action) for each in decisions] == [("missed", "hold"), ("stop_loss", "sell")]


def test_a_loss_of_the_day_sells_all_and_is_tried_again_while_it_fails(lake: Lake) -> None:
    session = Session(lake, daily_loss=0.05)
    session.step(flat(1), [1.0])
    session.broker.last = D(18_000)
    session.broker.fates = ["later"] * 3
    assert session.step(flat(2, low=18_000.0, close=18_000.0), [1.0, 1.0])[0].reason == "failed"
    candles = flat(3)
    candles.loc[candles.index[1:], ["low", "close"]] = 18_000.0
    (sold,) = session.step(candles, [1.0] * 3)
    assert (sold.reason, sold.action, session.position) == ("daily_loss", "sell", 0)


def test_another_process_at_the_same_session_ends_this_one_before_it_sends(lake: Lake) -> None:
    session = Session(lake)
    session.broker.time = (START + STEP).value
    one, other = (resume(lake, session.run, session.broker) for _ in range(2))
    candles, signals = flat(1), signals_of(flat(1), [1.0])
    execute_trade_strategy(one, candles, signals, SEEN)
    with pytest.raises(LakeError, match="another process"):
        execute_trade_strategy(other, candles, signals, SEEN)
    assert len(session.broker.orders) == 1


@pytest.mark.parametrize(
    "sells", [pytest.param(False, id="buy"), pytest.param(True, id="sell", marks=pytest.mark.slow)]
)
def test_killed_at_any_write_a_decision_makes_one_order(lake: Lake, sells: bool) -> None:
    for at in range(9):
        session = Session(lake, run_id=f"{sells}-{at}")
        target = [1.0, 0.0] if sells else [0.0, 1.0]
        session.step(flat(1), target[:1])
        before = len(session.broker.orders)
        with pytest.raises(Killed), dying(at) as written:
            session.step_and_die(flat(2), target)
        session.step(flat(2), target)
        assert len(session.broker.orders) == before + 1, written
        assert session.position == (0 if sells else session.broker.orders["O1"].filled)
        desk = open_desk(lake, session.run, session.broker)
        assert [each.reason for each in desk.ledger.decisions][1:] == ["signal"], written
        assert [each.target for each in desk.ledger.decisions] == target


@pytest.mark.parametrize(
    "sells", [pytest.param(False, id="buy", marks=pytest.mark.slow), pytest.param(True, id="sell")]
)
def test_killed_at_any_write_and_back_a_candle_later_a_decision_makes_one_order(lake: Lake, sells: bool) -> None:
    for at in range(8):
        session = Session(lake, run_id=f"{sells}-{at}")
        target = [1.0, 0.0, 0.0] if sells else [0.0, 1.0, 1.0]
        session.step(flat(1), target[:1])
        before = len(session.broker.orders)
        with pytest.raises(Killed), dying(at) as written:
            session.step_and_die(flat(2), target[:2])
        session.step(flat(3), target)
        assert len(session.broker.orders) == before + 1, written
        decisions = open_desk(lake, session.run, session.broker).ledger.decisions
        assert [each.reason for each in decisions[1:]] == (["signal", "unchanged"] if at else ["missed", "signal"])


def test_a_paper_order_that_was_not_filled_when_the_process_died_is_made_anew_at_a_dearer_price(lake: Lake) -> None:
    for at in range(8):
        run = a_run(run_id=f"dearer-{at}")
        prices, broker = paper(run)
        prices.at((START + STEP).value, 20_000.0)
        with pytest.raises(Killed), dying(at):
            paper_step_and_die(lake, run, broker, flat(1))
        prices, broker = paper(run)
        prices.at((START + STEP).value + 10**9, 20_010.0)
        desk, _ = step(lake, run, broker, flat(1), [1.0])
        assert (len(desk.ledger.fills), desk.books.target) == (1, 1.0)
        assert desk.ledger.cash(run.cash) >= D("-1e-6")


@pytest.mark.parametrize("dies_at", [-1, 1, 2, 3, 4])
def test_a_fill_found_candles_later_ends_its_round_trip_and_corrects_the_account(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, dies_at: int
) -> None:
    session, target = Session(lake), [1.0, 0.0, 0.0, 0.0, 0.0]
    session.step(flat(1), [1.0])
    with monkeypatch.context() as patched:
        patched.setattr(session.broker, "fills_of", lambda order: [])
        for count in range(2, 5):
            session.step(flat(count), target[:count])
    lake.append("runs", pd.DataFrame([run_row(session.run.run_id)]))
    assert (read_run(lake, session.run.run_id, "equity")["position"] > 0).tolist() == [False, True, True, True]
    with contextlib.suppress(Killed), dying(dies_at):
        session.step_and_die(flat(5), target)
    session.step(flat(5), target)
    assert read_run(lake, session.run.run_id, "trades")["status"].tolist() == ["closed"]
    equity = read_run(lake, session.run.run_id, "equity")
    assert (equity["position"] > 0).tolist() == [False, True, False, False, False]
    assert equity["equity"].tolist() == (equity["cash"] + equity["position"] * equity["price"]).tolist()
    assert session.desk is not None
    assert equity["cash"].iloc[2:].tolist() == [session.desk.books.cash] * 3


def test_killed_at_any_call_of_the_exchange_a_decision_makes_one_order(lake: Lake) -> None:
    for at in range(7):
        session = Session(lake, run_id=f"call-{at}")
        session.broker.dies_at = at
        with pytest.raises(Killed):
            session.step_and_die(flat(1), [1.0])
        session.step(flat(1), [1.0])
        assert len(session.broker.orders) == 1, session.broker.asked
        assert session.position == session.broker.orders["O1"].filled


@pytest.mark.parametrize(
    ("seed", "gaps", "extra"),
    [
        pytest.param(1, False, {}, marks=pytest.mark.slow),
        pytest.param(2, True, {"stop_loss": 0.03, "take_profit": 0.06, "trailing_stop": 0.05}, marks=pytest.mark.slow),
        (
            3,
            True,
            {"stop_loss": 0.03, "daily_loss": 0.05, "cooldown": 2, "max_orders_a_day": 3, "max_signal_age": 7200.0},
        ),
    ],
)
def test_a_session_on_paper_is_the_backtest_bit_for_bit(
    lake: Lake, seed: int, gaps: bool, extra: dict[str, Any]
) -> None:
    candles, target = some_candles(30, seed, gaps), some_targets(30, seed)
    run = a_run(**extra)
    prices, broker = paper(run)
    tables = replay(lake, run, candles, target, broker, prices).tables()
    rules = {**COSTS, **SIZING, **STOPS, **extra}
    expected = simulate(candles, target, cash=run.cash, long_only=True, symbol=SYMBOL, timeframe=run.step, **rules)
    pd.testing.assert_frame_equal(tables["equity"], expected.equity, check_exact=True, check_freq=False)
    fills = tables["fills"]
    closed = fills["ts"] < candles.index[-1] + STEP  # the decision of the last candle is an intent in the backtest
    for name in ("order_id", "trade_id", "side", "price", "amount", "fee", "reason"):
        assert fills.loc[closed, name].tolist() == expected.fills[name].tolist(), name
    if not len(fills) > closed.sum():
        pd.testing.assert_frame_equal(tables["trades"], expected.trades, check_exact=True)


def ledger_of(lake: Lake, run: SessionRun, count: int, fills: list[tuple[int, str, Decimal]]) -> Desk:
    """A desk whose ledger has decisions of `count` candles and fills at some microseconds after the start."""
    desk = open_desk(lake, run, ScriptedBroker())
    price = D("20000.5")
    for number, (at, side, amount) in enumerate(fills):
        order = replace(desk.wish(START, side, "open", amount, "signal"), intended=number)
        desk.ledger.intend(order)
        when = START.value + at * 1_000
        fill = Fill(f"T{number}", "O", SYMBOL, order.side, when, price, amount, price * amount, amount, "USD", False)
        desk.ledger.take_in(order, [fill])
    row = Decision(run.run_id, SYMBOL, START, START, "hold", "unchanged", "", 1.0, 1.0, 0.0, 0.0)
    desk.ledger.decisions = [replace(row, ts=START + number * STEP) for number in range(count)]
    return desk


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.integers(0, 5 * 3600 * 10**6), st.integers(1, 10**9)), max_size=6, unique_by=lambda move: move[0]
    ),
    st.randoms(use_true_random=False),
)
def test_cash_and_position_of_the_fold_are_the_sums_of_the_fills(
    tmp_path_factory: pytest.TempPathFactory, moves: list[tuple[int, int]], dice: Any
) -> None:
    lake, held, fills = Lake(tmp_path_factory.mktemp("lake")), 0, []
    for at, count in sorted(moves):
        side = "buy" if not held else "sell"
        count = min(count, held) if held else count  # noqa: PLW2901
        held += count if side == "buy" else -count
        fills.append((at, side, D(count) * D("1e-8")))
    found = fills[:]
    dice.shuffle(found)  # fills are found in any order, and booked by their time
    desk = ledger_of(lake, a_run(cash=1e7), 5, found)
    fold = Fold(desk.run, desk.ledger, flat(5))
    fold.book_until()
    assert fold.books.position == float(desk.ledger.position) == float(D(held) * D("1e-8"))
    assert fold.books.cash == pytest.approx(float(desk.ledger.cash(1e7)), rel=1e-12)
    ends = [int((number + 1) * 3600e6) for number in range(5)]
    expected = [sum(float(a) if s == "buy" else -float(a) for t, s, a in fills if t < end) for end in ends]
    assert [mark.position for mark in fold.marks] == pytest.approx(expected, abs=1e-12)


def test_a_hundred_thousand_candles_fold_in_well_under_a_second(lake: Lake) -> None:
    count = 100_000
    closes = 20_000 + np.sin(np.arange(count)) * 100
    candles = pd.DataFrame(
        {"open": closes, "high": closes + 50, "low": closes - 50, "close": closes},
        index=pd.date_range(START, periods=count, freq="h", unit="us"),
    )
    desk = ledger_of(
        lake, a_run(), 0, [(10**6 * 3600 * 1000, "buy", D("0.1")), (10**6 * 3600 * 9000, "sell", D("0.1"))]
    )
    row = Decision("a-session", SYMBOL, START, START, "hold", "unchanged", "", 1.0, 1.0, 0.0, 0.0)
    desk.ledger.decisions = [replace(row, ts=ts) for ts in candles.index]
    Fold(desk.run, desk.ledger, candles.iloc[:10])
    begun = time.process_time()
    fold = Fold(desk.run, desk.ledger, candles)
    taken = time.process_time() - begun
    assert len(fold.marks) == count
    assert len(fold.due) == 0
    assert taken < 1.0


def test_a_limit_order_on_paper_is_filled_by_the_candle_that_goes_beyond_it(lake: Lake) -> None:
    run = a_run(options=Options(order_type="limit", limit_timeout=60.0))
    prices, broker = paper(run)
    prices.at((START + STEP).value, 20_000.0)
    waits = step(lake, run, broker, flat(1), [1.0])[1][0]
    assert "waits" in waits.detail
    prices.at((START + 2 * STEP).value, 19_950.0)
    broker = PaperBroker(prices, broker.rules(SYMBOL), run.rules.slippage)  # a process of its own
    desk, (decision,) = step(lake, run, broker, flat(2, low=19_900.0, close=19_950.0), [1.0, 1.0])
    assert [(order.event, order.attempt) for order in desk.ledger.orders.values()] == [("filled", 1)]
    assert (decision.reason, decision.position) == ("unchanged", float(desk.ledger.position))
    assert [
        (fill.price_float, START + STEP <= fill_time(fill.at) < START + 2 * STEP) for fill in desk.ledger.fills
    ] == [(20_000.0, True)]


def fill_time(at: int) -> pd.Timestamp:
    return pd.Timestamp(at, unit="ns", tz="UTC")


def test_a_limit_order_on_paper_that_no_candle_fills_is_cancelled(lake: Lake) -> None:
    run = a_run(options=Options(order_type="limit", limit_timeout=60.0))
    prices, broker = paper(run)
    for count in (1, 2):
        prices.at((START + count * STEP).value, 20_000.0)
        desk, _ = step(lake, run, broker, flat(count), [1.0, 1.0][:count])
    assert [order.event for order in desk.ledger.orders.values()] == ["cancelled"]
    assert desk.ledger.position == 0


def test_killed_at_any_write_a_stop_on_paper_leaves_once(lake: Lake) -> None:
    for at in range(7):
        run = a_run(stop_loss=0.05, run_id=f"stop-{at}")
        prices, broker = paper(run)
        prices.at((START + STEP).value, 20_000.0)
        step(lake, run, broker, flat(1), [1.0])
        candles = flat(2, low=18_000.0, close=18_500.0)
        prices.at((START + 2 * STEP).value, 18_500.0)
        with pytest.raises(Killed), dying(at):
            paper_step_and_die(lake, run, broker, candles)
        prices, broker = paper(run)
        prices.at((START + 2 * STEP).value, 18_500.0)
        step(lake, run, broker, candles, [1.0, 1.0])
        desk = open_desk(lake, run, broker)
        assert (desk.ledger.position, len(desk.ledger.fills)) == (0, 2)
        assert desk.ledger.fills[1].price_float == pytest.approx(19_000 * 0.9995, rel=1e-3)
        assert desk.ledger.decisions[-1].ts == START + STEP


def paper_step_and_die(lake: Lake, run: SessionRun, broker: PaperBroker, candles: pd.DataFrame) -> None:
    step(lake, run, broker, candles, [1.0] * len(candles))
    raise Killed


def test_at_the_practice_exchange_a_position_has_its_stop_until_it_is_sold(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = pd.Timestamp(NOW, unit="ns", tz="UTC").floor("h").as_unit("us") - STEP
    run = a_run(mode="live", stop_loss=0.05, start=first, history_start=first)
    with practice_exchange() as practice:
        monkeypatch.setenv("JARVIS_EXCHANGE_URLS", json.dumps({"practice": practice.url}))
        with trading_client("practice", timeout=5) as trader:
            broker = LiveBroker(trader)
            price = float(broker.price(SYMBOL).last)
            candles = flat(3, price)
            candles.index = pd.date_range(first, periods=3, freq="h", unit="us", name="ts")
            practice.fault("reset_after", "AddOrder", times=1)
            desk, (bought,) = step(lake, run, broker, candles.iloc[:1], [1.0])
            assert (bought.reason, desk.blocked) == ("signal", "")
            (stop,) = broker.open_orders(SYMBOL)
            assert (stop.request.type, stop.request.amount) == ("stop_loss", desk.ledger.position)
            entry = desk.ledger.fills[0].price
            assert stop.request.trigger == pytest.approx(entry * D("0.95"), abs=D(2))
            practice.step(3600)
            desk, (held,) = step(lake, run, broker, candles.iloc[:2], [1.0, 1.0])
            assert held.reason in ("unchanged", "stop_loss")
            assert len(broker.open_orders(SYMBOL)) == 1
            practice.step(3600)
            desk, (sold,) = step(lake, run, broker, candles, [1.0, 1.0, 0.0])
            assert (sold.action, desk.ledger.position, broker.open_orders(SYMBOL)) == ("sell", 0, [])
            for order in desk.ledger.orders.values():
                assert practice.orders_of(order.client_id) == [order.exchange_id]
