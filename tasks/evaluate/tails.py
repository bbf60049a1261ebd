"""The shape of the returns' distribution: its asymmetry and its tails."""

from __future__ import annotations

import numpy as np

from tasks.evaluate.account import Floats
from tasks.evaluate.figure import Figure, Figures, absent, figure, ratio
from tasks.evaluate.sample import ROUNDING

TAIL = 0.05
MIN_FOR_TAIL = 20
"""With fewer returns not one of them is the worst 5 %."""


def tail_figures(returns: Floats) -> Figures:
    """Compute skew, kurtosis, and what the worst and best 5 % of the returns are."""
    figures: Figures = {"skew": _skew(returns), "kurtosis": _kurtosis(returns)}
    if len(returns) < MIN_FOR_TAIL:
        few = absent(f"needs {MIN_FOR_TAIL} returns, for 5 % of them to be one")
        return figures | dict.fromkeys(("value_at_risk", "conditional_value_at_risk", "tail_ratio"), few)
    low, high = np.quantile(returns, (TAIL, 1 - TAIL))
    worst = int((len(returns) - 1) * TAIL) + 1
    return figures | {
        "value_at_risk": figure(low),
        "conditional_value_at_risk": figure(np.partition(returns, worst - 1)[:worst].mean()),
        "tail_ratio": ratio(abs(high), abs(low), "the 5 % quantile is 0"),
    }


def _skew(returns: Floats) -> Figure:
    """G1 of Joanes and Gill (1998)."""
    n = len(returns)
    if n < 3:
        return absent("needs 3 returns")
    scores = _scores(returns)
    if scores is None:
        return absent("the returns do not vary")
    return figure(float((scores**3).mean()) * (n * (n - 1)) ** 0.5 / (n - 2))


def _kurtosis(returns: Floats) -> Figure:
    """G2 of Joanes and Gill (1998)."""
    n = len(returns)
    if n < 4:
        return absent("needs 4 returns")
    scores = _scores(returns)
    if scores is None:
        return absent("the returns do not vary")
    return figure(((n + 1) * (float((scores**4).mean()) - 3) + 6) * (n - 1) / ((n - 2) * (n - 3)))


def _scores(returns: Floats) -> Floats | None:
    """Return the distances from the mean in standard deviations (n); None where there is no deviation."""
    deviation = float(returns.std())
    return None if deviation <= ROUNDING else (returns - returns.mean()) / deviation
