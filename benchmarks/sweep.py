"""How long a sweep takes against a floor, in one run: `python -m benchmarks.sweep`.

The work is `benchmarks.market`'s candles, fee 0.1 % a side, no slippage, all in; 1,000 pairs of SMA windows. Measured
is all that a sweep does with a set, threads included, but for the lake. The floor is the least that could be called the
same work: averages from one cumulative sum a window, long or flat, and return, Sharpe ratio, drawdown and trades in one
pass.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import typer

from benchmarks.market import CASH, FEE, walk
from flows.trials import Trials
from tasks.signal.strategies.sma_crossover import SmaCrossover

Floats = npt.NDArray[np.float64]
PAIRS = [(fast, slow) for fast in range(5, 105, 5) for slow in range(110, 360, 5)]
MANIFEST: dict[str, Any] = {
    "objective": "sharpe",
    "split": None,
    "timeframe": "1m",
    "calendar": "24/7",
    "cash": CASH,
    "costs": {"fee": FEE, "slippage": 0.0},
    "sizing": {},
    "stops": {},
    "limits": {},
}


@numba.njit(nogil=True)  # type: ignore[untyped-decorator]
def floor_pass(
    opens: Floats, closes: Floats, fast: Floats, slow: Floats, first: int
) -> tuple[float, float, float, int]:
    """Do the least: one account, nothing written down."""
    money, held, peak, deepest, total, square, last, trades = CASH, 0.0, CASH, 0.0, 0.0, 0.0, CASH, 0
    wanted = False
    for bar in range(first, opens.size):
        if wanted and held == 0.0:
            held, money, trades = money / (opens[bar] * (1.0 + FEE)), 0.0, trades + 1
        elif not wanted and held > 0.0:
            money, held = held * opens[bar] * (1.0 - FEE), 0.0
        worth = money + held * closes[bar]
        peak = max(peak, worth)
        deepest = max(deepest, 1.0 - worth / peak)
        change = worth / last - 1.0
        total, square, last = total + change, square + change * change, worth
        wanted = fast[bar] > slow[bar]
    return last / CASH - 1.0, total / np.sqrt(square), deepest, trades


def floor(opens: Floats, closes: Floats, threads: ThreadPoolExecutor) -> None:
    """Try all pairs at the floor."""
    sums = np.concatenate(([0.0], np.cumsum(closes)))
    averages = {}
    for window in {window for pair in PAIRS for window in pair}:
        averages[window] = np.full(closes.size, np.nan)
        averages[window][window - 1 :] = (sums[window:] - sums[:-window]) / window
    list(threads.map(lambda pair: floor_pass(opens, closes, averages[pair[0]], averages[pair[1]], pair[1] - 1), PAIRS))


def seconds(work: Any, repeats: int) -> float:
    """Return the median of some runs, after one to warm up."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def main() -> None:
    """Print both times, their ratio and the load."""
    candles = walk(100_000)
    opens, closes = candles["open"].to_numpy(), candles["close"].to_numpy()
    sets = [(number, {"fast": str(fast), "slow": str(slow)}) for number, (fast, slow) in enumerate(PAIRS, 1)]
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        least = seconds(lambda: floor(opens, closes, threads), 3)
    ours = seconds(lambda: Trials(candles, SmaCrossover, {}, MANIFEST).run(sets), 3)
    rate = len(PAIRS) * len(candles) / ours / 1e6
    typer.echo(f"{len(PAIRS):,} pairs, {len(candles):,} candles: floor {least:.3f} s, sweep {ours:.3f} s")
    typer.echo(f"ratio {ours / least:.1f}, {rate:,.0f} M set-candles a second; load average {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
