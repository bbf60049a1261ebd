"""A live session killed with SIGKILL at any of its durable writes and exchange calls, while the exchange fails too.

One trial: a candle closes, the step is started in a process of its own and killed at a point drawn by lot; it is
started again, killed again perhaps, and at last left to end. Then the ledger is held against the exchange's books.
"""

from __future__ import annotations

import multiprocessing
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from data.settings import CHECKOUT
from data.views import connect
from data.writer import Lake
from tests.crash.live_victim import live
from tests.servers.practice_exchange import Practice, practice_exchange

pytestmark = pytest.mark.server

SPEED = 60.0
SYMBOLS = ("BTC/USD", "ETH/USD")
FAULTS = (
    ("hang_after", "AddOrder"),
    ("reset_after", "AddOrder"),
    ("bad_gateway_after", "AddOrder"),
    ("no_id", "AddOrder"),
    ("truncated", "AddOrder"),
    ("hang_before", "AddOrder"),
    ("reset_before", "AddOrder"),
    ("html", "*"),
    ("reset_before", "*"),
    ("truncated", "*Orders"),
    ("empty", "*Orders"),
    ("candles_missing", "OHLC"),
    ("bad_gateway_after", "CancelOrder"),
)


@dataclass
class Trials:
    """A session under trial, and what happened in it."""

    practice: Practice
    environment: dict[str, str]
    dice: random.Random
    symbols: tuple[str, ...] = SYMBOLS
    ends: Counter[str] = field(default_factory=Counter)
    points: int = 0

    @property
    def parameters(self) -> dict[str, Any]:
        strategy = CHECKOUT / "tests" / "strategies_for_tests" / "restless.py"
        return {
            "exchange": "practice", "mode": "live", "symbols": self.symbols, "timeframe": "1m",
            "strategy": str(strategy),
            "cash": 50_000.0, "history": 20, "max_signal_age": 86_400.0, "stop_loss": 0.2,
        }  # fmt: skip

    def run(self) -> None:
        """One trial: some faults, some kills, and at last a run that ends."""
        for kind, endpoint in self.dice.sample(FAULTS, self.dice.choice((0, 1, 1, 2))):
            self.practice.fault(kind, endpoint, times=self.dice.choice((1, 1, 2)))
        for _ in range(self.dice.choice((1, 1, 1, 2, 3))):
            # A little beyond the longest step seen: what is drawn there is a run that is not killed.
            self.ends[self.start(self.dice.randint(1, max(self.points, 40) + 5))] += 1
        self.practice.clear_faults()
        for _ in range(20):
            end = self.start(0)
            if end == "ended":
                return
            assert end == "failed", end
            time.sleep(0.2)
        pytest.fail("twenty runs without a kill or a fault did not bring the session to rest")

    def start(self, fatal: int) -> str:
        """Run a step to its end, or to the point where it dies; tell which."""
        context = multiprocessing.get_context("forkserver")
        told = context.Queue()
        process = context.Process(target=live, args=(self.environment, self.parameters, fatal, told))
        process.start()
        process.join(120)
        assert process.exitcode is not None, "a step did not end within two minutes"
        if process.exitcode == -9:
            return "killed"
        assert process.exitcode == 0
        failures, passed = told.get(timeout=10)
        self.points = max(self.points, passed)
        return "failed" if failures else "ended"


@dataclass(frozen=True)
class Books:
    """What the exchange knows: its orders by client id, its fills by symbol, its balances."""

    orders: dict[str, list[str]]
    fills: dict[str, dict[str, tuple[str, Decimal, Decimal, Decimal]]]
    balances: dict[str, Decimal]


def exchange_books(practice: Practice) -> Books:
    engine = practice.exchange.engine
    orders: dict[str, list[str]] = {}
    for order in list(engine.orders.values()):
        orders.setdefault(order.request.client_id or "", []).append(order.id)
    fills: dict[str, dict[str, tuple[str, Decimal, Decimal, Decimal]]] = {}
    for fill in list(engine.fills):
        fills.setdefault(fill.symbol, {})[fill.id] = (fill.side, fill.price, fill.amount, fill.fee)
    engine.check()
    return Books(orders, fills, {currency: balance.total for currency, balance in engine.balances().items()})


def check(lake: Lake, trials: Trials, opening: dict[str, Decimal]) -> None:
    """Hold the ledger against the exchange: no order twice, no fill lost or doubled, money where it should be."""
    books = trials.practice.on_loop(exchange_books, trials.practice)
    with connect(lake) as connection:
        orders = connection.execute(
            "SELECT symbol, decision_ts, leg, order_id, client_id, event FROM orders"
        ).fetchall()
        fills = connection.execute(
            "SELECT symbol, fill_id, side, price_exact, amount_exact, fee_exact FROM fills"
        ).fetchall()
        gaps = connection.execute(
            """SELECT symbol, count(*), count(DISTINCT ts), date_diff('minute', min(ts), max(ts)) + 1
            FROM decisions GROUP BY symbol"""
        ).fetchall()
    for client_id, made in books.orders.items():
        assert len(made) == 1, f"{len(made)} orders under one client id"
        assert client_id in {row[4] for row in orders}, "the exchange has an order that the ledger does not know"
    decisions = Counter(
        (symbol, decision, leg)
        for symbol, decision, leg, client_id in {(row[0], row[1], row[2], row[4]) for row in orders}
        if leg != "exit"
        and client_id in books.orders  # protective stops are replaced, and have no decision of their own
    )
    assert max(decisions.values(), default=0) <= 1, "a decision made two orders"
    for symbol in trials.symbols:
        known = {row[1]: (row[2], *map(Decimal, row[3:])) for row in fills if row[0] == symbol}
        assert len(known) == sum(row[0] == symbol for row in fills), "a fill is counted twice"
        assert known == books.fills.get(symbol, {})
        moved = sum((a if side == "buy" else -a for side, _, a, _ in known.values()), Decimal(0))
        base = symbol.partition("/")[0]
        assert books.balances[base] == opening[base] + moved
    paid = sum(
        (price * amount * (-1 if side == "buy" else 1) - fee for known in books.fills.values()
         for side, price, amount, fee in known.values()), Decimal(0)
    )  # fmt: skip
    assert books.balances["USD"] == opening["USD"] + paid
    assert len(gaps) == len(trials.symbols)
    assert all(rows == distinct == due for _, rows, distinct, due in gaps), "a candle without its decision, or with two"


@pytest.mark.parametrize(
    ("seed", "count"),
    [
        pytest.param(11, 4, id="some"),
        *(
            pytest.param(seed, 50, marks=[pytest.mark.crash, pytest.mark.timeout(3600)], id=f"seed {seed}")
            for seed in range(1, 11)
        ),
    ],
)
def test_killed_anywhere_no_decision_makes_two_orders_and_no_fill_is_lost(
    seed: int, count: int, tmp_path: Path
) -> None:
    opening = {"USD": Decimal(1_000_000), "BTC": Decimal(10), "ETH": Decimal(100)}
    multiprocessing.get_context("forkserver").set_forkserver_preload(["tests.crash.live_victim"])
    with practice_exchange(symbols=SYMBOLS, balances=opening, paused=False, speed=SPEED, start=None) as practice:
        environment = {
            "JARVIS_LAKE": str(tmp_path / "lake"),
            "JARVIS_STATE": str(tmp_path / "state"),
            "JARVIS_EXCHANGE_URLS": f'{{"practice": "{practice.url}"}}',
        }
        trials = Trials(practice, environment, random.Random(seed), SYMBOLS if seed < 2 else SYMBOLS[:1])
        lake = Lake(tmp_path / "lake")
        assert trials.start(0) == "ended"
        for _ in range(count):
            trials.run()
            check(lake, trials, opening)
    assert trials.ends["killed"] >= count // 2, trials.ends
