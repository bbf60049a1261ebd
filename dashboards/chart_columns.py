"""The columns that the charts draw, made of frames: the same for a chart that is new and for one that is zoomed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from dashboards.look import Palette

Columns = dict[str, Any]
Frame = pd.DataFrame

ACTIONS = ("buy", "sell")
"""What is marked at the price."""

MARKER_COLUMNS = ["ts", "action", "events", "price", "amount", "profit", "text"]
"""Of which `profit` is told as a text, empty where there is none."""

_WIDTH = 0.7
"""How much of its time the body of a candle takes."""


def owned(columns: Columns) -> Columns:
    """Return columns that a source may change in place: others may have been made of the same rows."""
    return {name: values.copy() for name, values in columns.items()}


def indicator_columns(names: Sequence[str]) -> dict[str, str]:
    """Return the column of each indicator: their own names may be any text."""
    return {name: f"i{n}" for n, name in enumerate(names)}


def candle_columns(candles: Frame, indicators: Frame, names: Mapping[str, str], colours: Palette) -> Columns:
    """Return candles with their bodies, and the indicators at them; `names` are the columns of those, by name."""
    shown = candles.merge(indicators, on="ts", how="left")
    times = shown["ts"].to_numpy()
    half = (np.diff(times).min() if len(times) > 1 else np.timedelta64(60, "s")) * (_WIDTH / 2)
    rose = shown["close"] >= shown["open"]
    prices = {name: shown[name].to_numpy() for name in ("open", "high", "low", "close")}
    return {
        "ts": times,
        **prices,
        "left": times - half,
        "right": times + half,
        "bottom": np.minimum(prices["open"], prices["close"]),
        "top": np.maximum(prices["open"], prices["close"]),
        "color": [colours.up if up else colours.down for up in rose],
        **{
            column: shown[name].to_numpy(dtype=float) if name in shown else np.full(len(shown), np.nan)
            for name, column in names.items()
        },
    }


def marker_columns(markers: Frame, action: str) -> Columns:
    """Return the markers of an action."""
    shown = markers[markers["action"] == action]
    told = ["" if math.isnan(profit) else f"profit {profit:,.2f}" for profit in shown["profit"].astype(float)]
    columns = {name: shown[name].to_numpy() for name in MARKER_COLUMNS if name != "action"}
    return columns | {"profit": np.array(told, dtype=object)}


def price_columns(
    candles: Frame, indicators: Frame, markers: Frame, names: Sequence[str], colours: Palette
) -> dict[str, Columns]:
    """Return what stands at the price by topic: candles with the indicators of these names, markers by action."""
    marks = {action: marker_columns(markers, action) for action in ACTIONS}
    return {"price": candle_columns(candles, indicators, indicator_columns(names), colours), **marks}


def equity_columns(equity: Frame, cash: float, first_open: float | None) -> Columns:
    """Return the equity, and what the cash would have come to in the market from its first open on, where known."""
    held = {"hold": (cash * equity["price"] / first_open).to_numpy()} if first_open else {}
    return {name: equity[name].to_numpy() for name in ("ts", "equity", "drawdown")} | held
