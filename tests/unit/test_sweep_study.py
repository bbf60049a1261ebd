"""Optuna's side of a search: what it asks for depends on what it was told and on the seed, kills or not."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import optuna
import pytest

from data.errors import BadInput
from flows import study as module
from flows.parameters import SweepParameters
from flows.study import Asked, Outcome, Study, mean_outcome
from tasks.signal.grid import read_grid

GRID = read_grid({"fast": "2:40:2", "level": "0.5:-1.5:-0.25", "kind": "a,b"})


class KilledError(Exception):
    """The process ended here."""


def opened(file: Path | None, **parameters: Any) -> Study:
    given = {"optuna": 30, "batch": 8, "seed": 3} | parameters
    return Study(GRID, SweepParameters(**given), "a study", file)


def valued(place: int) -> tuple[float, ...] | None:
    """A hill over the grid, with a hole where sets fail."""
    point = GRID.point(place)
    fast, level = int(point["fast"]), float(point["level"])
    if fast in {8, 10, 12, 22}:
        return None
    return (-(((fast - 20) / 10) ** 2) - (level + 0.5) ** 2 + (point["kind"] == "b"),)


def on(place: int, rung: str) -> float | None:
    """The same on the first candles: half and three quarters as good."""
    whole = valued(place)
    return None if whole is None else whole[0] * {"quarter": 0.5, "half": 0.75}[rung]


def searched(study: Study, rows: dict[int, Outcome], *, kill_before: int = -1) -> dict[int, Asked]:
    """Search as a sweep does, with the rows of the lake; killed before that many sets are told."""
    found: dict[int, Asked] = {}
    while batch := study.ask():
        found |= {asked.number: asked for asked in batch}
        fresh = [asked for asked in batch if asked.same_as is None]
        rungs: dict[int, dict[str, float]] = {asked.number: {} for asked in fresh}
        given_up: set[int] = set()
        for rung in ("quarter", "half") if study._parameters.pruner else ():
            alive = [asked for asked in fresh if asked.number not in given_up]
            values = {a.number: value for a in alive if (value := on(a.place, rung)) is not None}
            for number, value in values.items():
                rungs[number][rung] = value
            given_up |= study.gives_up(rung, values)
        for asked in fresh:
            pruned = asked.number in given_up
            whole = None if pruned else valued(asked.place)
            rows.setdefault(asked.number, Outcome(whole, rungs[asked.number], pruned))
        for count in range(len(batch)):
            if study.done == kill_before:
                raise KilledError
            study.tell(rows, batch[count : count + 1])
    return found


SAMPLERS = ("tpe", "random", "qmc", "nsga2", "nsga3")


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_search_tells_and_is_told_as_many_sets_as_were_wanted(sampler: str) -> None:
    rows: dict[int, Outcome] = {}
    found = searched(opened(None, sampler=sampler), rows)
    assert list(found) == list(range(1, 31))
    for asked in found.values():
        if asked.same_as is not None:
            assert asked.place == found[asked.same_as].place
            assert asked.same_as < asked.number
    places = [asked.place for asked in found.values() if asked.same_as is None]
    assert len(set(places)) == len(places) == len(rows)


@pytest.mark.parametrize("pruner", [None, "median", "halving", "hyperband"])
@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_a_search_that_was_killed_asks_for_what_it_would_have_asked_for(
    tmp_path: Path, sampler: str, pruner: str | None
) -> None:
    terms = {"sampler": sampler, "pruner": pruner}
    whole: dict[int, Outcome] = {}
    expected = searched(opened(None, **terms), whole)
    for kill in (5, 21):
        rows: dict[int, Outcome] = {}
        file = tmp_path / f"{kill}.journal"
        with pytest.raises(KilledError):
            searched(opened(file, **terms), rows, kill_before=kill)
        found = searched(opened(file, **terms), rows)
        assert {n: a for n, a in expected.items() if n in found} == found
        assert rows == whole


def test_a_search_whose_storage_is_lost_is_told_again_from_the_rows() -> None:
    rows: dict[int, Outcome] = {}
    with pytest.raises(KilledError):
        searched(opened(None, pruner="median"), rows, kill_before=17)
    known = dict(rows)
    searched(opened(None, pruner="median"), rows)
    whole: dict[int, Outcome] = {}
    searched(opened(None, pruner="median"), whole)
    assert known.items() <= rows.items()
    assert rows == whole


def test_the_study_is_optunas_own_and_has_every_state(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path / 'study.db'}"
    searched(opened(None, storage=address, pruner="median"), {})
    study = optuna.load_study(study_name="a study", storage=address)
    assert {trial.state.name for trial in study.trials} == {"COMPLETE", "FAIL", "PRUNED"}
    assert study.best_trial.params.keys() == {"fast", "level", "kind"}
    random = max(value[0] for place in range(0, GRID.size, 7) if (value := valued(place)) is not None)
    assert study.best_value >= random - 1


def test_two_objectives_are_a_study_with_two_directions() -> None:
    study = opened(None, objectives=("sharpe", "drawdown"), sampler="nsga2", optuna=12)
    while batch := study.ask():
        told = {a.number: Outcome((float(a.place), -float(a.place)), {}) for a in batch if a.same_as is None}
        study.tell(told, batch)
    assert len(study._study.directions) == 2
    assert len(study._study.best_trials) > 1


@pytest.mark.parametrize("sampler", ["cmaes", "gp"])
def test_a_sampler_that_needs_a_package_says_which(sampler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    with pytest.raises(BadInput, match=f"sampler {sampler} needs the package"):
        opened(None, sampler=sampler)


@pytest.mark.parametrize("storage", ["nonsense", "sqlite:////no/such/folder/study.db", "nosuch://host/db"])
def test_a_storage_that_cannot_be_used_is_refused_in_a_line(storage: str) -> None:
    with pytest.raises(BadInput, match="storage") as refusal:
        opened(None, storage=storage)
    assert "\n" not in str(refusal.value)


def test_the_outcome_over_series_is_the_mean_and_lacks_where_one_lacks() -> None:
    good = {"failure": None, "note": None, "stretches": [("quarter", 0.1), ("1", 3.0)], "period_sharpe": 0.2}
    other = good | {"stretches": [("quarter", 0.3), ("1", 5.0)], "period_sharpe": 0.6}
    assert mean_outcome([good, other], ["period_sharpe"]).values == pytest.approx((0.4,))
    assert mean_outcome([good, other], ["period_sharpe"]).rungs == {"quarter": pytest.approx(0.2)}
    assert mean_outcome([good, other], ["period_sharpe"], "1").values == (4.0,)
    assert mean_outcome([good, other | {"period_sharpe": None}], ["period_sharpe"]).values is None
    assert mean_outcome([good, other | {"failure": "no"}], ["period_sharpe"]).values is None
    pruned = {"note": "given up after the first quarter: 0.1 there", "stretches": [("quarter", 0.1)]}
    found = mean_outcome([pruned, pruned], ["period_sharpe"])
    assert found.pruned
    assert math.isclose(found.rungs["quarter"], 0.1)
