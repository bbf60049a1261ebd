"""The charts of a run: price with indicators and markers, equity, drawdown.

hvPlot draws the candles; the lines and markers are added to its figure with Bokeh, which costs a tenth of the time.
Drawing needs no session and no lock: it runs in a thread, and what it returns belongs to no document yet. Frames come
from `queries`; times are naive UTC.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import holoviews as hv
import hvplot.pandas  # noqa: F401  (gives frames their .hvplot)
import numpy as np
import pandas as pd
from bokeh.core.properties import value as literal
from bokeh.models import (
    ColumnDataSource,
    CrosshairTool,
    CustomJS,
    HoverTool,
    NumeralTickFormatter,
    Range1d,
    Scatter,
    VArea,
)
from bokeh.models.annotations import Span

from dashboards.chart_columns import (
    ACTIONS,
    MARKER_COLUMNS,
    Columns,
    equity_columns,
    indicator_columns,
    owned,
    price_columns,
)
from dashboards.figures import Figure, blank, draw_line, dress, name_layers, time_axis, time_bounds
from dashboards.look import PALETTES, Theme, asset
from dashboards.order_queries import Level
from dashboards.price_lines import FIELD, draw_levels
from dashboards.progress import Layout, Progress, layout

PRICE_HEIGHT, OSCILLATOR_HEIGHT, EQUITY_HEIGHT, DRAWDOWN_HEIGHT = 430, 150, 300, 170

_MARKS = dict(zip(ACTIONS, ("triangle", "inverted_triangle"), strict=True))

_RENDERER = hv.renderer("bokeh").instance()
_RENDERER.notebook_context = True
"""Gives each plot a document of its own. Else that is whichever the process has in hand, maybe a visitor's who is just
leaving, and it keeps the plot for good."""

_drawn_ahead: list[Figure] = []

Frame = pd.DataFrame
Fed = list[tuple[Any, Columns]]
"""Sources of figures, and what they are to show."""


def show(fed: Fed) -> None:
    """Let figures show other data; the caller holds the document's lock."""
    for source, columns in fed:
        source.data = owned(columns)


class Charts:
    """The charts of one run, which pan and zoom together and share a crosshair.

    `start` and `end` bound them; `view` is the part in view at first (milliseconds since 1970), by default all.
    """

    def __init__(
        self, start: pd.Timestamp, end: pd.Timestamp, theme: Theme, view: tuple[float, float] | None = None
    ) -> None:
        self._colours = PALETTES[theme]
        bounds = time_bounds(start, end)
        shown = view or bounds
        self.time: Any = time_axis(*shown, bounds)
        self._crosshair = Span(dimension="height", line_color=self._colours.muted, line_dash="dotted")
        self._figures: list[Figure] = []
        self._readings: dict[str, tuple[Any, list[tuple[str, str]]]] = {}
        self._sources: dict[str, ColumnDataSource] = {}
        self._fitted: list[tuple[Range1d, list[tuple[Any, list[str]]], float | None]] = []
        self._layout: Layout = (), (), ()
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
        self._layout = layout(candles, indicators)
        names, beside, below = self._layout
        drawn = [*beside, *itertools.chain(*below)]
        colours = dict(zip(drawn, itertools.cycle(self._colours.lines)))
        safe = indicator_columns(names)
        columns = self._price_columns(candles, indicators, markers)
        figure = self._dressed(_drawn_ahead.pop() if _drawn_ahead else _candles(), PRICE_HEIGHT, "price")
        figure.yaxis.formatter = NumeralTickFormatter(format="0,0.[00000]")
        source = self._feed("price", columns["price"])
        for layer in figure.renderers:
            layer.data_source = source
        lines = [draw_line(figure, source, safe[name], colours[name], name=name) for name in beside]
        marks = [self._markers(figure, action, columns[action]) for action in _MARKS]
        name_layers(figure, [*beside, "Buy", "Sell"], [*lines, *marks], self._colours)
        prices = [(word.capitalize(), word) for word in ("open", "high", "low", "close")]
        self._readings["price"] = (source, prices + [(name, safe[name]) for name in drawn])
        tips = asset("marker.html")
        figure.add_tools(
            HoverTool(renderers=marks, tooltips=tips, formatters={"@ts": "datetime"}, limit=1, attachment="above")
        )
        fitted = [(source, ["low", "high"])]
        if levels is not None:
            self._sources["levels"] = draw_levels(figure, levels, candles, self._colours)
            fitted.append((self._sources["levels"], [FIELD]))
        self._fit(figure, fitted)
        below_it = [
            self._oscillator(f"oscillator-{n}", source, {name: (safe[name], colours[name]) for name in group})
            for n, group in enumerate(below)
        ]
        return [figure, *below_it]

    def equity(self, equity: Frame, cash: float, first_open: float | None) -> list[Figure]:
        """Draw the equity and, where the first open is known, the same cash held in the market from there on."""
        self._held = cash, first_open
        source = self._feed("equity", equity_columns(equity, cash, first_open))
        figure = self._blank("equity", EQUITY_HEIGHT, "0,0")
        lines, values = {}, [("Strategy", "equity")]
        if first_open:
            lines["Buy and hold"] = draw_line(figure, source, "hold", self._colours.hold)
            values.append(("Buy and hold", "hold"))
        lines["Strategy"] = draw_line(figure, source, "equity", self._colours.equity, width=2)
        name_layers(figure, [*lines], [*lines.values()], self._colours)
        self._readings["equity"] = (source, values)
        self._fit(figure, [(source, [column for _, column in values])])
        return [figure]

    def drawdown(self, equity: Frame) -> list[Figure]:
        """Draw how far the equity stands below its peak."""
        source = self._feed("equity", equity_columns(equity, *self._held))
        figure = self._blank("drawdown", DRAWDOWN_HEIGHT, "0.[0] %")
        water = VArea(x="ts", y1=0, y2="drawdown", fill_color=self._colours.down, fill_alpha=0.25)
        figure.add_glyph(source, water)
        draw_line(figure, source, "drawdown", self._colours.down)
        self._readings["drawdown"] = (source, [("Drawdown %", "drawdown")])
        self._fit(figure, [(source, ["drawdown"])], ceiling=0.0)
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
            columns["equity"] = equity_columns(equity, *self._held)
        return [(source, columns[topic]) for topic, source in self._sources.items() if topic in columns]

    def sources_for(self, progress: Progress, *, whole: bool) -> Fed | None:
        """Return what the figures that were drawn show of a run that went on; None where others have to be drawn.

        What is drawn where is told by the `whole` of a run alone.
        """
        columns = progress.columns
        alike = progress.layout == self._layout if whole else progress.layout[0] == self._layout[0]
        fits = alike and columns.keys() == self._sources.keys()
        if not fits or any(source.data.keys() != columns[topic].keys() for topic, source in self._sources.items()):
            return None
        return [(source, columns[topic]) for topic, source in self._sources.items()]

    def _price_columns(self, candles: Frame, indicators: Frame, markers: Frame) -> dict[str, Columns]:
        return price_columns(candles, indicators, markers, self._layout[0], self._colours)

    def _feed(self, topic: str, columns: Columns) -> ColumnDataSource:
        """Return the one source that all layers of a topic show."""
        if topic not in self._sources:
            self._sources[topic] = ColumnDataSource(owned(columns))
        return self._sources[topic]

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

    def _blank(self, name: str, height: int, form: str) -> Figure:
        """Return a figure without layers; `form` is that of the values."""
        figure = self._dressed(blank(name, height), height, name)
        figure.yaxis.formatter = NumeralTickFormatter(format=form)
        return figure

    def _dressed(self, figure: Figure, height: int, name: str) -> Figure:
        figure.name = name
        dress(figure, self.time, height, self._colours, CrosshairTool(overlay=self._crosshair))
        self._figures.append(figure)
        return figure

    def _oscillator(self, name: str, source: ColumnDataSource, lines: dict[str, tuple[str, str]]) -> Figure:
        """Draw indicators of a scale; `lines` are column and colour by name."""
        figure = self._blank(name, OSCILLATOR_HEIGHT, "0,0.[00]")
        layers = [draw_line(figure, source, column, colour, name=name) for name, (column, colour) in lines.items()]
        name_layers(figure, [*lines], layers, self._colours)
        self._fit(figure, [(source, [column for column, _ in lines.values()])])
        return figure

    def _markers(self, figure: Figure, action: str, columns: Columns) -> Any:
        colour = self._colours.buy if action == "buy" else self._colours.sell
        size = 11 if len(columns["ts"]) <= 50 else 7
        mark = Scatter(x="ts", y="price", marker=literal(_MARKS[action]), size=size)
        mark.update(fill_color=colour, line_color=self._colours.edge)
        return figure.add_glyph(self._feed(action, columns), mark, name=action)

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
    draw_ahead()


def draw_ahead() -> None:
    """Have the candles drawn for whoever opens a run next: they are the most expensive part of its charts."""
    if not _drawn_ahead:
        _drawn_ahead.append(_candles())


def _candles() -> Figure:
    """Draw candles with hvPlot, of nothing yet: their columns are those of `candle_columns`."""
    times = pd.date_range("2024-01-01", periods=2)
    rows = pd.DataFrame({"ts": times, "open": [1.0, 2.0], "low": 1.0, "high": 2.0, "close": [2.0, 1.0]})
    drawn = rows.hvplot.ohlc("ts", ["open", "low", "high", "close"], responsive=True, height=PRICE_HEIGHT)
    figure = _RENDERER.get_plot(drawn).state
    for legend in figure.legend:
        legend.visible = False
    figure.right, figure.left = figure.left, []
    wicks, bodies = figure.renderers
    for layer, colours in ((wicks, ["line_color"]), (bodies, ["line_color", "fill_color"])):
        layer.glyph.update(**dict.fromkeys(colours, "color"))
        layer.update(nonselection_glyph=None, hover_glyph=None, muted_glyph=None)
    return figure
