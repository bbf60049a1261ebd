from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from dashboards import compare_queries, compare_words, queries, run_words
from dashboards.compare_card import draw
from data.views import connect
from data.writer import Lake
from tests.unit import dashboard_lake as rows


def metrics(**values: float) -> pd.DataFrame:
    return pd.DataFrame({"metric": list(values), "value": list(values.values()), "low": np.nan, "high": np.nan})


def two(lake: Lake, **second: object) -> tuple[queries.Connection, compare_queries.Runs]:
    rows.record(lake, "run-1", tables={"metrics": metrics(sharpe_ratio=1.5, annual_volatility=0.2, trades=3)})
    given = {"parameters": '{"fast":5,"slow":20}', **second}
    rows.record(lake, "run-2", tables={"metrics": metrics(sharpe_ratio=0.5, annual_volatility=0.1, trades=4)}, **given)
    connection = connect(lake)
    first, other = (queries.run(connection, name) for name in ("run-1", "run-2"))
    assert first is not None
    assert other is not None
    return connection, (first, other)


def test_growth_begins_with_the_cash_of_each_run(lake: Lake) -> None:
    connection, runs = two(lake, cash=500.0)
    curves = compare_queries.curves(connection, runs)
    assert list(curves["r0"])[:2] == pytest.approx([0.0, 0.001])
    assert list(curves["r1"])[:2] == pytest.approx([1.0, 1.002])
    assert draw(runs, curves, "dark")[0].name == "compare"


def test_runs_of_other_times_share_an_axis_and_end_where_they_end(lake: Lake) -> None:
    late = rows.equity(5).assign(ts=rows.times(30)[20:25])
    rows.record(lake, "run-1")
    rows.record(lake, "run-2", start_ts=rows.times(30)[20], end_ts=rows.times(30)[24], tables={"equity": late})
    connection = connect(lake)
    runs = tuple(run for name in ("run-1", "run-2") if (run := queries.run(connection, name)) is not None)
    curves = compare_queries.curves(connection, runs)
    assert len(curves) == 15
    assert list(curves["r0"].notna()) == [True] * 10 + [False] * 5
    assert list(curves["r1"].notna()) == [False] * 10 + [True] * 5


def test_long_runs_are_compared_in_few_points(lake: Lake) -> None:
    rows.record(lake, "run-1", n=20_000)
    run = queries.run(connect(lake), "run-1")
    assert run is not None
    curves = compare_queries.curves(connect(lake), (run, run))
    assert len(curves) <= compare_queries.MOST_POINTS + 1
    assert curves["r0"].iloc[-1] == pytest.approx(19.999)


def test_the_best_is_marked_and_of_volatility_that_is_the_least(lake: Lake) -> None:
    connection, runs = two(lake)
    table = compare_words.table(
        runs, compare_queries.metrics(connection, runs), compare_queries.differences(runs), "dark"
    )
    lines = {line.split('"')[1]: line for line in table.splitlines() if line.startswith("<tr data-row")}
    assert "1.50 <small>best" in lines["sharpe_ratio"]
    assert "10.00 % <small>best" in lines["annual_volatility"]
    assert "best" not in lines["trades"]
    assert "best" not in lines["cagr"]


def test_what_was_decided_otherwise_is_named_and_what_is_the_same_is_not(lake: Lake) -> None:
    _, runs = two(lake, fee=0.001, manifest='{"strategy":"sma_crossover","stops":{"stop_loss":0.1}}')
    assert dict(compare_queries.differences(runs)) == {
        "parameters.slow": ["8", "20"],
        "costs.fee": ["0.004", "0.001"],
        "stops.stop_loss": ["", "0.1"],
    }


def test_a_manifest_that_is_none_costs_the_differences_it_would_tell_alone(lake: Lake) -> None:
    _, runs = two(lake, manifest="torn", symbol="<b>X</b>")
    assert dict(compare_queries.differences(runs))["symbol"] == ["BTC/USD", "<b>X</b>"]
    table = compare_words.table(runs, pd.DataFrame(columns=["run-1", "run-2"]), [], "dark")
    assert "<b>X</b>" not in table


def test_a_search_over_five_thousand_runs_finds_what_it_should(lake: Lake) -> None:
    rows.record(lake)
    one = connect(lake).sql("FROM runs").to_arrow_table().to_pandas()
    many = pd.concat([one] * 5_000, ignore_index=True)
    many["run_id"] = [f"{n:016x}" for n in range(5_000)]
    many["parameters"] = [f'{{"fast":{n % 97},"slow":{n % 313}}}' for n in range(5_000)]
    lake.append("runs", many)
    listed = queries.runs(connect(lake), "backtest")
    assert len(listed) == 5_001
    found = run_words.matching(listed, "sma fast=70 slow=295")
    assert [run.run_id for run in found] == [f"{1234:016x}"]
    found = run_words.matching(listed, "btc/usd slow=295")
    assert {run.run_id for run in found} == {f"{n:016x}" for n in range(295, 5_000, 313)}
    assert listed[0] in run_words.matching(listed, "btc/usd")
