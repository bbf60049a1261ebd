"""Whatever cannot be simulated is refused in one clear line."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from data.errors import BadInput
from tasks.backtest import execute_backtest, simulate

LENGTH = 5


def candles() -> pd.DataFrame:
    index = pd.date_range("2024-01-01", periods=LENGTH, freq="D", tz="UTC", unit="us", name="ts")
    return pd.DataFrame({"open": 10.0, "high": 12.0, "low": 9.0, "close": 11.0, "volume": 0.0}, index=index)


def refused(frame: pd.DataFrame, target: Any = (0, 1, 1, 0, 0), **rules: Any) -> str:
    with pytest.raises(BadInput) as caught:
        simulate(frame, target, **rules)
    message = str(caught.value)
    assert "\n" not in message
    assert caught.value.exit_code == 2
    return message


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"cash": 0}, "cash must be above 0, not 0"),
        ({"cash": -5}, "cash must be above 0, not -5"),
        ({"cash": math.inf}, "cash must be above 0, not inf"),
        ({"cash": math.nan}, "cash must be above 0, not nan"),
        ({"cash": "much"}, "cash must be a number, not 'much'"),
        ({"cash": None}, "cash must be a number, not None"),
        ({"fee": -0.1}, "fee must be at least 0 and below 1, not -0.1"),
        ({"fee": 1}, "fee must be at least 0 and below 1, not 1"),
        ({"fee": math.nan}, "fee must be at least 0 and below 1, not nan"),
        ({"slippage": 1.5}, "slippage must be at least 0 and below 1, not 1.5"),
        ({"slippage": -1e-9}, "slippage must be at least 0 and below 1, not -1e-09"),
        ({"fraction": 0}, "fraction must be above 0 and at most 1, not 0"),
        ({"fraction": 1.1}, "fraction must be above 0 and at most 1, not 1.1"),
        ({"amount": 0}, "amount must be above 0, not 0"),
        ({"amount": 5, "fraction": 0.5}, "amount 5 and fraction 0.5 are both given: size by one of them"),
        ({"stop_loss": 0}, "stop_loss must be above 0 and below 1, not 0"),
        ({"stop_loss": 1}, "stop_loss must be above 0 and below 1, not 1"),
        ({"trailing_stop": 5}, "trailing_stop must be above 0 and below 1, not 5"),
        ({"take_profit": -0.1}, "take_profit must be above 0, not -0.1"),
        ({"amount_step": 0}, "amount_step must be above 0, not 0"),
        ({"min_amount": -1}, "min_amount must be at least 0, not -1"),
        ({"min_cost": math.nan}, "min_cost must be at least 0, not nan"),
    ],
)
def test_a_rule_that_cannot_be_is_named(rules: dict[str, Any], message: str) -> None:
    assert refused(candles(), **rules) == message


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ([0, 1, 1], "the target has the shape (3,) and there are 5 candles: give one a candle"),
        (np.zeros((5, 1)), "the target has the shape (5, 1) and there are 5 candles: give one a candle"),
        ([0, 1, 1.5, 0, 0], "the target at 2024-01-03 00:00:00+00:00 is 1.5: it must lie between -1 and 1"),
        ([0, math.nan, -2, 0, 0], "the target at 2024-01-03 00:00:00+00:00 is -2: it must lie between -1 and 1"),
        ([0, math.inf, 0, 0, 0], "the target at 2024-01-02 00:00:00+00:00 is inf: it must lie between -1 and 1"),
        (
            ["buy", "sell", "", "", ""],
            "the target holds something that is not a number: use -1 to 1, or NaN for no signal",
        ),
        (
            pd.Series([0.0] * LENGTH),
            "the target's index is not the candles': give one target a candle, at the same instants",
        ),
    ],
)
def test_a_target_that_cannot_be_is_refused(target: Any, message: str) -> None:
    assert refused(candles(), target) == message


@pytest.mark.parametrize("column", ["open", "high", "low", "close"])
@pytest.mark.parametrize("price", [math.nan, math.inf, 0.0, -1.0])
def test_a_price_that_cannot_be_is_refused_with_its_candle(column: str, price: float) -> None:
    frame = candles()
    frame.loc[frame.index[2], column] = price
    message = refused(frame)
    assert message.startswith("the candle at 2024-01-03 00:00:00+00:00 cannot be (")
    assert f"{column} {price:g}" in message


@pytest.mark.parametrize(("column", "price"), [("high", 10.5), ("low", 10.5), ("open", 13.0), ("close", 8.0)])
def test_prices_outside_the_bars_own_range_are_refused(column: str, price: float) -> None:
    frame = candles()
    frame.loc[frame.index[-1], column] = price
    assert refused(frame).startswith("the candle at 2024-01-05 00:00:00+00:00 cannot be (")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: f.drop(columns="low"), "candles lack the column low: open, high, low and close are needed"),
        (lambda f: f.iloc[:0], "there are no candles to simulate: choose a range that has some"),
        (
            lambda f: f.reset_index(drop=True),
            "the candles' index must be the UTC instants at which they open, with their time zone",
        ),
        (
            lambda f: f.tz_localize(None),
            "the candles' index must be the UTC instants at which they open, with their time zone",
        ),
        (
            lambda f: f.iloc[::-1],
            "the candles are not in order: 2024-01-04 00:00:00+00:00 follows 2024-01-05 00:00:00+00:00; "
            "sort them, each once",
        ),
        (
            lambda f: f.iloc[[0, 1, 1, 2, 3]],
            "the candles are not in order: 2024-01-02 00:00:00+00:00 follows 2024-01-02 00:00:00+00:00; "
            "sort them, each once",
        ),
        (
            lambda f: f.set_index(f.index.where(f.index != f.index[1])),
            "the candles' index has an empty instant (NaT)",
        ),
        (
            lambda f: f.assign(open=["a", "b", "c", "d", "e"]),
            "the candles' column open holds something that is not a number",
        ),
        (lambda f: pd.concat([f, f[["open"]]], axis=1), "candles have more than one column open"),
    ],
)
def test_candles_that_cannot_be_are_refused(spoil: Callable[[pd.DataFrame], pd.DataFrame], message: str) -> None:
    assert refused(spoil(candles())) == message


@pytest.mark.parametrize("gap_after", [[-1], [4], [0.5], [[1]], ["a"]])
def test_positions_of_gaps_must_be_those_of_candles_that_another_follows(gap_after: Any) -> None:
    assert refused(candles(), gap_after=gap_after) == (
        "gap_after must hold positions of candles from 0 to 3: those after which candles are absent"
    )


def test_signals_without_the_signal_are_refused() -> None:
    frame = candles()
    with pytest.raises(BadInput, match="the signals lack the column signal"):
        execute_backtest(frame, frame[["close"]], symbol="AAPL")


@pytest.mark.parametrize(
    "target",
    [
        [0, 1, 1, 0, 0],
        np.array([False, True, True, False, False]),
        pd.array([0, 1, 1, 0, None], dtype="Int64"),
        np.array([0, 1, 1, 0, 0], dtype=np.float32),
    ],
)
def test_any_kind_of_numbers_serves_as_target(target: Any) -> None:
    assert len(simulate(candles(), target).fills) == 2


def test_nullable_numbers_serve_as_target_with_null_for_no_signal() -> None:
    frame = candles()
    target = pd.Series(pd.array([None, 1, None, 0, None], dtype="Float64"), index=frame.index)
    assert len(simulate(frame, target).fills) == 2


def test_another_time_zone_is_turned_into_utc() -> None:
    frame = candles().tz_convert("Europe/Vienna")
    result = simulate(frame, pd.Series([0.0, 1, 1, 0, 0], index=frame.index))
    assert str(result.equity.ts.dtype) == "datetime64[us, UTC]"
    assert result.fills.ts[0] == pd.Timestamp("2024-01-03", tz="UTC")
