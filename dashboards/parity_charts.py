"""The charts of parity: a mark a candle by its verdict, the equity of session and backtest, and their distance."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Mapping
from typing import Any

import holoviews as hv
import numpy as np
import pandas as pd
from bokeh.models import Range1d

from dashboards.charts import Charts, Frame
from dashboards.figures import Figure
from dashboards.parity_queries import PENDING, VERDICTS

STRIP_HEIGHT, EQUITY_HEIGHT, DISTANCE_HEIGHT = 96, 280, 170

_HEIGHTS = {"data": 1.0, "signal": 0.85, "fill": 0.7, "cost": 0.55, "equal": 0.3, PENDING: 0.15}
"""The worse a verdict, the higher its mark: to be told apart without colours too."""


class ParityCharts(Charts):
    """The charts of one session and its backtest; frames come from `parity_queries`."""

    def strip(self, strip: Frame, length: pd.Timedelta) -> list[Figure]:
        """Draw a mark for each of the chart's candles, which last `length`, in the colour of its verdict."""
        known = strip.assign(verdict=strip["verdict"].where(strip["verdict"].isin([*_HEIGHTS]), PENDING))
        told = [_told(row) for row in known.to_dict("records")]
        marks = known.assign(
            left=known["ts"] + 0.06 * length,
            right=known["ts"] + 0.94 * length,
            bottom=0.0,
            top=known["verdict"].map(_HEIGHTS),
        )
        layer = hv.Rectangles(marks, ["left", "bottom", "right", "top"])
        figure = self._render([layer.opts(line_width=0, **_size(STRIP_HEIGHT))], [], STRIP_HEIGHT, "strip", "0")
        figure.y_range = Range1d(start=0, end=1.08)
        figure.yaxis.visible = figure.ygrid.visible = False
        quads = figure.renderers[0]
        quads.name = "marks"
        more = {
            "ts": marks["ts"].to_numpy(),
            "verdict": marks["verdict"].to_numpy(),
            "told": np.array(told, dtype=object),
            "color": np.array([self._colours.verdicts[verdict] for verdict in marks["verdict"]], dtype=object),
        }
        quads.data_source.data.update(more)
        quads.glyph.update(fill_color="color", line_color=None)
        self._readings["strip"] = (quads.data_source, [("", "told")])
        return [figure]

    def curves(self, curves: Frame) -> list[Figure]:
        """Draw the equity of the session over that of its backtest."""
        layers = [
            _line(curves, "backtest", self._colours.lines[0], EQUITY_HEIGHT, width=3),
            _line(curves, "live", self._colours.equity, EQUITY_HEIGHT),
        ]
        figure = self._render(layers, ["Backtest", "Session"], EQUITY_HEIGHT, "curves", "0,0.[00]")
        line = figure.renderers[-1].data_source
        line.data["backtest"] = curves["backtest"].to_numpy()
        self._readings["curves"] = (line, [("Session", "live"), ("Backtest", "backtest")])
        self._fit(figure, [(r.data_source, [r.glyph.y]) for r in figure.renderers])
        return [figure]

    def distance(self, curves: Frame) -> list[Figure]:
        """Draw by how many basis points the session stands above its backtest."""
        colour = self._colours.equity
        fill = curves.hvplot.area("ts", "apart", color=colour, alpha=0.2, line_width=0, **_size(DISTANCE_HEIGHT))
        line = _line(curves, "apart", colour, DISTANCE_HEIGHT)
        figure = self._render([fill, line], [], DISTANCE_HEIGHT, "distance", "0,0.[00]")
        source = figure.renderers[-1].data_source
        self._readings["distance"] = (source, [("Basis points", "apart")])
        self._fit(figure, [(source, ["apart"])])
        return [figure]


def _told(row: Mapping[Hashable, Any]) -> str:
    """Say of a mark what its candles are: `fill`, or `12 candles: 3 fill, 9 equal`."""
    if row["candles"] == 1:
        return str(row["verdict"])
    counts = [(verdict, row[verdict]) for verdict in itertools.chain(VERDICTS, [PENDING]) if row[verdict]]
    return f"{row['candles']} candles: " + ", ".join(f"{count} {verdict}" for verdict, count in counts)


def _line(frame: Frame, column: str, colour: str, height: int, *, width: float = 1.6) -> Any:
    return frame.hvplot.line("ts", column, color=colour, line_width=width, **_size(height))


def _size(height: int) -> dict[str, Any]:
    return {"responsive": True, "height": height}
