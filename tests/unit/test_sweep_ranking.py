"""Ranks of a sweep's sets: by several objectives, and over several series."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tasks.evaluate.ranking import best_compromises, over_all, pareto_front

FEW = st.sampled_from([-1.0, 0.0, 0.1, 0.2, 0.30000000000000004, 0.3, 1e9, np.nan])


def dominates(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> bool:
    return bool((one >= other).all() and (one > other).any())


@given(arrays(np.float64, st.tuples(st.integers(0, 12), st.integers(1, 3)), elements=FEW))
def test_a_row_is_on_the_front_where_none_dominates_it(values: npt.NDArray[np.float64]) -> None:
    whole = [row for row in values if not np.isnan(row).any()]
    expected = [not np.isnan(row).any() and not any(dominates(other, row) for other in whole) for row in values]
    assert pareto_front(values).tolist() == expected


def test_the_front_of_a_sweep_begins_with_the_best_by_the_first_objective() -> None:
    sets = pd.DataFrame(
        {
            "number": [1, 2, 3, 4],
            "objective": [0.2, 0.5, 0.4, None],
            "period_sharpe": [0.2, 0.5, 0.4, None],
            "max_drawdown": [-0.1, -0.3, -0.4, -0.01],
        }
    )
    assert best_compromises(sets, ["sharpe", "drawdown"])["number"].tolist() == [2, 1]


def test_over_all_series_counts_what_has_an_objective_on_each() -> None:
    one = pd.DataFrame({"parameters": ["a", "b", "c", "c"], "objective": [0.1, 0.4, 0.9, 0.9]})
    two = pd.DataFrame({"parameters": ["c", "b", "a"], "objective": [None, 0.2, 0.9]})
    found = over_all({"X 1d": one, "Y 1h": two})
    assert found["parameters"].tolist() == ["a", "b"]
    assert np.allclose(found["objective"], [0.5, 0.3])
    assert found["lowest"].tolist() == [0.1, 0.2]
    assert found["worst"].tolist() == ["X 1d", "Y 1h"]
    assert over_all({"X": one, "Y": two.iloc[:1]}).empty
