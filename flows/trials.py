"""Trying parameter sets: target, pass, figures, in threads; a set that fails is a row that says why."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from data.errors import JarvisError
from data.runs import canonical
from data.tables import TABLES
from data.timeframe import parse_timeframe
from flows.terms import terms_in
from tasks.backtest import Detail
from tasks.backtest.sweep import Course
from tasks.engine.changes import Changes, all_fit, changes_of, checked, cut
from tasks.engine.inputs import in_microseconds
from tasks.evaluate.trial import BLOCK_NAMES, OBJECTIVES, Stretch, kept_every
from tasks.signal import Strategy
from tasks.signal.quick import Together
from tasks.signal.registry import build
from tasks.signal.signals import signals, warmup_of

Floats = npt.NDArray[np.float64]
Shared = Callable[[Any], Changes]

SCHEMA = TABLES["sweeps"].schema

_BLOCKS_A_THREAD = 4
"""Into which the sets are cut, so that the threads end together; small ones would have them wait for each other."""
_AT_ONCE = 2**22
"""Equities that a thread keeps at most, which bounds its memory."""

_COLUMNS_OUT = ("cumulative_return", "sharpe_ratio", "max_drawdown", "trades")
_COLUMNS = (
    *("observations", "annual_return", "cumulative_return", "annual_volatility", "sharpe_ratio", "sortino_ratio"),
    *("max_drawdown", "trades", "win_rate", "profit_factor", "exposure_time", "fees_paid"),
    *("period_sharpe", "period_sortino", "skewness", "kurtosis"),
)


@dataclass(frozen=True)
class Part:
    """Some of the candles, one after the other, with an account of its own on them."""

    span: slice
    stretch: Stretch
    course: Course

    def figures(self, targets: Sequence[Changes]) -> tuple[dict[str, Floats], Floats, Any]:
        """Backtest targets over all the candles; return their figures, and what they come from."""
        measured = self.course.measure([cut(target, self.span) for target in targets])
        return self.stretch.many(measured.values, measured.tallies), measured.values, measured.tallies


class Trials:
    """The candles on which the sets of a sweep are tried: in-sample and, with a split, out-of-sample.

    Each part is a backtest of its own that begins with all the cash; signals out-of-sample know the candles before.
    So is each of the `stretches`, of which the objective alone is wanted. `detail` is that of all the candles. Of
    `wanted` sets in all, every n-th keeps its returns. `threads` are those of the machine if None. Raises BadInput for
    what `simulate` would refuse.
    """

    def __init__(
        self,
        candles: pd.DataFrame,
        strategy: type[Strategy],
        fixed: dict[str, Any],
        manifest: dict[str, Any],
        detail: Detail | None = None,
        wanted: int = 1,
        stretches: Mapping[str, slice] | None = None,
        threads: int | None = None,
    ) -> None:
        self._candles, self._strategy, self._fixed = candles, strategy, fixed
        self._threads = threads or os.cpu_count() or 1
        self._objective = OBJECTIVES[manifest["objective"]]
        self._shared: Shared | None = strategy.shared(candles)
        cut = len(candles) if manifest["split"] is None else manifest["split_at"]
        spans = [slice(0, cut), slice(cut, len(candles))]
        self._parts = [part_of(candles, span, manifest, detail) for span in spans if span.start < span.stop]
        self._every = kept_every(wanted, len(self._parts[0].stretch.ends))
        self._stretches = {name: part_of(candles, span, manifest, detail) for name, span in (stretches or {}).items()}

    def run(self, sets: Sequence[tuple[int, dict[str, str]]]) -> pa.Table:
        """Try numbered sets and return their rows in the order given, with the columns of `sweeps` that are their own.

        What a sweep has none of, as figures out-of-sample without a split, has no column.
        """
        most = max(1, _AT_ONCE // max(len(part.stretch.ends) for part in self._parts))
        size = max(1, min(most, -(-len(sets) // (_BLOCKS_A_THREAD * self._threads))))
        blocks = [sets[start : start + size] for start in range(0, len(sets), size)]
        if len(blocks) < 2:
            return self._rows(sets)
        with ThreadPoolExecutor(self._threads) as threads:
            return pa.concat_tables(threads.map(self._rows, blocks))

    def _rows(self, sets: Sequence[tuple[int, dict[str, str]]]) -> pa.Table:
        """Try some sets, all of their passes in one call."""
        begun = [self._begin(number, chosen) for number, chosen in sets]
        outcomes = iter(self._targets([strategy for _, strategy in begun if strategy is not None]))
        targets = []
        for row, strategy in begun:
            if strategy is None:
                continue
            if isinstance(outcome := next(outcomes), str):
                row["failure"] = outcome
            else:
                targets.append(outcome)
        tried = np.array([row["failure"] is None for row, _ in begun], np.bool_)
        columns = {name: _array(name, [row[name] for row, _ in begun]) for name in ("number", "parameters", "failure")}
        numbers = columns["number"].to_numpy()
        found = self._figures(numbers[tried], targets)
        if len(targets) < len(sets):
            places = pa.array(np.cumsum(tried) - 1, mask=~tried)  # null in the rows of those that failed
            found = {name: column.take(places) for name, column in found.items()}
        return pa.table(columns | found)

    def _figures(self, numbers: npt.NDArray[np.int64], targets: Sequence[Changes]) -> dict[str, pa.Array]:
        """Return columns of what sets came to, given the numbers of the sets."""
        columns: dict[str, pa.Array] = {}
        for prefix, part, names in zip(("", "out_"), self._parts, (_COLUMNS, _COLUMNS_OUT), strict=False):
            found, values, tallies = part.figures(targets)
            objective = found[self._objective]
            columns |= {prefix + name: _array(prefix + name, found[name]) for name in names}
            columns[f"{prefix}objective"] = _array(f"{prefix}objective", objective)
            if not prefix:
                notes = {
                    row: part.stretch.figures(values[row], tallies[row])[self._objective].note
                    for row in np.flatnonzero(np.isnan(objective)).tolist()
                }
                columns["note"] = _array("note", [notes.get(row) for row in range(len(targets))])
                sums = part.stretch.blocks(values, tallies)
                columns["blocks"] = _maps(BLOCK_NAMES, sums, ~np.isnan(sums[:, 0]))
                kept = (numbers - 1) % self._every == 0
                columns["returns"] = _lists(part.stretch.returns(values[kept], tallies[kept]), kept)
        if self._stretches:
            reached = [part.figures(targets)[0][self._objective] for part in self._stretches.values()]
            everywhere = np.ones(len(targets), np.bool_)
            columns["stretches"] = _maps(tuple(self._stretches), np.column_stack(reached), everywhere)
        return columns

    def _begin(self, number: int, chosen: dict[str, str]) -> tuple[dict[str, Any], Strategy | None]:
        """Return what a set's row begins with, and its strategy; None with the failure in the row."""
        try:
            strategy = build(self._strategy, self._fixed | chosen)
            told = canonical(strategy.model_dump(mode="json"))
        except Exception as error:  # noqa: BLE001 - what one set of a user's strategy raises ends no sweep
            told = canonical(self._fixed | chosen)
            return {"number": number, "parameters": told, "failure": _failure(error)}, None
        return {"number": number, "parameters": told, "failure": None}, strategy

    def _targets(self, strategies: Sequence[Strategy]) -> Sequence[Changes | str]:
        """Return the target of each set, or why it has none."""
        size = len(self._candles)
        if isinstance(self._shared, Together) and all(size > warmup_of(strategy) for strategy in strategies):
            with suppress(Exception):  # whose it is comes out one by one
                targets = self._shared.many(strategies)
                if len(targets) == len(strategies) and all_fit(targets, size):
                    return targets
        return [self._target(strategy) for strategy in strategies]

    def _target(self, strategy: Strategy) -> Changes | str:
        try:
            return checked(target_of(self._candles, strategy, self._shared), len(self._candles))
        except Exception as error:  # noqa: BLE001 - as above
            return _failure(error)


def _failure(error: Exception) -> str:
    return str(error) if isinstance(error, JarvisError) else f"{type(error).__name__}: {error}".splitlines()[0]


def target_of(candles: pd.DataFrame, strategy: Strategy, shared: Shared | None) -> Changes:
    """Return a strategy's target, by the way that its sets have in common where there is one."""
    if shared is None or len(candles) <= warmup_of(strategy):
        return changes_of(signals(candles, strategy)["signal"].to_numpy())
    return shared(strategy)


def _array(name: str, values: Any) -> pa.Array:
    """Return a column of `sweeps`; NaN is null."""
    return pa.array(values, SCHEMA.field(name).type, from_pandas=True)


def _maps(names: Sequence[str], values: Floats, there: npt.NDArray[np.bool_]) -> pa.Array:
    """Return the rows as maps by name, in the places that are there."""
    starts = _starts(np.full(len(values), len(names)), there)
    values = values[there]
    return pa.MapArray.from_arrays(
        starts, pa.array([*names] * len(values), pa.string()), pa.array(values.ravel(), from_pandas=True)
    )


def _lists(rows: Sequence[npt.NDArray[np.float32]], there: npt.NDArray[np.bool_]) -> pa.Array:
    """Return the rows as lists, in the places that are there."""
    sizes = np.zeros(len(there), np.int64)
    sizes[there] = [len(row) for row in rows]
    return pa.ListArray.from_arrays(_starts(sizes, there), np.concatenate([*rows, np.empty(0, np.float32)]))


def _starts(sizes: npt.NDArray[np.int64], there: npt.NDArray[np.bool_]) -> pa.Array:
    """Return where rows of these sizes start and end; one that is not there is null and takes no room.

    Arrow would give room that a null row takes to the row before it.
    """
    starts = np.append(0, np.cumsum(sizes * there)).astype(np.int32)
    return pa.array(starts, mask=np.append(~there, False))


def part_of(candles: pd.DataFrame, span: slice, manifest: Mapping[str, Any], detail: Detail | None = None) -> Part:
    """Return some of the candles with an account of its own, on the terms of the manifest; `detail` is that of all."""
    own, timeframe = candles.iloc[span], parse_timeframe(manifest["timeframe"])
    opens = in_microseconds(pd.DatetimeIndex(own.index)).asi8
    stretch = Stretch(opens, round(timeframe.total_seconds() * 1e6), manifest["calendar"], manifest["cash"])
    course = Course(
        own,
        stretch.ends,
        cash=manifest["cash"],
        timeframe=timeframe,
        detail=None if detail is None else detail.part(span),
        **terms_in(manifest),
    )
    return Part(span, stretch, course)
