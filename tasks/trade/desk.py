"""The desk of a session: its run, its ledger, its broker, and its account as of the last close."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Literal, NamedTuple

import pandas as pd

from data.errors import TryLater
from data.timeframe import parse_timeframe
from data.writer import Lake
from tasks.engine.books import Books
from tasks.engine.rules import Limits, Rules
from tasks.exchange.orders import Fill, Side
from tasks.exchange.units import MINUTE
from tasks.trade.broker import Broker
from tasks.trade.fold import Fold
from tasks.trade.intent import Intent, Leg
from tasks.trade.ledger import Ledger, LedgerFill
from tasks.trade.paper import PaperBroker

_DAY = 24 * 60 * MINUTE

_NOISE = Decimal("1e-9")
"""Of a count of steps: what is nearer than this to a whole number is that number."""


@dataclass(frozen=True)
class Options:
    """How orders are placed; `limit_timeout` in seconds of the exchange."""

    order_type: Literal["market", "limit"] = "market"
    limit_timeout: float = 30.0
    on_timeout: Literal["cancel", "market"] = "cancel"
    protective_stops: bool = True
    dead_man: bool = True


@dataclass(frozen=True)
class SessionRun:
    """What a session of one symbol is."""

    run_id: str
    mode: Literal["paper", "live"]
    exchange: str
    symbol: str
    timeframe: str
    cash: float
    """Quote currency at the start."""
    rules: Rules
    limits: Limits
    options: Options
    start: pd.Timestamp
    """The first candle that is decided, UTC."""
    history_start: pd.Timestamp
    """The first candle that the strategy sees, UTC."""
    code_version: str = ""
    flow_run_id: str | None = None

    @property
    def step(self) -> timedelta:
        """The length of a candle."""
        return parse_timeframe(self.timeframe)


class Seen(NamedTuple):
    """The candles that a decision saw: their hash, and the version of the table that they were read from."""

    fingerprint: str
    candles_version: int


class Note(NamedTuple):
    """What a person should hear of."""

    kind: str
    """fill, refused, failure, limit, stale_data, halted, unknown_order, reconciliation or foreign_order."""
    text: str


class Desk:
    """One symbol of a session, for one step or for those of a stream."""

    def __init__(self, lake: Lake, run: SessionRun, broker: Broker) -> None:
        self.lake = lake
        self.run = run
        self.broker = broker
        self.ledger = Ledger(lake, run.run_id, run.symbol)
        self.market = broker.rules(run.symbol)
        self.blocked = ""
        """Why nothing may be traded; empty when it may."""
        self.blocked_by = ""
        """The same in one word: unknown_order or reconciliation."""
        self.notes: list[Note] = []
        self.fold: Fold | None = None
        """The account, once it has been folded over candles."""

    def begin(self) -> None:
        """Begin a step: forget what the one before told and folded; the ledger is as the lake has it."""
        self.notes, self.fold = [], None
        if self.paper is not None:
            cash = float(self.ledger.cash(self.run.cash))
            self.paper.restore(cash, self.ledger.position, self.ledger.orders.values())

    @property
    def paper(self) -> PaperBroker | None:
        """The broker, if it simulates."""
        return self.broker if isinstance(self.broker, PaperBroker) else None

    @property
    def books(self) -> Books:
        """The account as it stands. Raises RuntimeError before it was folded."""
        if self.fold is None:
            raise RuntimeError("the account is folded by execute_trade_strategy, which was not called yet")
        return self.fold.books

    def now(self) -> int:
        """Return the exchange's time (ns); where it cannot be told now, that of the last order."""
        try:
            return self.broker.now()
        except TryLater:
            return max((order.intended for order in self.ledger.orders.values()), default=0)

    def block(self, word: str, text: str) -> None:
        """Trade nothing until this is cleared up; the first reason stands."""
        if not self.blocked:
            self.blocked_by, self.blocked = word, text
        self.tell(word, text)

    def unblock(self) -> None:
        """Take the block away: what caused it is looked at anew."""
        self.blocked = self.blocked_by = ""

    def tell(self, kind: str, text: str) -> None:
        """Note something that a person should hear of."""
        self.notes.append(Note(kind, f"{self.run.symbol}: {text}"))

    def take_in(self, intent: Intent, fills: Sequence[Fill]) -> list[LedgerFill]:
        """Write down the new fills of an order and book them."""
        taken = self.ledger.take_in(intent, fills)
        for fill in taken:
            if self.fold is not None:
                self.fold.take(fill)
            traded = f"{fill.side} {fill.amount_float:.10g} at {fill.price_float:.10g}"
            self.tell("fill", f"{traded}, fee {fill.fee_float:.6g} {fill.fee_currency} ({fill.reason})")
        return taken

    def exact(self, value: float) -> Decimal:
        """Return a float as the shortest decimal that means it."""
        return Decimal(repr(float(value)))

    def in_steps(self, amount: float) -> Decimal:
        """Return an amount of the engine as the exchange takes it: whole steps of the market, never more than that."""
        count = self.exact(amount) / self.market.amount_step
        nearest = count.to_integral_value(ROUND_HALF_EVEN)
        whole = nearest if abs(count - nearest) <= _NOISE * max(nearest, Decimal(1)) else count // 1
        return whole * self.market.amount_step

    def is_tradable(self, amount: Decimal, price: Decimal) -> bool:
        """Tell whether an order of this amount is large enough for the market."""
        return amount > 0 and amount >= self.market.min_amount and amount * price >= self.market.min_cost

    def has_strayed(self, candle: pd.Timestamp, price: float) -> bool:
        """Tell whether a price is further from a decided candle's close than an entry may be."""
        close = next((each.close for each in reversed(self.ledger.decisions) if each.ts == candle), None)
        return close is not None and abs(price / close - 1.0) > self.run.limits.max_deviation

    def has_used_up(self, at: int) -> bool:
        """Tell whether the UTC day of an instant (ns) has had its orders: as in the engine, those that were filled, in
        the day of their first fill."""
        begun: dict[str, int] = {}
        for fill in self.ledger.fills:
            begun.setdefault(fill.order_id, fill.at // _DAY)
        return list(begun.values()).count(at // _DAY) >= self.run.limits.max_orders_a_day

    def wish(self, decision: pd.Timestamp, side: Side, leg: Leg, amount: Decimal, reason: str) -> Intent:
        """Return a market order that is wanted, as the next attempt of its leg."""
        attempt = 1 + max((order.attempt for order in self.ledger.orders_of(decision, leg)), default=0)
        return Intent(
            self.run.run_id,
            self.run.symbol,
            decision,
            side,
            leg,
            "market",
            amount,
            None,
            reason,
            attempt,
        )

    def fold_over(self, candles: pd.DataFrame) -> Fold:
        """Fold the ledger over the candles of the session, up to the last one that was decided."""
        self.fold = Fold(self.run, self.ledger, candles.loc[self.run.start :])
        return self.fold

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return equity, trades and fills, as a backtest has them, up to the last close that was folded."""
        fold = self.fold
        if fold is None:
            return {}
        return {"equity": fold.equity(), "trades": fold.trades(), "fills": self.ledger.fills_frame()}

    def record_trades(self) -> None:
        """Write the round trips that have changed since they were last written."""
        if self.fold is not None and self.ledger.has_moved:
            self.ledger.record_trades(self.fold.trades())


def open_desk(lake: Lake, run: SessionRun, broker: Broker) -> Desk:
    """Open the ledger of a session and, on paper, give the broker what the ledger says that it holds.

    Raises LakeError where the ledger cannot be read, ExchangeError where the market is not known.
    """
    desk = Desk(lake, run, broker)
    desk.begin()
    return desk
