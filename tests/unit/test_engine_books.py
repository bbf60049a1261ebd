"""The engine driven candle by candle: with the fills of a backtest, its books are the backtest's, bit for bit."""

from __future__ import annotations

import math
import time
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings

from data.errors import BadInput
from tasks.backtest import Simulation, simulate
from tasks.engine.books import Books, Levels, Mark, Planned
from tasks.engine.rules import make_limits, make_rules
from tests.reference.simulator import Bar
from tests.unit.random_markets import candles_of, limit_sets, markets, rule_sets, times

NAN = math.nan
MINUTE = timedelta(minutes=1)
US = 60_000_000
"""A minute in microseconds."""

RULES = {
    "fee": 0.0,
    "slippage": 0.0,
    "fraction": 1.0,
    **dict.fromkeys(("amount", "stop_loss", "take_profit", "trailing_stop", "amount_step", "min_amount", "min_cost")),
}


class Session:
    """A session that fills its orders as a backtest does: at the open of the next candle, at the price planned."""

    def __init__(
        self,
        candles: pd.DataFrame,
        target: list[float],
        rules: dict[str, Any],
        limits: dict[str, Any],
        length: timedelta,
    ) -> None:
        self.candles, self.target = candles, target
        self.cash = rules["cash"]
        given = {name: value for name, value in rules.items() if name != "cash"}
        self.books = Books(self.cash, make_rules(**{**RULES, **given}), make_limits(**limits), length)
        self.ts = candles.index.asi8
        self.marks: list[tuple[float, ...]] = []
        self.orders: list[tuple[Any, ...]] = []
        self.fills: list[tuple[Any, ...]] = []

    def run(self) -> Session:
        opens, highs, lows, closes = (self.candles[name].to_numpy() for name in ("open", "high", "low", "close"))
        for bar in range(len(self.ts)):
            if bar > 0:
                self.act(bar, bar - 1, opens[bar])
            planned = self.books.protection(opens[bar], highs[bar], lows[bar])
            if planned is not None:
                self.carry_out(planned, bar, self.books.decision)
            one = slice(bar, bar + 1)
            self.marks += self.books.close_candles(self.ts[one], opens[one], highs[one], lows[one], closes[one])
            self.books.decide(self.target[bar])
        return self

    def act(self, bar: int, decided: int, price: float) -> None:
        while (planned := self.books.plan(price, int(self.ts[bar]))) is not None:
            done = self.carry_out(planned, bar, int(self.ts[decided]))
            if not done or planned.leg != "close":
                break
        self.books.settle()

    def carry_out(self, planned: Planned, bar: int, decision: int) -> bool:
        at = int(self.ts[bar])
        order_id = name_of(decision, planned)
        self.orders.append(row_of(planned, "rejected" if planned.refusal else "filled", order_id, at))
        if planned.refusal:
            self.books.refuse(planned)
            return False
        self.books.place(at)
        trade = self.take(planned, at, decision)
        self.fills.append(
            (order_id, at, planned.side, planned.price, planned.amount, planned.fee, planned.reason, trade)
        )
        return True

    def take(self, planned: Planned, at: int, decision: int) -> int:
        return self.books.fill(
            at=at,
            decision=decision,
            order_id=name_of(decision, planned),
            leg=planned.leg,
            type=planned.type,
            reason=planned.reason,
            side=planned.side,
            price=planned.price,
            amount=planned.amount,
            fee=planned.fee,
            position=planned.position,
        )

    def intend(self) -> list[tuple[Any, ...]]:
        """Say what the last decision asks for, at the last close: orders for as long as their like are filled."""
        at, close = int(self.ts[-1]), float(self.candles["close"].iloc[-1])
        rows = []
        while (planned := self.books.plan(close, at)) is not None:
            rows.append(row_of(planned, "intent", name_of(at, planned), at))
            if planned.leg != "close":
                break
            self.take(planned, at, at)
        return rows


def name_of(decision: int, planned: Planned) -> str:
    return f"{pd.Timestamp(decision, unit='us'):%Y-%m-%dT%H:%M:%SZ}-{planned.side}-{planned.leg}"


def row_of(planned: Planned, event: str, order_id: str, at: int) -> tuple[Any, ...]:
    trigger = None if math.isnan(planned.trigger) else planned.trigger
    reason = planned.refusal if event == "rejected" else planned.reason
    return order_id, event, at, planned.side, planned.type, planned.amount, trigger, reason


def orders_of(result: Simulation) -> list[tuple[Any, ...]]:
    orders = result.orders
    triggers = [None if math.isnan(price) else price for price in orders.price]
    at = pd.DatetimeIndex(orders.ts).asi8
    return list(
        zip(
            orders.order_id,
            orders.event,
            at,
            orders.side,
            orders.type,
            orders.amount,
            triggers,
            orders.reason,
            strict=True,
        )
    )


def fills_of(result: Simulation) -> list[tuple[Any, ...]]:
    fills = result.fills
    names = ("order_id", "side", "price", "amount", "fee", "reason", "trade_id")
    columns = [fills[name] for name in names]
    columns.insert(1, pd.Series(pd.DatetimeIndex(fills.ts).asi8))
    return list(zip(*columns, strict=True))


# Bit for bit


@settings(max_examples=120)
@given(markets(), rule_sets(), limit_sets(), times())
def test_a_session_filled_like_a_backtest_is_that_backtest(
    market: tuple[list[Bar], list[float]], rules: dict[str, Any], limits: dict[str, Any], hours: list[int]
) -> None:
    bars, target = market
    candles, length = candles_of(bars, hours), timedelta(hours=hours[0])
    result = simulate(candles, target, **rules, **limits, timeframe=length, symbol="BTC/USD")
    session = Session(candles, target, rules, limits, length).run()

    assert session.fills == fills_of(result)
    names = ["cash", "position", "equity", "drawdown"]
    assert session.marks == list(result.equity[names].itertuples(index=False, name=None))
    trades = session.books.trades("BTC/USD", length, bars[-1].close)
    pd.testing.assert_frame_equal(trades, result.trades, check_exact=True)
    assert session.orders + session.intend() == orders_of(result)


@settings(max_examples=40)
@given(markets(), rule_sets(), limit_sets(), times())
def test_planning_changes_nothing(
    market: tuple[list[Bar], list[float]], rules: dict[str, Any], limits: dict[str, Any], hours: list[int]
) -> None:
    bars, target = market
    candles, length = candles_of(bars, hours), timedelta(hours=hours[0])

    class Curious(Session):
        def act(self, bar: int, decided: int, price: float) -> None:
            for guess in (price * 2, price / 2):
                self.books.plan(guess, int(self.ts[bar]), age=0.0)
                self.books.protection(price, price * 2, price / 2)
                self.books.levels()
                self.books.trades("BTC/USD", length, guess)
            super().act(bar, decided, price)

    curious = Curious(candles, target, rules, limits, length).run()
    plain = Session(candles, target, rules, limits, length).run()
    assert (curious.marks, curious.orders, curious.fills) == (plain.marks, plain.orders, plain.fills)


# What a session does that a backtest does not


def books(cash: float = 1000.0, limits: dict[str, Any] | None = None, **rules: Any) -> Books:
    return Books(cash, make_rules(**{**RULES, **rules}), make_limits(**(limits or {})), MINUTE)


def close(account: Books, minute: int, *prices: float) -> list[Mark]:
    """Close candles of one price each, from this minute on."""
    ts = [(minute + number) * US for number in range(len(prices))]
    return account.close_candles(ts, prices, prices, prices, prices)


def fill(account: Books, minute: float, side: str, price: float, amount: float, **more: Any) -> int:
    """Fill an order of a signal; what is held after it is what was held, and the amount."""
    held = account.position + (amount if side == "buy" else -amount)
    leg = "open" if side == "buy" else "close"
    given = {"order_id": f"{int(minute)}-{side}", "leg": leg, "type": "market", "reason": "signal", "fee": 0.0}
    at = int(minute * US)
    decision = (int(minute) - 1) * US
    return account.fill(
        **{"at": at, "decision": decision, "side": side, "price": price, "amount": amount, "position": held}
        | given
        | more
    )


def trades_of(account: Books, last_close: float) -> pd.DataFrame:
    return account.trades("BTC/USD", MINUTE, last_close)


def test_an_order_filled_in_parts_is_one_trade_at_the_average_price() -> None:
    account = books()
    close(account, 0, 10.0)
    account.decide(1.0)
    assert fill(account, 1.0, "buy", 10.0, 30.0, fee=1.0) == 1
    assert fill(account, 1.2, "buy", 13.0, 10.0, fee=0.5) == 1
    account.settle()
    assert (account.position, account.target, account.pending) == (40.0, 1.0, False)
    assert account.cash == 1000 - 300 - 130 - 1.5
    close(account, 1, 12.0, 12.0)
    account.decide(0.0)
    fill(account, 3.1, "sell", 12.0, 25.0)
    close(account, 3, 11.0)
    fill(account, 4.9, "sell", 8.0, 15.0)
    account.settle()
    trade = trades_of(account, 11.0).iloc[0]
    assert (trade.amount, trade.entry_price, trade.exit_price) == (40.0, 10.75, 10.5)
    assert (trade.fees, trade.profit) == (1.5, pytest.approx(-11.5))
    assert (trade.entry_ts, trade.exit_ts) == (
        pd.Timestamp(60, unit="s", tz="UTC"),
        pd.Timestamp(240, unit="s", tz="UTC"),
    )
    assert (trade.bars_held, trade.entry_order_id, trade.exit_order_id) == (3, "1-buy", "4-sell")
    assert account.cash == pytest.approx(1000 + trade.profit)


def test_a_trade_that_was_entered_in_the_candle_that_is_not_closed_yet_is_shown_too() -> None:
    account = books()
    close(account, 0, 10.0)
    fill(account, 1.5, "buy", 10.0, 5.0)
    trade = trades_of(account, 10.0).iloc[0]
    assert (trade.status, trade.bars_held, trade.profit) == ("open", 0, 0.0)
    assert trade.entry_ts == pd.Timestamp(60, unit="s", tz="UTC")


def test_without_trades_the_columns_and_their_types_are_the_same() -> None:
    account = books()
    empty = trades_of(account, 10.0)
    close(account, 0, 10.0)
    fill(account, 1.0, "buy", 10.0, 5.0)
    pd.testing.assert_series_equal(empty.dtypes, trades_of(account, 10.0).dtypes)
    assert empty.empty


def test_the_exact_position_is_the_one_that_was_given() -> None:
    account = books(cash=1.0)
    for part, held in ((0.1, 0.1), (0.1, 0.2), (0.1, 0.3)):
        fill(account, 1.0, "buy", 1.0, part, position=held)
    assert account.position == 0.3  # which 0.1 + 0.1 + 0.1 is not
    fill(account, 1.0, "sell", 1.0, 0.3, position=0.0)
    assert trades_of(account, 1.0).status[0] == "closed"


def test_many_candles_at_once_are_closed_as_they_are_one_by_one() -> None:
    prices = [10.0, 11.0, 7.0, 9.0, 6.0, 12.0]
    together, single = (books(limits={"daily_loss": 0.3}, trailing_stop=0.2) for _ in range(2))
    for account in (together, single):
        close(account, 0, 10.0)
        fill(account, 1.0, "buy", 10.0, 80.0)
    marks = close(together, 1, *prices)
    assert marks == [mark for minute, price in enumerate(prices) for mark in close(single, 1 + minute, price)]
    assert marks[2] == Mark(cash=200.0, position=80.0, equity=760.0, drawdown=760 / 1080 - 1)
    assert together.levels() == single.levels() == Levels(12.0 * 0.8, "trailing_stop", pytest.approx(NAN, nan_ok=True))
    assert (together.pending, together.reason) == (single.pending, single.reason) == (True, "daily_loss")


def test_a_wish_that_nobody_acted_on_gives_way_to_the_next_one() -> None:
    account = books()
    close(account, 0, 10.0)
    assert account.decide(1.0)
    close(account, 1, 10.0)
    assert account.decide(NAN)
    assert account.target == 0.0
    assert not account.decide(0.0)
    assert account.plan(10.0, 2 * US) is None


def test_what_is_settled_with_a_target_of_its_own_counts_as_that() -> None:
    account = books()
    close(account, 0, 10.0)
    account.decide(1.0)
    account.settle(0.5)
    assert (account.target, account.pending, account.reason) == (0.5, False, "")
    close(account, 1, 10.0)
    assert not account.decide(0.5)


def test_a_loss_that_was_not_sold_for_waits_whatever_the_signal_wants() -> None:
    account = books(limits={"daily_loss": 0.1})
    close(account, 0, 10.0)
    fill(account, 1.0, "buy", 10.0, 100.0)
    account.settle(1.0)
    close(account, 1, 8.0)
    assert account.decide(0.5)
    close(account, 2, 12.0)
    assert account.decide(NAN)
    planned = account.plan(12.0, 3 * US)
    assert planned is not None
    assert (planned.side, planned.leg, planned.reason, planned.amount) == ("sell", "exit", "daily_loss", 100.0)
    fill(account, 3.0, "sell", 12.0, 100.0, leg="exit", reason="daily_loss")
    account.settle()
    assert (account.target, account.pending) == (0.5, False)


def test_a_loss_that_was_sold_for_in_part_is_sold_for_again_at_the_next_close() -> None:
    account = books(limits={"max_drawdown": 0.1})
    close(account, 0, 10.0)
    fill(account, 1.0, "buy", 10.0, 100.0)
    account.settle(1.0)
    close(account, 1, 8.0)
    fill(account, 2.0, "sell", 8.0, 60.0, leg="exit", reason="drawdown")
    account.settle()
    assert not account.pending
    close(account, 2, 8.0)
    assert (account.pending, account.reason) == (True, "drawdown")


def test_an_exit_refused_as_too_small_is_not_tried_again_before_the_next_fill() -> None:
    account = books(stop_loss=0.1, min_cost=50.0)
    close(account, 0, 10.0)
    fill(account, 1.0, "buy", 10.0, 5.0)
    planned = account.protection(4.0, 4.0, 4.0)
    assert planned is not None
    assert (planned.word, planned.refusal) == ("too_small", "the cost is below the market's minimum of 50")
    account.refuse(planned)
    assert account.protection(4.0, 4.0, 4.0) is None
    assert math.isnan(account.levels().stop)
    fill(account, 1.5, "buy", 10.0, 10.0)
    assert account.protection(4.0, 4.0, 4.0) is not None


def test_levels_are_those_of_the_tighter_stop_and_the_take_profit() -> None:
    account = books(stop_loss=0.1, trailing_stop=0.2, take_profit=0.5)
    assert all(math.isnan(price) for price in (account.levels().stop, account.levels().goal))
    close(account, 0, 10.0)
    fill(account, 1.0, "buy", 10.0, 5.0)
    assert account.levels() == Levels(9.0, "stop_loss", 15.0)
    close(account, 1, 14.0)
    assert account.levels() == Levels(pytest.approx(11.2), "trailing_stop", 15.0)


def test_without_a_stop_there_is_the_take_profit_alone() -> None:
    account = books(take_profit=0.5)
    close(account, 0, 10.0)
    fill(account, 1.0, "buy", 10.0, 5.0)
    assert account.levels() == Levels(pytest.approx(NAN, nan_ok=True), "", 15.0)


def test_a_refused_exit_of_a_candle_leaves_the_wish_that_is_pending() -> None:
    account = books(stop_loss=0.1, min_cost=50.0)
    close(account, 0, 10.0)
    fill(account, 1.0, "buy", 10.0, 5.0)
    account.decide(0.5)
    planned = account.protection(4.0, 4.0, 4.0)
    assert planned is not None
    account.refuse(planned._replace(type="market"))
    assert (account.pending, account.reason) == (True, "signal")


def test_a_person_s_order_to_sell_all_is_an_exit_like_any_other() -> None:
    account = books()
    close(account, 0, 10.0)
    fill(account, 1.0, "buy", 10.0, 5.0)
    fill(account, 1.5, "sell", 11.0, 5.0, leg="exit", reason="flatten")
    assert trades_of(account, 10.0)[["status", "exit_reason", "profit"]].iloc[0].tolist() == ["closed", "flatten", 5.0]


def test_the_age_that_is_given_overrules_the_seconds_since_the_close() -> None:
    account = books(limits={"max_signal_age": 30.0})
    close(account, 0, 10.0)
    account.decide(1.0)
    words = [account.plan(10.0, at, age=age) for at, age in ((US, None), (2 * US, None), (2 * US, 30.0), (US, 31.0))]
    assert [planned and planned.word for planned in words] == ["", "stale", "", "stale"]


def test_prices_that_cannot_be_are_refused_with_their_candle() -> None:
    account = books()
    with pytest.raises(BadInput, match="the candle at 1970-01-01 00:01:00"):
        account.close_candles([US], [10.0], [9.0], [8.0], [9.0])


def test_closing_many_candles_at_once_costs_little_of_what_one_by_one_does() -> None:
    prices = np.full(100_000, 10.0)
    singly, together = books(limits={"max_drawdown": 0.5}), books(limits={"max_drawdown": 0.5})
    close(together, 0, 10.0)
    began = time.process_time()
    for candle in range(1_000):
        close(singly, candle, 10.0)
    between = time.process_time()
    together.close_candles(np.arange(1, 100_001) * US, prices, prices, prices, prices)
    assert time.process_time() - between < 50 * (between - began)
