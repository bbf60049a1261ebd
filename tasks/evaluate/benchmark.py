"""The market bought and held, and the account measured against it."""

from __future__ import annotations

import numpy as np

from tasks.evaluate.account import Account
from tasks.evaluate.drawdown import drawdown_series
from tasks.evaluate.figure import Figures, absent, figure
from tasks.evaluate.returns import annual, annual_sharpe
from tasks.evaluate.sample import ROUNDING, Sample


def benchmark_figures(account: Account, sample: Sample) -> Figures:
    """Compute the market's return, and alpha, beta and correlation of the account's.

    The market is bought at the open of the first candle, the instant at which the account has its cash, and pays no
    fee and no slippage. Both sides so cover the same periods, a strategy's warm-up included.
    """
    return {
        "buy_and_hold_return": figure(float(account.close[-1]) / account.first_price - 1),
        "buy_and_hold_sharpe_ratio": annual_sharpe(sample.market, sample),
        "buy_and_hold_max_drawdown": figure(drawdown_series(account.first_price, account.close).min()),
        **_regression(sample),
    }


def _regression(sample: Sample) -> Figures:
    names = ("alpha", "beta", "correlation")
    if len(sample.returns) < 2:
        return dict.fromkeys(names, absent("needs 2 returns"))
    own, market = sample.returns - sample.returns.mean(), sample.market - sample.market.mean()
    own_spread, market_spread = (float(np.sqrt((side**2).mean())) for side in (own, market))
    if market_spread <= ROUNDING:
        return dict.fromkeys(names, absent("the market's returns do not vary"))
    covariance = float((own * market).mean())
    beta = covariance / (market_spread * market_spread)
    alpha = (sample.returns.mean() - beta * sample.market.mean()) * sample.periods_per_year
    return {
        "alpha": annual(figure(alpha), sample),
        "beta": figure(beta),
        "correlation": figure(np.clip(covariance / own_spread / market_spread, -1, 1))
        if own_spread > ROUNDING
        else absent("the returns do not vary"),
    }
