"""The charts of a run, drawn with hvPlot: price with indicators and markers, equity, drawdown.

Drawing needs no session and no lock: it runs in a thread, and what it returns belongs to no document yet. Frames come
from `queries`; times are naive UTC.
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Sequence
from typing import Any

import holoviews as hv
import hvplot.pandas  # noqa: F401  (gives frames their .hvplot)
import numpy as np
import pandas as pd
from bokeh.core.properties import value as literal
from bokeh.models import CrosshairTool, CustomJS, HoverTool, NumeralTickFormatter, Range1d
from bokeh.models.annotations import Legend, LegendItem, Span

from dashboards.chart_columns import (
    MARKER_COLUMNS,
    Columns,
    candle_columns,
    equity_columns,
    marker_columns,
    water_columns,
)
from dashboards.figures import Figure, dress, time_axis
from dashboards.indicator_scales import split_indicators
from dashboards.look import PALETTES, Theme, asset
from dashboards.order_queries import Level
from dashboards.price_lines import FIELD, draw_levels

PRICE_HEIGHT, OSCILLATOR_HEIGHT, EQUITY_HEIGHT, DRAWDOWN_HEIGHT = 430, 150, 300, 170

_MARKS = {"buy": "triangle", "sell": "inverted_triangle"}

_RENDERER = hv.renderer("bokeh").instance()
_RENDERER.notebook_context = True
"""Gives each plot a document of its own. Else that is whichever the process has in hand, maybe a visitor's who is just
leaving, and it keeps the plot for good."""

Frame = pd.DataFrame
Fed = list[tuple[Any, Columns]]
"""Sources of figures, and what they are to show."""


def show(fed: Fed) -> None:
    """Let figures show other data; the caller holds the document's lock."""
    for source, columns in fed:
        source.data = columns


class Charts:
    """The charts of one run, which pan and zoom together and share a crosshair.

    `start` and `end` bound them; `view` is the part in view at first (milliseconds since 1970), by default all.
    """

    def __init__(
        self, start: pd.Timestamp, end: pd.Timestamp, theme: Theme, view: tuple[float, float] | None = None
    ) -> None:
        self._colours = PALETTES[theme]
        margin = max((end - start) * 0.015, pd.Timedelta(minutes=1))
        bounds = (_milliseconds(start - margin), _milliseconds(end + margin))
        shown = view or bounds
        self.time: Any = time_axis(*shown, bounds)
        self._crosshair = Span(dimension="height", line_color=self._colours.muted, line_dash="dotted")
        self._figures: list[Figure] = []
        self._readings: dict[str, tuple[Any, list[tuple[str, str]]]] = {}
        self._fed: list[tuple[Any, str]] = []
        self._fitted: list[tuple[Range1d, list[tuple[Any, list[str]]], float | None]] = []
        self._indicators: dict[str, str] = {}
        self._held: tuple[float, float | None] = 0.0, None

    def price(
        self,
        candles: Frame,
        indicators: Frame | None,
        markers: Frame | None,
        levels: Sequence[Level] | None = None,
    ) -> list[Figure]:
        """Draw candles, indicators on their scale, markers and levels; below it a figure for each other scale."""
        indicators = candles[["ts"]] if indicators is None else indicators
        markers = pd.DataFrame(columns=MARKER_COLUMNS) if markers is None else markers
        beside, below = split_indicators(candles, indicators)
        drawn = [*beside, *itertools.chain(*below)]
        colours = dict(zip(drawn, itertools.cycle(self._colours.lines)))
        self._indicators = safe = {name: f"i{n}" for n, name in enumerate(indicators.columns[1:])}
        shown = candles.merge(indicators, on="ts", how="left").rename(columns=safe)
        layers = [self._candles(shown)]
        layers += [_line(shown, safe[name], name, colours[name], PRICE_HEIGHT) for name in beside]
        layers += [self._markers(markers, action) for action in _MARKS]
        figure = self._render(layers, [*beside, "Buy", "Sell"], PRICE_HEIGHT, "price", "0,0.[00000]")
        figures = [figure]
        columns = self._price_columns(candles, indicators, markers)
        source = self._feed_candles(figure, columns["price"])
        for layer in figure.renderers[-len(beside) - len(_MARKS) :]:
            self._feed(layer, layer.name if layer.name in _MARKS else "price", columns)
        prices = [(word.capitalize(), word) for word in ("open", "high", "low", "close")]
        self._readings["price"] = (source, prices + [(name, safe[name]) for name in drawn])
        self._hover_markers(figure)
        fitted = [(source, ["low", "high"])]
        if levels is not None:
            fitted.append((draw_levels(figure, levels, candles, self._colours), [FIELD]))
        self._fit(figure, fitted)
        for n, group in enumerate(below):
            lines = [_line(shown, safe[name], name, colours[name], OSCILLATOR_HEIGHT) for name in group]
            oscillator = self._render(lines, group, OSCILLATOR_HEIGHT, f"oscillator-{n}", "0,0.[00]")
            for layer in oscillator.renderers:
                self._feed(layer, "price", columns)
            self._fit(oscillator, [(r.data_source, [r.glyph.y]) for r in oscillator.renderers])
            figures.append(oscillator)
        return figures

    def equity(self, equity: Frame, cash: float, first_open: float | None) -> list[Figure]:
        """Draw the equity and, where the first open is known, the same cash held in the market from there on."""
        self._held = cash, first_open
        columns = {"equity": equity_columns(equity, cash, first_open)}
        shown = pd.DataFrame(columns["equity"])
        layers = [_line(shown, "equity", "Strategy", self._colours.equity, EQUITY_HEIGHT, width=2)]
        values = [("Strategy", "equity")]
        if first_open:
            layers.insert(0, _line(shown, "hold", "Buy and hold", self._colours.hold, EQUITY_HEIGHT))
            values.append(("Buy and hold", "hold"))
        names = ["Buy and hold", "Strategy"] if first_open else ["Strategy"]
        figure = self._render(layers, names, EQUITY_HEIGHT, "equity", "0,0")
        line = figure.renderers[-1]
        if first_open:
            line.data_source.data["hold"] = columns["equity"]["hold"]
        for layer in figure.renderers:
            self._feed(layer, "equity", columns)
        self._readings["equity"] = (line.data_source, values)
        self._fit(figure, [(r.data_source, [r.glyph.y]) for r in figure.renderers])
        return [figure]

    def drawdown(self, equity: Frame) -> list[Figure]:
        """Draw how far the equity stands below its peak."""
        size: dict[str, Any] = {"responsive": True, "height": DRAWDOWN_HEIGHT}
        water = equity.hvplot.area("ts", "drawdown", color=self._colours.down, alpha=0.25, line_width=0, **size)
        line = _line(equity, "drawdown", "Drawdown", self._colours.down, DRAWDOWN_HEIGHT)
        figure = self._render([water, line], [], DRAWDOWN_HEIGHT, "drawdown", "0.[0] %")
        columns = {"equity": equity_columns(equity, *self._held), "water": water_columns(equity)}
        for layer, topic in zip(figure.renderers, ("water", "equity"), strict=True):
            self._feed(layer, topic, columns)
        self._readings["drawdown"] = (figure.renderers[-1].data_source, [("Drawdown %", "drawdown")])
        self._fit(figure, [(figure.renderers[-1].data_source, ["drawdown"])], ceiling=0.0)
        return [figure]

    def finer(
        self, candles: Frame | None, indicators: Frame | None, markers: Frame | None, equity: Frame | None
    ) -> Fed:
        """Return what the figures that were drawn show of other candles of the same run; None leaves what they show.

        It takes no lock; `show` does the rest.
        """
        columns: dict[str, Columns] = {}
        if candles is not None:
            indicators = candles[["ts"]] if indicators is None else indicators
            markers = pd.DataFrame(columns=MARKER_COLUMNS) if markers is None else markers
            columns |= self._price_columns(candles, indicators, markers)
        if equity is not None:
            columns |= {"equity": equity_columns(equity, *self._held), "water": water_columns(equity)}
        return [
            (source, {name: columns[topic][name] for name in source.data})
            for source, topic in self._fed
            if topic in columns
        ]

    def _price_columns(self, candles: Frame, indicators: Frame, markers: Frame) -> dict[str, Columns]:
        marks = {action: marker_columns(markers, action) for action in _MARKS}
        return {"price": candle_columns(candles, indicators, self._indicators, self._colours), **marks}

    def _feed_candles(self, figure: Figure, columns: Columns) -> Any:
        """Let the candles show these columns; return the source that has them all."""
        first = figure.renderers[0]
        names = ["ts", "open", "high", "low", "close", "color", *self._indicators.values()]
        first.data_source.data = {name: columns[name] for name in names}
        first.glyph.line_color = "color"
        self._fed.append((first.data_source, "price"))
        if len(columns["ts"]) > 1:
            bodies = figure.renderers[1]
            bodies.data_source.data = {name: columns[name] for name in ("left", "right", "bottom", "top", "color")}
            bodies.glyph.update(line_color="color", fill_color="color")
            self._fed.append((bodies.data_source, "price"))
        return first.data_source

    def _feed(self, layer: Any, topic: str, columns: dict[str, Columns]) -> None:
        source = layer.data_source
        source.data = {name: columns[topic][name] for name in source.data}
        self._fed.append((source, topic))

    def connect(self) -> None:
        """Let all the charts that were drawn tell the values under the pointer, in the page's `read-NAME` places."""
        for axis, fitted, ceiling in self._fitted:
            axis.start, axis.end = self._scale(fitted, ceiling)
        sources = {name: source for name, (source, _) in self._readings.items()}
        values = {name: fields for name, (_, fields) in self._readings.items()}
        args = {"places": list(sources), "sources": list(sources.values()), "values": list(values.values())}
        read = CustomJS(args=args, code=asset("read.js"))
        for figure in self._figures:
            figure.js_on_event("mousemove", read)

    def tell_as(self, place: str) -> None:
        """Let the price tell its values in another place of the page than that of the run's own chart."""
        self._readings[place] = self._readings.pop("price")

    def _candles(self, candles: Frame) -> Any:
        if len(candles) < 2:  # hvplot takes the width of a candle from the distance to the next
            return candles.hvplot.scatter("ts", "close", hover_cols=["open", "high", "low"], **_size(PRICE_HEIGHT))
        return candles.hvplot.ohlc(
            "ts",
            ["open", "low", "high", "close"],
            pos_color=self._colours.up,
            neg_color=self._colours.down,
            bar_width=0.7,
            **_size(PRICE_HEIGHT),
        )

    def _markers(self, markers: Frame, action: str) -> Any:
        colour = self._colours.buy if action == "buy" else self._colours.sell
        return (
            markers[markers["action"] == action]
            .hvplot.scatter(
                "ts",
                "price",
                marker=_MARKS[action],
                size=110 if len(markers) <= 100 else 50,
                color=colour,
                line_color=self._colours.edge,
                hover_cols=["text", "amount", "profit", "events"],
                **_size(PRICE_HEIGHT),
            )
            .opts(hooks=[lambda plot, _: setattr(plot.handles["glyph_renderer"], "name", action)])
        )

    def _render(self, layers: list[Any], names: list[str], height: int, name: str, number: str) -> Figure:
        """Render layers; `names` are those of the last ones, for the legend."""
        overlay = functools.reduce(operator.mul, layers)
        figure = _RENDERER.get_plot(overlay).state
        figure.name = name
        figure.right, figure.left = figure.left, []
        dress(figure, self.time, height, self._colours, CrosshairTool(overlay=self._crosshair))
        figure.yaxis.formatter = NumeralTickFormatter(format=number)
        self._name_layers(figure, names)
        self._figures.append(figure)
        return figure

    def _name_layers(self, figure: Figure, names: list[str]) -> None:
        for legend in figure.legend:  # HoloViews leaves out layers of one kind, and any that is alone
            legend.visible = False
        if not names:
            return
        named = zip(names, figure.renderers[-len(names) :], strict=True)
        items = [LegendItem(label=literal(name), renderers=[renderer]) for name, renderer in named]
        legend = Legend(items=items, location="top_left", orientation="horizontal", click_policy="hide")
        legend.update(background_fill_alpha=0, border_line_alpha=0, label_text_color=self._colours.text)
        legend.update(label_text_font_size="12px", padding=2, spacing=14, glyph_width=16, margin=4)
        figure.add_layout(legend)

    def _hover_markers(self, figure: Figure) -> None:
        marks = [renderer for action in _MARKS for renderer in figure.select(name=action)]
        tips = asset("marker.html")
        figure.add_tools(
            HoverTool(renderers=marks, tooltips=tips, formatters={"@ts": "datetime"}, limit=1, attachment="above")
        )

    def _fit(self, figure: Figure, sources: list[tuple[Any, list[str]]], ceiling: float | None = None) -> None:
        """Let the value axis follow what is in view, in the browser; `connect` fits it once here."""
        start, end = self._scale(sources, ceiling)
        figure.y_range = Range1d(start=start, end=end)
        self._fitted.append((figure.y_range, sources, ceiling))
        follow = CustomJS(
            args={
                "time": self.time,
                "axis": figure.y_range,
                "sources": [source for source, _ in sources],
                "fields": [fields for _, fields in sources],
                "ceiling": ceiling,
            },
            code=asset("fit.js"),
        )
        self.time.js_on_change("start", follow)
        self.time.js_on_change("end", follow)
        for source, _ in sources:
            source.js_on_change("data", follow)

    def _scale(self, sources: list[tuple[Any, list[str]]], ceiling: float | None) -> tuple[float, float]:
        """Return the ends of a value axis for what is in view, as fit.js finds them."""
        view = np.array([self.time.start, self.time.end]) * 1000
        low, high = np.inf, -np.inf
        for source, fields in sources:
            times = np.asarray(source.data["ts"], dtype="datetime64[us]").astype(float)
            seen = (times >= view[0]) & (times <= view[1])
            for field in fields:
                values = np.asarray(source.data[field], dtype=float)[seen]
                values = values[np.isfinite(values)]
                low, high = min(low, values.min(initial=np.inf)), max(high, values.max(initial=-np.inf))
        low, high = (float(low), float(high)) if low <= high else (0.0, 1.0)
        margin = (high - low) * 0.06 or abs(high) * 0.05 or 1.0
        return low - margin, high + margin if ceiling is None else ceiling


def rehearse() -> None:
    """Draw once for nobody: the first drawing imports and compiles much that later ones find done."""
    times = pd.date_range("2024-01-01", periods=3)
    candles = pd.DataFrame({"ts": times, "open": 1.0, "high": 2.0, "low": 1.0, "close": 1.5})
    markers = pd.DataFrame({"ts": times, "action": ["buy", "sell", "buy"], "price": 1.0, "text": ""})
    markers = markers.assign(events=1, amount=1.0, profit=0.0)
    equity = pd.DataFrame({"ts": times, "equity": 1.0, "price": 1.0, "drawdown": 0.0})
    charts = Charts(times[0], times[-1], "dark")
    charts.price(candles, candles[["ts"]].assign(line=1.0), markers)
    charts.equity(equity, 1.0, 1.0)
    charts.drawdown(equity)


def _line(frame: Frame, column: str, label: str, colour: str, height: int, *, width: float = 1.4) -> Any:
    return frame.hvplot.line("ts", column, label=label, color=colour, line_width=width, **_size(height))


def _size(height: int) -> dict[str, Any]:
    return {"responsive": True, "height": height}


def _milliseconds(time: pd.Timestamp) -> float:
    return time.timestamp() * 1000
