"""Compile what backtests and sweeps run before it is asked for: `python -m tasks.backtest.ahead`.

The code is kept on the disk; what is there already takes no time. For an image, or before the first run of a machine.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from multiprocessing import get_context
from typing import Any

import numpy as np
import pandas as pd

from tasks.backtest import Detail, fit_detail, simulate, simulate_portfolio
from tasks.backtest.sweep import Course
from tasks.engine.changes import changes_of

HOUR = timedelta(hours=1)
TARGET = np.resize([0.0, 1.0, 0.5, -1.0], 8)
CARRIED: dict[str, Any] = {"borrow": 0.05}
"""Costs that need series of their own, for which the passes are compiled once more."""


def candles(step: timedelta, hours: int) -> pd.DataFrame:
    """Return candles whose prices do not move."""
    index = pd.date_range("2024-01-01", periods=hours * (HOUR // step), freq=step, tz="UTC", unit="us", name="ts")
    prices = dict.fromkeys(("open", "high", "low", "close"), np.full(len(index), 100.0))
    return pd.DataFrame(prices, index=index)


def detail() -> Detail:
    """Return finer candles inside those."""
    return fit_detail(candles(HOUR, 8), candles(HOUR / 2, 8), HOUR, HOUR / 2)


def backtest(terms: dict[str, Any], *, inside: bool) -> None:
    """Compile a backtest, with finer candles or without."""
    simulate(candles(HOUR, 8), TARGET, detail=detail() if inside else None, **terms)


def sweep(terms: dict[str, Any], *, inside: bool) -> None:
    """Compile a sweep, bar by bar where a stop or the terms ask for it."""
    fine = detail() if inside else None
    course = Course(candles(HOUR, 8), np.array([7]), cash=1.0, timeframe=HOUR, detail=fine, **terms)
    course.measure([changes_of(TARGET)])


def portfolio(terms: dict[str, Any]) -> None:
    """Compile the backtest of a portfolio."""
    markets = {symbol: candles(HOUR, 8) for symbol in "AB"}
    weights = pd.DataFrame(dict.fromkeys(markets, TARGET / 2), index=markets["A"].index)
    simulate_portfolio(markets, weights, timeframe=HOUR, **terms)


def main() -> None:
    """Compile in as many processes as there are processors, the longest first."""
    stop: dict[str, Any] = {"stop_loss": 0.1}
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        work = [
            *(pool.submit(sweep, terms, inside=True) for terms in (CARRIED, stop)),
            *(pool.submit(backtest, terms, inside=True) for terms in (CARRIED, stop)),
            *(pool.submit(portfolio, terms) for terms in (CARRIED, {})),
            *(pool.submit(sweep, terms, inside=False) for terms in (CARRIED, stop, {})),
            *(pool.submit(backtest, terms, inside=False) for terms in (CARRIED, {})),
        ]
        for done in work:
            done.result()


if __name__ == "__main__":
    main()
