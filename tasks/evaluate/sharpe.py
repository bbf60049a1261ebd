"""How sure a Sharpe ratio is: the probabilistic and the deflated one, and the track record that would prove it.

Ratios here are of one period (not annualised) and excess over 0. Skewness and kurtosis are plain moments in standard
deviations; kurtosis is 3 for a normal distribution.

Sources: D. H. Bailey, M. Lopez de Prado, "The Sharpe Ratio Efficient Frontier", Journal of Risk 15(2), 2012; the same,
"The Deflated Sharpe Ratio: Correcting for Selection Bias, Backtest Overfitting and Non-Normality", Journal of Portfolio
Management 40(5), 2014.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

from tasks.evaluate.account import Floats
from tasks.evaluate.figure import Figures, absent, figure
from tasks.evaluate.sample import MIN_RETURNS, ROUNDING

EULER = 0.5772156649015329
"""The Euler-Mascheroni constant."""
_NORMAL = NormalDist()

CONFIDENCE = 0.95
"""What a probability must reach to count as proof, as in both papers."""


class Ratio(NamedTuple):
    """A Sharpe ratio of one period, and what its standard error takes."""

    value: float
    observations: int
    skewness: float
    kurtosis: float


def ratio_of(returns: Floats) -> Ratio | None:
    """Return the Sharpe ratio of returns; None for fewer than 30, and where they do not vary."""
    if len(returns) < MIN_RETURNS or returns.std() <= ROUNDING:
        return None
    scores = (returns - returns.mean()) / returns.std()
    value = float(returns.mean() / returns.std(ddof=1))
    return Ratio(value, len(returns), float((scores**3).mean()), float((scores**4).mean()))


def certainty_figures(returns: Floats) -> Figures:
    """Compute how sure it is that the true ratio is above 0, were this the only trial, and the returns it takes."""
    own = ratio_of(returns)
    if own is None:
        reason = "the returns do not vary" if len(returns) >= MIN_RETURNS else f"needs {MIN_RETURNS} returns"
        return dict.fromkeys(("probabilistic_sharpe", "minimum_track_record"), absent(reason))
    length = minimum_track_record(own.value, own.skewness, own.kurtosis)
    return {
        "probabilistic_sharpe": figure(probabilistic_sharpe(*own)),
        "minimum_track_record": figure(length) if math.isfinite(length) else absent("never: the ratio is not above 0"),
    }


def probabilistic_sharpe(
    sharpe: float, observations: int, skewness: float = 0.0, kurtosis: float = 3.0, benchmark: float = 0.0
) -> float:
    """Return the probability that the true ratio is above a benchmark: Bailey and Lopez de Prado (2012), eq. 11.

    A hedge fund's 24 monthly returns: at their skewness the same ratio says less.

    >>> round(probabilistic_sharpe(0.458, 24), 3), round(probabilistic_sharpe(0.458, 24, -2.448, 10.164), 3)
    (0.982, 0.913)
    """
    spread = _spread(sharpe, skewness, kurtosis)
    return _NORMAL.cdf((sharpe - benchmark) * math.sqrt(observations - 1) / spread)


def minimum_track_record(
    sharpe: float, skewness: float = 0.0, kurtosis: float = 3.0, benchmark: float = 0.0, confidence: float = 0.95
) -> float:
    """Return the observations it takes until a ratio is above a benchmark with this confidence; infinite: never.

    Bailey and Lopez de Prado (2012), eq. 13. An annual ratio of 2 against 1, of monthly returns, takes 3.24 years:

    >>> round(minimum_track_record(2 / 12**0.5, benchmark=1 / 12**0.5) / 12, 2)
    3.24
    """
    if sharpe <= benchmark:
        return math.inf
    return 1.0 + (_spread(sharpe, skewness, kurtosis) * _NORMAL.inv_cdf(confidence) / (sharpe - benchmark)) ** 2


def expected_maximum(trials: float, variance: float) -> float:
    """Return the ratio expected of the best of so many independent trials without any skill.

    `variance` is that of the trials' ratios. Bailey and Lopez de Prado (2014), eq. 1; it takes 2 trials to choose
    among, and of one the expectation is 0.
    """
    if trials < 2:
        return 0.0
    first, second = _NORMAL.inv_cdf(1 - 1 / trials), _NORMAL.inv_cdf(1 - 1 / (trials * math.e))
    return math.sqrt(variance) * ((1 - EULER) * first + EULER * second)


def deflated_sharpe(
    sharpe: float, observations: int, skewness: float, kurtosis: float, trials: float, variance: float
) -> float:
    """Return the probability that the ratio is above what the best of the trials would show without any skill.

    Bailey and Lopez de Prado (2014), eq. 2: the probabilistic ratio against `expected_maximum`. The paper's example, an
    annual ratio of 2.5 in 1250 days, the best of 100 trials whose annual ratios vary by 1/2:

    >>> round(deflated_sharpe(2.5 / 250**0.5, 1250, -3, 10, 100, 0.5 / 250), 4)
    0.9004
    """
    return probabilistic_sharpe(sharpe, observations, skewness, kurtosis, expected_maximum(trials, variance))


def _spread(sharpe: float, skewness: float, kurtosis: float) -> float:
    """Return the ratio's standard error times the root of the observations less 1: eq. 8 of (2012)."""
    return math.sqrt(max(1e-12, 1.0 - skewness * sharpe + (kurtosis - 1.0) / 4.0 * sharpe**2))
