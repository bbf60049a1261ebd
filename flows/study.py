"""Optuna's side of a search: it is asked for a batch of sets, and told of them before it is asked for the next.

What it asks for depends on what it was told and on the seed, and on nothing else: not on where or in what order the
sets of a batch are tried, nor on a kill in between. Each trial has a generator of its own, so that a search that goes
on draws what it would have drawn.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import Trial, TrialState

from data.errors import BadInput, JarvisError, LakeError
from data.rows import one_line
from flows.parameters import SweepParameters
from flows.spec import RUNGS
from tasks.signal.grid import Grid, Listed

optuna.logging.set_verbosity(optuna.logging.ERROR)

_SAMPLERS: dict[str, Any] = {
    "tpe": optuna.samplers.TPESampler,
    "random": optuna.samplers.RandomSampler,
    "qmc": optuna.samplers.QMCSampler,
    "cmaes": optuna.samplers.CmaEsSampler,
    "nsga2": optuna.samplers.NSGAIISampler,
    "nsga3": optuna.samplers.NSGAIIISampler,
    "gp": optuna.samplers.GPSampler,
}
_NEEDS = {"cmaes": "cmaes", "gp": "torch"}
"""Packages that a sampler needs and that do not come with Jarvis."""


class Asked(NamedTuple):
    """A set that Optuna asks for; `same_as` is the number of an earlier one with the same place, None if there is."""

    number: int
    place: int
    same_as: int | None


class Outcome(NamedTuple):
    """What became of a set: its objectives, higher is better, None where one is lacking; `rungs` those on the way."""

    values: tuple[float, ...] | None
    rungs: Mapping[str, float]
    pruned: bool = False


class Study:
    """A study of Optuna's over a grid: a range of it is an ordered parameter, a list an unordered one.

    `name` is the study's; `file` where it is stored if the parameters name no storage, None: in memory. Raises BadInput
    for a storage or a sampler that cannot be used.
    """

    def __init__(self, grid: Grid, parameters: SweepParameters, name: str, file: Path | None) -> None:
        self._grid, self._parameters, self._wanted = grid, parameters, parameters.optuna or 0
        package = _NEEDS.get(parameters.sampler)
        if package is not None and find_spec(package) is None:
            raise BadInput(f"sampler {parameters.sampler} needs the package {package}: pip install {package}")
        self._name, self._where = name, parameters.storage or (None if file is None else f"{file}")
        with self._said():
            self._storage = optuna.storages.get_storage(parameters.storage or _journal(file))
        self._begin()

    def _begin(self) -> None:
        with _quiet(), self._said():
            self._study = optuna.create_study(
                study_name=self._name,
                directions=["maximize"] * len(self._parameters.objectives),
                storage=self._storage,
                pruner=_pruner(self._parameters),
                load_if_exists=True,
            )
            trials = self._study.get_trials(deepcopy=False)
        self._open = [trial.number for trial in trials if not trial.state.is_finished()]
        self._asked = len(trials)
        self._first: dict[int, int] = {}
        for trial in trials:
            if trial.state.is_finished() and set(trial.params) == set(self._grid.axes):
                self._first.setdefault(self._place(trial.params), trial.number + 1)
        self._outcomes: dict[int, Outcome] = {}
        self._trials: dict[int, Trial] = {}

    def begin_again(self) -> None:
        """Forget all that was asked and told: what is known of it elsewhere is told once more."""
        with _quiet(), self._said():
            optuna.delete_study(study_name=self._name, storage=self._storage)
        self._begin()

    def _said(self) -> AbstractContextManager[None]:
        return _said(f"Optuna's storage {self._where}")

    @property
    def tried(self) -> set[int]:
        """The sets that it was told of, without those that are the same as an earlier one."""
        return set(self._first.values()) - {number + 1 for number in self._open}

    @property
    def done(self) -> int:
        """How many sets it was told of."""
        return self._asked - len(self._open)

    def ask(self) -> list[Asked]:
        """Return the next batch, first what was asked for before and never told; empty when all are told."""
        batch, size = list[Asked](), self._parameters.batch
        within = self.done % size  # a batch that a kill has cut short is not longer than it was
        while len(batch) < size - within and self.done + len(batch) < self._wanted:
            number = self._open[len(batch)] if len(batch) < len(self._open) else self._asked
            with _quiet():
                self._study.sampler = _sampler(self._parameters, number)
                trial = self._reopened(number) if number < self._asked else self._study.ask()
                params = {name: self._suggested(trial, name) for name in self._grid.axes}
            if number == self._asked:
                self._asked += 1
                self._open.append(number)
            self._trials[number + 1] = trial
            place = self._place(params)
            first = self._first.setdefault(place, number + 1)
            batch.append(Asked(number + 1, place, None if first == number + 1 else first))
        return batch

    def gives_up(self, rung: str, values: Mapping[int, float]) -> set[int]:
        """Tell the objectives of a batch on a rung, by number, and return the sets that need not be tried further."""
        for number, value in sorted(values.items()):
            self._report(number, {rung: value})
        return {number for number in sorted(values) if self._is_given_up(number, rung)}

    def _is_given_up(self, number: int, rung: str) -> bool:
        """Ask the pruner once: what it says depends on what it said of others, which a kill must not change."""
        trial = self._trials[number]
        if rung not in trial.user_attrs:
            trial.set_user_attr(rung, bool(trial.should_prune()))
        return bool(trial.user_attrs[rung])

    def tell(self, outcomes: Mapping[int, Outcome], batch: Sequence[Asked]) -> None:
        """Tell what became of a batch; `outcomes` has that of every set that no earlier one is the same as."""
        for asked in batch:
            first = asked.same_as
            outcome = outcomes[asked.number] if first is None else self._known(first, outcomes)
            self._outcomes[asked.number] = outcome
            with _quiet():
                if outcome.pruned or self._parameters.pruner:
                    self._report(asked.number, outcome.rungs)
                state = TrialState.PRUNED if outcome.pruned else TrialState.FAIL if outcome.values is None else None
                self._study.tell(asked.number - 1, outcome.values if state is None else None, state, True)
            self._open.remove(asked.number - 1)
            del self._trials[asked.number]

    def _known(self, first: int, outcomes: Mapping[int, Outcome]) -> Outcome:
        """Return the outcome of an earlier set."""
        if first in outcomes:
            return outcomes[first]
        if first in self._outcomes:
            return self._outcomes[first]
        trial = self._study.get_trials(deepcopy=False)[first - 1]
        names = dict(enumerate(RUNGS, 1))
        rungs = {names[step]: value for step, value in trial.intermediate_values.items()}
        values = tuple(trial.values) if trial.state is TrialState.COMPLETE and trial.values else None
        return Outcome(values, rungs, trial.state is TrialState.PRUNED)

    def _report(self, number: int, rungs: Mapping[str, float]) -> None:
        known = self._study.get_trials(deepcopy=False)[number - 1].intermediate_values
        for step, rung in enumerate(RUNGS, 1):
            if rung in rungs and step not in known:
                self._trials[number].report(rungs[rung], step)

    def _reopened(self, number: int) -> Trial:
        return Trial(self._study, self._study.get_trials(deepcopy=False)[number]._trial_id)

    def _suggested(self, trial: Trial, name: str) -> Any:
        axis = self._grid.axes[name]
        if isinstance(axis, Listed):
            return trial.suggest_categorical(name, axis.values)
        low, high = sorted((axis.start, axis.start + (axis.count - 1) * axis.step))
        if low == int(low) and axis.step == int(axis.step):
            return trial.suggest_int(name, int(low), int(high), step=abs(int(axis.step)))
        return trial.suggest_float(name, float(low), float(high), step=abs(float(axis.step)))

    def _place(self, params: Mapping[str, Any]) -> int:
        axes = self._grid.axes.items()
        return self._grid.place(
            {
                name: axis.values.index(params[name]) if isinstance(axis, Listed) else axis.place(params[name])
                for name, axis in axes
            }
        )


def _journal(file: Path | None) -> optuna.storages.BaseStorage | None:
    if file is None:
        return None
    file.parent.mkdir(parents=True, exist_ok=True)
    return JournalStorage(JournalFileBackend(str(file)))


def _sampler(parameters: SweepParameters, number: int) -> optuna.samplers.BaseSampler:
    kind: Callable[..., optuna.samplers.BaseSampler] = _SAMPLERS[parameters.sampler]
    seed = int(np.random.SeedSequence([parameters.seed, number]).generate_state(1)[0])
    if kind is optuna.samplers.QMCSampler:  # one sequence, of which the storage knows the place
        own = optuna.samplers.RandomSampler(seed)
        return kind(seed=parameters.seed, independent_sampler=own, warn_independent_sampling=False)
    silent = {} if parameters.sampler not in _NEEDS else {"warn_independent_sampling": False}
    return kind(seed=seed, **silent)


def _pruner(parameters: SweepParameters) -> optuna.pruners.BasePruner:
    pruners = optuna.pruners
    match parameters.pruner:
        case "median":
            return pruners.MedianPruner()
        case "halving":
            return pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=2)
        case "hyperband":
            return pruners.HyperbandPruner(min_resource=1, max_resource=len(RUNGS) + 1, reduction_factor=2)
        case None:
            return pruners.NopPruner()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Optuna from telling the user what of it is experimental."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield


@contextmanager
def _said(what: str) -> Iterator[None]:
    """Turn what a storage raises into one line."""
    try:
        yield
    except (JarvisError, KeyboardInterrupt):
        raise
    except OSError as error:
        raise LakeError(f"{what} cannot be written: {one_line(error)}") from None
    except Exception as error:  # noqa: BLE001 - whatever the database of the user's choice raises
        raise BadInput(f"{what} cannot be used: {one_line(error)}") from None


def mean_outcome(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], stretch: str | None = None) -> Outcome:
    """Return what became of a set from its rows as in `sweeps`, one a series: of several the mean.

    `columns` are those of the objectives; a `stretch` has the objective on it instead. A set without an objective on
    one of the series has none.
    """
    stretches = [dict(row["stretches"] or []) for row in rows]
    rungs = {rung: mean for rung in RUNGS if (mean := _mean([each.get(rung) for each in stretches])) is not None}
    values = [_mean([each.get(stretch) for each in stretches])] if stretch else []
    values = values or [_mean([row.get(column) for row in rows]) for column in columns]
    failed = any(row.get("failure") is not None for row in rows)
    pruned = all(str(row["note"] or "").startswith(PRUNED) for row in rows)
    found = tuple(value for value in values if value is not None)
    return Outcome(found if len(found) == len(values) and not failed else None, rungs, pruned)


def _mean(values: Sequence[float | None]) -> float | None:
    """Return the mean; None where a value is lacking."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known and len(known) == len(values) else None


PRUNED = "given up"
"""How the note of a set begins that was pruned."""
