"""What a worker is told of a sweep on a series, and what it makes of it: no candles are sent, it reads them itself."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from functools import lru_cache
from threading import RLock
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from data.candles import fingerprint, read_candles
from data.errors import BadInput, LakeError
from data.rows import conform
from data.runs import SWEEPING, code_version, run_id
from data.tables import TABLES
from data.timeframe import parse_timeframe
from data.writer import Lake
from flows.trials import Trials
from tasks.backtest import Detail, fit_detail
from tasks.evaluate.folds import Fold, walk
from tasks.signal.grid import read_grid
from tasks.signal.registry import find, source_hash

Sets = npt.NDArray[np.int64]
"""Parameter sets, a row each: number, and place in the grid."""

RUNGS = {"quarter": 4, "half": 2}
"""By which share of the candles a set can be given up; the stretch of each begins with the first candle."""

_reading = RLock()


class Tried(NamedTuple):
    """What became of a task: its rows as in `sweeps`, and the seconds that it took."""

    rows: pa.Table
    seconds: float


@dataclass(frozen=True)
class Spec:
    """All that a worker needs to try sets of a sweep: a few kilobytes, whatever the candles.

    `strategy` is a name, or the path of a file with its class; `manifest` the sweep's, as JSON; `wanted` its number of
    sets. `rung` asks for the objective on one of RUNGS alone; `threads` is how many to use, None all the machine's;
    `held` how many series to keep ready: tasks of a grid come series by series, those of a search in turns.
    """

    lake: str
    candles_version: int
    strategy: str
    manifest: str
    wanted: int
    rung: str | None = None
    threads: int | None = None
    held: int = 2

    @property
    def told(self) -> dict[str, Any]:
        """The manifest, not to be altered."""
        return _parsed(self.manifest)

    @property
    def run_id(self) -> str:
        """The sweep's id."""
        return run_id(self.told)

    @property
    def whole(self) -> Spec:
        """The spec of all candles, whatever the rung of this one."""
        return replace(self, rung=None)

    def at(self, rung: str) -> Spec:
        """Return the spec of one of the rungs."""
        return replace(self, rung=rung)


def folds_of(manifest: dict[str, Any]) -> list[Fold]:
    """Return the folds of a sweep's walk-forward; none where it has none. Raises BadInput for too few candles."""
    terms = manifest.get("walk_forward")
    return [] if terms is None else walk(manifest["candles"], **terms)


def searched(manifest: dict[str, Any]) -> int:
    """Return how many of the first candles a search may see: none of those that a set is tested on later."""
    folds = folds_of(manifest)
    return int(folds[0].train.stop if folds else manifest["split_at"] or manifest["candles"])


def try_sets(spec: Spec, sets: Sets) -> Tried:
    """Try sets and return their rows; what a set's strategy raises is in its row.

    Raises BadInput where this process has another code or strategy than the sweep, LakeError where it cannot read the
    same candles.
    """
    start = time.perf_counter()
    grid, own = read_grid(spec.told["parameters"]["grid"]), spec.told
    with _reading:
        trials = _ready(spec).trials(spec)
    rows = trials.run([(int(number), grid.point(int(place))) for number, place in sets])
    same = {"run_id": spec.run_id, "symbol": own["symbol"], "timeframe": own["timeframe"], "wanted": spec.wanted}
    for name, value in same.items():
        rows = rows.append_column(name, pa.repeat(value, len(rows)))
    return Tried(conform(TABLES["sweeps"], rows), time.perf_counter() - start)


def candles_of(spec: Spec) -> pd.DataFrame:
    """Return the sweep's candles: those kept ready, or out of the lake.

    Raises LakeError where they are not those of the manifest.
    """
    return _candles(spec) if (held := _held.get(spec.whole)) is None else held.candles


def detail_of(spec: Spec, candles: pd.DataFrame) -> Detail | None:
    """Return the finer candles inside the sweep's candles, None where it has none; from where, and raises, as those."""
    return _detail(spec, candles) if (held := _held.get(spec.whole)) is None else held.detail


def _candles(spec: Spec) -> pd.DataFrame:
    told = spec.told
    until = pd.Timestamp(told["end"]) + pd.Timedelta(microseconds=1)
    return _read(spec, told["timeframe"], until, told["data_fingerprint"])


def _detail(spec: Spec, candles: pd.DataFrame) -> Detail | None:
    told, finer = spec.told, spec.told["detail"]
    if finer is None:
        return None
    whole, part = parse_timeframe(told["timeframe"]), parse_timeframe(finer["timeframe"])
    inside = _read(spec, finer["timeframe"], pd.Timestamp(told["end"]) + whole, finer["data_fingerprint"])
    return fit_detail(candles, inside, whole, part)


def _read(spec: Spec, timeframe: str, until: pd.Timestamp, wanted: str) -> pd.DataFrame:
    """Return candles of the sweep's symbol that open before an instant and have this fingerprint."""
    told = spec.told
    series = (told["exchange"], told["symbol"], timeframe)
    reach = pd.Timestamp(told["start"]), until
    for version in (spec.candles_version, None):  # upkeep removes old versions; the newest may have the same candles
        try:
            candles = read_candles(Lake(spec.lake), *series, *reach, version=version)
        except LakeError:
            if version is None:
                raise
            continue
        if fingerprint(candles) == wanted:
            return candles
    raise LakeError(f"the candles of {' '.join(series)} in {spec.lake} are not those that the sweep began with")


@lru_cache(1024)
def _parsed(manifest: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(manifest)
    return told


class _Series:
    """The candles of a sweep, checked and read once, and its trials on them, which share what tasks can share."""

    def __init__(self, spec: Spec) -> None:
        self._told, self._strategy = spec.told, find(spec.strategy)
        if self._told["code_version"] != code_version(SWEEPING):
            raise BadInput(
                "this process runs another version of Jarvis than the sweep: install the same one everywhere"
            )
        if source_hash(self._strategy) != self._told["strategy_code"]:
            raise BadInput(f"the strategy {spec.strategy} is not the one that the sweep began with: its source differs")
        self.candles = _candles(spec)
        self.detail = _detail(spec, self.candles)
        self._trials: dict[str | None, Trials] = {}

    def trials(self, spec: Spec) -> Trials:
        """Return the trials of a spec, on a rung or on all of the candles."""
        if spec.rung not in self._trials:
            self._trials[spec.rung] = self._begin(spec)
        return self._trials[spec.rung]

    def _begin(self, spec: Spec) -> Trials:
        candles, detail, told, fixed = self.candles, self.detail, self._told, self._told["parameters"]["fixed"]
        if spec.rung is not None:
            first = slice(0, searched(told) // RUNGS[spec.rung])
            detail, whole = detail and detail.part(first), told | {"split": None}
            return Trials(candles.iloc[first], self._strategy, fixed, whole, detail, threads=spec.threads)
        stretches = {str(number): fold.train for number, fold in enumerate(folds_of(told), 1)}
        return Trials(candles, self._strategy, fixed, told, detail, spec.wanted, stretches, spec.threads)


_held: dict[Spec, _Series] = {}
"""Series that this process keeps ready, the one used last at the end."""


def _ready(spec: Spec) -> _Series:
    """Return the series of a spec; what was not used for longest makes room for it."""
    whole = spec.whole
    if (found := _held.pop(whole, None)) is None:
        while len(_held) >= spec.held:
            del _held[next(iter(_held))]
        found = _Series(whole)
    _held[whole] = found
    return found
