"""Execute a backtest: what would have been filled, had the target been traded over these candles."""

from __future__ import annotations

from datetime import timedelta

import numpy.typing as npt
import pandas as pd

from data.errors import BadInput
from tasks.backtest.simulation import Simulation, simulate
from tasks.stage import stage

__all__ = ["Simulation", "execute_backtest", "simulate"]


@stage(name="execute_backtest")
def execute_backtest(
    candles: pd.DataFrame,
    signals: pd.DataFrame,
    *,
    symbol: str,
    cash: float = 100_000.0,
    fee: float = 0.004,
    slippage: float = 0.0005,
    fraction: float = 1.0,
    amount: float | None = None,
    stop_loss: float | None = None,
    take_profit: float | None = None,
    trailing_stop: float | None = None,
    amount_step: float | None = None,
    min_amount: float | None = None,
    min_cost: float | None = None,
    max_position: float | None = None,
    max_order: float | None = None,
    max_orders_a_day: int | None = None,
    daily_loss: float | None = None,
    max_drawdown: float | None = None,
    cooldown: int = 0,
    max_deviation: float | None = None,
    max_signal_age: float | None = None,
    long_only: bool = False,
    timeframe: timedelta | None = None,
    gap_after: npt.ArrayLike | None = None,
) -> Simulation:
    """Trade the signal of a signals frame over the candles that it was made from; `simulate` says how."""
    if "signal" not in signals.columns:
        raise BadInput("the signals lack the column signal: generate_signals returns it")
    return simulate(
        candles,
        signals["signal"],
        cash=cash,
        fee=fee,
        slippage=slippage,
        fraction=fraction,
        amount=amount,
        stop_loss=stop_loss,
        take_profit=take_profit,
        trailing_stop=trailing_stop,
        amount_step=amount_step,
        min_amount=min_amount,
        min_cost=min_cost,
        max_position=max_position,
        max_order=max_order,
        max_orders_a_day=max_orders_a_day,
        daily_loss=daily_loss,
        max_drawdown=max_drawdown,
        cooldown=cooldown,
        max_deviation=max_deviation,
        max_signal_age=max_signal_age,
        long_only=long_only,
        timeframe=timeframe,
        gap_after=gap_after,
        symbol=symbol,
    )
