"""The signal stage: strategies turn candles into wanted positions.

A strategy's file needs nothing but this module; `tasks.signal.strategy` shows how one is written.
"""

from __future__ import annotations

from collections.abc import Mapping

from pandas import DataFrame, Series, concat
from pydantic import Field

from tasks.signal.indicators import deviation, ema, ema_memory, rsi, sma, wilder, wilder_memory
from tasks.signal.portfolio import portfolio_signals
from tasks.signal.signals import indicators_of, signals
from tasks.signal.strategy import PortfolioStrategy, Strategy, above, hold, increasing
from tasks.stage import stage

__all__ = [
    "DataFrame",
    "Field",
    "PortfolioStrategy",
    "Series",
    "Strategy",
    "above",
    "concat",
    "deviation",
    "ema",
    "ema_memory",
    "generate_portfolio_signals",
    "generate_signals",
    "hold",
    "increasing",
    "indicators_of",
    "rsi",
    "sma",
    "wilder",
    "wilder_memory",
]


@stage(name="generate_signals")
def generate_signals(candles: DataFrame, strategy: Strategy) -> DataFrame:
    """Return the strategy's indicators and signals for each candle; see `tasks.signal.signals.signals`."""
    return signals(candles, strategy)


@stage(name="generate_signals")
def generate_portfolio_signals(
    candles: Mapping[str, DataFrame], strategy: Strategy, shares: Mapping[str, float]
) -> dict[str, DataFrame]:
    """Return the signals of many markets by symbol; see `tasks.signal.portfolio.portfolio_signals`."""
    return portfolio_signals(candles, strategy, shares)
