"""The sets beside the best one: the same but for one parameter, which has the next lower or higher value tried."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

FIGURES = ("cumulative_return", "sharpe_ratio", "period_sharpe", "max_drawdown", "trades")


def numbers(parameters: Mapping[str, Any]) -> dict[str, int | float]:
    """Return the parameters that can be lower and higher: numbers, of which flags are none."""
    return {
        name: value
        for name, value in parameters.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def neighbours(sets: pd.DataFrame, best: pd.Series) -> list[dict[str, Any]]:
    """Return rows as in the table sensitivity, without `run_id`, for a set of a sweep, from the rows of the others.

    Parameters that are no numbers have no neighbours, nor have those of which no other value was tried with all else
    equal. Sets that failed are none.
    """
    tried = sets[sets["failure"].isna()]
    own, others = json.loads(best["parameters"]), [json.loads(text) for text in tried["parameters"]]
    rows = []
    for name, value in numbers(own).items():
        line = {other[name]: place for place, other in enumerate(others) if other == own | {name: other[name]}}
        lower, higher = [each for each in line if each < value], [each for each in line if each > value]
        for step, nearest in ((-1, max(lower, default=None)), (1, min(higher, default=None))):
            if nearest is not None:
                found = tried.iloc[line[nearest]]
                row = {"varied": name, "step": step, "value": json.dumps(nearest), "note": None}
                rows.append(row | {figure: found[figure] for figure in FIGURES})
    return rows
