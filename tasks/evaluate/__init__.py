"""Evaluate a run: its metrics, and the portfolio and trade tables for people."""

from __future__ import annotations

import pandas as pd

from tasks.evaluate.metrics import evaluate
from tasks.evaluate.tables import portfolio_table, trade_table
from tasks.stage import stage

__all__ = ["evaluate_metrics", "portfolio_table", "trade_table"]


@stage(name="evaluate_metrics")
def evaluate_metrics(
    simulation_equity: pd.DataFrame,
    trades: pd.DataFrame,
    fills: pd.DataFrame,
    candles: pd.DataFrame,
    *,
    cash: float,
    timeframe: str,
    calendar: str,
) -> pd.DataFrame:
    """Compute the metrics of a run; see `tasks.evaluate.metrics.evaluate`."""
    return evaluate(simulation_equity, trades, fills, candles, cash=cash, timeframe=timeframe, calendar=calendar)
