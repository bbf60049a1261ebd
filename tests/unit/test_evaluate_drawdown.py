"""Drawdowns: depth, length, and what is not over yet."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from tests.unit.evaluate_runs import instants, measured


def test_maximum_drawdown_is_the_deepest_fall_below_a_peak() -> None:
    assert measured([100.0, 120.0, 90.0, 130.0, 117.0]).value["max_drawdown"] == pytest.approx(-0.25)


def test_the_starting_cash_is_the_first_peak() -> None:
    found = measured([80.0, 90.0], cash=100.0).value
    assert found["max_drawdown"] == pytest.approx(-0.2)
    assert found["max_drawdown_days"] == 2.0


def test_a_drawdown_lasts_from_its_peak_to_the_close_that_reaches_it_again() -> None:
    found = measured([100.0, 110.0, 100.0, 105.0, 110.0, 120.0])
    assert found.value["max_drawdown_days"] == 3.0
    assert pd.isna(found.note["max_drawdown_days"])


def test_the_longest_drawdown_need_not_be_the_deepest() -> None:
    found = measured([100.0, 50.0, 101.0, 100.0, 100.0, 100.0, 102.0]).value
    assert found["max_drawdown"] == pytest.approx(-0.5)
    assert found["max_drawdown_days"] == 4.0


def test_a_drawdown_still_under_water_lasts_to_the_end_and_is_flagged() -> None:
    found = measured([100.0, 110.0, 99.0, 105.0, 104.5])
    assert found.value["max_drawdown_days"] == 3.0
    assert found.value["current_drawdown"] == pytest.approx(-0.05)
    assert found.value["current_drawdown_days"] == 3.0
    assert found.note["max_drawdown_days"] == "still under water at the end"


def test_an_unfinished_drawdown_does_not_flag_a_longer_one_that_ended() -> None:
    found = measured([90.0, 90.0, 90.0, 100.0, 99.0])
    assert found.value["max_drawdown_days"] == 4.0
    assert pd.isna(found.note["max_drawdown_days"])
    assert found.note["current_drawdown_days"] == "still under water at the end"


def test_average_drawdown_is_over_the_deepest_points_and_lengths_of_all() -> None:
    found = measured([100.0, 90.0, 95.0, 100.0, 80.0, 100.0, 110.0]).value
    assert found["average_drawdown"] == pytest.approx((-0.1 - 0.2) / 2)
    assert found["average_drawdown_days"] == pytest.approx((3 + 2) / 2)


def test_an_account_that_only_grows_has_no_drawdown_and_no_ratio_to_it() -> None:
    found = measured(np.linspace(100, 200, 365))
    for name in ("max_drawdown", "max_drawdown_days", "average_drawdown", "current_drawdown", "ulcer_index"):
        assert found.value[name] == 0.0
    for name in ("calmar_ratio", "recovery_factor"):
        assert math.isnan(found.value[name])
        assert found.note[name] == "there was no drawdown"


def test_a_drawdown_within_a_day_counts() -> None:
    hourly = np.full(48, 100.0)
    hourly[10] = 60.0
    found = measured(hourly, timeframe="1h").value
    assert found["max_drawdown"] == pytest.approx(-0.4)
    assert found["max_drawdown_days"] == pytest.approx(2 / 24)


def test_drawdown_days_go_by_the_calendar_where_candles_are_absent() -> None:
    ts = instants(20)[[0, 1, 2, 19]]
    assert measured([100.0, 110.0, 100.0, 110.0], ts=ts).value["max_drawdown_days"] == 18.0


def test_what_rounding_leaves_below_a_peak_is_no_drawdown() -> None:
    found = measured([100.0, 100.0 - 2e-14, 100.0, 100.0 - 2e-14]).value
    assert found["max_drawdown"] == 0.0
    assert found["average_drawdown_days"] == 0.0


def test_ulcer_index_is_the_root_mean_square_of_the_drawdown() -> None:
    assert measured([100.0, 90.0, 80.0, 100.0]).value["ulcer_index"] == pytest.approx(math.sqrt((0.01 + 0.04) / 4))


def test_calmar_ratio_and_recovery_factor_divide_growth_by_the_maximum_drawdown() -> None:
    curve = np.concatenate([np.linspace(100, 120, 200), np.linspace(90, 150, 165)])
    found = measured(curve).value
    assert found["cagr"] == pytest.approx(0.5)
    assert found["calmar_ratio"] == pytest.approx(0.5 / 0.25)
    assert found["recovery_factor"] == pytest.approx(0.5 / 0.25)
