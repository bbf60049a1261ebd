"""The returns of the account and of its market, at a stated period."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from tasks.evaluate.account import DAY, OPEN_ALWAYS, Account, Floats, Ints

MIN_DAYS = 90
MIN_RETURNS = 30
TRADING_DAYS = 252
DAYS_A_YEAR = 365
ROUNDING = 1e-12
"""A return, or a deviation of returns, within it is the rounding of 64-bit floats."""


@dataclass(frozen=True)
class Sample:
    """Returns of the account and of the market over the same periods, the first one from the start of the run."""

    returns: Floats
    market: Floats
    periods_per_year: float
    days: float
    """Days of the run, with or without returns."""

    @property
    def too_short(self) -> str | None:
        """Why the sample cannot be annualised; None when it can.

        At least 90 days and 30 returns are asked for. Annualising n days raises the growth seen to the power 365 / n
        and multiplies the mean by it: below a quarter of a year chance is blown up more than fourfold (freqtrade once
        printed a CAGR of 5e28 % for 18 days), and the standard error of a mean return, volatility / root of the
        years, is twice a year's volatility. With 30 returns a standard deviation is known to about 13 %
        (1 / root of 2 n), and the normal approximation behind the intervals begins to hold.
        """
        if self.days < MIN_DAYS or len(self.returns) < MIN_RETURNS:
            return (
                f"not annualised: {len(self.returns)} returns in {self.days:.4g} days, and it takes "
                f"{MIN_RETURNS} in {MIN_DAYS} days"
            )
        return None

    @property
    def irregular(self) -> str | None:
        """A remark when the returns are not as many as the calendar leads to expect, within a tenth; else None."""
        expected = self.days * self.periods_per_year / DAYS_A_YEAR
        if self.too_short is not None or abs(len(self.returns) - expected) <= expected / 10:
            return None
        return (
            f"{len(self.returns)} returns where the calendar leads to expect {expected:.0f}: candles are absent or the "
            "calendar is another, and annual figures err"
        )


def draw_sample(account: Account) -> Sample:
    """Take the returns: of UTC days for candles shorter than a day, of candles otherwise.

    The last value of a day stands for it; a day without candles has no return, and the next one spans it. The first
    return counts from the starting cash (the market's from the first open). Returns end at the candle that ruins the
    account: below 0 there is nothing that a return could be a fraction of.
    """
    ends = period_ends(account.opens, account.candle)
    if account.ruin is not None:
        ends = np.append(ends[ends < account.ruin], account.ruin)
    return Sample(
        returns=returns_of(account.cash, account.equity[ends]),
        market=returns_of(account.first_price, account.close[ends]),
        periods_per_year=periods_per_year(account.candle, account.calendar),
        days=account.days,
    )


def periods_per_year(candle: int, calendar: str) -> float:
    """Return how many periods make a year, for candles of so many microseconds.

    Up to a day the period is a day: 365 a year where the market never closes, 252 where it has weekends. A
    longer candle is a stretch of the calendar on both: 365 / its days, so 52.14 for a week.
    """
    if candle > DAY:
        return DAYS_A_YEAR * DAY / candle
    return DAYS_A_YEAR if calendar == OPEN_ALWAYS else TRADING_DAYS


def period_ends(opens: Ints, candle: int) -> Ints:
    """Return the candles at whose closes a period ends: the last of each UTC day, or all where they are that long.

    Opening instants and the candle's length are in microseconds.
    """
    if candle >= DAY:
        return np.arange(len(opens))
    midnights = np.arange(opens[0] // DAY + 1, opens[-1] // DAY + 1) * DAY
    return np.unique(np.append(np.searchsorted(opens, midnights), len(opens)) - 1)


class Market(NamedTuple):
    """What a series of candles was to whoever only held it: the periods and its returns."""

    days: Ints
    """UTC days since 1970 in which the last candle of each period opens."""
    returns: Floats


def market_of(candles: pd.DataFrame, candle: int) -> Market:
    """Return the periods of candles of so many microseconds, and the market's returns from the first open on."""
    opens = np.asarray(pd.DatetimeIndex(candles.index).as_unit("us").asi8, dtype=np.int64)
    ends = period_ends(opens, candle)
    close = candles["close"].to_numpy(np.float64)
    return Market(opens[ends] // DAY, returns_of(float(candles["open"].iloc[0]), close[ends]))


def returns_of(start: float, values: Floats) -> Floats:
    """Return the change from each value to the next along the last axis as a fraction, the first from the start."""
    before = np.concatenate((np.full((*values.shape[:-1], 1), start), values[..., :-1]), axis=-1)
    returns: Floats = values / before - 1.0
    returns[np.abs(returns) <= ROUNDING] = 0.0
    return returns
