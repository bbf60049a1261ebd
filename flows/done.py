"""What is done of a sweep on a series: rows that come in as tasks are done, and go to the lake every few seconds."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from data.tables import TABLES
from data.views import read_unrecorded
from data.writer import Claim, Lake

EVERY = 2.0
"""Seconds between two commits: what a kill can lose, beside the tasks that are under way."""
MOST_HELD = 20_000
"""Rows that are held back at most."""


class Done:
    """The sets of a sweep that are tried, by number from 1; another process at the same sweep is gone along with."""

    def __init__(self, lake: Lake, run: str, wanted: int) -> None:
        self._lake, self._run = lake, run
        self._held: list[pa.Table] = []
        self._written = time.monotonic()
        self._known = np.zeros(wanted + 1, np.bool_)
        self._seen = lake.claimed("sweeps", run)
        """The last writer's claim of which it is known what it wrote."""
        self._learn()

    def __contains__(self, number: int) -> bool:
        return bool(self._known[number])

    def __len__(self) -> int:
        return int(self._known.sum())

    def add(self, rows: pa.Table) -> None:
        """Take rows in, as in `sweeps`; they go to the lake when they are many, or a while after the last."""
        self._held.append(rows)
        self._known[rows["number"].to_numpy()] = True
        if time.monotonic() - self._written >= EVERY or sum(len(held) for held in self._held) >= MOST_HELD:
            self.write()

    def write(self) -> None:
        """Write what is held. Raises LakeError where that cannot be."""
        rows = pa.concat_tables(self._held) if self._held else None
        while rows is not None and len(rows):
            claimed = self._lake.claimed("sweeps", self._run)
            if claimed != self._seen:  # another process wrote, or this one, and was stopped before it could note it
                rows = rows.filter(pc.invert(pc.is_in(rows["number"], pa.array(self._learn()))))
                self._seen = claimed
            elif self._lake.append("sweeps", rows, Claim(self._run, claimed + 1)):
                self._seen = claimed + 1
                break
        self._held, self._written = [], time.monotonic()

    def rows(self, columns: tuple[str, ...] = ()) -> pd.DataFrame:
        """Return what the lake has, by number."""
        wanted = columns or tuple(TABLES["sweeps"].schema.names)
        found = read_unrecorded(self._lake, "sweeps", self._lake.table("sweeps"), self._run, wanted)
        frame: pd.DataFrame = found.sort_by("number").to_pandas()
        return frame

    def outcomes(self, columns: tuple[str, ...]) -> dict[int, dict[str, Any]]:
        """Return some columns of what the lake has, by number."""
        names = ("number", *columns)
        found = read_unrecorded(self._lake, "sweeps", self._lake.table("sweeps"), self._run, names)
        return {row["number"]: row for row in found.to_pylist()}

    def _learn(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Look which sets the lake has."""
        numbers = read_unrecorded(self._lake, "sweeps", self._lake.table("sweeps"), self._run, ("number",))["number"]
        there: np.ndarray[Any, np.dtype[np.int64]] = numbers.to_numpy()
        self._known[there] = True
        return there
