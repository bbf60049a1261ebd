"""Verdicts: of each backtest and sweep by all that was tried until then, in the lake, and `jarvis judge`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data.candles import read_candles
from data.errors import BadInput
from data.runs import read_run
from data.trials import Past
from data.views import connect
from data.writer import Lake
from flows import trials as trials_module
from flows.backtest import Backtest, backtest
from flows.judge import judge_again
from flows.parameters import BacktestParameters, SweepParameters
from flows.sweep import Sweep, sweep
from tasks.evaluate import trial
from tests.servers.command_line import Jarvis

SERIES = ("sample", "AAPL", "1d")
GRID = {"fast": "10:40:10", "slow": "50:110:20"}


EDITED = """
from tasks.signal import DataFrame, Strategy, above


class Edited(Strategy):
    '''Hold above a mean.'''

    @property
    def warmup(self):
        return {length} - 1

    def generate(self, candles):
        return DataFrame({{"target": above(candles["close"], candles["close"].rolling({length}).mean())}})
"""


def run(fast: int = 20, slow: int = 60, **more: object) -> Backtest:
    parameters = BacktestParameters(params={"fast": fast, "slow": slow}, **more)  # type: ignore[arg-type]
    result: Backtest = backtest.fn(parameters)
    return result


def swept(**parameters: object) -> Sweep:
    (result,) = sweep.fn(SweepParameters(**{"grid": GRID, "best": 0} | parameters))  # type: ignore[arg-type]
    return result


def test_a_backtest_is_judged_by_what_was_tried_before_it(lake: Lake) -> None:
    first = run()
    assert first.verdict.deflated is not None
    assert (first.verdict.deflated.trials, first.verdict.deflated.effective_trials) == (1, 1.0)
    assert first.verdict.deflated.deflated_sharpe == first.verdict.deflated.probabilistic_sharpe
    swept()
    later = run(21, 60)
    assert later.verdict.deflated is not None
    assert later.verdict.deflated.trials == 18
    few = later.verdict.deflated.effective_trials
    assert few is not None
    assert 1 <= few < 10  # they hold much the same
    assert later.verdict.deflated.strict_deflated_sharpe < later.verdict.deflated.probabilistic_sharpe
    found = read_run(lake, later.run_id, "verdicts").iloc[0]
    assert found["reason"] == later.verdict.reason
    assert found["deflated_sharpe"] == later.verdict.deflated.deflated_sharpe
    metrics = read_run(lake, later.run_id, "metrics").set_index("metric")["value"]
    assert found["probabilistic_sharpe"] == pytest.approx(metrics["probabilistic_sharpe"], rel=1e-12)
    assert found["minimum_track_record"] == pytest.approx(metrics["minimum_track_record"], rel=1e-12)


def test_judged_again_the_latest_verdict_holds_and_the_same_one_is_not_repeated(lake: Lake) -> None:
    first = run()
    swept()
    assert judge_again(lake, first.run_id).deflated.trials == 17  # type: ignore[union-attr]
    judge_again(lake, first.run_id)
    lines = connect(lake).execute(
        "SELECT trials FROM verdict_revisions WHERE run_id = ? ORDER BY judged_at", [first.run_id]
    )
    assert lines.fetchall() == [(1,), (17,)]
    assert read_run(lake, first.run_id, "verdicts")["trials"].tolist() == [17]
    assert run().verdict.deflated.trials == 17  # type: ignore[union-attr]
    assert lake.claimed("runs", first.run_id) == 1


def test_what_decides_beside_the_parameters_makes_another_trial_and_costs_make_none(lake: Lake, tmp_path: Path) -> None:
    def trials(**more: object) -> int:
        deflated = run(**more).verdict.deflated  # type: ignore[arg-type]
        assert deflated is not None
        return deflated.trials

    assert [trials(), trials(stop_loss=0.1), trials(stop_loss=0.2), trials(fraction=0.5)] == [1, 2, 3, 4]
    assert [trials(max_drawdown=0.3), trials(order_type="limit"), trials(fee=0.01)] == [5, 6, 6]
    assert trials(slippage=0.001) == 6
    file = tmp_path / "edited.py"
    counted = []
    for length in (5, 10, 15):
        file.write_text(EDITED.format(length=length), encoding="utf-8")
        deflated = backtest.fn(BacktestParameters(strategy=f"{file}")).verdict.deflated
        assert deflated is not None
        counted.append(deflated.trials)
    assert counted == [7, 8, 9]


def test_a_sweep_of_the_best_set_alone_is_judged_by_the_spread_of_all_that_was_tried(lake: Lake) -> None:
    wide = swept()
    strict = read_run(lake, wide.run_id, "metrics").set_index("metric")["value"]["strict_deflated_sharpe"]
    best = json.loads(wide.sets.loc[wide.sets["objective"].idxmax(), "parameters"])
    narrow = swept(grid={"fast": str(best["fast"]), "slow": str(best["slow"])})
    found = read_run(lake, narrow.run_id, "metrics").set_index("metric")["value"]
    assert found["trials"] == len(wide.sets)
    assert found["strict_deflated_sharpe"] == pytest.approx(strict, rel=1e-9)


def test_candles_that_are_others_by_now_are_not_judged_by(lake: Lake) -> None:
    result = swept()
    candles = read_candles(lake, *SERIES)
    last = candles.iloc[[100]].assign(exchange=SERIES[0], symbol=SERIES[1], timeframe=SERIES[2], revision=1)
    revised = last.assign(close=last["close"] * 1.0001, ts=last.index, superseded_at=pd.NaT)
    lake.append("candles", revised.assign(fetched_at=pd.Timestamp.now("UTC"), trades=pd.NA).astype({"trades": "Int64"}))
    with pytest.raises(BadInput, match=r"the candles of run \w+ are others by now: sweep them again"):
        judge_again(lake, result.run_id)


def test_a_sweep_judged_from_the_record_is_judged_as_when_it_was_made(lake: Lake) -> None:
    result = swept(split=0.7)
    metrics = read_run(lake, result.run_id, "metrics").set_index("metric")
    again = judge_again(lake, result.run_id)
    assert again.words == result.verdict
    assert len(read_run(lake, result.run_id, "verdicts")) == 1
    assert metrics.loc["superior_ability", ["low", "value", "high"]].is_monotonic_increasing
    assert metrics.loc["effective_trials", "value"] < metrics.loc["trials", "value"]


def test_the_returns_of_a_set_are_those_of_its_backtest(lake: Lake) -> None:
    result = swept()
    sets = read_run(lake, result.run_id, "sweeps")
    chosen = sets[sets["failure"].isna()].iloc[3]
    own = json.loads(chosen["parameters"])
    full = run(own["fast"], own["slow"])
    values = full.simulation.equity["equity"].to_numpy()
    before = np.concatenate(([100_000.0], values[:-1]))
    np.testing.assert_allclose(chosen["returns"], values / before - 1, rtol=1e-6, atol=1e-9)
    days = (full.simulation.equity["ts"].astype("int64") // 86_400_000_000).to_numpy()
    with Past(lake, *SERIES) as past:
        known = past.returns(days, full.run_id)
        assert past.spread()[0] == 16
    assert known.trials == 16
    assert known.returns.shape == (len(days), 16)
    np.testing.assert_allclose(known.returns[:, 3], values / before - 1, rtol=1e-6, atol=1e-9)
    with Past(lake, *SERIES) as past:
        half = past.returns(days[: len(days) // 3], result.run_id)
        assert half.returns.shape == (len(days) // 3, 1)
        nothing = past.returns(days + 100_000, "none")
        assert (nothing.returns.shape, nothing.trials) == ((len(days), 0), 0)


def test_above_the_bound_every_nth_set_keeps_its_returns(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "KEPT", 1_509 * 6)
    assert trial.kept_every(16, 1_509) == 3
    assert trials_module.kept_every(6, 1_509) == 1
    result = swept()
    kept = read_run(lake, result.run_id, "sweeps")["returns"].notna()
    assert kept.tolist() == [number % 3 == 0 for number in range(16)]
    days = (read_candles(lake, *SERIES).index.as_unit("us").asi8 // 86_400_000_000).astype(np.int64)
    with Past(lake, *SERIES) as past:
        known = past.returns(days, "none")
        assert (known.returns.shape[1], known.trials) == (6, 16)
    assert result.metrics.set_index("metric").loc["superior_ability", "note"] == "of 6 sets"
    effective = result.metrics.set_index("metric").loc["effective_trials", "value"]
    assert 1 <= effective <= 16


def test_the_sensitivity_of_a_run_is_that_of_backtests_with_other_terms(lake: Lake) -> None:
    first = run(fee=0.002, slippage=0.001)
    rows = read_run(lake, first.run_id, "sensitivity").set_index(["varied", "step"])
    assert list(rows.index) == [("costs", n) for n in range(4)] + [(p, s) for p in ("fast", "slow") for s in (-1, 1)]
    others = {
        ("costs", 1): first,
        ("costs", 3): run(fee=0.006, slippage=0.003),
        ("slow", 1): run(20, 66, fee=0.002, slippage=0.001),
    }
    for place, other in others.items():
        metrics = other.metrics.set_index("metric")["value"]
        for name in ("cumulative_return", "sharpe_ratio", "max_drawdown", "trades"):
            assert rows.loc[place, name] == pytest.approx(metrics[name], rel=1e-9), (place, name)
    refused = read_run(lake, run(1, 2).run_id, "sensitivity").set_index(["varied", "step"])
    assert "greater than or equal to 1" in refused.loc[("fast", -1), "note"]
    assert np.isnan(refused.loc[("slow", -1), "cumulative_return"])


def test_the_neighbours_of_the_best_set_are_sets_of_the_sweep(lake: Lake) -> None:
    result = swept()
    sets = result.sets.set_index("number")
    best = json.loads(sets.loc[result.metrics.set_index("metric").loc["best_set", "value"], "parameters"])
    rows = read_run(lake, result.run_id, "sensitivity")
    beside = rows[rows["varied"] != "costs"]
    assert 2 <= len(beside) <= 4
    by_text = result.sets.set_index("parameters")["cumulative_return"]
    for row in beside.itertuples():
        text = json.dumps(best | {row.varied: json.loads(row.value)}, sort_keys=True, separators=(",", ":"))
        assert row.cumulative_return == by_text[text]
        assert (json.loads(row.value) > best[row.varied]) == (row.step > 0)
    once = rows.set_index(["varied", "step"]).loc[("costs", 1), "cumulative_return"]
    assert once == pytest.approx(by_text[json.dumps(best, sort_keys=True, separators=(",", ":"))], rel=1e-9)


def test_a_drawn_set_without_neighbours_has_those_of_the_grid_tried_for_it(lake: Lake) -> None:
    result = swept(grid={"fast": "10:40:1.0", "slow": "110:50:-5", "short": "true,false"}, random=5, seed=2)
    best = json.loads(result.sets.loc[result.sets["objective"].idxmax(), "parameters"])
    rows = read_run(lake, result.run_id, "sensitivity")
    beside = rows[rows["varied"] != "costs"].set_index(["varied", "step"])
    wanted = {(name, step): best[name] + step * away for name, away in (("fast", 1), ("slow", 5)) for step in (-1, 1)}
    assert {key: json.loads(text) for key, text in beside["value"].items()} == wanted
    for (name, step), row in beside.iterrows():
        params = best | {name: wanted[name, step]}
        metrics = backtest.fn(BacktestParameters(params=params)).metrics.set_index("metric")["value"]
        assert row["cumulative_return"] == pytest.approx(metrics["cumulative_return"], rel=1e-9)
    median = result.metrics.set_index("metric").loc["neighbours_return", "value"]
    assert median == pytest.approx(beside["cumulative_return"].median())


def test_the_command_judges_and_refuses_in_a_line(lake: Lake, jarvis: Jarvis) -> None:
    first = run()
    told = json.loads(jarvis("judge", first.run_id, "--json").out)
    assert (told["run_id"], told["supported"], told["trials"]) == (first.run_id, first.verdict.supported, 1)
    assert first.verdict.words in jarvis("judge", first.run_id).out
    refused = jarvis("judge", "0123456789abcdef")
    assert refused.code == 2
    assert refused.err.startswith("jarvis: no run 0123456789abcdef in the lake")
    with pytest.raises(BadInput, match="no run"):
        judge_again(lake, "")


def test_a_run_that_never_trades_is_not_proven_and_says_why(lake: Lake) -> None:
    still = run(2, 5, max_order=1.0)
    assert still.verdict.words.startswith("not proven: ")
    assert read_run(lake, still.run_id, "verdicts")["supported"].tolist() == [False]
