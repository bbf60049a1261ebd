"""Limit entries, time exits, finer candles and costs, from the command line and the flows into the lake."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from data.candles import fingerprint, read_candles
from data.errors import BadInput
from data.runs import read_run
from data.writer import Lake
from flows.backtest import Backtest, backtest
from flows.detail import in_words
from flows.parameters import BacktestParameters, PortfolioParameters, SweepParameters
from flows.report import _markdown
from flows.sweep import Sweep, sweep
from flows.terms import terms_in, times
from tasks.backtest import fit_detail, simulate
from tasks.fetch import collect_series
from tasks.signal.registry import create
from tasks.signal.signals import signals
from tests.servers.command_line import Jarvis, fails

SERIES = ("--exchange", "mine", "--symbol", "A/USD", "--timeframe", "1h")
STOPS = {"stop_loss": 0.01, "take_profit": 0.01}
NEAR = {"stop_loss": 0.003, "take_profit": 0.003}
"""So near that many an hour touches both."""


def quarters() -> pd.DataFrame:
    """Forty days of quarters of an hour, each of which opens at the last one's close."""
    random = np.random.default_rng(7)
    close = np.round(100 * np.exp(np.cumsum(random.normal(0, 0.006, 40 * 96))), 2)
    open_ = np.concatenate(([100.0], close[:-1]))
    index = pd.date_range("2024-01-01", periods=len(close), freq="15min", tz="UTC")
    prices = {"open": open_, "high": np.maximum(open_, close), "low": np.minimum(open_, close), "close": close}
    return pd.DataFrame(prices, index=index).assign(volume=1.0)


def bring(lake: Lake, folder: Path, candles: pd.DataFrame, timeframe: str) -> None:
    file = folder / f"{timeframe}.csv"
    candles.rename_axis("timestamp").to_csv(file, date_format="%Y-%m-%dT%H:%M:%SZ")
    collect_series(lake, exchange="mine", symbol="A/USD", timeframe=timeframe, file=file)


@pytest.fixture
def hours(lake: Lake, tmp_path: Path) -> pd.DataFrame:
    """Hours in the lake, and their quarters but for one that is absent."""
    fine = quarters()
    how = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    coarse: pd.DataFrame = fine.resample("1h").agg(how)  # type: ignore[arg-type]
    bring(lake, tmp_path, coarse, "1h")
    bring(lake, tmp_path, fine.drop(fine.index[401]), "15m")
    return coarse


def run(**parameters: object) -> Backtest:
    given: dict[str, object] = {"exchange": "mine", "symbol": "A/USD", "timeframe": "1h", "fee": 0.001}
    given["params"] = {"fast": 5, "slow": 20}
    result: Backtest = backtest.fn(BacktestParameters(**(given | parameters)))  # type: ignore[arg-type]
    return result


def test_finer_candles_of_the_lake_tell_what_came_first(lake: Lake, hours: pd.DataFrame) -> None:
    plain, fine = run(**STOPS), run(**STOPS, detail="15m")
    assert plain.run_id != fine.run_id
    assert plain.manifest["detail"] is None
    told = fine.manifest["detail"]
    kept = read_candles(lake, "mine", "A/USD", "15m")
    assert told == {
        "timeframe": "15m",
        "data_fingerprint": fingerprint(kept),
        "explained": len(hours) - 1,
        "incomplete": 1,
        "different": 0,
    }
    reasons = [list(read_run(lake, each.run_id, "fills")["reason"]) for each in (plain, fine)]
    assert reasons[0] != reasons[1]  # what took the worse of two now takes the one that came first
    assert fine.metrics.set_index("metric").value["win_rate"] > plain.metrics.set_index("metric").value["win_rate"]


def test_what_is_known_of_the_inside_is_said(hours: pd.DataFrame) -> None:
    result = run(detail="15m")
    words = "the inside of 959 of 960 candles is known from 15m ones; the others are passed whole: 1 lack some"
    assert in_words(result.manifest) == words
    assert f"Detail: {words}." in _markdown("0", result.manifest, pd.DataFrame({"name": [], "value": []}))
    assert in_words(run().manifest) is None


def test_the_costs_once_are_the_run_itself_with_its_detail(lake: Lake, hours: pd.DataFrame) -> None:
    result = run(**STOPS, detail="15m", order_type="limit", limit_bars=3, max_bars=30)
    varied = read_run(lake, result.run_id, "sensitivity")
    once = varied[(varied.varied == "costs") & (varied.step == 1)].iloc[0]
    found = result.metrics.set_index("metric")["value"]
    assert once["cumulative_return"] == pytest.approx(found["cumulative_return"], rel=1e-9)


def test_limit_entries_and_time_exits_are_in_the_tables_and_in_the_manifest(lake: Lake, hours: pd.DataFrame) -> None:
    result = run(order_type="limit", limit_offset=0.002, limit_bars=4, max_bars=10)
    assert result.manifest["entries"] == {
        "order_type": "limit",
        "limit_offset": 0.002,
        "limit_bars": 4,
        "on_timeout": "cancel",
        "price_step": None,
    }
    assert result.manifest["limits"]["max_bars"] == 10
    orders, fills = (read_run(lake, result.run_id, name) for name in ("orders", "fills"))
    assert {"filled", "cancelled"} <= set(orders["event"])
    assert "it was not filled in 4 candles" in set(orders["reason"])
    assert set(fills["liquidity"]) == {"maker", "taker"}
    assert "time" in set(fills["reason"])
    assert result.simulation.trades["bars_held"].max() == 10


def test_the_command_line_has_it_all(hours: pd.DataFrame, jarvis: Jarvis) -> None:
    options = ("--order-type", "limit", "--limit-offset", "0.002", "--limit-bars", "4", "--on-timeout", "market")
    chosen = ("--param", "fast=5", "--param", "slow=20", "--stop-loss", "0.01", "--max-bars", "10", "--detail", "15m")
    done = jarvis("backtest", *SERIES, *options, *chosen)
    assert done.code == 0, done.err
    assert "the inside of 959 of 960 candles is known from 15m ones" in done.out
    told = jarvis("backtest", *SERIES, *options, *chosen, "--json").json["manifest"]
    assert (told["entries"]["on_timeout"], told["detail"]["timeframe"]) == ("market", "15m")


def test_the_best_of_a_sweep_with_limit_entries_is_its_backtest(
    lake: Lake, hours: pd.DataFrame, jarvis: Jarvis
) -> None:
    grid = ("--grid", "fast=3,5", "--grid", "slow=20", "--fee", "0.001", "--best", "1")
    done = jarvis("sweep", *SERIES, *grid, "--order-type", "limit", "--limit-bars", "4", "--max-bars", "10", "--json")
    assert done.code == 0, done.err
    told = done.json
    best = told["best"][0]
    found = read_run(lake, told["runs"][0], "metrics").set_index("metric")["value"]
    for name in ("cumulative_return", "max_drawdown", "trades"):
        assert best[name] == pytest.approx(found[name], rel=1e-9)


def swept(**parameters: object) -> Sweep:
    given: dict[str, object] = {"exchange": "mine", "symbols": ("A/USD",), "timeframes": ("1h",), "fee": 0.001}
    given |= {"best": 0, "grid": {"fast": "3,5", "slow": "15,20"}, **NEAR}
    (result,) = sweep.fn(SweepParameters(**(given | parameters)))  # type: ignore[arg-type]
    return result


def test_sets_of_a_sweep_have_the_figures_of_their_backtests_with_detail(lake: Lake, hours: pd.DataFrame) -> None:
    fine = swept(detail="15m", split=0.5)
    plain, cut = swept(split=0.5), hours.index[fine.manifest["split_at"]]
    assert (fine.manifest["detail"]["timeframe"], plain.manifest["detail"]) == ("15m", None)
    assert (fine.sets["cumulative_return"] != plain.sets["cumulative_return"]).any()
    assert (fine.sets["out_cumulative_return"] != plain.sets["out_cumulative_return"]).any()
    for each in fine.sets.itertuples():
        alone = run(**NEAR, detail="15m", params=json.loads(str(each.parameters)), end=cut)
        found = alone.metrics.set_index("metric")["value"]
        for name in ("cumulative_return", "max_drawdown", "trades", "win_rate", "fees_paid"):
            assert getattr(each, name) == pytest.approx(found[name], rel=1e-9), name
    varied = read_run(lake, fine.run_id, "sensitivity")
    once = varied[(varied.varied == "costs") & (varied.step == 1)].iloc[0]
    best = fine.sets.loc[fine.sets["objective"].idxmax()]
    assert once["cumulative_return"] == pytest.approx(best["cumulative_return"], rel=1e-9)


def test_a_walk_forward_looks_into_its_candles_too(lake: Lake, hours: pd.DataFrame) -> None:
    fine, plain = swept(detail="15m", walk_forward=2), swept(walk_forward=2)
    assert fine.walk is not None
    assert plain.walk is not None
    candles, finer = (read_candles(lake, "mine", "A/USD", timeframe) for timeframe in ("1h", "15m"))
    hour, quarter = pd.Timedelta("1h"), pd.Timedelta("15min")
    detail = fit_detail(candles, finer, hour, quarter)
    target = pd.Series(0.0, candles.index)
    for fold in fine.walk.folds.itertuples():
        own = candles.loc[: fold.test_end]  # type: ignore[misc]
        strategy = create("sma_crossover", json.loads(str(fold.parameters)))
        told = signals(own, strategy)["signal"]
        target[fold.test_start : fold.test_end] = told[fold.test_start : fold.test_end]  # type: ignore[misc]
    first = candles.index.get_loc(fine.walk.folds["test_start"].iloc[0])
    tested = slice(first, len(candles))  # type: ignore[misc]
    traded = simulate(
        candles.iloc[tested], target.iloc[tested], symbol="A/USD", cash=100_000.0, timeframe=hour,
        detail=detail.part(tested), **terms_in(fine.manifest),
    )  # fmt: skip
    pd.testing.assert_frame_equal(traded.equity, fine.walk.equity)
    assert not fine.walk.equity["equity"].equals(plain.walk.equity["equity"])


def test_a_search_that_prunes_looks_into_its_candles_too(lake: Lake, hours: pd.DataFrame) -> None:
    fine = swept(detail="15m", optuna=4, pruner="median", batch=2)
    finished = fine.sets[fine.sets["cumulative_return"].notna()]
    assert len(finished)
    for each in finished.itertuples():
        found = run(**NEAR, detail="15m", params=json.loads(str(each.parameters))).metrics.set_index("metric")["value"]
        assert each.cumulative_return == pytest.approx(found["cumulative_return"], rel=1e-9)


def test_detail_that_the_lake_lacks_ends_a_sweep_before_it_begins(hours: pd.DataFrame, jarvis: Jarvis) -> None:
    grid = ("--grid", "fast=3,5", "--grid", "slow=20")
    fails(jarvis("sweep", *SERIES, *grid, "--detail", "5m"), 2, "the lake has no 5m candles of mine A/USD")
    fails(jarvis("sweep", *SERIES, *grid, "--detail", "1h"), 2, "detail 1h does not go into candles of 1h")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("--limit-bars", "3"), "limit_offset, limit_bars and on_timeout are of limit orders"),
        (("--order-type", "limit", "--on-timeout", "market"), "on_timeout market needs limit_bars"),
        (("--detail", "7m"), "detail 7m does not go into candles of 1h: give a finer one"),
        (("--detail", "1h"), "detail 1h does not go into candles of 1h: give a finer one"),
        (("--max-bars", "0"), "max_bars: Input should be greater than or equal to 1 (given: 0)"),
        (("--symbol", "B/USD", "--detail", "15m"), "detail is of the backtest of one market"),
        (("--symbol", "B/USD", "--order-type", "limit"), "order_type limit is of the backtest of one market"),
        (("--symbol", "B/USD", "--max-volume", "0.1"), "max_volume is of the backtest of one market"),
        (("--max-volume", "0"), "max_volume: Input should be greater than 0 (given: 0.0)"),
        (("--max-volume", "1.5"), "max_volume: Input should be less than or equal to 1 (given: 1.5)"),
        (("--max-volume", "nan"), "max_volume: Input should be less than or equal to 1 (given: nan)"),
        (("--symbol", "B/USD", "--maker-fee", "0.1"), "maker_fee is of the backtest of one market"),
        (("--slippage", "cube:1"), "slippage 'cube:1' cannot be read"),
        (("--fee-tier", "1:2"), "fee_tiers: '1:2' is no tier"),
        (("--fee-tier", "0:0.1:0.1", "--fee", "0.1"), "fee_tiers are given and a fee beside them"),
        (("--funding", "0.1", "--funding-hours", "7"), "funding_hours must divide a day, and 7 do not"),
    ],
)
def test_what_does_not_go_together_is_refused_in_a_line(
    hours: pd.DataFrame, jarvis: Jarvis, given: tuple[str, ...], words: str
) -> None:
    fails(jarvis("backtest", *SERIES, *given), 2, words)


def test_costs_are_in_the_tables_and_in_the_manifest(lake: Lake, hours: pd.DataFrame, jarvis: Jarvis) -> None:
    costs = ("--slippage", "spread:0.0004+sqrt:0.7", "--borrow", "0.1", "--funding", "0.0001")
    tiers = ("--fee-tier", "0:0.0025:0.004", "--fee-tier", "10000:0.002:0.0035")
    done = jarvis("backtest", *SERIES, "--param", "fast=5", "--param", "slow=20", *costs, *tiers, "--json")
    assert done.code == 0, done.err
    told, run_id = done.json["manifest"]["costs"], done.json["run_id"]
    assert told == {
        "fee": 0.004,
        "maker_fee": None,
        "fee_tiers": [[0, 0.0025, 0.004], [10000, 0.002, 0.0035]],
        "slippage": "0.0002+sqrt:0.7",
        "borrow": 0.1,
        "funding": 0.0001,
        "funding_hours": 8,
    }
    recorded = read_run(lake, run_id, "runs").iloc[0]
    assert (recorded["fee"], recorded["slippage"]) == (0.004, 0.0002)
    fills, trades = (read_run(lake, run_id, name) for name in ("fills", "trades"))
    shares = fills["fee"] / (fills["price"] * fills["amount"])
    assert shares.round(9).unique().tolist() == [0.004, 0.0035]
    assert (trades["carry"] > 0).any()
    moved = trades["exit_holding"] - trades["entry_holding"] - trades["fees"] - trades["carry"]
    assert trades["profit"].to_numpy() == pytest.approx(moved.to_numpy())

    varied = read_run(lake, run_id, "sensitivity")
    returns = varied[varied.varied == "costs"].sort_values("step")["cumulative_return"].tolist()
    metrics = read_run(lake, run_id, "metrics").set_index("metric")["value"]
    assert returns[1] == pytest.approx(metrics["cumulative_return"], rel=1e-9)
    assert returns == sorted(returns, reverse=True)


def test_orders_are_filled_in_parts_up_to_a_part_of_the_volume(lake: Lake, hours: pd.DataFrame, jarvis: Jarvis) -> None:
    chosen = ("--param", "fast=5", "--param", "slow=20", "--amount", "1", "--max-volume", "0.1", "--stop-loss", "0.02")
    done = jarvis("backtest", *SERIES, *chosen, "--json")
    assert done.code == 0, done.err
    assert done.json["manifest"]["sizing"]["max_volume"] == 0.1
    orders, fills = (read_run(lake, done.json["run_id"], name) for name in ("orders", "fills"))
    assert fills["amount"].max() == pytest.approx(0.4)  # of four an hour
    assert {"partially_filled", "filled"} <= set(orders["event"])
    filled = fills.groupby("order_id")["amount"].sum()
    whole = orders[orders["event"] == "filled"].set_index("order_id")["amount"]
    assert filled[whole.index].to_numpy() == pytest.approx(whole.to_numpy())


def test_the_best_of_a_sweep_with_a_part_of_the_volume_is_its_backtest(
    lake: Lake, hours: pd.DataFrame, jarvis: Jarvis
) -> None:
    grid = ("--grid", "fast=3,5", "--grid", "slow=20", "--fee", "0.001", "--best", "1", "--amount", "1")
    done = jarvis("sweep", *SERIES, *grid, "--max-volume", "0.1", "--json")
    assert done.code == 0, done.err
    told = done.json
    found = read_run(lake, told["runs"][0], "metrics").set_index("metric")["value"]
    for name in ("cumulative_return", "max_drawdown", "trades"):
        assert told["best"][0][name] == pytest.approx(found[name], rel=1e-9)


def test_a_multiple_of_the_costs_is_one_of_each_of_them() -> None:
    costs = {"fee": 0.01, "maker_fee": 0.002, "slippage": "0.001+volume:0.5", "borrow": 0.1, "funding": -0.01}
    costs |= {"funding_hours": 8.0, "fee_tiers": [[0.0, 0.1, 0.2], [5.0, 0.0, 0.1]]}
    assert times(costs, 2) == {
        "fee": 0.02,
        "maker_fee": 0.004,
        "slippage": "0.002+volume:1.0",
        "borrow": 0.2,
        "funding": -0.02,
        "funding_hours": 8.0,
        "fee_tiers": [[0.0, 0.2, 0.4], [5.0, 0.0, 0.2]],
    }
    assert times({"fee": 0.01, "slippage": 0.001}, 0) == {"fee": 0, "slippage": 0}


def test_a_lake_without_finer_candles_says_how_to_bring_them(lake: Lake, hours: pd.DataFrame) -> None:
    with pytest.raises(BadInput) as refusal:
        run(detail="5m")
    assert str(refusal.value) == (
        "the lake has no 5m candles of mine A/USD from 2024-01-01 to 2024-02-09: bring them with `jarvis collect "
        "--exchange mine --symbol A/USD --timeframe 5m`, or leave out the detail"
    )
    assert lake.version("runs") == -1


@pytest.mark.parametrize("name", ["max_bars", "detail", "limit_bars", "max_volume"])
def test_a_session_has_no_such_option(jarvis: Jarvis, name: str) -> None:
    done = jarvis("live", f"--{name.replace('_', '-')}", "5")
    assert done.code == 2
    assert "No such option" in done.err


def test_parameters_in_python_are_checked_like_options() -> None:
    with pytest.raises(ValidationError, match="order_type limit is of the backtest of one market"):
        PortfolioParameters(symbols=("A/USD", "B/USD"), order_type="limit")
    with pytest.raises(ValidationError, match="are of limit orders"):
        BacktestParameters(limit_offset=0.1)
