"""Trying parameter sets: target, pass, figures, in threads; a set that fails is a row that says why."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from data.errors import JarvisError
from data.runs import canonical
from data.timeframe import parse_timeframe
from tasks.backtest.sweep import Course
from tasks.evaluate.trial import OBJECTIVES, Stretch, kept_every
from tasks.signal import Strategy
from tasks.signal.registry import build
from tasks.signal.signals import signals, warmup_of

Rows = list[dict[str, Any]]
Shared = Callable[[Any], npt.NDArray[np.float64]]

_COLUMNS_OUT = ("cumulative_return", "sharpe_ratio", "max_drawdown", "trades")
_COUNTS = ("observations", "trades")
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


class Trials:
    """The candles on which the sets of a sweep are tried: in-sample and, with a split, out-of-sample.

    Each part is a backtest of its own that begins with all the cash; signals out-of-sample know the candles before.
    So is each of the `stretches`, of which the objective alone is wanted. Of `wanted` sets in all, every n-th keeps its
    returns. `threads` are those of the machine if None. Raises BadInput for what `simulate` would refuse.
    """

    def __init__(
        self,
        candles: pd.DataFrame,
        strategy: type[Strategy],
        fixed: dict[str, Any],
        manifest: dict[str, Any],
        wanted: int = 1,
        stretches: Mapping[str, slice] | None = None,
        threads: int | None = None,
    ) -> None:
        self._candles, self._strategy, self._fixed, self._threads = candles, strategy, fixed, threads or os.cpu_count()
        self._objective = OBJECTIVES[manifest["objective"]]
        self._shared: Shared | None = strategy.shared(candles)
        cut = len(candles) if manifest["split"] is None else manifest["split_at"]
        spans = [slice(0, cut), slice(cut, len(candles))]
        self._parts = [part_of(candles, span, manifest) for span in spans if span.start < span.stop]
        self._every = kept_every(wanted, len(self._parts[0].stretch.ends))
        self._stretches = {name: part_of(candles, span, manifest) for name, span in (stretches or {}).items()}

    def run(self, sets: Sequence[tuple[int, dict[str, str]]]) -> Rows:
        """Try numbered sets and return their rows as in the table sweeps, without `run_id`, in the order given."""
        with ThreadPoolExecutor(self._threads) as threads:
            return list(threads.map(lambda each: self._row(*each), sets))

    def _row(self, number: int, chosen: dict[str, str]) -> dict[str, Any]:
        row: dict[str, Any] = {"number": number, "parameters": canonical(self._fixed | chosen), "failure": None}
        try:
            strategy = build(self._strategy, self._fixed | chosen)
            return row | {"parameters": canonical(strategy.model_dump(mode="json"))} | self._figures(strategy, number)
        except JarvisError as error:
            return row | {"failure": str(error)}
        except Exception as error:  # noqa: BLE001 - what one set of a user's strategy raises ends no sweep
            return row | {"failure": f"{type(error).__name__}: {error}".splitlines()[0]}

    def _figures(self, strategy: Strategy, number: int) -> dict[str, Any]:
        target, row = target_of(self._candles, strategy, self._shared), dict[str, Any]()
        for prefix, part, columns in zip(("", "out_"), self._parts, (_COLUMNS, _COLUMNS_OUT), strict=False):
            measured = part.course.measure(target[part.span])
            found = part.stretch.figures(measured.values, measured.tally[0])
            row |= {prefix + name: _plain(name, found[name].value) for name in columns}
            row[f"{prefix}objective"] = found[self._objective].value
            if not prefix:
                row["note"] = None if row["objective"] is not None else found[self._objective].note
                blocks = part.stretch.blocks(measured.values, measured.tally[0])
                row["blocks"] = blocks and list(blocks.items())
                kept = (number - 1) % self._every == 0
                row["returns"] = part.stretch.returns(measured.values, measured.tally[0]) if kept else None
        if self._stretches:
            row["stretches"] = [(name, self._objective_on(part, target)) for name, part in self._stretches.items()]
        return row

    def _objective_on(self, part: Part, target: npt.NDArray[np.float64]) -> float | None:
        measured = part.course.measure(target[part.span])
        return part.stretch.figures(measured.values, measured.tally[0])[self._objective].value


def target_of(candles: pd.DataFrame, strategy: Strategy, shared: Shared | None) -> npt.NDArray[np.float64]:
    """Return a strategy's targets, by the way that its sets have in common where there is one."""
    if shared is None or len(candles) <= warmup_of(strategy):
        return signals(candles, strategy)["signal"].to_numpy()
    return shared(strategy)


def _plain(name: str, value: float | None) -> float | None:
    return value if value is None or name not in _COUNTS else int(value)


def part_of(candles: pd.DataFrame, span: slice, manifest: Mapping[str, Any]) -> Part:
    """Return some of the candles with an account of its own, on the terms of the manifest."""
    own, timeframe = candles.iloc[span], parse_timeframe(manifest["timeframe"])
    opens = pd.DatetimeIndex(own.index).as_unit("us").asi8
    stretch = Stretch(opens, round(timeframe.total_seconds() * 1e6), manifest["calendar"], manifest["cash"])
    terms = manifest["costs"] | manifest["sizing"] | manifest["stops"] | manifest["limits"]
    return Part(span, stretch, Course(own, stretch.ends, cash=manifest["cash"], timeframe=timeframe, **terms))
