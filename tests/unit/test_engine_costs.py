"""Slippage by model, fees by tier, borrowing and funding, by small tables of candles worked out by hand."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from data.errors import BadInput
from tasks.backtest import Simulation, simulate
from tasks.engine.books import Books
from tasks.engine.rules import make_limits, make_rules
from tasks.engine.slippage import FixedFraction, HalfSpread, Slippage, SquareRoot, VolumeShare, read_slippage, written

NAN = math.nan
START = pd.Timestamp("2024-01-01", tz="UTC")


def candles(prices: list[float], volumes: float | list[float] = 100.0, freq: str = "1h") -> pd.DataFrame:
    """Candles of one price each."""
    index = pd.date_range(START, periods=len(prices), freq=freq, unit="us", name="ts")
    frame = pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), prices), index=index, dtype=float)
    return frame.assign(volume=volumes)


def play(frame: pd.DataFrame, target: list[float], **rules: Any) -> Simulation:
    return simulate(frame, target, **{"cash": 10_000.0, "fee": 0.0, "slippage": 0.0, **rules})


def near(values: list[float]) -> Any:
    return pytest.approx(values, rel=1e-12)


# Slippage


def test_half_of_the_spread_is_paid_on_either_side() -> None:
    result = play(candles([100] * 3), [1, 0, 0], slippage="spread:0.04", amount=5)
    assert list(result.fills.price) == near([102, 98])


def test_a_fraction_and_a_spread_add_up() -> None:
    result = play(candles([100] * 3), [1, 0, 0], slippage="0.01+spread:0.02", amount=5)
    assert list(result.fills.price) == near([102, 98])


def test_impact_grows_with_the_share_of_the_volume() -> None:
    for amount, moved in ((10, 1.05), (20, 1.1), (40, 1.2)):
        result = play(candles([100] * 3), [1, 0, 0], slippage="volume:0.5", amount=amount)
        assert list(result.fills.price) == near([100 * moved, 100 / moved])


def test_impact_comes_on_top_of_the_fraction() -> None:
    result = play(candles([100] * 3), [1, 0, 0], slippage="0.01+volume:0.5", amount=10)
    assert list(result.fills.price) == near([101 * 1.05, 99 / 1.05])


def test_the_square_root_law_takes_volatility_and_volume_of_the_candles_before() -> None:
    frame = candles([100, 110, 110], [100, 300, 7])
    frame.loc[frame.index[0], ["high", "close"]] = 110.0
    result = play(frame, [NAN, 1, 1], slippage="sqrt:0.7", amount=8)
    sigma = math.sqrt(math.log(1.1) ** 2 / 2)
    assert list(result.fills.price) == near([110 * (1 + 0.7 * sigma * math.sqrt(8 / 200))])


def test_twenty_candles_are_looked_back_at_and_none_ahead() -> None:
    frame = candles([100] * 30, [1e9] * 5 + [100] * 20 + [1e9] * 5)
    result = play(frame, [NAN] * 24 + [1] * 6, slippage="volume:0.5", amount=10)
    assert list(result.fills.price) == near([105])


def test_all_in_spends_the_cash_with_its_impact_and_no_more() -> None:
    for model in ("volume:3", "sqrt:20", "0.001+volume:0.1"):
        frame = candles([100, 101, 100, 101, 101], 10.0)
        result = play(frame, [NAN, NAN, NAN, 1, 1], slippage=model, fee=0.01)
        fill = result.fills.iloc[0]
        assert fill.price > 101
        assert fill.price * fill.amount * 1.01 == pytest.approx(10_000, rel=1e-12)
        assert 0 <= result.equity.cash.iloc[-1] < 1e-8


def test_only_what_is_added_has_an_impact() -> None:
    frame = candles([100] * 4, 100.0)
    result = play(frame, [0.25, 0.5, 0.5, 0.5], slippage="volume:0.1")
    first, second = result.fills.amount
    # amount * (1 + 0.001 * amount) * 100 = 2500; then all of it is worth half of what is left.
    assert first == pytest.approx((math.sqrt(1 + 4 * 0.001 * 25) - 1) / 0.002)
    equity = 10_000 - first * (100 * (1 + 0.001 * first)) + first * 100
    assert (first + second) * (1 + 0.001 * second) == pytest.approx(equity * 0.5 / 100)


def test_the_limits_of_size_know_the_impact() -> None:
    result = play(candles([100] * 2), [1, 1], slippage="volume:0.5", max_order=1050.0)
    assert list(result.fills.amount) == near([10])
    assert list(result.fills.price) == near([105])


def test_where_nothing_was_traded_nothing_is_entered_and_exits_go_without_impact() -> None:
    frame = candles([100] * 25, [0.0] + [100.0] + [0.0] * 23)
    result = play(frame, [1, 0, 1] + [1] * 21 + [0], slippage="volume:0.5", amount=10)
    rows = list(zip(result.orders.event, result.orders.reason, strict=True))
    assert rows[0] == ("rejected", "nothing was traded in the candles before, so that its impact is not known")
    held = play(frame, [NAN, 1] + [1] * 20 + [0] * 3, slippage="volume:0.5", amount=10)
    assert list(held.fills.price) == near([110, 100])  # 10 of 50 on average; after twenty candles of nothing none


def test_a_limit_order_has_an_impact_only_where_it_takes() -> None:
    frame = candles([100, 90, 90])
    arrived = play(frame, [1, 1, 1], slippage="volume:0.5", amount=10, order_type="limit")
    assert list(arrived.fills.price) == near([94.5])
    waited = play(candles([100, 100, 90]), [1, 1, 1], slippage="volume:0.5", amount=10, order_type="limit")
    assert list(waited.fills.price) == near([90])


class Doubling(Slippage):
    """A model of one's own: the price is doubled by ten units, whatever the market."""

    def friction(self, candles: pd.DataFrame) -> np.ndarray[Any, np.dtype[np.float64]]:
        return np.full(len(candles), 0.1)


def test_a_model_of_ones_own_is_a_class_of_three_numbers_and_a_friction() -> None:
    result = play(candles([100] * 3), [1, 0, 0], slippage=Doubling(0.0, 1.0, 1.0), amount=10)
    assert list(result.fills.price) == near([200, 50])


def test_models_are_read_and_written_alike() -> None:
    for text, model in {
        "0.001": FixedFraction(0.001),
        "spread:0.0004": HalfSpread(0.0004),
        "volume:0.1": VolumeShare(0.1),
        "0.0005+sqrt:0.7": SquareRoot(0.7, 0.0005),
    }.items():
        found = read_slippage(text)
        assert (found.fraction, found.impact, found.power) == (model.fraction, model.impact, model.power)
        assert read_slippage(str(written(found))) == found
    assert written("0.001") == 0.001
    assert written("spread:0.0004+sqrt:0.7") == "0.0002+sqrt:0.7"


# Fees


def test_fees_fall_with_what_was_traded_in_thirty_days_and_rise_again() -> None:
    frame = candles([100] * 40, freq="1D")
    target = [1.0, 0.0, 1.0, *[1.0] * 33, 0.0, 0.0, 0.0, 0.0]
    tiers = ["0:0.01:0.02", "1500:0.001:0.005"]
    result = play(frame, target, amount=10, fee_tiers=tiers)
    # 1000 are bought and sold: the second order goes before the tier, the third after it, the last a month later.
    assert list(result.fills.fee) == near([20, 20, 5, 20])


def test_a_fill_counts_for_the_day_and_twenty_nine_before_it() -> None:
    for days, fee in ((29, 5), (30, 20)):
        frame = candles([100] * 40, freq="1D")
        target = [1.0] * 39 + [1.0]
        target[days] = 0.0
        target[days + 1 :] = [0.0] * (39 - days)
        # Bought in candle 1, sold in candle days + 1.
        result = play(frame, target, amount=10, fee_tiers=[(0, 0.01, 0.02), (900, 0.001, 0.005)])
        assert list(result.fills.fee) == near([20, fee])


def test_the_makers_fee_is_for_entries_that_have_waited() -> None:
    frame = candles([100, 101, 99, 200])
    result = play(
        frame, [1] * 4, amount=10, fee=0.02, maker_fee=0.01, order_type="limit", take_profit=0.5, amount_step=1
    )
    assert list(result.fills.liquidity) == ["maker", "taker"]
    assert list(result.fills.fee) == near([9.9, 29.7])  # bought at 99, the profit taken at 148.5
    taken = play(candles([100, 99]), [1, 1], amount=10, fee=0.02, maker_fee=0.01, order_type="limit")
    assert list(taken.fills.fee) == near([19.8])


def test_an_entry_that_waits_is_covered_whatever_its_fee_will_be() -> None:
    for tiers in (["0:0.0:0.25"], ["0:0.25:0.0"], ["0:0.25:0.25", "1:0:0"]):
        result = play(candles([100, 101, 99]), [1, 1, 1], fee_tiers=tiers, order_type="limit")
        assert list(result.fills.amount) == near([80])
        assert (result.equity.cash >= 0).all()


# What it costs to hold


def test_a_short_pays_for_what_it_has_borrowed_at_each_close() -> None:
    result = play(candles([100, 100, 50, 50, 50], freq="1D"), [-1, -1, 0, 0, 0], amount=10, borrow=0.365)
    assert list(result.equity.cash) == near([10_000, 10_999, 10_998.5, 10_498.5, 10_498.5])
    assert list(result.trades.carry) == near([1.5])
    assert list(result.trades.profit) == near([498.5])


def test_a_long_borrows_nothing() -> None:
    result = play(candles([100] * 4, freq="1D"), [1, 1, 0, 0], amount=10, borrow=0.365)
    assert list(result.trades.carry) == [0]


def test_funding_is_paid_by_longs_to_shorts_at_its_hours() -> None:
    for side, cost in ((1, 10.0), (-1, -10.0)):
        result = play(candles([100] * 20), [side] * 18 + [0, 0], amount=10, funding=0.01)
        moved = np.diff(result.equity.equity)
        paid = [round(float(change), 9) for change in moved]
        # Candle 7 closes at 08:00, candle 15 at 16:00.
        assert [(number + 1, -change) for number, change in enumerate(paid) if change] == [(7, cost), (15, cost)]
        assert list(result.trades.carry) == near([2 * cost])


def test_a_candle_longer_than_the_interval_has_several_payments() -> None:
    result = play(candles([100] * 3, freq="1D"), [1, 0, 0], amount=10, funding=0.01)
    assert list(result.trades.carry) == near([30])
    hourly = play(candles([100] * 3, freq="1D"), [1, 0, 0], amount=10, funding=0.01, funding_hours=1)
    assert list(hourly.trades.carry) == near([240])


def test_the_time_without_candles_is_paid_for_too_at_the_price_before_it() -> None:
    frame = candles([100, 100, 300, 300], freq="1D")
    frame.index = pd.DatetimeIndex([*frame.index[:2], *(frame.index[2:] + pd.Timedelta("3D"))], name="ts")
    result = play(frame, [-1, -1, 0, 0], amount=10, borrow=0.365, timeframe=timedelta(days=1))
    # A day at 100, three without candles at 100, a day at 300.
    assert list(result.trades.carry) == near([1 + 3 + 3])


def test_the_candles_may_have_their_own_rates_of_funding() -> None:
    frame = candles([100] * 5).assign(funding=[0.5, 0.001, NAN, -0.002, 0.5])
    result = play(frame, [1, 1, 1, 0, 0], amount=10, funding="column")
    assert list(result.trades.carry) == near([10 * 100 * (0.001 - 0.002)])


def test_who_leaves_inside_a_candle_pays_nothing_for_it() -> None:
    frame = candles([100, 100, 100])
    frame.loc[frame.index[1], "low"] = 80.0
    result = play(frame, [1, 1, 1], amount=10, funding=0.01, funding_hours=1, stop_loss=0.1)
    assert list(result.trades.carry) == [0]


# What cannot be


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"slippage": "much"}, "slippage 'much' cannot be read: write 0.0005, spread:0.0004, volume:0.1 or sqrt:0.7"),
        ({"slippage": "cube:0.1"}, "slippage 'cube:0.1' cannot be read"),
        ({"slippage": "volume:0.1+sqrt:0.7"}, "slippage 'volume:0.1+sqrt:0.7' cannot be read"),
        ({"slippage": "volume:-1"}, "slippage volume:-1: the coefficient must be at least 0"),
        ({"slippage": "volume:inf"}, "slippage volume:inf: the coefficient must be at least 0"),
        ({"slippage": "spread:3"}, "slippage must be at least 0 and below 1, not 1.5"),
        ({"slippage": NAN}, "slippage must be at least 0 and below 1, not nan"),
        ({"maker_fee": 1}, "maker_fee must be at least 0 and below 1, not 1"),
        ({"fee_tiers": ["0:0.1"]}, "fee_tiers: '0:0.1' is no tier: write volume:maker:taker, as in 10000:0.002:0.0035"),
        ({"fee_tiers": ["5:0.1:0.1"]}, "fee_tiers: the first begins at 5, and must at 0"),
        ({"fee_tiers": [(0, 0, 0), (9, 0, 0), (9, 0, 0)]}, "fee_tiers: 9 comes after 9: give them by rising volume"),
        ({"fee_tiers": [(0, 0, 1)]}, "fee_tiers: a fee must be at least 0 and below 1, not 1"),
        ({"fee_tiers": [(NAN, 0, 0)]}, "is no number"),
        ({"fee_tiers": [(number, 0, 0) for number in range(33)]}, "fee_tiers: 33 are too many, the most is 32"),
        ({"borrow": -1}, "borrow must be at least 0, not -1"),
        ({"funding": 1}, "funding must be above -1 and below 1, not 1"),
        ({"funding": "dear"}, "funding must be a number, not 'dear'"),
        ({"funding": 0.1, "funding_hours": 7}, "funding_hours must divide a day, and 7 do not"),
        ({"funding": 0.1, "funding_hours": 0}, "funding_hours must be above 0 and at most 24, not 0"),
        ({"funding": "column"}, "candles lack the column funding, which has the rate that is due at each close"),
    ],
)
def test_costs_that_cannot_be_are_named(terms: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput) as caught:
        play(candles([100, 100]), [1, 1], **terms)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_volumes_that_cannot_be_are_named() -> None:
    with pytest.raises(BadInput, match="candles lack the column volume: the impact of an order is reckoned by it"):
        play(candles([100, 100]).drop(columns="volume"), [1, 1], slippage="volume:0.1")
    with pytest.raises(BadInput, match=r"the volume at 2024-01-01 01:00:00\+00:00 is nan"):
        play(candles([100, 100], [1, NAN]), [1, 1], slippage="sqrt:0.1")


@pytest.mark.parametrize(
    ("terms", "name"),
    [
        ({"fee_tiers": ["0:0.1:0.1"]}, "fee_tiers"),
        ({"slippage": "volume:0.1"}, "impact in its slippage"),
        ({"funding": 0.01}, "borrow and no funding"),
        ({"borrow": 0.01}, "borrow and no funding"),
    ],
)
def test_a_session_refuses_what_it_does_not_do(terms: dict[str, Any], name: str) -> None:
    with pytest.raises(BadInput, match=f"a session's account has no {name}: only a backtest has, so leave it out"):
        Books(1000.0, make_rules(**terms), make_limits(), timedelta(hours=1))
