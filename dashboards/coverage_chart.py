"""The line of time of some series, one row each: what is held as a bar, what is known about it as marks.

Drawing needs no session and no lock. Times are naive UTC.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from bokeh.models import ColumnDataSource, FixedTicker, HoverTool, PlainText, Range1d
from bokeh.plotting import figure as new_figure

from dashboards.data_queries import KINDS, Holes, Series
from dashboards.data_words import MEANINGS, label, milliseconds
from dashboards.figures import Figure, dress, time_axis
from dashboards.look import PALETTES, Palette, Theme, asset

ROW_HEIGHT, _AXIS_HEIGHT = 30, 44

_BAR = (-0.22, 0.22)
_PLACES = {"revision": (-0.42, -0.25), "outlier": (-0.42, -0.25), "duplicate": (-0.42, -0.25), "flat": (0.25, 0.42)}
"""Where a mark stands in its row; the others stand in the bar. Rows count downwards."""

Frame = pd.DataFrame


def colours(theme: Theme) -> dict[str, str]:
    """Return the colours of the bar (`held`) and of the marks by kind."""
    look = PALETTES[theme]
    amber, _, purple, teal, _, green = look.lines
    return {
        "held": look.equity, "hole": amber, "gap": look.sell, "window": look.muted, "revision": purple,
        "outlier": teal, "flat": look.text, "duplicate": green,
    }  # fmt: skip


def draw_coverage(
    shown: list[Series],
    picked: str,
    marks: Frame,
    holes: list[Holes],
    theme: Theme,
    view: tuple[float, float] | None,
) -> tuple[Range1d, Figure]:
    """Draw series from the top; `marks` names them by their position, `holes` has the unasked ones of each.

    `view` is the part of time in view (milliseconds since 1970), by default that of the series picked. Returns the axis
    of time, and the figure.
    """
    look, colour = PALETTES[theme], colours(theme)
    layers = {kind: _marks(shown, marks[marks["kind"] == kind], kind) for kind in KINDS}
    layers["hole"] = _holes(shown, holes)
    layers = {"held": _bars(shown, picked, pd.concat([layers["gap"], layers["hole"]])), **layers}
    drawn_at = pd.concat(layers.values())[["row", "left", "right"]]
    bounds = _span(drawn_at)
    of_picked = drawn_at[[shown[row].name.address == picked for row in drawn_at["row"]]]
    first, last = view or (bounds if of_picked.empty else _span(of_picked))
    axis = time_axis(first, last, bounds)
    drawn = _figure(shown, axis, look)
    for name, layer in layers.items():
        alpha = "alpha" if name == "held" else 0.35 if name == "window" else 1.0
        look_of = {"color": colour[name], "alpha": alpha, "line_width": 1.5}  # one candle among years is seen too
        drawn.quad("left", "right", "top", "bottom", source=ColumnDataSource(_columns(layer)), name=name, **look_of)
    return axis, drawn


def _columns(layer: Frame) -> dict[str, Any]:
    return {str(name): column.to_numpy() for name, column in layer.items()}


def _span(drawn_at: Frame) -> tuple[float, float]:
    start, end = drawn_at["left"].min(), drawn_at["right"].max()
    margin = (end - start) * 0.015
    return start - margin, end + margin


def _figure(shown: list[Series], axis: Range1d, look: Palette) -> Figure:
    height = ROW_HEIGHT * len(shown) + _AXIS_HEIGHT
    drawn = new_figure(
        name="coverage",
        x_axis_type="datetime",
        y_range=Range1d(start=len(shown) - 0.5, end=-0.5),
        tools="",
        sizing_mode="stretch_width",
        min_width=0,
    )
    dress(
        drawn,
        axis,
        height,
        look,
        HoverTool(tooltips=asset("fact.html"), limit=1, attachment="vertical", point_policy="follow_mouse"),
    )
    drawn.min_border_right = 12
    drawn.ygrid.visible = False
    drawn.yaxis.update(
        ticker=FixedTicker(ticks=list(range(len(shown)))),
        major_label_overrides={n: PlainText(text=label(series)) for n, series in enumerate(shown)},
        major_label_text_color=look.text,
    )
    return drawn


def _bars(shown: list[Series], picked: str, absent: Frame) -> Frame:
    """Return what is held as stretches between those that are absent."""
    held = []
    for row, one in enumerate(shown):
        here = absent[absent["row"] == row].sort_values("left")
        start, end = milliseconds(one.first), milliseconds(one.last + one.step)
        for left, right in [*zip(here["left"], here["right"], strict=True), (end, end)]:
            if left > start:
                held.append((row, start, left))
            start = max(start, right)
    rows, left, right = (list(column) for column in zip(*held, strict=True))
    said = [f"held from {_time(start)} to before {_time(end)}" for _, start, end in held]
    drawn = _told(shown, np.array(rows), left=left, right=right, said=said, meaning=MEANINGS["held"], place=_BAR)
    return drawn.assign(alpha=[0.95 if shown[row].name.address == picked else 0.55 for row in rows])


def _marks(shown: list[Series], marks: Frame, kind: str) -> Frame:
    said = [
        f"{kind}: {mark.detail}, {mark.start:%Y-%m-%d %H:%M}"
        + ("" if mark.candles == 1 else f" to {mark.end:%Y-%m-%d %H:%M}")
        for mark in marks.itertuples()
    ]
    rows = marks["row"].to_numpy()
    return _told(
        shown,
        rows,
        left=[milliseconds(start) for start in marks["start"]],
        right=[milliseconds(end + shown[row].step) for row, end in zip(rows, marks["end"], strict=True)],
        said=said,
        meaning=MEANINGS[kind],
        place=_PLACES.get(kind, _BAR),
    )


def _holes(shown: list[Series], holes: list[Holes]) -> Frame:
    found = [(row, one + shown[row].step, other) for row, pairs in enumerate(holes) for one, other in pairs]
    return _told(
        shown,
        np.array([row for row, _, _ in found], dtype=int),
        left=[milliseconds(start) for _, start, _ in found],
        right=[milliseconds(end) for _, _, end in found],
        said=[f"absent from {start:%Y-%m-%d %H:%M} to before {end:%Y-%m-%d %H:%M}" for _, start, end in found],
        meaning=MEANINGS["hole"],
        place=_BAR,
    )


def _time(instant: float) -> str:
    return f"{pd.Timestamp(instant, unit='ms'):%Y-%m-%d %H:%M}"


def _told(
    shown: list[Series], rows: Any, *, left: list[float], right: list[float], said: list[str], meaning: str,
    place: tuple[float, float],
) -> Frame:  # fmt: skip
    names = [label(shown[row]) for row in rows]
    told = {
        "row": rows,
        "series": names,
        "left": left,
        "right": right,
        "bottom": rows + place[0],
        "top": rows + place[1],
    }
    return pd.DataFrame({**told, "said": said, "meaning": meaning})
