"""What a run would have come to with other costs, and with other values of each parameter."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from data.errors import JarvisError
from data.tables import TABLES
from flows.terms import portfolio_terms_in, times
from flows.trials import Shared, part_of, target_of
from tasks.backtest import Detail, simulate_portfolio
from tasks.engine.changes import Changes
from tasks.evaluate.basket import basket
from tasks.evaluate.figure import Figures
from tasks.evaluate.metrics import headline
from tasks.evaluate.neighbours import FIGURES, numbers
from tasks.signal import Strategy
from tasks.signal.portfolio import portfolio_signals
from tasks.signal.registry import build

MULTIPLES = (0, 1, 2, 3)
"""Of fee and slippage; 1 is the run itself."""
MOST = 2**22
"""Candles times neighbours that are measured: parameters of a longer run are not varied."""
Row = dict[str, Any]
Step = tuple[str, int, float]
"""A parameter, -1 or 1 for lower or higher, and its value there."""
COLUMNS = tuple(name for name in TABLES["sensitivity"].schema.names if name != "run_id")


def sensitivity(
    candles: pd.DataFrame,
    target: Changes,
    strategy: Strategy,
    manifest: Mapping[str, Any],
    detail: Detail | None = None,
) -> pd.DataFrame:
    """Return rows as in the table sensitivity, without `run_id`: the costs 0 to 3 times, each parameter a step away.

    `target` is the strategy's. A step is a tenth of the value, a whole number at least for a whole number. Texts, flags
    and zeros are not varied. What the strategy refuses is a row that says why.
    """
    beside = parameters_varied(candles, strategy, strategy.shared(candles), _steps(strategy), manifest, detail)
    return pd.DataFrame(costs_varied(candles, target, manifest, detail) + beside, columns=list(COLUMNS))


def portfolio_sensitivity(
    candles: Mapping[str, pd.DataFrame],
    signals: Mapping[str, pd.DataFrame],
    strategy: Strategy,
    manifest: Mapping[str, Any],
) -> pd.DataFrame:
    """Return the same rows for a portfolio: candles and signals by symbol, the fees of all markets varied together."""
    shares = {symbol: of["share"] for symbol, of in manifest["markets"].items()}
    benchmark, size = basket(candles), sum(map(len, candles.values()))

    def traded(signals: Mapping[str, pd.DataFrame], multiple: int) -> Row:
        return _portfolio_figures(candles, signals, benchmark, manifest, multiple)

    def with_other(other: Strategy) -> Row:
        return traded(portfolio_signals(candles, other, shares), 1)

    rows = [_costs_row(multiple) | traded(signals, multiple) for multiple in MULTIPLES]
    return pd.DataFrame(rows + _varied(strategy, _steps(strategy), size, with_other), columns=list(COLUMNS))


def costs_varied(
    candles: pd.DataFrame, target: Changes, manifest: Mapping[str, Any], detail: Detail | None = None
) -> list[Row]:
    """Return rows for the costs 0, 1, 2 and 3 times."""
    rows = []
    for multiple in MULTIPLES:
        varied = {**manifest, "costs": times(manifest["costs"], multiple)}
        rows.append(_costs_row(multiple) | _figures(candles, target, varied, detail))
    return rows


def _costs_row(multiple: int) -> Row:
    return {"varied": "costs", "step": multiple, "value": json.dumps(multiple)}


def parameters_varied(
    candles: pd.DataFrame,
    strategy: Strategy,
    shared: Shared | None,
    steps: Sequence[Step],
    manifest: Mapping[str, Any],
    detail: Detail | None = None,
) -> list[Row]:
    """Return rows for parameters of a strategy with other values; what it refuses is a row that says why.

    `shared` is what the strategy's sets have in common on these candles.
    """

    def with_other(other: Strategy) -> Row:
        return _figures(candles, target_of(candles, other, shared), manifest, detail)

    return _varied(strategy, steps, len(candles), with_other)


def _varied(
    strategy: Strategy, steps: Sequence[Step], candles: int, with_other: Callable[[Strategy], Row]
) -> list[Row]:
    """Return the same, given what has the figures of another strategy."""
    rows = list[Row]()
    too_long = f"not varied: {candles:,} candles are too many" if candles * len(steps) > MOST else None
    for name, step, value in steps:
        row = {"varied": name, "step": step, "value": json.dumps(value)}
        if too_long:
            rows.append(row | {"note": too_long})
            continue
        try:
            rows.append(row | with_other(build(type(strategy), strategy.model_dump() | {name: value})))
        except JarvisError as error:
            rows.append(row | {"note": str(error)})
    return rows


def _figures(candles: pd.DataFrame, target: Changes, manifest: Mapping[str, Any], detail: Detail | None) -> Row:
    try:
        part = part_of(candles, slice(0, len(candles)), manifest, detail)
        measured = part.course.measure([target])
    except JarvisError as error:
        return {"note": str(error)}
    return _values(part.stretch.figures(measured.values[0], measured.tallies[0]))


def _portfolio_figures(
    candles: Mapping[str, pd.DataFrame],
    signals: Mapping[str, pd.DataFrame],
    benchmark: pd.DataFrame,
    manifest: Mapping[str, Any],
    multiple: int,
) -> Row:
    """Return what a portfolio comes to at a multiple of its costs; `benchmark` is the basket of its candles."""
    wanted = pd.DataFrame({symbol: frame["signal"] for symbol, frame in signals.items()})
    try:
        made = simulate_portfolio(candles, wanted, **portfolio_terms_in(manifest, multiple))
        own = {name: manifest[name] for name in ("cash", "timeframe", "calendar")}
        return _values(headline(made.equity, made.trades, benchmark, **own))
    except JarvisError as error:
        return {"note": str(error)}


def _values(found: Figures) -> Row:
    return {name: found[name].value for name in FIGURES} | {"note": None}


def _steps(strategy: Strategy) -> list[Step]:
    """Return the parameters that are numbers, other than 0, with a lower and a higher value."""
    steps = list[Step]()
    for name, value in numbers(strategy.model_dump()).items():
        if not value:
            continue
        away = max(1, round(abs(value) / 10)) if isinstance(value, int) else abs(value) / 10
        steps += [(name, step, value + step * away) for step in (-1, 1)]
    return steps
