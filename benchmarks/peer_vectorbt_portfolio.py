"""vectorbt on the same portfolio, in an environment of its own: `python peer_vectorbt_portfolio.py ARRAYS REPEATS`.

ARRAYS is a folder with open.npy, close.npy and weights.npy (candles by symbols) and costs.npy. Weights are target
percents of one group that shares its cash, sales first. Prints one JSON object.
"""

from __future__ import annotations

import json
import resource
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

warnings.filterwarnings("ignore")


def main(folder: Path, repeats: int) -> None:
    import vectorbt  # type: ignore[import-not-found]

    opens, closes, weights = (np.load(folder / f"{name}.npy") for name in ("open", "close", "weights"))
    fee, cash = np.load(folder / "costs.npy")
    # Decided at the close, filled at the next open.
    wanted = np.vstack((np.full((1, weights.shape[1]), np.nan), weights[:-1]))

    def run(length: int) -> tuple[int, float]:
        index = pd.date_range("2020-01-01", periods=length, freq="min")
        open_, close = pd.DataFrame(opens[:length], index), pd.DataFrame(closes[:length], index)
        portfolio = vectorbt.Portfolio.from_orders(
            close,
            pd.DataFrame(wanted[:length], index),
            size_type="targetpercent",
            price=open_,
            fees=float(fee),
            init_cash=float(cash),
            group_by=True,
            cash_sharing=True,
            call_seq="auto",
            freq="1min",
        )
        return len(portfolio.orders.records), float(portfolio.value().iloc[-1])

    run(1000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        orders, equity = run(len(opens))
        seconds.append(time.perf_counter() - start)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(json.dumps({"seconds": seconds, "orders": orders, "equity": equity, "megabytes": grown}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
