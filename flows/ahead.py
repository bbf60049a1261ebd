"""Compile what backtests, sweeps and sessions run before it is asked for: `python -m flows.ahead`.

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
from tasks.engine.books import Books
from tasks.engine.changes import changes_of, checked
from tasks.engine.rules import make_limits, make_rules
from tasks.signal.registry import build, strategies

HOUR = timedelta(hours=1)
TARGET = np.resize([0.0, 1.0, 0.5, -1.0], 8)
CARRIED: dict[str, Any] = {"borrow": 0.05}
"""Costs that need series of their own, for which the passes are compiled once more."""


def candles(step: timedelta = HOUR, hours: int = 8) -> pd.DataFrame:
    """Return candles whose prices do not move."""
    index = pd.date_range("2024-01-01", periods=hours * (HOUR // step), freq=step, tz="UTC", unit="us", name="ts")
    prices = dict.fromkeys(("open", "high", "low", "close"), np.full(len(index), 100.0))
    return pd.DataFrame(prices, index=index)


def detail() -> Detail:
    """Return finer candles inside those."""
    return fit_detail(candles(), candles(HOUR / 2), HOUR, HOUR / 2)


def backtest(terms: dict[str, Any], *, inside: bool) -> None:
    """Compile a backtest, with finer candles or without."""
    simulate(candles(), TARGET, detail=detail() if inside else None, **terms)


def sweep(terms: dict[str, Any], *, inside: bool) -> None:
    """Compile a sweep, candle by candle where the terms ask for it."""
    fine = detail() if inside else None
    course = Course(candles(), np.array([7]), cash=1.0, timeframe=HOUR, detail=fine, **terms)
    course.measure([checked(changes_of(TARGET), len(TARGET))])


def portfolio(terms: dict[str, Any]) -> None:
    """Compile the backtest of a portfolio."""
    markets = {symbol: candles() for symbol in "AB"}
    weights = pd.DataFrame(dict.fromkeys(markets, TARGET / 2), index=markets["A"].index)
    simulate_portfolio(markets, weights, timeframe=HOUR, **terms)


def signals() -> None:
    """Compile what the sets of a sweep share, of each strategy that ships; prices of cents are summed as whole ones."""
    market = candles(hours=600)
    for strategy in strategies().values():
        for prices in (market, market / 3):
            if (shared := strategy.shared(prices)) is not None:
                for side in [{"short": True}, {"short": False}] if "short" in strategy.model_fields else [{}]:
                    shared(build(strategy, side))


def session() -> None:
    """Compile the account of a session."""
    books = Books(1000.0, make_rules(stop_loss=0.1), make_limits(), HOUR)
    market = candles()
    opens = pd.DatetimeIndex(market.index).asi8.tolist()
    books.close_candles(opens, *(market[name] for name in ("open", "high", "low", "close")))
    books.decide(1.0)
    at = opens[-1]
    planned = books.plan(100.0, at)
    assert planned is not None
    books.place(at)
    same = ("leg", "type", "reason", "side", "price", "amount", "fee", "position")
    books.fill(at=at, decision=at, order_id="", **{name: getattr(planned, name) for name in same})
    books.settle()
    books.levels()
    books.protection(100.0, 100.0, 100.0)
    books.trades("A", HOUR, 100.0)


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
            pool.submit(session),
            pool.submit(signals),
        ]
        for done in work:
            done.result()


if __name__ == "__main__":
    main()
