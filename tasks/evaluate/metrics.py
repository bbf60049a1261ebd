"""The metrics of a run, computed from its tables."""

from __future__ import annotations

import numpy as np
import pandas as pd

from data.metrics import METRICS
from tasks.evaluate.account import read_account
from tasks.evaluate.activity import activity_figures
from tasks.evaluate.benchmark import benchmark_figures
from tasks.evaluate.drawdown import drawdown_figures
from tasks.evaluate.figure import Figures, figure, tabulate
from tasks.evaluate.intervals import with_intervals
from tasks.evaluate.neighbours import FIGURES
from tasks.evaluate.returns import growth_figures, risk_figures
from tasks.evaluate.sample import draw_sample
from tasks.evaluate.sharpe import certainty_figures
from tasks.evaluate.shuffles import shuffle_figures
from tasks.evaluate.tails import tail_figures
from tasks.evaluate.trades import read_trades, trade_figures


def evaluate(
    equity: pd.DataFrame,
    trades: pd.DataFrame,
    fills: pd.DataFrame,
    candles: pd.DataFrame,
    *,
    cash: float,
    timeframe: str,
    calendar: str,
) -> pd.DataFrame:
    """Compute every metric of `data.metrics.METRICS`, in its order.

    Equity, trades and fills have the columns of the lake's tables; candles are those that the run saw, with the same
    instants as equity. `cash` is the money at the start (quote currency). `calendar` is "24/7" or the code of a stock
    exchange, such as XNYS; it decides how many periods make a year.

    Returns one row a metric: metric, value, low, high, unit, note. Value is null where the metric is not defined, and
    the note says why; it is never infinite. Low and high bound a 95 % interval where there is one.
    Raises BadInput for tables that cannot be evaluated.
    """
    account = read_account(equity, candles, cash=cash, timeframe=timeframe, calendar=calendar)
    closed = read_trades(trades)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # what overflows becomes an absent figure
        sample = draw_sample(account)
        growth = growth_figures(account, sample)
        figures = {
            **growth,
            **risk_figures(sample),
            **tail_figures(sample.returns),
            **drawdown_figures(account, growth["cagr"], growth["cumulative_return"]),
            **benchmark_figures(account, sample),
            **trade_figures(closed),
            **activity_figures(account, fills),
            **certainty_figures(sample.returns),
            **shuffle_figures(closed.profit, account.cash),
        }
        return tabulate(with_intervals(figures, account, sample, closed, fills), METRICS)


def headline(
    equity: pd.DataFrame, trades: pd.DataFrame, candles: pd.DataFrame, *, cash: float, timeframe: str, calendar: str
) -> Figures:
    """Compute of what `evaluate` does the figures by which other terms are compared: those of the table sensitivity.

    They are the same to the bit, without what takes a thousand histories. Raises as `evaluate` does.
    """
    account = read_account(equity, candles, cash=cash, timeframe=timeframe, calendar=calendar)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        sample = draw_sample(account)
        growth = growth_figures(account, sample)
        found = {
            **growth,
            **risk_figures(sample),
            **drawdown_figures(account, growth["cagr"], growth["cumulative_return"]),
            "trades": figure(len(trades)),
        }
    return {name: found[name] for name in FIGURES}
