"""Execute a backtest: what would have been filled, had the target been traded over these candles."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Unpack

import numpy.typing as npt
import pandas as pd

from data.errors import BadInput
from tasks.backtest.portfolio import PortfolioSimulation, simulate_portfolio
from tasks.backtest.simulation import Simulation, simulate
from tasks.engine.detail import Detail, fit_detail
from tasks.engine.rules import Terms
from tasks.stage import stage

__all__ = [
    "Detail",
    "PortfolioSimulation",
    "Simulation",
    "execute_backtest",
    "execute_portfolio_backtest",
    "fit_detail",
    "simulate",
    "simulate_portfolio",
]


@stage(name="execute_backtest")
def execute_backtest(
    candles: pd.DataFrame,
    signals: pd.DataFrame,
    *,
    symbol: str,
    cash: float = 100_000.0,
    timeframe: timedelta | None = None,
    gap_after: npt.ArrayLike | None = None,
    detail: Detail | None = None,
    **terms: Unpack[Terms],
) -> Simulation:
    """Trade the signal of a signals frame over the candles that it was made from; `simulate` says how."""
    if "signal" not in signals.columns:
        raise BadInput("the signals lack the column signal: generate_signals returns it")
    return simulate(
        candles,
        signals["signal"],
        cash=cash,
        timeframe=timeframe,
        gap_after=gap_after,
        symbol=symbol,
        detail=detail,
        **terms,
    )


@stage(name="execute_backtest")
def execute_portfolio_backtest(
    candles: Mapping[str, pd.DataFrame],
    signals: Mapping[str, pd.DataFrame],
    *,
    cash: float = 100_000.0,
    rebalance_every: int | None = None,
    tolerance: float = 0.0,
    gross: float = 1.0,
    timeframe: timedelta | None = None,
    gap_after: Mapping[str, npt.ArrayLike] | None = None,
    markets: Mapping[str, Terms] | None = None,
    **terms: Unpack[Terms],
) -> PortfolioSimulation:
    """Trade the signals of many markets, each a weight, over their candles; `simulate_portfolio` says how."""
    return simulate_portfolio(
        candles,
        pd.DataFrame({symbol: frame["signal"] for symbol, frame in signals.items()}),
        cash=cash,
        rebalance_every=rebalance_every,
        tolerance=tolerance,
        gross=gross,
        timeframe=timeframe,
        gap_after=gap_after,
        markets=markets,
        **terms,
    )
