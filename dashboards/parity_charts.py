"""The charts of parity: a mark a candle by its verdict, the equity of session and backtest, and their distance."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from bokeh.models import Quad, Range1d, VArea

from dashboards.chart_columns import Columns
from dashboards.charts import Charts, Frame
from dashboards.figures import Figure, draw_line, name_layers
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
        more = {"told": told, "color": [self._colours.verdicts[verdict] for verdict in marks["verdict"]]}
        columns = {name: marks[name].to_numpy() for name in ("ts", "verdict", "left", "right", "bottom", "top")}
        source = self._feed("strip", columns | {name: np.array(values, dtype=object) for name, values in more.items()})
        figure = self._blank("strip", STRIP_HEIGHT, "0")
        quads = Quad(left="left", right="right", bottom="bottom", top="top", fill_color="color", line_color=None)
        figure.add_glyph(source, quads, name="marks")
        figure.y_range = Range1d(start=0, end=1.08)
        figure.yaxis.visible = figure.ygrid.visible = False
        self._readings["strip"] = (source, [("", "told")])
        return [figure]

    def curves(self, curves: Frame) -> list[Figure]:
        """Draw the equity of the session over that of its backtest."""
        source = self._feed("curves", _columns(curves))
        figure = self._blank("curves", EQUITY_HEIGHT, "0,0.[00]")
        lines = [
            draw_line(figure, source, "backtest", self._colours.lines[0], width=3),
            draw_line(figure, source, "live", self._colours.equity, width=1.6),
        ]
        name_layers(figure, ["Backtest", "Session"], lines, self._colours)
        self._readings["curves"] = (source, [("Session", "live"), ("Backtest", "backtest")])
        self._fit(figure, [(source, ["backtest", "live"])])
        return [figure]

    def distance(self, curves: Frame) -> list[Figure]:
        """Draw by how many basis points the session stands above its backtest."""
        source = self._feed("curves", _columns(curves))
        figure = self._blank("distance", DISTANCE_HEIGHT, "0,0.[00]")
        figure.add_glyph(source, VArea(x="ts", y1=0, y2="apart", fill_color=self._colours.equity, fill_alpha=0.2))
        draw_line(figure, source, "apart", self._colours.equity, width=1.6)
        self._readings["distance"] = (source, [("Basis points", "apart")])
        self._fit(figure, [(source, ["apart"])])
        return [figure]


def _columns(curves: Frame) -> Columns:
    return {name: curves[name].to_numpy() for name in ("ts", "backtest", "live", "apart")}


def _told(row: Mapping[Hashable, Any]) -> str:
    """Say of a mark what its candles are: `fill`, or `12 candles: 3 fill, 9 equal`."""
    if row["candles"] == 1:
        return str(row["verdict"])
    counts = [(verdict, row[verdict]) for verdict in itertools.chain(VERDICTS, [PENDING]) if row[verdict]]
    return f"{row['candles']} candles: " + ", ".join(f"{count} {verdict}" for verdict, count in counts)
