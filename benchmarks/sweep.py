"""How long a sweep takes, against a floor and vectorbt, in one run: `python -m benchmarks.sweep`.

The work is `benchmarks.market`'s candles at prices of two decimals, fee 0.1 % a side, no slippage, all in, and pairs of
SMA windows. Measured of Jarvis is all that a sweep does but for the lake: candles checked, strategies built, averages,
backtests, and the rows with all their figures. The floor is `benchmarks.floor`. Ratios hold, seconds depend on the
machine; processor seconds depend on it less.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks import floor, peers
from benchmarks.backtest import peak_memory
from benchmarks.market import CASH, FEE, walk
from flows.trials import Trials
from tasks.signal import Strategy
from tasks.signal.registry import find

Floats = npt.NDArray[np.float64]
Pair = tuple[int, int]

TICKS = 100.0
CHUNK = 500
"""Sets that the flow tries at a time."""
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
    "entries": {},
}
OTHERS: dict[str, dict[str, Sequence[float]]] = {
    "sma_crossover": {"fast": range(5, 105, 5), "slow": range(110, 360, 5)},
    "ema_crossover": {"fast": range(5, 105, 5), "slow": range(110, 360, 5)},
    "macd": {"fast": range(5, 15), "slow": range(20, 40, 2), "smooth": range(5, 15)},
    "rsi_mean_reversion": {"window": range(5, 45, 4), "oversold": range(20, 40, 2), "recovered": range(45, 55)},
    "bollinger_bands": {"window": range(10, 60, 2), "width": [0.5 + 0.05 * step for step in range(40)]},
    "donchian_breakout": {"entry": range(10, 110, 4), "exit": range(5, 45)},
    "volatility_targeted_momentum": {"lookback": range(20, 120, 10), "window": range(20, 70, 5), "risk": [
        0.0002 * step for step in range(1, 11)
    ]},
}  # fmt: skip


def pairs_of(count: int) -> list[Pair]:
    """Return so many pairs of windows, fast below slow: 70 windows for a thousand of them, 200 for ten thousand."""
    step = 5 if count <= 1_000 else 1
    fasts, slows = range(5, 105, step), range(110, 110 + 50 * step, step) if step == 5 else range(110, 210)
    return [(fast, slow) for fast in fasts for slow in slows][:count]


def sets_of(pairs: Sequence[Pair]) -> list[tuple[int, dict[str, str]]]:
    return [(number, {"fast": str(fast), "slow": str(slow)}) for number, (fast, slow) in enumerate(pairs, 1)]


def market(length: int, shift: int = 0) -> pd.DataFrame:
    """Return candles at prices of two decimals; those of another `shift` are of another symbol."""
    candles = walk(length + shift).iloc[shift:] if shift else walk(length)
    return candles.round(2)


def sweep(candles: pd.DataFrame, strategy: type[Strategy], sets: Sequence[tuple[int, dict[str, str]]]) -> pa.Table:
    """Do what the flow does with its candles and sets."""
    trials = Trials(candles, strategy, {}, MANIFEST)
    return pa.concat_tables(trials.run(sets[start : start + CHUNK]) for start in range(0, len(sets), CHUNK))


def timed(work: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Return the least of the seconds by the clock, and of the processor's, after a run that does not count."""
    work()
    clock, processor = [], []
    for _ in range(repeats):
        start, used = time.perf_counter(), time.process_time()
        work()
        clock.append(time.perf_counter() - start)
        processor.append(time.process_time() - used)
    return min(clock), min(processor)


def vectorbt(arrays: dict[str, Any], work: str) -> tuple[float, Floats] | str:
    """Return vectorbt's seconds and rows, or why there are none."""
    try:
        python = peers.vectorbt_python()
        with tempfile.TemporaryDirectory() as folder:
            for name, values in (arrays | {"costs": [FEE, CASH]}).items():
                np.save(Path(folder) / f"{name}.npy", np.asarray(values))
            script = Path(__file__).with_name("peer_vectorbt_sweep.py")
            done = subprocess.run([python, script, folder, work], check=True, capture_output=True, text=True)
    except (subprocess.CalledProcessError, OSError) as error:
        return f"not measured: {(getattr(error, 'stderr', '') or str(error)).strip().splitlines()[-1]}"
    answer = json.loads(done.stdout.splitlines()[-1])
    return answer["seconds"], np.array(answer["rows"])


def against(name: str, ours: tuple[float, float], least: tuple[float, float], peer: Any, trades: int) -> str:
    """Return a row of the table of peers."""
    cells = [name, *(f"{seconds:.3f}" for seconds in (*ours, *least)), f"{ours[1] / least[1]:.2f}"]
    if isinstance(peer, str):
        return " | ".join([*cells, peer, "", f"{trades:,}", ""])
    if peer is None:
        return " | ".join([*cells, "", "", f"{trades:,}", ""])
    return " | ".join(
        [*cells, f"{peer[0]:.1f}", f"{peer[0] / ours[0]:.0f}", f"{trades:,}", f"{peer[1][:, 3].sum():,.0f}"]
    )


def print_peers(sizes: Sequence[tuple[int, int]], repeats: int, *, with_peer: bool) -> None:
    """Print pairs on one symbol, and one pair on many symbols."""
    sma, threads = find("sma_crossover"), floor.threads_here()
    heads = ("work", "sweep s", "of processor", "floor s", "of processor", "processor, to floor", "vectorbt s")
    print(f"| {' | '.join([*heads, 'vectorbt, to sweep', 'trades', 'its trades'])} |")
    print("|---" * 10 + "|")
    for count, length in sizes:
        candles, pairs = market(length), pairs_of(count)
        opens, closes = (candles[name].to_numpy() for name in ("open", "close"))
        rows = sweep(candles, sma, sets_of(pairs))
        ours = timed(lambda: sweep(candles, sma, sets_of(pairs)), repeats)  # noqa: B023 - done with before the next
        least = timed(lambda: floor.sweep(opens, closes, TICKS, pairs, threads), 2 * repeats)  # noqa: B023
        wanted = with_peer and count * length <= 10**8
        peer = vectorbt({"open": opens, "close": closes, "pairs": pairs}, "pairs") if wanted else None
        trades = pc.sum(rows["trades"]).as_py()
        print(f"| {against(f'{count:,} pairs x {length:,}', ours, least, peer, trades)} |", flush=True)


def print_symbols(count: int, length: int, repeats: int, *, with_peer: bool) -> None:
    """Print one pair on many symbols, an account each."""
    sma, several = find("sma_crossover"), [market(length, 1000 * shift) for shift in range(count)]
    chosen = sets_of([(10, 20)])

    def run() -> pa.Table:
        with ThreadPoolExecutor(floor.threads_here()) as threads:
            return pa.concat_tables(
                threads.map(lambda candles: Trials(candles, sma, {}, MANIFEST).run(chosen), several)
            )

    arrays = [(candles["open"].to_numpy(), candles["close"].to_numpy()) for candles in several]

    def lowest() -> None:
        with ThreadPoolExecutor(floor.threads_here()) as threads:
            list(threads.map(lambda prices: floor.sweep(*prices, TICKS, [(10, 20)], 1), arrays))

    columns = {name: np.column_stack([candles[name] for candles in several]) for name in ("open", "close")}
    peer = vectorbt(columns | {"pairs": [(10, 20)]}, "symbols") if with_peer else None
    trades = pc.sum(run()["trades"]).as_py()
    least = timed(lowest, repeats)
    print(f"| {against(f'{count:,} symbols x {length:,}', timed(run, repeats), least, peer, trades)} |", flush=True)


def print_linear(repeats: int) -> None:
    """Print that the cost is linear in candles times sets."""
    sma = find("sma_crossover")
    print("\n| sets | candles | sets x candles | sweep s | of processor | ns a set and candle, of processor |")
    print("|---|---|---|---|---|---|")
    for count, length in ((100, 100_000), (1_000, 100_000), (10_000, 100_000), (1_000, 30_000), (1_000, 1_000_000)):
        candles, sets = market(length), sets_of(pairs_of(count))
        clock, used = timed(lambda: sweep(candles, sma, sets), repeats)  # noqa: B023
        each = used / count / length * 1e9
        print(f"| {count:,} | {length:,} | {count * length:.0e} | {clock:.3f} | {used:.3f} | {each:.2f} |", flush=True)


def print_others(length: int, repeats: int) -> None:
    """Print the strategies that ship, a thousand sets each."""
    print("\n| strategy | changes of position a set | ms of processor a set | to sma_crossover |\n|---|---|---|---|")
    candles, first = market(length), 0.0
    for name, axes in OTHERS.items():
        grid = np.stack(np.meshgrid(*axes.values(), indexing="ij"), axis=-1).reshape(-1, len(axes))
        text = [{axis: f"{value:g}" for axis, value in zip(axes, point, strict=True)} for point in grid.tolist()]
        sets, strategy = list(enumerate(text, 1)), find(name)
        trades = pc.sum(sweep(candles, strategy, sets)["trades"]).as_py()
        each = timed(lambda: sweep(candles, strategy, sets), repeats)[1] / len(sets) * 1e3  # noqa: B023
        first = first or each
        print(f"| {name} | {2 * trades / len(sets):,.0f} | {each:.3f} | {each / first:.2f} |", flush=True)


def in_a_process(*arguments: str, **environment: str) -> dict[str, float]:
    """Run this module in a process of its own, and return what it prints."""
    command = [sys.executable, "-m", "benchmarks.sweep", *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | environment)
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


def print_memory(count: int, length: int) -> None:
    """Print what a large sweep takes in time and memory."""
    answer = in_a_process("--large", str(count), str(length))
    heads = ("sets x candles", "sweep s", "of processor", "peak MB", "MB before the sweep, candles in it")
    print(f"\n| {' | '.join(heads)} |\n|---|---|---|---|---|")
    cells = [f"{answer[name]:,.0f}" for name in ("seconds", "processor", "peak", "before")]
    print(f"| {count:,} x {length:,} | {' | '.join(cells)} |", flush=True)


def large(count: int, length: int) -> dict[str, float]:
    """Sweep once, and return the highest resident size by the system before and after, in MB.

    To be called in a process of its own, which has not been larger before.
    """
    candles, sets, sma = market(length), sets_of(pairs_of(count)), find("sma_crossover")
    before, start, used = peak_memory() / 1e6, time.perf_counter(), time.process_time()
    assert len(sweep(candles, sma, sets)) == count
    taken = {"seconds": time.perf_counter() - start, "processor": time.process_time() - used}
    return taken | {"before": before, "peak": peak_memory() / 1e6}


def print_first_use() -> None:
    """Print how long a fresh process takes for its first sweep and backtest."""
    print("\n| compiled code | import s | first sweep s | first backtest s |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for kept in ("absent", "kept on disk"):
            answer = in_a_process("--first", NUMBA_CACHE_DIR=folder)
            figures = " | ".join(f"{answer[name]:.2f}" for name in ("import", "sweep", "backtest"))
            print(f"| {kept} | {figures} |", flush=True)


def first_use(imported: float) -> dict[str, float]:
    """Do everything for the first time; to be called in a process of its own."""
    from benchmarks.market import crossover
    from tasks.backtest import simulate

    candles, sma = market(10_000), find("sma_crossover")
    target, times = crossover(candles), [time.perf_counter()]
    for work in (lambda: sweep(candles, sma, sets_of([(10, 20)])), lambda: simulate(candles, target).trades):
        work()
        times.append(time.perf_counter())
    return {"import": imported, "sweep": times[1] - times[0], "backtest": times[2] - times[1]}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="runs of which the least counts")
    parser.add_argument("--no-peer", action="store_true", help="leave vectorbt out")
    parser.add_argument("--large", type=int, nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--first", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.large:
        print(json.dumps(large(*options.large)))
    elif options.first:
        print(json.dumps(first_use(time.process_time())))
    else:
        sizes = [(100, 100_000), (1_000, 100_000), (1_000, 500_000)]
        print(f"{floor.threads_here()} threads, load average {os.getloadavg()[0]:.1f}\n")
        print_peers(sizes, options.repeats, with_peer=not options.no_peer)
        print_symbols(200, 100_000, options.repeats, with_peer=not options.no_peer)
        print_linear(options.repeats)
        print_others(100_000, options.repeats)
        print_memory(10_000, 500_000)
        print_first_use()
        print(f"\nload average {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
