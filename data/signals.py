"""Signals as the lake keeps them: whatever indicators a strategy has, under their names."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

_COMMON = ("close", "signal", "entry_exit")


def signals_table(signals: pd.DataFrame, symbol: str) -> pa.Table:
    """Return the rows of the table signals, but for `run_id`.

    `signals` has the UTC index ts, the columns close, signal and entry_exit, and one column an indicator (float64); an
    indicator that is not defined yet (NaN) is null.
    """
    names = [name for name in signals.columns if name not in _COMMON]
    values = np.ascontiguousarray(signals[names].to_numpy(dtype="float64")).ravel()
    keys = pa.DictionaryArray.from_arrays(
        np.tile(np.arange(len(names), dtype="int32"), len(signals)), pa.array(names, pa.string())
    )
    offsets = np.arange(len(signals) + 1, dtype="int32") * len(names)
    indicators = pa.MapArray.from_arrays(
        pa.array(offsets), keys.cast(pa.string()), pa.array(values, pa.float64(), from_pandas=True)
    )
    columns = {name: pa.array(signals[name], pa.float64(), from_pandas=True) for name in _COMMON}
    return pa.table(
        {
            "symbol": pa.repeat(pa.scalar(symbol), len(signals)),
            "ts": pa.array(signals.index),
            "indicators": indicators,
            **columns,
        }
    )
