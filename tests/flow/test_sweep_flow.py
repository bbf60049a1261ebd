"""The sweep flow and `jarvis sweep`: what is recorded, what is refused, and a sweep that goes on after a kill."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from data.errors import BadInput
from data.runs import read_run
from data.writer import Lake
from flows.backtest import backtest
from flows.done import Done
from flows.parameters import BacktestParameters, SweepParameters
from flows.report import dashboard_address
from flows.sweep import Sweep, _publish, sweep
from flows.trials import SCHEMA
from tests.servers.command_line import Jarvis

GRID = {"fast": "10:40:10", "slow": "20:60:20"}


SWEEP = "0123456789abcdef"

PICKY = """
from tasks.signal import DataFrame, Strategy, above


class Picky(Strategy):
    '''Hold above a mean.'''

    window: int = 5

    @property
    def warmup(self):
        return self.window - 1

    def generate(self, candles):
        if self.window == 7:
            raise ValueError("not seven")
        return DataFrame({"target": above(candles["close"], candles["close"].rolling(self.window).mean())})
"""


def run(**parameters: object) -> Sweep:
    """Sweep one series."""
    (result,) = run_all(**parameters)
    return result


def run_all(**parameters: object) -> list[Sweep]:
    results: list[Sweep] = sweep.fn(SweepParameters(**{"grid": GRID, "best": 1} | parameters))  # type: ignore[arg-type]
    return results


def rows_of(*numbers: int) -> pa.Table:
    same = {"run_id": SWEEP, "symbol": "A/USD", "timeframe": "1h", "wanted": 4, "parameters": "{}"}
    return pa.Table.from_pylist([same | {"number": number} for number in numbers], SCHEMA)


def test_rows_that_two_processes_tried_are_there_once(lake: Lake) -> None:
    one, other = Done(lake, SWEEP, 4), Done(lake, SWEEP, 4)
    for done, numbers in ((one, (1, 2)), (other, (2, 3)), (one, (3, 4)), (other, (1, 4))):
        done.add(rows_of(*numbers))
        done.write()
    assert Done(lake, SWEEP, 4).rows(("number",))["number"].tolist() == [1, 2, 3, 4]
    assert len(one) == len(other) == 4


def test_rows_of_a_commit_that_was_interrupted_are_there_once(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    done, append = Done(lake, SWEEP, 4), lake.append

    def interrupted(*given: Any) -> bool:
        append(*given)
        raise KeyboardInterrupt

    done.add(rows_of(1, 2))
    monkeypatch.setattr(lake, "append", interrupted)
    with pytest.raises(KeyboardInterrupt):
        done.write()
    monkeypatch.undo()
    done.write()
    assert done.rows(("number",))["number"].tolist() == [1, 2]


def test_a_set_has_the_metrics_of_its_backtest_in_sample_and_out(lake: Lake) -> None:
    result = run(split=0.5)
    sets = read_run(lake, result.run_id, "sweeps")
    assert list(sets["number"]) == list(range(1, 13))
    refused = sets[sets["failure"].notna()]
    assert [json.loads(text)["fast"] for text in refused["parameters"]] == ["20", "30", "40", "40"]
    assert refused["failure"].str.contains("must be below").all()
    chosen = sets[sets["failure"].isna()].iloc[-1]
    params = json.loads(chosen["parameters"])
    candles = read_run(lake, result.runs[0], "equity")["ts"]
    cut = result.manifest["split_at"]
    inside = backtest.fn(BacktestParameters(params=params, end=candles[cut]))
    metrics = inside.metrics.set_index("metric")["value"]
    for name in ("sharpe_ratio", "cumulative_return", "max_drawdown", "trades", "win_rate", "fees_paid"):
        assert chosen[name] == pytest.approx(metrics[name], rel=1e-9, nan_ok=True), name
    assert chosen["out_trades"] > 0


def test_the_sweep_is_a_run_with_a_verdict_and_its_best_sets_are_ordinary_runs(lake: Lake) -> None:
    result = run(best=2)
    assert read_run(lake, result.run_id, "runs")["kind"].iloc[0] == "sweep"
    metrics = read_run(lake, result.run_id, "metrics").set_index("metric")
    assert metrics.loc["verdict", "note"] == result.verdict
    assert metrics.loc[["sets", "failed_sets", "trials"], "value"].tolist() == [12, 4, 8]
    best = read_run(lake, result.runs[0], "metrics").set_index("metric")["value"]
    assert best["period_sharpe"] == pytest.approx(result.sets["objective"].max(), rel=1e-9)
    again = run(best=2)
    assert (again.run_id, again.runs) == (result.run_id, result.runs)
    assert len(read_run(lake, result.run_id, "sweeps")) == 12


def test_the_verdict_in_prefect_leads_to_the_page_of_the_sweep(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    result, artifacts = run(), dict[str, Any]()
    monkeypatch.setattr("flows.sweep.flow_run_id", lambda: "of a test")
    monkeypatch.setattr("flows.sweep.create_markdown_artifact", lambda text, key, **_: artifacts.update({key: text}))
    monkeypatch.setattr("flows.sweep.create_table_artifact", lambda *_, **__: None)
    _publish(result, SweepParameters(grid=GRID))
    assert f"]({dashboard_address(result.run_id, 'sweep')}): {result.verdict}" in artifacts["verdict"]


def test_trials_of_earlier_runs_on_the_series_count(lake: Lake) -> None:
    run()
    later = run(grid={"fast": "5,10", "slow": "20"}, best=0)  # 10 and 20 were tried before
    assert later.metrics.set_index("metric").loc["trials", "value"] == 9


def test_a_draw_by_lot_is_the_same_for_the_same_seed(lake: Lake) -> None:
    first, other = (run(random=4, seed=seed, best=0) for seed in (1, 2))
    assert len(first.sets) == 4
    assert first.sets["parameters"].tolist() != other.sets["parameters"].tolist()
    assert run(random=4, seed=1, best=0).run_id == first.run_id


def test_a_strategy_in_plain_pandas_fails_for_some_sets_and_the_rest_goes_on(lake: Lake, tmp_path: Path) -> None:
    path = tmp_path / "picky.py"
    path.write_text(PICKY, encoding="utf-8")
    result = run(strategy=str(path), grid={"window": "5:9:1"}, best=1)
    assert result.sets["failure"].notna().tolist() == [False, False, True, False, False]
    assert "not seven" in result.sets["failure"][2]
    best = read_run(lake, result.runs[0], "metrics").set_index("metric")["value"]
    assert best["period_sharpe"] == pytest.approx(result.sets["objective"].max(), rel=1e-9)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"grid": {}}, "the grid is empty"),
        ({"grid": {"fast": "5:50:0"}}, "step other than 0"),
        ({"grid": {"fast": "50:5:5"}}, "no values"),
        ({"grid": {"fast": "1:1000000:1", "slow": "1:1000000:1"}}, "1,000,000,000,000 sets are too many"),
        ({"grid": {"fasst": "5,10"}}, "did you mean 'fast'"),
        ({"grid": {"fast": "100,200", "slow": "50"}}, "no set of the grid can be tried"),
        ({"grid": {"fast": "4000", "slow": "5000"}}, "no set could be tried"),
        ({"split": 1e-9}, "split"),
    ],
)
def test_bad_input_is_refused_in_a_line(lake: Lake, parameters: dict[str, object], words: str) -> None:
    with pytest.raises(BadInput) as refusal:
        run(**parameters)
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert lake.version("runs") == -1


def test_an_objective_that_no_set_has_is_said(lake: Lake) -> None:
    result = run(grid={"fast": "2", "slow": "5,6"}, start="2024-01-02", end="2024-01-12", objectives=("profit_factor",))
    assert result.sets["objective"].isna().all()
    assert result.sets["note"].notna().all()
    assert result.verdict == "not proven: no set has an objective"
    assert result.runs == []


def test_the_command_prints_the_best_sets_with_the_verdict(jarvis: Jarvis) -> None:
    grid = ["--grid", "fast=10:40:10", "--grid", "slow=20:60:20", "--best", "1"]
    done = jarvis("sweep", *grid)
    assert done.code == 0
    assert "4 of 12 sets failed" in done.out
    assert "proven: " in done.out or "supported: " in done.out
    told = json.loads(jarvis("sweep", *grid, "--json").out)
    assert len(told["best"]) == 8
    assert told["run_id"] in done.out
    refused = jarvis("sweep", "--grid", "fast")
    assert refused.code == 2
    assert "--grid fast: write name=value" in refused.err
    assert pd.notna(told["metrics"]["deflated_sharpe"])
