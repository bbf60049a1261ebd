"""The chart of a visitor's query: columns of numbers over a first column of times or numbers, thinned for the screen.

Names of columns go to the browser as text alone: none is a label of the chart, which may be taken for a formula.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from bokeh.models import ColumnDataSource, CustomJS, CustomJSTickFormatter, DatetimeTickFormatter
from bokeh.models.ranges import Range1d
from bokeh.models.tools import CrosshairTool, PanTool, WheelZoomTool
from bokeh.plotting import figure

from dashboards.look import PALETTES, Theme, asset
from dashboards.sql_result import is_number, is_time

POINTS = 2_000
"""A line has no more points than this."""

MOST_LINES = 12
"""Columns that are offered to be drawn."""

_HEIGHT = 320

_TICK = 'return tick.toLocaleString("en", {maximumSignificantDigits: 10})'
"""A value may have any size: thousands apart, and small ones whole."""

View = tuple[float, float]
Points = dict[str, Any]


class Series(NamedTuple):
    """What can be drawn of a result: `x` in order (milliseconds since 1970 for times), and columns by name."""

    x: np.ndarray
    times: bool
    columns: dict[str, np.ndarray]


def series(rows: pa.Table) -> Series | str:
    """Return what can be drawn of a result, or why nothing can."""
    first = rows.schema.field(0).type
    times = is_time(first)
    if not times and not is_number(first):
        return "A chart needs a time or a number in the first column."
    numbers = [field.name for field in list(rows.schema)[1:] if is_number(field.type)][:MOST_LINES]
    if not numbers:
        return "A chart needs a column of numbers beside the first."
    x = _floats(_milliseconds(rows[0]) if times else rows[0])
    drawn = np.flatnonzero(np.isfinite(x))
    drawn = drawn[np.argsort(x[drawn], kind="stable")]
    if len(drawn) < 2:
        return "A chart needs two rows or more."
    return Series(x[drawn], times, {name: _floats(rows[name])[drawn] for name in numbers})


def thin(x: np.ndarray, y: np.ndarray, view: View) -> tuple[np.ndarray, np.ndarray]:
    """Return the points within a view and next to it; of too many the lowest and the highest of each stretch."""
    first, last = max(0, np.searchsorted(x, view[0]) - 1), np.searchsorted(x, view[1], side="right") + 1
    x, y = x[first:last], y[first:last]
    if len(x) <= POINTS:
        return x, y
    size = math.ceil(len(x) / (POINTS // 2))
    stretches = np.pad(y, (0, -len(y) % size), constant_values=np.nan).reshape(-1, size)
    finite = np.isfinite(stretches)
    ends = [np.where(finite, stretches, np.inf).argmin(axis=1), np.where(finite, stretches, -np.inf).argmax(axis=1)]
    kept = np.unique(np.concatenate([np.arange(len(stretches)) * size + end for end in ends]))
    return x[kept], y[kept]


def colours(theme: Theme) -> list[str]:
    """Return the colours of the lines that can be drawn, in their order."""
    palette = PALETTES[theme]
    own = dict.fromkeys((palette.equity, *palette.lines, palette.muted))
    return [[*own][n % len(own)] for n in range(MOST_LINES)]


class ResultChart:
    """A chart of some columns of a result; it belongs to no document until it is shown."""

    def __init__(self, drawn: Series, names: list[str], theme: Theme, view: View | None = None) -> None:
        self._drawn = drawn
        self._names = names
        margin = float(drawn.x[-1] - drawn.x[0]) * 0.015 or 1.0
        bounds = (float(drawn.x[0]) - margin, float(drawn.x[-1]) + margin)
        start, end = view or bounds
        self.range: Any = Range1d(start=start, end=end, bounds=bounds)
        colour = dict(zip(drawn.columns, colours(theme), strict=False))
        self.figure = _figure(drawn, self.range, theme)
        self.sources = [ColumnDataSource(points) for points in self.points()]
        for name, source in zip(names, self.sources, strict=True):
            self.figure.line("ts", "y", source=source, color=colour[name], line_width=1.6, name=name)
            if len(drawn.x) <= 60:
                self.figure.scatter("ts", "y", source=source, color=colour[name], size=5)
        self._follow()

    def points(self) -> list[Points]:
        """Return the points of each line for what is in view, and as much again on either side."""
        span = self.range.end - self.range.start
        view = self.range.start - span, self.range.end + span
        return [
            dict(zip(("ts", "y"), thin(self._drawn.x, self._drawn.columns[name], view), strict=True))
            for name in self._names
        ]

    def renew(self, points: list[Points]) -> None:
        """Show other points of the same lines; the caller holds the document's lock."""
        for source, shown in zip(self.sources, points, strict=True):
            source.data = shown

    def _follow(self) -> None:
        """Let the browser fit the height to what is in view, and tell the values under the pointer."""
        values = np.concatenate([source.data["y"] for source in self.sources])
        values = values[np.isfinite(values)]
        low, high = (values.min(), values.max()) if values.size else (0.0, 1.0)
        margin = (high - low) * 0.06 or abs(high) * 0.05 or 1.0
        self.figure.y_range = Range1d(start=float(low - margin), end=float(high + margin))
        args = {"time": self.range, "axis": self.figure.y_range, "sources": self.sources, "ceiling": None}
        fit = CustomJS(args={**args, "fields": [["y"] for _ in self.sources]}, code=asset("fit.js"))
        for moved in ("start", "end"):
            self.range.js_on_change(moved, fit)
        for source in self.sources:
            source.js_on_change("data", fit)
        read = {"names": self._names, "sources": self.sources, "times": self._drawn.times}
        self.figure.js_on_event("mousemove", CustomJS(args=read, code=asset("read_result.js")))
        back = "range.setv({start: range.bounds[0], end: range.bounds[1]})"
        self.figure.js_on_event("doubletap", CustomJS(args={"range": self.range}, code=back))


def _figure(drawn: Series, across: Range1d, theme: Theme) -> Any:
    palette = PALETTES[theme]
    made = figure(
        name="result",
        x_axis_type="datetime" if drawn.times else "linear",
        x_range=across,
        height=_HEIGHT,
        min_height=_HEIGHT,
        sizing_mode="stretch_width",
        toolbar_location=None,
        tools=[],
        y_axis_location="right",
        stylesheets=[asset("chart.css")],
    )
    made.update(background_fill_color=None, border_fill_color=None, outline_line_color=None)
    made.update(min_border_left=8, min_border_right=76, min_border_top=8, min_border_bottom=28)
    pan, zoom = PanTool(dimensions="width"), WheelZoomTool(dimensions="width", maintain_focus=False)
    made.add_tools(pan, zoom, CrosshairTool(dimensions="height", line_color=palette.muted))
    made.toolbar.update(active_drag=pan, active_scroll=zoom)
    for axis in made.axis:
        axis.update(axis_line_color=None, major_tick_line_color=None, minor_tick_line_color=None)
        axis.update(major_label_text_color=palette.muted, major_label_text_font_size="12px")
    made.yaxis.formatter = CustomJSTickFormatter(code=_TICK)
    if drawn.times:
        made.xaxis.formatter = DatetimeTickFormatter(days="%d %b", months="%b %Y", hours="%H:%M", minutes="%H:%M")
    for grid in made.grid:
        grid.grid_line_color = palette.grid
    return made


def _milliseconds(column: pa.ChunkedArray) -> pa.ChunkedArray:
    times = column.cast(pa.timestamp("ms", getattr(column.type, "tz", None)), safe=False)
    return times.cast(pa.int64())


def _floats(column: pa.ChunkedArray) -> np.ndarray:
    numbers = column if pa.types.is_floating(column.type) else column.cast(pa.float64(), safe=False)
    values: np.ndarray = pc.fill_null(numbers, math.nan).to_numpy()
    return values.astype(float)
