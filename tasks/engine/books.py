"""One market's account, driven candle by candle by the compiled rules of the backtest: what live trading keeps."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from tasks.engine import codes, frames, inputs
from tasks.engine.codes import Log, with_room
from tasks.engine.inputs import Bars, Ints
from tasks.engine.rules import Limits, Rules, refuse_beyond


class Planned(NamedTuple):
    """An order that is to be made, or that is refused."""

    side: str
    """Buy or sell."""
    leg: str
    """Close, open or exit, as in an order's id."""
    type: str
    """Market, stop or limit."""
    amount: float
    """Base currency."""
    trigger: float
    """Stop or limit price, quote currency; NaN: none."""
    market: float
    """Price before slippage."""
    price: float
    """Price to be expected, slippage in it."""
    fee: float
    """Fee to be expected, quote currency."""
    position: float
    """What is held when all of it is filled, base currency."""
    reason: str
    """What it is for, a word of `codes.REASONS`."""
    refusal: str
    """Empty when it can be placed, else why not, in words; so the next, in one word of `codes.REFUSALS`."""
    word: str


class Mark(NamedTuple):
    """The account at a close: quote currency, base currency, quote currency, and a fraction of 0 or less."""

    cash: float
    position: float
    equity: float
    drawdown: float


class Levels(NamedTuple):
    """Prices at which a position is left, quote currency; NaN where there is none."""

    stop: float
    reason: str
    """Of the stop: stop_loss or trailing_stop, whichever is the tighter; empty: none."""
    goal: float
    """The take-profit."""


class Books:
    """The account of one market. Instants are microseconds since 1970 UTC, those of candles their openings.

    The candle in which fills, orders and exits are taken to lie is the one after those that were closed. Raises
    BadInput for terms that only a backtest has.
    """

    def __init__(self, cash: float, rules: Rules, limits: Limits, timeframe: timedelta) -> None:
        from tasks.engine import kernel

        refuse_beyond(rules, limits, "a session's account")
        self._kernel = kernel
        self._rules, self._limits = rules, limits
        self._account = kernel.new_account(cash, rules, limits, timeframe // inputs.MICROSECOND)
        self._account["limited"] = 1
        self._fills: Log = np.zeros(16, codes.ORDER)
        self._trades: Log = np.zeros(16, codes.TRADE)
        self._order_ids: list[str] = []
        self._instants: list[int] = []
        self._closed: list[Ints] = []
        self._taken = -1
        self._reasons = frames.reasons(rules, limits)

    @property
    def cash(self) -> float:
        """Quote currency."""
        return float(self._account["cash"][0])

    @property
    def position(self) -> float:
        """Base currency."""
        return float(self._account["position"][0])

    @property
    def equity(self) -> float:
        """Quote currency, at the last close."""
        return float(self._account["equity"][0])

    @property
    def target(self) -> float:
        """The last one acted on; 0 at the start."""
        return float(self._account["target"][0])

    @property
    def decision(self) -> int:
        """The candle whose decision made or last changed the position: the one that its exit goes back to."""
        return int(self._account["decision"][0])

    @property
    def pending(self) -> bool:
        """Whether something is to be done at the next price."""
        return bool(self._account["pending"][0])

    @property
    def reason(self) -> str:
        """Why; empty when nothing is."""
        return codes.REASONS[self._account["reason"][0]] if self.pending else ""

    def close_candles(
        self,
        ts: npt.ArrayLike,
        opens: npt.ArrayLike,
        highs: npt.ArrayLike,
        lows: npt.ArrayLike,
        closes: npt.ArrayLike,
    ) -> list[Mark]:
        """Close candles, in which no more is traded than was booked already, and value the account at each.

        Raises BadInput for prices that cannot be.
        """
        instants = np.array(ts, np.int64)
        high, low, close = (np.array(prices, np.float64) for prices in (highs, lows, closes))
        inputs.check_prices(Bars(_index(instants), np.array(opens, np.float64), high, low, close))
        if not len(close):
            return []
        if self._taken >= 0:
            self._kernel.note_adverse(self._trades, self._taken, high[0], low[0])
            self._taken = -1
        equity, drawdown = np.empty(len(close)), np.empty(len(close))
        self._kernel.close_bars(self._account, instants, high, low, close, self._limits, equity, drawdown)
        self._closed.append(instants)
        cash, position = self.cash, self.position
        return [Mark(cash, position, *at) for at in zip(equity.tolist(), drawdown.tolist(), strict=True)]

    def decide(self, goal: float) -> bool:
        """Take a target, NaN for no signal, as decided at the last close; tell whether something is pending."""
        self._kernel.decide_now(self._account, goal, self._limits)
        return self.pending

    def plan(self, market: float, at: int, *, age: float | None = None) -> Planned | None:
        """Return what is to be done now, at this price of the market; None: nothing. It changes nothing.

        `age` are the seconds that the signal has waited, by default those from the last close until `at`. Where the
        position changes side this is the order that closes it, and once that is filled the one that opens the other.
        """
        if not self.pending:
            return None
        order = np.zeros(1, codes.ORDER)
        waited = math.nan if age is None else age
        why = self._kernel.plan(self._account, order, at, waited, market, self._rules, self._limits)
        return self._planned(order, why)

    def protection(self, open_: float, high: float, low: float) -> Planned | None:
        """Return the exit that a candle of this range brings, its stop before its take-profit; None: none."""
        if self.position == 0.0 or self._account["dust"][0]:
            return None
        order = np.zeros(1, codes.ORDER)
        why = self._kernel.plan_exit(self._account, order, self._trades, open_, high, low, self._rules)
        return self._planned(order, why)

    def levels(self) -> Levels:
        """Return at which prices the position is left in the next candle."""
        if self.position == 0.0 or self._account["dust"][0]:
            return Levels(math.nan, "", math.nan)
        stop, reason, goal = self._kernel.levels_now(self._account, self._trades, self._rules)
        word = codes.REASONS[reason] if math.isfinite(stop) else ""
        return Levels(_finite(stop), word, _finite(goal))

    def settle(self, target: float | None = None) -> None:
        """What was pending is over: its target, or the one given, counts as acted on."""
        account = self._account[0]
        if target is not None:
            account["goal"] = target
        account["target"], account["pending"] = account["goal"], 0

    def refuse(self, planned: Planned) -> None:
        """An order was refused: what was pending for it is over, and an exit is not tried before the next fill."""
        if planned.reason == self.reason:
            self.settle()
        if planned.leg == "exit":
            self._account["dust"] = 1

    def place(self, at: int) -> None:
        """Count an order that was placed, for its UTC day."""
        self._kernel.count_now(self._account, at)

    def fill(
        self,
        *,
        at: int,
        decision: int,
        order_id: str,
        leg: str,
        type: str,  # noqa: A002 - the word for it in the lake
        reason: str,
        side: str,
        price: float,
        amount: float,
        fee: float,
        position: float,
    ) -> int:
        """Take in a fill, the whole of an order or a part, after which `position` is held; return its trade's number.

        `decision` is the order's candle. The fee is in quote currency; where one in base currency was kept back,
        `amount` is what is left, and the fee its worth at the price.
        """
        used = len(self._order_ids)
        self._fills, self._trades = with_room(self._fills, used), with_room(self._trades, self._account["trades"][0])
        row = self._fills[used]
        row["bar"], row["decision"] = self._account["bar"][0], decision
        row["leg"], row["kind"] = codes.LEGS.index(leg), codes.KINDS.index(type)
        row["reason"], row["side"] = codes.REASONS.index(reason), 1 if side == "buy" else -1
        row["price"], row["amount"], row["fee"], row["position"] = price, amount, fee, position
        self._kernel.take_next(self._account, self._fills, self._trades, self._limits)
        self._order_ids.append(order_id)
        self._instants.append(at)
        trade = int(row["trade"])
        if (type, reason, position) == ("limit", "take_profit", 0.0):
            self._taken = trade - 1
        return trade

    def trades(
        self, symbol: str, timeframe: timedelta, last_close: float, gap_after: npt.ArrayLike | None = None
    ) -> pd.DataFrame:
        """Return the round trips in the columns of the backtest's, the open one marked at the last close.

        A fill's instant is the opening of its candle. `gap_after` are positions of closed candles, as for `simulate`.
        """
        used = len(self._order_ids)
        orders, trades = self._fills[:used].copy(), self._trades[: self._account["trades"][0]].copy()
        if self.position != 0.0:
            self._kernel.mark_now(self._account, trades, last_close)
        ts = np.concatenate([np.empty(0, np.int64), *self._closed])
        # In the backtest's log a decision is the number of its candle.
        orders["decision"] = np.searchsorted(ts, orders["decision"])
        opened = _index(_openings(np.array(self._instants, np.int64), ts, timeframe // inputs.MICROSECOND))
        gaps = inputs.find_gaps(_index(ts), gap_after)
        ids = pa.array(self._order_ids, pa.string())
        return frames.trade_frame(trades, orders, ids, opened, len(ts) - 1, gaps, symbol)

    def _planned(self, order: Log, why: int) -> Planned | None:
        if why == self._kernel.NOTHING:
            return None
        row = order[0]
        return Planned(
            side=frames.SIDES[int(row["side"] > 0)],
            leg=codes.LEGS[row["leg"]],
            type=codes.KINDS[row["kind"]],
            **{name: float(row[name]) for name in ("amount", "trigger", "market", "price", "fee", "position")},
            reason=codes.REASONS[row["reason"]],
            refusal=self._reasons[why] if why else "",
            word=codes.REFUSALS[why - len(codes.REASONS)] if why else "",
        )


def _finite(price: float) -> float:
    return price if math.isfinite(price) else math.nan


def _index(instants: Ints) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(instants.view("M8[us]")).tz_localize("UTC")


def _openings(instants: Ints, ts: Ints, length: int) -> Ints:
    """Return the openings of the candles in which the instants lie, of which the last may not be closed yet."""
    before = np.searchsorted(ts, instants, side="right") - 1
    known = np.where(before < 0, 0, ts[before]) if len(ts) else np.zeros_like(instants)
    return known + (instants - known) // length * length
