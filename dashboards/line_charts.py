"""Lines over time and bars over returns, drawn with Bokeh alone: no HoloViews, so any thread may draw them at once.

What is drawn belongs to no document yet. Times are naive UTC.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from bokeh.models import (
    ColumnDataSource,
    CrosshairTool,
    CustomJS,
    HoverTool,
    NumeralTickFormatter,
    Range1d,
    VArea,
)
from bokeh.models.annotations import Span

from dashboards.figures import Figure, blank, draw_line, dress, name_layers, time_axis, time_bounds
from dashboards.look import PALETTES, Theme, asset

Frame = pd.DataFrame


class Line(NamedTuple):
    """A column of a frame as a line: its title is told as text, never as a formula."""

    column: str
    title: str
    colour: str


class LineCharts:
    """Figures of lines that pan and zoom together, between two instants."""

    def __init__(self, start: pd.Timestamp, end: pd.Timestamp, theme: Theme) -> None:
        self._colours = PALETTES[theme]
        bounds = time_bounds(start, end)
        self._time = time_axis(*bounds, bounds)
        self._crosshair = Span(dimension="height", line_color=self._colours.muted, line_dash="dotted")
        self._drawn: dict[str, tuple[Figure, ColumnDataSource, list[tuple[str, str]]]] = {}

    def lines(
        self, name: str, rows: Frame, lines: list[Line], *, height: int, form: str, filled: bool = False
    ) -> list[Figure]:
        """Draw columns of rows, which have ts; `form` is that of the numbers, `filled` colours what lies below."""
        source = ColumnDataSource(
            {column: rows[column].to_numpy() for column in ("ts", *(one.column for one in lines))}
        )
        made = blank(name, height)
        for column, _, colour in lines:
            if filled:
                made.add_glyph(source, VArea(x="ts", y1=0, y2=column, fill_color=colour, fill_alpha=0.2))
            draw_line(made, source, column, colour, width=1.6)
            if len(rows) == 1:
                made.scatter("ts", column, source=source, color=colour, size=6, name=column)
        dress(made, self._time, height, self._colours, CrosshairTool(overlay=self._crosshair))
        made.yaxis.formatter = NumeralTickFormatter(format=form)
        made.add_layout(Span(location=0, dimension="width", line_color=self._colours.muted, line_alpha=0.6))
        if len(lines) > 1:
            layers = {layer.name: layer for layer in made.renderers}
            titled = [one.title for one in lines], [layers[one.column] for one in lines]
            name_layers(made, *titled, self._colours, orientation="vertical", spacing=0)
        self._fit(made, source, [one.column for one in lines])
        percent = " %" if form.endswith("%") else ""
        self._drawn[name] = made, source, [(one.title + percent, one.column) for one in lines]
        return [made]

    def connect(self) -> None:
        """Let the figures tell the values under the pointer, in the page's `read-NAME` places."""
        args = {
            "places": list(self._drawn),
            "sources": [source for _, source, _ in self._drawn.values()],
            "values": [values for *_, values in self._drawn.values()],
        }
        read = CustomJS(args=args, code=asset("read.js"))
        for made, *_ in self._drawn.values():
            made.js_on_event("mousemove", read)

    def _fit(self, made: Figure, source: ColumnDataSource, columns: list[str]) -> None:
        values = np.concatenate([np.asarray(source.data[column], dtype=float) for column in columns])
        values = values[np.isfinite(values)]
        low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
        margin = (high - low) * 0.06 or abs(high) * 0.05 or 1.0
        made.y_range = Range1d(start=low - margin, end=high + margin)
        args = {"time": self._time, "axis": made.y_range, "sources": [source], "fields": [columns], "ceiling": None}
        follow = CustomJS(args=args, code=asset("fit.js"))
        for moved in ("start", "end"):
            self._time.js_on_change(moved, follow)


def bars(name: str, rows: Frame, theme: Theme, height: int) -> list[Figure]:
    """Draw how many `returns` lie between `low` and `high`: losses and gains in their colours."""
    colours = PALETTES[theme]
    shown = rows.assign(colour=np.where(rows["low"] < 0, colours.down, colours.up))
    source = ColumnDataSource({column: shown[column].to_numpy() for column in ("low", "high", "returns", "colour")})
    made = blank(name, height, "linear")
    made.quad("low", "high", "returns", 0, source=source, fill_color="colour", line_color=colours.edge, name=name)
    low, high = float(rows["low"].min()), float(rows["high"].max())
    margin = (high - low) * 0.02
    across = Range1d(start=low - margin, end=high + margin, bounds=(low - margin, high + margin))
    tips = [("Return", "@low{0.00 %} to @high{0.00 %}"), ("Returns", "@returns{0,0}")]
    dress(made, across, height, colours, HoverTool(tooltips=tips, mode="vline", attachment="above"))
    made.xaxis.formatter, made.yaxis.formatter = (
        NumeralTickFormatter(format="0.[0] %"),
        NumeralTickFormatter(format="0,0"),
    )
    made.y_range = Range1d(start=0, end=float(rows["returns"].max()) * 1.06)
    return [made]
