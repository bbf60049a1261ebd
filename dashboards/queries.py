"""All that the pages ask of the lake: each question a function of a DuckDB connection to one version of the lake.

`hub.Hub.ask` runs them off the event loop, and makes one line of what DuckDB raises. Times come back as naive UTC,
which is what the charts draw.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from dashboards import windows
from dashboards.windows import MERGED_CANDLES, MOST_CANDLES, Window
from data.errors import LakeError
from data.timeframe import parse_timeframe

LEAD = 100
"""So many candles before its first decision are where the charts of a session begin."""

_OUTLINED = 200_000
"""A run of more candles than this is read as a whole no more than once."""

_OUTLINE = 50_000
"""Its outline has no more candles than this."""

_EVER = pd.Timestamp("2200-01-01")

Rows = pd.DataFrame
Connection = duckdb.DuckDBPyConnection


class NoAnswer(LakeError):
    """This version of the lake has no answer, and no file is at fault: another look at them would find none either."""


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
    def symbols(self) -> tuple[str, ...]:
        """The markets of a run of several on one account; none where it is of one."""
        return _symbols_in(self.manifest)

    def at(self, symbol: str) -> Run:
        """Return the run with one of its markets as its symbol: the first where it has none of that name."""
        of_several = self.symbols
        if not of_several:
            return self
        return self._replace(symbol=symbol if symbol in of_several else of_several[0])

    @property
    def drawn_from(self) -> pd.Timestamp:
        """Where its charts begin."""
        return self.start_ts - LEAD * parse_timeframe(self.timeframe) if self.is_session else self.start_ts

    @property
    def bucket(self) -> int:
        """Seconds that a candle of the charts covers in sight of the whole; 0 where they are the run's own candles."""
        return 0 if self.candles <= MOST_CANDLES else self._bucket(MERGED_CANDLES)

    @property
    def whole(self) -> Window:
        """All that its charts can show."""
        return Window(self.drawn_from, self.end_ts + parse_timeframe(self.timeframe), self.bucket)

    @property
    def outline(self) -> Window:
        """The whole; of a long run finer, so that larger parts can be told from it without reading all of it again."""
        finer = self._bucket(_OUTLINE)
        outlined = self.candles > _OUTLINED and self.bucket % finer == 0
        return self.whole._replace(bucket=finer) if outlined else self.whole

    def outlined(self, window: Window) -> bool:
        """Tell whether the outline has all that a window shows."""
        finer = self.outline.bucket
        return window == self.outline or bool(finer and window.bucket and window.bucket % finer == 0)

    def around(self, start: pd.Timestamp, end: pd.Timestamp) -> Window:
        """Return what to draw while the time from `start` to `end` (naive UTC) is in view."""
        return windows.around(start, end, self._seconds, self.whole)

    def _bucket(self, most: int) -> int:
        return windows.bucket((self.end_ts - self.start_ts).total_seconds(), self._seconds, most)

    @property
    def _seconds(self) -> int:
        return int(parse_timeframe(self.timeframe).total_seconds())


_TIMES = ("start_ts", "end_ts", "created_at")
_RUN = ", ".join(f"{name} AT TIME ZONE 'UTC' AS {name}" if name in _TIMES else name for name in Run._fields)


def frame(lake: Connection, sql: str, values: object) -> Rows:
    """Return the rows of a query; `values` are those of its parameters."""
    rows: Rows = lake.sql(sql, params=values).to_arrow_table().to_pandas()
    return rows


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
    rows = frame(lake, "SELECT metric, value, low, high, unit, note FROM metrics WHERE run_id = ?", [run.run_id])
    return rows.set_index("metric")


def candles(lake: Connection, run: Run, window: Window | None = None, outline: Rows | None = None) -> Rows:
    """Return the candles of a window (None: the whole) as the run saw them: ts, open, high, low, close, volume.

    This question and those for indicators and equity are answered from the lake, or from the answer to the same
    question for the run's outline.
    """
    window = window or run.whole
    rows = frame(
        lake,
        f"""SELECT {window.moment} AS ts, arg_min(open, ts) AS open, max(high) AS high, min(low) AS low,
            arg_max(close, ts) AS close, sum(volume) AS volume
        FROM ({_source(lake, SEEN, outline)}) WHERE {_WITHIN} GROUP BY 1 ORDER BY 1""",  # noqa: S608
        _bounds(window) if outline is not None else series(run) | _bounds(window),
    )
    if rows.empty and window == run.whole:
        raise NoAnswer(f"the lake no longer has the candles of {run.symbol} {run.timeframe} from {run.exchange}")
    return rows


def first_open(lake: Connection, run: Run) -> float | None:
    """Return the open of the run's first candle, where buying and holding starts; 1 where it is of several markets."""
    if run.symbols:
        return 1.0
    first = f"SELECT arg_min(open, ts) FROM ({SEEN}) WHERE {_WITHIN}"  # noqa: S608
    whole = run.whole._replace(start=run.start_ts)
    begin = whole._replace(end=min(whole.end, run.start_ts + MOST_CANDLES * parse_timeframe(run.timeframe)))
    for window in (begin, whole):  # the rest is read only where there is none at its beginning
        (found,) = lake.execute(first, series(run) | _bounds(window)).fetchall()[0]
        if found is not None:
            return float(found)
    return None


def indicators(lake: Connection, run: Run, window: Window | None = None, outline: Rows | None = None) -> Rows:
    """Return ts and the strategy's indicators, a column each, as they stood at the closes of a window's candles."""
    window = window or run.whole
    if outline is not None:
        source = _source(lake, "", outline)
        closes = f"ts IN (SELECT max(ts) FROM ({source}) WHERE {_WITHIN} GROUP BY {window.moment})"  # noqa: S608
        query = (
            f'SELECT {window.moment} AS "ts", * EXCLUDE (ts) FROM ({source}) WHERE {_WITHIN} AND {closes} ORDER BY 1'  # noqa: S608
        )
        return frame(lake, query, _bounds(window)).set_axis(outline.columns, axis="columns")
    told, groups = ("arg_max_null(indicators, ts)", "GROUP BY 1") if window.bucket else ("indicators", "")
    query = f"""SELECT {window.moment} AS ts, {told} AS indicators FROM signals
        WHERE run_id = $run AND symbol = $symbol AND {_WITHIN} {groups} ORDER BY 1"""  # noqa: S608
    return _columns(
        lake.sql(query, params={"run": run.run_id, "symbol": run.symbol} | _bounds(window)).to_arrow_table()
    )


def markers(lake: Connection, run: Run, window: Window | None = None) -> Rows:
    """Return the trades' entries and exits at a window's candles: ts, price, action, trades, text and profit.

    `action` is buy or sell, `text` is for a hover. Where candles are merged, so are the markers on one of them, at
    their average price.
    """
    window = window or run.whole
    return frame(
        lake,
        f"""WITH events AS (
            SELECT entry_ts AS ts, entry_price AS price, amount, trade_id, NULL::DOUBLE AS profit,
                if(side = 'long', 'buy', 'sell') AS action, side || ' entry' AS text
            FROM trades WHERE run_id = $run AND symbol = $symbol
            UNION ALL
            SELECT exit_ts, exit_price, amount, trade_id, profit, if(side = 'long', 'sell', 'buy'),
                side || ' exit: ' || replace(coalesce(exit_reason, '?'), '_', ' ')
            FROM trades WHERE run_id = $run AND symbol = $symbol AND exit_ts IS NOT NULL
        )
        SELECT {window.moment} AS ts, action, count(*) AS events, avg(price) AS price,
            sum(amount) AS amount, sum(profit) AS profit,
            if(count(*) = 1, 'trade ' || min(trade_id) || ', ' || min(text), count(*) || ' trades') AS text
        FROM events WHERE {_WITHIN} GROUP BY {window.moment}, action ORDER BY 1, 2""",  # noqa: S608
        {"run": run.run_id, "symbol": run.symbol} | _bounds(window),
    )


def fill_markers(lake: Connection, run: Run, window: Window | None = None) -> Rows:
    """Return a session's fills at a window's candles, in the columns of `markers`."""
    window = window or run.whole
    candle = window._replace(bucket=window.bucket or int(parse_timeframe(run.timeframe).total_seconds()))
    reached = window.end >= run.whole.end  # a session may have filled something since the last candle that it decided
    return frame(
        lake,
        f"""SELECT {candle.moment} AS ts, side AS action, count(*) AS events,
            sum(price * amount) / sum(amount) AS price, sum(amount) AS amount, NULL::DOUBLE AS profit,
            if(count(*) = 1, min(side) || ': ' || replace(min(reason), '_', ' '), count(*) || ' fills') AS text
        FROM fills WHERE run_id = $run AND {_WITHIN} GROUP BY 1, 2 ORDER BY 1, 2""",  # noqa: S608
        {"run": run.run_id} | _bounds(window._replace(end=_EVER) if reached else window),
    )


def equity(lake: Connection, run: Run, window: Window | None = None, outline: Rows | None = None) -> Rows:
    """Return ts, equity, price and drawdown; of merged candles the last equity and price, the deepest drawdown.

    The price of several markets is what they are worth, each bought with the same part of 1 at its first open and held.
    """
    window = window or run.whole
    source = _source(lake, "SELECT ts, equity, price, drawdown FROM equity WHERE run_id = $run", outline)
    rows = frame(
        lake,
        f"""SELECT max(ts) AT TIME ZONE 'UTC' AS ts, arg_max(equity, ts) AS equity, arg_max(price, ts) AS price,
            min(drawdown) AS drawdown
        FROM ({source}) WHERE {_WITHIN} GROUP BY {window.moment} ORDER BY 1""",  # noqa: S608
        _bounds(window) if outline is not None else {"run": run.run_id} | _bounds(window),
    )
    if rows.empty and window == run.whole:
        raise NoAnswer("the lake has no equity of this run")
    return rows.assign(price=_held(lake, run, rows)) if run.symbols and outline is None else rows


def _held(lake: Connection, run: Run, rows: Rows) -> pd.Series:
    """Return what 1 in all of the run's markets has come to at each ts of `rows`, as `tasks/evaluate/basket` has it."""
    lake.register("valued", rows[["ts"]])
    seen = _CANDLES.format(market="symbol IN (FROM markets)")
    market = {name: value for name, value in series(run).items() if name != "symbol"}
    held = frame(
        lake,
        f"""WITH markets AS (SELECT unnest($symbols) AS symbol),
        seen AS (FROM ({seen}) WHERE {_WITHIN}),
        first AS (SELECT symbol, arg_min(open, ts) AS open FROM markets LEFT JOIN seen USING (symbol) GROUP BY 1),
        wanted AS (SELECT valued.ts AS ts, timezone('UTC', valued.ts) AS instant, symbol, open FROM valued, first)
        SELECT wanted.ts AS ts, avg(coalesce(close / wanted.open, 1)) AS price
        FROM wanted ASOF LEFT JOIN seen ON wanted.symbol = seen.symbol AND wanted.instant >= seen.ts
        GROUP BY 1""",  # noqa: S608
        market | {"symbols": list(run.symbols)} | _bounds(run.whole),
    )
    prices: pd.Series = rows["ts"].map(held.set_index("ts")["price"])
    return prices


_SESSIONS = """(
    SELECT runs.* REPLACE (
        coalesce(first, (manifest ->> 'start')::TIMESTAMPTZ) AS start_ts,
        coalesce(last, (manifest ->> 'start')::TIMESTAMPTZ) AS end_ts,
        coalesce(decided.candles, 0) AS candles
    )
    FROM runs LEFT JOIN (
        SELECT run_id, min(ts) AS first, max(ts) AS last, count(*) AS candles FROM decisions GROUP BY run_id
    ) AS decided USING (run_id))"""

_CANDLES = """
    SELECT symbol, ts, open, high, low, close, volume, fetched_at, revision, superseded_at FROM candle_revisions
    WHERE exchange = $exchange AND {market} AND timeframe = $timeframe
        AND fetched_at <= $seen AND (superseded_at IS NULL OR superseded_at > $seen)"""
SEEN = _CANDLES.format(market="symbol = $symbol")
"""The candles of a run as it saw them, whatever was put in their place since; its values are those of `series`."""

_WITHIN = "ts >= $start AND ts < $end"


@lru_cache(10_000)
def _symbols_in(manifest: str) -> tuple[str, ...]:
    symbols = read_object(manifest).get("symbols")
    return tuple(map(str, symbols)) if isinstance(symbols, list) else ()


def read_object(text: str) -> dict[str, Any]:
    """Return what a manifest or parameters say; nothing where the lake has something else there."""
    try:
        told = json.loads(text)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def series(run: Run) -> dict[str, object]:
    """Return what names a run's candles, and the instant until which it saw them."""
    seen = datetime.max.replace(tzinfo=UTC) if run.is_session else instant(run.created_at)  # a session goes on seeing
    return {"exchange": run.exchange, "symbol": run.symbol, "timeframe": run.timeframe, "seen": seen}


def _bounds(window: Window) -> dict[str, object]:
    return {"start": instant(window.start), "end": instant(window.end)}


def instant(time: pd.Timestamp) -> datetime:
    """Return a time of ours (naive UTC) as DuckDB takes it."""
    return time.tz_localize("UTC").to_pydatetime()


def _source(lake: Connection, rows: str, outline: Rows | None) -> str:
    """Return the rows of the lake as SQL, or those of an outline, in their place."""
    if outline is None:
        return rows
    lake.register("outline", outline)
    return "SELECT * REPLACE (ts AT TIME ZONE 'UTC' AS ts) FROM outline"


def _columns(rows: pa.Table) -> Rows:
    """Return ts, and each name in the maps of the column `indicators` as a column; NaN where a row does not have it."""
    maps = rows["indicators"].combine_chunks()
    numbers = np.repeat(np.arange(len(maps)), np.diff(maps.offsets))
    names, values = np.asarray(maps.keys), maps.items.to_numpy(zero_copy_only=False)
    columns = {"ts": rows["ts"].to_numpy()}
    for name in sorted(set(names)):
        columns[name] = np.full(len(maps), np.nan)
        columns[name][numbers[names == name]] = values[names == name]
    return pd.DataFrame(columns)


def _runs(lake: Connection, condition: str, values: list[str], source: str = "runs") -> list[Run]:
    rows = frame(lake, f"SELECT {_RUN} FROM {source} WHERE {condition} ORDER BY created_at DESC, run_id", values)  # noqa: S608
    return [
        Run._make(None if pd.isna(value) else value for value in row) for row in rows.itertuples(index=False, name=None)
    ]
