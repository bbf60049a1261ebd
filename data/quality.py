"""Known gaps of a series, as the stages need them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from data.views import read
from data.writer import Lake


def gaps_after(
    lake: Lake, exchange: str, symbol: str, timeframe: str, index: pd.DatetimeIndex
) -> npt.NDArray[np.int64]:
    """Return the positions in `index` (UTC, ascending) after which candles are known to be absent, ascending."""
    query = """SELECT epoch_us(start_ts) AS start FROM quality WHERE kind = 'gap' AND resolved_at IS NULL
        AND exchange = ? AND symbol = ? AND timeframe = ?"""
    starts = read(lake, query, [exchange, symbol, timeframe], tables={"quality"})["start"]
    instants = starts.to_numpy().astype("datetime64[us]")
    before = np.searchsorted(index.tz_convert(None).to_numpy(), instants) - 1
    return np.unique(before[(before >= 0) & (before < len(index) - 1)]).astype(np.int64)
