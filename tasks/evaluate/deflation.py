"""A Sharpe ratio against the luckiest of all that was tried: by the effective number of trials, and by all of them."""

from __future__ import annotations

import math
from typing import NamedTuple

from tasks.evaluate.clusters import Clusters
from tasks.evaluate.sharpe import (
    CONFIDENCE,
    Ratio,
    expected_maximum,
    minimum_track_record,
    probabilistic_sharpe,
)


class Deflated(NamedTuple):
    """What is certain of a ratio; the strict figures count each trial as independent of the others."""

    trials: int
    effective_trials: float | None
    """None: the returns of the trials are not known, and the strict figures stand for the others."""
    observations: int
    period_sharpe: float
    expected_maximum_sharpe: float
    strict_expected_maximum_sharpe: float
    probabilistic_sharpe: float
    deflated_sharpe: float
    strict_deflated_sharpe: float
    minimum_track_record: float | None
    """None: no number of returns would prove it."""

    @property
    def doubt(self) -> str | None:
        """What speaks against the ratio in words; None where it is proven."""
        if self.deflated_sharpe >= CONFIDENCE:
            return None
        return (
            f"after {self.tried} the luckiest shows a Sharpe ratio of {self.expected_maximum_sharpe:.3f} a period "
            f"without any skill, this one {self.period_sharpe:.3f}: a deflated Sharpe ratio of "
            f"{self.deflated_sharpe:.1%}, and it takes {CONFIDENCE:.0%}"
        )

    @property
    def tried(self) -> str:
        """The number of trials in words."""
        counted = f"{self.trials:,} trial{'' if self.trials == 1 else 's'} on this series"
        few = self.effective_trials
        return counted if few is None or round(few) >= self.trials else f"{counted}, worth {few:,.0f} different ones,"


def deflate(own: Ratio, trials: int, variance: float, clusters: Clusters | None) -> Deflated:
    """Deflate a ratio: Bailey and Lopez de Prado (2014), eq. 1 and 2.

    `variance` is that of the ratios of all trials. The clusters' number and variance take the place of both as Lopez de
    Prado and Lewis (2019) propose; in the strict figures each trial counts, and the larger variance.
    """
    strict = expected_maximum(trials, variance if clusters is None else max(variance, clusters.variance))
    luckiest = strict if clusters is None else expected_maximum(clusters.trials, clusters.variance)
    length = minimum_track_record(own.value, own.skewness, own.kurtosis)
    return Deflated(
        trials=trials,
        effective_trials=None if clusters is None else clusters.trials,
        observations=own.observations,
        period_sharpe=own.value,
        expected_maximum_sharpe=luckiest,
        strict_expected_maximum_sharpe=strict,
        probabilistic_sharpe=probabilistic_sharpe(*own),
        deflated_sharpe=probabilistic_sharpe(*own, benchmark=luckiest),
        strict_deflated_sharpe=probabilistic_sharpe(*own, benchmark=strict),
        minimum_track_record=length if math.isfinite(length) else None,
    )
