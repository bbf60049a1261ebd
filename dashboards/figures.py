"""How every figure of the dashboard looks and moves, whatever it was drawn with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from bokeh.core.properties import value as literal
from bokeh.models import (
    ColumnDataSource,
    CustomJS,
    DatetimeTickFormatter,
    Line,
    NoOverlap,
    PanTool,
    Range1d,
    SaveTool,
    WheelZoomTool,
)
from bokeh.models.annotations import Legend, LegendItem
from bokeh.plotting import figure as make_figure

from dashboards.look import Palette, asset

Figure = Any


def time_bounds(start: pd.Timestamp, end: pd.Timestamp) -> tuple[float, float]:
    """Return the bounds (milliseconds since 1970) of what is drawn between two instants, naive UTC: a little more."""
    margin = max((end - start) * 0.015, pd.Timedelta(minutes=1))
    return (start - margin).timestamp() * 1000, (end + margin).timestamp() * 1000


def time_axis(start: float, end: float, bounds: tuple[float, float]) -> Range1d:
    """Return a range of time (milliseconds since 1970), which does not leave its bounds."""
    return Range1d(start=start, end=end, bounds=bounds, name="time")


def blank(name: str, height: int, x_axis_type: Any = "datetime") -> Figure:
    """Return a figure as wide as its card, without layers and tools, its values on the right."""
    return make_figure(
        name=name,
        x_axis_type=x_axis_type,
        y_axis_location="right",
        sizing_mode="stretch_width",
        height=height,
        tools=[],
    )


def draw_line(
    figure: Figure, source: ColumnDataSource, column: str, colour: str, *, name: str = "", width: float = 1.4
) -> Any:
    """Add a line of a column over its times `ts`; without a name it has the column's."""
    glyph = Line(x="ts", y=column, line_color=colour, line_width=width)
    return figure.add_glyph(source, glyph, name=name or column)  # not figure.line: that makes three glyphs of each


def name_layers(
    figure: Figure,
    names: Sequence[str],
    layers: Sequence[Any],
    colours: Palette,
    *,
    orientation: Any = "horizontal",
    spacing: int = 14,
) -> None:
    """Add a legend above the layers, in which a click hides one. Names are told as text, never as formulas."""
    items = [LegendItem(label=literal(name), renderers=[layer]) for name, layer in zip(names, layers, strict=True)]
    legend = Legend(items=items, location="top_left", orientation=orientation, click_policy="hide")
    legend.update(background_fill_alpha=0, border_line_alpha=0, label_text_color=colours.text)
    legend.update(label_text_font_size="12px", padding=2, spacing=spacing, glyph_width=16, margin=4)
    figure.add_layout(legend, "above")


def dress(figure: Figure, time: Range1d, height: int, colours: Palette, *tools: Any) -> None:
    """Give a figure over time its colours, its tools and its height; a double click shows all of the time."""
    figure.update(x_range=time, height=height, min_height=height, title=None, output_backend="canvas")
    figure.update(background_fill_color=None, border_fill_color=None, outline_line_color=None)
    figure.update(min_border_left=8, min_border_right=76, min_border_top=8, min_border_bottom=28)
    pan, zoom = PanTool(dimensions="width"), WheelZoomTool(dimensions="width", maintain_focus=False)
    figure.tools = [pan, zoom, *tools, SaveTool()]
    figure.toolbar.update(active_drag=pan, active_scroll=zoom, logo=None, autohide=True)
    figure.toolbar_location = None
    figure.stylesheets = [asset("chart.css")]
    for axis in figure.axis:
        axis.update(axis_label=None, axis_line_color=None, major_tick_line_color=None, minor_tick_line_color=None)
        axis.update(major_label_text_color=colours.muted, major_label_text_font_size="12px")
    figure.xaxis.formatter = DatetimeTickFormatter(days="%d %b", months="%b %Y", hours="%H:%M", minutes="%H:%M")
    figure.xaxis.major_label_policy = NoOverlap()
    for grid in figure.grid:
        grid.update(grid_line_color=colours.grid, visible=True)
    back = "time.setv({start: time.bounds[0], end: time.bounds[1]})"
    figure.js_on_event("doubletap", CustomJS(args={"time": time}, code=back))
