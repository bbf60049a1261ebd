"""The sample: Apple's daily prices 2019 to 2024, from the package `hvsampledata`; no network, no keys."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import numpy as np
import pandas as pd

from data.errors import BadInput
from data.markets import Market
from tasks.fetch.source import Batch

NAME = "sample"
SYMBOL = "AAPL"
TIMEFRAME = "1d"


class SampleSource:
    """AAPL, daily, on the calendar of the New York Stock Exchange; a day bears 00:00 UTC of its date.

    The close is the one that was traded (adjusted for splits, as all columns are), not `adj_close`, which takes off
    dividends paid later: only the former lies between low and high, and is a price that an order could have met.
    Returns computed from it leave dividends out.
    """

    name = NAME
    remote = False

    def market(self, symbol: str) -> Market:
        """Return the market of AAPL. Raises BadInput for any other."""
        if symbol != SYMBOL:
            raise BadInput(f"the sample has no '{symbol}': it holds {SYMBOL}, {TIMEFRAME}")
        return Market(NAME, SYMBOL, base=SYMBOL, quote="USD", calendar="XNYS")

    def candles(self, symbol: str, timeframe: str, since: datetime | None, until: datetime | None) -> Iterator[Batch]:
        """Yield all days of the range at once. Raises BadInput for another symbol or timeframe."""
        self.market(symbol)
        if timeframe != TIMEFRAME:
            raise BadInput(f"the sample has no {timeframe} candles: it holds {SYMBOL}, {TIMEFRAME}")
        candles = _candles()
        if since is not None:
            candles = candles[candles.index >= since]
        if until is not None:
            candles = candles[candles.index < until]
        yield Batch(candles, done=len(candles), total=len(candles))


def _candles() -> pd.DataFrame:
    import hvsampledata

    days = hvsampledata.apple_stocks("pandas")
    candles = days[["open", "high", "low", "close", "volume"]].astype("float64")
    candles["trades"] = np.nan
    candles.index = pd.DatetimeIndex(days["date"], name="ts").as_unit("us").tz_localize("UTC")
    return candles
