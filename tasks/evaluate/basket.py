"""What several markets bought and held are worth: the benchmark of a portfolio."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from data.errors import BadInput


def basket(candles: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the worth of markets of which each was bought with the same money, at its first open, and held.

    Columns open and close by `ts`, the instants of all, from 1 on: what the money is worth of which each market has
    one part. Until its first candle a market's part stays money; where it has no candle it is worth its last close. No
    fees. Raises BadInput where there is no market.
    """
    if not candles:
        raise BadInput("there are no symbols to hold")
    opens = pd.DataFrame({symbol: frame["open"] / frame["open"].iloc[0] for symbol, frame in candles.items()})
    closes = pd.DataFrame({symbol: frame["close"] / frame["open"].iloc[0] for symbol, frame in candles.items()})
    before = closes.ffill().fillna(1.0)
    at_open = opens.fillna(before.shift(1, fill_value=1.0))
    return pd.DataFrame({"open": at_open.mean(axis=1), "close": before.mean(axis=1)})
