"""Ranks beyond those of one objective on one series: the Pareto front, and sets over several series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.evaluate.trial import OBJECTIVES


def pareto_front(values: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Tell which rows no other row dominates: is as high in every column, and higher in one.

    Equal rows are on the front together; a row with a NaN is never on it.

    >>> pareto_front(np.array([[1.0, 3.0], [2.0, 2.0], [1.0, 2.0], [np.nan, 9.0]])).tolist()
    [True, True, False, False]
    """
    front: npt.NDArray[np.bool_] = np.logical_not(np.isnan(values).any(axis=1))
    # By falling sums a row can only be dominated by one before it: what is met alive is on the front for good.
    for row in np.argsort(-np.where(front, values.sum(axis=1), -np.inf), kind="stable"):
        if front[row]:
            front &= ~((values <= values[row]).all(axis=1) & (values < values[row]).any(axis=1))
    return front


def best_compromises(sets: pd.DataFrame, objectives: Sequence[str]) -> pd.DataFrame:
    """Return the sets (rows as in `sweeps`) on the Pareto front of the objectives, the best by the first one first."""
    columns = [OBJECTIVES[name] for name in objectives]
    ranked = sets[sets["objective"].notna()]
    values = ranked[columns].to_numpy(np.float64)
    return ranked[pareto_front(values)].sort_values(columns[0], ascending=False, kind="stable")


def over_all(series: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Rank the sets (rows as in `sweeps`, by the name of the series) that have an objective on every series.

    Columns: parameters; objective, its mean over the series; lowest, and the series `worst` that it is of. The highest
    mean comes first, equals in the order of the sweep.
    """
    tables = [frame.set_index("parameters")["objective"].rename(name) for name, frame in series.items()]
    joined = pd.concat([table[~table.index.duplicated()] for table in tables], axis=1, join="inner").dropna()
    found = pd.DataFrame({"objective": joined.mean(axis=1), "lowest": joined.min(axis=1)})
    found["worst"] = joined.idxmin(axis=1) if len(joined) else pd.Series(dtype="str")
    return found.rename_axis("parameters").reset_index().sort_values("objective", ascending=False, kind="stable")
