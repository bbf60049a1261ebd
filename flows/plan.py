"""What is to be tried on a series, and the trying of all sets of a grid or a draw."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from flows.done import Done
from flows.parameters import BacktestParameters
from flows.runner import Crew, Task
from flows.spec import Spec

_FIRST, _MOST = 8, 5_000
"""Sets of the first tasks, and of any."""
_SECONDS = 2.0
"""How long a task is to take: each costs some milliseconds by itself, and a lost one is done again."""

Report = Callable[[], None]


@dataclass(frozen=True)
class Plan:
    """A sweep on one series: a backtest's parameters, what workers are told, what is done."""

    alone: BacktestParameters
    spec: Spec
    done: Done


def try_all(workers: Crew, plans: Sequence[Plan], places: Sequence[int], report: Report) -> None:
    """Try the sets at these places of the grid on every series, as far as the lake has them not yet."""
    of, size = {plan.spec: plan for plan in plans}, _FIRST

    def tasks() -> Iterator[Task]:
        for plan in plans:
            number = 0
            while number < len(places):
                share = -(-(len(places) - number) // workers.ahead)  # at the end, something for everyone
                sets = list[tuple[int, int]]()
                while number < len(places) and len(sets) < min(size, max(_FIRST, share)):
                    number += 1
                    if number not in plan.done:
                        sets.append((number, places[number - 1]))
                if sets:
                    yield Task(plan.spec, np.array(sets, np.int64))

    try:
        for task, tried in workers.run(tasks()):
            of[task.spec].done.add(tried.rows)
            size = round(np.clip(_SECONDS * len(task.sets) / max(tried.seconds, 1e-6), 1, min(_MOST, 4 * size)))
            report()
    finally:
        for plan in plans:
            plan.done.write()
