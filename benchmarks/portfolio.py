"""How long a portfolio of many markets takes: `python -m benchmarks.portfolio [--symbols 200] [--candles 100000]`.

One account, one-minute candles, the ten markets that have risen most over 500 candles, ranked anew and brought back to
a tenth of the equity each every 50 candles; no costs, so that the meanings of vectorbt and of `simulate_portfolio`
coincide. Both are given candles and weights in memory.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import typer

from benchmarks.market import CASH
from benchmarks.peers import vectorbt_python
from tasks.backtest import PortfolioSimulation, simulate_portfolio

EVERY, LOOKBACK, TOP = 50, 500, 10
Floats = npt.NDArray[np.float64]


def markets(symbols: int, candles: int) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """Return candles by symbol, and the weights at every 50th close."""
    index = pd.date_range("2020-01-01", periods=candles, freq="min", tz="UTC", unit="us", name="ts")
    rng = np.random.default_rng(7)
    known, closes = {}, np.empty((candles, symbols))
    for number in range(symbols):
        close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.001, candles)))
        opened = np.concatenate(([100.0], close[:-1]))
        high, low = np.maximum(opened, close) * 1.0002, np.minimum(opened, close) * 0.9998
        known[f"S{number:03d}"] = pd.DataFrame({"open": opened, "high": high, "low": low, "close": close}, index=index)
        closes[:, number] = close
    weights = np.full((candles, symbols), np.nan)
    for row in range(-(-(LOOKBACK + 1) // EVERY) * EVERY - 1, candles, EVERY):
        weights[row] = 0.0
        weights[row, np.argsort(closes[row - LOOKBACK] / closes[row])[:TOP]] = 1.0 / TOP
    return known, pd.DataFrame(weights, index=index, columns=list(known))


def ours(candles: dict[str, pd.DataFrame], weights: pd.DataFrame, repeats: int) -> tuple[list[float], float]:
    """Return the times, and by how many MB the process grew."""
    few = weights.index[:1000]
    simulate(({name: frame.loc[few] for name, frame in candles.items()}), weights.loc[few])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        simulate(candles, weights)
        seconds.append(time.perf_counter() - start)
    return seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def simulate(candles: dict[str, pd.DataFrame], weights: pd.DataFrame) -> PortfolioSimulation:
    """Backtest, with all tables."""
    return simulate_portfolio(candles, weights, cash=CASH, fee=0.0, slippage=0.0, rebalance_every=EVERY)


def main(
    symbols: Annotated[int, typer.Option(min=TOP)] = 200,
    candles: Annotated[int, typer.Option(min=2 * LOOKBACK)] = 100_000,
    repeats: Annotated[int, typer.Option(min=1)] = 3,
) -> None:
    """Print a table of both engines."""
    known, weights = markets(symbols, candles)
    seconds, grown = ours(known, weights, repeats)
    result = simulate(known, weights)
    equity = float(result.equity["equity"].iloc[-1])
    typer.echo(f"{symbols} symbols, {candles:,} candles; load average {os.getloadavg()[0]:.1f}\n")
    typer.echo(
        "| engine | s, least | s, median | orders | grown by MB | final equity off by |\n|---|---|---|---|---|---|"
    )
    row = "| {} | {:.2f} | {:.2f} | {:,} | {:,.0f} | {:.0e} |"
    typer.echo(row.format("simulate_portfolio", min(seconds), np.median(seconds), len(result.fills), grown, 0.0))
    try:
        peer = vectorbt(known, weights, repeats)
    except subprocess.CalledProcessError as error:
        typer.echo(f"vectorbt: {str(error.stderr).strip().splitlines()[-1:]}")
        return
    off = abs(peer["equity"] / equity - 1)
    times = peer["seconds"]
    typer.echo(row.format("vectorbt", min(times), np.median(times), peer["orders"], peer["megabytes"], off))


def vectorbt(candles: dict[str, pd.DataFrame], weights: pd.DataFrame, repeats: int) -> dict[str, Any]:
    """Measure vectorbt. Raises CalledProcessError where it does not install or run."""
    python = vectorbt_python()
    with tempfile.TemporaryDirectory() as folder:
        for name in ("open", "close"):
            np.save(Path(folder) / f"{name}.npy", np.column_stack([frame[name] for frame in candles.values()]))
        np.save(Path(folder) / "weights.npy", weights.to_numpy())
        np.save(Path(folder) / "costs.npy", np.array([0.0, CASH]))
        script = Path(__file__).with_name("peer_vectorbt_portfolio.py")
        command = [str(python), str(script), folder, str(repeats)]
        done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


if __name__ == "__main__":
    typer.run(main)
