"""Walk-forward: of each fold the set that was best before the test, and one account that trades test after test."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from data.errors import JarvisError
from data.sweep_metrics import WALK_FORWARD_METRICS
from data.tables import TABLES
from data.timeframe import parse_timeframe
from flows.spec import Spec, candles_of, detail_of, folds_of
from flows.terms import terms_in
from flows.trials import Trials
from tasks.backtest import Detail, simulate
from tasks.evaluate.folds import Fold
from tasks.evaluate.metrics import evaluate
from tasks.signal import Strategy
from tasks.signal.registry import build, find
from tasks.signal.signals import signals

_OUT = ("out_objective", "out_cumulative_return", "out_sharpe_ratio", "out_max_drawdown", "out_trades")
_SOURCES = {
    "walk_forward_return": "cumulative_return",
    "walk_forward_sharpe": "sharpe_ratio",
    "walk_forward_drawdown": "max_drawdown",
    "walk_forward_trades": "trades",
}


@dataclass(frozen=True)
class Walk:
    """A walk-forward: rows as in `folds`, `equity` and `metrics`, without `run_id`."""

    folds: pd.DataFrame
    equity: pd.DataFrame
    metrics: pd.DataFrame


def walk_forward(spec: Spec, sets: pd.DataFrame) -> Walk | None:
    """Return the walk-forward over a sweep's sets, None where it has none.

    The account of all tests begins with the cash, holds through from one test to the next, and trades in each the set
    that had the highest objective on the candles that choose for it, the first among equals; nothing where none had.
    """
    folds = folds_of(spec.told)
    if not folds:
        return None
    candles, strategy, told = candles_of(spec), find(spec.strategy), spec.told
    detail, rows, targets = detail_of(spec, candles), [], []
    for number, fold in enumerate(folds, 1):
        best = _best(sets, str(number))
        row = {"fold": number} | _reach(candles, fold)
        seen = slice(0, fold.test.stop)
        until, inside = candles.iloc[seen], detail and detail.part(seen)
        target = np.zeros(fold.test.stop - fold.test.start)
        if best is not None:
            chosen = json.loads(best["parameters"])
            row |= {name: best[name] for name in ("number", "parameters")}
            row["objective"] = dict(best["stretches"])[str(number)]
            alone = Trials(until, strategy, {}, told | {"split": 0.5, "split_at": fold.test.start}, inside, threads=1)
            (tried,) = alone.run([(best["number"], chosen)]).to_pylist()
            row |= {name: tried.get(name) for name in _OUT}
            target = _target(until, build(strategy, chosen), fold)
        rows.append(row)
        targets.append(target)
    tested = slice(folds[0].test.start, len(candles))
    equity, metrics = _account(candles.iloc[tested], np.concatenate(targets), told, detail and detail.part(tested))
    table = pd.DataFrame(rows, columns=[name for name in TABLES["folds"].schema.names if name != "run_id"])
    return Walk(table.astype(dict.fromkeys(("number", "out_trades"), "Int64")), equity, metrics)


def _best(sets: pd.DataFrame, fold: str) -> pd.Series | None:
    """Return the set with the highest objective on the candles of a fold that choose."""
    found = [dict(each).get(fold) if each is not None else None for each in sets["stretches"]]
    values = pd.Series(found, sets.index, dtype="float64")
    return None if values.isna().all() else sets.iloc[int(values.argmax())]


def _reach(candles: pd.DataFrame, fold: Fold) -> dict[str, Any]:
    return {
        f"{part}_{end}": candles.index[place]
        for part, span in (("train", fold.train), ("test", fold.test))
        for end, place in (("start", span.start), ("end", span.stop - 1))
    }


def _target(until: pd.DataFrame, strategy: Strategy, fold: Fold) -> Any:
    """Return the targets in the test, from signals that know the candles before it."""
    try:
        return signals(until, strategy)["signal"].to_numpy()[fold.test]
    except JarvisError:  # a strategy that did what it does here on all the candles, and does not on fewer
        return np.zeros(fold.test.stop - fold.test.start)


def _account(
    candles: pd.DataFrame, target: Any, told: dict[str, Any], detail: Detail | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    timeframe, cash = parse_timeframe(told["timeframe"]), told["cash"]
    terms = terms_in(told)
    traded = simulate(candles, target, symbol=told["symbol"], cash=cash, timeframe=timeframe, detail=detail, **terms)
    tables = traded.equity, traded.trades, traded.fills, candles
    found = evaluate(*tables, cash=cash, timeframe=told["timeframe"], calendar=told["calendar"]).set_index("metric")
    rows = found.loc[list(_SOURCES.values())].reset_index(drop=True)
    names = pd.Series(list(_SOURCES), dtype="str")
    units = pd.Series([WALK_FORWARD_METRICS[name].unit for name in names], dtype="str")
    return traded.equity, rows.assign(metric=names, unit=units)


def chosen(walk: Walk, columns: Sequence[str]) -> pd.DataFrame:
    """Return the folds as people read them: the test's reach, what the set has in `columns`, and its figures."""
    sets = [json.loads(text) if isinstance(text, str) else {} for text in walk.folds["parameters"]]
    tests = walk.folds[["fold", "test_start", "test_end"]]
    values = pd.DataFrame({name: [each.get(name) for each in sets] for name in columns})
    return pd.concat([tests, values, walk.folds[["objective", *_OUT]].round(4)], axis=1)
