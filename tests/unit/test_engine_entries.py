"""Entries that wait at a limit and positions that end after a time, by small tables of candles worked out by hand.

A row is open, high, low, close, target. Candles open each hour; without fee and slippage unless a test is about them.
"""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pandas as pd
import pytest

from data.errors import BadInput
from tasks.backtest import Simulation, simulate, simulate_portfolio
from tasks.engine.books import Books
from tasks.engine.rules import make_limits, make_rules

NAN = math.nan
HOUR = pd.Timedelta("1h")
START = pd.Timestamp("2024-01-01", tz="UTC")
REPLACED = "the next decision took its place"
LEFT = "the position that it would have added to was left"


def candles(*rows: tuple[float, ...]) -> pd.DataFrame:
    index = pd.date_range(START, periods=len(rows), freq="h", unit="us", name="ts")
    return pd.DataFrame([row[:4] for row in rows], columns=["open", "high", "low", "close"], index=index, dtype=float)


def play(*rows: tuple[float, ...], **rules: Any) -> Simulation:
    return simulate(candles(*rows), [row[4] for row in rows], **{"cash": 1000.0, "fee": 0.0, "slippage": 0.0, **rules})


def wait(*rows: tuple[float, ...], **rules: Any) -> Simulation:
    """Simulate the rows with entries that wait at their limit."""
    return play(*rows, order_type="limit", **rules)


def at(price: float, target: float) -> tuple[float, ...]:
    """A candle of one price."""
    return price, price, price, price, target


def fills(result: Simulation) -> list[tuple[int, str, Any, Any, str]]:
    """Bar, side, price, amount and liquidity of each fill."""
    table = result.fills
    return [
        (round((ts - START) / HOUR), side, pytest.approx(price), pytest.approx(amount), liquidity)
        for ts, side, price, amount, liquidity in zip(
            table.ts, table.side, table.price, table.amount, table.liquidity, strict=True
        )
    ]


def orders(result: Simulation) -> list[tuple[int, str, str, str]]:
    """Bar, type, event and reason of each order."""
    table = result.orders
    bars = [round((ts - START) / HOUR) for ts in table.ts]
    return list(zip(bars, table.type, table.event, table.reason, strict=True))


# The limit and its fill


def test_an_entry_waits_at_the_close_that_was_decided_on() -> None:
    result = wait((10, 10, 10, 10, 1), (11, 12, 10.5, 11, 1), (11, 11, 9.5, 10, 1), at(10, 1))
    assert fills(result) == [(2, "buy", 10, 100, "maker")]
    assert orders(result) == [(2, "limit", "filled", "signal")]
    order = result.orders.iloc[0]
    assert (order.price, order.decision_ts, order.order_id) == (10, START, "2024-01-01T00:00:00Z-buy-open")


def test_to_touch_the_limit_is_not_enough() -> None:
    assert fills(wait((10, 10, 10, 10, 1), (11, 12, 10, 11, 1), at(11, 1))) == []


def test_the_offset_makes_the_limit_better_for_either_side() -> None:
    bought = wait(at(10, 1), (10, 10, 8.9, 10, 1), limit_offset=0.1)
    assert fills(bought) == [(1, "buy", 9, 1000 / 9, "maker")]
    sold = wait(at(10, -1), (10, 11.1, 10, 10, -1), limit_offset=0.1)
    assert fills(sold) == [(1, "sell", 11, 1000 / 11, "maker")]


def test_the_limit_is_rounded_in_favour_of_the_order_and_never_to_nothing() -> None:
    prices = [
        wait(at(price, target), at(price, target), price_step=0.5).orders.price[0]
        for price, target in ((10.3, 1), (10.3, -1), (10.5, 1), (0.3, 1), (0.3, -1))
    ]
    assert prices == [10.0, 10.5, 10.5, 0.3, 0.5]


def test_an_open_beyond_the_limit_is_taken_as_at_market_but_for_no_more_than_the_limit() -> None:
    # The order is for what the limit makes of the money: 100 at 10.
    for slippage, price in ((0.0, 9.0), (0.05, 9.45), (0.2, 10.0)):
        result = wait(at(10, 1), (9, 9, 9, 9, 1), slippage=slippage)
        assert fills(result) == [(1, "buy", price, 100, "taker")]
    assert fills(wait(at(10, -1), (12, 12, 12, 12, -1), slippage=0.05)) == [(1, "sell", 11.4, 100, "taker")]


def test_a_later_open_beyond_the_limit_fills_at_the_open_without_slippage() -> None:
    assert fills(wait(at(10, 1), at(11, 1), at(8, 1), slippage=0.05)) == [(2, "buy", 8, 100, "maker")]


def test_the_fee_is_paid_out_of_the_money_and_there_is_no_slippage_at_the_limit() -> None:
    result = wait(at(10, 1), (11, 11, 9, 10, 1), fee=0.25, slippage=0.1)
    assert fills(result) == [(1, "buy", 10, 80, "maker")]
    assert list(result.fills.fee) == [200]
    assert result.equity.cash.iloc[-1] == 0


def test_what_makes_a_position_smaller_is_at_market() -> None:
    result = wait(at(10, 1), (10, 11, 9, 10, 0.5), (12, 12, 12, 12, 0), at(12, 0), slippage=0.25)
    assert orders(result)[1:] == [(2, "market", "filled", "signal"), (3, "market", "filled", "signal")]
    assert list(result.fills.price) == [10, 9, 9]
    assert list(result.fills.liquidity) == ["maker", "taker", "taker"]


def test_a_change_of_side_closes_at_market_and_waits_for_the_rest() -> None:
    result = wait(at(10, 1), (10, 11, 9, 10, -1), (10, 10, 8, 8, -1), (8, 11, 8, 10, -1))
    assert fills(result) == [(1, "buy", 10, 100, "maker"), (2, "sell", 10, 100, "taker"), (3, "sell", 10, 100, "maker")]


# How it ends unfilled


def test_an_entry_that_is_not_filled_in_time_is_cancelled() -> None:
    result = wait(at(10, 1), at(11, 1), at(11, 1), at(11, 1), at(9, 1), limit_bars=2)
    assert orders(result) == [(3, "limit", "cancelled", "it was not filled in 2 candles")]
    assert result.trades.empty


def test_or_made_at_market_anew() -> None:
    result = wait(at(10, 1), at(11, 1), at(12.5, 1), at(12.5, 1), limit_bars=1, on_timeout="market", slippage=0.25)
    assert orders(result) == [
        (2, "limit", "cancelled", "it was not filled in 1 candles"),
        (2, "market", "filled", "signal"),
    ]
    assert list(result.orders.order_id) == ["2024-01-01T00:00:00Z-buy-open", "2024-01-01T00:00:00Z-buy-open-2"]
    assert fills(result) == [(2, "buy", 15.625, 64, "taker")]
    assert list(result.fills.order_id) == ["2024-01-01T00:00:00Z-buy-open-2"]
    assert list(result.trades.entry_order_id) == ["2024-01-01T00:00:00Z-buy-open-2"]


def test_the_next_decision_takes_the_place_of_an_entry_that_waits() -> None:
    result = wait(at(10, 1), at(11, 0.5), at(12, 0.5), (12, 12, 10.5, 11, 0.5))
    assert orders(result) == [(2, "limit", "cancelled", REPLACED), (3, "limit", "filled", "signal")]
    assert fills(result) == [(3, "buy", 11, 500 / 11, "maker")]
    assert orders(wait(at(10, 1), at(11, 0), at(9, 0))) == [(2, "limit", "cancelled", REPLACED)]


def test_an_unchanged_target_lets_it_wait() -> None:
    result = wait(at(10, 1), at(11, 1), at(11, NAN), at(11, 1), (11, 11, 9, 10, 1))
    assert fills(result) == [(4, "buy", 10, 100, "maker")]


def test_one_that_waits_after_the_last_candle_is_accepted_and_one_not_placed_yet_an_intent() -> None:
    assert orders(wait(at(10, 1), at(11, 1))) == [(1, "limit", "accepted", "signal")]
    intent = wait(at(10, 1), limit_offset=0.2)
    assert orders(intent) == [(0, "limit", "intent", "signal")]
    assert (intent.orders.price[0], intent.orders.amount[0]) == (8, 125)


def test_what_the_market_would_not_take_is_refused_at_once() -> None:
    result = wait(at(10, 1), at(9, 1), min_cost=2000)
    assert orders(result) == [(1, "limit", "rejected", "the cost is below the market's minimum of 2000")]


def test_an_entry_is_cut_at_the_price_of_its_limit() -> None:
    result = wait(at(10, 1), (12, 12, 9, 10, 1), max_position=300, max_order=200, slippage=0.1)
    assert fills(result) == [(1, "buy", 10, 20, "maker")]


# With a stop or a take-profit in the same bar


def test_a_bar_may_fill_the_entry_and_stop_it() -> None:
    result = wait(at(10, 1), (11, 11, 8, 11, 1), stop_loss=0.1)
    assert fills(result) == [(1, "buy", 10, 100, "maker"), (1, "sell", 9, 100, "taker")]


def test_a_high_that_may_have_been_before_the_fill_takes_no_profit() -> None:
    unsure = wait(at(10, 1), (10.5, 12, 9.5, 10.5, 1), take_profit=0.1)
    assert fills(unsure) == [(1, "buy", 10, 100, "maker")]
    assert list(unsure.trades.best_excursion) == pytest.approx([0.05])
    sure = wait(at(10, 1), (10.5, 12, 9.5, 11.5, 1), take_profit=0.1)
    assert fills(sure)[1:] == [(1, "sell", 11, 100, "taker")]


def test_a_stop_that_the_price_meets_first_ends_the_entry_that_waits() -> None:
    # 50 are held from 10, and more is wanted at 10; the stop trails the high of 12.2 by a tenth.
    rows = at(10, 0.5), (11, 12.2, 9.9, 10, 1), (12, 12.2, 12, 12, 1), (12, 12, 9, 9.5, 1)
    result = wait(*rows, trailing_stop=0.1)
    assert orders(result)[1:] == [(3, "stop", "filled", "trailing_stop"), (3, "limit", "cancelled", LEFT)]
    assert list(result.fills.price) == [10, pytest.approx(10.98)]


def test_a_stop_beyond_the_limit_comes_after_the_fill() -> None:
    rows = at(10, 0.5), (10.5, 10.5, 9.9, 10, 1), (10.5, 10.5, 10.2, 10.5, 1), (10.5, 10.5, 7, 9, 1)
    result = wait(*rows, stop_loss=0.2)
    assert fills(result) == [(1, "buy", 10, 50, "maker"), (3, "buy", 10, 50, "maker"), (3, "sell", 8, 100, "taker")]


# Time


def test_a_position_is_sold_at_the_open_after_so_many_closes() -> None:
    result = play(at(10, 1), at(11, 1), at(12, 1), at(13, 1), at(14, 1), max_bars=2)
    assert orders(result) == [(1, "market", "filled", "signal"), (3, "market", "filled", "time")]
    assert list(result.orders.order_id) == ["2024-01-01T00:00:00Z-buy-open", "2024-01-01T02:00:00Z-sell-exit"]
    assert list(result.trades.exit_reason) == ["time"]
    assert list(result.trades.bars_held) == [2]


def test_after_a_time_exit_the_next_entry_needs_a_change_of_target() -> None:
    rows = at(10, 1), at(10, 0.5), at(10, 0.5), at(10, 1), at(10, 1)
    result = play(*rows, max_bars=1)
    # The half is asked for at the very close that sells all, so it counts as acted on.
    assert orders(result) == [
        (1, "market", "filled", "signal"),
        (2, "market", "filled", "time"),
        (4, "market", "filled", "signal"),
        (4, "market", "intent", "time"),
    ]


def test_a_target_for_the_other_side_is_acted_on_instead() -> None:
    result = play(at(10, 1), at(10, -1), at(10, -1), at(10, -1), max_bars=1)
    assert orders(result)[:3] == [
        (1, "market", "filled", "signal"),
        (2, "market", "filled", "signal"),
        (2, "market", "filled", "signal"),
    ]
    assert list(result.trades.side) == ["long", "short"]


def test_the_time_begins_with_the_fill_of_an_entry_that_has_waited() -> None:
    result = wait(at(10, 1), at(11, 1), (11, 11, 9, 10, 1), at(12, 1), at(12, 1), max_bars=1)
    assert orders(result) == [(2, "limit", "filled", "signal"), (3, "market", "filled", "time")]


# What cannot be


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"order_type": "stop"}, "unknown order_type 'stop': Known: limit, market"),
        (
            {"order_type": "limit", "on_timeout": "wait"},
            "unknown on_timeout 'wait': did you mean 'market'? Known: cancel, market",
        ),
        (
            {"limit_offset": 0.1},
            "limit_offset, limit_bars and on_timeout are of limit orders: give order_type limit too",
        ),
        ({"limit_bars": 3}, "limit_offset, limit_bars and on_timeout are of limit orders: give order_type limit too"),
        (
            {"order_type": "limit", "on_timeout": "market"},
            "on_timeout market needs limit_bars: after so many candles the order is made at market",
        ),
        ({"order_type": "limit", "limit_bars": 0}, "limit_bars must be at least 1, not 0"),
        ({"order_type": "limit", "limit_bars": 1.5}, "limit_bars must be a whole number, not 1.5"),
        ({"order_type": "limit", "limit_offset": 1}, "limit_offset must be at least 0 and below 1, not 1"),
        ({"order_type": "limit", "limit_offset": -0.1}, "limit_offset must be at least 0 and below 1, not -0.1"),
        ({"price_step": 0}, "price_step must be above 0, not 0"),
        ({"order_type": "limit", "price_step": NAN}, "price_step must be above 0, not nan"),
        ({"max_bars": 0}, "max_bars must be at least 1, not 0"),
        ({"max_bars": 2.5}, "max_bars must be a whole number, not 2.5"),
        ({"max_bars": "many"}, "max_bars must be a number, not 'many'"),
    ],
)
def test_terms_that_cannot_be_are_named(terms: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput) as caught:
        play(at(10, 1), at(10, 1), **terms)
    assert str(caught.value) == message


def test_a_portfolio_and_a_session_refuse_what_they_do_not_do() -> None:
    only = "has no order_type limit: only the backtest of one market has, so leave it out"
    frame = candles(at(10, 1), at(10, 1))
    with pytest.raises(BadInput) as caught:
        simulate_portfolio({"A": frame}, pd.DataFrame({"A": [1.0, 1.0]}, index=frame.index), order_type="limit")
    assert str(caught.value) == f"A: a portfolio {only}"
    with pytest.raises(BadInput) as caught:
        Books(1000.0, make_rules(order_type="limit"), make_limits(), timedelta(hours=1))
    assert str(caught.value) == f"a session's account {only}"
    with pytest.raises(BadInput) as caught:
        Books(1000.0, make_rules(), make_limits(max_bars=3), timedelta(hours=1))
    assert str(caught.value) == "a session's account has no max_bars: only a backtest has, so leave it out"
