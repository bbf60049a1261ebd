"""Small tables of candles and what comes of them, worked out by hand: one behaviour each.

A row is open, high, low, close, target. Without fee and slippage unless a test is about them.
"""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest

from tasks.backtest import Simulation, simulate

NAN = math.nan
HOUR = pd.Timedelta("1h")
START = pd.Timestamp("2024-01-01", tz="UTC")


def play(*rows: tuple[float, ...], **rules: Any) -> Simulation:
    candles = pd.DataFrame(
        [row[:4] for row in rows],
        columns=["open", "high", "low", "close"],
        index=pd.date_range(START, periods=len(rows), freq="h", unit="us", name="ts"),
        dtype=float,
    )
    return simulate(candles, [row[4] for row in rows], **{"cash": 1000.0, "fee": 0.0, "slippage": 0.0, **rules})


def fills(result: Simulation) -> list[tuple[int, str, float, float]]:
    """Bar, side, price and amount of each fill."""
    table = result.fills
    bars = [round((ts - START) / HOUR) for ts in table.ts]
    return [
        (bar, side, pytest.approx(price, rel=1e-12), pytest.approx(amount, rel=1e-12))
        for bar, side, price, amount in zip(bars, table.side, table.price, table.amount, strict=True)
    ]


def refusals(result: Simulation) -> list[str]:
    return list(result.orders.reason[result.orders.event == "rejected"])


# Decision and fill


def test_a_decision_at_the_close_is_filled_at_the_next_open() -> None:
    result = play((9, 11, 8, 10, 1), (20, 22, 19, 21, 1), (25, 26, 24, 25, 0), (40, 41, 39, 40, 0))
    assert fills(result) == [(1, "buy", 20, 50), (3, "sell", 40, 50)]
    assert list(result.equity.equity) == [1000, 1050, 1250, 2000]
    assert list(result.equity.cash) == [1000, 0, 0, 2000]


def test_an_unchanged_target_is_not_traded_again() -> None:
    result = play((10, 10, 10, 10, 0.5), (10, 10, 10, 10, 0.5), (20, 20, 20, 20, 0.5), (20, 20, 20, 20, 0.5))
    assert fills(result) == [(1, "buy", 10, 50)]


def test_no_signal_leaves_the_position_as_it_is() -> None:
    result = play((10, 10, 10, 10, 1), (10, 10, 10, 10, NAN), (10, 10, 10, 10, 1), (10, 10, 10, 10, NAN))
    assert fills(result) == [(1, "buy", 10, 100)]


def test_a_decision_of_the_last_candle_stays_an_intent() -> None:
    result = play((10, 10, 10, 10, NAN), (10, 10, 10, 10, 1))
    assert result.fills.empty
    assert result.trades.empty
    order = result.orders.iloc[0]
    assert (order.event, order.side, order.type, order.amount) == ("intent", "buy", "market", 100)
    assert order.ts == order.decision_ts == START + HOUR


def test_a_change_of_side_on_the_last_candle_stays_two_intents_and_leaves_the_trade_open() -> None:
    result = play((10, 10, 10, 10, 1), (10, 10, 10, 10, -1))
    assert list(result.orders.event) == ["filled", "intent", "intent"]
    assert list(result.orders.amount) == [100, 100, 100]
    assert list(result.trades.status) == ["open"]
    assert result.equity.position.iloc[-1] == 100


# Price and size


def test_slippage_and_fee_hurt_on_both_sides() -> None:
    result = play(
        (100, 100, 100, 100, 1), (100, 100, 100, 100, 0), (100, 100, 100, 100, 0), fee=0.01, slippage=0.02, amount=5
    )
    assert fills(result) == [(1, "buy", 102, 5), (2, "sell", 98, 5)]
    assert list(result.fills.fee) == pytest.approx([5.10, 4.90])
    assert result.equity.cash.iloc[-1] == pytest.approx(1000 - 5 * 4 - 10)
    assert result.trades.profit[0] == pytest.approx(-30)


def test_all_in_spends_the_cash_with_fee_and_slippage_and_no_more() -> None:
    result = play((7, 7, 7, 7, 1), (7, 7, 7, 7, 1), fee=0.004, slippage=0.0005)
    assert fills(result) == [(1, "buy", 7 * 1.0005, 1000 / (7 * 1.0005 * 1.004))]
    assert result.equity.cash.iloc[-1] == pytest.approx(0, abs=1e-9)
    assert result.equity.cash.iloc[-1] >= 0


def test_the_fraction_bounds_what_a_full_target_takes() -> None:
    assert fills(play((10, 10, 10, 10, 0.5), (10, 10, 10, 10, 0.5), fraction=0.2)) == [(1, "buy", 10, 10)]


def test_a_change_of_target_on_the_same_side_trades_the_difference() -> None:
    result = play(
        (10, 10, 10, 10, 0.5), (10, 10, 10, 10, 1), (20, 20, 20, 20, 0.25), (20, 20, 20, 20, 0), (30, 30, 30, 30, 0)
    )
    # 50 held at 20 with 500 in cash is equity 1500: all in is 75. At 20 a quarter of 1500 is 18.75.
    assert fills(result) == [(1, "buy", 10, 50), (2, "buy", 20, 25), (3, "sell", 20, 56.25), (4, "sell", 30, 18.75)]
    trade = result.trades.iloc[0]
    assert (len(result.trades), trade.amount, trade.bars_held) == (1, 75, 3)
    assert trade.entry_price == pytest.approx(1000 / 75)
    assert trade.exit_price == pytest.approx((56.25 * 20 + 18.75 * 30) / 75)
    assert trade.profit == pytest.approx(1687.5 - 1000)


def test_a_change_of_side_closes_first_and_sizes_the_rest_by_the_equity_left() -> None:
    result = play((10, 10, 10, 10, 1), (10, 10, 10, 10, -1), (8, 8, 8, 8, 0), (4, 4, 4, 4, 0), fee=0.25)
    bought = 1000 / 12.5
    left = bought * 8 * 0.75
    sold = left / (8 * 1.25)
    assert fills(result) == [(1, "buy", 10, bought), (2, "sell", 8, bought), (2, "sell", 8, sold), (3, "buy", 4, sold)]
    assert list(result.trades.side) == ["long", "short"]
    assert list(result.fills.trade_id) == [1, 1, 2, 2]
    assert result.trades.profit.sum() == pytest.approx(result.equity.equity.iloc[-1] - 1000)


def test_a_short_gains_when_the_price_falls() -> None:
    result = play((10, 10, 10, 10, -1), (10, 10, 10, 10, 0), (4, 4, 4, 4, 0))
    assert fills(result) == [(1, "sell", 10, 100), (2, "buy", 4, 100)]
    trade = result.trades.iloc[0]
    assert (trade.side, trade.profit, trade["return"]) == ("short", 600, pytest.approx(0.6))
    assert list(result.equity.position) == [0, -100, 0]


# The market's rules


@pytest.mark.parametrize(
    ("cash", "price", "step", "amount"),
    [
        (0.3, 1, 0.1, 0.3),  # 0.3 / 0.1 is 2.9999999999999996
        (0.7, 1, 0.1, 0.7),
        (1000, 3, 1, 333),
        (1000, 3, 0.5, 333),
        (1000, 3, 0.01, 333.33),
        (1000, 3, 1e-8, 333.33333333),
        (1000, 3, 25, 325),
        (100, 30_000, 1e-8, 0.00333333),
        (12345.678901239, 1, 1e-8, 12345.67890123),
        (1000, 0.00001, 1, 1e8),
        (1000, 0.00003, 1, 33_333_333),
    ],
)
def test_amounts_round_down_to_the_step(cash: float, price: float, step: float, amount: float) -> None:
    row = (price, price, price, price, 1)
    result = play(row, row, cash=cash, amount_step=step)
    assert list(result.fills.amount) == [amount]
    assert result.equity.cash.iloc[-1] >= 0


def test_many_small_changes_leave_no_crumbs_beside_the_step() -> None:
    rows = [(1, 1, 1, 1, share / 10) for share in (1, 3, 6, 7, 9, 2, 8, 4, 5, 0, 0)]
    result = play(*rows, cash=1.0, amount_step=0.1)
    assert list(result.fills.amount) == [0.1, 0.2, 0.3, 0.1, 0.2, 0.7, 0.6, 0.4, 0.1, 0.5]
    assert list(result.equity.position) == [0, 0.1, 0.3, 0.6, 0.7, 0.9, 0.2, 0.8, 0.4, 0.5, 0]


def test_a_short_rounds_towards_zero_too() -> None:
    assert fills(play((3, 3, 3, 3, -1), (3, 3, 3, 3, -1), amount_step=1)) == [(1, "sell", 3, 333)]


def test_a_short_that_rounds_to_nothing_is_closed_and_leaves_a_plain_zero() -> None:
    result = play((10, 10, 10, 10, -1), (10, 10, 10, 10, -0.001), (10, 10, 10, 10, -0.001), amount_step=1)
    assert list(result.trades.status) == ["closed"]
    assert [str(position) for position in result.equity.position] == ["0.0", "-100.0", "0.0"]


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        ({"min_amount": 101}, "the amount is below the market's minimum of 101"),
        ({"min_cost": 1000.5}, "the cost is below the market's minimum of 1000.5"),
        ({"amount_step": 200}, "the amount rounds down to 0 in steps of 200"),
        ({"amount": 101}, "the cash does not cover the cost and the fee"),
    ],
)
def test_a_refused_order_says_why_and_is_not_tried_again(rules: dict[str, float], reason: str) -> None:
    row = (10, 10, 10, 10, 1)
    result = play(row, row, row, row, **rules)
    assert refusals(result) == [reason]
    assert result.fills.empty
    assert list(result.equity.equity) == [1000] * 4


@pytest.mark.parametrize("rules", [{"min_amount": 100}, {"min_cost": 1000}, {"amount_step": 100}, {"amount": 100}])
def test_an_order_of_exactly_the_limit_is_filled(rules: dict[str, float]) -> None:
    assert fills(play((10, 10, 10, 10, 1), (10, 10, 10, 10, 1), **rules)) == [(1, "buy", 10, 100)]


def test_the_fee_of_a_fixed_amount_must_be_covered_too() -> None:
    row = (10, 10, 10, 10, 1)
    assert refusals(play(row, row, amount=100, fee=0.001)) == ["the cash does not cover the cost and the fee"]


def test_adding_a_fixed_amount_must_be_covered_by_the_cash_beside_the_position() -> None:
    rows = [(10, 10, 10, 10, 0.5), (10, 10, 10, 10, 1), (20, 20, 20, 20, 1)]
    # Equity is 1500, but 1000 of it is the position.
    assert refusals(play(*rows, amount=100)) == ["the cash does not cover the cost and the fee"]
    assert fills(play(*rows, amount=60)) == [(1, "buy", 10, 30), (2, "buy", 20, 30)]


def test_a_short_of_a_fixed_amount_must_be_covered_by_the_equity() -> None:
    row = (10, 10, 10, 10, -1)
    assert fills(play(row, row, amount=100)) == [(1, "sell", 10, 100)]
    assert refusals(play(row, row, amount=101)) == ["the cash does not cover the cost and the fee"]


def test_a_position_too_small_to_sell_stays_and_bars_the_way() -> None:
    result = play(
        (10, 10, 10, 10, 1),
        (10, 10, 10, 10, 0),
        (1, 1, 1, 1, -1),
        (1, 1, 1, 1, 0.9),
        (1, 1, 1, 1, 0.9),
        min_cost=500,
    )
    assert fills(result) == [(1, "buy", 10, 100)]
    assert refusals(result) == ["the cost is below the market's minimum of 500"] * 3
    assert list(result.trades.status) == ["open"]


def test_a_stop_on_a_position_too_small_to_sell_is_refused_once() -> None:
    result = play(
        (10, 10, 10, 10, 1),
        (10, 10, 10, 10, 1),
        (1, 1, 1, 1, 1),
        (1, 1, 1, 1, 1),
        (50, 50, 50, 50, 0),
        (50, 50, 50, 50, 0),
        min_cost=500,
        stop_loss=0.1,
    )
    assert list(result.orders.event) == ["filled", "rejected", "filled"]
    assert list(result.orders.type) == ["market", "stop", "market"]
    assert fills(result) == [(1, "buy", 10, 100), (5, "sell", 50, 100)]


# Stops


def test_a_stop_loss_is_filled_at_the_stop_with_slippage() -> None:
    result = play(
        (100, 100, 100, 100, 1), (100, 101, 99, 100, 1), (99, 99, 94, 98, 1), stop_loss=0.05, slippage=0.01, amount=1
    )
    stop = 101 * 0.95
    assert fills(result) == [(1, "buy", 101, 1), (2, "sell", stop * 0.99, 1)]
    assert list(result.trades.exit_reason) == ["stop_loss"]
    assert list(result.orders.type) == ["market", "stop"]
    assert result.orders.price[1] == pytest.approx(stop)


def test_a_stop_that_is_jumped_over_is_filled_at_the_worse_open() -> None:
    result = play((100, 100, 100, 100, 1), (100, 101, 99, 100, 1), (80, 90, 79, 85, 1), stop_loss=0.05)
    assert fills(result) == [(1, "buy", 100, 10), (2, "sell", 80, 10)]


def test_a_low_that_only_just_touches_the_stop_is_enough() -> None:
    assert len(play((100, 100, 100, 100, 1), (100, 100, 95, 100, 1), stop_loss=0.05).fills) == 2
    assert len(play((100, 100, 100, 100, 1), (100, 100, 95.01, 100, 1), stop_loss=0.05).fills) == 1


def test_the_bar_of_the_entry_is_checked_after_its_open() -> None:
    result = play((100, 100, 100, 100, 1), (100, 103, 90, 101, 1), stop_loss=0.05)
    assert fills(result) == [(1, "buy", 100, 10), (1, "sell", 95, 10)]
    assert result.trades.bars_held[0] == 0


def test_a_short_is_stopped_above_its_entry() -> None:
    result = play((100, 100, 100, 100, -1), (100, 100, 100, 100, -1), (101, 107, 100, 106, -1), stop_loss=0.05)
    assert fills(result) == [(1, "sell", 100, 10), (2, "buy", 105, 10)]
    gap = play((100, 100, 100, 100, -1), (100, 100, 100, 100, -1), (120, 120, 119, 120, -1), stop_loss=0.05)
    assert fills(gap)[1] == (2, "buy", 120, 10)


def test_take_profit_is_filled_at_its_price_without_slippage_and_no_better() -> None:
    rows = ((100, 100, 100, 100, 1), (100, 100, 100, 100, 1))
    inside = play(*rows, (105, 112, 104, 106, 1), take_profit=0.1, slippage=0.01, amount=1)
    assert fills(inside)[1] == (2, "sell", 101 * 1.1, 1)
    jumped = play(*rows, (150, 151, 149, 150, 1), take_profit=0.1, fee=0.01, amount=1)
    assert fills(jumped)[1] == (2, "sell", 110, 1)
    assert jumped.fills.fee[1] == pytest.approx(1.1)
    assert list(jumped.orders.type) == ["market", "limit"]
    assert list(jumped.trades.exit_reason) == ["take_profit"]


def test_take_profit_of_a_short_lies_below() -> None:
    result = play((100, 100, 100, 100, -1), (100, 100, 89, 95, -1), take_profit=0.1)
    assert fills(result) == [(1, "sell", 100, 10), (1, "buy", 90, 10)]


def test_where_stop_and_take_profit_are_touched_the_stop_came_first() -> None:
    result = play((100, 100, 100, 100, 1), (100, 120, 90, 110, 1), stop_loss=0.05, take_profit=0.05)
    assert fills(result)[1] == (1, "sell", 95, 10)
    assert list(result.trades.exit_reason) == ["stop_loss"]


def test_a_trailing_stop_follows_the_highs_of_the_bars_before() -> None:
    result = play(
        (100, 100, 100, 100, 1),
        (100, 120, 91, 119, 1),  # from 100 the stop is at 90; this bar's own high does not count yet
        (119, 130, 109, 125, 1),  # from 120 at 108
        (125, 126, 110, 112, 1),  # from 130 at 117
        trailing_stop=0.1,
    )
    assert fills(result) == [(1, "buy", 100, 10), (3, "sell", 117, 10)]
    assert list(result.trades.exit_reason) == ["trailing_stop"]


def test_a_trailing_stop_of_a_short_follows_the_lows() -> None:
    result = play((100, 100, 100, 100, -1), (100, 109, 80, 81, -1), (81, 88, 80, 85, -1), trailing_stop=0.1)
    assert fills(result) == [(1, "sell", 100, 10), (2, "buy", 88, 10)]


def test_the_tighter_of_two_stops_holds() -> None:
    rows = ((100, 100, 100, 100, 1), (100, 140, 100, 140, 1), (140, 140, 90, 90, 1))
    assert list(play(*rows, stop_loss=0.05, trailing_stop=0.2).trades.exit_reason) == ["trailing_stop"]
    early = ((100, 100, 100, 100, 1), (100, 100, 70, 80, 1))
    assert list(play(*early, stop_loss=0.05, trailing_stop=0.2).trades.exit_reason) == ["stop_loss"]


def test_after_a_stop_nothing_is_entered_before_the_target_changes() -> None:
    result = play(
        (100, 100, 100, 100, 1),
        (100, 100, 90, 100, 1),
        (100, 100, 100, 100, 1),
        (100, 100, 100, 100, 0),
        (100, 100, 100, 100, 1),
        (100, 100, 100, 100, 1),
        stop_loss=0.05,
    )
    assert fills(result) == [(1, "buy", 100, 10), (1, "sell", 95, 10), (5, "buy", 100, 9.5)]
    assert list(result.orders.event) == ["filled"] * 3


def test_the_order_at_the_open_comes_before_the_stop() -> None:
    result = play((100, 100, 100, 100, 1), (100, 100, 100, 100, 0), (80, 80, 70, 75, 0), stop_loss=0.05)
    assert fills(result)[1] == (2, "sell", 80, 10)
    assert list(result.trades.exit_reason) == ["signal"]


def test_stops_hang_on_the_average_entry_price() -> None:
    result = play(
        (100, 100, 100, 100, 0.5),
        (100, 100, 100, 100, 1),
        (200, 200, 200, 200, 1),
        (200, 200, 100, 150, 1),
        stop_loss=0.1,
    )
    # 5 at 100, then 2.5 at 200: the average is 400 / 3 and the stop 120.
    assert fills(result)[2] == (3, "sell", 120, 7.5)


# Ruin, the end, odd markets


def test_a_short_that_loses_the_account_is_closed_at_the_next_open_and_nothing_more_is_traded() -> None:
    result = play(
        (10, 10, 10, 10, -1),
        (10, 10, 10, 10, -1),
        (20, 25, 20, 21, 1),
        (22, 22, 22, 22, 1),
        (22, 22, 22, 22, 0),
        (22, 22, 22, 22, 1),
    )
    assert fills(result) == [(1, "sell", 10, 100), (3, "buy", 22, 100)]
    assert list(result.trades.exit_reason) == ["ruin"]
    assert list(result.equity.equity) == [1000, 1000, -100, -200, -200, -200]
    assert result.equity.drawdown.iloc[-1] == pytest.approx(-1.2)
    assert len(result.orders) == 2


def test_without_equity_at_the_open_the_other_side_is_refused() -> None:
    result = play((10, 10, 10, 10, -1), (10, 10, 10, 10, 1), (30, 30, 30, 30, 1), (30, 30, 30, 30, 0))
    assert fills(result) == [(1, "sell", 10, 100), (2, "buy", 30, 100)]
    assert refusals(result) == ["no equity is left to size the order by"]


def test_the_last_open_trade_is_marked_at_the_last_close() -> None:
    result = play((10, 10, 10, 10, 1), (10, 10, 10, 10, 0.5), (20, 20, 20, 20, 0.5), (30, 40, 25, 30, 0.5), fee=0.0)
    trade = result.trades.iloc[0]
    assert (trade.status, trade.amount, trade.bars_held) == ("open", 100, 2)
    assert pd.isna(trade.exit_ts)
    assert pd.isna(trade.exit_reason)
    assert pd.isna(trade.exit_order_id)
    # 50 were sold at 20, 50 are marked at 30.
    assert (trade.exit_price, trade.exit_holding, trade.profit) == (25, 2500, 1500)
    assert trade.best_excursion == pytest.approx(3)


def test_excursions_span_the_bars_held() -> None:
    result = play(
        (100, 100, 100, 100, 1),
        (100, 110, 98, 105, 1),
        (105, 130, 95, 120, 0),
        (115, 200, 50, 60, 0),
        (60, 60, 60, 60, 0),
    )
    trade = result.trades.iloc[0]
    assert (trade.worst_excursion, trade.best_excursion) == pytest.approx((-0.05, 0.3))


def test_the_price_paid_for_more_is_no_excursion() -> None:
    result = play(
        (100, 100, 100, 100, 0.25), (100, 100, 100, 100, 0.5), (100, 100, 100, 100, 0.5), slippage=0.1, amount=4
    )
    assert (result.trades.worst_excursion[0], result.trades.best_excursion[0]) == (pytest.approx(-1 / 11), 0)
    rising = play(
        (100, 100, 100, 100, 0.25), (100, 100, 100, 100, 0.5), (120, 120, 120, 120, 0.5), slippage=0.1, amount=4
    )
    # 1 at 110 and 1 at 132 are 121 on average; the price then is 120, and 132 was never on the market.
    assert rising.trades.best_excursion[0] == 0


def test_of_the_bar_of_a_stop_only_the_exit_price_counts() -> None:
    result = play((100, 100, 100, 100, 1), (100, 102, 99, 100, 1), (100, 150, 50, 60, 1), stop_loss=0.1)
    trade = result.trades.iloc[0]
    assert (trade.worst_excursion, trade.best_excursion) == pytest.approx((-0.1, 0.02))


def test_of_the_bar_of_a_take_profit_the_adverse_side_counts_too() -> None:
    result = play((100, 100, 100, 100, -1), (100, 104, 99, 100, -1), (100, 107, 50, 60, -1), take_profit=0.1)
    trade = result.trades.iloc[0]
    assert (trade.worst_excursion, trade.best_excursion) == pytest.approx((-0.07, 0.1))


def test_a_flat_market_without_volume_costs_the_fees_and_nothing_else() -> None:
    row = (5, 5, 5, 5, 1)
    result = play(row, row, row, (5, 5, 5, 5, 0), (5, 5, 5, 5, 0), fee=0.01)
    assert result.equity.equity.iloc[-1] == pytest.approx(1000 / 1.01 * 0.99)


def test_one_candle_is_valued_and_only_intended_on() -> None:
    result = play((10, 10, 10, 10, 1))
    assert list(result.equity.equity) == [1000]
    assert list(result.orders.event) == ["intent"]
    assert result.fills.empty


def test_a_target_that_never_speaks_trades_nothing() -> None:
    row = (10, 12, 9, 11, NAN)
    result = play(row, row, row)
    assert result.orders.empty
    assert list(result.equity.equity) == [1000] * 3


def test_tiny_prices_and_huge_amounts_keep_their_digits() -> None:
    result = play((1e-5, 1e-5, 1e-5, 1e-5, 1), (1e-5, 1e-5, 1e-5, 1e-5, 0), (2e-5, 2e-5, 2e-5, 2e-5, 0), amount_step=1)
    assert fills(result) == [(1, "buy", 1e-5, 1e8), (2, "sell", 2e-5, 1e8)]
    assert result.equity.equity.iloc[-1] == pytest.approx(2000, rel=1e-12)


# Gaps in the data


def gapped(hours: list[int], target: list[float], **rules: Any) -> list[bool]:
    index = pd.DatetimeIndex([START + hour * HOUR for hour in hours], name="ts")
    candles = pd.DataFrame(10.0, index=index, columns=["open", "high", "low", "close"])
    return list(simulate(candles, target, **rules).trades.touches_gap)


def test_a_trade_is_marked_when_candles_are_absent_between_its_decision_and_its_exit() -> None:
    assert gapped([0, 1, 2, 3, 4, 5], [1, 1, 0, 0, 0, 0]) == [False]
    assert gapped([0, 2, 3, 4, 5, 6], [1, 1, 0, 0, 0, 0]) == [True]  # between decision and entry
    assert gapped([0, 1, 2, 9, 10, 11], [1, 1, 0, 0, 0, 0]) == [True]  # between the decision to leave and the exit
    assert gapped([0, 1, 2, 3, 9, 10], [1, 1, 0, 0, 0, 0]) == [False]  # after the exit
    assert gapped([0, 5, 6, 7, 8, 9], [NAN, 1, 1, 0, 0, 0]) == [False]  # before the decision
    assert gapped([0, 1, 2, 3, 4, 9], [1, 1, 1, 1, 1, 1]) == [True]  # still open


def test_one_day_that_is_shorter_than_usual_makes_no_gaps_of_the_others() -> None:
    assert gapped([0, 24, 48, 71, 95, 119], [1, 1, 1, 1, 1, 0]) == [False]


def test_the_caller_may_say_where_candles_are_absent() -> None:
    nights = [0, 1, 2, 20, 21, 22]
    assert gapped(nights, [1, 1, 1, 1, 0, 0], gap_after=[]) == [False]
    assert gapped(nights, [1, 1, 1, 1, 0, 0], gap_after=[4]) == [True]
    assert gapped(nights, [1, 1, 0, 0, 0, 0], gap_after=[3]) == [False]
