"""Small runs for the tests of evaluate: an equity curve, a market under it, trades and fills."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from data.timeframe import parse_timeframe
from tasks.evaluate.metrics import evaluate


def instants(count: int, timeframe: str = "1d", start: str = "2024-01-01") -> pd.DatetimeIndex:
    return pd.date_range(start, periods=count, freq=parse_timeframe(timeframe), tz="UTC", unit="us", name="ts")


def equity_of(curve: Sequence[float], ts: pd.DatetimeIndex, position: Sequence[float] | float = 1.0) -> pd.DataFrame:
    values = np.asarray(curve, dtype=float)
    return pd.DataFrame(
        {"ts": ts, "cash": 0.0, "position": position, "price": values, "equity": values, "drawdown": 0.0}
    )


def candles_of(closes: Sequence[float], ts: pd.DatetimeIndex, first_open: float | None = None) -> pd.DataFrame:
    close = np.asarray(closes, dtype=float)
    opens = np.concatenate(([close[0] if first_open is None else first_open], close[:-1]))
    return pd.DataFrame(
        {"open": opens, "high": np.maximum(opens, close), "low": np.minimum(opens, close), "close": close}, index=ts
    ).assign(volume=1.0)


def trades_of(*rows: dict[str, Any]) -> pd.DataFrame:
    """One trade a row; what a row does not say is a long AAPL trade of 10 at 100, held for a day."""
    usual: dict[str, Any] = {
        "symbol": "AAPL",
        "side": "long",
        "status": "closed",
        "entry_ts": pd.Timestamp("2024-01-02", tz="UTC"),
        "amount": 10.0,
        "entry_price": 100.0,
        "exit_price": 100.0,
        "entry_holding": 1000.0,
        "exit_holding": 1000.0,
        "fees": 0.0,
        "profit": 0.0,
        "exit_reason": "signal",
        "bars_held": 1,
    }
    full = []
    for number, row in enumerate(rows, start=1):
        trade = usual | {"trade_id": number} | row
        trade.setdefault("exit_ts", trade["entry_ts"] + pd.Timedelta(days=number))
        trade.setdefault("return", trade["profit"] / trade["entry_holding"])
        full.append(trade)
    return pd.DataFrame(full, columns=["trade_id", *usual, "exit_ts", "return"])


def fills_of(*rows: dict[str, Any]) -> pd.DataFrame:
    usual: dict[str, Any] = {"symbol": "BTC/USD", "price": 100.0, "amount": 1.0, "fee": 0.0, "fee_currency": None}
    usual["ts"] = pd.Timestamp("2024-01-02", tz="UTC")
    return pd.DataFrame([usual | row for row in rows], columns=list(usual))


def measured(
    curve: Sequence[float],
    market: Sequence[float] | None = None,
    *,
    cash: float = 100.0,
    timeframe: str = "1d",
    calendar: str = "24/7",
    ts: pd.DatetimeIndex | None = None,
    first_open: float | None = None,
    position: Sequence[float] | float = 1.0,
    trades: pd.DataFrame | None = None,
    fills: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Evaluate a run; its metrics by name. Without a market the account is the market."""
    ts = instants(len(curve), timeframe) if ts is None else ts
    table = evaluate(
        equity_of(curve, ts, position),
        trades_of() if trades is None else trades,
        fills_of() if fills is None else fills,
        candles_of(np.abs(curve) + 1 if market is None else market, ts, first_open),
        cash=cash,
        timeframe=timeframe,
        calendar=calendar,
    )
    return table.set_index("metric")


def curve_of(returns: Sequence[float], cash: float = 100.0) -> np.ndarray:
    return cash * np.cumprod(1 + np.asarray(returns, dtype=float))


def random_returns(seed: int, count: int, mean: float = 0.0005, deviation: float = 0.02) -> np.ndarray:
    """Returns with tails fatter than the normal distribution's."""
    draws = np.random.default_rng(seed).standard_t(5, count)
    return np.clip(mean + deviation * draws, -0.9, 0.9)
