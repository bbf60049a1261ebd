"""What the page of data asks of the lake: coverage of every series, the facts about candles, and holes.

Only the question for holes reads candles, and of them their times alone, for one series of which the counts say that it
has any. Times come back as naive UTC.
"""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

from dashboards.queries import Connection, Rows
from data.coverage import coverage
from data.errors import BadInput
from data.markets import Market
from data.missing import Absence, Holding, Range, ranges_to_ask
from data.timeframe import parse_timeframe
from data.writer import Lake

KINDS = ("gap", "window", "revision", "outlier", "flat", "duplicate")

LISTED_FACTS = 200
"""The page lists so many facts of a series; the lake has all of them."""

DRAWN_FACTS = 2_000
"""More facts than this are merged before they are drawn."""

_PLACES = 400
"""Merged facts of a kind take no more places than this on the line of a series."""

_BY_HAND = ("sample", "file")
"""Names under which the sample, and files without a name of their own, enter the lake."""

_DAY = pd.Timedelta(days=1)
_HOLDS = "resolved_at IS NULL"
_NAMED = "exchange = $exchange AND symbol = $symbol AND timeframe = $timeframe"


Remarks = tuple[int, int]
"""Facts that hold about a series, and the candles that are absent by the gaps among them."""

Calendars = dict[tuple[str, str], str]
"""The calendars of markets by exchange and symbol."""

Holes = list[tuple[pd.Timestamp, pd.Timestamp]]
"""Pairs of candles that follow each other, though others are due between them."""


class Name(NamedTuple):
    """What a series is found by."""

    exchange: str
    symbol: str
    timeframe: str

    @property
    def address(self) -> str:
        """How the series is written in the page's address."""
        return "/".join(self)


class Series(NamedTuple):
    """What the lake holds of a series, and knows about it; None: it could not be read."""

    name: Name
    first: pd.Timestamp
    last: pd.Timestamp
    fetched_at: pd.Timestamp
    candles: int
    superseded: int
    size: int
    files: int
    calendar: str | None
    facts: int | None
    """Facts that hold."""
    gaps: int | None
    """Candles that are absent by the known gaps."""

    @property
    def step(self) -> pd.Timedelta:
        """The length of a candle."""
        return pd.Timedelta(parse_timeframe(self.name.timeframe))

    @property
    def by_hand(self) -> bool:
        """Whether it came out of a file: exchanges trade around the clock. Nothing is due then."""
        return self.name.exchange in _BY_HAND or self.calendar not in {None, Market.calendar}

    @property
    def due(self) -> pd.Timestamp | None:
        """When the next candle closes; None where nobody waits for it."""
        return None if self.by_hand else self.last + 2 * self.step

    @property
    def missing(self) -> int | None:
        """Candles absent between the first and the last: on the grid, or on the days that the calendar has."""
        if self.calendar != Market.calendar and self.step <= _DAY:
            return self.gaps
        return int((self.last - self.first) / self.step) + 1 - self.candles

    @property
    def unasked(self) -> int:
        """Absent candles that no known gap explains; 0 where that cannot be told."""
        return 0 if self.missing is None or self.gaps is None else max(0, self.missing - self.gaps)


class Found(NamedTuple):
    """All series by name, and the addresses of those of which the timeframe is none."""

    series: list[Series]
    strange: list[str]


def series(_: Connection, lake: Lake) -> Found:
    """Return all series, as the log of the candles tells them; nothing is known about them yet."""
    found, strange = [], []
    for held in coverage(lake):
        try:
            parse_timeframe(held.timeframe)
        except BadInput:
            strange.append("/".join(held[:3]))
            continue
        first, last, fetched_at = (time.tz_localize(None) for time in (held.first, held.last, held.fetched_at))
        counts = held.candles, held.superseded, held.size, held.files
        found.append(Series(Name(*held[:3]), first, last, fetched_at, *counts, calendar=None, facts=None, gaps=None))
    return Found(found, strange)


def remarks(lake: Connection) -> dict[Name, Remarks]:
    """Return the facts that hold by series: how many, and how many candles are absent by the gaps among them."""
    rows = lake.execute(
        f"""SELECT exchange, symbol, timeframe, count(*), coalesce(sum(candles) FILTER (kind = 'gap'), 0)::BIGINT
        FROM quality WHERE {_HOLDS} GROUP BY ALL"""  # noqa: S608
    ).fetchall()
    return {Name(*row[:3]): (row[3], row[4]) for row in rows}


def calendars(lake: Connection) -> Calendars:
    """Return the calendars of the markets by exchange and symbol."""
    rows = lake.execute("SELECT exchange, symbol, calendar FROM markets").fetchall()
    return {(exchange, symbol): calendar for exchange, symbol, calendar in rows}


def with_remarks(
    found: list[Series],
    remarks: dict[Name, Remarks] | None,
    calendars: Calendars | None,
) -> list[Series]:
    """Return series with what is known about them; None: that could not be read."""
    told = []
    for one in found:
        facts, gaps = (None, None) if remarks is None else remarks.get(one.name, (0, 0))
        calendar = None if calendars is None else calendars.get(one.name[:2], Market.calendar)
        told.append(one._replace(calendar=calendar, facts=facts, gaps=gaps))
    return told


def kinds(lake: Connection, name: Name) -> dict[str, int]:
    """Return how many facts of each kind there are about a series, the resolved ones too; the most important first."""
    query = f"SELECT kind, count(*) FROM quality WHERE {_NAMED} GROUP BY kind"  # noqa: S608
    rows = lake.execute(query, name._asdict()).fetchall()
    return dict(sorted(rows, key=lambda row: (KINDS.index(row[0]) if row[0] in KINDS else len(KINDS), row[0])))


def facts(lake: Connection, name: Name, kind: str) -> Rows:
    """Return the newest facts about a series, of one kind or (empty) of all; a gap that holds is marked."""
    query = f"""
        SELECT kind AS "Kind", start_ts AT TIME ZONE 'UTC' AS "From (UTC)", end_ts AT TIME ZONE 'UTC' AS "To (UTC)",
            candles::DOUBLE AS "Candles", detail AS "Detail", found_at AT TIME ZONE 'UTC' AS "Found (UTC)",
            if({_HOLDS}, 'open', 'resolved ' || strftime(resolved_at AT TIME ZONE 'UTC', '%Y-%m-%d %H:%M')) AS "State",
            kind = 'gap' AND {_HOLDS} AS marked
        FROM quality WHERE {_NAMED} AND ($kind = '' OR kind = $kind)
        ORDER BY start_ts DESC, kind, end_ts LIMIT {LISTED_FACTS}"""  # noqa: S608
    params = {**name._asdict(), "kind": kind}
    rows: Rows = lake.sql(query, params=params).to_arrow_table().to_pandas()
    return rows


def marks(lake: Connection, names: tuple[Name, ...]) -> Rows:
    """Return the facts that hold about some series, merged where they are many, for a line of time.

    Columns row (position in `names`), kind, start and end (first and last candle), candles, facts, detail.
    """
    columns = {"exchanges": 0, "symbols": 1, "timeframes": 2}
    query = f"""
        WITH asked AS (
            SELECT unnest($exchanges::VARCHAR[]) AS exchange, unnest($symbols::VARCHAR[]) AS symbol,
                unnest($timeframes::VARCHAR[]) AS timeframe, unnest(range({len(names)})) AS row
        ), held AS (
            SELECT row, kind, start_ts, end_ts, candles, detail
            FROM quality JOIN asked USING (exchange, symbol, timeframe) WHERE {_HOLDS}
        ), placed AS (
            SELECT *, if(count(*) OVER () <= {DRAWN_FACTS}, (start_ts, end_ts), (time_bucket(to_seconds(greatest(1,
                date_diff('second', min(start_ts) OVER line, max(start_ts) OVER line) // {_PLACES} + 1)), start_ts),
                NULL)) AS place
            FROM held WINDOW line AS (PARTITION BY row)
        )
        SELECT row, kind, min(start_ts) AT TIME ZONE 'UTC' AS start, max(end_ts) AT TIME ZONE 'UTC' AS "end",
            sum(candles)::BIGINT AS candles, count(*) AS facts,
            if(count(*) = 1, min(detail), count(*) || ' facts here: the list below has each') AS detail
        FROM placed GROUP BY row, kind, place ORDER BY row, start, kind"""  # noqa: S608
    params = {key: [name[at] for name in names] for key, at in columns.items()}
    rows: Rows = lake.sql(query, params=params).to_arrow_table().to_pandas()
    return rows


def unasked(lake: Connection, series: Series) -> Holes:
    """Return the holes that no known fact explains. It reads the times of all its candles, where it has any at all."""
    if not series.unasked:
        return []
    held = Holding(series.first, series.last, series.last, _holes(lake, series))
    after, absences = series.last + series.step, _absences(lake, series.name)
    later = after + series.step
    asked = ranges_to_ask(lambda: held, series.first, after, later, series.step, lambda: absences)
    return [(since, until - series.step) for since, until in asked if since is not None and until is not None]


def ranges(series: Series, start: pd.Timestamp | None, now: pd.Timestamp, unasked: Holes) -> list[Range]:
    """Return what a collection from `start` on would ask an exchange for at `now` (naive UTC)."""
    held = Holding(series.first, series.last, series.last, unasked)
    return ranges_to_ask(lambda: held, start, None, now, series.step, list)


def _absences(lake: Connection, name: Name) -> list[Absence]:
    rows = lake.execute(
        f"""SELECT kind, start_ts AT TIME ZONE 'UTC', end_ts AT TIME ZONE 'UTC' FROM quality
        WHERE {_NAMED} AND {_HOLDS} AND kind IN ('gap', 'window')""",  # noqa: S608
        name._asdict(),
    ).fetchall()
    return [Absence(kind, pd.Timestamp(start), pd.Timestamp(end)) for kind, start, end in rows]


def _holes(lake: Connection, series: Series) -> Holes:
    step = series.step // pd.Timedelta(microseconds=1)
    rows = lake.execute(
        f"""SELECT make_timestamp(ts), make_timestamp(next) FROM (
            SELECT ts, lead(ts) OVER (ORDER BY ts) AS next
            FROM (SELECT epoch_us(ts) AS ts FROM candles WHERE {_NAMED})
        ) WHERE next - ts > {step} ORDER BY ts""",  # noqa: S608
        series.name._asdict(),
    ).fetchall()
    return [(pd.Timestamp(one), pd.Timestamp(other)) for one, other in rows]
