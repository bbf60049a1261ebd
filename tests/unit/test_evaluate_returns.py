"""Returns, annual figures and ratios: known answers on curves small enough for paper."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tests.unit.evaluate_runs import curve_of, instants, measured, random_returns


def test_the_first_return_counts_from_the_starting_cash() -> None:
    found = measured([110.0, 99.0], cash=100.0)
    assert found.value["period_return"] == pytest.approx((0.1 - 0.1) / 2)
    assert found.value["best_period"] == pytest.approx(0.1)
    assert found.value["observations"] == 2


def test_cumulative_return_and_profit_are_final_equity_against_the_cash() -> None:
    found = measured([110.0, 90.0, 125.0], cash=100.0)
    assert found.value["cumulative_return"] == pytest.approx(0.25)
    assert found.value["net_profit"] == 25.0
    assert found.value["final_equity"] == 125.0
    assert found.value["peak_equity"] == 125.0
    assert found.value["lowest_equity"] == 90.0


def test_peak_and_lowest_equity_include_the_starting_cash() -> None:
    assert measured([90.0, 95.0], cash=100.0).value["peak_equity"] == 100.0
    assert measured([110.0, 105.0], cash=100.0).value["lowest_equity"] == 100.0


def test_annual_return_is_the_mean_times_the_periods_of_a_year() -> None:
    found = measured(curve_of([0.02, -0.01] * 50))
    assert found.value["annual_return"] == pytest.approx(0.005 * 365)


def test_annual_volatility_is_the_textbooks_and_not_the_lessons() -> None:
    returns = [0.02, -0.01] * 50
    deviation = 0.015 * math.sqrt(100 / 99)
    assert measured(curve_of(returns)).value["annual_volatility"] == pytest.approx(deviation * math.sqrt(365))


def test_sharpe_ratio_is_annual_return_per_annual_volatility() -> None:
    found = measured(curve_of([0.02, -0.01] * 50)).value
    assert found["sharpe_ratio"] == pytest.approx(0.005 / (0.015 * math.sqrt(100 / 99)) * math.sqrt(365))
    assert found["sharpe_ratio"] == pytest.approx(found["annual_return"] / found["annual_volatility"])


def test_sortino_ratio_divides_by_the_root_mean_square_of_losses_over_all_periods() -> None:
    found = measured(curve_of([0.02, -0.01] * 50)).value
    assert found["sortino_ratio"] == pytest.approx(0.005 / math.sqrt(0.01**2 / 2) * math.sqrt(365))


def test_omega_ratio_is_gains_over_losses() -> None:
    assert measured(curve_of([0.03, -0.01, 0.0, -0.01])).value["omega_ratio"] == pytest.approx(1.5)


def test_cagr_of_a_doubling_in_two_years_is_the_root_of_two() -> None:
    curve = np.linspace(100, 200, 730)
    assert measured(curve).value["cagr"] == pytest.approx(math.sqrt(2) - 1)


def test_cagr_goes_by_the_calendar_where_candles_are_absent() -> None:
    ts = instants(730)[[*range(100), *range(600, 730)]]
    assert measured(np.linspace(100, 200, 230), ts=ts).value["cagr"] == pytest.approx(math.sqrt(2) - 1)


def test_positive_periods_are_a_share_of_all_periods() -> None:
    assert measured([110.0, 110.0, 100.0, 120.0]).value["positive_periods"] == 0.5


@pytest.mark.parametrize(
    ("timeframe", "calendar", "periods"),
    [
        ("1m", "24/7", 365),
        ("1h", "XNYS", 252),
        ("1d", "24/7", 365),
        ("1d", "XNYS", 252),
        ("1d", "24/5", 252),
        ("2d", "24/7", 365 / 2),
        ("1w", "24/7", 365 / 7),
        ("1w", "XNYS", 365 / 7),
    ],
)
def test_periods_of_a_year_follow_timeframe_and_calendar(timeframe: str, calendar: str, periods: float) -> None:
    found = measured([100.0, 101.0], timeframe=timeframe, calendar=calendar)
    assert found.value["periods_per_year"] == pytest.approx(periods)


def test_candles_within_a_day_are_measured_by_the_last_value_of_each_utc_day() -> None:
    hourly = np.repeat([100.0, 110.0, 99.0], 24)
    hourly[30] = 500.0
    found = measured(hourly, timeframe="1h").value
    assert found["observations"] == 3
    assert found["best_period"] == pytest.approx(0.1)
    assert found["worst_period"] == pytest.approx(-0.1)


def test_the_hour_that_closes_at_midnight_belongs_to_the_day_that_it_ends() -> None:
    ts = instants(3, "1h", "2024-01-01 22:00")
    found = measured([100.0, 120.0, 120.0], timeframe="1h", ts=ts).value
    assert found["observations"] == 2
    assert found["best_period"] == pytest.approx(0.2)


def test_a_day_without_candles_is_spanned_by_the_next_return() -> None:
    ts = instants(3)[[0, 2]]
    assert measured([110.0, 121.0], ts=ts).value["observations"] == 2


def test_start_end_and_duration_are_days_from_the_first_open_to_the_last_close() -> None:
    found = measured([1.0, 1.0, 1.0], timeframe="4h", ts=instants(3, "4h", "1970-01-03")).value
    assert (found["start"], found["end"], found["duration_days"]) == (2.0, 2.5, 0.5)


@pytest.mark.parametrize("days", [29, 89])
def test_a_sample_under_ninety_days_is_not_annualised_and_says_so(days: int) -> None:
    found = measured(curve_of(random_returns(1, days)))
    for name in (
        "annual_return",
        "cagr",
        "annual_volatility",
        "sharpe_ratio",
        "sortino_ratio",
        "calmar_ratio",
        "alpha",
    ):
        assert math.isnan(found.value[name])
        assert found.note[name] == f"not annualised: {days} returns in {days} days, and it takes 30 in 90 days"
    for name in ("cumulative_return", "period_return", "period_volatility", "period_sharpe", "period_sortino", "beta"):
        assert math.isfinite(found.value[name])


def test_fewer_than_thirty_returns_are_not_annualised_however_long_they_take() -> None:
    found = measured(curve_of(random_returns(1, 29)), timeframe="1w")
    assert math.isnan(found.value["sharpe_ratio"])
    assert "29 returns in 203 days" in found.note["sharpe_ratio"]


def test_ninety_days_are_enough() -> None:
    found = measured(curve_of(random_returns(1, 90)))
    assert math.isfinite(found.value["sharpe_ratio"])
    assert pd.isna(found.note["sharpe_ratio"])


def test_stock_candles_under_the_calendar_of_crypto_are_remarked() -> None:
    days = instants(400)
    weekdays = days[days.day_of_week < 5]
    curve = curve_of(random_returns(1, len(weekdays)))
    assert "the calendar is another" in measured(curve, ts=weekdays).note["sharpe_ratio"]
    assert pd.isna(measured(curve, ts=weekdays, calendar="XNYS").note["sharpe_ratio"])


def test_without_variation_sharpe_and_shape_are_absent_even_where_rounding_makes_some() -> None:
    found = measured(curve_of([0.01] * 400))
    assert found.value["annual_return"] == pytest.approx(3.65)
    for name in ("sharpe_ratio", "skew", "kurtosis"):
        assert math.isnan(found.value[name])
        assert found.note[name] == "the returns do not vary"


def test_without_a_loss_sortino_and_omega_are_absent() -> None:
    found = measured(curve_of([0.01, 0.02] * 60))
    for name in ("sortino_ratio", "omega_ratio", "period_sortino"):
        assert math.isnan(found.value[name])
        assert found.note[name] == "no period lost"


def test_one_return_has_a_mean_but_no_deviation() -> None:
    found = measured([110.0])
    assert found.value["period_return"] == pytest.approx(0.1)
    for name in ("period_volatility", "period_sharpe", "beta", "skew", "kurtosis"):
        assert math.isnan(found.value[name])
        assert found.note[name].startswith("needs ")


def test_the_sharpe_interval_is_mertens_and_reaches_over_zero_for_noise() -> None:
    returns = random_returns(3, 500, mean=0.0)
    found = measured(curve_of(returns)).loc["period_sharpe"]
    s = returns.mean() / returns.std(ddof=1)
    skew, kurtosis = stats.skew(returns), stats.kurtosis(returns, fisher=False)
    error = math.sqrt((1 - skew * s + (kurtosis - 1) / 4 * s**2) / 500)
    assert found.low == pytest.approx(s - stats.norm.ppf(0.975) * error)
    assert found.high == pytest.approx(s + stats.norm.ppf(0.975) * error)
    assert found.low < 0 < found.high


def test_the_sharpe_interval_is_los_for_normal_returns() -> None:
    quantiles = stats.norm.ppf((np.arange(4000) + 0.5) / 4000)
    found = measured(curve_of(0.001 + 0.01 * quantiles)).loc["period_sharpe"]
    lo = math.sqrt((1 + found.value**2 / 2) / 4000)
    assert found.high - found.value == pytest.approx(1.96 * lo, rel=1e-3)


@pytest.mark.slow
def test_the_sharpe_interval_holds_the_true_ratio_in_ninety_five_of_a_hundred_samples() -> None:
    draws = np.random.default_rng(7).normal(0.001, 0.01, (300, 250))
    found = [measured(curve_of(row)).loc["period_sharpe"] for row in draws]
    assert 0.91 <= np.mean([row.low <= 0.1 <= row.high for row in found]) <= 0.99


def test_tails_of_a_hundred_and_one_ranked_returns_are_read_off() -> None:
    returns = np.random.default_rng(1).permutation(np.arange(-50, 51) / 1000)
    found = measured(curve_of(returns)).value
    assert found["value_at_risk"] == pytest.approx(-0.045)
    assert found["conditional_value_at_risk"] == pytest.approx(-0.0475)
    assert found["tail_ratio"] == pytest.approx(1.0)
    assert found["skew"] == pytest.approx(0.0, abs=1e-9)


def test_fewer_than_twenty_returns_have_no_worst_twentieth() -> None:
    found = measured(curve_of(random_returns(1, 19)))
    for name in ("value_at_risk", "conditional_value_at_risk", "tail_ratio"):
        assert math.isnan(found.value[name])
        assert found.note[name].startswith("needs 20 returns")
