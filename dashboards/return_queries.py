"""What a backtest's account did, as a view of the table `equity`: rolling Sharpe, returns, months, exposure.

The returns are those that `tasks/evaluate` takes the metrics from: of UTC days for candles shorter than a day, of
candles otherwise, the first from the starting cash, none after the candle that ruins the account. How many make a year
is read from the run's metrics. Times come back as naive UTC.
"""

from __future__ import annotations

import math
from datetime import timedelta
from typing import NamedTuple

import pandas as pd

from dashboards.queries import Connection, Rows, Run, frame
from data.timeframe import parse_timeframe

MOST_CANDLES = 2_000
"""Of more candles than this several make one point of a line."""

MERGED_POINTS = 1_500
"""Merged points are no more than this."""

FEWEST_RETURNS = 30
"""With fewer a ratio says nothing: the metrics hold to the same bound."""

_DAY = timedelta(days=1)

_RETURNS = """
    WITH ends AS (
        SELECT coalesce(min(ts) FILTER (equity <= 0), max(ts)) AS ts, bool_or(equity <= 0) AS ruined,
            coalesce(arg_min(equity, ts) FILTER (equity <= 0), arg_max(equity, ts)) AS equity
        FROM equity WHERE run_id = $run GROUP BY {period}
    ), valued AS (
        SELECT ts, equity FROM ends QUALIFY ts <= coalesce(min(ts) FILTER (ruined) OVER (), 'infinity')
    )
    SELECT ts AT TIME ZONE 'UTC' AS ts, if(abs(value) <= 1e-12, 0.0, value) AS value
    FROM (SELECT ts, equity / lag(equity, 1, $cash::DOUBLE) OVER (ORDER BY ts) - 1 AS value FROM valued) ORDER BY 1"""


class Rolling(NamedTuple):
    """The annual Sharpe ratio over a window that moves along the run."""

    window: int
    """Returns in the window: those of half a year, or of a quarter where the run has less than a year.

    0 where the run's metrics do not say how many make a year.
    """
    returns: int
    """Returns of the whole run."""
    rows: Rows
    """ts, sharpe; the first at the end of the first whole window, so none where the run is shorter."""


class Distribution(NamedTuple):
    """How often returns of which size occurred."""

    rows: Rows
    """low, high, returns: as many returns lie from `low` to below `high`; no step spans 0."""
    returns: int
    still: int
    """Returns of exactly 0, as of a day without a position; they are not in `rows`."""


def period(run: Run) -> str:
    """Return what one return covers: day or candle."""
    return "day" if parse_timeframe(run.timeframe) < _DAY else "candle"


def returns(lake: Connection, run: Run) -> Rows:
    """Return ts and value of each return.

    The three questions that follow are answered from these, which are read once for all of them.
    """
    sql = _RETURNS.format(period="epoch_us(ts) // 86_400_000_000" if period(run) == "day" else "ts")
    return frame(lake, sql, {"run": run.run_id, "cash": run.cash})


def rolling_sharpe(lake: Connection, run: Run, returns: Rows) -> Rolling:
    """Return the rolling Sharpe ratio; of many points the last of each stretch."""
    known = lake.execute(
        "SELECT value FROM metrics WHERE run_id = ? AND metric = 'periods_per_year'", [run.run_id]
    ).fetchall()
    if not known or known[0][0] is None:
        return Rolling(0, 0, pd.DataFrame(columns=["ts", "sharpe"]))
    year = float(known[0][0])
    window = max(FEWEST_RETURNS, round(year / 2 if len(returns) >= year else year / 4))
    lake.register("returns", returns)
    rows = frame(
        lake,
        f"""WITH seen AS (
            SELECT ts, count(*) OVER span AS returns, avg(value) OVER span AS mean,
                stddev_samp(value) OVER span AS spread
            FROM returns WINDOW span AS (ORDER BY ts ROWS BETWEEN {window - 1} PRECEDING AND CURRENT ROW)
        )
        SELECT max(ts) AS ts, arg_max(if(spread > 1e-12, mean / spread * sqrt($year), 'nan'), ts) AS sharpe
        FROM seen WHERE returns = {window} GROUP BY {stretch(run)} ORDER BY 1""",  # noqa: S608
        {"year": year},
    )
    return Rolling(window, len(returns), rows)


def distribution(lake: Connection, run: Run, returns: Rows) -> Distribution:  # noqa: ARG001  asked as the others are
    """Return the returns counted by size, in steps after Freedman and Diaconis, 10 to 60 of them."""
    lake.register("returns", returns)
    rows = frame(
        lake,
        """WITH moved AS (SELECT value FROM returns WHERE value <> 0), sized AS (
            SELECT max(value) - min(value) AS span, max(abs(value)) AS largest,
                2 * (quantile_cont(value, 0.75) - quantile_cont(value, 0.25)) / cbrt(count(*)) AS good
            FROM moved
        ), width AS (
            SELECT if(span > 0, greatest(span / 60, least(span / 10, good)), largest) AS width FROM sized
        )
        SELECT floor(value / width) * width AS low, (floor(value / width) + 1) * width AS high, count(*) AS returns
        FROM moved, width GROUP BY floor(value / width), width ORDER BY 1""",
        {},
    )
    return Distribution(rows, len(returns), int((returns["value"] == 0).sum()))


def monthly(lake: Connection, run: Run, returns: Rows) -> Rows:  # noqa: ARG001  asked as the others are
    """Return the growth of each month and each year: year, month (null: the year), value."""
    lake.register("returns", returns)
    rows = frame(
        lake,
        """WITH dated AS (SELECT year(ts)::INTEGER AS year, month(ts)::INTEGER AS month, value FROM returns)
        SELECT year, month, product(1 + value) - 1 AS value
        FROM dated GROUP BY GROUPING SETS ((year, month), (year)) ORDER BY year, month NULLS LAST""",
        {},
    )
    return rows.astype({"month": "Int64"})


def exposure(lake: Connection, run: Run) -> Rows:
    """Return ts and the share of the equity that was in the market: below 0 when short, means where points are merged.

    A candle at whose close the account had nothing left has none.
    """
    return frame(
        lake,
        f"""SELECT min(ts) AT TIME ZONE 'UTC' AS ts,
            coalesce(avg(if(equity > 0, position * price / equity, NULL)), 'nan') AS exposure
        FROM equity WHERE run_id = $run GROUP BY {stretch(run)} ORDER BY 1""",  # noqa: S608
        {"run": run.run_id},
    )


def stretch(run: Run) -> str:
    """Return the stretch of time that makes the point of a line in which an instant `ts` lies, as SQL."""
    if run.candles <= MOST_CANDLES:
        return "ts"
    candle = int(parse_timeframe(run.timeframe).total_seconds())
    wanted = ((run.end_ts - run.start_ts).total_seconds() + candle) / MERGED_POINTS
    return f"epoch_us(ts) // {candle * max(1, math.ceil(wanted / candle)) * 1_000_000}"
