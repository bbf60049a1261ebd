"""Finer candles inside a bar, by small paths worked out by hand: hours made up of four quarters.

Without fee and slippage.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from data.errors import BadInput
from tasks.backtest import Detail, Simulation, fit_detail, simulate, simulate_portfolio

HOUR, QUARTER = timedelta(hours=1), timedelta(minutes=15)
START = pd.Timestamp("2024-01-01", tz="UTC")
COLUMNS = ["open", "high", "low", "close"]

Prices = tuple[float, float, float, float]


def finer(*paths: tuple[Prices, ...]) -> pd.DataFrame:
    """The quarters of hours, four each."""
    rows = [row for path in paths for row in path]
    index = pd.date_range(START, periods=len(rows), freq="15min", unit="us", name="ts")
    return pd.DataFrame(rows, columns=COLUMNS, index=index, dtype=float)


def hours(quarters: pd.DataFrame) -> pd.DataFrame:
    """The hours that quarters make up."""
    how: Any = {"open": "first", "high": "max", "low": "min", "close": "last"}
    return quarters.resample("1h").agg(how)


def flat(price: float) -> tuple[Prices, ...]:
    return ((price,) * 4,) * 4


def both(target: list[float], *paths: tuple[Prices, ...], **rules: Any) -> tuple[list[Any], list[Any]]:
    """Return price and reason of each fill, without the quarters and with them."""
    quarters = finer(*paths)
    candles = hours(quarters)
    detail = fit_detail(candles, quarters, HOUR, QUARTER)
    terms = {"cash": 1000.0, "fee": 0.0, "slippage": 0.0, "timeframe": HOUR, **rules}
    return fills(simulate(candles, target, **terms)), fills(simulate(candles, target, **terms, detail=detail))


def fills(result: Simulation) -> list[tuple[int, Any, str]]:
    table = result.fills
    bars = [round((ts - START) / pd.Timedelta(HOUR)) for ts in table.ts]
    return [(bar, pytest.approx(price), why) for bar, price, why in zip(bars, table.price, table.reason, strict=True)]


# What comes first


def test_the_path_tells_whether_the_stop_or_the_take_profit_came_first() -> None:
    path: tuple[Prices, ...] = ((10, 12, 10, 12), (12, 12, 8, 8), (8, 9, 8, 9), (9, 9, 9, 9))
    coarse, fine = both([1, 1], flat(10), path, stop_loss=0.1, take_profit=0.1)
    assert coarse == [(1, 10, "signal"), (1, 9, "stop_loss")]
    assert fine == [(1, 10, "signal"), (1, 11, "take_profit")]


def test_within_a_finer_candle_the_stop_still_comes_first() -> None:
    path: tuple[Prices, ...] = ((10, 12, 8, 10), *flat(10)[:3])
    coarse, fine = both([1, 1], flat(10), path, stop_loss=0.1, take_profit=0.1)
    assert coarse == fine == [(1, 10, "signal"), (1, 9, "stop_loss")]


def test_a_trailing_stop_follows_the_finer_candles_before() -> None:
    path: tuple[Prices, ...] = ((10, 20, 10, 20), (20, 20, 17, 17), (17, 17, 17, 17), (17, 17, 17, 17))
    coarse, fine = both([1, 1], flat(10), path, trailing_stop=0.1)
    assert coarse == [(1, 10, "signal")]
    assert fine == [(1, 10, "signal"), (1, 18, "trailing_stop")]


def test_a_finer_candle_that_jumps_over_the_stop_is_left_at_its_open() -> None:
    path: tuple[Prices, ...] = ((10, 10, 10, 10), (8.5, 8.5, 8, 8), (8, 8, 8, 8), (8, 8, 8, 8))
    coarse, fine = both([1, 1], flat(10), path, stop_loss=0.1)
    assert coarse == [(1, 10, "signal"), (1, 9, "stop_loss")]
    assert fine == [(1, 10, "signal"), (1, 8.5, "stop_loss")]


def test_a_limit_is_filled_on_the_path_and_the_profit_taken_after() -> None:
    path: tuple[Prices, ...] = ((10, 10, 8.5, 8.8), (8.8, 12, 8.8, 12), (12, 12, 9.1, 9.1), (9.1, 9.1, 9.1, 9.1))
    coarse, fine = both([1, 1], flat(10), path, order_type="limit", limit_offset=0.1, take_profit=0.2)
    # The bar alone does not tell that 12 came after 9, and closes below 10.8.
    assert coarse == [(1, 9, "signal")]
    assert fine == [(1, 9, "signal"), (1, 10.8, "take_profit")]


def test_a_limit_that_a_later_finer_open_is_beyond_is_filled_there() -> None:
    path: tuple[Prices, ...] = ((11, 11, 11, 11), (9.5, 9.5, 9.5, 9.5), (9.5, 9.5, 9.5, 9.5), (9.5, 9.5, 9.5, 9.5))
    coarse, fine = both([1, 1], flat(10), path, order_type="limit")
    assert (coarse, fine) == ([(1, 10, "signal")], [(1, 9.5, "signal")])


# Which candles have a detail


def test_candles_whose_finer_ones_are_absent_or_others_are_passed_whole() -> None:
    path: tuple[Prices, ...] = ((10, 12, 10, 12), (12, 12, 8, 8), (8, 9, 8, 9), (9, 9, 9, 9))
    quarters = finer(flat(10), path, flat(10), path, flat(10), path)
    candles = hours(quarters)
    candles.loc[candles.index[3], "close"] = 8.5
    detail = fit_detail(candles, quarters.drop(quarters.index[7]), HOUR, QUARTER)
    assert (detail.explained, detail.incomplete, detail.different) == (4, 1, 1)
    terms: dict[str, Any] = {"stop_loss": 0.1, "take_profit": 0.1, "timeframe": HOUR, "detail": detail}
    result = simulate(candles, [1, 0, 1, 0, 1, 0], **terms)
    assert list(result.fills.reason[result.fills.side == "sell"]) == ["stop_loss", "stop_loss", "take_profit"]


def test_a_candle_between_the_finer_ones_makes_them_incomplete() -> None:
    quarters = finer(flat(10))
    odd = quarters.iloc[[1]].set_axis(quarters.index[[1]] + pd.Timedelta("1min"))
    detail = fit_detail(hours(quarters), pd.concat([quarters, odd]).sort_index(), HOUR, QUARTER)
    assert (detail.explained, detail.incomplete, detail.different) == (0, 1, 0)


def test_a_part_of_the_candles_has_the_part_of_the_detail() -> None:
    path: tuple[Prices, ...] = ((10, 12, 10, 12), (12, 12, 8, 8), (8, 9, 8, 9), (9, 9, 9, 9))
    quarters = finer(flat(7), flat(10), path)
    candles = hours(quarters)
    detail = fit_detail(candles, quarters, HOUR, QUARTER).part(slice(1, 3))
    assert detail.explained == 2
    terms: dict[str, Any] = {"stop_loss": 0.1, "take_profit": 0.1, "timeframe": HOUR, "detail": detail}
    assert list(simulate(candles[1:], [1, 1], **terms).fills.reason) == ["signal", "take_profit"]


# What cannot be


def detail_of(candles: pd.DataFrame, quarters: pd.DataFrame) -> Detail:
    return fit_detail(candles, quarters, HOUR, QUARTER)


@pytest.mark.parametrize(
    "fineness", [timedelta(minutes=7), HOUR, timedelta(hours=2), timedelta(0), timedelta(minutes=-15)]
)
def test_a_length_that_does_not_go_into_the_candles_is_refused(fineness: timedelta) -> None:
    quarters = finer(flat(10))
    with pytest.raises(BadInput) as caught:
        fit_detail(hours(quarters), quarters, HOUR, fineness)
    assert (
        str(caught.value) == f"detail of {fineness} is none of candles of 1:00:00: give a length that goes into theirs"
    )


def test_finer_candles_that_cannot_be_are_refused() -> None:
    quarters = finer(flat(10))
    candles = hours(quarters)
    quarters.iloc[2, 1] = 9.0
    with pytest.raises(BadInput, match=r"the candle at 2024-01-01 00:30:00\+00:00 cannot be"):
        detail_of(candles, quarters)
    with pytest.raises(BadInput, match="there are no candles"):
        detail_of(candles, quarters[:0])


def test_the_detail_of_other_candles_is_refused() -> None:
    quarters = finer(flat(10), flat(11))
    candles = hours(quarters)
    detail = detail_of(candles[:1], quarters)
    with pytest.raises(BadInput, match="the detail was fitted to other candles: fit it to these"):
        simulate(candles, np.ones(2), detail=detail)


def test_a_portfolio_has_no_detail() -> None:
    quarters = finer(flat(10))
    candles = hours(quarters)
    weights = pd.DataFrame({"A": [1.0]}, index=candles.index)
    with pytest.raises(BadInput, match="A: unknown term 'detail'"):
        simulate_portfolio({"A": candles}, weights, detail=detail_of(candles, quarters))  # type: ignore[call-arg]
