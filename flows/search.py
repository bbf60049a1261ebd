"""A search by Optuna: it is asked for a batch of sets, they are tried on every series, written, and it is told."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from data.writer import Lake
from flows.parameters import SweepParameters
from flows.plan import Plan, Report
from flows.runner import Crew, Task
from flows.spec import RUNGS, Spec
from flows.study import PRUNED, Asked, Study, mean_outcome
from flows.trials import SCHEMA
from tasks.evaluate.trial import OBJECTIVES
from tasks.exchange.lock import alone
from tasks.signal.grid import Grid

STUDIES = "studies"
"""Folder in the lake of Optuna's journals, one a search."""

Row = dict[str, Any]


@dataclass(frozen=True)
class _Field:
    """Who tries a search's sets, and on what."""

    workers: Crew
    plans: Sequence[Plan]


def search(
    lake: Lake, workers: Crew, plans: Sequence[Plan], grid: Grid, parameters: SweepParameters, report: Report
) -> None:
    """Have Optuna choose sets, as many as the parameters say, by their mean objectives over the series.

    A search that was killed goes on: what the lake has of a batch is told, not tried. Raises Taken while another
    process is at the same search.
    """
    name = hashlib.sha256("".join(plan.spec.run_id for plan in plans).encode()).hexdigest()[:16]
    file = lake.folder(STUDIES)
    with alone("sweeps", f"{lake.address}\0{name}", "process {} is at this search"):
        study = Study(grid, parameters, name, None if file is None else file / f"{name}.journal")
        columns = [OBJECTIVES[objective] for objective in parameters.objectives]
        wanted = ("parameters", "failure", "note", "stretches", *columns)
        known = [plan.done.outcomes(wanted) for plan in plans]
        if any(study.tried - set(by) for by in known):  # upkeep has removed the rows of a search that was long killed
            study.begin_again()
        field = _Field(workers, plans)
        stretch = None if parameters.walk_forward is None else "1"  # what is tested later must choose nothing
        while batch := study.ask():
            fresh = [asked for asked in batch if asked.same_as is None]
            rows = {a.number: [by[a.number] for by in known] for a in fresh if all(a.number in by for by in known)}
            rungs = _prune(study, field, fresh, rows) if parameters.pruner else {}
            rows |= _try(field, [asked for asked in fresh if asked.number not in rows], rungs)
            for index, plan in enumerate(plans):
                new = [rows[a.number][index] for a in fresh if a.number not in plan.done]
                plan.done.add(pa.Table.from_pylist(new, SCHEMA))
                plan.done.write()
            study.tell({number: mean_outcome(each, columns, stretch) for number, each in rows.items()}, batch)
            report()


def _prune(
    study: Study, field: _Field, fresh: Sequence[Asked], rows: dict[int, list[Row]]
) -> dict[int, list[dict[str, float]]]:
    """Try a batch on the first candles; put the rows of what is given up among `rows`, return what the others had.

    That is the objective by rung, for each series. Of sets that have rows already these tell it.
    """
    had: dict[int, list[dict[str, float]]] = {
        asked.number: [{} for _ in field.plans] for asked in fresh if asked.number not in rows
    }
    alive = list(fresh)
    for rung in RUNGS:
        short = _rows(field, [plan.spec.at(rung) for plan in field.plans], [a for a in alive if a.number in had])
        values = {
            a.number: told for a in alive if a.number in rows and (told := _told(rows[a.number], rung)) is not None
        }
        for number, each in short.items():
            objectives = [row["objective"] for row in each]
            if None not in objectives:
                values[number] = float(np.mean(objectives))
                for own, value in zip(had[number], objectives, strict=True):
                    own[rung] = value
        given_up = study.gives_up(rung, values)
        alive = [asked for asked in alive if asked.number not in given_up]
        for number in given_up & set(had):
            rows[number] = [_given_up(row, rung, own) for row, own in zip(short[number], had.pop(number), strict=True)]
    return had


def _told(rows: Sequence[Row], rung: str) -> float | None:
    """Return the objective that rows have on a rung, the mean over the series."""
    return mean_outcome(rows, ()).rungs.get(rung)


def _given_up(row: Row, rung: str, had: Mapping[str, float]) -> Row:
    """Return the row of a set that is tried no further: of the figures on the first candles it has none."""
    kept = ("run_id", "number", "symbol", "timeframe", "wanted", "parameters")
    note = f"{PRUNED} after the first {rung}: {had[rung]:.4g} there"
    return {name: row[name] for name in kept} | {"note": note, "stretches": list(had.items())}


def _try(field: _Field, asked: Sequence[Asked], rungs: Mapping[int, list[dict[str, float]]]) -> dict[int, list[Row]]:
    """Try sets on all the candles of every series; return their rows by number, with what they had on the rungs."""
    found = _rows(field, [plan.spec for plan in field.plans], asked)
    for number, each in rungs.items():
        for row, had in zip(found[number], each, strict=True):
            row["stretches"] = [*had.items(), *(row["stretches"] or [])] or None
    return found


def _rows(field: _Field, specs: Sequence[Spec], asked: Sequence[Asked]) -> dict[int, list[Row]]:
    """Try sets by every spec, and return their rows by number, in the order of the specs."""
    sets = np.array([(each.number, each.place) for each in asked], np.int64).reshape(-1, 2)
    pieces = min(len(sets), -(-field.workers.ahead // len(specs)))
    parts = np.array_split(sets, pieces) if pieces else []
    found: dict[int, dict[Spec, Row]] = defaultdict(dict)
    for task, tried in field.workers.run(_tasks(specs, parts)):
        for row in tried.rows.to_pylist():
            found[row["number"]][task.spec] = row
    return {number: [by[spec] for spec in specs] for number, by in found.items()}


def _tasks(specs: Sequence[Spec], parts: Sequence[Any]) -> Iterable[Task]:
    return (Task(spec, part) for spec in specs for part in parts)
