"""What each limit of risk forbids, by small tables of candles worked out by hand.

A row is open, high, low, close, target. Candles open each hour from midnight on unless a test says otherwise; without
fee and slippage unless a test is about them.
"""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings

from data.errors import BadInput
from tasks.backtest import Simulation, simulate
from tests.reference.simulator import Bar
from tests.unit.random_markets import candles_of, markets, rule_sets

NAN = math.nan
HOUR = pd.Timedelta("1h")
START = pd.Timestamp("2024-01-01", tz="UTC")


def play(*rows: tuple[float, ...], hours: list[int] | None = None, first: int = 0, **rules: Any) -> Simulation:
    """Simulate the rows, opening at these hours, or one an hour from the first on."""
    opened = hours or range(first, first + len(rows))
    candles = pd.DataFrame(
        [row[:4] for row in rows],
        columns=["open", "high", "low", "close"],
        index=pd.DatetimeIndex([START + hour * HOUR for hour in opened], name="ts"),
        dtype=float,
    )
    return simulate(candles, [row[4] for row in rows], **{"cash": 1000.0, "fee": 0.0, "slippage": 0.0, **rules})


def at(price: float, target: float) -> tuple[float, ...]:
    """A candle of one price."""
    return price, price, price, price, target


def orders(result: Simulation) -> list[tuple[int, str, float, str]]:
    """Hour, side and amount of each order, and its reason: a refused one's is why."""
    table = result.orders
    hours = [round((ts - START) / HOUR) for ts in table.ts]
    return [
        (hour, side, pytest.approx(amount), reason)
        for hour, side, amount, reason in zip(hours, table.side, table.amount, table.reason, strict=True)
    ]


# The size of position and order


def test_an_entry_is_cut_to_the_largest_position() -> None:
    assert orders(play(at(10, 1), at(10, 1), max_position=300)) == [(1, "buy", 30, "signal")]
    assert orders(play(at(10, -1), at(10, -1), max_position=300)) == [(1, "sell", 30, "signal")]


def test_a_cut_entry_costs_no_more_than_the_limit_with_slippage_and_in_whole_steps() -> None:
    result = play(at(10, 1), at(10, 1), max_position=300, slippage=0.25, amount_step=5)
    assert orders(result) == [(1, "buy", 20, "signal")]  # 300 / 12.5 is 24


def test_an_order_is_cut_to_the_largest_one_and_later_ones_go_on_from_there() -> None:
    result = play(at(10, 0.5), at(10, 0.6), at(10, 1), at(10, 1), max_order=400)
    assert orders(result) == [(1, "buy", 40, "signal"), (2, "buy", 20, "signal"), (3, "buy", 40, "signal")]


def test_the_smaller_of_the_two_limits_counts() -> None:
    result = play(at(10, 0.5), at(10, 1), at(10, 1), max_order=400, max_position=600)
    assert orders(result) == [(1, "buy", 40, "signal"), (2, "buy", 20, "signal")]


def test_what_makes_a_position_smaller_is_never_cut() -> None:
    result = play(at(10, 0.3), (10, 100, 10, 100, 0.1), at(100, 0), at(100, 0), max_order=300, max_position=300)
    # 30 at 100 are ten times the limits: sold all the same, and at a tenth of the equity of 3700 as wanted.
    assert orders(result) == [(1, "buy", 30, "signal"), (2, "sell", 26.3, "signal"), (3, "sell", 3.7, "signal")]


def test_a_position_that_has_outgrown_its_limit_is_kept_and_not_added_to() -> None:
    result = play(at(10, 0.3), (10, 20, 10, 20, 1), at(20, 1), at(20, 0), at(20, 0), max_position=300)
    nothing = "the limits of order and position leave nothing to add"
    assert orders(result) == [(1, "buy", 30, "signal"), (2, "buy", 0, nothing), (4, "sell", 30, "signal")]


def test_an_order_of_the_last_candle_is_cut_too() -> None:
    result = play(at(10, 1), max_order=120)
    assert orders(result) == [(0, "buy", 12, "signal")]
    assert list(result.orders.event) == ["intent"]


# Orders a day


def test_after_so_many_orders_nothing_is_entered_until_the_next_day() -> None:
    rows = [at(10, target) for target in (1, 0, 1, 0, 1, 0, 0)]
    result = play(*rows, first=19, max_orders_a_day=2)
    # Midnight is hour 24.
    assert orders(result) == [
        (20, "buy", 100, "signal"),
        (21, "sell", 100, "signal"),
        (22, "buy", 100, "2 orders were placed on this day"),
        (24, "buy", 100, "signal"),
        (25, "sell", 100, "signal"),
    ]


def test_exits_always_go_and_count() -> None:
    result = play(at(10, 1), at(10, 0), at(10, 1), at(10, 1), max_orders_a_day=1)
    assert orders(result) == [
        (1, "buy", 100, "signal"),
        (2, "sell", 100, "signal"),
        (3, "buy", 100, "1 orders were placed on this day"),
    ]
    stopped = play(at(10, 1), (10, 10, 8, 10, 0), at(10, 1), at(10, 1), max_orders_a_day=2, stop_loss=0.1)
    assert orders(stopped)[1:] == [
        (1, "sell", 100, "stop_loss"),
        (3, "buy", 90, "2 orders were placed on this day"),
    ]


def test_a_refused_entry_counts_as_acted_on() -> None:
    result = play(at(10, 1), at(10, 0), at(10, 1), at(10, 1), at(10, 1), first=21, max_orders_a_day=2)
    assert [order[:2] for order in orders(result)] == [(22, "buy"), (23, "sell"), (24, "buy")]
    refused = play(at(10, 1), at(10, 0), at(10, 1), at(10, 1), at(10, 1), first=20, max_orders_a_day=2)
    assert list(refused.orders.event) == ["filled", "filled", "rejected"]
    assert refused.orders.ts.iloc[-1] == START + 23 * HOUR  # at 24 the target has not changed


# Loss in a day


def test_a_days_loss_sells_all_at_the_next_open_and_bars_entries_for_what_is_left_of_the_day() -> None:
    result = play(
        at(10, 1),
        at(10, 1),
        at(9, 1),  # 10 % of the 1000 at the start
        at(8, 0),
        at(8, 1),
        at(8, 1),
        daily_loss=0.1,
    )
    assert orders(result) == [
        (1, "buy", 100, "signal"),
        (3, "sell", 100, "daily_loss"),
        (5, "buy", 100, "the day's loss has reached 10 %"),
    ]
    assert result.orders.order_id[1] == "2024-01-01T02:00:00Z-sell-exit"
    assert list(result.trades.exit_reason) == ["daily_loss"]


def test_a_loss_that_is_smaller_than_the_limit_sells_nothing() -> None:
    assert orders(play(at(10, 1), at(10, 1), at(9.01, 1), at(9.01, 1), daily_loss=0.1)) == [(1, "buy", 100, "signal")]


def test_a_day_is_measured_from_the_last_close_of_the_day_before() -> None:
    rows = [at(10, 1), at(10, 1), at(20, 1), at(18.5, 1), at(18, 1), at(18, 1)]
    # 2000 at 23 h; 1850 and 1800 on the next day, of which 1800 is 10 % less.
    result = play(*rows, first=21, daily_loss=0.1)
    assert orders(result)[1:] == [(26, "sell", 100, "daily_loss")]
    one_day = play(*rows, first=10, daily_loss=0.1)
    assert len(one_day.orders) == 1


def test_the_day_after_a_loss_is_entered_only_when_the_target_changes() -> None:
    result = play(at(10, 1), at(10, 1), at(9, 1), at(9, 1), at(9, 0), at(9, 1), at(9, 1), first=21, daily_loss=0.1)
    assert orders(result) == [
        (22, "buy", 100, "signal"),
        (24, "sell", 100, "daily_loss"),
        (27, "buy", 100, "signal"),
    ]


def test_a_target_that_changes_at_the_close_of_the_loss_counts_as_acted_on() -> None:
    result = play(at(10, 0.5), at(10, 0.5), at(7, 1), at(7, 1), at(7, 1), first=21, daily_loss=0.1)
    assert orders(result) == [(22, "buy", 50, "signal"), (24, "sell", 50, "daily_loss")]


def test_a_loss_that_a_stop_has_taken_already_bars_entries_too() -> None:
    result = play(at(10, 1), (10, 10, 8, 10, 1), at(10, 0), at(10, 1), at(10, 1), stop_loss=0.2, daily_loss=0.1)
    assert orders(result)[1:] == [
        (1, "sell", 100, "stop_loss"),
        (4, "buy", 80, "the day's loss has reached 10 %"),
    ]


def test_candles_of_a_day_lose_from_close_to_close() -> None:
    result = play(
        at(10, 1), at(10, 1), at(9, 1), at(9, 0), at(9, 1), at(9, 1), hours=[0, 24, 48, 72, 96, 120], daily_loss=0.1
    )
    assert orders(result) == [(24, "buy", 100, "signal"), (72, "sell", 100, "daily_loss"), (120, "buy", 100, "signal")]


def test_a_position_too_small_to_be_sold_for_a_loss_is_tried_once() -> None:
    rows = [at(10, 1), at(10, 1), at(4, 1), at(4, 1), at(4, 1), at(4, 1)]
    result = play(*rows, daily_loss=0.1, max_drawdown=0.3, min_cost=500)
    assert orders(result)[1:] == [(3, "sell", 100, "the cost is below the market's minimum of 500")]
    assert result.orders.order_id[1].endswith("-sell-exit")


# Drawdown


def test_a_drawdown_sells_all_at_the_next_open_and_bars_entries_for_good() -> None:
    result = play(
        at(10, 1),
        at(10, 1),
        at(20, 1),
        at(16, 1),  # 20 % off the 2000
        at(15, 0),
        at(15, 1),
        at(15, 1),
        hours=[0, 24, 48, 72, 96, 120, 144],
        max_drawdown=0.2,
    )
    assert orders(result) == [
        (24, "buy", 100, "signal"),
        (96, "sell", 100, "drawdown"),
        (144, "buy", 100, "the drawdown has reached 20 %"),
    ]
    assert list(result.trades.exit_reason) == ["drawdown"]


def test_a_drawdown_at_the_last_close_stays_an_intent_to_sell_all() -> None:
    result = play(at(10, 1), at(10, 1), at(5, 0.5), max_drawdown=0.2)
    assert orders(result)[1:] == [(2, "sell", 100, "drawdown")]
    assert list(result.orders.event) == ["filled", "intent"]


def test_ruin_comes_before_drawdown_and_loss() -> None:
    result = play(at(10, -1), at(10, -1), at(25, -1), at(25, -1), max_drawdown=0.2, daily_loss=0.1)
    assert orders(result)[1:] == [(3, "buy", 100, "ruin")]


# After a stop


@pytest.mark.parametrize(("stop", "reason"), [("stop_loss", "stop_loss"), ("trailing_stop", "trailing_stop")])
def test_after_a_stop_nothing_is_entered_for_so_many_candles(stop: str, reason: str) -> None:
    result = play(
        at(10, 1),
        (10, 10, 8, 10, 0),  # stopped here, so that the next two are barred
        at(10, 1),
        at(10, 0),
        at(10, 1),
        at(10, 1),
        cooldown=2,
        **{stop: 0.1},
    )
    assert orders(result)[1:] == [
        (1, "sell", 100, reason),
        (3, "buy", 90, "a stop was hit in one of the 2 candles before"),
        (5, "buy", 90, "signal"),
    ]


def test_an_exit_by_signal_or_take_profit_asks_for_no_pause() -> None:
    result = play(
        at(10, 1), (10, 12, 10, 12, 0), at(12, 1), at(12, 0), at(12, 1), at(12, 1), cooldown=5, take_profit=0.2
    )
    assert list(result.orders.event) == ["filled"] * 5


# The price and the time between decision and order


@pytest.mark.parametrize(("price", "event"), [(10.2, "rejected"), (9.8, "rejected"), (10.1, "filled"), (9.9, "filled")])
def test_nothing_is_entered_far_from_the_close_that_was_decided_on(price: float, event: str) -> None:
    result = play(at(10, 1), at(price, 1), max_deviation=0.015)
    assert list(result.orders.event) == [event]
    if event == "rejected":
        assert result.orders.reason[0] == "the price is more than 1.5 % off the close that was decided on"


def test_however_far_the_price_is_an_exit_goes() -> None:
    assert list(play(at(10, 1), at(10, 0), at(2, 0), max_deviation=0.015).orders.event) == ["filled", "filled"]


def test_after_a_gap_a_signal_to_enter_is_too_old() -> None:
    rows = [at(10, 1), at(10, 1), at(10, 1), at(10, 0), at(10, 0)]
    limits = {"max_signal_age": 3600, "timeframe": timedelta(hours=1)}
    result = play(*rows, hours=[0, 3, 4, 5, 9], **limits)
    assert orders(result) == [(3, "buy", 100, "the signal is older than 3600 seconds")]
    assert orders(play(*rows, hours=[0, 2, 3, 4, 9], **limits)) == [
        (2, "buy", 100, "signal"),
        (9, "sell", 100, "signal"),
    ]


def test_the_age_counts_from_the_close_that_the_timeframe_tells() -> None:
    rows = [at(10, 1), at(10, 1), at(10, 1)]
    given = play(*rows, hours=[0, 3, 6], max_signal_age=3600, timeframe=timedelta(hours=1))
    assert list(given.orders.event) == ["rejected"]
    inferred = play(*rows, hours=[0, 3, 6], max_signal_age=3600)
    assert list(inferred.orders.event) == ["filled"]


# Long only


def test_long_only_takes_a_target_below_zero_as_zero() -> None:
    result = play(at(10, 1), at(10, -1), at(10, -0.5), at(10, NAN), at(10, 1), at(10, 1), long_only=True)
    assert orders(result) == [(1, "buy", 100, "signal"), (2, "sell", 100, "signal"), (5, "buy", 100, "signal")]


# All of them


@settings(max_examples=60)
@given(markets(), rule_sets())
def test_limits_that_nothing_reaches_change_nothing(
    market: tuple[list[Bar], list[float]], rules: dict[str, Any]
) -> None:
    bars, target = market
    candles = candles_of(bars)
    loose = {"max_position": 1e15, "max_order": 1e15, "max_orders_a_day": 10**6, "max_signal_age": 1e9}
    for name in ("fills", "trades", "equity", "orders"):
        pd.testing.assert_frame_equal(
            getattr(simulate(candles, target, **rules, **loose), name),
            getattr(simulate(candles, target, **rules), name),
            check_exact=True,
        )


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"max_position": 0}, "max_position must be above 0, not 0"),
        ({"max_order": math.nan}, "max_order must be above 0, not nan"),
        ({"max_orders_a_day": 0}, "max_orders_a_day must be at least 1, not 0"),
        ({"max_orders_a_day": 1.5}, "max_orders_a_day must be a whole number, not 1.5"),
        ({"daily_loss": 1}, "daily_loss must be above 0 and below 1, not 1"),
        ({"max_drawdown": -0.1}, "max_drawdown must be above 0 and below 1, not -0.1"),
        ({"cooldown": -1}, "cooldown must be at least 0, not -1"),
        ({"cooldown": None}, "cooldown must be a number, not None"),
        ({"max_deviation": "far"}, "max_deviation must be a number, not 'far'"),
        ({"max_signal_age": 0}, "max_signal_age must be above 0, not 0"),
        ({"timeframe": timedelta(0)}, "timeframe must be above 0, not 0:00:00"),
    ],
)
def test_a_limit_that_cannot_be_is_named(limits: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput) as caught:
        play(at(10, 1), at(10, 1), **limits)
    assert str(caught.value) == message
