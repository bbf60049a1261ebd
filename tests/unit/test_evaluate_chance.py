"""What a run owes to chance: the bootstrap against arch, intervals, trades in another order."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from arch.bootstrap import optimal_block_length
from arch.bootstrap._samplers_python import stationary_bootstrap_sample_python as sample_of_arch

from data.metrics import METRICS, PORTFOLIO
from tasks.evaluate.bootstrap import block_length, counts, draw, follow
from tasks.evaluate.intervals import MIN_TRADES
from tests.unit.evaluate_runs import curve_of, fills_of, instants, measured, random_returns, trades_of


def moving(seed: int, count: int, keep: float) -> np.ndarray:
    """Returns of which each keeps a share of the one before."""
    series = np.random.default_rng(seed).normal(0.001, 0.01, count)
    for now in range(1, count):
        series[now] += keep * series[now - 1]
    return series


def traded(profits: np.ndarray) -> pd.DataFrame:
    return trades_of(*({"profit": float(profit)} for profit in profits))


@pytest.mark.parametrize("count", [20, 40, 100, 2_500])
@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9, -0.5])
def test_the_block_length_is_that_of_arch(count: int, keep: float) -> None:
    series = moving(count, count, keep)
    theirs = max(1.0, float(optimal_block_length(series)["stationary"].iloc[0]))
    assert block_length(series) == pytest.approx(theirs, rel=1e-9)


def test_blocks_are_as_long_as_returns_hang_together_and_one_where_nothing_varies() -> None:
    lengths = [block_length(moving(1, 2_000, keep)) for keep in (0.0, 0.5, 0.9)]
    assert lengths == sorted(lengths)
    assert lengths[0] < 5 < lengths[2]
    assert block_length(np.zeros(500)) == 1.0
    assert block_length(np.array([1.0, 2.0, 3.0])) == 1.0


def test_the_draw_follows_arch_step_by_step() -> None:
    lot = np.random.default_rng(5)
    starts, chances = lot.integers(60, size=(60, 4)), lot.random((60, 4))
    theirs = [sample_of_arch(starts[:, n].copy(), chances[:, n], 0.2) for n in range(4)]
    np.testing.assert_array_equal(follow(starts, chances, 0.2), np.column_stack(theirs))


def test_a_draw_is_whole_the_same_again_and_has_blocks_of_the_mean_length() -> None:
    drawn = np.hstack(list(draw(300, 6.0)))
    assert drawn.shape == (300, 1_000)
    np.testing.assert_array_equal(drawn, np.hstack(list(draw(300, 6.0))))
    assert (drawn != np.hstack(list(draw(300, 6.0, seed=1)))).any()
    assert np.bincount(drawn.ravel()) == pytest.approx(np.full(300, 1_000), rel=0.2)
    goes_on = (np.diff(drawn, axis=0) % 300 == 1).mean()
    assert goes_on == pytest.approx(1 - 1 / 6, abs=0.01)
    np.testing.assert_array_equal(counts(drawn).sum(axis=0), np.full(1_000, 300))


def test_every_headline_has_an_interval_but_the_trades_that_are_open() -> None:
    returns = random_returns(4, 600)
    curve = curve_of(returns)
    fills = fills_of(*({"fee": 0.1, "ts": day} for day in instants(40)))
    profits = np.random.default_rng(1).normal(1, 5, 40)
    found = measured(curve, curve_of(random_returns(5, 600)), trades=traded(profits), fills=fills)
    without = [name for name in PORTFOLIO if math.isnan(found.low[name])]
    assert without == ["open_trades"]
    assert (found.low[list(PORTFOLIO)].dropna() <= found.high[list(PORTFOLIO)].dropna()).all()
    again = measured(curve, curve_of(random_returns(5, 600)), trades=traded(profits), fills=fills)
    pd.testing.assert_frame_equal(found, again)


def test_the_interval_of_the_sharpe_ratio_is_near_mertens_where_returns_are_independent() -> None:
    found = measured(curve_of(random_returns(6, 1_500)))
    root = math.sqrt(365)
    for bound in ("low", "high"):
        assert found.loc["sharpe_ratio", bound] / root == pytest.approx(found.loc["period_sharpe", bound], abs=0.006)


def test_the_interval_widens_where_returns_hang_together() -> None:
    """Mertens' does not: it takes them to be independent."""
    found = measured(curve_of(moving(2, 1_500, 0.6)))
    ours = (found.high["sharpe_ratio"] - found.low["sharpe_ratio"]) / math.sqrt(365)
    assert ours > 1.5 * (found.high["period_sharpe"] - found.low["period_sharpe"])


def test_the_interval_holds_the_true_volatility_in_ninety_five_of_a_hundred_samples() -> None:
    lot = np.random.default_rng(8)
    found = [measured(curve_of(lot.normal(0, 0.01, 200))).loc["annual_volatility"] for _ in range(80)]
    true = 0.01 * math.sqrt(365)
    assert 0.88 <= np.mean([row.low <= true <= row.high for row in found]) <= 0.99


def test_the_intervals_of_a_path_are_those_of_paths_drawn_one_by_one() -> None:
    returns = random_returns(9, 120)
    found = measured(curve_of(returns), market=curve_of(random_returns(10, 120)))
    deepest, longest, ends = [], [], []
    for own in np.hstack(list(draw(120, block_length(returns)))).T:
        curve = np.concatenate(([1.0], np.cumprod(1 + returns[own])))
        peaks = np.maximum.accumulate(curve)
        deepest.append((curve / peaks - 1).min())
        ends.append(curve[-1] - 1)
        below = "".join("x" if now < peak else " " for now, peak in zip(curve, peaks, strict=True)).split()
        longest.append(max(map(len, below), default=0))
    for name, values in (("max_drawdown", deepest), ("max_drawdown_days", longest), ("cumulative_return", ends)):
        low, high = np.percentile(values, [2.5, 97.5])
        assert (found.low[name], found.high[name]) == (pytest.approx(low), pytest.approx(high)), name


def test_few_returns_few_trades_and_what_does_not_vary_have_no_intervals() -> None:
    few = measured(curve_of(random_returns(1, 29)), trades=traded(np.arange(MIN_TRADES - 1) - 3.0))
    bootstrapped = [name for name in PORTFOLIO if name not in ("win_rate",)]
    assert few.low[bootstrapped].isna().all()
    assert few.note["shuffled_drawdown"] == "needs 10 closed trades"
    still = measured(np.full(200, 100.0), market=curve_of(random_returns(2, 200)))
    assert still.low[bootstrapped].isna().all()
    assert still.note["probabilistic_sharpe"] == "the returns do not vary"
    ruined = measured([*curve_of(random_returns(3, 200)), -5.0, -5.0])
    assert ruined.low[bootstrapped].isna().all()
    won = measured(curve_of(random_returns(1, 100)), trades=traded(np.arange(1.0, 31.0)))
    assert math.isnan(won.low["profit_factor"])  # no history has a loss
    assert won.low["expectancy"] < won.value["expectancy"] < won.high["expectancy"]


def test_shuffled_trades_end_alike_and_fall_otherwise() -> None:
    won, lost = np.full(20, 5.0), np.full(20, -4.0)
    together = measured([100.0], trades=traded(np.concatenate([lost, won])))
    apart = measured([100.0], trades=traded(np.column_stack([won, lost]).ravel()))
    deep, flat = together.loc["shuffled_drawdown"], apart.loc["shuffled_drawdown"]
    assert deep.note.startswith("as they came -80.00%; 0% of the orders")
    assert flat.note.endswith("100% of the orders are deeper")
    assert deep.low <= deep.value <= deep.high < 0
    ends = together.loc["drawn_final_equity"]
    assert ends.low < 120.0 < ends.high


def test_one_trade_over_and_over_leaves_nothing_to_chance() -> None:
    found = measured([100.0], trades=traded(100 * 1.01 ** np.arange(1, 13) - 100 * 1.01 ** np.arange(12)))
    assert found.loc["drawn_final_equity", ["low", "value", "high"]].tolist() == pytest.approx([100 * 1.01**12] * 3)
    assert found.loc["shuffled_drawdown", ["low", "value", "high"]].tolist() == [0, 0, 0]


def test_trades_that_lost_all_are_not_shuffled() -> None:
    found = measured([100.0], trades=traded(np.array([-60.0, -50.0, *[20.0] * 10])))
    assert found.note["shuffled_drawdown"] == "the closed trades lost all the cash"
    assert math.isnan(found.value["drawn_final_equity"])


def test_the_certainty_of_a_run_is_that_of_its_ratio() -> None:
    returns = random_returns(12, 400, mean=0.002)
    found = measured(curve_of(returns))
    z = (found.value["period_sharpe"] - 0) / (
        (found.high["period_sharpe"] - found.low["period_sharpe"]) / 2 / 1.959963984540054
    )
    assert found.value["probabilistic_sharpe"] == pytest.approx(0.5 * math.erfc(-z / math.sqrt(2)), abs=1e-3)
    enough = found.value["minimum_track_record"] <= found.value["observations"]
    assert enough == (found.value["probabilistic_sharpe"] >= 0.95)
    assert METRICS["minimum_track_record"].unit == "count"
