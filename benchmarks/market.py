"""The work that is measured: deterministic minute candles, and an SMA(10) / SMA(20) crossover, long or flat.

The walk has a little momentum. On a pure one the crossover loses its fees some twenty thousand times over, and by the
end trades with so little that peers cease to order at all.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.signal import lfilter

CASH = 100_000.0
FEE = 0.001


def walk(length: int) -> pd.DataFrame:
    """Return candles of one-minute bars; the shorter walk is the beginning of the longer."""
    noise = np.random.default_rng(20240101).normal(size=(length, 4))
    momentum = lfilter([1.0], [1.0, -0.85], noise[:, 0] * 4.2e-4 * np.sqrt(1 - 0.85**2))
    close = 100.0 * np.exp(np.cumsum(noise[:, 1] * 6e-4 + momentum))
    open_ = np.concatenate(([100.0], close[:-1]))
    return pd.DataFrame(
        {
            "open": open_,
            "high": np.maximum(open_, close) * np.exp(np.abs(noise[:, 2]) * 2e-4),
            "low": np.minimum(open_, close) * np.exp(-np.abs(noise[:, 3]) * 2e-4),
            "close": close,
            "volume": 1.0,
        },
        index=pd.date_range("2020-01-01", periods=length, freq="min", tz="UTC", unit="us", name="ts"),
    )


def crossover(candles: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Return the target: 1 where the fast average is above the slow one, 0 elsewhere, NaN before there are both."""
    fast, slow = candles["close"].rolling(10).mean(), candles["close"].rolling(20).mean()
    return np.where(slow.notna(), fast > slow, np.nan)
