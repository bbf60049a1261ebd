"""vectorbt on the work of `benchmarks.sweep`, in an environment of its own: `python THIS ARRAYS WORK`.

ARRAYS is a folder with open.npy, close.npy and costs.npy, and for the WORK `pairs` with pairs.npy; for `symbols` open
and close have a column a symbol, and pairs.npy has one pair. Averages are computed once a window, portfolios in chunks
of ten columns, by two processes that inherit the arrays: the best way found. Prints one JSON object.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

warnings.filterwarnings("ignore")
CHUNK = 10

shared: dict[str, Any] = {}


def figures(opens: Any, closes: Any, held: Any) -> list[list[float]]:
    """Return final return, Sharpe ratio of the bars, drawdown and trades, a row a column of `held`."""
    import vectorbt  # type: ignore[import-not-found]

    index = pd.date_range("2020-01-01", periods=len(held), freq="min")
    held = np.vstack([np.zeros((1, held.shape[1]), bool), held[:-1]])  # decided at the close, filled at the next open
    before = np.vstack([np.zeros((1, held.shape[1]), bool), held[:-1]])
    wide = pd.DataFrame if closes.ndim == 2 else pd.Series
    fee, cash = shared["costs"]
    portfolio = vectorbt.Portfolio.from_signals(
        wide(closes, index),
        pd.DataFrame(held & ~before, index),
        pd.DataFrame(~held & before, index),
        price=wide(opens, index),
        fees=float(fee),
        init_cash=float(cash),
        freq="1min",
    )
    found = (portfolio.total_return(), portfolio.sharpe_ratio(), portfolio.max_drawdown(), portfolio.trades.count())
    return np.column_stack([np.asarray(each, float) for each in found]).tolist()


def averages(closes: Any, windows: list[int]) -> Any:
    """Return the moving averages by vectorbt's own, a column a window."""
    import vectorbt

    return vectorbt.MA.run(pd.Series(closes), windows).ma.to_numpy()


def pairs_of(chunk: Any) -> list[list[float]]:
    """Backtest some pairs."""
    of, means = shared["windows"], shared["averages"]
    held = np.column_stack([means[:, of[fast]] > means[:, of[slow]] for fast, slow in chunk.tolist()])
    return figures(shared["open"], shared["close"], held)


def symbols_of(columns: Any) -> list[list[float]]:
    """Backtest the pair on some symbols."""
    (fast, slow), opens, closes = shared["pairs"][0].tolist(), shared["open"][:, columns], shared["close"][:, columns]
    held = np.column_stack([np.greater(*averages(close, [fast, slow]).T) for close in closes.T])
    return figures(opens, closes, held)


def main(folder: Path, work: str) -> None:
    """Run the work and print what came of it."""
    import vectorbt

    shared.update({name: np.load(folder / f"{name}.npy") for name in ("open", "close", "pairs", "costs")})
    opens, closes, pairs = shared["open"], shared["close"], shared["pairs"]
    small = np.arange(1000) // 50 % 2 == 0
    for columns in (1, 2):  # compiled, or loaded, before the clock runs
        figures(
            opens[:1000], closes[:1000], np.column_stack([small] * (closes.shape[1] if closes.ndim > 1 else columns))
        )
    averages(closes[:1000] if closes.ndim == 1 else closes[:1000, 0], [10, 20])
    start = time.perf_counter()
    if work == "pairs":
        windows = np.unique(pairs).tolist()
        shared["windows"] = {window: column for column, window in enumerate(windows)}
        shared["averages"] = averages(closes, windows)
        chunks, run = np.array_split(pairs, -(-len(pairs) // CHUNK)), pairs_of
    else:
        chunks, run = np.array_split(np.arange(closes.shape[1]), -(-closes.shape[1] // CHUNK)), symbols_of
    with multiprocessing.get_context("fork").Pool(len(os.sched_getaffinity(0))) as pool:
        rows = [row for found in pool.map(run, chunks, chunksize=1) for row in found]
    seconds = time.perf_counter() - start
    print(json.dumps({"version": vectorbt.__version__, "seconds": seconds, "rows": rows}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
