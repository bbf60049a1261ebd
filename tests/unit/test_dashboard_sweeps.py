"""What the page of sweeps asks and says, on small sweeps with known answers and on one that the flow wrote."""

from __future__ import annotations

import json
import os
import time
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from dashboards import queries, sweep_cards, sweep_charts, sweep_queries, sweep_words
from dashboards.queries import Connection, Rows, Run
from dashboards.row_queries import Wanted
from dashboards.sweep_queries import Parameter, Wish
from data.metrics import METRICS
from data.runs import canonical, record_run
from data.sweep_metrics import SWEEP_METRICS
from data.tables import TABLES
from data.views import connect
from data.writer import Lake
from flows.parameters import SweepParameters
from flows.sweep import sweep
from tests.unit import dashboard_lake
from tests.unit.lake_rows import data_files

GRID = {"fast": "1:3:1", "slow": "10,20", "mode": "long,short"}


def grid() -> list[dict[str, Any]]:
    """Twelve sets whose objective is fast + slow / 100, 100 more if short; out-of-sample the negative."""
    sets = [
        {"fast": fast, "slow": slow, "mode": mode}
        for fast in (1, 2, 3)
        for slow in (10, 20)
        for mode in ("long", "short")
    ]
    return [
        {"parameters": canonical(one), "objective": value, "out_objective": -value, "trades": one["fast"]}
        for one in sets
        for value in [one["fast"] + one["slow"] / 100 + 100 * (one["mode"] == "short")]
    ]


def write(lake: Lake, sets: list[dict[str, Any]], *, varied: dict[str, str] | None = None, recorded: bool = True,
          verdict: str = "not proven: luck", **manifest: Any) -> None:  # fmt: skip
    """Write a sweep of these sets."""
    rows = [{"run_id": "swept", "number": n, **row} for n, row in enumerate(sets, 1)]
    lake.append("sweeps", pa.Table.from_pylist(rows, TABLES["sweeps"].schema))
    if not recorded:
        return
    metrics = pd.DataFrame(
        [{"metric": "verdict", "value": float(verdict.startswith("supported")), "unit": "count", "note": verdict},
         {"metric": "best_sharpe", "value": 0.0512, "unit": "ratio", "note": None}]
    )  # fmt: skip
    run = {"run_id": "swept", "kind": "sweep", "parameters": json.dumps({"fixed": {}, "grid": varied or GRID}),
           "manifest": json.dumps({"objective": "sharpe", "split": 0.7, **manifest})}  # fmt: skip
    record_run(lake, dashboard_row(lake) | run, {"metrics": metrics})


def dashboard_row(lake: Lake) -> dict[str, Any]:
    """The row of a run, as the other tests have it."""
    dashboard_lake.record(lake, "other")
    with connect(lake) as connection:
        return connection.sql("SELECT * FROM runs").to_arrow_table().to_pylist()[0]


def of(lake: Lake) -> tuple[Connection, Run]:
    connection = connect(lake)
    run = queries.run(connection, "swept")
    assert run is not None
    return connection, run


def values(cells: Rows, *by: str) -> dict[Any, float]:
    return {key if len(key) > 1 else key[0]: value for key, value in zip(
        cells[list(by)].itertuples(index=False, name=None), cells["value"], strict=True)}  # fmt: skip


def test_the_parameters_that_vary_are_told_with_their_range(lake: Lake) -> None:
    write(lake, grid(), varied={**GRID, "still": "5"})
    assert sweep_queries.varied(*of(lake)) == [
        Parameter("fast", 3, 1.0, 3.0), Parameter("slow", 2, 10.0, 20.0), Parameter("mode", 2, None, None)
    ]  # fmt: skip


def test_a_cell_shows_its_best_set_or_the_median_of_all(lake: Lake) -> None:
    write(lake, grid())
    best = sweep_queries.plane(*of(lake), Wish("slow", "fast", "objective", "best"))
    assert [axis.labels for axis in best.axes] == [("10", "20"), ("1", "2", "3")]
    assert values(best.cells, "x", "y")[1, 2] == pytest.approx(103.2)
    assert list(best.cells["sets"]) == [2] * 6
    median = sweep_queries.plane(*of(lake), Wish("slow", "fast", "objective", "median"))
    assert values(median.cells, "x", "y")[0, 0] == pytest.approx((1.1 + 101.1) / 2)


def test_a_line_of_one_parameter_tells_another_figure_of_the_best_set(lake: Lake) -> None:
    write(lake, grid())
    found = sweep_queries.plane(*of(lake), Wish("mode", "", "trades", "best"))
    assert (found.axes[0].labels, list(found.cells["value"]), list(found.cells["number"])) == (
        ("long", "short"), [3, 3], [11, 12],
    )  # fmt: skip


def test_many_values_are_merged_and_it_is_said(lake: Lake) -> None:
    sets = [
        {"parameters": canonical({"fast": n % 100, "slow": n // 100}), "objective": float(n)} for n in range(10_000)
    ]
    write(lake, sets, varied={"fast": "0:99:1", "slow": "0:99:1"})
    connection, run = of(lake)
    wish = Wish("fast", "slow", "objective", "best")
    found = sweep_queries.plane(connection, run, wish)
    assert len(found.cells) == 1_600
    assert found.cells["sets"].sum() == 10_000
    assert found.axes[0].labels[0] == "0 to 2"
    said = sweep_words.plane(wish, sweep_queries.varied(connection, run), found, "Objective", [])
    assert "Values of fast and slow that lie beside each other are merged." in said
    sample = sweep_queries.best_and_rest(connection, run, ("fast", "slow"))
    assert sample.total == 10_000
    assert 450 <= len(sample.rows) <= sweep_queries.MOST_SETS
    assert list(sample.rows["rank"][:100]) == list(range(1, 101))
    assert np.ptp(np.diff(sample.rows["rank"][100:])) == 0
    assert len(sweep_queries.best_and_rest(connection, run, ("fast",) * 7).rows) * 8 <= 2_000


def test_the_samples_tell_how_the_best_set_did_out_of_sample(lake: Lake) -> None:
    write(lake, grid())
    connection, run = of(lake)
    found = sweep_queries.both_samples(connection, run)
    assert (found.total, found.rows["rank"].iloc[0], found.rows["out_rank"].iloc[0]) == (12, 1, 12)
    said = sweep_words.beside(sweep_queries.terms(run), found)
    assert (
        "Ranked by the first 70% of the candles, 12 sets. The best of them, fast=3 mode=short slow=20, is number 12"
        in said
    )


def test_sets_without_an_objective_spoil_no_chart_and_tell_their_reason(lake: Lake) -> None:
    failed = {"parameters": '{"fast":"x"}', "failure": "fast must be a number"}
    idle = {"parameters": '{"fast":9,"slow":10,"mode":"long"}', "note": "no trade"}
    write(lake, [*grid(), failed, idle])
    connection, run = of(lake)
    varied = sweep_queries.varied(connection, run)
    assert varied[0] == Parameter("fast", 4, 1.0, 9.0)
    found = sweep_queries.plane(connection, run, Wish("fast", "slow", "objective", "best"))
    assert np.isnan(values(found.cells, "x", "y")[3, 0])
    (drawn,) = sweep_charts.chart(found, "Objective", "ratio", "dark")
    assert "none has an objective" in drawn.select_one({"name": "cells"}).data_source.data["number"]
    sets = sweep_queries.sets(connection, run)
    assert list(sets.rows["rank"]) == list(range(1, 15))
    told = sweep_words.set_rows(sets.rows, "dark")
    assert [row["cells"][-1] for row in told[-2:]] == ["fast must be a number", "no trade"]
    assert told[-1]["cells"][0] == "\N{EN DASH}"
    assert sweep_queries.sets(connection, run, Wanted("failed")).total == 1
    assert sweep_queries.sets(connection, run, Wanted("fast=3 mode=short", "-number")).rows["number"].to_list() == [
        12,
        10,
    ]
    whole = sweep_queries.sets_whole(connection, run, Wanted())
    assert whole.num_rows == 14
    assert {"backtest", "failure", "out_trades"} <= set(whole.schema.names)
    assert "blocks" not in whole.schema.names


def test_a_sweep_of_the_flow_links_its_best_set_to_the_run_in_full(lake: Lake) -> None:
    (result,) = sweep.fn(SweepParameters(grid={"fast": "10:40:10", "slow": "20:60:20"}, best=1, split=0.7))
    connection = connect(lake)
    (run,) = queries.runs(connection, "sweep")
    rows = sweep_queries.sets(connection, run).rows
    assert rows["backtest"].dropna().to_list() == result.runs
    cell = sweep_words.set_rows(rows, "light")[0]["cells"][-2]
    assert cell == [result.runs[0], "", f"?page=backtest&run={result.runs[0]}&theme=light"]
    told = sweep_words.verdict(queries.metrics(connection, run))
    assert ("Not proven" in told) == result.verdict.startswith("not proven")
    assert set(result.metrics["metric"]) == set(SWEEP_METRICS)
    assert sweep_queries.under_way(connection, lake) == []


def test_every_set_of_figures_that_a_map_offers_is_a_column(lake: Lake) -> None:
    write(lake, grid())
    connection, run = of(lake)
    offered = sweep_queries.figures(run)
    assert set(offered) <= set(TABLES["sweeps"].schema.names)
    assert offered["out_trades"] == ("Trades, out-of-sample", METRICS["trades"].unit)
    assert not [
        name for name in sweep_queries.figures(run._replace(manifest='{"split": null}')) if name.startswith("out")
    ]
    for name in offered:
        sweep_queries.plane(connection, run, Wish("fast", "slow", name, "best"))


def test_a_sweep_that_is_not_recorded_is_under_way(lake: Lake) -> None:
    write(lake, grid(), recorded=False)
    found = sweep_queries.under_way(connect(lake), lake)
    (written,) = {one.written for one in found}
    assert found == [("swept", 12, 0, "", "", written)]
    assert 0 <= time.time() - written < 60
    said = sweep_words.progress(found, written + 10)
    assert "A sweep is under way" in said
    assert "swept: 12 sets tried" in said
    assert "<progress" not in said
    assert sweep_words.progress([], written) == ""


def test_a_sweep_of_which_nothing_new_comes_is_not_finished_and_says_how_to_go_on(lake: Lake) -> None:
    write(lake, grid(), recorded=False)
    lake.append("sweeps", pa.Table.from_pylist([{"run_id": "other", "number": 1}], TABLES["sweeps"].schema))
    other, swept = sweep_queries.under_way(connect(lake), lake)
    before = swept._replace(written=other.written - 600)
    said = sweep_words.progress([other, before], other.written + 10)
    going, left = said.split("A sweep is not finished")
    assert "A sweep is under way" in going
    assert "other" in going
    assert "swept" in left
    assert "goes on by the same command" in left
    assert "2 sweeps are not finished" in sweep_words.progress([other, before], other.written + 600)


def test_the_time_of_a_sweep_is_that_of_its_own_newest_rows(lake: Lake) -> None:
    for run, number in (("old", 1), ("both", 1), ("both", 2)):
        before = set(data_files(lake, "sweeps"))
        lake.append("sweeps", pa.Table.from_pylist([{"run_id": run, "number": number}], TABLES["sweeps"].schema))
        (file,) = set(data_files(lake, "sweeps")) - before
        os.utime(file, (1_000 * len(before) + 1_000,) * 2)
    found = sweep_queries.under_way(connect(lake), lake)
    assert {one.run_id: (one.sets, one.written) for one in found} == {"both": (2, 3_000.0), "old": (1, 1_000.0)}


def test_a_sweep_under_way_tells_how_many_sets_are_still_to_come(lake: Lake) -> None:
    series = {"symbol": "<b>", "timeframe": "1d", "wanted": 1_000}
    write(lake, [{**one, **series} for one in grid()], recorded=False)
    said = sweep_words.progress(sweep_queries.under_way(connect(lake), lake), time.time())
    assert "swept, &lt;b&gt; 1d: 12 of 1,000 sets tried" in said
    assert '<progress max="1000" value="12"' in said


def test_all_that_is_recorded_of_a_sweep_has_a_tile_also_what_nobody_here_knows(lake: Lake) -> None:
    write(lake, grid())
    metrics = queries.metrics(*of(lake))
    more = pd.DataFrame(
        {"value": [0.17, 3.0], "low": [-0.3, None], "high": [1.3, None], "unit": ["fraction", "count"], "note": None},
        index=["walk_forward_return", "phase_of_the_moon"],
    )
    assert "walk_forward" not in sweep_words.tiles(metrics)
    said = sweep_words.tiles(pd.concat([metrics, more]))
    assert "17.00 %" in said
    assert "-30.00\N{NO-BREAK SPACE}% to 130.00\N{NO-BREAK SPACE}%" in said
    assert "Phase of the moon" in said
    assert said.count('data-metric="best_sharpe"') == 1
    assert 'data-metric="verdict"' not in said


@pytest.mark.parametrize(("verdict", "title"), [("supported: skill", "Supported"), ("not proven: <b>", "Not proven")])
def test_either_verdict_is_said_in_the_same_way(lake: Lake, verdict: str, title: str) -> None:
    write(lake, grid(), verdict=verdict)
    metrics = queries.metrics(*of(lake))
    said = sweep_words.verdict(metrics)
    assert f">{title}</strong>" in said
    assert "<b>" not in said
    assert "0.051" in sweep_words.tiles(metrics)
    assert "no statistics" in sweep_words.verdict(metrics.iloc[:0])


def test_the_address_chooses_what_varies_and_the_rest_is_chosen_for_it(lake: Lake) -> None:
    write(lake, grid())
    connection, run = of(lake)
    varied = sweep_queries.varied(connection, run)

    def wish(**query: str) -> tuple[Wish, list[str]]:
        return tuple(sweep_cards.choose(run, varied, query))  # type: ignore[return-value]

    assert wish() == (Wish("fast", "slow", "objective", "best"), [])
    assert wish(y="fast", figure="trades", cell="median") == (Wish("slow", "fast", "trades", "median"), [])
    assert wish(x="evil", y="mode", figure="1; DROP", cell="?") == (Wish("fast", "mode", "objective", "best"), ["evil"])
    assert wish(x="mode", y="mode")[0][:2] == ("mode", "fast")
    assert sweep_cards.choose(run, varied[:1], {}).wish == Wish("fast", "", "objective", "best")


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_names_of_parameters_are_drawn_as_text(lake: Lake, theme: Any) -> None:
    name = "$$x$$/<script>"
    sets = [{"parameters": canonical({name: n, "b": "yes" if n % 2 else "no"}), "objective": n / 2} for n in range(4)]
    write(lake, sets, varied={name: "0:3:1", "b": "yes,no"})
    connection, run = of(lake)
    varied = sweep_queries.varied(connection, run)
    assert [one.name for one in varied] == [name, "b"]
    found = sweep_queries.plane(connection, run, Wish(name, "b", "objective", "best"))
    (drawn,) = sweep_charts.chart(found, "Objective", "ratio", theme)
    assert drawn.xaxis[0].axis_label.text == name
    (line,) = sweep_charts.chart(
        sweep_queries.plane(connection, run, Wish(name, "", "objective", "best")), "O", "ratio", theme
    )
    assert list(line.select_one({"name": "cells"}).data_source.data["y"]) == [0.0, 0.5, 1.0, 1.5]
    sample = sweep_queries.best_and_rest(connection, run, (name, "b"))
    (parallel,) = sweep_charts.parallel(sample, varied, "sharpe", theme)
    sets_drawn = parallel.select_one({"name": "sets"}).data_source.data
    assert sets_drawn["ys"][-1] == [1.0, 1.0, 1.0]
    assert sets_drawn["told"][-1] == f"{name} 3, b yes"
    assert "&lt;script&gt;" in sweep_words.plane(Wish(name, "b", "", "best"), varied, found, "Objective", [])
    assert ends_of(found) == (0.0, 1.5)


def ends_of(found: sweep_queries.Plane) -> tuple[float, float]:
    return sweep_charts.ends(found)


def test_a_manifest_that_is_no_json_spoils_no_card(lake: Lake) -> None:
    write(lake, grid())
    run = of(lake)[1]._replace(manifest="{", parameters="not JSON")
    assert sweep_queries.terms(run).split is None
    assert sweep_queries.figures(run)
