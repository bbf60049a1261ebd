"""The charts of a sweep, drawn with Bokeh alone: the map of two parameters or the line of one, parallel coordinates,
and in-sample against out-of-sample.

What is drawn belongs to no document yet. Whatever a strategy calls its parameters is drawn as plain text.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from bokeh.models import (
    BasicTickFormatter,
    ColumnDataSource,
    FixedTicker,
    HoverTool,
    NumeralTickFormatter,
    PlainText,
    Range1d,
)
from bokeh.palettes import Viridis256
from bokeh.plotting import figure

from dashboards.figures import Figure, dress
from dashboards.look import PALETTES, Theme
from dashboards.sweep_queries import MARKED, Axis, Parameter, Plane, Sample
from dashboards.sweep_words import text
from dashboards.verdict_words import parameters

HEIGHT = 340
_TICKS = 12
_LONGEST = 12
_CLEAR = "#00000000"


def shades(theme: Theme, count: int = 256) -> list[str]:
    """Return colours from the lowest to the highest, which stands out most from the page."""
    colours = Viridis256 if theme == "dark" else Viridis256[::-1]
    return [colours[round(n * 255 / (count - 1))] for n in range(count)]


def chart(found: Plane, title: str, unit: str, theme: Theme) -> list[Figure]:
    """Draw a plane: a map of two axes, or a line over one."""
    return (_map if len(found.axes) == 2 else _line)(found, title, unit, theme)


def parallel(found: Sample, varied: list[Parameter], title: str, theme: Theme) -> list[Figure]:
    """Draw a line a set through its parameters and its objective, the best sets last and widest."""
    rows, colours = found.rows.iloc[::-1], PALETTES[theme]
    places = [_heights(rows[f"p{n}"].to_list(), one) for n, one in enumerate(varied)]
    objective, low, high = _scaled(rows["objective"].to_numpy(dtype=float))
    heights = np.column_stack([*(where for where, *_ in places), objective])
    across, best = list(range(len(varied) + 1)), (rows["rank"] <= MARKED).to_numpy()
    palette = shades(theme)
    named = [[f"{one.name} {value}" for one, value in zip(varied, values, strict=True)]
             for values in rows[[f"p{n}" for n in range(len(varied))]].to_numpy()]  # fmt: skip
    source = ColumnDataSource({
        "xs": [across] * len(rows), "ys": [list(row) for row in heights],
        "colour": [palette[round(height * 255)] for height in objective],
        "width": np.where(best, 2.6, 1.0), "alpha": np.where(best, 1.0, 0.45),
        "number": rows["number"].to_numpy(), "objective": [text(float(value), "ratio") for value in rows["objective"]],
        "told": [", ".join(words) for words in named],
    })  # fmt: skip
    made = _frame("parallel")
    for place in across:
        made.line([place, place], [0, 1], color=colours.muted, line_width=1)
    lines = made.multi_line(
        "xs", "ys", source=source, line_color="colour", line_width="width", line_alpha="alpha", name="sets"
    )
    ends = [(at_low, at_high) for _, at_low, at_high in places] + [(text(low, "ratio"), text(high, "ratio"))]
    for height, baseline, side in ((-0.03, "top", 0), (1.03, "bottom", 1)):
        made.text(
            across, [height] * len(across), [_short(end[side]) for end in ends], text_align="center",
            text_baseline=baseline, text_color=colours.text, text_font_size="12px",
        )  # fmt: skip
    tips = [("Set", "@number"), ("Objective", "@objective"), ("", "@told")]
    _dress(made, (-0.45, len(varied) + 0.45), HEIGHT, theme, HoverTool(renderers=[lines], tooltips=tips, limit=3))
    made.y_range = Range1d(start=-0.14, end=1.14)
    _label(made.xaxis[0], {n: one.name for n, one in enumerate(varied)} | {len(varied): title})
    made.yaxis.visible = made.grid.visible = False
    made.min_border_right = 8
    return [made]


def scatter(found: Sample, theme: Theme) -> list[Figure]:
    """Draw the objective in-sample against that out-of-sample, with the diagonal and the best sets marked."""
    rows, colours = found.rows.iloc[::-1], PALETTES[theme]
    best = (rows["rank"] <= MARKED).to_numpy()
    source = ColumnDataSource({
        "inside": rows["objective"].to_numpy(dtype=float), "outside": rows["out_objective"].to_numpy(dtype=float),
        "number": rows["number"].to_numpy(), "rank": rows["rank"].to_numpy(), "out_rank": rows["out_rank"].to_numpy(),
        "colour": np.where(best, colours.lines[0], colours.equity), "size": np.where(best, 11, 6),
        "alpha": np.where(best, 1.0, 0.5), "told": [parameters(each) for each in rows["parameters"]],
    })  # fmt: skip
    made = _frame("sample")
    across, up = _span(source.data["inside"]), _span(source.data["outside"])
    ends = [min(across[0], up[0]), max(across[1], up[1])]
    made.line(ends, ends, color=colours.muted, line_dash="dashed", name="diagonal")
    dots = made.scatter("inside", "outside", source=source, size="size", fill_color="colour", fill_alpha="alpha",
                        line_color=colours.edge, name="sets")  # fmt: skip
    tips = [("Set", "@number"), ("", "@told"), ("In-sample", "@inside{0,0.[000]}, number @rank"),
            ("Out-of-sample", "@outside{0,0.[000]}, number @out_rank")]  # fmt: skip
    _dress(made, across, HEIGHT, theme, HoverTool(renderers=[dots], tooltips=tips, limit=3))
    made.y_range = Range1d(start=up[0], end=up[1])
    for axis, title in ((made.xaxis[0], "In-sample"), (made.yaxis[0], "Out-of-sample")):
        axis.formatter = NumeralTickFormatter(format="0,0.[000]")
        _title(axis, title, theme)
    return [made]


def _map(found: Plane, title: str, unit: str, theme: Theme) -> list[Figure]:
    across, up = found.axes
    cells, colours = found.cells, PALETTES[theme]
    share, _, _ = _scaled(cells["value"].to_numpy(dtype=float))
    palette = shades(theme)
    x, y = cells["x"].to_numpy(dtype=float), cells["y"].to_numpy(dtype=float)
    source = ColumnDataSource({
        "left": x - 0.5, "right": x + 0.5, "bottom": y - 0.5, "top": y + 0.5,
        "colour": [_CLEAR if np.isnan(value) else palette[round(value * 255)] for value in share],
        **_told(found, unit),
    })  # fmt: skip
    made = _frame("map")
    right, top = len(across.labels) - 0.5, len(up.labels) - 0.5
    made.quad(-0.5, right, top, -0.5, fill_color=None, line_color=None, hatch_pattern="/", hatch_color=colours.muted,
              hatch_alpha=0.6, hatch_scale=8, name="without")  # fmt: skip
    drawn = made.quad("left", "right", "top", "bottom", source=source, fill_color="colour", line_color=colours.edge,
                      line_width=0.5, name="cells")  # fmt: skip
    best = cells[cells["objective"] == cells["objective"].max()]
    made.scatter(best["x"].to_numpy(), best["y"].to_numpy(), marker="star", size=18, fill_color=colours.edge,
                 line_color=colours.text, name="best")  # fmt: skip
    height = max(220, min(560, 80 + 24 * len(up.labels)))
    _dress(made, (-0.5, right), height, theme, HoverTool(renderers=[drawn], tooltips=_tips(found, title)))
    made.y_range = Range1d(start=-0.5, end=top)
    made.grid.visible = False
    for axis, shown in ((made.xaxis[0], across), (made.yaxis[0], up)):
        _label(axis, _ticks(shown))
        _title(axis, shown.name, theme)
    return [made]


def _line(found: Plane, title: str, unit: str, theme: Theme) -> list[Figure]:
    (across,), cells, colours = found.axes, found.cells, PALETTES[theme]
    values = cells["value"].to_numpy(dtype=float)
    source = ColumnDataSource({"x": cells["x"].to_numpy(dtype=float), "y": values, **_told(found, unit)})
    made = _frame("map")
    made.line("x", "y", source=source, color=colours.equity, line_width=1.6)
    dots = made.scatter("x", "y", source=source, color=colours.equity, size=6 if len(cells) <= 100 else 2, name="cells")
    _dress(made, (-0.5, len(across.labels) - 0.5), HEIGHT, theme,
           HoverTool(renderers=[dots], tooltips=_tips(found, title), mode="vline", attachment="above"))  # fmt: skip
    low, high = _span(values)
    made.y_range = Range1d(start=low, end=high)
    made.yaxis.formatter = NumeralTickFormatter(format="0,0.[0] %" if unit == "fraction" else "0,0.[000]")
    _label(made.xaxis[0], _ticks(across))
    _title(made.xaxis[0], across.name, theme)
    return [made]


def _told(found: Plane, unit: str) -> dict[str, Any]:
    """Return what the pointer tells of the cells."""
    cells = found.cells
    names = {
        f"at_{key}": [axis.labels[place] for place in cells[key]] for key, axis in zip("xy", found.axes, strict=False)
    }
    values = [text(float(value), unit) for value in cells["value"].to_numpy(dtype=float)]
    numbers = [
        "none has an objective" if np.isnan(number) else f"{number:.0f}" for number in cells["number"].astype(float)
    ]
    return {"told": values, "value": cells["value"].to_numpy(dtype=float), "sets": cells["sets"].to_numpy(),
            "number": numbers, **names}  # fmt: skip


def _tips(found: Plane, title: str) -> list[tuple[str, str]]:
    named = [("", f"@at_{key}") for key, _ in zip("xy", found.axes, strict=False)]
    return [(title, "@told"), *named, ("Sets", "@sets"), ("Best set", "@number")]


def _heights(values: list[str], one: Parameter) -> tuple[Any, str, str]:
    """Return where values lie between the lowest and the highest, and those in words; what is no number by its name."""
    if one.low is not None and one.high is not None:
        low, high = one.low, one.high
        return (np.asarray(values, dtype=float) - low) / (high - low), f"{low:g}", f"{high:g}"
    names = sorted(set(values))
    places = {name: n / max(1, len(names) - 1) for n, name in enumerate(names)}
    return np.array([places[value] for value in values]), names[0], names[-1]


def _scaled(values: Any) -> tuple[Any, float, float]:
    """Return values as shares of the way from the lowest to the highest, and these; infinities are at the ends."""
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)
    return (np.clip(values, low, high) - low) / (high - low or 1.0), low, high


def ends(found: Plane) -> tuple[float, float]:
    """Return the lowest and the highest value of a plane."""
    return _scaled(found.cells["value"].to_numpy(dtype=float))[1:]


def _span(values: Any) -> tuple[float, float]:
    _, low, high = _scaled(np.asarray(values, dtype=float))
    margin = (high - low) * 0.06 or abs(high) * 0.05 or 1.0
    return low - margin, high + margin


def _ticks(axis: Axis) -> dict[int, str]:
    step = -(-len(axis.labels) // _TICKS)
    return {n: axis.labels[n] for n in range(0, len(axis.labels), step)}


def _label(axis: Any, labels: dict[int, str]) -> None:
    axis.ticker = FixedTicker(ticks=list(labels), minor_ticks=[])
    axis.formatter = BasicTickFormatter()
    axis.major_label_overrides = {place: PlainText(text=_short(label)) for place, label in labels.items()}


def _title(axis: Any, title: str, theme: Theme) -> None:
    axis.update(axis_label=PlainText(text=title), axis_label_text_color=PALETTES[theme].muted)
    axis.update(axis_label_text_font_size="12.5px", axis_label_text_font_style="normal")


def _short(label: str) -> str:
    return label if len(label) <= _LONGEST else f"{label[: _LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}"


def _frame(name: str) -> Figure:
    return figure(name=name, y_axis_location="right", sizing_mode="stretch_width", tools=[])


def _dress(made: Figure, across: tuple[float, float], height: int, theme: Theme, hover: HoverTool) -> None:
    """Dress a figure that is not over time: it stays as a whole, so the wheel scrolls the page."""
    dress(made, Range1d(start=across[0], end=across[1], bounds=across), height, PALETTES[theme])
    made.toolbar.update(active_drag=None, active_scroll=None)
    made.tools = [hover]
    made.xaxis.formatter = BasicTickFormatter()
