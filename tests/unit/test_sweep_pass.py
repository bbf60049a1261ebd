"""A set of a sweep has the figures of an ordinary backtest of the same parameters."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.market import crossover, walk
from data.errors import BadInput
from data.tables import TABLES
from tasks.backtest import simulate
from tasks.backtest.sweep import Course
from tasks.evaluate.metrics import evaluate
from tasks.evaluate.trial import Stretch
from tasks.signal.registry import build
from tasks.signal.signals import signals
from tasks.signal.strategies.sma_crossover import SmaCrossover
from tests.reference.simulator import Bar
from tests.unit.random_markets import candles_of, entry_sets, limit_sets, markets, rule_sets, times

OWN = {"skewness", "kurtosis"}
"""Plain moments here; the metrics skew and kurtosis are corrected for the size of the sample."""


def both(candles: pd.DataFrame, target: Any, cash: float, length: timedelta, **terms: Any) -> tuple[Any, Any]:
    """Return the figures of the sweep's pass, and those of an ordinary backtest."""
    opens = pd.DatetimeIndex(candles.index).as_unit("us").asi8
    stretch = Stretch(opens, length // timedelta(microseconds=1), "24/7", cash)
    measured = Course(candles, stretch.ends, cash=cash, timeframe=length, **terms).measure(target)
    full = simulate(candles, target, cash=cash, timeframe=length, **terms)
    name = f"{length // timedelta(hours=1)}h" if length >= timedelta(hours=1) else "1m"
    tables = full.equity, full.trades, full.fills, candles
    metrics = evaluate(*tables, cash=cash, timeframe=name, calendar="24/7").set_index("metric")["value"]
    return stretch.figures(measured.values, measured.tally[0]), metrics


def agree(found: Any, metrics: Any) -> None:
    for name in set(found) - OWN:
        value = np.nan if found[name].value is None else found[name].value
        # Money is compared in the size of the money that moved: fees and profits may cancel.
        assert value == pytest.approx(metrics[name], rel=1e-9, abs=1e-9, nan_ok=True), name


@settings(deadline=None, max_examples=150)
@given(markets(), rule_sets(), st.one_of(st.just({}), limit_sets()), times(), st.one_of(st.just({}), entry_sets()))
def test_the_pass_without_tables_has_the_figures_of_a_backtest(
    market: tuple[list[Bar], list[float]],
    rules: dict[str, Any],
    limits: dict[str, Any],
    hours: list[int],
    entries: dict[str, Any],
) -> None:
    bars, target = market
    cash = rules.pop("cash")
    agree(*both(candles_of(bars, hours), target, cash, timedelta(hours=hours[0]), **rules, **limits, **entries))


def test_the_pass_agrees_over_months_of_minutes_and_its_moments_are_plain() -> None:
    candles = walk(200_000)
    target = crossover(candles)
    found, metrics = both(candles, target, 1000.0, timedelta(minutes=1), fee=0.0, slippage=0.0)
    agree(found, metrics)
    assert found["sharpe_ratio"].value is not None
    assert found["trades"].value > 1000
    assert found["kurtosis"].value == pytest.approx(3 + metrics["kurtosis"], abs=0.5)


@pytest.mark.parametrize("short", [False, True])
def test_shared_averages_give_the_signals_of_the_strategy(short: bool) -> None:
    candles = walk(2_000).round(2)
    shared = SmaCrossover.shared(candles)
    for fast, slow in [(1, 2), (3, 10), (10, 11), (20, 500)]:
        strategy = build(SmaCrossover, {"fast": fast, "slow": slow, "short": short})
        np.testing.assert_array_equal(shared(strategy), signals(candles, strategy)["signal"].to_numpy())


def test_a_target_that_does_not_fit_is_refused() -> None:
    candles = walk(10)
    course = Course(candles, np.array([9]), cash=100.0, timeframe=timedelta(minutes=1))
    with pytest.raises(BadInput, match="one a candle"):
        course.measure(np.zeros(9))


def test_the_table_has_a_column_for_each_figure_that_the_rows_bear() -> None:
    from flows.trials import _COLUMNS, _COLUMNS_OUT

    names = TABLES["sweeps"].schema.names
    assert {*_COLUMNS, *(f"out_{name}" for name in _COLUMNS_OUT)} <= set(names)
