"""The tables of a simulation, how it is compiled, and what it costs."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from data.tables import TABLES
from tasks.backtest import Simulation, execute_backtest, simulate

OF_SESSIONS = {
    "run_id",  # the flow's to add
    *("leg", "attempt", "client_id", "exchange_id", "deadline"),
    *("amount_exact", "price_exact", "filled_exact", "fee_exact"),
}
"""Columns that a simulation does not fill."""

CHECKOUT = Path(__file__).resolve().parents[2]


def walk(length: int) -> pd.DataFrame:
    rng = np.random.default_rng(7)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.002, length)))
    open_ = np.concatenate(([100.0], close[:-1]))
    return pd.DataFrame(
        {
            "open": open_,
            "high": np.maximum(open_, close) * 1.0005,
            "low": np.minimum(open_, close) * 0.9995,
            "close": close,
            "volume": 1.0,
        },
        index=pd.date_range("2024-01-01", periods=length, freq="min", tz="UTC", unit="us", name="ts"),
    )


def crossover(candles: pd.DataFrame) -> pd.Series:
    fast, slow = candles.close.rolling(10).mean(), candles.close.rolling(20).mean()
    return (fast > slow).astype(float).where(slow.notna())


@pytest.fixture(scope="module")
def result() -> Simulation:
    candles = walk(5000)
    sides = crossover(candles) * 2 - 1
    return simulate(
        candles,
        sides,
        symbol="BTC/USD",
        fee=0.0005,
        slippage=0.0,
        stop_loss=0.005,
        take_profit=0.01,
        amount_step=1.0,
        min_cost=80_000,
    )


@pytest.mark.parametrize("name", ["fills", "trades", "equity", "orders"])
def test_columns_and_types_are_those_of_the_lake(result: Simulation, name: str) -> None:
    frame = getattr(result, name)
    columns = [column for column in TABLES[name].columns if column.name not in OF_SESSIONS]
    assert len(frame) > 0
    assert list(frame.columns) == [column.name for column in columns]
    for column in columns:
        # Refuses what would lose a digit or a null.
        pa.array(frame[column.name], from_pandas=True).cast(column.type, safe=True)
        if column.type == pa.timestamp("us", "UTC"):
            assert str(frame[column.name].dtype) == "datetime64[us, UTC]"


def test_columns_and_types_are_the_same_when_nothing_is_traded(result: Simulation) -> None:
    candles = walk(30)
    idle = simulate(candles, np.zeros(30), symbol="BTC/USD")
    for name in ("fills", "trades", "equity", "orders"):
        pd.testing.assert_series_equal(getattr(idle, name).dtypes, getattr(result, name).dtypes)


@pytest.mark.parametrize(("name", "key"), [("fills", "fill_id"), ("orders", "order_id"), ("trades", "trade_id")])
def test_keys_are_unique_in_the_run(result: Simulation, name: str, key: str) -> None:
    assert getattr(result, name)[key].is_unique


def test_ids_name_the_candle_of_the_decision_the_side_and_the_leg() -> None:
    candles = walk(4)
    result = simulate(candles, [1, -1, -1, -1])
    assert list(result.fills.order_id) == [
        "2024-01-01T00:00:00Z-buy-open",
        "2024-01-01T00:01:00Z-sell-close",
        "2024-01-01T00:01:00Z-sell-open",
    ]
    assert list(result.fills.fill_id) == [f"{order}-1" for order in result.fills.order_id]


def test_candles_shorter_than_a_second_have_ids_of_their_own() -> None:
    candles = walk(6)
    candles.index = pd.date_range("2024-01-01", periods=6, freq="100ms", tz="UTC", unit="us")
    result = simulate(candles, [1, 0, 1, 0, 1, 0])
    assert result.orders.order_id.is_unique
    assert result.orders.order_id[0] == "2024-01-01T00:00:00.000000Z-buy-open"


def test_fills_orders_and_trades_lead_to_each_other(result: Simulation) -> None:
    orders = result.orders.set_index("order_id")
    fills, trades = result.fills, result.trades
    assert (orders.loc[fills.order_id, "event"] == "filled").all()
    assert (orders.event == "filled").sum() == len(fills)
    closed = trades[trades.status == "closed"]
    assert (orders.loc[trades.entry_order_id, "ts"].to_numpy() == trades.entry_ts.to_numpy()).all()
    assert (orders.loc[closed.exit_order_id, "ts"].to_numpy() == closed.exit_ts.to_numpy()).all()
    assert set(fills.trade_id) == set(trades.trade_id)
    by_signal = orders[(orders.reason == "signal") & (orders.event == "filled")]
    assert (by_signal.ts - by_signal.decision_ts == pd.Timedelta("1min")).all()


def test_a_stop_leads_back_to_the_decision_of_its_entry(result: Simulation) -> None:
    orders = result.orders.set_index("order_id")
    stopped = result.trades[result.trades.exit_reason == "stop_loss"]
    assert len(stopped) > 0
    entries = orders.loc[stopped.entry_order_id, "decision_ts"]
    assert (orders.loc[stopped.exit_order_id, "decision_ts"].to_numpy() == entries.to_numpy()).all()


def test_trades_add_up_from_their_fills(result: Simulation) -> None:
    fills, trades = result.fills, result.trades.set_index("trade_id")
    fees = fills.groupby("trade_id").fee.sum()
    np.testing.assert_allclose(trades.fees, fees.reindex(trades.index), rtol=1e-12)
    np.testing.assert_allclose(trades.entry_holding, trades.amount * trades.entry_price, rtol=1e-12)
    np.testing.assert_allclose(trades["return"], trades.profit / trades.entry_holding, rtol=1e-12)


def test_the_same_input_gives_the_same_bytes() -> None:
    candles = walk(3000)
    first, second = (simulate(candles, crossover(candles), trailing_stop=0.005) for _ in range(2))
    for name in ("fills", "trades", "equity", "orders"):
        pd.testing.assert_frame_equal(getattr(first, name), getattr(second, name), check_exact=True)


def test_the_results_have_not_moved() -> None:
    """A change of speed moves no digit; a change of meaning renews these digests, and says so."""
    rng = np.random.RandomState(7)  # its numbers are the same for ever
    close = 800 + np.cumsum(rng.randint(-20, 21, 3000)) / 4
    open_ = np.concatenate(([800.0], close[:-1])) + rng.randint(-8, 9, 3000) / 4
    high, low = np.maximum(open_, close) + 3, np.minimum(open_, close) - 3
    index = pd.date_range("2024-01-01", periods=3000, freq="h", tz="UTC", unit="us")
    candles = pd.DataFrame({"open": open_, "high": high, "low": low, "close": close}, index=index)
    target = np.repeat(rng.choice([0.0, 1.0, 0.5, -1.0, np.nan], 300), 10)
    rules = {"stop_loss": 0.02, "trailing_stop": 0.03, "take_profit": 0.03, "amount_step": 0.01, "min_cost": 48_000.0}
    result = simulate(candles, target, fee=0.001, **rules)
    assert set(result.fills.reason) == {"signal", "stop_loss", "trailing_stop", "take_profit"}
    assert set(result.orders.event) == {"filled", "rejected"}
    assert (result.trades.carry == 0).all()
    digests = {}
    for name in ("fills", "trades", "equity", "orders"):
        text = getattr(result, name).drop(columns="carry", errors="ignore").to_csv(float_format="%r")
        digests[name] = hashlib.sha256(text.encode()).hexdigest()[:16]
    assert digests == {
        "fills": "1134089be960e4a4",
        "trades": "0e093cc4ef4dcdff",
        "equity": "2364e773c9ee9186",
        "orders": "b7bb45a9e496280d",
    }


def test_input_and_output_do_not_share_memory() -> None:
    candles = walk(100)
    before = candles.copy(deep=True)
    result = simulate(candles, np.ones(100))
    result.equity.loc[result.equity.index[0], "price"] = 0.0
    result.equity.loc[:, "equity"] = 0.0
    result.fills.loc[:, "price"] = 0.0
    pd.testing.assert_frame_equal(candles, before)


def test_how_the_candles_lie_in_memory_does_not_matter() -> None:
    candles = walk(500)
    rows = pd.DataFrame(np.ascontiguousarray(candles.to_numpy()), index=candles.index, columns=candles.columns)
    every_other = pd.concat([candles, candles], axis=1).iloc[:, :5]
    target = crossover(candles)
    expected = simulate(candles, target).trades
    for frame in (rows, every_other, candles.assign(trades=1).astype({"open": object})):
        pd.testing.assert_frame_equal(simulate(frame, target).trades, expected)


def test_logs_grow_with_the_orders() -> None:
    candles = walk(4000)
    target = np.tile([1.0, -1.0], 2000)
    result = simulate(candles, target, fee=0.0, slippage=0.0)
    assert len(result.fills) == 2 * 3999 - 1
    assert len(result.trades) == 3999
    assert list(result.trades.trade_id) == list(range(1, 4000))


def test_memory_grows_no_faster_than_the_input() -> None:
    def peak_a_candle(length: int) -> float:
        candles = walk(length)
        target = crossover(candles)
        tracemalloc.start()
        simulate(candles, target)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak / length

    simulate(walk(100), np.ones(100))
    small, large = peak_a_candle(20_000), peak_a_candle(200_000)
    assert large < 1.2 * small
    assert large < 200


def test_the_task_simulates_the_signals_and_names_the_market() -> None:
    candles = walk(300)
    signals = pd.DataFrame({"signal": crossover(candles)})
    result = execute_backtest(candles, signals, symbol="AAPL", fee=0.001, stop_loss=0.01)
    expected = simulate(candles, signals["signal"], symbol="AAPL", fee=0.001, stop_loss=0.01)
    for name in ("fills", "trades", "equity", "orders"):
        pd.testing.assert_frame_equal(getattr(result, name), getattr(expected, name))
    assert set(result.trades.symbol) == {"AAPL"}


# How it is compiled


def python(code: str, cwd: Path = CHECKOUT, **variables: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(cwd), **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_the_stage_does_not_import_numba() -> None:
    assert python("import sys, tasks.backtest; print('numba' in sys.modules)") == "False"


SIMULATE = """
import numpy as np, pandas as pd
from tasks.backtest import simulate
from tasks.engine import kernel
index = pd.date_range("2024-01-01", periods=9, freq="h", tz="UTC", unit="us")
candles = pd.DataFrame(1.0, index=index, columns=["open", "high", "low", "close"])
trades = simulate(candles, np.ones(9)).trades
print(kernel.__file__)
print(len(trades), sum(kernel.advance.stats.cache_hits.values()))
"""


def checkout_at(folder: Path) -> Path:
    for part in ("data", "tasks"):
        shutil.copytree(CHECKOUT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", "lake"))
    return folder


@pytest.mark.slow
def test_compiled_code_is_kept_for_the_next_process(tmp_path: Path) -> None:
    checkout = checkout_at(tmp_path / "checkout")
    kept = str(tmp_path / "kept")
    assert python(SIMULATE, checkout, NUMBA_CACHE_DIR=kept).splitlines() == [
        str(checkout / "tasks/engine/kernel/__init__.py"),
        "1 0",
    ]
    assert python(SIMULATE, checkout, NUMBA_CACHE_DIR=kept).splitlines()[1] == "1 1"


@pytest.mark.slow
def test_what_is_compiled_ahead_is_compiled_for_every_backtest_and_sweep(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    settings = os.environ | {"NUMBA_CACHE_DIR": str(kept)}
    subprocess.run([sys.executable, "-m", "flows.ahead"], cwd=CHECKOUT, env=settings, check=True)
    before = sorted(kept.rglob("*.nbc"))
    assert any("follow" in file.name for file in before)
    examples = ["tests/unit/test_backtest_against_reference.py", "tests/unit/test_portfolio_against_reference.py"]
    run = [sys.executable, "-m", "pytest", "-q", *examples]
    subprocess.run(run, cwd=CHECKOUT, env=settings, check=True)
    assert sorted(kept.rglob("*.nbc")) == before


@pytest.mark.slow
def test_without_a_folder_to_keep_compiled_code_in_it_is_compiled_anew(tmp_path: Path) -> None:
    checkout = checkout_at(tmp_path / "checkout")
    # A file where the cache's folder should be: nobody, not even root, can write below it.
    (checkout / "tasks/engine/kernel/__pycache__").touch()
    home = tmp_path / "home"
    home.touch()
    nowhere = {"HOME": str(home), "XDG_CACHE_HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1", "NUMBA_CACHE_DIR": ""}
    assert python(SIMULATE, checkout, **nowhere).splitlines()[1] == "1 0"
