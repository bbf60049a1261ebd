"""Which indicators are on the scale of the price, and which of the others share one."""

from __future__ import annotations

import numpy as np
import pandas as pd

Frame = pd.DataFrame


def split_indicators(candles: Frame, indicators: Frame) -> tuple[list[str], list[list[str]]]:
    """Tell which indicators are drawn on the price, and which share a figure of their own below it.

    An indicator is on the price's scale when it stays near the price: never further than half the price's range
    outside that range, and in the middle no more than a third of the price away from it. Of the others, those whose
    ranges overlap by half of the smaller one, with neither ten times the other, are drawn together.
    """
    both = candles[["ts", "low", "high", "close"]].merge(indicators, on="ts", how="left")
    low, high = both["low"].min(), both["high"].max()
    reach = (high - low) / 2
    beside: list[str] = []
    below: list[list[str]] = []
    ranges: list[tuple[float, float]] = []
    for name in indicators.columns[1:]:
        values = both[name].astype(float)
        first, last = float(values.min()), float(values.max())
        if not np.isfinite([first, last]).all():
            continue
        away = ((values - both["close"]).abs() / both["close"].abs()).median()
        if first >= low - reach and last <= high + reach and away <= 1 / 3:
            beside.append(name)
            continue
        home = next((n for n, other in enumerate(ranges) if _alike((first, last), other)), None)
        if home is None:
            below.append([name])
            ranges.append((first, last))
        else:
            below[home].append(name)
            ranges[home] = (min(first, ranges[home][0]), max(last, ranges[home][1]))
    return beside, below


def _alike(one: tuple[float, float], other: tuple[float, float]) -> bool:
    sizes = sorted((one[1] - one[0], other[1] - other[0]))
    shared = min(one[1], other[1]) - max(one[0], other[0])
    return shared >= sizes[0] / 2 and sizes[1] <= 10 * sizes[0]
