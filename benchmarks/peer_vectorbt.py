"""vectorbt on the same work, in an environment of its own: `python peer_vectorbt.py ARRAYS REPEATS ZONE`.

ARRAYS is a folder with open.npy, close.npy, target.npy, costs.npy; ZONE, of the index, is naive or utc. Orders and
trades are taken as records, vectorbt's fast way: numbers of bars, no instants. Prints one JSON object.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

warnings.filterwarnings("ignore")


def main(folder: Path, repeats: int, zone: str) -> None:
    import vectorbt  # type: ignore[import-not-found]

    opens, closes, target = (np.load(folder / f"{name}.npy") for name in ("open", "close", "target"))
    fee, cash = np.load(folder / "costs.npy")

    def run(length: int) -> tuple[int, float]:
        index = pd.date_range("2020-01-01", periods=length, freq="min", tz="UTC" if zone == "utc" else None)
        open_, close = pd.Series(opens[:length], index), pd.Series(closes[:length], index)
        held = np.nan_to_num(target[:length]) > 0.5
        # Decided at the close, filled at the next open.
        held = np.concatenate(([False], held[:-1]))
        before = np.concatenate(([False], held[:-1]))
        entries, exits = pd.Series(held & ~before, index), pd.Series(~held & before, index)
        portfolio = vectorbt.Portfolio.from_signals(
            close, entries, exits, price=open_, fees=float(fee), init_cash=float(cash), freq="1min"
        )
        orders, trades, curve = portfolio.orders.records, portfolio.trades.records, portfolio.value()
        assert len(orders) >= len(trades)
        return len(trades), float(curve.iloc[-1])

    run(1000)
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        trades, equity = run(opens.size)
        seconds.append(time.perf_counter() - start)
    print(
        json.dumps(
            {
                "version": vectorbt.__version__,
                "seconds": seconds,
                "trades": trades,
                "equity": equity,
            }
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
