"""Orders that a candle's volume fills in parts, by small tables of candles worked out by hand.

A row is open, high, low, close, volume, target. Candles open each hour; without fee and slippage unless a test is
about them. A tenth of the volume may be traded.
"""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import BadInput
from tasks.backtest import Simulation, fit_detail, simulate, simulate_portfolio
from tasks.engine.books import Books
from tasks.engine.rules import make_limits, make_rules
from tests.reference.simulator import Bar
from tests.unit.random_markets import (
    TIMED,
    candles_of,
    cap_sets,
    cost_sets,
    engine_costs,
    entry_sets,
    limit_sets,
    markets,
    rule_sets,
    with_costs,
)

NAN = math.nan
HOUR = pd.Timedelta("1h")
START = pd.Timestamp("2024-01-01", tz="UTC")
PARTLY = "partially_filled"
REPLACED = "the next decision took its place"
OUTRUN = "an exit took its place"
NO_CASH = "the cash does not cover the cost and the fee"

Row = tuple[float, ...]


def candles(*rows: Row) -> pd.DataFrame:
    index = pd.date_range(START, periods=len(rows), freq="h", unit="us", name="ts")
    columns = ["open", "high", "low", "close", "volume"]
    return pd.DataFrame([row[:5] for row in rows], columns=columns, index=index, dtype=float)


def play(*rows: Row, **rules: Any) -> Simulation:
    terms = {"cash": 1000.0, "fee": 0.0, "slippage": 0.0, "max_volume": 0.1, **rules}
    return simulate(candles(*rows), [row[5] for row in rows], **terms)


def at(price: float, volume: float, target: float) -> Row:
    """A candle of one price."""
    return price, price, price, price, volume, target


def fills(result: Simulation) -> list[tuple[int, str, Any, Any]]:
    """Bar, side, amount and price of each fill."""
    table = result.fills
    return [
        (round((ts - START) / HOUR), side, pytest.approx(amount), pytest.approx(price))
        for ts, side, amount, price in zip(table.ts, table.side, table.amount, table.price, strict=True)
    ]


def orders(result: Simulation) -> list[tuple[int, str, str, str, Any]]:
    """Bar, type, event, reason and amount of each row."""
    table = result.orders
    bars = [round((ts - START) / HOUR) for ts in table.ts]
    amounts = [pytest.approx(amount) for amount in table.amount]
    return list(zip(bars, table.type, table.event, table.reason, amounts, strict=True))


# Entries


def test_an_order_goes_on_candle_after_candle_until_it_is_filled() -> None:
    result = play(*[at(10, 300, 1)] * 6)
    assert fills(result) == [(1, "buy", 30, 10), (2, "buy", 30, 10), (3, "buy", 30, 10), (4, "buy", 10, 10)]
    assert orders(result) == [(1, "market", PARTLY, "signal", 100), (4, "market", "filled", "signal", 100)]
    order = "2024-01-01T00:00:00Z-buy-open"
    assert set(result.orders.order_id) == set(result.fills.order_id) == {order}
    assert list(result.fills.fill_id) == [f"{order}-{number}" for number in (1, 2, 3, 4)]
    assert list(result.fills.trade_id) == [1] * 4
    assert list(result.trades.amount) == [100]
    assert list(result.equity.position) == [0, 30, 60, 90, 100, 100]
    assert list(result.equity.cash) == [1000, 700, 400, 100, 0, 0]


def test_each_part_pays_the_price_of_its_own_open() -> None:
    result = play(at(10, 0, 1), at(10, 200, 1), at(11, 200, 1), at(12, 200, 1), amount=60, slippage=0.1, fee=0.01)
    assert fills(result) == [(1, "buy", 20, 11), (2, "buy", 20, 12.1), (3, "buy", 20, 13.2)]
    assert list(result.fills.fee) == pytest.approx([2.2, 2.42, 2.64])
    assert list(result.trades.entry_price) == pytest.approx([12.1])
    assert list(result.trades.fees) == pytest.approx([7.26])


def test_a_candle_without_volume_fills_nothing_and_is_waited_out() -> None:
    result = play(at(10, 0, 1), at(10, 0, 1), at(11, 0, 1), at(12, 900, 1), amount=40)
    assert fills(result) == [(3, "buy", 40, 12)]
    assert orders(result) == [(3, "market", "filled", "signal", 40)]


def test_parts_are_whole_steps() -> None:
    result = play(*[at(10, 157, 1)] * 4, amount=40, amount_step=1.0)
    assert list(result.fills.amount) == [15, 15, 10]


def test_the_markets_minimum_is_asked_of_the_order_and_not_of_its_parts() -> None:
    result = play(*[at(10, 150, 1)] * 4, amount=40, min_amount=20, min_cost=350)
    assert list(result.fills.amount) == [15, 15, 10]


def test_the_money_that_a_rise_has_left_ends_an_entry() -> None:
    # 60 of 100 cost 600; what is left pays for 25 at 16.
    result = play(at(10, 0, 1), at(10, 600, 1), at(16, 600, 1), at(1, 600, 1))
    assert fills(result) == [(1, "buy", 60, 10), (2, "buy", 25, 16)]
    assert orders(result) == [(1, "market", PARTLY, "signal", 100), (2, "market", "cancelled", NO_CASH, 100)]
    assert result.equity.cash.iloc[-1] == 0
    # Where the volume ends first it goes on.
    thin = play(at(10, 0, 1), at(10, 600, 1), at(16, 200, 1), at(16, 600, 1))
    assert fills(thin) == [(1, "buy", 60, 10), (2, "buy", 20, 16), (3, "buy", 5, 16)]
    assert [event for _, _, event, _, _ in orders(thin)] == [PARTLY, "cancelled"]


def test_the_next_decision_takes_the_place_of_the_rest() -> None:
    result = play(*[at(10, 300, target) for target in (1, 1, 0, 0, 0, 0)])
    assert fills(result) == [(1, "buy", 30, 10), (2, "buy", 30, 10), (3, "sell", 30, 10), (4, "sell", 30, 10)]
    assert orders(result) == [
        (1, "market", PARTLY, "signal", 100),
        (3, "market", "cancelled", REPLACED, 100),
        (3, "market", PARTLY, "signal", 60),
        (4, "market", "filled", "signal", 60),
    ]
    assert list(result.trades.exit_ts) == [START + 4 * HOUR]


def test_no_signal_and_the_same_target_let_the_order_go_on() -> None:
    result = play(*[at(10, 300, target) for target in (1, NAN, 1, NAN, NAN)])
    assert list(result.fills.amount) == [30, 30, 30, 10]


def test_the_other_side_comes_when_the_first_order_is_whole_and_shares_its_candle() -> None:
    result = play(*[at(10, 300, target) for target in (1, 1, -1, -1, -1, -1)], amount=40)
    assert fills(result) == [
        *[(1, "buy", 30, 10), (2, "buy", 10, 10)],
        *[(3, "sell", 30, 10), (4, "sell", 10, 10), (4, "sell", 20, 10), (5, "sell", 20, 10)],
    ]
    decided = "2024-01-01T02:00:00Z-sell"
    assert list(result.fills.fill_id)[2:] == [
        f"{decided}-{name}" for name in ("close-1", "close-2", "open-1", "open-2")
    ]
    assert list(result.trades.side) == ["long", "short"]


def test_an_order_counts_once_for_its_day() -> None:
    targets = (1, 1, 1, 0, 0, 0, 1, 1)
    result = play(*[at(10, 150, target) for target in targets], amount=40, max_orders_a_day=1)
    assert [amount for _, _, amount, _ in fills(result)] == [15, 15, 10, 15, 15, 10]
    assert orders(result)[-1] == (7, "market", "rejected", "1 orders were placed on this day", 40)


def test_a_limit_of_loss_bars_the_rest() -> None:
    # Two that are too few to be sold lose enough, while the order for more waits for volume.
    rows = [at(100, 0, 1), at(100, 20, 0), at(100, 20, 0), (100, 100, 80, 90, 20, 1), (90, 90, 50, 50, 0, 1)]
    terms = {"cash": 10_000.0, "amount": 40, "min_amount": 5, "stop_loss": 0.1, "max_drawdown": 0.005}
    result = play(*rows, at(50, 1000, 1), **terms)
    assert fills(result) == [(1, "buy", 2, 100)]
    assert [row[1:3] for row in orders(result)] == [
        ("market", PARTLY), ("market", "cancelled"), ("market", "rejected"), ("stop", "rejected"),
        ("market", "cancelled"),
    ]  # fmt: skip
    assert orders(result)[-1] == (5, "market", "cancelled", "the drawdown has reached 0.5 %", 38)


def test_each_part_has_the_impact_and_the_fee_of_its_own() -> None:
    moved = play(*[at(100, 100, 1)] * 3, cash=10_000.0, amount=20, slippage="volume:0.5")
    assert fills(moved) == [(1, "buy", 10, 105), (2, "buy", 10, 105)]
    tiers = ["0:0.01:0.02", "900:0.001:0.005"]
    paid = play(*[at(100, 100, 1)] * 3, cash=10_000.0, amount=20, fee_tiers=tiers)
    assert list(paid.fills.fee) == pytest.approx([20, 5])


# Exits

LONG = (at(100, 0, 1), at(100, 1000, 1))
"""Forty are bought at 100 of 10,000."""


def leave(*rows: Row, **rules: Any) -> Simulation:
    return play(*LONG, *rows, **{"cash": 10_000.0, "amount": 40, **rules})


def test_a_stop_goes_on_at_the_opens_and_nothing_is_decided_before_it_is_whole() -> None:
    rows = [(100, 100, 80, 85, 150, -1), at(84, 150, -1), at(95, 300, -1), at(95, 1000, -1)]
    result = leave(*rows, stop_loss=0.1)
    assert fills(result)[1:] == [(2, "sell", 15, 90), (3, "sell", 15, 84), (4, "sell", 10, 95), (5, "sell", 40, 95)]
    assert orders(result)[1:] == [
        (2, "stop", PARTLY, "stop_loss", 40),
        (4, "stop", "filled", "stop_loss", 40),
        (5, "market", "filled", "signal", 40),
    ]
    trade = result.trades.iloc[0]
    assert (trade.exit_price, trade.exit_reason, trade.exit_ts) == (pytest.approx(89), "stop_loss", START + 4 * HOUR)
    assert trade.profit == pytest.approx(-440)


def test_what_a_candle_leaves_of_a_take_profit_is_sold_at_market() -> None:
    result = leave((100, 120, 100, 115, 250, 1), at(110, 1000, 1), take_profit=0.1, slippage=0.01)
    assert fills(result)[1:] == [(2, "sell", 25, 111.1), (3, "sell", 15, 108.9)]
    assert set(result.fills.liquidity) == {"taker"}
    assert orders(result)[1:] == [
        (2, "limit", PARTLY, "take_profit", 40),
        (3, "limit", "filled", "take_profit", 40),
    ]


def test_a_limit_of_loss_sells_until_all_is_sold() -> None:
    result = leave(at(70, 150, 0.5), at(70, 150, 1), at(60, 150, 0.5), at(50, 150, 0.5), daily_loss=0.1)
    assert fills(result)[1:] == [(3, "sell", 15, 70), (4, "sell", 15, 60), (5, "sell", 10, 50)]
    assert [row[1:4] for row in orders(result)[1:]] == [
        ("market", PARTLY, "daily_loss"),
        ("market", "filled", "daily_loss"),
    ]


def test_a_stop_takes_the_place_of_an_entry_that_goes_on() -> None:
    rows = [at(100, 0, 1), at(100, 200, 1), (100, 100, 80, 85, 250, 1), at(85, 1000, 1)]
    result = play(*rows, cash=10_000.0, amount=60, stop_loss=0.1)
    assert fills(result) == [(1, "buy", 20, 100), (2, "buy", 25, 100), (3, "sell", 45, 85)]
    assert orders(result) == [
        (1, "market", PARTLY, "signal", 60),
        (2, "market", "cancelled", OUTRUN, 60),
        (3, "stop", "filled", "stop_loss", 45),
    ]


def test_an_exit_below_the_markets_minimum_is_not_made_while_an_entry_goes_on() -> None:
    fall = (100, 100, 80, 85)
    rows = [at(100, 0, 1), at(100, 10, 1), (*fall, 10, 1), (*fall, 1000, 1), at(85, 0, 1)]
    result = play(*rows, cash=10_000.0, amount=40, min_amount=5, stop_loss=0.1)
    assert fills(result) == [(1, "buy", 1, 100), (2, "buy", 1, 100), (3, "buy", 38, 100), (3, "sell", 40, 90)]
    assert "rejected" not in set(result.orders.event)


def test_after_ruin_all_is_bought_back_candle_by_candle() -> None:
    rows = [at(100, 0, -1), at(100, 100, -1), at(250, 60, 1), at(240, 60, 1), at(230, 60, 1), at(230, 60, 1)]
    result = play(*rows, amount=10)
    assert fills(result) == [(1, "sell", 10, 100), (3, "buy", 6, 240), (4, "buy", 4, 230)]
    assert list(result.trades.exit_reason) == ["ruin"]
    assert len(set(result.orders.order_id)) == 2


def test_finer_candles_share_the_volume_of_their_candle() -> None:
    rows = [*LONG, (100, 120, 85, 120, 150, 1), at(110, 1000, 1)]
    frame = candles(*rows)
    quarters = [*[LONG[0]] * 4, *[LONG[1]] * 4, (100,) * 4, (100, 100, 85, 85), (85, 95, 85, 95), (95, 120, 95, 120)]
    index = pd.date_range(START, periods=16, freq="15min", unit="us")
    path = [row[:4] for row in quarters] + [(110.0,) * 4] * 4
    finer = pd.DataFrame(path, columns=["open", "high", "low", "close"], index=index, dtype=float)
    detail = fit_detail(frame, finer, timedelta(hours=1), timedelta(minutes=15))
    assert detail.explained == 4
    terms = {"cash": 10_000.0, "amount": 40, "fee": 0.0, "slippage": 0.0, "stop_loss": 0.1, "take_profit": 0.15}
    result = simulate(frame, [1.0] * 4, detail=detail, max_volume=0.1, **terms)  # type: ignore[arg-type]
    assert fills(result)[1:] == [(2, "sell", 15, 90), (3, "sell", 25, 110)]


# Entries at a limit


def wait(*rows: Row, **rules: Any) -> Simulation:
    return play(*rows, order_type="limit", **rules)


def test_an_entry_at_a_limit_is_filled_by_every_candle_that_goes_beyond_it() -> None:
    rows = [(11, 12, 9, 11, 300, 1), (11, 11, 10, 11, 300, 1), at(9, 300, 1), (11, 11, 9.5, 10, 1000, 1)]
    result = wait(at(10, 0, 1), *rows)
    assert fills(result) == [(1, "buy", 30, 10), (3, "buy", 30, 9), (4, "buy", 40, 10)]
    assert set(result.fills.liquidity) == {"maker"}
    assert orders(result) == [(1, "limit", PARTLY, "signal", 100), (4, "limit", "filled", "signal", 100)]


def test_what_was_not_filled_in_time_is_made_at_market() -> None:
    rows = [at(10, 0, 1), (11, 12, 9, 11, 300, 1), at(11, 300, 1), at(11, 1000, 1)]
    result = wait(*rows, limit_bars=2, on_timeout="market")
    assert fills(result) == [(1, "buy", 30, 10), (3, "buy", 1030 / 11 - 30, 11)]
    assert orders(result)[1][2:4] == ("cancelled", "it was not filled in 2 candles")
    first = "2024-01-01T00:00:00Z-buy-open"
    assert list(result.fills.fill_id) == [f"{first}-1", f"{first}-2-1"]


def test_a_stop_ends_an_entry_at_a_limit_that_is_filled_in_part() -> None:
    rows = [at(10, 0, 1), (11, 12, 9.5, 11, 300, 1), (11, 11, 8, 8.5, 0, 1), at(8, 1000, 1)]
    result = wait(*rows, stop_loss=0.1)
    assert fills(result) == [(1, "buy", 30, 10), (3, "sell", 30, 8)]
    assert orders(result)[1:] == [(2, "limit", "cancelled", OUTRUN, 100), (3, "stop", "filled", "stop_loss", 30)]


# The end


def test_what_goes_on_at_the_end_has_its_last_event() -> None:
    partly = play(*[at(10, 300, 1)] * 3)
    assert orders(partly) == [(1, "market", PARTLY, "signal", 100)]
    assert list(partly.trades.status) == ["open"]
    assert orders(play(*[at(10, 0, 1)] * 3)) == [(2, "market", "accepted", "signal", 100)]


def test_a_decision_of_the_last_candle_is_an_intent_beside_what_goes_on() -> None:
    result = play(*[at(10, 300, target) for target in (1, 1, 0)])
    assert orders(result) == [(1, "market", PARTLY, "signal", 100), (2, "market", "intent", "signal", 60)]


def test_nothing_is_intended_while_a_position_is_being_left() -> None:
    result = leave((100, 100, 80, 85, 150, -1), stop_loss=0.1, daily_loss=0.01)
    assert orders(result)[1:] == [(2, "stop", PARTLY, "stop_loss", 40)]
    assert result.trades.exit_price[0] == pytest.approx((15 * 90 + 25 * 85) / 40)


# What holds always


@settings(max_examples=80)
@given(
    markets(), rule_sets(), st.just({}) | limit_sets(TIMED), st.just({}) | entry_sets(), st.just({}) | cost_sets(),
    cap_sets(),
)  # fmt: skip
def test_no_candle_trades_more_than_its_part_and_the_fills_are_the_orders(
    market: tuple[list[Bar], list[float]],
    rules: dict[str, Any],
    limits: dict[str, Any],
    entries: dict[str, Any],
    costs: dict[str, Any],
    caps: dict[str, Any],
) -> None:
    bars, target = market
    costs = costs | caps
    frame = with_costs(candles_of(bars), costs)
    result = simulate(frame, target, **rules | limits | entries | engine_costs(costs, rules["slippage"]))
    fills, orders, trades, equity = result.fills, result.orders, result.trades, result.equity
    traded = fills.groupby("ts").amount.sum()
    assert (traded <= costs["max_volume"] * frame.volume.reindex(traded.index) * (1 + 1e-8)).all()

    assert not orders.duplicated(["order_id", "event"]).any()
    assert fills.fill_id.is_unique
    filled = fills.groupby("order_id").amount.sum()
    last = orders.drop_duplicates("order_id", keep="last").set_index("order_id")
    whole = last[last.event == "filled"].amount
    assert list(filled.reindex(whole.index)) == pytest.approx(list(whole), rel=1e-9)
    rest = last[last.event.isin(["cancelled", PARTLY])].amount
    assert (filled.reindex(rest.index, fill_value=0.0) < rest).all()
    assert set(filled.index) <= set(whole.index) | set(rest.index)

    turnover = rules["cash"] + float((fills.price * fills.amount).sum())
    sign = fills.side.map({"buy": 1.0, "sell": -1.0}).astype(float)
    held = (sign * fills.amount).groupby(fills.ts).sum().reindex(equity.ts, fill_value=0.0).cumsum()
    most = 1e-12 * max(1.0, fills.amount.sum())
    np.testing.assert_allclose(equity.position, held, rtol=1e-9, atol=most)
    worth = equity.cash + equity.position * equity.price
    np.testing.assert_allclose(equity.equity, worth, rtol=1e-9, atol=1e-10 * turnover)
    assert trades.profit.sum() == pytest.approx(equity.equity.iloc[-1] - rules["cash"], abs=1e-9 * turnover)
    assert trades.fees.sum() == pytest.approx(fills.fee.sum(), abs=1e-9 * turnover)


@settings(max_examples=50)
@given(markets(), rule_sets(), st.just({}) | limit_sets(TIMED))
def test_volume_enough_for_all_is_as_none_asked_for(
    market: tuple[list[Bar], list[float]], rules: dict[str, Any], limits: dict[str, Any]
) -> None:
    bars, target = market
    terms = rules | limits
    plain = simulate(candles_of(bars), target, **terms)
    capped = simulate(candles_of(bars).assign(volume=1e30), target, **terms, max_volume=0.5)
    for name in ("fills", "orders", "trades", "equity"):
        pd.testing.assert_frame_equal(getattr(capped, name), getattr(plain, name), check_exact=True)


@settings(max_examples=60)
@given(markets(), rule_sets(), st.just({}) | entry_sets(), cap_sets())
def test_without_shorts_cash_never_falls_below_zero(
    market: tuple[list[Bar], list[float]], rules: dict[str, Any], entries: dict[str, Any], caps: dict[str, Any]
) -> None:
    bars, target = market
    frame = candles_of(bars).assign(volume=caps["volumes"][: len(bars)])
    terms = rules | entries | {"max_volume": caps["max_volume"]}
    assert (simulate(frame, [abs(value) for value in target], **terms).equity.cash >= 0).all()


# What cannot be


@pytest.mark.parametrize("share", [0, -0.1, 1.5, NAN, math.inf])
def test_a_part_of_the_volume_is_above_nothing_and_no_more_than_all(share: float) -> None:
    with pytest.raises(BadInput, match=f"max_volume must be above 0 and at most 1, not {share:g}"):
        play(at(10, 1, 1), max_volume=share)


def test_what_is_no_number_is_named() -> None:
    with pytest.raises(BadInput, match="max_volume must be a number, not 'much'"):
        play(at(10, 1, 1), max_volume="much")


def test_candles_without_volumes_are_refused() -> None:
    frame = candles(at(10, 1, 1), at(10, NAN, 1))
    with pytest.raises(BadInput, match="candles lack the column volume: max_volume is a fraction of it"):
        simulate(frame.drop(columns="volume"), [1, 1], max_volume=0.1)
    with pytest.raises(
        BadInput, match=r"volume at 2024-01-01 01:00:00.00:00 is nan: max_volume is a fraction of it, so"
    ):
        simulate(frame, [1, 1], max_volume=0.1)
    with pytest.raises(BadInput, match="is -1: max_volume is a fraction of it, so it must be 0 or above"):
        simulate(frame.assign(volume=-1.0), [1, 1], max_volume=0.1)
    simulate(frame, [1, 1])


def test_a_portfolio_and_a_session_have_no_such_term() -> None:
    frame = candles(at(10, 1, 1), at(10, 1, 1))
    with pytest.raises(BadInput, match="A: a portfolio has no max_volume: only the backtest of one market has"):
        simulate_portfolio({"A": frame}, pd.DataFrame({"A": [1.0, 1.0]}, index=frame.index), max_volume=0.1)
    with pytest.raises(BadInput, match="a session's account has no max_volume"):
        Books(1000.0, make_rules(max_volume=0.1), make_limits(), timedelta(hours=1))
