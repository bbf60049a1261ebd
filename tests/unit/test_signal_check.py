"""The check for look-ahead and warm-up: planted offenders are caught, honest strategies are not."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pandas import DataFrame, Series
from pydantic import PrivateAttr

from data.errors import BadInput, StrategyError
from data.settings import CHECKOUT
from tasks.signal import Strategy, above, deviation, hold, sma
from tasks.signal.check import Report, check
from tasks.signal.market import invented_market
from tasks.signal.registry import create
from tasks.signal.strategies.sma_crossover import SmaCrossover

PLANTED = CHECKOUT / "tests" / "strategies_for_tests"


def planted(name: str, **parameters: object) -> Strategy:
    return create(str(PLANTED / f"{name}.py"), parameters)


class Written(Strategy):
    """A strategy that the test writes."""

    warm: int = 0
    _script: Callable[[DataFrame], Any] = PrivateAttr()

    @property
    def warmup(self) -> int:
        return self.warm

    def generate(self, candles: DataFrame) -> DataFrame:
        return DataFrame(self._script(candles), index=candles.index)


def written(script: Callable[[DataFrame], Any], warm: int = 0) -> Written:
    strategy = Written(warm=warm)
    strategy._script = script
    return strategy


def kinds(report: Report) -> set[tuple[str, str]]:
    assert all("\n" not in finding.explanation for finding in report.findings)
    return {(finding.kind, finding.column) for finding in report.findings}


@pytest.mark.parametrize(
    ("offender", "caught"),
    [
        ("centred_window", {("lookahead", "average"), ("lookahead", "target")}),
        ("tomorrow", {("lookahead", "target")}),
        ("normalised", {("lookahead", "score"), ("lookahead", "target")}),
        ("last_close", {("lookahead", "target")}),
        ("future_extreme", {("lookahead", "target")}),
        ("short_warmup_ema", {("warmup", "average"), ("warmup", "target")}),
        ("endless_memory", {("warmup", "mean"), ("warmup", "target")}),
        ("silent_beginning", {("warmup", "target")}),
        ("half_blind_latch", {("warmup", "target")}),
        ("coin", {("error", "target")}),
    ],
)
def test_planted_offenders_are_caught(offender: str, caught: set[tuple[str, str]]) -> None:
    report = check(planted(offender))
    assert not report.passed
    assert kinds(report) == caught


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_offenders_are_caught_with_any_seed(seed: int) -> None:
    for offender in ("tomorrow", "future_extreme", "half_blind_latch", "short_warmup_ema"):
        assert not check(planted(offender), seed=seed).passed, offender


@pytest.mark.parametrize("windows", [1, 2, 3, 4])
def test_an_exponential_average_with_too_short_a_warm_up_is_told_a_sufficient_one(windows: int) -> None:
    report = check(planted("short_warmup_ema", warm=windows))
    advice = report.findings[0].explanation
    assert f"a warm-up of {30 * windows} is too short: on these candles " in advice
    enough = int(advice.split("candles ")[-1].split(" is enough")[0])
    assert 30 * windows < enough <= 9 * 30


def test_the_same_average_with_an_honest_warm_up_passes() -> None:
    assert check(planted("short_warmup_ema", warm=9)).passed


def test_the_newcomers_strategy_passes() -> None:
    report = check(planted("newcomer"))
    assert report.passed
    assert report.changes > 50
    assert report.histories > 50
    assert report.candles == len(invented_market(6 * 19 + 2_000))


def test_a_finding_names_the_first_candle_and_the_two_values() -> None:
    market = invented_market(300)
    report = check(planted("centred_window"), market)
    finding = next(finding for finding in report.findings if finding.column == "average")
    assert finding.ts == market.index[6]
    assert finding.expected == market["close"].iloc[1:12].mean()
    assert math.isnan(finding.found)
    assert "cut off; use only rows up to the candle itself" in finding.explanation


def test_the_same_seed_gives_the_same_report() -> None:
    first, second = check(planted("endless_memory"), seed=5), check(planted("endless_memory"), seed=5)
    assert repr(first) == repr(second)


def test_a_future_that_shows_only_after_a_full_history_is_caught_by_another_future() -> None:
    market = invented_market(600)
    end = market.index[-1]

    def memory(candles: DataFrame) -> dict[str, Series]:
        reach = candles["close"].iloc[-1] if candles.index[-1] == end else 0.0
        return {"target": (candles["close"] > reach).astype(float) if reach > 110 else candles["close"] * 0 + 1}

    assert kinds(check(written(memory), market)) == {("lookahead", "target")}


def test_an_indicator_that_looks_ahead_is_caught_even_if_the_target_does_not() -> None:
    script = lambda candles: {"peak": candles["close"].max(), "target": candles["close"] * 0}  # noqa: E731
    assert kinds(check(written(script))) == {("lookahead", "peak")}


def test_rounding_in_the_last_digits_is_no_finding() -> None:
    def running(candles: DataFrame) -> dict[str, Series]:
        average = candles["close"].rolling(50).mean()
        return {"average": average, "target": above(candles["close"], average + 0.001)}

    assert check(written(running, warm=49)).passed


def test_a_tie_decided_by_rounding_is_a_finding() -> None:
    cents = Series(np.resize([10.1, 10.2, 10.3, 10.4, 10.2], 1_000))
    market = invented_market(1_000).assign(close=cents.to_numpy())

    def script(average: Callable[[Series, int], Series]) -> Callable[[DataFrame], dict[str, Series]]:
        return lambda candles: {"target": above(average(candles["close"], 5), average(candles["close"], 10))}

    assert check(written(script(sma), warm=9), market).passed
    running = script(lambda values, window: values.rolling(window).mean())
    assert kinds(check(written(running, warm=9), market)) == {("warmup", "target")}


def test_a_latched_target_may_be_unknown_at_the_beginning() -> None:
    def latch(candles: DataFrame) -> dict[str, Series]:
        step = candles["close"].pct_change()
        return {"step": step, "target": hold(step > 0.05, step < -0.05)}

    report = check(written(latch, warm=1))
    assert report.passed
    assert report.changes > 2


def test_a_strategy_that_raises_is_reported_not_raised() -> None:
    report = check(written(lambda candles: 1 / 0))
    assert kinds(report) == {("error", "")}
    assert "ZeroDivisionError: division by zero" in report.findings[0].explanation


def test_a_strategy_that_raises_on_short_histories_only_is_reported() -> None:
    def script(candles: DataFrame) -> dict[str, Series]:
        if len(candles) < 1_000:
            raise ValueError("too short for me")
        return {"target": candles["close"] * 0}

    report = check(written(script))
    assert kinds(report) == {("error", "")}
    assert "too short for me (history of " in report.findings[0].explanation


def test_columns_that_come_and_go_are_reported() -> None:
    def script(candles: DataFrame) -> dict[str, Series]:
        extra = {"odd": candles["close"]} if len(candles) % 2 else {}
        return {**extra, "target": candles["close"] * 0}

    report = check(written(script))
    assert kinds(report) == {("error", "")}
    assert "its columns change with the history: " in report.findings[0].explanation


def test_a_state_kept_between_calls_is_reported() -> None:
    calls: list[int] = []

    def script(candles: DataFrame) -> dict[str, Series]:
        calls.append(1)
        return {"target": candles["close"] * 0 + (len(calls) % 2)}

    assert kinds(check(written(script))) == {("error", "target")}


def test_a_strategy_that_never_says_anything_proves_nothing() -> None:
    report = check(written(lambda candles: {"target": candles["close"] * math.nan}))
    assert kinds(report) == {("error", "")}
    assert "no signal on any candle" in report.findings[0].explanation


def test_too_few_candles_are_refused_with_the_number_needed() -> None:
    strategy = SmaCrossover(fast=3, slow=10)
    with pytest.raises(BadInput, match=r"can be checked on 59 candles or more \(9 to warm up\), but there are 58"):
        check(strategy, invented_market(58))
    assert check(strategy, invented_market(59)).passed


def test_a_warm_up_that_is_no_number_is_refused() -> None:
    with pytest.raises(StrategyError, match="warmup is -3"):
        check(written(lambda candles: {}, warm=-3))


def test_the_callers_candles_are_left_as_they_were() -> None:
    market = invented_market(300)
    before = market.copy()
    check(SmaCrossover(fast=3, slow=10), market)
    assert market.equals(before)


@pytest.mark.parametrize("rows", [0, 1, 2, 50, 2_000])
def test_the_invented_market_is_one_of_possible_candles(rows: int) -> None:
    market = invented_market(rows)
    assert len(market) == rows
    assert market.index.name == "ts"
    assert str(market.index.dtype) == "datetime64[us, UTC]"
    assert (market.dtypes == np.float64).all()
    assert (market[["open", "close"]].max(axis=1) <= market["high"]).all()
    assert (market[["open", "close"]].min(axis=1) >= market["low"]).all()
    assert (market[["open", "high", "low", "close"]] > 0).all().all()
    assert (market["volume"] >= 0).all()


def test_the_invented_market_trends_jumps_and_stands_still() -> None:
    market = invented_market(2_000)
    step = market["close"].pct_change().abs()
    assert (step > 0.08).sum() >= 5
    assert (deviation(market["close"], 130) == 0).any()
    assert market["close"].max() > 1.5 * market["close"].min()
    assert market.equals(invented_market(2_000))
    assert not market.equals(invented_market(2_000, seed=1))
