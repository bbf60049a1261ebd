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

from dashboards.figures import Figure, dress, time_axis
from dashboards.look import PALETTES, Theme, asset
from dashboards.order_queries import Level
from dashboards.price_lines import FIELD, draw_levels

PRICE_HEIGHT, OSCILLATOR_HEIGHT, EQUITY_HEIGHT, DRAWDOWN_HEIGHT = 430, 150, 300, 170

_MARKER_COLUMNS = ["ts", "action", "events", "price", "amount", "profit", "text"]
_MARKS = {"buy": "triangle", "sell": "inverted_triangle"}

_RENDERER = hv.renderer("bokeh").instance()
_RENDERER.notebook_context = True
"""Gives each plot a document of its own. Else that is whichever the process has in hand, maybe a visitor's who is just
leaving, and it keeps the plot for good."""

Frame = pd.DataFrame


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
        self.time = time_axis(*shown, bounds)
        self._crosshair = Span(dimension="height", line_color=self._colours.muted, line_dash="dotted")
        self._figures: list[Figure] = []
        self._readings: dict[str, tuple[Any, list[tuple[str, str]]]] = {}

    def price(
        self,
        candles: Frame,
        indicators: Frame | None,
        markers: Frame | None,
        levels: Sequence[Level] | None = None,
    ) -> list[Figure]:
        """Draw candles, indicators on their scale, markers and levels; below it a figure for each other scale."""
        indicators = candles[["ts"]] if indicators is None else indicators
        markers = pd.DataFrame(columns=_MARKER_COLUMNS) if markers is None else markers
        beside, below = split_indicators(candles, indicators)
        colours = dict(
            zip([*beside, *(name for group in below for name in group)], itertools.cycle(self._colours.lines))
        )
        shown = candles.merge(indicators, on="ts", how="left").reset_index(drop=True)
        safe = {name: f"i{n}" for n, name in enumerate(indicators.columns[1:])}
        shown = shown.rename(columns=safe)
        layers = [self._candles(shown)]
        layers += [_line(shown, safe[name], name, colours[name], PRICE_HEIGHT) for name in beside]
        layers += [self._markers(markers, action) for action in _MARKS]
        figure = self._render(layers, [*beside, "Buy", "Sell"], PRICE_HEIGHT, "price", "0,0.[00000]")
        figures = [figure]
        body = figure.renderers[0]
        rose = shown["close"] >= shown["open"]
        body.data_source.data["color"] = [self._colours.up if up else self._colours.down for up in rose]
        body.glyph.line_color = "color"
        if len(candles) > 1:
            figure.renderers[1].glyph.line_color = "color"
        for name in safe.values():
            body.data_source.data[name] = shown[name].to_numpy()
        named = [(name, safe[name]) for name in (*beside, *itertools.chain(*below))]
        prices = [(word.capitalize(), word) for word in ("open", "high", "low", "close")]
        self._readings["price"] = (body.data_source, prices + named)
        self._hover_markers(figure)
        fitted = [(body.data_source, ["low", "high"])]
        if levels is not None:
            fitted.append((draw_levels(figure, levels, candles, self._colours), [FIELD]))
        self._fit(figure, fitted)
        for n, group in enumerate(below):
            lines = [_line(shown, safe[name], name, colours[name], OSCILLATOR_HEIGHT) for name in group]
            oscillator = self._render(lines, group, OSCILLATOR_HEIGHT, f"oscillator-{n}", "0,0.[00]")
            self._fit(oscillator, [(r.data_source, [r.glyph.y]) for r in oscillator.renderers])
            figures.append(oscillator)
        return figures

    def equity(self, equity: Frame, cash: float, first_open: float | None) -> list[Figure]:
        """Draw the equity and, where the first open is known, the same cash held in the market from there on."""
        shown = equity.assign(hold=cash * equity["price"] / first_open) if first_open else equity
        layers = [_line(shown, "equity", "Strategy", self._colours.equity, EQUITY_HEIGHT, width=2)]
        values = [("Strategy", "equity")]
        if first_open:
            layers.insert(0, _line(shown, "hold", "Buy and hold", self._colours.hold, EQUITY_HEIGHT))
            values.append(("Buy and hold", "hold"))
        names = ["Buy and hold", "Strategy"] if first_open else ["Strategy"]
        figure = self._render(layers, names, EQUITY_HEIGHT, "equity", "0,0")
        line = figure.renderers[-1]
        if first_open:
            line.data_source.data["hold"] = shown["hold"].to_numpy()
        self._readings["equity"] = (line.data_source, values)
        self._fit(figure, [(r.data_source, [r.glyph.y]) for r in figure.renderers])
        return [figure]

    def drawdown(self, equity: Frame) -> list[Figure]:
        """Draw how far the equity stands below its peak."""
        size: dict[str, Any] = {"responsive": True, "height": DRAWDOWN_HEIGHT}
        water = equity.hvplot.area("ts", "drawdown", color=self._colours.down, alpha=0.25, line_width=0, **size)
        line = _line(equity, "drawdown", "Drawdown", self._colours.down, DRAWDOWN_HEIGHT)
        figure = self._render([water, line], [], DRAWDOWN_HEIGHT, "drawdown", "0.[0] %")
        self._readings["drawdown"] = (figure.renderers[-1].data_source, [("Drawdown %", "drawdown")])
        self._fit(figure, [(figure.renderers[-1].data_source, ["drawdown"])], ceiling=0.0)
        return [figure]

    def connect(self) -> None:
        """Let all the charts that were drawn tell the values under the pointer, in the page's `read-NAME` places."""
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
        """Let the value axis follow what is in view, in the browser; and fit it once here."""
        values = [np.asarray(source.data[field], dtype=float) for source, fields in sources for field in fields]
        joined = np.concatenate(values)
        joined = joined[np.isfinite(joined)]
        low, high = (joined.min(), joined.max()) if joined.size else (0.0, 1.0)
        margin = (high - low) * 0.06 or abs(high) * 0.05 or 1.0
        figure.y_range = Range1d(start=low - margin, end=high + margin if ceiling is None else ceiling)
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


def _line(frame: Frame, column: str, label: str, colour: str, height: int, *, width: float = 1.4) -> Any:
    return frame.hvplot.line("ts", column, label=label, color=colour, line_width=width, **_size(height))


def _size(height: int) -> dict[str, Any]:
    return {"responsive": True, "height": height}


def _milliseconds(time: pd.Timestamp) -> float:
    return time.timestamp() * 1000
