"""The quick ways of the strategies, which sweeps take, give the signals of the strategies bit for bit."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.market import walk
from tasks.engine.changes import checked, spread
from tasks.signal.indicators import ema, ema_memory, sma
from tasks.signal.quick import Means, Remembered, crossed, exponential, held, usable
from tasks.signal.registry import build, strategies
from tasks.signal.scans import hold_levels
from tasks.signal.signals import signals

SETS: dict[str, dict[str, list[Any]]] = {
    "sma_crossover": {"fast": [1, 3, 20], "slow": [21, 22, 500]},
    "ema_crossover": {"fast": [1, 3, 20], "slow": [21, 22, 100]},
    "macd": {"fast": [1, 12], "slow": [13, 60], "smooth": [2, 9, 30]},
    "rsi_mean_reversion": {"window": [2, 14], "oversold": [10, 30, 49.5]},
    "bollinger_bands": {"window": [2, 20, 333], "width": [0.5, 2, 3]},
    "donchian_breakout": {"entry": [1, 20, 333], "exit": [1, 10, 400]},
    "volatility_targeted_momentum": {"lookback": [1, 90], "window": [2, 30], "risk": [0.0005, 0.02], "steps": [1, 7]},
    "buy_and_hold": {},
}
SHARING = {name: one for name, one in strategies().items() if name in SETS}


def test_every_strategy_that_ships_is_looked_at() -> None:
    candles = walk(10)
    assert set(SHARING) == {name for name, one in strategies().items() if one.shared(candles) is not None}


@pytest.mark.parametrize("decimals", [1, 2, 12])
@pytest.mark.parametrize("name", SETS)
def test_a_quick_way_gives_the_signals_of_the_strategy(name: str, decimals: int) -> None:
    strategy, candles = SHARING[name], walk(2_500).round(decimals)
    quick, axes = strategy.shared(candles), SETS[name]
    assert quick is not None
    sides = [False, True] if "short" in strategy.model_fields else [None]
    for short, *values in itertools.product(sides, *axes.values()):
        chosen = dict(zip(axes, values, strict=True)) | ({} if short is None else {"short": short})
        one = build(strategy, chosen)
        found = spread(checked(quick(one), len(candles)), len(candles))
        np.testing.assert_array_equal(found, signals(candles, one)["signal"].to_numpy(), err_msg=str(chosen))


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.integers(1, 6), min_size=3, max_size=60),
    st.sampled_from([1, 0.01, 1e-8, 1e6]),
    st.integers(1, 10),
    st.integers(1, 10),
    st.booleans(),
)
def test_means_that_tie_are_equal(levels: list[int], tick: float, fast: int, more: int, short: bool) -> None:
    closes = np.array([round(100 * tick + level * tick, 8) for level in levels])
    slow, means = fast + more, Means(closes)
    assert means.fit(fast, slow)
    averages = [sma(pd.Series(closes), window).to_numpy() for window in (fast, slow)]
    expected = crossed(*averages, slow - 1, short=short)
    other, found = means.crossed([(1, 2, False), (fast, slow, short)])
    assert other.bars.tolist() == means.crossed([(1, 2, False)])[0].bars.tolist()
    np.testing.assert_array_equal(found.bars, expected.bars)
    np.testing.assert_array_equal(found.goals, expected.goals)


def test_pairs_that_cross_at_every_candle_find_room() -> None:
    closes = np.resize([1.0, 2.0], 500)
    means = Means(closes)
    (alone,) = means.crossed([(1, 2, False)])
    assert len(alone.bars) == 499
    for found in means.crossed([(1, 2, False)] * 9):
        np.testing.assert_array_equal(found, alone)
    (none,) = means.crossed([(1, 501, False)])
    assert (none.bars.size, means.crossed([])) == (0, [])


@pytest.mark.parametrize("warmup", [0, 3, 19, 20, 21, 40])
def test_what_is_held_is_found_whatever_the_candles_fill_of_a_word(warmup: int) -> None:
    lot = np.random.default_rng(warmup)
    for size in range(20):
        entries, exits = lot.random((2, size)) < lot.choice([0.0, 0.1, 0.5], (2, 1))
        found = held(entries, exits, warmup)
        levels = np.zeros(size, np.int8)
        known = min(hold_levels(entries, exits, warmup, levels), size) if warmup < size else size
        expected = np.where(np.arange(size) < known, np.nan, levels)
        np.testing.assert_array_equal(spread(found, size), expected)


def test_means_too_near_for_floats_to_tell_apart_are_not_taken_from_sums() -> None:
    ticks = np.array([2.0**40 + step for step in range(100)]) / 10**4
    assert Means(ticks).fit(2, 3)
    assert not Means(ticks).fit(50, 90)
    assert not Means(np.full(10_000, 2.0**40 / 10**4)).fit(2, 3)
    assert not Means(np.array([np.pi, 3.0])).fit(1, 2)


@pytest.mark.parametrize("window", [1, 2, 3, 9, 50, 333])
def test_exponential_averages_are_compiled_to_the_bit(window: int) -> None:
    closes = walk(max(9_000, 3 * ema_memory(window)))["close"]
    np.testing.assert_array_equal(exponential(closes.to_numpy(), window), ema(closes, window).to_numpy())
    few = closes.to_numpy()[: ema_memory(window) - 1]
    assert np.isnan(exponential(few, window)).all()


def test_what_is_remembered_is_computed_once_and_cannot_be_altered() -> None:
    asked: list[int] = []

    def compute(key: int) -> Any:
        asked.append(key)
        return np.full(3, float(key))

    remembered = Remembered(compute, 3)
    assert [remembered(key)[0] for key in (1, 2, 1)] == [1, 2, 1]
    assert asked == [1, 2]
    with pytest.raises(ValueError, match="read-only"):
        remembered(1)[0] = 5


def test_candles_with_a_hole_have_no_quick_way() -> None:
    candles = walk(50)
    candles.iloc[3, candles.columns.get_loc("close")] = np.nan
    assert not usable(candles)
    assert all(one.shared(candles) is None for name, one in SHARING.items() if name != "buy_and_hold")
