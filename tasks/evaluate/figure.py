"""A figure: the value of a metric, its interval, and why it is absent or to be read with care."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import pandas as pd

from data.metrics import Metric


class Figure(NamedTuple):
    """What one metric came to; a value of None is always explained by the note."""

    value: float | None
    low: float | None = None
    high: float | None = None
    note: str | None = None


Figures = dict[str, Figure]


def figure(value: float, interval: tuple[float, float] | None = None, note: str | None = None) -> Figure:
    """Build a figure; one that no finite number can hold is absent."""
    if not math.isfinite(value):
        return absent("beyond the range of numbers")
    if interval is None or not all(map(math.isfinite, interval)):
        return Figure(float(value), note=note)
    return Figure(float(value), float(interval[0]), float(interval[1]), note)


def absent(note: str) -> Figure:
    """Build the figure of a metric that is not defined here, saying why."""
    return Figure(None, note=note)


def ratio(top: float, bottom: float, otherwise: str) -> Figure:
    """Build top / bottom, absent for the reason given where bottom is 0."""
    return figure(float(top) / float(bottom)) if bottom else absent(otherwise)


def tabulate(figures: Figures, metrics: Mapping[str, Metric]) -> pd.DataFrame:
    """Return a row a metric, in their order: metric, value, low, high, unit, note."""
    rows = [figures[name] for name in metrics]
    return pd.DataFrame(
        {
            "metric": pd.Series(list(metrics), dtype="str"),
            "value": pd.Series([row.value for row in rows], dtype="float64"),
            "low": pd.Series([row.low for row in rows], dtype="float64"),
            "high": pd.Series([row.high for row in rows], dtype="float64"),
            "unit": pd.Series([metric.unit for metric in metrics.values()], dtype="str"),
            "note": pd.Series([row.note for row in rows], dtype="str"),
        }
    )
