"""What the charts of a session show by now, as columns: worked out once for all who look at it.

It needs no session and no lock. Times are naive UTC.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from bokeh.models import ColumnDataSource

from dashboards import queries
from dashboards.chart_columns import Columns, equity_columns, owned, price_columns
from dashboards.indicator_scales import split_indicators
from dashboards.look import PALETTES, Theme
from dashboards.order_queries import Level
from dashboards.price_lines import level_columns
from dashboards.queries import Connection, Rows, Run
from dashboards.windows import Window

Layout = tuple[tuple[str, ...], tuple[str, ...], tuple[tuple[str, ...], ...]]
"""The indicators, which of them are drawn on the price, and which share a figure below it."""

_NEWEST = 2
"""A session's newest candles so many may be another by now where the rest is as it was: they are written over."""


class Progress(NamedTuple):
    """The columns of each topic, and the layout that they fit."""

    columns: dict[str, Columns]
    layout: Layout


def layout(candles: Rows, indicators: Rows) -> Layout:
    """Return what is drawn where."""
    beside, below = split_indicators(candles, indicators)
    return tuple(indicators.columns[1:]), tuple(beside), tuple(map(tuple, below))


def progress(
    lake: Connection,
    run: Run,
    window: Window,
    theme: Theme,
    markers: Callable[[Connection, Run, Window], Rows],
    levels: Callable[[Connection, Run], list[Level]] | None,
) -> Progress:
    """Return what the charts of a session of one market show of a window. Raises LakeError where a part has no answer.

    `markers` and `levels` are the questions for what stands at the price.
    """
    colours = PALETTES[theme]
    candles, indicators = queries.candles(lake, run, window), queries.indicators(lake, run, window)
    drawn = layout(candles, indicators)
    columns = {
        **price_columns(candles, indicators, markers(lake, run, window), drawn[0], colours),
        "equity": equity_columns(queries.equity(lake, run, window), run.cash, queries.first_open(lake, run)),
    }
    if levels is not None:
        columns["levels"] = level_columns(levels(lake, run), candles, colours)
    return Progress(columns, drawn)


def extend(source: ColumnDataSource, columns: Columns) -> None:
    """Let a source show columns of the names that it has, sending what is new; the caller holds the document's lock."""
    shown = source.data
    rows, now = len(shown["ts"]), len(columns["ts"])
    same = min(_same(shown[name], values) for name, values in columns.items())
    if not rows or now < rows or same < rows - _NEWEST:
        if not rows == now == same:
            source.data = owned(columns)
        return
    if same < rows:
        source.patch({name: [(slice(same, rows), values[same:rows])] for name, values in columns.items()})
    if now > rows:
        source.stream({name: values[rows:] for name, values in columns.items()})


def _same(shown: Any, values: Any) -> int:
    """Return how many rows at the begin of two columns are equal; NaN is equal to NaN."""
    both = min(len(shown), len(values))
    one, other = np.asarray(shown)[:both], np.asarray(values)[:both]
    equal = (one == other) | ((one != one) & (other != other))  # noqa: PLR0124 - what NaN alone is
    return both if equal.all() else int(np.argmin(equal))
