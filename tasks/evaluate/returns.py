"""Growth of the account, and its risk as the returns show it."""

from __future__ import annotations

import math

import numpy as np

from tasks.evaluate.account import DAY, Account, Floats
from tasks.evaluate.figure import Figure, Figures, absent, figure, ratio
from tasks.evaluate.sample import DAYS_A_YEAR, MIN_RETURNS, ROUNDING, Sample

NORMAL_95 = 1.959963984540054
"""The standard normal distribution lies to 95 % within this distance of 0."""


def growth_figures(account: Account, sample: Sample) -> Figures:
    """Compute when the run was, and how the account grew."""
    ruined, returns = account.ruin_note, sample.returns
    final = float(account.equity[-1])
    return {
        "start": figure(float(account.opens[0]) / DAY),
        "end": figure(float(account.opens[-1] + account.candle) / DAY),
        "duration_days": figure(account.days),
        "observations": figure(len(returns), note=ruined or sample.irregular),
        "periods_per_year": figure(sample.periods_per_year),
        "annual_return": annual(figure(returns.mean() * sample.periods_per_year), sample),
        "cumulative_return": figure(final / account.cash - 1, note=ruined),
        "cagr": _growth_a_year(final / account.cash, sample),
        "net_profit": figure(final - account.cash),
        "final_equity": figure(final, note=ruined),
        "peak_equity": figure(max(account.cash, float(account.equity.max()))),
        "lowest_equity": figure(min(account.cash, float(account.equity.min()))),
        "period_return": figure(returns.mean()),
        "best_period": figure(returns.max()),
        "worst_period": figure(returns.min()),
        "positive_periods": figure((returns > 0).mean()),
    }


def risk_figures(sample: Sample) -> Figures:
    """Compute volatility and the ratios of return to it."""
    root = math.sqrt(sample.periods_per_year)
    volatility, sharpe, sortino = _volatility(sample.returns), sharpe_ratio(sample.returns), _sortino(sample.returns)
    return {
        "annual_volatility": annual(_times(volatility, root), sample),
        "sharpe_ratio": annual(_times(sharpe, root), sample),
        "sortino_ratio": annual(_times(sortino, root), sample),
        "omega_ratio": _omega(sample.returns),
        "period_volatility": volatility,
        "period_sharpe": sharpe,
        "period_sortino": sortino,
    }


def annual(annualised: Figure, sample: Sample) -> Figure:
    """Return a figure that the periods of a year went into; absent, with the reason, for too short a sample."""
    if sample.too_short is not None:
        return absent(sample.too_short)
    return annualised._replace(note=annualised.note or sample.irregular)


def annual_sharpe(returns: Floats, sample: Sample) -> Figure:
    """Return the annual Sharpe ratio of returns at the sample's period."""
    return annual(_times(sharpe_ratio(returns), math.sqrt(sample.periods_per_year)), sample)


def sharpe_ratio(returns: Floats) -> Figure:
    """Return the Sharpe ratio of one period with its 95 % interval, which takes 30 returns.

    The standard error is Mertens' (2002) generalisation of Lo (2002): the root of
    (1 - skew * s + (kurtosis - 1) / 4 * s ** 2) / n, for a ratio s of n independent returns. With the plain
    moments of the sample it is never the root of a negative number.
    """
    count = len(returns)
    if count < 2:
        return absent("needs 2 returns")
    deviation = float(returns.std(ddof=1))
    if deviation <= ROUNDING:
        return absent("the returns do not vary")
    value = float(returns.mean()) / deviation
    if count < MIN_RETURNS:
        return figure(value)
    scores = (returns - returns.mean()) / returns.std()
    third, fourth = float((scores**3).mean()), float((scores**4).mean())
    error = math.sqrt(max(0.0, 1 - third * value + (fourth - 1) / 4 * value**2) / count)
    return figure(value, (value - NORMAL_95 * error, value + NORMAL_95 * error))


def _volatility(returns: Floats) -> Figure:
    return figure(returns.std(ddof=1)) if len(returns) > 1 else absent("needs 2 returns")


def _sortino(returns: Floats) -> Figure:
    downside = math.sqrt(float((np.minimum(returns, 0) ** 2).mean()))
    return ratio(returns.mean(), downside, "no period lost")


def _omega(returns: Floats) -> Figure:
    return ratio(returns[returns > 0].sum(), -returns[returns < 0].sum(), "no period lost")


def _growth_a_year(growth: float, sample: Sample) -> Figure:
    if sample.too_short is not None:
        return absent(sample.too_short)
    if growth < 0:
        return absent("the final equity is below 0: no rate of growth leads there")
    return figure(np.float64(growth) ** (DAYS_A_YEAR / sample.days) - 1)


def _times(one: Figure, factor: float) -> Figure:
    value, low, high = (None if number is None else number * factor for number in one[:3])
    return Figure(value, low, high, one.note)
