"""Small sessions for the tests of trading: random candles and targets, and a session on paper over them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from data.errors import OutcomeUnknown, Refused, TryLater
from data.markets import Market
from data.writer import Lake
from tasks.engine.rules import make_limits, make_rules
from tasks.exchange.orders import Balance, Fill, Order, OrderRequest
from tasks.exchange.rules import MarketRules
from tasks.exchange.trading import Quote
from tasks.trade import execute_trade_strategy, resume
from tasks.trade.broker import Broker
from tasks.trade.decision import Decision
from tasks.trade.desk import Desk, Options, Seen, SessionRun
from tasks.trade.paper import PaperBroker, RecordedPrices, market_rules

SYMBOL = "BTC/USD"
START = pd.Timestamp("2024-01-01", tz="UTC").as_unit("us")
STEP = pd.Timedelta("1h")
SEEN = Seen("f" * 64, 3)
COSTS = {"fee": 0.004, "slippage": 0.0005}
SIZING = {"fraction": 1.0, "amount": None, "amount_step": 1e-8, "min_amount": 5e-5, "min_cost": 0.5}
STOPS = {"stop_loss": None, "take_profit": None, "trailing_stop": None}
MARKET = Market("kraken", SYMBOL, "BTC", "USD", amount_step=1e-8, price_step=0.1, min_amount=5e-5, min_cost=0.5)


def a_run(**changes: Any) -> SessionRun:
    """A session on paper; rules and limits by the names of `make_rules` and `make_limits`, the rest by its fields."""
    rules = {**COSTS, **SIZING, **STOPS}
    rules |= {name: changes.pop(name) for name in list(changes) if name in rules}
    fields = set(SessionRun.__dataclass_fields__)
    limits = {name: changes.pop(name) for name in list(changes) if name not in fields}
    run = SessionRun(
        "a-session", "paper", "kraken", SYMBOL, "1h", 10_000.0, make_rules(**rules),
        make_limits(**{"long_only": True, **limits}), Options(), START, START, "0.1", None,
    )  # fmt: skip
    return replace(run, **changes)


def some_candles(count: int, seed: int = 1, gaps: bool = False) -> pd.DataFrame:
    """A random walk of hourly candles."""
    dice = np.random.default_rng(seed)
    closes = 20_000 * np.exp(np.cumsum(dice.normal(0, 0.02, count)))
    opens = np.concatenate(([20_000.0], closes[:-1])) * (1 + dice.normal(0, 0.002, count))
    highs = np.maximum(opens, closes) * (1 + np.abs(dice.normal(0, 0.01, count)))
    lows = np.minimum(opens, closes) * (1 - np.abs(dice.normal(0, 0.01, count)))
    steps = np.where(dice.random(count) < 0.1, dice.integers(2, 30, count), 1) if gaps else np.ones(count, int)
    ts = START + pd.to_timedelta(np.concatenate(([0], np.cumsum(steps)[:-1])), unit="h")
    prices = np.round(np.stack([opens, highs, lows, closes]), 1)
    frame = pd.DataFrame(
        dict(zip(("open", "high", "low", "close"), prices, strict=True)),
        index=pd.DatetimeIndex(ts, name="ts").as_unit("us"),
    )
    return frame.assign(volume=1.0)


def some_targets(count: int, seed: int = 1) -> np.ndarray:
    """Targets that hold for some candles, with a warm-up without any."""
    dice = np.random.default_rng(seed + 1000)
    levels = dice.choice([0.0, 0.5, 1.0, 1.0], count)
    target = levels[np.cumsum(dice.random(count) < 0.3)]
    target[: count // 10] = np.nan
    return target


def signals_of(candles: pd.DataFrame, target: Any) -> pd.DataFrame:
    """A signals frame with one indicator."""
    signal = pd.Series(np.asarray(target, dtype=float), candles.index)
    change = signal - signal.ffill().shift(1).fillna(0.0)
    return pd.DataFrame({"close": candles["close"], "fast": 1.5, "signal": signal, "entry_exit": change})


def step(
    lake: Lake, run: SessionRun, broker: Broker, candles: pd.DataFrame, target: Any
) -> tuple[Desk, list[Decision]]:
    """One step of a session over all the candles given."""
    desk = resume(lake, run, broker)
    return desk, execute_trade_strategy(desk, candles, signals_of(candles, target), SEEN)


def paper(run: SessionRun) -> tuple[RecordedPrices, PaperBroker]:
    """A broker on paper and the prices that it sees."""
    prices = RecordedPrices()
    return prices, PaperBroker(prices, market_rules(MARKET, run.rules.fee), run.rules.slippage)


def replay(
    lake: Lake, run: SessionRun, candles: pd.DataFrame, target: Any, broker: PaperBroker, prices: RecordedPrices
) -> Desk:
    """Feed candles one by one, each decided at the open of the next, and the last at its own close."""
    opens = [*candles["open"].iloc[1:], candles["close"].iloc[-1]]
    times = [*candles.index[1:], candles.index[-1] + STEP]
    for count, (open_, ts) in enumerate(zip(opens, times, strict=True), 1):
        prices.at(ts.as_unit("ns").value, open_)
        desk, _ = step(lake, run, broker, candles.iloc[:count], target[:count])
    return desk


class Killed(BaseException):
    """The end of the process."""


class ScriptedBroker:
    """A small exchange that fills market orders at once, and does to each order that is sent what `fates` says.

    A fate is ok, refused, later, lost_before or lost_after; when there is none left it is ok. What it was asked is in
    `asked`; at the call of the number `dies_at` the process ends.
    """

    name = "scripted"
    simulates = False
    holds_stops = False

    def __init__(self, fates: Sequence[str] = (), price: str = "20000") -> None:
        self.fates = list(fates)
        self.time = (START + STEP).value
        self.last = Decimal(price)
        self.market = market_rules(MARKET, 0.004)
        self.orders: dict[str, Order] = {}
        self.asked: list[str] = []
        self.dies_at = -1
        self.fee_currency = "USD"
        self.knows = True
        self.strangers: list[Order] = []

    def now(self) -> int:
        return self.time

    def rules(self, symbol: str) -> MarketRules:
        return self.market

    def deadline(self, seconds: float) -> int | None:
        return self.time + int(seconds * 1e9) + 123

    def prepare(self, request: OrderRequest) -> OrderRequest:
        return request

    def price(self, symbol: str) -> Quote:
        self._asked("price")
        return Quote(self.last, self.last - 1, self.last + 1, self.time, self.time)

    def submit(self, request: OrderRequest) -> Order:
        fate = self.fates.pop(0) if self.fates else "ok"
        self._asked("submit")
        if fate == "refused":
            raise Refused("EOrder:Insufficient funds")
        if fate == "later":
            raise TryLater("EAPI:Rate limit exceeded")
        if fate == "lost_before":
            raise OutcomeUnknown("the answer was lost")
        order = Order(f"O{len(self.orders) + 1}", request, "open", self.time)
        self.orders[order.id] = order
        if request.type == "market":
            self.fill(order.id, request.amount)
        if fate == "lost_after":
            raise OutcomeUnknown("the answer was lost")
        self._asked("submitted")
        return replace(order, fills=[])

    def fill(self, id_: str, amount: Decimal, price: Decimal | None = None) -> None:
        order = self.orders[id_]
        price = price or order.request.price or self.last
        fee = (price if self.fee_currency == "USD" else 1) * amount * Decimal("0.004")
        number = f"T{sum(len(each.fills) for each in self.orders.values()) + 1}"
        side, at = order.request.side, self.time + 1_000 * len(order.fills)
        order.fills.append(
            Fill(number, id_, SYMBOL, side, at, price, amount, price * amount, fee, self.fee_currency, False)
        )
        order.filled += amount
        if order.filled == order.request.amount:
            order.status = "closed"

    def resolve(self, request: OrderRequest, sent: int) -> Order | None:
        self._asked("resolve")
        if not self.knows:
            raise OutcomeUnknown("it was not found, and may be there all the same")
        return next((order for order in self.orders.values() if order.request.client_id == request.client_id), None)

    def order(self, order_id: str, symbol: str) -> Order:
        self._asked("order")
        return replace(self.orders[order_id], fills=[])

    def fills_of(self, order: Order) -> list[Fill]:
        self._asked("fills_of")
        return list(self.orders[order.id].fills)

    def cancel(self, order_id: str, symbol: str) -> None:
        self._asked("cancel")
        order = self.orders[order_id]
        if order.status != "open":
            raise Refused("EOrder:Unknown order")
        order.status, order.reason = "cancelled", "User requested"

    def open_orders(self, symbol: str) -> list[Order]:
        return [*(order for order in self.orders.values() if order.status == "open"), *self.strangers]

    def balance(self) -> dict[str, Balance]:
        return {}

    def cancel_all_after(self, seconds: int) -> None:
        raise Refused("it has no dead man's switch")

    def _asked(self, what: str) -> None:
        self.asked.append(what)
        if len(self.asked) - 1 == self.dies_at:
            raise Killed(what)


@contextmanager
def dying(at: int) -> Iterator[list[str]]:
    """End the process before the durable write of this number; yields the tables written to."""
    written: list[str] = []
    commit = Lake._commit

    def counted(lake: Lake, declared: Any, *rest: Any) -> bool:
        written.append(declared.name)
        if len(written) - 1 == at:
            raise Killed(declared.name)
        return commit(lake, declared, *rest)

    Lake._commit = counted  # type: ignore[method-assign]
    try:
        yield written
    finally:
        Lake._commit = commit  # type: ignore[method-assign]
