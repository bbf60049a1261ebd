"""Trading calendars: on which days a market is expected to have candles."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd

from data.errors import BadInput, unknown

ALWAYS = "24/7"
WEEKDAYS = "24/5"

_LEAST_DAYS = 14
"""Days that a series must span before missing weekends say anything."""


def infer(ts: pd.DatetimeIndex) -> str | None:
    """Tell the calendar from the times of candles: weekdays, every day, or None for too short a series.

    No candle on a Saturday or Sunday in two weeks or more: `24/5`. Which stock exchange it is cannot be told.
    """
    if len(ts) == 0 or ts[-1] - ts[0] < pd.Timedelta(days=_LEAST_DAYS):
        return None
    return ALWAYS if bool((ts.day_of_week >= 5).any()) else WEEKDAYS


def check(name: str) -> str:
    """Return the name of a calendar. Raises BadInput for one that is not known."""
    if name in (ALWAYS, WEEKDAYS):
        return name
    import exchange_calendars

    known = exchange_calendars.get_calendar_names()
    if name not in known:
        raise unknown("calendar", name, {ALWAYS, WEEKDAYS, *known})
    return name


def trading_days(calendar: str, first: pd.Timestamp, last: pd.Timestamp) -> pd.DatetimeIndex:
    """Return the days (00:00 UTC) from `first` to `last`, both included, on which a market trades."""
    days = pd.date_range(first.floor("D"), last.floor("D"), freq="D")
    if calendar == ALWAYS:
        return days
    if calendar == WEEKDAYS:
        return days[days.day_of_week < 5]
    return days[np.isin(days.tz_localize(None).to_numpy(), _sessions(calendar, days[0], days[-1]))]


def _sessions(calendar: str, first: pd.Timestamp, last: pd.Timestamp) -> np.ndarray:
    import exchange_calendars

    margin = pd.Timedelta(days=30)  # a calendar without a single session is refused
    try:
        with warnings.catch_warnings():
            # exchange_calendars 4.13 still writes frequencies as pandas 4 will no longer read them.
            warnings.simplefilter("ignore")
            built = exchange_calendars.get_calendar(
                calendar, start=(first - margin).tz_localize(None), end=(last + margin).tz_localize(None)
            )
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise BadInput(
            f"calendar {calendar} does not reach from {first:%Y-%m-%d} to {last:%Y-%m-%d}: {reason}"
        ) from None
    return np.asarray(built.sessions.to_numpy())
