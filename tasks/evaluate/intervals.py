"""Intervals for the headline metrics: what histories drawn from the run's own returns and trades came to.

Sources: D. N. Politis, J. P. Romano, "The Stationary Bootstrap", Journal of the American Statistical Association
89(428), 1994; intervals of percentiles: B. Efron, R. J. Tibshirani, "An Introduction to the Bootstrap", 1993, ch. 13.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import pandas as pd

from data.metrics import PORTFOLIO
from tasks.evaluate.account import Account, Floats, Ints, instants, numbers
from tasks.evaluate.bootstrap import block_length, counts, draw
from tasks.evaluate.figure import Figures
from tasks.evaluate.sample import DAYS_A_YEAR, MIN_RETURNS, ROUNDING, Sample, period_ends
from tasks.evaluate.trades import Trades

OUTSIDE = 2.5
"""Percent of the histories below an interval, and above it."""
MIN_TRADES = 10
"""Closed trades below which a draw of them says next to nothing."""

Bounds = tuple[float | None, float | None]
Drawn = dict[str, Floats]
"""Metrics by name, one value a history."""


def with_intervals(figures: Figures, account: Account, sample: Sample, trades: Trades, fills: pd.DataFrame) -> Figures:
    """Return the figures with the intervals of the headline metrics: percentiles 2.5 and 97.5 of 1,000 histories.

    The histories are drawn from the run's periods (return, the market's return, what the account did) and from its
    closed trades, in blocks of automatic mean length, and are always the same. Win rate keeps Wilson's interval, which
    holds near 0 and 1 too; the trades open at the end are a fact, not an estimate. There is none for a figure that is
    absent, for one not defined in more than 2.5 % of the histories, and from fewer than 30 returns or 10 trades.
    """
    drawn = Drawn()
    returns = sample.returns
    if len(returns) >= MIN_RETURNS and returns.std() > ROUNDING and account.ruin is None:
        activity, lot = _activity(account, trades, fills), draw(len(returns), block_length(returns))
        drawn |= _joined(_of_periods(instants, account.cash, sample, activity) for instants in lot)
    if len(trades.profit) >= MIN_TRADES:
        lot = draw(len(trades.profit), block_length(trades.profit))
        drawn |= _joined(_of_trades(trades.profit[instants]) for instants in lot)
    bounds: dict[str, Bounds] = dict.fromkeys((name for name in PORTFOLIO if name != "win_rate"), (None, None))
    bounds |= {name: _bounds(values) for name, values in drawn.items() if figures[name].value is not None}
    return figures | {name: figures[name]._replace(low=low, high=high) for name, (low, high) in bounds.items()}


def _of_periods(instants: Ints, cash: float, sample: Sample, activity: Floats) -> Drawn:
    """Return the metrics that come from periods, for each column of instants."""
    own, market, count = sample.returns, sample.market, len(sample.returns)
    moments = (own, own**2, np.minimum(own, 0) ** 2, market, market**2, own * market)
    features = np.vstack([*moments, np.log1p(market), *activity])
    sums = np.einsum("ft,th->fh", features, counts(instants))  # BLAS starts threads for it, which takes longer
    mean, square, downside, market_mean, market_square, product = sums[: len(moments)] / count
    market_growth, held, closes, closed, fees = sums[len(moments) :]
    year, root = sample.periods_per_year, math.sqrt(sample.periods_per_year)
    deviation = np.sqrt(np.maximum(square - mean**2, 0) * count / (count - 1))
    beta = (product - mean * market_mean) / (market_square - market_mean**2)
    growth, deepest, longest = _paths(own[instants])
    cagr = growth ** (DAYS_A_YEAR / sample.days) - 1
    return {
        "annual_return": mean * year,
        "cumulative_return": growth - 1,
        "annual_volatility": deviation * root,
        "sharpe_ratio": mean / deviation * root,
        "sortino_ratio": mean / np.sqrt(downside) * root,
        "calmar_ratio": cagr / -deepest,
        "cagr": cagr,
        "max_drawdown": deepest,
        "max_drawdown_days": longest * sample.days / count,
        "exposure_time": held / closes,
        "final_equity": cash * growth,
        "buy_and_hold_return": np.expm1(market_growth),
        "alpha": (mean - beta * market_mean) * year,
        "beta": beta,
        "closed_trades": closed,
        "fees_paid": fees,
    }


def _paths(returns: Floats) -> tuple[Floats, Floats, Floats]:
    """Return final growth, deepest drawdown and the longest way from a peak back to it in periods, for each column."""
    returns += 1
    curve = np.multiply.accumulate(returns, axis=0, out=returns)
    growth = curve[-1].copy()
    peak = np.maximum.accumulate(curve, axis=0)
    np.maximum(peak, 1.0, out=peak)
    place = np.arange(1, len(curve) + 1, dtype=np.int32)[:, None]
    since = np.where(curve >= peak, place, 0)
    np.maximum.accumulate(since, axis=0, out=since)
    longest = (place - since).max(axis=0).astype(np.float64)
    curve /= peak
    return growth, np.minimum(curve.min(axis=0) - 1, 0.0), longest


def _of_trades(profit: Floats) -> Drawn:
    """Return the metrics that come from closed trades, for each column of profits."""
    mean, deviation = profit.mean(axis=0), profit.std(axis=0, ddof=1)
    return {
        "profit_factor": np.maximum(profit, 0).sum(axis=0) / np.maximum(-profit, 0).sum(axis=0),
        "expectancy": mean,
        "sqn": math.sqrt(len(profit)) * mean / deviation,
    }


def _activity(account: Account, trades: Trades, fills: pd.DataFrame) -> Floats:
    """Return closes with a position, closes, trades closed and fees paid, a period a column."""
    ends = period_ends(account.opens, account.candle)
    first = np.concatenate(([0], ends[:-1] + 1))
    held = np.add.reduceat((account.position != 0).astype(np.float64), first)
    limits, last = account.closes[ends], len(ends) - 1

    def summed(ts: Ints, amounts: Floats | None) -> Floats:
        periods = np.minimum(np.searchsorted(limits, ts, side="right"), last)
        return np.bincount(periods, amounts, minlength=len(ends)).astype(np.float64)

    fees = summed(instants(fills["ts"], "fills.ts"), numbers(fills["fee"], "fills.fee"))
    return np.vstack([held, np.diff(np.append(first, ends[-1] + 1)), summed(trades.exits, None), fees])


def _joined(parts: Iterable[Drawn]) -> Drawn:
    every = list(parts)
    return {name: np.concatenate([part[name] for part in every]) for name in every[0]}


def _bounds(values: Floats) -> Bounds:
    """Return the percentiles; none where too many of the histories have no such figure."""
    known = values[~np.isnan(values)]
    if len(known) < len(values) * (1 - OUTSIDE / 100):
        return None, None
    low, high = np.percentile(known, [OUTSIDE, 100 - OUTSIDE])
    return (float(low), float(high)) if math.isfinite(low) and math.isfinite(high) else (None, None)
