"""Open orders, stops and the entry of a position as lines across a price chart, each with its words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from bokeh.core.properties import value as literal
from bokeh.models import ColumnDataSource, HSpan
from bokeh.models.annotations import LabelSet

from dashboards.figures import Figure
from dashboards.look import Palette
from dashboards.order_queries import Level

FIELD = "near"
"""The prices that a chart's value axis makes room for."""


def draw_levels(figure: Figure, levels: Sequence[Level], candles: pd.DataFrame, colours: Palette) -> ColumnDataSource:
    """Draw levels, maybe none, and return their data: a level that comes later is drawn by new data alone.

    The axis makes room for those that are no further than half of the candles' range outside of it.
    """
    source = ColumnDataSource(level_columns(levels, candles, colours))
    figure.add_glyph(source, HSpan(y="price", line_color="colour", line_dash="dashed", line_width=1.3), name="levels")
    words = LabelSet(x=literal(10), y="price", x_units="screen", text="text", source=source, y_offset="above")
    words.update(text_color="colour", text_font_size="11.5px", background_fill_color=None)
    figure.add_layout(words)
    return source


def level_columns(levels: Sequence[Level], candles: pd.DataFrame, colours: Palette) -> dict[str, Any]:
    """Return the columns that the lines and words show."""
    tones = {"buy": colours.buy, "sell": colours.sell, "stop": colours.down, "goal": colours.up}
    prices = np.array([level.price for level in levels], dtype=float)
    low, high = candles["low"].min(), candles["high"].max()
    reach = (high - low) / 2
    falling = np.argsort(np.argsort(-prices))
    near = (prices >= low - reach) & (prices <= high + reach)
    return {
        "price": prices,
        "text": [f"{level.text}: {level.price:,.8g}" for level in levels],
        "colour": [tones.get(level.kind, colours.muted) for level in levels],
        "above": np.where(falling * 2 < len(levels), 2, -15),  # words of two that are close part from each other
        FIELD: np.where(near, prices, np.nan),
        "ts": np.full(len(levels), np.nan),  # no time: what is in view is no matter
    }
