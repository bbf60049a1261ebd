"""Whether the best of many sets is better than a benchmark, all of them being known: reality check and SPA test.

`arch.bootstrap.SPA` draws one history after the other and compares means that are not divided by their deviations, as
White does. Here all histories are one product of matrices; the tests hold the p-values without deviations to arch's.

Sources: H. White, "A Reality Check for Data Snooping", Econometrica 68(5), 2000; P. R. Hansen, "A Test for Superior
Predictive Ability", Journal of Business and Economic Statistics 23(4), 2005.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tasks.evaluate.account import Floats
from tasks.evaluate.bootstrap import RESAMPLES, block_length, counts, draw
from tasks.evaluate.sample import MIN_RETURNS, ROUNDING

_AT_ONCE = 2**20
"""Returns looked at in one go, which bounds the memory."""
_SERIES_FOR_LENGTH = 100
"""Sets, evenly taken, whose mean block length is that of all: the draw must be the same for all of them."""


class Superiority(NamedTuple):
    """Probabilities that sets without superiority show as good a best one; small ones speak for the best set."""

    reality_check: float
    """White's: from means alone."""
    lower: float
    """Hansen's, if only sets better than the benchmark mattered."""
    consistent: float
    """Hansen's: sets that are clearly worse than the benchmark do not matter."""
    upper: float
    """Hansen's, if all sets were as good as the benchmark."""
    sets: int
    block: float
    """Mean length of the bootstrap's blocks."""


def superiority(
    returns: Floats, market: Floats | None = None, *, resamples: int = RESAMPLES, seed: int = 0
) -> Superiority | None:
    """Test whether any set returns more than the market held in the same measure; None where nothing can be tested.

    `returns` have a row a period and a column a set, `market` the market's over the same periods; without one the
    benchmark is to hold nothing. With one, what a set owes to the market (beta times its return) is taken off: who
    holds a rising market at random moments gains, and has no skill. Sets whose remainder does not vary are left out.

    The statistic is Hansen's (2005, section 2): the largest root(n) * mean / deviation, or 0. Its distribution without
    superiority is bootstrapped (section 3) with each set's mean taken off: always (upper), where it is above 0 (lower),
    where it is not below -deviation * root(2 log log n / n) (consistent). White's (2000, section 2) is the largest
    root(n) * mean, with the mean always taken off. Where no set is better than the benchmark, the statistic is 0 and
    Hansen's probabilities are 1. The draw is the stationary bootstrap with one block length for all.
    """
    remainder = _beyond(returns, market)
    remainder = remainder[:, remainder.std(axis=0) > ROUNDING]
    count, sets = remainder.shape
    if count < MIN_RETURNS or not sets:
        return None
    block = block_length(remainder[:, :: max(1, sets // _SERIES_FOR_LENGTH)])
    spread = deviations(remainder, block)
    mean = remainder.mean(axis=0)
    worst = -np.sqrt(2 * np.log(np.log(count)) / count) * spread
    moved = {
        "reality_check": (mean, np.ones(sets)),
        "lower": (np.maximum(mean, 0), spread),
        "consistent": (np.where(mean >= worst, mean, 0.0), spread),
        "upper": (mean, spread),
    }
    drawn = {name: np.full(resamples, -np.inf) for name in moved}
    step, at = max(1, _AT_ONCE // max(count, resamples)), 0
    for instants in draw(count, block, resamples, seed):
        rows = slice(at, at := at + instants.shape[1])
        weights = counts(instants) / count
        for first in range(0, sets, step):
            own = slice(first, first + step)
            means = remainder[:, own].T @ weights
            for name, (by, scale) in moved.items():
                best = ((means - by[own, None]) / scale[own, None]).max(axis=0)
                np.maximum(drawn[name][rows], best, out=drawn[name][rows])
    found = {"reality_check": float((drawn["reality_check"] > mean.max()).mean())}
    statistic = max(0.0, float((mean / spread).max()))
    found |= {name: float((drawn[name].clip(0) >= statistic).mean()) for name in ("lower", "consistent", "upper")}
    return Superiority(**found, sets=sets, block=block)


def deviations(series: Floats, block: float) -> Floats:
    """Return the deviation of root(n) * mean of each column under the stationary bootstrap with such blocks.

    Politis and Romano (1994), lemma 1, which Hansen (2005, section 3) takes: root of the sum over all lags i of the
    autocovariances times (1 - i / n) * (1 - p) ** i + i / n * (1 - p) ** (n - i), where p is 1 / `block`. Never below a
    hundredth of the plain deviation.
    """
    count = len(series)
    lag, keep = np.arange(1, count), 1 - 1 / block
    kernel = np.concatenate(([1.0], 2 * ((1 - lag / count) * keep**lag + lag / count * keep ** (count - lag))))
    size = 2 ** int(np.ceil(np.log2(2 * count)))
    variances, step = np.empty(series.shape[1]), max(1, _AT_ONCE // size)
    for first in range(0, series.shape[1], step):
        own = series[:, first : first + step] - series[:, first : first + step].mean(axis=0)
        power = np.abs(np.fft.rfft(own, size, axis=0)) ** 2
        covariances = np.fft.irfft(power, size, axis=0)[:count] / count
        variances[first : first + step] = np.maximum(kernel @ covariances, covariances[0] * 1e-4)
    found: Floats = np.sqrt(variances)
    return found


def _beyond(returns: Floats, market: Floats | None) -> Floats:
    """Return what the market does not explain of the returns."""
    columns = np.asarray(returns, dtype=np.float64)
    if market is None or market.std() <= ROUNDING:
        return columns
    own = market - market.mean()
    beta = own @ columns / (own @ own)
    return columns - np.outer(market, beta)
