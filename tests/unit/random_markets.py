"""Random candles, targets, rules and limits, for what the engine is compared with."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from tests.reference.simulator import Bar

NAN = math.nan
START = pd.Timestamp("2024-01-01", tz="UTC")

# Quarters and round percentages, so that prices often touch stops and amounts often are whole steps exactly.
moves = st.integers(-12, 12).map(lambda quarters: quarters / 4)
tails = st.sampled_from([0.0, 0.0, 0.25, 1.0, 2.5, 6.0])
targets = st.sampled_from([NAN, NAN, 0.0, 1.0, 1.0, -1.0, 0.5, -0.5, 0.75, -0.25, 0.01])


@st.composite
def markets(draw: st.DrawFn) -> tuple[list[Bar], list[float]]:
    size = draw(st.integers(1, 40))
    scale = draw(st.sampled_from([1.0, 1.0, 1e-6, 64.0]))
    wild = draw(st.sampled_from([1, 1, 8]))
    bars, close = [], draw(st.integers(20, 200)) / 2
    for _ in range(size):
        open_ = max(close + draw(moves) * wild / 2, 0.25)
        close = max(open_ + draw(moves) * wild, 0.25)
        high = max(open_, close) + draw(tails)
        low = max(min(open_, close) - draw(tails), 0.125)
        bars.append(Bar(open_ * scale, high * scale, low * scale, close * scale))
    return bars, draw(st.lists(targets, min_size=size, max_size=size))


@st.composite
def rule_sets(draw: st.DrawFn) -> dict[str, Any]:
    sized = draw(
        st.sampled_from(
            [{}, {}, {"fraction": 0.5}, {"fraction": 0.99}, {"amount": 3.0}, {"amount": 10.0}, {"amount": 0.7}]
        )
    )
    return {
        "cash": draw(st.sampled_from([1000.0, 100_000.0, 777.77])),
        "fee": draw(st.sampled_from([0.0, 0.001, 0.004, 0.05])),
        "slippage": draw(st.sampled_from([0.0, 0.0005, 0.01])),
        "stop_loss": draw(st.sampled_from([None, 0.01, 0.05, 0.25])),
        "take_profit": draw(st.sampled_from([None, 0.01, 0.05, 0.5])),
        "trailing_stop": draw(st.sampled_from([None, 0.02, 0.05, 0.1])),
        "amount_step": draw(st.sampled_from([None, None, 0.001, 0.1, 0.25, 1.0, 5.0])),
        "min_amount": draw(st.sampled_from([None, None, 0.1, 2.0])),
        "min_cost": draw(st.sampled_from([None, None, 10.0, 500.0])),
        **sized,
    }


LIMITS: dict[str, list[Any]] = {
    "max_position": [600.0, 50_000.0],
    "max_order": [250.0, 20_000.0],
    "max_orders_a_day": [1, 2, 3],
    "daily_loss": [0.01, 0.03, 0.1],
    "max_drawdown": [0.05, 0.2],
    "cooldown": [1, 4],
    "max_deviation": [0.005, 0.03],
    "max_signal_age": [1.0, 7200.0],
    "long_only": [True],
}
TIMED = {**LIMITS, "max_bars": [1, 2, 5]}
"""With what the backtest of one market alone has."""


@st.composite
def limit_sets(draw: st.DrawFn, known: dict[str, list[Any]] = LIMITS) -> dict[str, Any]:
    """Few at a time, as one that forbids to enter hides the others."""
    likely = [name for name in ("daily_loss", "max_drawdown", "max_bars") if name in known]
    names = draw(st.lists(st.sampled_from([*known, *likely]), min_size=1, max_size=3))
    return {name: draw(st.sampled_from(known[name])) for name in names}


@st.composite
def entry_sets(draw: st.DrawFn) -> dict[str, Any]:
    """How entries wait at a limit."""
    bars = draw(st.sampled_from([None, 1, 2, 5]))
    return {
        "order_type": "limit",
        "limit_offset": draw(st.sampled_from([0.0, 0.0, 0.005, 0.02])),
        "limit_bars": bars,
        "on_timeout": "cancel" if bars is None else draw(st.sampled_from(["cancel", "market"])),
        "price_step": draw(st.sampled_from([None, None, 0.25, 0.1])),
    }


@st.composite
def cost_sets(draw: st.DrawFn) -> dict[str, Any]:
    """Costs beside fee and slippage, as the reference takes them; `engine_costs` translates."""
    schedules = [
        [(0.0, 0.001, 0.004), (2000.0, 0.0, 0.002), (50_000.0, 0.0, 0.0)],
        [(0.0, 0.05, 0.05), (1.0, 0.1, 0.0)],
    ]
    rates = st.sampled_from([0.0, 0.001, -0.002, 0.01, NAN])
    costs = {
        "maker_fee": draw(st.sampled_from([None, 0.0, 0.002])),
        "fee_tiers": draw(st.sampled_from([None, None, *schedules])),
        "impact": draw(st.sampled_from([None, ("volume", 0.1), ("volume", 3.0), ("sqrt", 0.7), ("sqrt", 20.0)])),
        "volumes": draw(st.lists(st.sampled_from([0.0, 1.0, 50.0, 400.0, 1e7]), min_size=40, max_size=40)),
        "borrow": draw(st.sampled_from([None, 0.1, 5.0])),
        "funding": draw(st.sampled_from([None, 0.0005, -0.01]) | st.lists(rates, min_size=40, max_size=40)),
        "funding_hours": draw(st.sampled_from([8.0, 1.0, 24.0, 0.5])),
    }
    return {name: value for name, value in costs.items() if value is not None}


@st.composite
def cap_sets(draw: st.DrawFn) -> dict[str, Any]:
    """What may be traded in a candle, and the volumes that it is a fraction of; some orders are far larger."""
    scale = draw(st.sampled_from([0.1, 1.0, 30.0]))
    volumes = st.sampled_from([0.0, 1.0, 7.5, 40.0, 200.0, 1e7, 1e7]).map(lambda volume: volume * scale)
    return {
        "max_volume": draw(st.sampled_from([0.05, 0.1, 0.5, 1.0])),
        "volumes": draw(st.lists(volumes, min_size=40, max_size=40)),
    }


def engine_costs(costs: dict[str, Any], slippage: float) -> dict[str, Any]:
    """The terms of the engine for what `cost_sets` drew, and for the slippage beside it."""
    terms = {name: value for name, value in costs.items() if name not in ("impact", "volumes", "funding")}
    kind, coefficient = costs.get("impact", ("", 0.0))
    terms["slippage"] = f"{slippage}+{kind}:{coefficient}" if kind else slippage
    if "funding" in costs:
        terms["funding"] = "column" if isinstance(costs["funding"], list) else costs["funding"]
    return terms


def with_costs(candles: pd.DataFrame, costs: dict[str, Any]) -> pd.DataFrame:
    """The candles with the columns that the costs are reckoned by."""
    funding = costs.get("funding")
    rates = funding[: len(candles)] if isinstance(funding, list) else NAN
    return candles.assign(volume=costs["volumes"][: len(candles)], funding=rates)


PARTS = 4
"""Finer candles in each candle of a detailed market."""


@st.composite
def detailed_markets(draw: st.DrawFn) -> tuple[list[Bar], list[float], list[list[Bar]]]:
    """A market whose candles are made up of finer ones."""
    path, target = draw(markets())
    path = path[: len(path) // PARTS * PARTS] or path[:1] * PARTS
    parts = [path[start : start + PARTS] for start in range(0, len(path), PARTS)]
    bars = [
        Bar(part[0].open, max(bar.high for bar in part), min(bar.low for bar in part), part[-1].close) for part in parts
    ]
    return bars, target[: len(bars)], parts


@st.composite
def times(draw: st.DrawFn) -> list[int]:
    """Hours between candles: the timeframe, and gaps in between."""
    length = draw(st.sampled_from([1, 1, 4, 6, 24]))
    return [length, *(length * draw(st.sampled_from([1, 1, 1, 1, 2, 3])) for _ in range(40))]


def finer_of(candles: pd.DataFrame, parts: list[list[Bar]]) -> pd.DataFrame:
    """The finer candles of hourly ones, as a frame."""
    index = candles.index.repeat(PARTS) + pd.to_timedelta(np.tile(np.arange(PARTS), len(candles)) * 60 // PARTS, "min")
    return pd.DataFrame([vars(bar) for part in parts for bar in part], index=index.as_unit("us"), dtype=float)


def candles_of(bars: list[Bar], hours: list[int] | None = None) -> pd.DataFrame:
    after = np.cumsum([0, *(hours or [1] * len(bars))[1 : len(bars)]])
    index = pd.DatetimeIndex(START + pd.to_timedelta(after, unit="h"), name="ts").as_unit("us")
    return pd.DataFrame([vars(bar) for bar in bars], index=index, dtype=float)
