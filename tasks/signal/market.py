"""An invented market on which strategies are checked: everything that real ones do, in little room."""

from __future__ import annotations

import numpy as np
from pandas import DataFrame, concat, date_range


def invented_market(candles: int, seed: int = 0) -> DataFrame:
    """Return hourly candles with trends, jumps, calm, and stretches without any trade; prices in whole cents.

    The same seed gives the same candles. Whole cents make ties; the stretches without a trade (a tenth of all candles,
    in three pieces) show what a strategy does when nothing moves.
    """
    rng = np.random.default_rng(seed)
    rows = np.arange(candles)
    regime = rows * 12 // max(candles, 1)
    trend = rng.normal(0, 0.002, 12)[regime]
    volatility = rng.uniform(0.001, 0.02, 12)[regime]
    returns = trend + volatility * rng.standard_normal(candles)
    jumps = rng.integers(0, max(candles, 1), candles // 200)
    returns[jumps] += rng.choice([-1, 1], len(jumps)) * rng.uniform(0.1, 0.3, len(jumps))
    still = np.zeros(candles, dtype=bool)
    for start, length in ((0.30, 0.07), (0.55, 0.02), (0.80, 0.01)):
        still[int(start * candles) : int((start + length) * candles)] = True
    returns[still] = 0.0
    close = np.round(np.exp(np.cumsum(returns - returns.sum() / max(candles, 1)) + np.log(100.0)), 2)
    close[still] = np.nan
    return _candles(DataFrame({"close": close}).ffill()["close"].to_numpy(), still, rng)


def invented_markets(candles: int, seed: int = 0) -> DataFrame:
    """Return three invented markets side by side, as a portfolio strategy sees them, NaN where one has no candle.

    One lacks a candle in ten, one is listed when a twentieth has passed.
    """
    markets = {symbol: invented_market(candles, seed + number) for number, symbol in enumerate("ABC")}
    absent = np.random.default_rng(seed).random(candles) < 0.1
    markets["B"].loc[absent] = np.nan
    markets["C"].iloc[: candles // 20] = np.nan
    names = markets["A"].columns
    return concat({name: DataFrame({symbol: of[name] for symbol, of in markets.items()}) for name in names}, axis=1)


def _candles(close: np.ndarray, still: np.ndarray, rng: np.random.Generator) -> DataFrame:
    opened = np.concatenate([close[:1], close[:-1]])
    reach = np.where(still, 0.0, rng.exponential(0.003, (2, len(close))))
    return DataFrame(
        {
            "open": opened,
            "high": np.round(np.maximum(opened, close) * (1 + reach[0]), 2),
            "low": np.round(np.minimum(opened, close) * (1 - reach[1]), 2),
            "close": close,
            "volume": np.where(still, 0.0, np.round(rng.lognormal(3, 1, len(close)), 4)),
        },
        index=date_range("2020-01-01", periods=len(close), freq="h", tz="UTC", unit="us", name="ts"),
    )
