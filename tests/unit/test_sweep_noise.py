"""Noise, edges and real prices: what the statistics of a sweep let through, and what they find."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from arch.bootstrap import SPA
from scipy.stats import binom

from data.trials import Earlier
from tasks.backtest.sweep import Course
from tasks.engine.changes import changes_of
from tasks.evaluate.account import DAY
from tasks.evaluate.bootstrap import block_length, counts, draw
from tasks.evaluate.clusters import effective_trials
from tasks.evaluate.figure import Figure
from tasks.evaluate.overfitting import BLOCKS, block_bounds, overfitting_probability
from tasks.evaluate.sample import market_of
from tasks.evaluate.sharpe import expected_maximum
from tasks.evaluate.superiority import deviations, superiority
from tasks.evaluate.trial import Stretch
from tasks.evaluate.verdict import judge, judge_run
from tests.unit.test_sweep_statistics import noise, sweep_of


def with_returns(returns: np.ndarray, /, **columns: object) -> pd.DataFrame:
    """Rows as in sweeps that have kept their returns."""
    return sweep_of(returns, returns=list(returns.T), **columns)


def overfitting(returns: np.ndarray) -> float:
    first = block_bounds(len(returns))[:-1]
    sums, squares = (np.add.reduceat(each, first, axis=0) for each in (returns, returns**2))
    assert len(sums) == BLOCKS
    return overfitting_probability(sums, squares, len(returns))


def through(sweeps: int, seed: int) -> dict[str, float]:
    """How often 5 % or less is given to sweeps of noise; the mean probability of overfitting; how often supported."""
    counted = {"reality_check": 0, "superior_ability": 0, "supported": 0}
    overfit = []
    for number in range(sweeps):
        returns = noise(50, 500, seed + number)
        tested = superiority(returns, seed=seed + number)
        assert tested is not None
        counted["reality_check"] += tested.reality_check <= 0.05
        counted["superior_ability"] += tested.consistent <= 0.05
        overfit.append(overfitting(returns))
        if tested.consistent <= 0.05:  # without it none is supported
            counted["supported"] += judge(with_returns(returns), 50)[1].supported
    return counted | {"overfitting": float(np.mean(overfit)), "spread": float(np.std(overfit))}


def hold_noise_to_the_size_of_the_tests(sweeps: int, seed: int) -> None:
    found = through(sweeps, seed)
    most = binom.ppf(0.999, sweeps, 0.05)
    assert found["reality_check"] <= most
    assert found["superior_ability"] <= most
    assert found["supported"] <= found["superior_ability"]
    assert found["overfitting"] == pytest.approx(0.5, abs=3.3 * found["spread"] / np.sqrt(sweeps))


def test_noise_passes_no_more_often_than_the_tests_say() -> None:
    hold_noise_to_the_size_of_the_tests(24, 10_000)


@pytest.mark.slow
def test_a_thousand_sweeps_of_noise_pass_no_more_often_than_the_tests_say() -> None:
    hold_noise_to_the_size_of_the_tests(1_000, 0)


def averages_on_a_walk(lot: np.random.Generator, count: int = 900) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The returns of 380 pairs of averages on a walk without drift, a column a pair; their turnover; the market's."""
    changes = lot.normal(0, 0.01, count + 60)
    prices = pd.Series(np.exp(np.cumsum(changes)))
    means = {window: prices.rolling(window).mean().to_numpy() for window in (*range(2, 21), *range(21, 60, 2))}
    pairs = [(fast, slow) for fast in range(2, 21) for slow in range(21, 60, 2)]
    held = np.column_stack([means[fast] > means[slow] for fast, slow in pairs])[59:-1].astype(float)
    market = np.expm1(changes[60:])
    turned = np.abs(np.diff(held, axis=0, prepend=0))
    return held * market[:, None] - 0.0005 * turned, 0.0005 * turned, market


def beyond_the_market(returns: np.ndarray, market: np.ndarray) -> Figure:
    """What the market does not explain a year, with its interval by the bootstrap."""

    def of(weights: np.ndarray) -> np.ndarray:
        own, other = returns @ weights, market @ weights
        beta = ((returns * market) @ weights - own * other) / ((market * market) @ weights - other**2)
        return np.asarray((own - beta * other) * 365)

    count = len(returns)
    drawn = np.concatenate([of(counts(inside) / count) for inside in draw(count, block_length(returns))])
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Figure(float(of(np.full((count, 1), 1 / count))[0]), float(low), float(high))


@pytest.mark.slow
def test_the_best_of_a_grid_on_noise_is_seldom_supported_as_a_backtest_either() -> None:
    lot, walks, supported, deflated = np.random.default_rng(5), 400, 0, 0
    for _ in range(walks):
        returns, costs, market = averages_on_a_walk(lot)
        ratios = returns.mean(axis=0) / returns.std(axis=0, ddof=1)
        best = int(ratios.argmax())
        own, others = returns[:, best], np.delete(returns, best, axis=1)
        twice = float(np.prod(1 + own - costs[:, best]) - 1)
        alpha = beyond_the_market(own, market)
        earlier = Earlier(others, len(others.T))
        verdict = judge_run(own, len(ratios), float(ratios.var(ddof=1)), earlier, alpha, twice)
        assert verdict.deflated is not None
        supported += verdict.supported
        deflated += verdict.deflated.deflated_sharpe >= 0.95
    assert supported <= binom.ppf(0.999, walks, 0.05)
    assert supported < deflated <= binom.ppf(0.999, walks, 0.1)


def test_the_reality_check_is_that_of_arch() -> None:
    returns = noise(30, 200, 4)
    returns[:, 3] += 0.0012
    returns[:, 10:20] -= 0.003
    ours = superiority(returns)
    assert ours is not None
    theirs = SPA(np.zeros(200), -returns, block_size=ours.block, reps=2_000, seed=1)  # losses
    theirs.compute()
    assert ours.reality_check == pytest.approx(theirs.pvalues["upper"], abs=0.04)
    np.testing.assert_allclose(deviations(returns, ours.block) ** 2, theirs._loss_diff_var, rtol=1e-9)
    assert ours.lower <= ours.consistent <= ours.upper


def test_clearly_bad_sets_hide_a_good_one_from_the_reality_check_but_not_from_hansen() -> None:
    """Hansen (2005): the point of his test."""
    returns = noise(60, 400, 5)
    returns[:, 0] += 0.0017
    returns[:, 1:] = returns[:, 1:] * 6 - 0.02
    tested = superiority(returns)
    assert tested is not None
    assert tested.consistent < 0.05 < tested.reality_check


def test_where_no_set_is_better_than_the_benchmark_luck_alone_is_always_as_good() -> None:
    """The statistic is 0 then, as is that of many draws: Hansen (2005), section 2."""
    tested = superiority(noise(20, 500, 6) / 10 - 0.004)
    assert tested is not None
    assert (tested.lower, tested.consistent, tested.upper) == (1.0, 1.0, 1.0)
    market = np.random.default_rng(7).normal(0.002, 0.01, 900)
    mostly = np.column_stack([np.where(np.arange(900) % out == 0, -0.002, market) for out in range(6, 14)])
    tested = superiority(
        mostly, market
    )  # each goes with a market that rises, and is the worse for every day without it
    assert tested is not None
    assert tested.consistent == 1.0


def test_a_run_whose_part_of_the_market_is_not_known_is_not_supported() -> None:
    returns = np.random.default_rng(8).normal(0.01, 0.01, 80)
    earlier = Earlier(np.empty((80, 0)), 0)
    known = judge_run(returns, 1, 0.0, earlier, Figure(3.0, 2.0, 4.0), 1.0)
    unknown = judge_run(returns, 1, 0.0, earlier, Figure(None, note="not annualised: 80 returns"), 1.0)
    assert known.supported
    assert unknown.words == "not proven: what the market does not explain is not known: not annualised: 80 returns"


def test_what_a_sample_of_the_trials_stands_for_is_clustered_too() -> None:
    """Ten thousand trials of three kinds, of which 500 are known, are no 9,500 different ones."""
    kinds = noise(3, 400, 9)
    returns = np.column_stack([kinds[:, kind] * (1 + part / 500) for kind in range(3) for part in range(166)])
    judged = judge_run(kinds[:, 0], 10_001, 1e-4, Earlier(returns, 10_000), None, None).deflated
    assert judged is not None
    assert judged.effective_trials == pytest.approx(3 * 10_001 / 499)
    alone = judge_run(kinds[:, 0], 10_001, 1e-4, Earlier(returns, 498), None, None).deflated
    assert alone is not None
    assert alone.effective_trials == pytest.approx(3 + 10_001 - 499)


def test_an_edge_is_found_and_the_same_draw_gives_the_same_answer() -> None:
    planted = noise(50, 500, 6)
    planted[:, 7] += 0.0025
    tested = superiority(planted)
    assert tested is not None
    assert (tested.consistent, tested.reality_check) == (0.0, 0.0)
    assert tested == superiority(planted)
    table, verdict = judge(with_returns(planted), 50)
    assert verdict.supported
    assert verdict.reason.startswith("a Sharpe ratio above the luckiest of 50 trials on this series with a probability")
    assert table.set_index("metric").loc["superior_ability", "value"] == 0.0


def test_what_the_market_gave_is_no_edge() -> None:
    lot = np.random.default_rng(7)
    market = lot.normal(0.002, 0.01, 1_000)
    held = np.cumsum(lot.random((1_000, 40)) < 0.05, axis=0) % 2
    rode = held * market[:, None]
    against_nothing, against_market = superiority(rode), superiority(rode, market)
    assert against_nothing is not None
    assert against_market is not None
    assert against_nothing.consistent < 0.01
    assert against_market.consistent > 0.1
    always = superiority(np.column_stack([market, 0.5 * market]), market)
    assert always is None  # nothing is left


def test_returns_that_hang_together_do_not_pass_for_an_edge() -> None:
    """Taken for independent they would: deviations are what the blocks make of them."""
    passed = 0
    for seed in range(15):
        returns = noise(20, 400, seed)
        for now in range(1, 400):
            returns[now] += 0.5 * returns[now - 1]
        tested = superiority(returns, seed=seed)
        assert tested is not None
        passed += tested.consistent <= 0.05
    assert passed <= binom.ppf(0.999, 15, 0.08)


def correlated(kind: str, sets: int, count: int) -> np.ndarray:
    place = np.arange(sets)
    matrix = {
        "independent": np.eye(sets),
        "half": 0.5 + 0.5 * np.eye(sets),
        "chain": 0.8 ** abs(place[:, None] - place),
        "wide chain": 0.95 ** abs(place[:, None] - place),
    }[kind]
    return np.random.default_rng(1).multivariate_normal(np.zeros(sets), matrix * 1e-4, count)


@pytest.mark.parametrize(
    ("kind", "truth", "most"), [("independent", 94, 100), ("half", 16, 100), ("chain", 46, 70), ("wide chain", 13, 30)]
)
def test_the_effective_number_is_no_less_than_the_draws_whose_best_is_as_good(kind: str, truth: int, most: int) -> None:
    """The truth is the number of independent draws with the same expected maximum, from 4,000 draws."""
    found = effective_trials(correlated(kind, 100, 500), 100)
    assert found is not None
    assert truth <= found.trials <= most


def test_copies_are_one_trial_and_opposites_are_two() -> None:
    one = noise(1, 300, 2)
    copies = effective_trials(np.hstack([one * scale for scale in (1, 2, 0.5)]), 3)
    assert copies is not None
    assert (copies.trials, copies.variance) == (1.0, pytest.approx(1 / 299))
    opposites = effective_trials(np.hstack([one, -one]), 2)
    assert opposites is not None
    assert opposites.trials == 2.0
    flat = effective_trials(np.hstack([one, np.zeros((300, 4))]), 1)
    assert flat is not None
    assert flat.trials == 1.0
    assert effective_trials(np.zeros((300, 4)), 4) is None
    assert effective_trials(noise(4, 20), 4) is None


def test_trials_without_returns_count_one_each_and_a_sample_is_scaled_up() -> None:
    groups = np.repeat(noise(5, 300, 3), 40, axis=1) + noise(200, 300, 4) / 5
    found = effective_trials(groups, 200)
    assert found is not None
    assert found.trials == 5.0
    beside = effective_trials(groups, 230)
    assert beside is not None
    assert beside.trials == 35.0
    many = effective_trials(groups, 2_000, known=2_000)
    assert many is not None
    assert many.trials == 50.0
    assert effective_trials(np.tile(groups, 6), 1_200).trials == pytest.approx(6.0)  # type: ignore[union-attr]


def test_the_variance_of_clusters_is_never_less_than_chance_makes_it() -> None:
    lot = np.random.default_rng(3)
    for _ in range(20):
        returns = lot.normal(0, 0.01, (250, 2))
        returns -= returns.mean(axis=0)  # ratios that agree by luck
        found = effective_trials(returns, 2)
        assert found is not None
        assert found.variance == pytest.approx(1 / 249)


def test_resembling_trials_cost_less_than_the_strict_count_and_both_are_told() -> None:
    returns = np.repeat(noise(4, 500, 11), 25, axis=1) + noise(100, 500, 12) / 10
    table = judge(with_returns(returns), 100)[0].set_index("metric")
    value = table["value"]
    assert (value["trials"], value["effective_trials"]) == (100, 4)
    assert value["strict_deflated_sharpe"] < value["deflated_sharpe"] < value["probabilistic_sharpe"]
    variance = max(float((returns.mean(axis=0) / returns.std(axis=0, ddof=1)).var(ddof=1)), 1 / 499)
    assert f"{expected_maximum(100, variance):.3f}" in table.loc["strict_deflated_sharpe", "note"]


def test_what_was_tried_before_counts_by_its_returns() -> None:
    returns = noise(10, 400, 13)
    alone, like, other = (
        judge(with_returns(returns), 10 + len(earlier.T), earlier=Earlier(earlier, len(earlier.T)))[0].set_index(
            "metric"
        )["value"]
        for earlier in (np.empty((400, 0)), returns[:, :5] * 2, noise(5, 400, 14))
    )
    assert alone["effective_trials"] == like["effective_trials"] == 10
    assert other["effective_trials"] == 15
    assert other["expected_maximum_sharpe"] > alone["expected_maximum_sharpe"]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([("costs", 2, -0.01)], "at twice the costs the best set returned -1.00%"),
        ([("costs", 2, 0.5), ("fast", -1, -0.2), ("fast", 1, -0.1)], "the sets beside the best one returned -15.00%"),
        ([("costs", 2, 0.5), ("fast", -1, -0.2), ("fast", 1, 0.3)], ""),
        ([], ""),
    ],
)
def test_an_edge_that_costs_or_a_step_aside_destroy_is_not_proven(
    rows: list[tuple[str, int, float]], words: str
) -> None:
    planted = noise(20, 500, 6)
    planted[:, 7] += 0.003
    varied = pd.DataFrame(rows, columns=["varied", "step", "cumulative_return"])
    verdict = judge(with_returns(planted), 20, sensitivity=varied)[1]
    assert verdict.supported == (not words)
    assert verdict.reason.startswith(words or "a Sharpe ratio above")


def test_what_cannot_be_judged_is_not_proven_and_says_why() -> None:
    flat = {"objective": 0.0, "period_sharpe": np.nan, "kurtosis": np.nan, "returns": [np.zeros(100)] * 3}
    assert judge(sweep_of(noise(3, 100), **flat), 3)[1].words == "not proven: the best set's returns do not vary"
    few = with_returns(noise(3, 20), blocks=None)
    assert judge(few, 3)[1].words == "not proven: 20 returns, and it takes 30"
    failing = with_returns(noise(3, 100), failure="refused", objective=np.nan)
    assert judge(failing, 1)[1].words == "not proven: no set has an objective"
    table, verdict = judge(with_returns(noise(1, 300, 2) + 0.003), 1)
    notes, value = table.set_index("metric")["note"], table.set_index("metric")["value"]
    assert "needs 2 sets" in notes["overfitting_probability"]
    assert (value["effective_trials"], value["expected_maximum_sharpe"]) == (1, 0)
    assert verdict.supported  # one set, tried once, and a ratio of 0.3 in 300 returns


def test_ruined_sets_are_padded_and_take_part() -> None:
    returns = noise(10, 300, 3)
    kept = [*returns.T[:8], returns[:100, 8], np.append(returns[:50, 9], -1.2)]
    sets = sweep_of(returns, returns=kept)
    sets.loc[8:, "blocks"] = None
    table, verdict = judge(sets, 10)
    assert not verdict.supported
    assert table.set_index("metric").loc["effective_trials", "value"] == 10
    assert table.set_index("metric")["value"].notna()["superior_ability"]


def prices(folder: Path) -> pd.DataFrame:
    rows = pd.read_csv(folder / "kraken_BTC-USD_1d_2015-08-07_2021-12-31.csv")
    rows.index = pd.DatetimeIndex(pd.to_datetime(rows.pop("timestamp"), unit="s", utc=True), name="ts").as_unit("us")
    return rows


def tried_at_random(candles: pd.DataFrame, sets: int, seed: int) -> np.ndarray:
    """Returns of accounts that hold at random moments, 20 days at a time in the mean, costs paid."""
    lot, opens = np.random.default_rng(seed), pd.DatetimeIndex(candles.index).as_unit("us").asi8
    stretch = Stretch(opens, DAY, "24/7", 1_000.0)
    terms = {"fee": 0.001, "slippage": 0.0005}
    course = Course(candles, stretch.ends, cash=1_000.0, timeframe=timedelta(days=1), **terms)  # type: ignore[arg-type]
    columns = []
    for flips in lot.random((sets, len(candles))) < 0.05:
        measured = course.measure([changes_of(np.cumsum(flips) % 2.0)])
        columns.append(stretch.returns(measured.values, measured.tallies)[0])
    return np.column_stack(columns).astype(np.float64)


def test_random_signals_on_real_prices_are_not_proven(market_data: Path) -> None:
    """The price rose a hundredfold: each of them gained, and against nothing half of these sweeps would pass."""
    candles = prices(market_data)
    market = market_of(candles, DAY).returns
    gained = []
    for seed in range(3):
        returns = tried_at_random(candles, 60, seed)
        table, verdict = judge(with_returns(returns), 60, market=market)
        assert not verdict.supported, seed
        gained.append(table.set_index("metric").loc["deflated_sharpe", "value"])
        assert "Hansen's test" in verdict.reason or "deflated" in verdict.reason
    assert np.mean(gained) > 0.9  # which alone would not have refused them


def test_real_prices_in_another_order_prove_nothing(market_data: Path) -> None:
    candles = prices(market_data)
    lot = np.random.default_rng(2)
    closes = candles["close"].to_numpy()
    steps = lot.permutation(np.diff(np.log(closes)))
    close = closes[0] * np.exp(np.concatenate(([0.0], np.cumsum(steps))))
    shuffled = candles.assign(open=np.concatenate((close[:1], close[:-1])), close=close)
    shuffled = shuffled.assign(
        high=shuffled[["open", "close"]].max(axis=1), low=shuffled[["open", "close"]].min(axis=1)
    )
    opens = pd.DatetimeIndex(candles.index).as_unit("us").asi8
    stretch = Stretch(opens, DAY, "24/7", 1_000.0)
    course = Course(shuffled, stretch.ends, cash=1_000.0, timeframe=timedelta(days=1), fee=0.001, slippage=0.0005)
    columns = []
    for fast in range(5, 45, 5):
        for slow in range(50, 200, 15):
            means = [shuffled["close"].rolling(window).mean() for window in (fast, slow)]
            measured = course.measure([changes_of((means[0] > means[1]).to_numpy(float))])
            columns.append(stretch.returns(measured.values, measured.tallies)[0])
    returns = np.column_stack(columns).astype(np.float64)
    _, verdict = judge(with_returns(returns), len(columns), market=market_of(shuffled, DAY).returns)
    assert verdict.words.startswith("not proven: ")
