"""The statistics of sweeps: the papers' worked examples, noise that proves nothing, an edge that is found."""

from __future__ import annotations

import json
import math
from itertools import combinations, pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.evaluate.clusters import Clusters
from tasks.evaluate.deflation import deflate
from tasks.evaluate.overfitting import block_sums, overfitting_probability
from tasks.evaluate.sharpe import Ratio, deflated_sharpe, expected_maximum, minimum_track_record, probabilistic_sharpe
from tasks.evaluate.verdict import judge


def sweep_of(returns: np.ndarray, /, **columns: object) -> pd.DataFrame:
    """Return rows as in sweeps for sets with these returns, a column a set."""
    count, sets = returns.shape
    scores = (returns - returns.mean(axis=0)) / returns.std(axis=0)
    sharpe = returns.mean(axis=0) / returns.std(axis=0, ddof=1)
    blocks = []
    for own in returns.T:
        sums, squares = block_sums(own)
        blocks.append({f"s{i}": s for i, s in enumerate(sums)} | {f"q{i}": q for i, q in enumerate(squares)})
    rows = {
        "number": range(1, sets + 1),
        "parameters": [json.dumps({"n": n}) for n in range(sets)],
        "failure": None,
        "objective": sharpe,
        "observations": count,
        "period_sharpe": sharpe,
        "skewness": (scores**3).mean(axis=0),
        "kurtosis": (scores**4).mean(axis=0),
        "blocks": blocks,
        "out_cumulative_return": math.nan,
    }
    return pd.DataFrame(rows | columns)


def noise(sets: int = 50, count: int = 500, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, 0.01, (count, sets))


def figures(sets: pd.DataFrame, trials: int | None = None) -> tuple[pd.Series, str]:
    table = judge(sets, trials or len(sets))[0].set_index("metric")
    return table["value"], table.loc["verdict", "note"]


def test_the_probabilistic_ratio_of_the_papers_hedge_fund() -> None:
    assert probabilistic_sharpe(0.458, 24) == pytest.approx(0.982, abs=5e-4)
    assert probabilistic_sharpe(0.458, 24, -2.448, 10.164) == pytest.approx(0.913, abs=5e-4)


@pytest.mark.parametrize(
    ("periods", "skewness", "kurtosis", "years"),
    [(252, 0, 3, 2.73), (52, 0, 3, 2.83), (12, 0, 3, 3.24), (12, -0.72, 5.78, 4.99)],
)
def test_the_minimum_track_records_of_the_paper(periods: int, skewness: float, kurtosis: float, years: float) -> None:
    root = math.sqrt(periods)
    found = minimum_track_record(2 / root, skewness, kurtosis, benchmark=1 / root)
    assert found / periods == pytest.approx(years, abs=0.01)


def test_sets_that_are_all_ruined_are_judged_over_the_periods_of_the_market() -> None:
    returns = noise(5, 300)
    sets = sweep_of(returns).assign(returns=[own[:78] for own in returns.T])
    market = np.random.default_rng(3).normal(0.0005, 0.01, 300)
    table, verdict = judge(sets, 5, market=market)
    assert not verdict.supported
    assert table.set_index("metric").loc["superior_ability", "value"] > 0.05


def test_an_edge_whose_walk_forward_lost_is_not_proven() -> None:
    returns = noise(20, 500)
    returns[:, 7] += 0.004
    sets = sweep_of(returns)
    assert judge(sets, 20)[1].supported
    assert judge(sets, 20, walked=0.1)[1].supported
    told = judge(sets, 20, walked=-0.52)[1]
    assert told.words == "not proven: the walk-forward returned -52.00%"


def test_a_ratio_not_above_the_benchmark_is_never_proven() -> None:
    assert minimum_track_record(0.1, benchmark=0.1) == math.inf


def test_the_deflated_ratio_of_the_papers_strategist() -> None:
    assert expected_maximum(100, 0.5 / 250) == pytest.approx(0.1132, abs=5e-5)
    assert deflated_sharpe(2.5 / math.sqrt(250), 1250, -3, 10, 100, 0.5 / 250) == pytest.approx(0.9004, abs=5e-5)
    assert deflated_sharpe(2.5 / math.sqrt(250), 1250, -3, 10, 46, 0.5 / 250) == pytest.approx(0.9505, abs=5e-5)


def test_the_expected_maximum_is_that_of_the_best_of_many_normal_draws() -> None:
    best = np.random.default_rng(2).normal(size=(20_000, 50)).max(axis=1).mean()
    assert expected_maximum(50, 1.0) == pytest.approx(
        best, rel=0.02
    )  # the formula is for many trials, and 1 % high at 50
    assert expected_maximum(1, 1.0) == 0.0


def test_one_trial_is_judged_by_its_probabilistic_ratio() -> None:
    assert deflated_sharpe(0.1, 500, 0, 3, 1, 0.0) == probabilistic_sharpe(0.1, 500)


def test_overfitting_is_even_for_noise_and_nil_for_one_set_that_is_always_best() -> None:
    found = []
    for seed in range(12):
        sums, squares = block_sums_of(noise(20, 160, seed))
        found.append(overfitting_probability(sums, squares, 160))
    assert np.mean(found) == pytest.approx(0.5, abs=0.15)
    planted = noise()
    planted[:, 7] += 0.005
    assert overfitting_probability(*block_sums_of(planted), 500) == 0.0


def test_overfitting_agrees_with_ratios_of_the_returns_themselves() -> None:
    returns = noise(5, 67, 3)  # stretches of unequal length
    bounds = np.linspace(0, 67, 17).astype(int)
    pieces = [returns[a:b] for a, b in pairwise(bounds)]
    overfit = []
    for chosen in combinations(range(16), 8):
        halves = [np.vstack([pieces[i] for i in range(16) if (i in chosen) == inside]) for inside in (True, False)]
        inside, outside = (half.mean(axis=0) / half.std(axis=0, ddof=1) for half in halves)
        best = inside.argmax()
        overfit.append((outside <= outside[best]).sum() / 6 <= 0.5)
    sums, squares = block_sums_of(returns)
    assert overfitting_probability(sums, squares, 67) == np.mean(overfit)


def block_sums_of(returns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    sums, squares = zip(*(block_sums(own) for own in returns.T), strict=True)
    return np.column_stack(sums), np.column_stack(squares)


def test_noise_is_not_proven_and_a_planted_edge_is_supported() -> None:
    values, words = figures(sweep_of(noise()))
    assert values["verdict"] == 0
    assert words.startswith("not proven: after 50 trials")
    planted = noise()
    planted[:, 7] += 0.005
    values, words = figures(sweep_of(planted))
    assert (values["verdict"], values["best_set"]) == (1, 8)
    assert words.startswith("supported: ")


def test_more_trials_in_the_history_make_the_same_set_less_sure() -> None:
    planted = noise()
    planted[:, 7] += 0.0018
    few, many = (figures(sweep_of(planted), trials)[0]["deflated_sharpe"] for trials in (50, 50_000))
    assert few > many


def test_a_loss_out_of_sample_is_said() -> None:
    planted = noise()
    planted[:, 7] += 0.005
    _, words = figures(sweep_of(planted, out_cumulative_return=-0.03))
    assert words == "not proven: out-of-sample the best set returned -3.00%"


def test_sets_without_an_objective_are_not_proven_and_say_why() -> None:
    values, words = figures(sweep_of(noise(), objective=math.nan))
    assert (values["verdict"], words) == (0, "not proven: no set has an objective")
    values, words = figures(sweep_of(noise(count=20), blocks=None))
    assert (values["verdict"], words) == (0, "not proven: 20 returns, and it takes 30")


@given(trials=st.integers(1, 500), alike=st.floats(0, 1), spread=st.floats(0, 0.01))
def test_the_strict_ratio_is_never_above_the_other(trials: int, alike: float, spread: float) -> None:
    clusters = Clusters(1 + alike * (trials - 1), max(spread, 1 / 249))
    found = deflate(Ratio(0.1, 250, 0.0, 3.0), trials, spread, clusters)
    assert found.strict_deflated_sharpe <= found.deflated_sharpe
    assert found.strict_expected_maximum_sharpe >= found.expected_maximum_sharpe
