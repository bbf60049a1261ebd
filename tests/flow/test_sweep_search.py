"""What a sweep varies beside parameters: series, time, the way it searches; what it tells, and what it refuses."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import Future
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest

from data.candles import read_candles
from data.errors import BadInput, JarvisError, LakeError
from data.runs import read_run
from data.upkeep import settle
from data.views import read
from data.writer import Lake
from flows import runner
from flows import spec as spec_module
from flows.judge import judge_sweep
from flows.memory import fitting
from flows.parameters import SweepParameters, parse
from flows.spec import Sets, Spec, Tried, try_sets
from flows.study import Asked, Study
from flows.walk_forward import Walk
from tasks.backtest import simulate
from tasks.evaluate.folds import walk
from tasks.evaluate.verdict import rank
from tasks.signal.grid import read_grid
from tasks.signal.registry import create, find, source_hash
from tasks.signal.signals import signals
from tests.servers.command_line import Jarvis, fails
from tests.servers.sweeps import MINE, as_bytes, fill, swept, traced

GRID = {"fast": "5:15:5", "slow": "20:40:10"}
BOTH = MINE | {"symbols": ("A/USD", "B/USD"), "grid": GRID}


def walked(**parameters: Any) -> Walk:
    (result,) = swept(**MINE | {"grid": GRID} | parameters)
    assert result.walk is not None
    return result.walk


def test_each_series_is_swept_and_its_rows_say_which(lake: Lake) -> None:
    fill(lake)
    results = swept(**BOTH)
    assert [result.series for result in results] == ["A/USD 1h", "B/USD 1h"]
    found = read(lake, "SELECT symbol, timeframe, count(*) AS n, max(wanted) AS w FROM sweeps GROUP BY ALL ORDER BY 1",
                 [], tables={"runs", "sweeps"}).to_pylist()  # fmt: skip
    assert [tuple(row.values()) for row in found] == [("A/USD", "1h", 9, 9), ("B/USD", "1h", 9, 9)]
    (alone,) = swept(**MINE | {"grid": GRID, "symbols": ("B/USD",)})
    assert alone.run_id == results[1].run_id  # the sweep of a series is the same, whatever it is swept with


def test_a_search_reads_each_of_its_series_once(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    three = ("A/USD", "B/USD", "C/USD")
    fill(lake, three)
    read_before, reads = spec_module.read_candles, list[str]()

    def counted(lake: Lake, exchange: str, symbol: str, *series: Any, **reach: Any) -> pd.DataFrame:
        reads.append(symbol)
        return read_before(lake, exchange, symbol, *series, **reach)

    monkeypatch.setattr(spec_module, "read_candles", counted)
    swept(**BOTH | {"symbols": three, "optuna": 8, "batch": 2, "pruner": "median"})
    assert sorted(reads) == sorted(three)


def test_as_many_series_are_kept_as_the_memory_allows() -> None:
    parameters = {"grid": GRID, "symbols": [f"S{number}/USD" for number in range(9)], "optuna": 20}
    told = {
        "candles": 400_000,
        "start": "2024-01-01T00:00:00+00:00",
        "end": "2024-10-04T23:00:00+00:00",
        "detail": None,
    }

    def held(**given: Any) -> int:
        terms = parse(SweepParameters, parameters | given)
        return fitting(terms, read_grid(GRID), 20, [told] * 9, lambda _: None).held

    assert 2 < held() < held(memory="20GB") == 9
    assert held(optuna=None, memory="20GB") == 2
    with pytest.raises(BadInput, match="allow --memory") as refused:
        held(memory="500MB")
    assert held(memory=str(refused.value).split("--memory ")[1].split(",")[0]) == 2


def test_a_series_without_candles_is_said_and_the_rest_goes_on(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    fill(lake)
    (result,) = swept(**BOTH | {"symbols": ("A/USD", "NO/USD")})
    assert result.series == "A/USD 1h"
    assert "NO/USD 1h left out: the lake has no candles of file NO/USD 1h" in capsys.readouterr().err
    with pytest.raises(BadInput, match="no candles of file NO/USD"):
        swept(**MINE | {"grid": GRID, "symbols": ("NO/USD",)})


@pytest.mark.parametrize("anchored", [False, True])
def test_a_fold_tries_the_best_set_of_the_candles_before_it(lake: Lake, anchored: bool) -> None:
    fill(lake)
    terms = {"anchored": anchored, "purge": 3, "embargo": 2}
    (result,) = swept(**MINE | {"grid": GRID, "walk_forward": 3} | terms)
    recorded = read_run(lake, result.run_id, "folds")
    candles = read_candles(lake, "file", "A/USD", "1h")
    rows = read_run(lake, result.run_id, "sweeps")
    for fold, row in zip(walk(600, 3, train=3, **terms), recorded.itertuples(index=False), strict=True):  # type: ignore[arg-type]
        assert (row.train_start, row.train_end) == (candles.index[fold.train.start], candles.index[fold.train.stop - 1])
        assert (row.test_start, row.test_end) == (candles.index[fold.test.start], candles.index[fold.test.stop - 1])
        objectives = [dict(each)[str(row.fold)] if each is not None else np.nan for each in rows["stretches"]]
        assert row.number == rows["number"][int(np.nanargmax(objectives))]
        target = signals(candles.iloc[: fold.test.stop], create("sma_crossover", json.loads(row.parameters)))["signal"]
        costs = {"cash": 100_000.0, "fee": 0.004, "slippage": 0.0005, "timeframe": pd.Timedelta("1h")}
        test = simulate(candles.iloc[fold.test], target.to_numpy()[fold.test], **costs)  # type: ignore[arg-type]
        assert row.out_cumulative_return == pytest.approx(test.equity["equity"].iloc[-1] / 100_000 - 1, rel=1e-9)
        assert row.out_trades == len(test.trades)


def test_one_account_goes_through_all_tests(lake: Lake) -> None:
    """With a single set it is a backtest that begins with the first test, on signals that know what was before."""
    fill(lake, candles=2_500)
    (result,) = swept(**MINE | {"grid": {"fast": "5", "slow": "20"}, "walk_forward": 4})
    candles, first = read_candles(lake, "file", "A/USD", "1h"), walk(2_500, 4)[0].test.start
    target = signals(candles, create("sma_crossover", {"fast": 5, "slow": 20}))["signal"].to_numpy()[first:]
    costs = {"cash": 100_000.0, "fee": 0.004, "slippage": 0.0005, "timeframe": pd.Timedelta("1h")}
    alone = simulate(candles.iloc[first:], target, **costs)  # type: ignore[arg-type]
    equity = read_run(lake, result.run_id, "equity")
    np.testing.assert_array_equal(equity["equity"], alone.equity["equity"])
    metrics = read_run(lake, result.run_id, "metrics").set_index("metric")["value"]
    assert metrics["walk_forward_return"] == equity["equity"].iloc[-1] / 100_000 - 1
    assert metrics["walk_forward_trades"] == len(alone.trades)
    notes = read_run(lake, result.run_id, "metrics").set_index("metric")["note"]
    assert np.isfinite(metrics["walk_forward_sharpe"]) or "days" in notes["walk_forward_sharpe"]


def test_what_chooses_a_set_does_not_see_the_test_nor_the_gap(lake: Lake, tmp_path: Path) -> None:
    fill(lake)
    before = walked(walk_forward=3, purge=4).folds
    last = walk(600, 3, purge=4)[-1]
    other = Lake(tmp_path / "other")
    candles = lake.table("candles").to_pyarrow_table().to_pandas().query("symbol == 'A/USD'").sort_values("ts")  # type: ignore[union-attr]
    prices = ["open", "high", "low", "close"]
    changed = candles["ts"] >= candles["ts"].iloc[last.train.stop]
    candles.loc[changed, prices] = candles.loc[changed, prices].to_numpy()[::-1]
    other.append("candles", candles)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JARVIS_LAKE", str(other.root))
        after = walked(walk_forward=3, purge=4).folds
    pd.testing.assert_frame_equal(before[["fold", "number", "objective"]], after[["fold", "number", "objective"]])
    assert before["out_objective"].iloc[-1] != after["out_objective"].iloc[-1]


def test_optuna_chooses_the_sets_and_the_same_search_is_the_same_sweep(lake: Lake) -> None:
    fill(lake)
    terms = BOTH | {"grid": {"fast": "2:30:1", "slow": "20:60:2"}, "optuna": 24, "batch": 6, "pruner": "median"}
    results = swept(**terms)
    rows = [read_run(lake, result.run_id, "sweeps") for result in results]
    assert rows[0]["number"].tolist() == rows[1]["number"].tolist()
    assert rows[0]["parameters"].tolist() == rows[1]["parameters"].tolist()
    assert set(rows[0]["wanted"]) == {24}
    pruned = rows[0][rows[0]["note"].fillna("").str.startswith("given up")]
    assert len(pruned)
    assert pruned["objective"].isna().all()
    assert next(iter(dict(pruned["stretches"].iloc[0]))) == "quarter"
    (journal,) = (lake.root / "studies").iterdir()
    backend = optuna.storages.journal.JournalFileBackend(str(journal))  # type: ignore[attr-defined]
    study = optuna.load_study(study_name=journal.stem, storage=optuna.storages.JournalStorage(backend))
    best = study.best_trial
    told = pd.concat([frame.set_index("number")["objective"] for frame in rows], axis=1).mean(axis=1)
    assert best.value == pytest.approx(told[best.number + 1], rel=1e-12)
    table = as_bytes(lake)
    journal.unlink()
    assert [result.run_id for result in swept(**terms)] == [result.run_id for result in results]
    assert as_bytes(lake) == table


class Stopped(Exception):
    """What a test stops a sweep with."""


def test_a_search_whose_rows_upkeep_has_removed_begins_again(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(lake)
    terms = BOTH | {"grid": {"fast": "2:30:1", "slow": "20:60:2"}, "optuna": 12, "batch": 4}
    batches = 0

    def ask(study: Study) -> list[Asked]:
        nonlocal batches
        batches += 1
        if batches == 3:
            raise Stopped
        return asked(study)

    asked = Study.ask
    with monkeypatch.context() as patched:
        patched.setattr(Study, "ask", ask)
        with pytest.raises(Stopped):
            swept(**terms)
    assert lake.table("sweeps").to_pyarrow_table().num_rows == 16  # type: ignore[union-attr]
    settle(lake, orphans_after=timedelta(0))
    assert lake.table("sweeps").to_pyarrow_table().num_rows == 0  # type: ignore[union-attr]
    again = swept(**terms)
    whole = as_bytes(lake)
    for name in ("studies", "sweeps", "runs"):
        shutil.rmtree(lake.root / name)
    assert [result.run_id for result in swept(**terms)] == [result.run_id for result in again]
    assert as_bytes(lake) == whole  # that of a search that nothing stopped


def test_the_best_sets_are_run_on_the_candles_of_the_sweep(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(lake, candles=400)

    def judged_later(*given: Any, **named: Any) -> Any:
        fill_after(lake)
        return judged(*given, **named)

    def fill_after(lake: Lake) -> None:
        later = read_candles(lake, "file", "A/USD", "1h").iloc[-1:]
        row = later.assign(exchange="file", symbol="A/USD", timeframe="1h", revision=0, superseded_at=pd.NaT)
        fetched = row.assign(ts=later.index + pd.Timedelta("1h"), fetched_at=pd.Timestamp("2024-03-01", tz="UTC"))
        lake.append("candles", fetched.astype({"trades": "Int64"}))

    judged = judge_sweep
    monkeypatch.setattr("flows.sweep.judge_sweep", judged_later)
    (result,) = swept(**MINE | {"grid": GRID, "best": 1})
    assert len(read_candles(lake, "file", "A/USD", "1h")) == 401
    alone = read_run(lake, result.runs[0], "runs").iloc[0]
    assert (alone["candles"], alone["data_fingerprint"]) == (400, result.manifest["data_fingerprint"])


def test_a_search_before_a_walk_forward_sees_only_what_no_test_follows_on(lake: Lake) -> None:
    fill(lake)
    (result,) = swept(**MINE | {"grid": GRID, "optuna": 6, "walk_forward": 2, "batch": 3})
    (journal,) = (lake.root / "studies").iterdir()
    backend = optuna.storages.journal.JournalFileBackend(str(journal))  # type: ignore[attr-defined]
    study = optuna.load_study(study_name=journal.stem, storage=optuna.storages.JournalStorage(backend))
    rows = read_run(lake, result.run_id, "sweeps").set_index("number")
    for trial in study.trials:
        if trial.number + 1 in rows.index:
            assert trial.value == dict(rows.loc[trial.number + 1, "stretches"])["1"]


SERIES = ("--exchange", "file", "--symbol", "A/USD", "--timeframe", "1h")
SETS = ("--grid", "fast=5:15:5", "--grid", "slow=20:40:10", "--best", "0")


def test_several_objectives_have_a_front(jarvis: Jarvis, lake: Lake) -> None:
    fill(lake)
    asked = ("sweep", *SERIES, "--symbol", "B/USD", *SETS, "--objective", "sharpe", "--objective", "drawdown")
    done = jarvis(*asked)
    assert done.code == 0, done.err
    assert "Pareto front of sharpe and drawdown" in done.out
    assert "over all 2 series: 9 sets have an objective on each" in done.out
    assert "9 sets on 2 series, 1,200 candles: about" in done.err
    told = jarvis(*asked, "--json").json
    assert [each["manifest"]["symbol"] for each in told] == ["A/USD", "B/USD"]
    front = [(row["objective"], row["max_drawdown"]) for row in told[0]["front"]]
    assert front[0][0] == told[0]["best"][0]["objective"]
    assert sorted(front, reverse=True) == front == sorted(front, key=lambda pair: pair[1])


def test_a_walk_forward_is_printed(jarvis: Jarvis, lake: Lake) -> None:
    fill(lake)
    done = jarvis("sweep", *SERIES, *SETS, "--walk-forward", "2", "--anchored")
    assert done.code == 0, done.err
    assert "one account through all tests: return" in done.out


def test_the_best_sets_of_every_series_are_run_in_full(lake: Lake) -> None:
    fill(lake)
    for result in swept(**BOTH | {"best": 2}):
        runs = [read_run(lake, run, "runs").iloc[0] for run in result.runs]
        assert {run["symbol"] for run in runs} == {result.manifest["symbol"]}
        assert [run["parameters"] for run in runs] == rank(result.sets)["parameters"].head(2).tolist()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"random": 3, "optuna": 3}, "random: sets are drawn by lot or chosen by Optuna, not both"),
        ({"pruner": "median"}, "pruner: it is Optuna's"),
        ({"storage": "sqlite:///x"}, "storage: it is Optuna's"),
        ({"optuna": 3, "pruner": "median", "objectives": ("sharpe", "return")}, "prunes by one objective"),
        ({"optuna": 3, "walk_forward": 2, "objectives": ("sharpe", "return")}, "searches by one objective"),
        ({"objectives": ("sharpe", "sharpe")}, "objectives: name each of them once"),
        ({"objectives": ("sharp",)}, "objectives.0: Input should be 'sharpe'"),
        ({"symbols": ("A", "A")}, "symbols: name each of them once"),
        ({"walk_forward": 2, "split": 0.5}, "split: a walk-forward has splits of its own"),
        ({"purge": 2}, "purge: it is a walk-forward's"),
        ({"address": "127.0.0.1:8786"}, "address: it is a cluster's"),
        ({"params": {"fast": 7}}, "fast: it is varied and given a value too"),
        ({"memory": "much"}, "memory: "),
        ({"start": "2024-02-01", "end": "2024-01-01"}, "start 2024-02-01 00:00 is not before end"),
    ],
)
def test_terms_that_do_not_fit_together_are_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput) as refusal:
        parse(SweepParameters, {"grid": GRID} | given)
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"walk_forward": 700}, "600 candles are too few for a walk-forward of 700 tests"),
        ({"grid": {"fast": "1:1e200:1", "slow": "20"}}, "sets are too many even to draw from"),
        ({"optuna": 2_000_000}, "2,000,000 sets are too many"),
        ({"grid": {"fast": "3,4,4.0", "slow": "20"}}, "grid fast=3,4,4.0: 4.0 is given twice"),
        ({"grid": {"fast": "40,50", "slow": "20:30:1"}, "optuna": 5}, "no set of the grid can be tried"),
    ],
)
def test_what_cannot_be_tried_is_refused_before_anything_is(lake: Lake, parameters: dict[str, Any], words: str) -> None:
    fill(lake)
    with pytest.raises(BadInput) as refusal:
        swept(**MINE | {"grid": GRID} | parameters)
    assert words in str(refusal.value)
    assert lake.version("sweeps") == -1


def test_a_grid_of_a_million_millions_is_drawn_from_and_searched(lake: Lake) -> None:
    fill(lake)
    grid = {"window": "5:50:1", "width": "0.5:3.5:0.0000000001"}
    huge = MINE | {"strategy": "bollinger_bands", "grid": grid}
    with pytest.raises(BadInput, match="1,380,000,000,046 sets are too many"):
        swept(**huge)
    (drawn,) = swept(**huge | {"random": 12})
    (searched,) = swept(**huge | {"optuna": 6})
    for found, sets in ((drawn, 12), (searched, 6)):
        assert found.sets["objective"].notna().sum() == sets


def test_an_objective_that_is_not_there_is_no_best_set_of_a_fold(lake: Lake) -> None:
    fill(lake, candles=300)
    made = walked(grid={"fast": "2", "slow": "250,260"}, walk_forward=2)  # which never have a signal before the test
    assert made.folds["number"].isna().all()
    assert made.folds["out_objective"].isna().all()
    assert set(made.equity["equity"]) == {100_000.0}


def test_an_axis_that_is_given_twice_is_refused(jarvis: Jarvis) -> None:
    done = jarvis("sweep", "--grid", "fast=5:50:5", "--grid", "fast=1,2", "--grid", "slow=60")
    fails(done, 2, "--grid fast=1,2: fast is given twice, so leave out one of the two")


def test_memory_that_is_too_little_is_refused_with_what_would_do(jarvis: Jarvis, lake: Lake) -> None:
    fill(lake)
    asked = ("sweep", *SERIES)
    grid = ("--grid", "fast=1:500:1", "--grid", "slow=501:1000:1")
    refused = jarvis(*asked, *grid, "--memory", "2GB")
    fails(refused, 2, "memory 2.0 GB is too little: the sweep takes about")
    advised = refused.err.split("--random ")[1].strip()
    enough = refused.err.split("--memory ")[1].split(",")[0]
    parameters = {"grid": {"fast": "1:500:1", "slow": "501:1000:1"}}
    said: list[str] = []
    told = {"candles": 600, "start": "2024-01-01T00:00:00+00:00", "end": "2024-01-25T23:00:00+00:00", "detail": None}
    for given, wanted in (({"memory": enough}, 250_000), ({"memory": "2GB", "random": advised}, int(advised))):
        terms = parse(SweepParameters, parameters | given)
        assert fitting(terms, read_grid(parameters["grid"]), wanted, [told], said.append).held == 1
    assert all("of memory of" in line for line in said)
    assert lake.version("sweeps") == -1


def test_no_cluster_answers(lake: Lake) -> None:
    fill(lake)
    for name in ("dask", "ray"):
        with pytest.raises(JarvisError, match=f"no {name} cluster answers at 127.0.0.1:1: connection refused"):
            swept(**MINE | {"grid": GRID, "runner": name, "address": "127.0.0.1:1"})
        with pytest.raises(BadInput, match="address ::: write host:port"):
            swept(**MINE | {"grid": GRID, "runner": name, "address": "::"})


def test_a_task_that_is_lost_at_every_attempt_ends_the_sweep_with_a_line() -> None:
    given = []

    def submit(spec: Spec, sets: Sets) -> Future[Tried]:
        given.append(sets)
        lost: Future[Tried] = Future()
        lost.set_exception(RuntimeError("the worker died\nTraceback ..."))
        return lost

    task = runner.Task(Spec("lake", 0, "sma_crossover", "{}", 3), np.array([[2, 0], [3, 1]]))
    wanted = "sets 2 to 3 failed 4 times on the workers: the worker died; what is done is in the lake"
    with pytest.raises(JarvisError, match=wanted):
        list(runner.Crew(1, submit).run([task]))
    assert len(given) == runner.ATTEMPTS


@pytest.mark.parametrize("name", ["dask", "ray"])
def test_a_runner_that_is_not_installed_says_how_to(name: str, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(lake)
    monkeypatch.setattr(runner, "find_spec", lambda _: None)
    with pytest.raises(BadInput, match=f"runner {name} needs .*pip install -e"):
        swept(**MINE | {"grid": GRID, "runner": name})


def test_a_worker_refuses_what_is_not_what_the_sweep_began_with(lake: Lake, tmp_path: Path) -> None:
    fill(lake)
    file, _ = traced(tmp_path, 0)
    (result,) = swept(**MINE | {"grid": {"window": "5"}, "strategy": str(file)})
    sets = np.array([[1, 0]], np.int64)
    told = result.manifest
    version = lake.version("candles")
    assert try_sets(Spec(lake.address, version, str(file), json.dumps(told), 1), sets).rows.num_rows == 1
    file.write_text(file.read_text().replace("slowly", "quickly"))
    with pytest.raises(BadInput, match="its source differs"):
        try_sets(Spec(lake.address, version, str(file), json.dumps(told), 2), sets)
    with pytest.raises(BadInput, match="another version of Jarvis"):
        try_sets(Spec(lake.address, version, str(file), json.dumps(told | {"code_version": "0"}), 3), sets)
    told |= {"strategy_code": source_hash(find("sma_crossover")), "data_fingerprint": "0"}
    with pytest.raises(LakeError, match="not those that the sweep began with"):
        try_sets(Spec(lake.address, version, "sma_crossover", json.dumps(told), 4), sets)
