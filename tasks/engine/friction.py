"""How little a market bears: volume and volatility of its last candles, known at the close of each."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from data.errors import BadInput

Floats = npt.NDArray[np.float64]

WINDOW = 20
"""Candles that are looked back at, or as many as there are."""


def mean_volume(candles: pd.DataFrame) -> Floats:
    """Return the mean volume of the last 20 candles up to each, in base currency."""
    return _mean(read_volumes(candles, "the impact of an order is reckoned by it"))


def volatility(candles: pd.DataFrame) -> Floats:
    """Return the root of the mean squared return of the last 20 candles up to each: a fraction, for one candle.

    A return is the logarithm of a close over the close before; that of the first candle is over its own open.
    """
    closes = candles["close"].to_numpy(np.float64)
    before = np.concatenate([candles["open"].to_numpy(np.float64)[:1], closes[:-1]])
    return np.sqrt(_mean(np.log(closes / before) ** 2))


def over(numerator: float | Floats, denominator: Floats) -> Floats:
    """Divide; where nothing was traded the quotient is infinite."""
    quotient: Floats = np.full(denominator.shape, np.inf)
    return np.divide(numerator, denominator, out=quotient, where=denominator > 0.0)


def read_volumes(candles: pd.DataFrame, why: str) -> Floats:
    """Return the volumes, in base currency. Raises BadInput where they cannot be used; `why` says what for."""
    if "volume" not in candles.columns:
        raise BadInput(f"candles lack the column volume: {why}")
    try:
        volumes = candles["volume"].to_numpy(np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        raise BadInput("the candles' column volume holds something that is not a number") from None
    bad = np.flatnonzero(~((volumes >= 0.0) & (volumes < np.inf)))
    if bad.size:
        raise BadInput(f"the volume at {candles.index[bad[0]]} is {volumes[bad[0]]:g}: {why}, so it must be 0 or above")
    return volumes


def _mean(values: Floats) -> Floats:
    """Return the mean of the last 20 up to each. Every sum is made anew, so that nothing before its window is in it."""
    padded = np.concatenate([np.zeros(WINDOW - 1), values])
    sums = np.lib.stride_tricks.sliding_window_view(padded, WINDOW).sum(axis=1)
    means: Floats = sums / np.minimum(np.arange(1, values.size + 1), WINDOW)
    return means
