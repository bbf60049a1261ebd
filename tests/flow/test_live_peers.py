"""What goes wrong elsewhere (docs/peers.md) and is held by no other test: whole runs at a practice exchange."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from data.runs import read_run
from data.settings import CHECKOUT
from data.views import connect
from data.writer import Lake
from flows.live import live_trading
from flows.outcome import Outcome
from flows.parameters import LiveParameters
from tests.servers.practice_exchange import Practice, practice_exchange

RESTLESS = str(CHECKOUT / "tests" / "strategies_for_tests" / "restless.py")
DAY = 86_400.0


@pytest.fixture(autouse=True)
def no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JARVIS_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("PREFECT_API_URL", "")


@pytest.fixture
def reached(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let sessions find a practice exchange."""

    def at(practice: Practice) -> None:
        monkeypatch.setenv("JARVIS_EXCHANGE_URLS", json.dumps({"practice": practice.url}))
        practice.step(1803)

    return at


def run(**changes: Any) -> Outcome:
    """One run of the flow; nothing failed."""
    given = {"mode": "live", "strategy": RESTLESS, "cash": 20_000.0, "history": 20}
    outcomes: Any = live_trading.fn(LiveParameters(**{**given, **changes}))
    outcome: Outcome = outcomes[0]
    assert (len(outcomes), outcome.failure) == (1, "")
    return outcome


@pytest.mark.slow
def test_paper_and_real_orders_side_by_side_decide_alike(lake: Lake, reached: Any) -> None:
    with practice_exchange() as practice:
        reached(practice)
        for _ in range(10):
            practice.step(60)
            paper, live = run(mode="paper"), run(mode="live")
    names = ["ts", "signal", "target", "close", "action", "reason", "data_fingerprint"]
    on_paper, for_real = (read_run(lake, each.run_id, "decisions")[names] for each in (paper, live))
    pd.testing.assert_frame_equal(on_paper, for_real, check_exact=True)
    assert set(on_paper["action"]) == {"buy", "sell", "hold"}


def test_after_a_day_away_the_position_is_known_and_is_not_bought_again(lake: Lake, reached: Any) -> None:
    with practice_exchange() as practice:
        reached(practice)
        run(strategy="buy_and_hold")
        bought = practice.ask("GET", "/state")["balances"]["BTC"]
        practice.step(DAY)  # twice of what the exchange still shows of its candles
        back = run(strategy="buy_and_hold")
        assert practice.ask("GET", "/state")["balances"]["BTC"] == bought
    assert back.decisions[-1].reason == "unchanged"
    assert back.decisions[-1].target == 1.0
    assert {decision.reason for decision in back.decisions[:-1]} == {"missed"}
    assert back.account["position"] > 0.0
    assert read_run(lake, back.run_id, "orders")["order_id"].nunique() == 1
    query = "SELECT sum(candles) FROM quality WHERE kind = 'gap' AND resolved_at IS NULL"
    ((never_seen,),) = connect(lake).execute(query).fetchall()
    assert len(back.decisions) + never_seen == DAY / 60


@pytest.mark.slow
def test_each_fill_of_a_stop_stays_with_the_position_that_it_ended(lake: Lake, reached: Any) -> None:
    with practice_exchange() as practice:
        reached(practice)
        for _ in range(12):
            practice.step(3600)
            outcome = run(timeframe="1h", cash=1000.0, stop_loss=0.002)
        made = practice.on_loop(lambda: {fill.id: fill.order_id for fill in practice.exchange.engine.fills})
    orders, fills = (read_run(lake, outcome.run_id, table) for table in ("orders", "fills"))
    known = orders.dropna(subset="exchange_id").drop_duplicates("order_id").set_index("order_id")
    assert {fill.fill_id: known.at[fill.order_id, "exchange_id"] for fill in fills.itertuples()} == made
    ended = fills[fills["trade_id"] < fills["trade_id"].max()]
    assert {"signal", "stop_loss"} <= set(ended["reason"])
    for _, trade in ended.groupby("trade_id"):
        amounts = trade["amount_exact"].map(Decimal).groupby(trade["side"]).sum()
        assert amounts["buy"] == amounts["sell"]


def test_a_session_keeps_well_within_the_exchanges_rate_limits(lake: Lake, reached: Any) -> None:
    with practice_exchange(tier="starter") as practice:
        reached(practice)
        for _ in range(8):
            practice.step(60)
            outcome = run(stop_loss=0.2)
        assert practice.ask("GET", "/state")["orders"] > 5
        assert [call["errors"] for call in practice.journal() if call["errors"]] == []
    assert not set(read_run(lake, outcome.run_id, "decisions")["reason"]) & {"failed", "refused", "unknown_order"}
