"""How many different things were tried: trials whose returns go together are one trial.

Source: M. Lopez de Prado, M. J. Lewis, "Detection of False Investment Strategies Using Unsupervised Learning Methods",
Quantitative Finance 19(9), 2019. They cluster the trials by the correlation of their returns, make one series of
returns of each cluster, weighted by inverse variance, and put the number of clusters and the variance of the clusters'
Sharpe ratios into the deflated Sharpe ratio.

Their clusters are those of k-means with the best silhouettes. Here they are those of complete linkage (scipy.cluster),
cut where two trials of a cluster would have less than half of their variance in common: a correlation of 0.71. Reasons:
it is the same at each call, takes a second for a thousand trials, and counts N independent trials as N. Silhouettes ask
which number of clusters is plainest, not how many there are. The tests hold this number to the truth.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tasks.evaluate.account import Floats, Ints
from tasks.evaluate.sample import MIN_RETURNS, ROUNDING

ALIKE = math.sqrt(0.5)
"""Correlation from which on two trials have half of their variance in common."""
MOST = 1_000
"""Trials that are clustered; of more an even sample is, and its clusters are scaled up."""


class Clusters(NamedTuple):
    """What was tried, as clusters."""

    trials: float
    """The effective number: 1 or more."""
    variance: float
    """Variance of the clusters' Sharpe ratios of one period, or what chance alone makes of it where that is more."""


def effective_trials(returns: Floats, trials: int, known: int | None = None) -> Clusters | None:
    """Cluster the returns of trials, a row a period and a column a trial; None where nothing can be clustered.

    `trials` is how many there were in all, `known` how many of them the columns stand for, if more than there are
    columns; each trial beside these counts as one. The variance is not taken below 1 / (n - 1): so much do ratios of n
    returns differ without any skill, and one of few clusters that resemble each other may be less. It is the floor too
    for what is chosen within a cluster, whose members differ by up to half of their variance and count as one.
    """
    columns = np.asarray(returns, dtype=np.float64)
    columns = columns[:, columns.std(axis=0) > ROUNDING]
    count = columns.shape[1]
    if len(columns) < MIN_RETURNS or not count:
        return None
    known = max(count, known or 0)
    sample = columns[:, np.linspace(0, count - 1, min(count, MOST)).astype(np.int64)]
    series = _series(sample, _labels(sample))
    clusters = series.shape[1]
    ratios = series.mean(axis=0) / series.std(axis=0, ddof=1)
    variance = float(ratios.var(ddof=1)) if clusters > 1 else 0.0
    number = clusters * known / sample.shape[1] + max(0, trials - known)
    return Clusters(min(float(trials), number), max(variance, 1 / (len(series) - 1)))


def _labels(columns: Floats) -> Ints:
    """Return the number of each column's cluster, from 0: no two columns of one correlate less than `ALIKE`.

    The distance is the paper's: root((1 - correlation) / 2), 0 where returns are the same and 1 where opposite.
    """
    if columns.shape[1] == 1:
        return np.zeros(1, dtype=np.int64)
    from scipy.cluster.hierarchy import fcluster, linkage

    correlation = np.asarray(np.corrcoef(columns, rowvar=False))
    upper = correlation[np.triu_indices(len(correlation), 1)]
    distance = np.sqrt(np.clip((1 - upper) / 2, 0, 1))
    found = fcluster(linkage(distance, "complete"), math.sqrt((1 - ALIKE) / 2), "distance")
    return np.asarray(found, dtype=np.int64) - 1


def _series(columns: Floats, labels: Ints) -> Floats:
    """Return the returns of each cluster, its members weighted by inverse variance."""
    weights = np.zeros((columns.shape[1], int(labels.max()) + 1))
    weights[np.arange(len(labels)), labels] = 1 / columns.var(axis=0)
    series: Floats = columns @ (weights / weights.sum(axis=0))
    return series
