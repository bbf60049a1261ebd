"""A sweep's figures against those of vectorbt, installed as the benchmarks do; docs/engine.md has what differs."""

from __future__ import annotations

import json
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from benchmarks import peers
from data.runs import read_run
from data.writer import Lake
from tasks.backtest import simulate
from tasks.backtest.sweep import Course
from tasks.engine.changes import changes_of
from tasks.evaluate.trial import Stretch
from tests.servers.sweeps import swept

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

CASH = 100_000.0
SAME = (
    *("cumulative_return", "annual_volatility", "sharpe_ratio", "sortino_ratio", "max_drawdown", "trades"),
    *("win_rate", "profit_factor", "exposure_time", "fees_paid"),
)
"""Figures that mean the same of candles of a day."""
OF_DAYS = ("annual_volatility", "sharpe_ratio", "sortino_ratio")
"""Figures that mean the same of shorter candles once vectorbt is given the last value of each day."""

Floats = npt.NDArray[np.float64]


def market(seed: int, length: int, freq: str = "D") -> pd.DataFrame:
    """A random walk with a trend now and then, and opens off the close before."""
    rng = np.random.default_rng([seed, length])
    drift = np.repeat(rng.normal(0, 0.004, -(-length // 25)), 25)[:length]
    close = 100 * np.exp(np.cumsum(rng.normal(drift, 0.02)))
    opened = np.concatenate(([100.0], close[:-1])) * np.exp(rng.normal(0, 0.004, length))
    tails = 1 + np.abs(rng.normal(0, 0.005, (2, length)))
    return pd.DataFrame(
        {
            "open": opened,
            "high": np.maximum(opened, close) * tails[0],
            "low": np.minimum(opened, close) / tails[1],
            "close": close,
        },
        index=pd.date_range("2020-01-01", periods=length, freq=freq, tz="UTC", unit="us", name="ts"),
    )


def vectorbt(folder: Path, markets: list[pd.DataFrame], fee: Any, slippage: Any, freq: str, **decided: Any) -> Any:
    """Return vectorbt's answer, a column a case."""
    try:
        python = peers.vectorbt_python()
    except (subprocess.CalledProcessError, OSError) as error:
        pytest.skip(f"vectorbt does not install: {error}")
    prices = {name: np.column_stack([frame[name] for frame in markets]) for name in ("open", "close")}
    np.savez(folder / "cases.npz", **prices, fee=fee, slippage=slippage, cash=CASH, freq=freq, **decided)
    script = Path(__file__).parents[1] / "reference" / "vectorbt_figures.py"
    done = subprocess.run([python, script, folder], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with np.load(folder / "answer.npz") as answer:
        return dict(answer)


def agree(name: str, found: Any, theirs: Any) -> None:
    """Both are equal to 1e-9; where we have no figure vectorbt has none, or one that is not finite."""
    found, theirs = np.asarray(found, np.float64), np.asarray(theirs, np.float64)
    np.testing.assert_allclose(found, np.where(np.isfinite(theirs), theirs, np.nan), rtol=1e-9, atol=1e-9, err_msg=name)


def test_the_figures_of_a_sweep_are_those_of_vectorbt(lake: Lake, tmp_path: Path) -> None:
    candles = market(1, 700)
    lake.append(
        "candles",
        candles.reset_index().assign(
            exchange="file", symbol="A/USD", timeframe="1d", volume=5.0, trades=7, revision=0, superseded_at=pd.NaT,
            fetched_at=pd.Timestamp("2025-01-01", tz="UTC"),
        ),
    )  # fmt: skip
    (result,) = swept(
        exchange="file", symbols=("A/USD",), timeframes=("1d",), best=0, fee=0.001, slippage=0.0005, cash=CASH,
        grid={"fast": "3:20:1", "slow": "25:100:5"},
    )  # fmt: skip
    sets = read_run(lake, result.run_id, "sweeps").sort_values("number")
    windows = np.array([[json.loads(text)[name] for name in ("fast", "slow")] for text in sets["parameters"]])
    assert len(sets) == 18 * 16
    costs = np.full(len(sets), 0.001), np.full(len(sets), 0.0005)
    theirs = vectorbt(tmp_path, [candles] * len(sets), *costs, "1D", windows=windows)
    for name in SAME:
        agree(name, sets[name], theirs[name])
    assert sets["trades"].sum() > 1_500


def cases(count: int, length: int, freq: str) -> tuple[list[pd.DataFrame], Floats, Floats, Floats]:
    """Return markets, random targets (a column each, all of them flat at first), fees and slippages."""
    rng = np.random.default_rng(7)
    markets = [market(seed, length, freq) for seed in range(count)]
    blocks = rng.integers(2, 40, count)
    held = [np.repeat(rng.integers(0, 2, length), block)[:length] for block in blocks]
    return (
        markets,
        np.column_stack(held).astype(float),
        rng.choice([0, 1e-3, 4e-3], count),
        rng.choice([0, 1e-3], count),
    )


def figures_of(candles: pd.DataFrame, target: Floats, length: timedelta, **costs: float) -> Any:
    """Return the figures of a set of a sweep with this target."""
    opens = pd.DatetimeIndex(candles.index).as_unit("us").asi8
    stretch = Stretch(opens, length // timedelta(microseconds=1), "24/7", CASH)
    measured = Course(candles, stretch.ends, cash=CASH, timeframe=length, **costs).measure([changes_of(target)])
    return stretch.figures(measured.values[0], measured.tallies[0])


def test_random_targets_on_random_markets_have_vectorbts_fills_equity_and_figures(tmp_path: Path) -> None:
    markets, held, fees, slippages = cases(200, 400, "D")
    theirs = vectorbt(tmp_path, markets, fees, slippages, "1D", held=held.astype(bool))
    found: list[Any] = []
    for case, candles in enumerate(markets):
        costs = {"fee": float(fees[case]), "slippage": float(slippages[case])}
        found.append(figures_of(candles, held[:, case], timedelta(days=1), **costs))
        full = simulate(candles, held[:, case], cash=CASH, **costs)
        agree("value", full.equity["equity"], theirs["value"][:, case])
        own = theirs["order_col"] == case
        agree("ts", candles.index.get_indexer(full.fills["ts"]), theirs["order_idx"][own])
        agree("side", full.fills["side"] == "sell", theirs["order_side"][own])
        for ours, name in (("price", "price"), ("amount", "size"), ("fee", "fees")):
            agree(name, full.fills[ours], theirs[f"order_{name}"][own])
    for name in SAME:
        agree(name, [np.nan if each[name].value is None else each[name].value for each in found], theirs[name])
    last_held = held[-2] == 1  # decided before the last candle, so a trade is open at the end
    assert 50 < last_held.sum() < 150
    # What is not the same: an open trade is no winner here, and a year's return is a mean here, a growth there.
    more = np.array([each["win_rate"].value or 0.0 for each in found])
    assert (np.abs(more - np.nan_to_num(theirs["win_rate_of_all"]))[last_held] > 1e-3).any()
    annual = np.array([each["annual_return"].value for each in found])
    assert (np.abs(annual - theirs["annualized_return"]) > 1e-3).mean() > 0.9


def test_of_shorter_candles_the_ratios_are_vectorbts_of_days(tmp_path: Path) -> None:
    markets, held, fees, slippages = cases(40, 24 * 120, "h")
    theirs = vectorbt(tmp_path, markets, fees, slippages, "1h", held=held.astype(bool))
    found = [
        figures_of(
            candles, held[:, case], timedelta(hours=1), fee=float(fees[case]), slippage=float(slippages[case])
        )
        for case, candles in enumerate(markets)
    ]  # fmt: skip
    for name in SAME:
        values = np.array([np.nan if each[name].value is None else each[name].value for each in found])
        agree(name, values, theirs[f"{name}_of_days" if name in OF_DAYS else name])
        if name in OF_DAYS:
            assert (np.abs(values / theirs[name] - 1) > 1e-3).mean() > 0.9


def test_of_less_than_ninety_days_vectorbt_makes_a_year_and_we_do_not(tmp_path: Path) -> None:
    markets, held, fees, slippages = cases(20, 60, "D")
    theirs = vectorbt(tmp_path, markets, fees, slippages, "1D", held=held.astype(bool))
    periods = []
    for case, candles in enumerate(markets):
        costs = {"fee": float(fees[case]), "slippage": float(slippages[case])}
        found = figures_of(candles, held[:, case], timedelta(days=1), **costs)
        assert all(found[name].value is None and "not annualised" in found[name].note for name in OF_DAYS)
        periods.append(np.nan if found["period_sharpe"].value is None else found["period_sharpe"].value)
    agree("sharpe_ratio", np.sqrt(365) * np.array(periods), theirs["sharpe_ratio"])
    assert np.isfinite(periods).sum() > 10
