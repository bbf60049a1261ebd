"""A set of a sweep has the figures of an ordinary backtest of the same parameters, whatever way they are reckoned."""

from __future__ import annotations

from collections.abc import Sequence
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
from flows.trials import Trials
from tasks.backtest import simulate
from tasks.backtest.sweep import Course, Measured
from tasks.engine import codes
from tasks.engine.changes import Changes, changes_of, checked, cut, spread
from tasks.engine.rules import Limits, Rules, make_limits, make_rules, target_decides
from tasks.evaluate.metrics import evaluate
from tasks.evaluate.trial import BLOCK_NAMES, Stretch
from tasks.evaluate.verdict import judge
from tasks.signal import Strategy
from tasks.signal.quick import Together
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
    targets,
    times,
    with_costs,
)

OWN = {"skewness", "kurtosis"}
"""Plain moments here; the metrics skew and kurtosis are corrected for the size of the sample."""
STOPS = ("stop_loss", "take_profit", "trailing_stop")
MINUTE = timedelta(minutes=1)


def both(candles: pd.DataFrame, target: Any, cash: float, length: timedelta, **terms: Any) -> tuple[Any, Any]:
    """Return the figures of the sweep's pass, and those of an ordinary backtest."""
    opens = pd.DatetimeIndex(candles.index).as_unit("us").asi8
    stretch = Stretch(opens, length // timedelta(microseconds=1), "24/7", cash)
    course = Course(candles, stretch.ends, cash=cash, timeframe=length, **terms)
    measured = course.measure([changes_of(np.asarray(target, float))])
    full = simulate(candles, target, cash=cash, timeframe=length, **terms)
    name = f"{length // timedelta(hours=1)}h" if length >= timedelta(hours=1) else "1m"
    tables = full.equity, full.trades, full.fills, candles
    metrics = evaluate(*tables, cash=cash, timeframe=name, calendar="24/7").set_index("metric")["value"]
    return stretch.figures(measured.values[0], measured.tallies[0]), metrics


def agree(found: Any, metrics: Any) -> None:
    for name in set(found) - OWN:
        value = np.nan if found[name].value is None else found[name].value
        # Money is compared in the size of the money that moved: fees and profits may cancel.
        assert value == pytest.approx(metrics[name], rel=1e-9, abs=1e-9, nan_ok=True), name


@settings(deadline=None, max_examples=100)
@given(markets(), rule_sets(), limit_sets(TIMED) | st.just({}), st.just({}) | entry_sets(), st.booleans(), times(),
       st.none() | cost_sets(), st.just({}) | cap_sets())  # fmt: skip
def test_the_pass_without_tables_has_the_figures_of_a_backtest(
    market: tuple[list[Bar], list[float]],
    rules: dict[str, Any],
    limits: dict[str, Any],
    entries: dict[str, Any],
    plain: bool,
    hours: list[int],
    costs: dict[str, Any] | None,
    caps: dict[str, Any],
) -> None:
    bars, target = market
    cash, candles = rules.pop("cash"), candles_of(bars, hours)
    if caps:
        costs = (costs or {}) | caps
    terms = rules | (dict.fromkeys(STOPS) if plain else limits | entries)
    if costs is not None:
        candles, terms = with_costs(candles, costs), terms | engine_costs(costs, rules["slippage"])
    agree(*both(candles, target, cash, timedelta(hours=hours[0]), **terms))


@st.composite
def long_walks(draw: st.DrawFn) -> tuple[pd.DataFrame, list[Any]]:
    """Draw some hundred candles, wild enough that a short may ruin, and targets that are kept for a while."""
    seed, size = draw(st.integers(0, 2**32)), draw(st.integers(1, 300))
    wild = draw(st.sampled_from([0.001, 0.01, 0.2]))
    random = np.random.default_rng(seed)
    close = np.round(100 * np.exp(np.cumsum(random.normal(0, wild, size))), 2) + 0.01
    open_ = np.concatenate(([100.0], close[:-1]))
    prices = {"open": open_, "high": np.maximum(open_, close), "low": np.minimum(open_, close), "close": close}
    index = pd.date_range("2024-01-01", periods=size, freq="h", tz="UTC", unit="us", name="ts")
    held = st.lists(st.tuples(targets, st.integers(1, 90)), min_size=1, max_size=12)
    drawn = [[goal for goal, bars in draw(held) for _ in range(bars)] for _ in range(3)]
    return pd.DataFrame(prices, index=index), [np.resize(np.array(goals), size) for goals in drawn]


@settings(deadline=None, max_examples=150)
@given(long_walks(), rule_sets())
def test_from_change_to_change_is_bar_by_bar_to_the_bit(
    market: tuple[pd.DataFrame, list[Any]], rules: dict[str, Any]
) -> None:
    candles, goals = market
    ends = np.append(np.flatnonzero(np.arange(len(candles) - 1) % 24 == 23), len(candles) - 1)
    course = Course(candles, ends, timeframe=timedelta(hours=1), **rules | dict.fromkeys(STOPS))
    changes = [changes_of(goal) for goal in goals]
    slow = Measured(np.empty((len(goals), len(ends))), np.zeros(len(goals), codes.TALLY))
    course._bar_by_bar(changes, slow)
    quick = course.measure(changes)
    np.testing.assert_array_equal(quick.values, slow.values)
    np.testing.assert_array_equal(quick.tallies, slow.tallies)


def test_the_pass_agrees_over_months_of_minutes_and_its_moments_are_plain() -> None:
    candles = walk(200_000)
    target = crossover(candles)
    found, metrics = both(candles, target, 1000.0, MINUTE, fee=0.0, slippage=0.0)
    agree(found, metrics)
    assert found["sharpe_ratio"].value is not None
    assert found["trades"].value > 1000
    assert found["kurtosis"].value == pytest.approx(3 + metrics["kurtosis"], abs=0.5)


def test_only_rules_that_are_known_to_bear_on_the_open_alone_may_differ_from_void() -> None:
    rules, limits = make_rules(), make_limits()
    assert target_decides(rules, limits)
    bears = {name for name in Rules._fields if target_decides(rules._replace(**{name: 0.25}), limits)}
    assert bears == {"fee", "maker_fee", "slippage", "fraction", "amount", "amount_step", "min_amount", "min_cost"}
    assert not any(target_decides(rules, limits._replace(**{name: 0.25})) for name in Limits._fields)


@given(st.lists(targets, max_size=40), st.integers(0, 40), st.integers(0, 40))
def test_changes_are_the_target_and_a_part_of_them_is_its_part(goals: list[float], one: int, other: int) -> None:
    target = np.array(goals, float)
    changes = checked(changes_of(target), len(target))
    np.testing.assert_array_equal(spread(changes, len(target)), target)
    part = slice(*sorted((min(one, len(target)), min(other, len(target)))))
    np.testing.assert_array_equal(spread(cut(changes, part), part.stop - part.start), target[part])


@pytest.mark.parametrize(
    ("bars", "goals", "words"),
    [
        ([0], [1.5], "between -1 and 1"),
        ([3, 3], [0.0, 1.0], "in order"),
        ([10], [1.0], "between 0 and 9"),
        ([-1], [1.0], "between 0 and 9"),
        ([0, 1], [1.0], "as many values"),
    ],
)
def test_changes_that_do_not_fit_are_refused(bars: list[int], goals: list[float], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        checked(Changes(np.array(bars, np.int64), np.array(goals)), 10)


@settings(deadline=None, max_examples=60)
@given(long_walks(), st.sampled_from([1, 24]))
def test_figures_of_many_are_those_of_each(market: tuple[pd.DataFrame, list[Any]], hours: int) -> None:
    candles, goals = market
    opens = pd.DatetimeIndex(candles.index).as_unit("us").asi8[0] + np.arange(len(candles)) * hours * 3_600_000_000
    stretch = Stretch(opens, hours * 3_600_000_000, "24/7", 1000.0)
    course = Course(candles, stretch.ends, cash=1000.0, timeframe=timedelta(hours=1))
    measured = course.measure([changes_of(goal) for goal in goals])
    many = stretch.many(measured.values, measured.tallies)
    for row, (values, tally) in enumerate(zip(measured.values, measured.tallies, strict=True)):
        one = {
            name: np.nan if each.value is None else each.value for name, each in stretch.figures(values, tally).items()
        }
        for name, column in many.items():
            assert column[row] == pytest.approx(one[name], rel=1e-12, nan_ok=True), name


def test_a_ruined_account_takes_the_year_from_none_beside_it() -> None:
    day = 86_400_000_000
    stretch = Stretch(np.arange(200) * day, day, "24/7", 1_000.0)
    values = 1_000.0 + np.outer([1.0, 2.0], np.sin(np.arange(200.0)) + np.arange(200.0) / 50)
    tallies = np.zeros(2, codes.TALLY)
    tallies["ruin"], tallies["worth"] = [5, -1], [-1.0, 0.0]
    many = stretch.many(values, tallies)
    assert np.isnan(many["sharpe_ratio"][0])
    assert many["sharpe_ratio"][1] == pytest.approx(stretch.figures(values[1], tallies[1])["sharpe_ratio"].value)


def test_sums_by_stretch_of_time_add_up_to_the_returns_and_are_absent_where_there_are_few() -> None:
    candles, target = walk(100_000), np.ones(100_000)
    opens = pd.DatetimeIndex(candles.index).as_unit("us").asi8
    stretch = Stretch(opens, 60_000_000, "24/7", 1000.0)
    measured = Course(candles, stretch.ends, cash=1000.0, timeframe=MINUTE).measure([changes_of(target)])
    [blocks] = stretch.blocks(measured.values, measured.tallies)
    sums = dict(zip(BLOCK_NAMES, blocks, strict=True))
    returns = np.diff(measured.values[0], prepend=1000.0) / np.concatenate(([1000.0], measured.values[0][:-1]))
    assert sum(value for name, value in sums.items() if name[0] == "s") == pytest.approx(returns.sum())
    assert sum(value for name, value in sums.items() if name[0] == "q") == pytest.approx((returns**2).sum())
    short = Stretch(opens[:50_000], 60_000_000, "24/7", 1000.0)
    assert np.isnan(short.blocks(measured.values[:, : len(short.ends)], measured.tallies)).all()


class Both(Strategy):
    """Long, or short where the number is a multiple of 3."""

    number: int = 1

    @property
    def warmup(self) -> int:
        return 0

    def generate(self, candles: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"target": -1.0 if self.number % 3 == 0 else 1.0}, index=candles.index)


TERMS: dict[str, Any] = {
    "sizing": {},
    "stops": {},
    "limits": {},
    "entries": {},
    "costs": {"fee": 0.001, "slippage": 0.0},
}
TOLD = {"objective": "sharpe", "split": None, "timeframe": "1d", "calendar": "24/7", "cash": 1000.0} | TERMS


class Sevens(Both):
    """One that makes the targets of many sets at once, and of those with a seven raises, or gives none that can be."""

    @classmethod
    def shared(cls, candles: pd.DataFrame) -> Together:
        def many(strategies: Sequence[Both]) -> list[Changes]:
            if any(one.number == 7 for one in strategies):
                raise ValueError("seven")
            goals = [1.0 if one.number != 17 else 2.0 for one in strategies]
            return [Changes(np.array([0]), np.array([goal])) for goal in goals]

        return Together(many)


@pytest.mark.parametrize("numbers", [(1, 2, 3), (1, 7, 2), (1, 17, 2), (7, 17), (7,)])
def test_of_sets_that_are_made_together_those_alone_fail_that_cannot_be(numbers: tuple[int, ...]) -> None:
    candles = walk(300).set_axis(pd.date_range("2022-01-01", periods=300, freq="D", tz="UTC"))
    trials = Trials(candles, Sevens, {}, TOLD, threads=1)
    rows = trials.run([(number, {"number": str(number)}) for number in numbers]).to_pylist()
    assert [row["number"] for row in rows] == [*numbers]
    said = {7: "ValueError: seven", 17: "a target changes to 2 at candle 0"}
    for row in rows:
        if row["number"] in said:
            assert row["failure"].startswith(said[row["number"]])
            assert row["sharpe_ratio"] is None
        else:
            assert (row["failure"], row["trades"]) == (None, 1)


def test_a_ruined_set_takes_nothing_from_the_sets_beside_it() -> None:
    """Its row has no sums; those of others are what they are when tried alone, wherever it stands among them."""
    closes = 100 * 1.01 ** np.arange(300.0)
    opens = np.concatenate([[100.0], closes[:-1]])
    days = pd.date_range("2022-01-01", periods=300, freq="D", tz="UTC")
    candles = pd.DataFrame({"open": opens, "high": closes, "low": opens, "close": closes, "volume": 1.0}, days)
    trials = Trials(candles, Both, {}, TOLD, threads=1)
    sets = [(number, {"number": str(number)}) for number in range(1, 49)]
    together = trials.run(sets).to_pylist()
    for row, one in zip(together, sets, strict=True):
        assert row == trials.run([one]).to_pylist()[0]
        ruined = row["number"] % 3 == 0
        assert (row["blocks"] is None) == ruined
        assert ruined or [name for name, _ in row["blocks"]] == list(BLOCK_NAMES)
        assert (len(row["returns"]) < 300) == ruined
    words = judge(pd.DataFrame(together), len(sets))[1].words
    assert words.startswith("not proven")


def test_the_table_has_a_column_for_each_figure_that_the_rows_bear() -> None:
    from flows.trials import _COLUMNS, _COLUMNS_OUT

    names = TABLES["sweeps"].schema.names
    assert {*_COLUMNS, *(f"out_{name}" for name in _COLUMNS_OUT)} <= set(names)
