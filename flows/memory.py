"""How much memory a sweep will take, said beforehand, and refused where it is more than the user allows."""

from __future__ import annotations

import os
import re
import resource
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from data.errors import BadInput
from data.timeframe import parse_timeframe
from flows.parameters import SweepParameters
from flows.spec import RUNGS, folds_of
from tasks.evaluate.trial import kept_every
from tasks.signal import Strategy
from tasks.signal.grid import Grid
from tasks.signal.registry import find

A_SET = 6_000
"""Bytes of a set when its sweep is judged: measured were 3,700 at the peak, over 32,000 sets."""
A_ROW = 1_000
"""Bytes of a set that are kept until all series are judged."""
A_CANDLE = 500
"""Bytes of a candle: read, hashed, and as strategies and the engine see it."""
A_FINER_CANDLE = 70
"""Bytes of a finer candle inside those, as the engine sees it: it was read once before, which took 350."""
A_STRETCHED_CANDLE = 16
"""Bytes of a candle for each test of a walk-forward that it helps to choose for."""
A_COSTLY_CANDLE = 60
"""The same where costs go by time or by size: the engine has series of them."""
A_THREAD = 120
"""Bytes of a candle that a thread adds: copies, indicators, targets."""
REMEMBERED = 2**28
"""Bytes of averages that a strategy remembers for its sets at most."""
A_RETURN = 60
"""Bytes of a return that a set keeps for the verdict, which has several matrices of them: measured were 40."""
LOADED = 320_000_000
"""Bytes of what is loaded and compiled only when the first set is tried (260 MB), and of the verdict's own (60 MB)."""
READY = 2**30
"""Bytes of series that a search keeps ready beside the two of any sweep, where nothing is said of memory."""


class Room(NamedTuple):
    """What a sweep may have in this process: threads, None for all, and series that are kept ready."""

    threads: int | None
    held: int


@dataclass(frozen=True)
class Need:
    """Bytes that a sweep takes at its peak: whatever its sets, and for them."""

    fixed: int
    sets: int

    @property
    def total(self) -> int:
        """All together."""
        return self.fixed + self.sets


def fitting(
    parameters: SweepParameters,
    grid: Grid,
    wanted: int,
    series: Sequence[Mapping[str, Any]],
    say: Callable[[str], None],
) -> Room:
    """Say what the sweep takes, and return what it may have of threads and series.

    `series` has the manifest of the sweep on each. A search comes back to all of them with each batch, so that as many
    are kept as there is room for. Raises BadInput where it is more than the parameters allow, with what fits.
    """
    candles, returns = [told["candles"] for told in series], max(map(periods, series))
    beside = max(_beside(parameters, told) for told in series)
    shares = find(parameters.strategy).shared.__func__ is not Strategy.shared.__func__  # type: ignore[attr-defined]
    windows = sum(axis.count for axis in grid.axes.values())
    stretches = 1.0 if parameters.pruner is None else 1 + sum(1 / part for part in RUNGS.values())
    most, all_threads = parameters.memory, os.cpu_count() or 1

    def with_(threads: int, held: int) -> Need:
        sizes = (wanted, len(series), max(candles), returns, windows, threads, held)
        return need(*sizes, beside=beside, shares=stretches if shares else 0.0)

    least = min(2, len(series))
    room = with_(1, least).total + READY if most is None else most
    back = len(series) if parameters.optuna is not None else least
    held = next((n for n in range(back, least, -1) if with_(1, n).total <= room), least)
    threads = next((n for n in range(all_threads, 1, -1) if most is None or with_(n, held).total <= most), 1)
    found = with_(threads, held)
    if most is not None and found.total > most:
        raise BadInput(_refusal(found, wanted, most))
    sets = f"{wanted:,} sets on {len(series)} series" if len(series) > 1 else f"{wanted:,} sets"
    allowed = "" if most is None else f" of {size(most)}"
    say(f"{sets}, {sum(candles):,} candles: about {size(found.total)} of memory{allowed}")
    return Room(None if most is None else threads, held)


def _refusal(found: Need, wanted: int, most: int) -> str:
    fit = (most - found.fixed) * wanted // max(1, found.sets)
    step = 10 ** max(0, len(str(fit)) - 2)  # two digits, so that what is advised is easy to type and surely fits
    less = f", or try {fit // step * step:,} sets, as by --random {fit // step * step}" if fit >= 1 else ""
    enough = -(-found.total // 100_000_000) * 100
    takes = f"the sweep takes about {size(found.total)}"
    return f"memory {size(most)} is too little: {takes}; allow --memory {enough}MB{less}"


def periods(told: Mapping[str, Any]) -> int:
    """Return how many returns a set of a sweep has at most, by its manifest: one a candle, or a UTC day if fewer.

    >>> periods({"candles": 49, "start": "2024-01-01T23:00:00+00:00", "end": "2024-01-03T23:00:00+00:00"})
    3
    """
    first, last = (pd.Timestamp(told[name]).normalize() for name in ("start", "end"))
    return min(int(told["candles"]), (last - first).days + 1)


def _beside(parameters: SweepParameters, told: Mapping[str, Any]) -> int:
    """Return the bytes that a series takes beside its candles: of finer ones, and of what a walk-forward chooses on."""
    chosen_on: int = sum(fold.train.stop - fold.train.start for fold in folds_of(dict(told)))
    finer = 0
    if told["detail"] is not None:
        whole, part = (parse_timeframe(of["timeframe"]) for of in (told, told["detail"]))
        finer = int(told["candles"] * (whole // part))
    own_costs = parameters.borrow or parameters.funding or isinstance(parameters.slippage, str)
    return A_FINER_CANDLE * finer + (A_COSTLY_CANDLE if own_costs else A_STRETCHED_CANDLE) * chosen_on


def need(
    sets: int,
    series: int,
    candles: int,
    returns: int,
    windows: int,
    threads: int,
    held: int,
    *,
    beside: int = 0,
    shares: float,
) -> Need:
    """Estimate what a process takes, on top of what it has taken already.

    `candles` are those of the longest series, of which so many are `held` at a time, with bytes `beside` them;
    `returns` are those of a set, which not all sets of a large sweep keep; `windows` is how many values the axes of the
    grid have together, for each of which a strategy may remember an array, as often as long as the candles as `shares`
    says. Series are judged one by one.
    """
    remembered = int(shares * min(REMEMBERED, 8 * candles * windows))
    fixed = _taken() + LOADED + held * (A_CANDLE * candles + beside + remembered) + threads * A_THREAD * candles
    kept = -(-sets // kept_every(sets, returns)) * returns
    return Need(fixed, (A_SET + A_ROW * series) * sets + A_RETURN * kept)


def size(count: int) -> str:
    """Write bytes as people do.

    >>> size(1_234_000_000), size(5_600_000)
    ('1.2 GB', '6 MB')
    """
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def _taken() -> int:
    """Return the most that this process has had in memory so far, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux, whose getrusage counts what the parent had too
        (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", status.read_text())
        return int(peak) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
