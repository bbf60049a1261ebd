"""Indicators: published tables, TA-Lib, exact ties, and independence of whatever history precedes them."""

from __future__ import annotations

import time
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
import talib
from hypothesis import given
from hypothesis import strategies as st
from pandas import Series

from tasks.signal.indicators import NEGLIGIBLE, deviation, ema, ema_memory, rsi, sma, wilder, wilder_memory
from tasks.signal.market import invented_market

# ChartSchool (StockCharts), "Relative Strength Index": QQQQ, December 2009 to February 2010, and the index from the
# 15th close on; the sheet's closes have four decimals, rounded to two on the page.
RSI_CLOSES = [
    44.3389, 44.0902, 44.1497, 43.6124, 44.3278, 44.8264, 45.0955, 45.4245, 45.8433, 46.0826, 45.8931, 46.0328, 45.6140,
    46.2820, 46.2820, 46.0028, 46.0328, 46.4116, 46.2222, 45.6439, 46.2122, 46.2521, 45.7137, 46.4515, 45.7835, 45.3548,
    44.0288, 44.1783, 44.2181, 44.5672, 43.4205, 42.6628, 43.1314,
]  # fmt: skip
RSI_14 = [
    70.53, 66.32, 66.55, 69.41, 66.36, 57.97, 62.93, 63.26, 56.06, 62.38, 54.71, 50.42, 39.99, 41.46, 41.87, 45.46,
    37.30, 33.08, 37.77,
]  # fmt: skip

# ChartSchool, "Moving Averages": ten closes whose mean is 22.22, those that follow, and their 10-day exponential mean.
EMA_FIRST = [22.27, 22.19, 22.08, 22.17, 22.18, 22.13, 22.23, 22.43, 22.24, 22.29]
EMA_CLOSES = [22.15, 22.39, 22.38, 22.61, 23.36, 24.05, 23.75, 23.83, 23.95, 23.63, 23.82, 23.87, 23.65, 23.19, 23.10]
EMA_10 = [22.21, 22.24, 22.27, 22.33, 22.52, 22.80, 22.97, 23.13, 23.28, 23.34, 23.43, 23.51, 23.53, 23.47, 23.40]

# ChartSchool, "Bollinger Bands": 20 closes, their mean, standard deviation and bands at two deviations.
BANDS_CLOSES = [
    86.1557, 89.0867, 88.7829, 90.3228, 89.0671, 91.1453, 89.4397, 89.1750, 86.9302, 87.6752, 86.9596, 89.4299, 89.3221,
    88.7241, 87.4497, 87.2634, 89.4985, 87.9006, 89.1260, 90.7043,
]  # fmt: skip

INDICATORS: dict[str, tuple[Callable[[Series], Series], int]] = {
    "sma": (lambda values: sma(values, 13), 12),
    "deviation": (lambda values: deviation(values, 13), 12),
    "sample deviation": (lambda values: deviation(values, 6, ddof=1), 5),
    "ema": (lambda values: ema(values, 5), ema_memory(5) - 1),
    "wilder": (lambda values: wilder(values, 3), wilder_memory(3) - 1),
    "rsi": (lambda values: rsi(values, 3), wilder_memory(3)),
}


def test_a_simple_average_is_the_mean_of_its_window() -> None:
    assert sma(Series([11.0, 12, 13, 14, 15, 16, 17]), 5).tolist()[4:] == [13.0, 14.0, 15.0]
    assert sma(Series([11.0, 12, 13]), 5).isna().all()
    assert sma(Series([0.1, 0.2, 0.3]), 1).tolist() == [0.1, 0.2, 0.3]


@given(
    st.lists(st.integers(1, 10_000_000), min_size=1, max_size=60),
    st.sampled_from([1, 10, 100, 10_000, 10**8]),
    st.integers(1, 20),
)
def test_a_simple_average_of_decimals_is_the_exact_one_rounded_once(ticks: list[int], grid: int, window: int) -> None:
    averages = sma(Series([tick / grid for tick in ticks]), window)
    for row in range(window - 1, len(ticks)):
        assert averages[row] == float(Fraction(sum(ticks[row - window + 1 : row + 1]), window * grid))


def test_exact_ties_are_ties_whatever_history_precedes_them() -> None:
    rng = np.random.default_rng(1)
    cents = 6_410_037 + rng.integers(-2, 3, 3_000).cumsum()
    prices = Series(cents / 100)
    sums = {window: np.convolve(cents, np.ones(window, dtype=np.int64), "valid") for window in (5, 10)}
    exact = np.sign(2 * sums[5][5:] - sums[10])
    assert (exact == 0).sum() > 50
    for start in (0, 1, 2, 3, 64, 1_000, 2_983, 2_990):
        part = prices.iloc[start:]
        sign = np.sign((sma(part, 5) - sma(part, 10)).to_numpy()[9:])
        assert np.array_equal(sign, exact[start:])


def test_a_price_off_the_grid_touches_only_the_windows_that_hold_it() -> None:
    prices = Series(np.round(np.linspace(20, 30, 50), 2))
    odd = prices.copy()
    odd[10] = 20 + np.pi
    assert sma(odd, 7)[17:].equals(sma(prices, 7)[17:])
    assert sma(odd, 7)[12] == pytest.approx(odd[6:13].mean(), rel=1e-14)


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e7, 1e12, 1e300])
def test_a_simple_average_takes_values_of_any_size(scale: float) -> None:
    values = Series([1.0, 2.0, 4.0, 8.0]) * scale
    assert sma(values, 2).tolist()[1:] == pytest.approx([1.5 * scale, 3 * scale, 6 * scale], rel=1e-15)


@pytest.mark.parametrize("name", INDICATORS)
@given(st.integers(0, 2**32 - 1), st.integers(0, 60), st.booleans())
def test_a_value_is_the_same_bit_for_bit_whatever_history_precedes_it(
    name: str, seed: int, dropped: int, cents: bool
) -> None:
    indicator, warmup = INDICATORS[name]
    rng = np.random.default_rng(seed)
    values = Series(100 * np.exp(rng.normal(0, 0.02, warmup + 62).cumsum()))
    values = values.round(2) if cents else values
    shorter = indicator(values.iloc[dropped:])
    assert shorter.iloc[warmup:].equals(indicator(values).iloc[dropped + warmup :])
    assert shorter.iloc[:warmup].isna().all()
    assert shorter.iloc[warmup:].notna().all()


@pytest.mark.parametrize("name", INDICATORS)
def test_a_value_is_the_same_bit_for_bit_on_the_shortest_history(name: str) -> None:
    indicator, warmup = INDICATORS[name]
    values = invented_market(400)["close"]
    full = indicator(values)
    for last in range(warmup, 400, 17):
        assert indicator(values.iloc[last - warmup : last + 1]).iloc[-1] == full.iloc[last]


@pytest.mark.parametrize("name", INDICATORS)
def test_a_missing_value_is_missing_in_all_windows_that_hold_it_and_in_no_other(name: str) -> None:
    indicator, warmup = INDICATORS[name]
    values = invented_market(3 * warmup + 30)["close"].reset_index(drop=True)
    values[warmup + 5] = np.nan
    result = indicator(values)
    held = {row for row in result.index if row - warmup <= warmup + 5 <= row}
    assert set(result.index[result.isna()]) == held | set(range(warmup))


@pytest.mark.parametrize("name", INDICATORS)
def test_too_short_a_history_has_no_value_and_no_error(name: str) -> None:
    indicator, warmup = INDICATORS[name]
    for length in (0, 1, warmup):
        result = indicator(Series(np.linspace(1, 2, length)))
        assert len(result) == length
        assert result.isna().all()


@pytest.mark.parametrize("wrong", [0, -1])
def test_a_window_below_one_candle_is_refused(wrong: int) -> None:
    for indicator in (sma, deviation, ema, wilder, rsi):
        with pytest.raises(ValueError, match="window must be"):
            indicator(Series([1.0, 2.0]), wrong)


def test_a_sample_of_one_has_no_deviation() -> None:
    with pytest.raises(ValueError, match="window must be above 1"):
        deviation(Series([1.0, 2.0]), 1, ddof=1)


def test_deviation_is_that_of_the_published_bollinger_bands() -> None:
    closes = Series(BANDS_CLOSES)
    middle, spread = sma(closes, 20).iloc[-1], deviation(closes, 20).iloc[-1]
    assert round(middle, 2) == 88.71
    assert round(spread, 2) == 1.29
    assert (round(middle + 2 * spread, 2), round(middle - 2 * spread, 2)) == (91.29, 86.12)


@pytest.mark.parametrize("ddof", [0, 1])
def test_deviation_does_not_cancel_far_from_zero(ddof: int) -> None:
    values = Series(1e9 + np.array([4.0, 7.0, 13.0, 16.0, 1.0]))
    expected = [np.std(values[row - 3 : row + 1], ddof=ddof) for row in (3, 4)]
    assert deviation(values, 4, ddof=ddof).tolist()[3:] == pytest.approx(expected, rel=1e-12)


def test_deviation_is_exactly_zero_where_nothing_moves() -> None:
    assert (deviation(Series([0.1 + 0.2] * 50), 20)[19:] == 0).all()


def test_an_exponential_average_is_that_of_the_published_table() -> None:
    seed = sum(EMA_FIRST) / 10
    values = Series([seed] * ema_memory(10) + EMA_CLOSES)
    assert ema(values, 10).tolist()[-len(EMA_10) :] == pytest.approx(EMA_10, abs=0.0051)


def test_an_exponential_average_is_taken_from_the_newest_candle_back_with_decaying_weights() -> None:
    values = invented_market(200)["close"].to_numpy()
    weights = (1 - 2 / 6) ** np.arange(ema_memory(5))
    by_hand = (values[::-1][: len(weights)] * weights).sum() / weights.sum()
    assert ema(Series(values), 5).iloc[-1] == pytest.approx(by_hand, rel=1e-14)


def test_wilders_averages_give_the_published_relative_strength_index() -> None:
    change = np.diff(RSI_CLOSES)
    up, down = np.clip(change, 0, None), np.clip(-change, 0, None)
    before = wilder_memory(14)
    gain = wilder(Series([up[:14].mean()] * before + up[14:].tolist()), 14)[before - 1 :]
    loss = wilder(Series([down[:14].mean()] * before + down[14:].tolist()), 14)[before - 1 :]
    assert (100 * gain / (gain + loss)).tolist() == pytest.approx(RSI_14, abs=0.0051)


def test_talib_gives_the_published_relative_strength_index_too() -> None:
    assert talib.RSI(np.array(RSI_CLOSES), 14)[14:].tolist() == pytest.approx(RSI_14, abs=0.0051)


@pytest.mark.parametrize("window", [2, 14, 50])
def test_indicators_agree_with_talib(window: int) -> None:
    closes = invented_market(4_000, seed=3)["close"].iloc[:1_100]
    assert sma(closes, window).to_numpy() == pytest.approx(talib.SMA(closes, window), rel=1e-12, nan_ok=True)
    expected = talib.STDDEV(closes, window)
    assert deviation(closes, window).to_numpy() == pytest.approx(expected, rel=1e-6, abs=1e-6, nan_ok=True)
    assert ema(closes, window).iloc[900:].to_numpy() == pytest.approx(talib.EMA(closes, window)[900:], rel=1e-6)
    assert rsi(closes, window).iloc[900:].to_numpy() == pytest.approx(talib.RSI(closes, window)[900:], abs=1e-4)


def test_relative_strength_is_50_where_nothing_moves_and_extreme_where_all_goes_one_way() -> None:
    rows = wilder_memory(5) + 10
    assert set(rsi(Series([7.5] * rows), 5).dropna()) == {50.0}
    assert rsi(Series(np.arange(1.0, rows)), 5).dropna().to_numpy() == pytest.approx(100.0)
    assert rsi(Series(np.arange(float(rows), 1, -1)), 5).dropna().to_numpy() == pytest.approx(0.0)


def test_relative_strength_forgets_what_happened_before_a_standstill() -> None:
    fall, still = np.linspace(100, 50, 30), np.full(wilder_memory(5) + 1, 50.0)
    assert rsi(Series(np.concatenate([fall, still])), 5).iloc[-1] == 50.0


@given(st.integers(2, 1_000))
def test_less_than_the_negligible_weight_lies_before_the_memory(window: int) -> None:
    for memory, alpha in ((ema_memory(window), 2 / (window + 1)), (wilder_memory(window), 1 / window)):
        assert (1 - alpha) ** memory < NEGLIGIBLE * 1.000001
        assert (1 - alpha) ** (memory - 1) >= NEGLIGIBLE * 0.999999


def test_a_million_candles_take_well_under_a_second() -> None:
    rng = np.random.default_rng(0)
    closes = Series(100 * np.exp(rng.normal(0, 0.001, 1_000_000).cumsum()))
    for values in (closes, closes.round(2)):
        spent = []
        for _ in range(3):
            started = time.perf_counter()
            sma(values, 100)
            spent.append(time.perf_counter() - started)
        assert min(spent) < 0.5
