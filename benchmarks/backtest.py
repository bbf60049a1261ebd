"""How long a backtest takes, against a floor and two peers, in one run: `python -m benchmarks.backtest`.

The work is `benchmarks.market`'s: fee 0.1 % a side, no slippage, all in. Each engine is given arrays and a target and
returns its orders, trades and equity curve. Ratios hold, seconds depend on the machine.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numba
import numpy as np
import numpy.typing as npt
import pandas as pd
import psutil

from benchmarks import peers
from benchmarks.market import CASH, FEE, crossover, walk
from benchmarks.peers import Measured, seconds_of
from tasks.backtest import Simulation, simulate

Floats = npt.NDArray[np.float64]
SIZES = (10_000, 100_000, 1_000_000)
LARGEST = 5_000_000


def run(candles: pd.DataFrame, target: Floats) -> Simulation:
    return simulate(candles, target, cash=CASH, fee=FEE, slippage=0.0)


def tables_of(result: Simulation) -> tuple[pd.DataFrame, ...]:
    """Return all tables, which are made when they are asked for."""
    return result.fills, result.trades, result.orders, result.equity


def floor_pass(
    opens: Floats, closes: Floats, target: Floats, cash: Floats, position: Floats, equity: Floats, drawdown: Floats
) -> int:
    """Do the least that could be called this backtest: the account by bar, long or flat, and no trade written down."""
    money, held, peak, acted, pending, trades = CASH, 0.0, CASH, 0.0, False, 0
    for bar in range(opens.size):
        if pending:
            if acted > 0.0:
                money, held, trades = 0.0, money / (opens[bar] * (1.0 + FEE)), trades + 1
            else:
                money, held = money + held * opens[bar] * (1.0 - FEE), 0.0
            pending = False
        worth = money + held * closes[bar]
        peak = max(peak, worth)
        cash[bar], position[bar], equity[bar], drawdown[bar] = money, held, worth, worth / peak - 1.0
        if not np.isnan(target[bar]) and target[bar] != acted:
            acted, pending = target[bar], True
    return trades


floor = cast("Callable[..., int]", numba.njit(floor_pass))


def measure_ours(candles: pd.DataFrame, target: Floats, repeats: int, *, tables: bool) -> Measured:
    result = run(candles, target)
    seconds = seconds_of(lambda: tables_of(run(candles, target)) if tables else run(candles, target), repeats)
    return Measured(seconds, len(result.trades), float(result.equity["equity"].iloc[-1]))


def measure_floor(candles: pd.DataFrame, target: Floats, repeats: int) -> Measured:
    opens, closes = candles["open"].to_numpy(), candles["close"].to_numpy()
    curves = [np.empty(len(candles)) for _ in range(4)]
    trades = floor(opens, closes, target, *curves)
    seconds = seconds_of(lambda: floor(opens, closes, target, *curves), repeats)
    return Measured(seconds, trades, float(curves[2][-1]))


def measure_engines(length: int, repeats: int) -> dict[str, Measured | str]:
    """Measure every engine on one size; the word why where one could not be."""
    candles = walk(length)
    target = crossover(candles)
    measured: dict[str, Measured | str] = {
        "simulate": measure_ours(candles, target, repeats, tables=False),
        "simulate, all tables": measure_ours(candles, target, repeats, tables=True),
        "floor, numba": measure_floor(candles, target, repeats),
    }
    for name, zone in {"vectorbt": "naive", "vectorbt, UTC index": "utc"}.items():
        if zone == "utc" and length > 100_000:
            continue
        try:
            measured[name] = peers.vectorbt(candles, target, repeats=1 if zone == "utc" else 5, zone=zone)
        except (subprocess.CalledProcessError, OSError) as error:
            last = (getattr(error, "stderr", "") or str(error)).strip().splitlines()[-1]
            measured[name] = f"not measured: {last}"
    if length <= 100_000:
        measured["backtesting.py"] = peers.backtesting_py(candles, target, repeats=3)
    return measured


def print_engines(length: int, repeats: int) -> None:
    measured = measure_engines(length, repeats)
    ours = measured["simulate"]
    assert isinstance(ours, Measured)
    for name, what in measured.items():
        if isinstance(what, str):
            print(f"| {length:,} | {name} | {what} | | | | |", flush=True)
            continue
        ratio = what.median / ours.median
        far = abs(what.equity / ours.equity - 1.0)
        times = f"{what.least * 1e3:,.2f} | {what.median * 1e3:,.2f} | {ratio:,.2f}"
        print(f"| {length:,} | {name} | {times} | {what.trades:,} | {far:.0e} |", flush=True)


def peak_memory() -> int:
    """Return the highest resident size of this process, in bytes. `getrusage` counts its parent's too."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


def measure_memory(length: int) -> dict[str, float]:
    """Return bytes of the input and the output, and by how much the process grew at its highest.

    To be called in a process of its own, which has not been larger before.
    """
    candles = walk(1000)
    tables_of(run(candles, crossover(candles)))
    prices = np.linspace(100.0, 110.0, length)
    index = pd.date_range("2020-01-01", periods=length, freq="min", tz="UTC", unit="us", name="ts")
    candles = pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), prices), index=index)
    target = (np.arange(length) // 24 % 2).astype(float)
    before = psutil.Process().memory_info().rss
    result = run(candles, target)
    frames = tables_of(result)
    peak = peak_memory()
    return {
        "input": float(candles.memory_usage().sum() + target.nbytes),
        "output": float(sum(frame.memory_usage().sum() for frame in frames)),
        "grown": float(peak - before),
        "peak": float(peak),
        "trades": len(result.trades),
    }


def print_memory(length: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.backtest", "--memory-of", str(length)],
        check=True,
        capture_output=True,
        text=True,
    )
    memory = json.loads(done.stdout)
    figures = " | ".join(f"{memory[name] / 1e6:,.0f}" for name in ("input", "output", "grown", "peak"))
    print(
        f"| {length:,} | {memory['trades']:,.0f} | {figures} | {memory['grown'] / length:,.0f} |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--repeats", type=int, default=15, help="runs of simulate and floor, of which the median counts"
    )
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES, help="candles")
    parser.add_argument("--memory-of", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory_of:
        print(json.dumps(measure_memory(options.memory_of)))
        return
    print("| candles | engine | ms, least | ms, median | ratio of medians | trades | final equity off by |")
    print("|---|---|---|---|---|---|---|")
    for length in options.sizes:
        print_engines(length, options.repeats)
    print("\n| candles | trades | input MB | output MB | grown by MB | process MB | grown by bytes a candle |")
    print("|---|---|---|---|---|---|---|")
    for length in (*options.sizes, LARGEST):
        print_memory(length)


if __name__ == "__main__":
    main()
