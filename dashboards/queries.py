"""All that the pages ask of the lake: each question a function of a DuckDB connection to one version of the lake.

`hub.Hub.ask` runs them off the event loop, and makes one line of what DuckDB raises. Times come back as naive UTC,
which is what the charts draw.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import NamedTuple

import duckdb
import pandas as pd

from data.errors import LakeError
from data.timeframe import parse_timeframe

MOST_CANDLES = 2_000
"""More candles than this are merged before they go to a browser."""

MERGED_CANDLES = 1_500
"""The merged candles are no more than this, and seldom less than half as many."""

LEAD = 100
"""So many candles before its first decision are where the charts of a session begin."""

_STEPS = (60, 300, 900, 1800, *(3600 * hours for hours in (1, 2, 4, 8, 12, 24, 48, 72, 168)))

Rows = pd.DataFrame
Connection = duckdb.DuckDBPyConnection


class Run(NamedTuple):
    """A recorded run; times are naive UTC."""

    run_id: str
    kind: str
    exchange: str
    symbol: str
    timeframe: str
    strategy: str
    parameters: str
    start_ts: pd.Timestamp
    end_ts: pd.Timestamp
    candles: int
    cash: float
    fee: float
    slippage: float
    code_version: str
    data_fingerprint: str | None
    manifest: str
    flow_run_id: str | None
    created_at: pd.Timestamp

    @property
    def is_session(self) -> bool:
        """Whether it is a paper or live session, whose rows go on."""
        return self.kind in {"paper", "live"}

    @property
    def mode(self) -> str:
        """What becomes of a session's orders: `paper`, `practice` or `live`; a backtest's kind is its own."""
        practised = self.exchange == "practice" or self.exchange.startswith("practice-")
        return "practice" if self.kind == "live" and practised else self.kind

    @property
    def drawn_from(self) -> pd.Timestamp:
        """Where its charts begin."""
        return self.start_ts - LEAD * parse_timeframe(self.timeframe) if self.is_session else self.start_ts

    @property
    def bucket(self) -> int:
        """Seconds that a candle of the charts covers; 0 where they are the run's own candles."""
        if self.candles <= MOST_CANDLES:
            return 0
        candle = self._seconds
        wanted = (self.end_ts - self.start_ts).total_seconds() / MERGED_CANDLES
        fitting = [step for step in _STEPS if step >= wanted and step % candle == 0]
        return fitting[0] if fitting else candle * math.ceil(wanted / candle)

    @property
    def _seconds(self) -> int:
        return int(parse_timeframe(self.timeframe).total_seconds())

    @property
    def _time(self) -> str:
        return f"time_bucket(to_seconds({self.bucket}), ts)" if self.bucket else "ts"

    @property
    def candle_time(self) -> str:
        """The chart's candle in which an instant `ts` lies, as SQL."""
        return f"time_bucket(to_seconds({self.bucket or self._seconds}), ts)"


_TIMES = ("start_ts", "end_ts", "created_at")
_RUN = ", ".join(f"{name} AT TIME ZONE 'UTC' AS {name}" if name in _TIMES else name for name in Run._fields)


def runs(lake: Connection, kind: str) -> list[Run]:
    """Return the runs of a kind, newest first.

    Those of kind `session`, which are on paper or live, have `start_ts`, `end_ts` and `candles` of what is decided.
    """
    if kind == "session":
        return _runs(lake, "kind IN ('paper', 'live')", [], _SESSIONS)
    return _runs(lake, "kind = ?", [kind])


def run(lake: Connection, run_id: str) -> Run | None:
    """Return a run; None where the lake has none of that id."""
    found = _runs(lake, "run_id = ?", [run_id])
    return found[0] if found else None


def metrics(lake: Connection, run: Run) -> Rows:
    """Return the run's metrics by name: value, low, high, unit, note."""
    rows = _frame(lake, "SELECT metric, value, low, high, unit, note FROM metrics WHERE run_id = ?", [run.run_id])
    return rows.set_index("metric")


def candles(lake: Connection, run: Run) -> Rows:
    """Return the candles as the run saw them, merged where they are many: ts, open, high, low, close, volume."""
    rows = _frame(
        lake,
        f"""SELECT {run._time} AT TIME ZONE 'UTC' AS ts, arg_min(open, ts) AS open, max(high) AS high, min(low) AS low,
            arg_max(close, ts) AS close, sum(volume) AS volume
        FROM ({_SEEN}) GROUP BY 1 ORDER BY 1""",  # noqa: S608
        _series(run),
    )
    if rows.empty:
        raise LakeError(f"the lake no longer has the candles of {run.symbol} {run.timeframe} from {run.exchange}")
    return rows


def first_open(lake: Connection, run: Run) -> float | None:
    """Return the open of the run's first candle: where buying and holding starts."""
    start = run.start_ts.tz_localize("UTC").to_pydatetime()
    series = {**_series(run), "start": start}
    row = lake.execute(f"SELECT arg_min(open, ts) FROM ({_SEEN})", series).fetchall()  # noqa: S608
    return float(row[0][0]) if row[0][0] is not None else None


def indicators(lake: Connection, run: Run) -> Rows:
    """Return ts and the strategy's indicators, a column each, as they stood at the closes of the chart's candles."""
    names = [
        str(row[0])
        for row in lake.execute(
            "SELECT DISTINCT unnest(map_keys(indicators)) AS name FROM signals WHERE run_id = ? ORDER BY name",
            [run.run_id],
        ).fetchall()
    ]
    columns = "".join(f", arg_max(indicators[?], ts) AS i{n}" for n in range(len(names)))
    rows = _frame(
        lake,
        f"""SELECT {run._time} AT TIME ZONE 'UTC' AS ts{columns}
        FROM signals WHERE run_id = ? GROUP BY 1 ORDER BY 1""",  # noqa: S608
        [*names, run.run_id],
    )
    return rows.set_axis(["ts", *names], axis="columns")


def markers(lake: Connection, run: Run) -> Rows:
    """Return the trades' entries and exits at their candles: ts, price, action, trades, text and profit for a hover.

    `action` is buy or sell. Where candles are merged, so are the markers on one of them, at their average price.
    """
    return _frame(
        lake,
        f"""WITH events AS (
            SELECT entry_ts AS ts, entry_price AS price, amount, trade_id, NULL::DOUBLE AS profit,
                if(side = 'long', 'buy', 'sell') AS action, side || ' entry' AS text
            FROM trades WHERE run_id = $run
            UNION ALL
            SELECT exit_ts, exit_price, amount, trade_id, profit, if(side = 'long', 'sell', 'buy'),
                side || ' exit: ' || replace(coalesce(exit_reason, '?'), '_', ' ')
            FROM trades WHERE run_id = $run AND exit_ts IS NOT NULL
        )
        SELECT {run._time} AT TIME ZONE 'UTC' AS ts, action, count(*) AS events, avg(price) AS price,
            sum(amount) AS amount, sum(profit) AS profit,
            if(count(*) = 1, 'trade ' || min(trade_id) || ', ' || min(text), count(*) || ' trades') AS text
        FROM events GROUP BY {run._time}, action ORDER BY 1, 2""",  # noqa: S608
        {"run": run.run_id},
    )


def equity(lake: Connection, run: Run) -> Rows:
    """Return ts, equity, price and drawdown; of merged candles the last equity and price, the deepest drawdown."""
    rows = _frame(
        lake,
        f"""SELECT max(ts) AT TIME ZONE 'UTC' AS ts, arg_max(equity, ts) AS equity, arg_max(price, ts) AS price,
            min(drawdown) AS drawdown
        FROM equity WHERE run_id = ? GROUP BY {run._time} ORDER BY 1""",  # noqa: S608
        [run.run_id],
    )
    if rows.empty:
        raise LakeError("the lake has no equity of this run")
    return rows


_SESSIONS = """(
    SELECT runs.* REPLACE (
        coalesce(first, (manifest ->> 'start')::TIMESTAMPTZ) AS start_ts,
        coalesce(last, (manifest ->> 'start')::TIMESTAMPTZ) AS end_ts,
        coalesce(decided.candles, 0) AS candles
    )
    FROM runs LEFT JOIN (
        SELECT run_id, min(ts) AS first, max(ts) AS last, count(*) AS candles FROM decisions GROUP BY run_id
    ) AS decided USING (run_id))"""

_SEEN = """
    SELECT ts, open, high, low, close, volume FROM candle_revisions
    WHERE exchange = $exchange AND symbol = $symbol AND timeframe = $timeframe
        AND ts BETWEEN $start AND $end
        AND fetched_at <= $seen AND (superseded_at IS NULL OR superseded_at > $seen)"""


def _series(run: Run) -> dict[str, object]:
    start, end, recorded = (
        time.tz_localize("UTC").to_pydatetime() for time in (run.drawn_from, run.end_ts, run.created_at)
    )
    seen = datetime.max.replace(tzinfo=UTC) if run.is_session else recorded  # a session goes on seeing
    series = {"exchange": run.exchange, "symbol": run.symbol, "timeframe": run.timeframe}
    return {**series, "start": start, "end": end, "seen": seen}


def _runs(lake: Connection, condition: str, values: list[str], source: str = "runs") -> list[Run]:
    rows = _frame(lake, f"SELECT {_RUN} FROM {source} WHERE {condition} ORDER BY created_at DESC, run_id", values)  # noqa: S608
    return [Run._make(None if pd.isna(value) else value for value in row) for row in rows.itertuples(index=False)]


def _frame(lake: Connection, sql: str, values: object) -> Rows:
    rows: Rows = lake.sql(sql, params=values).to_arrow_table().to_pandas()
    return rows
