"""What the page of a session asks of the lake: its account, its decisions, and what is known of its health.

Times come back as naive UTC. A day is a UTC day, and a candle belongs to the one in which it opens, as for the
limits of a session.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import pandas as pd

from dashboards.queries import Connection, Rows, Run, frame
from data.timeframe import parse_timeframe

NEWEST = 100
"""A page lists so many decisions, facts, comparisons; the lake has all of them."""

STOPPED = ("halted", "reconciliation", "unknown_order", "failed")
"""Reasons of a decision for which nothing is traded at all."""

_ARRIVALS = 20
"""So many candles tell how often one comes."""


class Account(NamedTuple):
    """Where a session stands: by all its fills, at its last close, and by its last decision (None: none yet)."""

    fills: int
    position: float
    cash: float
    """Quote currency that is left by all fills."""
    entry: float | None
    """Average price at which what is held was bought; None: nothing is held."""
    equity: float
    price: float | None
    """The last close."""
    drawdown: float
    deepest: float
    morning: float
    """Equity at the last close before the day of the last candle."""
    candle: datetime | None
    decided_at: datetime | None
    action: str | None
    reason: str | None
    detail: str | None


class Timing(NamedTuple):
    """How the newest decision that was in time came about, and those of its day; None: there is none."""

    age: float | None
    """Seconds from the close of its candle to the decision, both by the exchange's clock."""
    longest: float | None
    """The same where it was longest on that day."""
    ahead: float | None
    """Seconds from when its candle entered the lake, by this machine's clock, to the decision, by the exchange's. By no
    more than this the exchange's clock is ahead."""
    missed: int
    """Candles of the day that were recorded after a later one had closed."""
    stopped: int
    """Candles of the day at which nothing might be traded."""


class Arrival(NamedTuple):
    """The newest candle of a series, when it came, by this machine's clock, and how long the next one usually takes."""

    ts: datetime
    came: datetime
    rhythm: float | None
    """Seconds; None: there is but one."""


Series = tuple[str, str, str]


def accounts(lake: Connection, runs: tuple[Run, ...]) -> dict[str, Account]:
    """Return where sessions stand, by run."""
    named = {f"run{n}": run.run_id for n, run in enumerate(runs)}
    chosen = f"run_id IN ({', '.join(f'${name}' for name in named)})"
    rows = lake.execute(
        f"""WITH held AS ({held(chosen)}), closes AS (
            SELECT *, date_trunc('day', max(ts) OVER (PARTITION BY run_id)) AS day FROM equity WHERE {chosen}
        ), valued AS (
            SELECT run_id, arg_max(equity, ts) AS equity, arg_max(price, ts) AS price,
                arg_max(drawdown, ts) AS drawdown, min(drawdown) AS deepest,
                arg_max(equity, ts) FILTER (ts < day) AS morning
            FROM closes GROUP BY run_id
        ), decided AS (
            SELECT run_id, max(ts) AS ts, arg_max(decided_at, ts) AS decided_at, arg_max(action, ts) AS action,
                arg_max(reason, ts) AS reason, arg_max(detail, ts) AS detail
            FROM decisions WHERE {chosen} GROUP BY run_id
        )
        SELECT run_id, coalesce(fills, 0), coalesce(position, 0), coalesce(moved, 0), if(position > 0, entry, NULL),
            equity, price, coalesce(drawdown, 0), coalesce(deepest, 0), morning, ts AT TIME ZONE 'UTC',
            decided_at AT TIME ZONE 'UTC', action, reason, detail
        FROM held FULL JOIN valued USING (run_id) FULL JOIN decided USING (run_id)""",  # noqa: S608
        named,
    ).fetchall()
    found = {row[0]: row[1:] for row in rows}
    nothing = (0, 0.0, 0.0, None, None, None, 0.0, 0.0, None, None, None, None, None, None)
    return {run.run_id: _account(run, *found.get(run.run_id, nothing)) for run in runs}


def held(chosen: str) -> str:
    """Return a SELECT of what the fills of chosen sessions leave: run_id, fills, position, moved (money), entry.

    `entry` is the average price of what was bought in the newest round trip.
    """
    return f"""
        SELECT run_id, count(*) AS fills, sum(
                sign * amount_exact::DECIMAL(38, 18) - if(fee_currency = base, fee_exact::DECIMAL(38, 18), 0)
            )::DOUBLE AS position,
            sum(-sign * price * amount - if(coalesce(fee_currency, quote) = quote, fee, 0)) AS moved,
            sum(price * amount) FILTER (enters) / sum(amount) FILTER (enters) AS entry
        FROM (
            SELECT *, if(side = 'buy', 1, -1) AS sign, split_part(symbol, '/', 1) AS base,
                split_part(split_part(symbol, '/', 2), ':', 1) AS quote,
                side = 'buy' AND trade_id IS NOT DISTINCT FROM max(trade_id) OVER (PARTITION BY run_id) AS enters
            FROM fills WHERE {chosen}
        ) GROUP BY run_id"""  # noqa: S608


def _account(run: Run, fills: int, position: float, moved: float, *rest: object) -> Account:
    known = Account(fills, position, run.cash + moved, *rest)  # type: ignore[arg-type]
    equity = run.cash if known.equity is None else known.equity
    return known._replace(equity=equity, morning=run.cash if known.morning is None else known.morning)


def timing(lake: Connection, run: Run) -> Timing:
    """Return how long the session's decisions take, and what its clocks say."""
    rows = lake.execute(
        f"""WITH told AS (
            SELECT *, ts >= date_trunc('day', max(ts) OVER ()) AS today FROM decisions WHERE run_id = $run
        ), newest AS (
            FROM told WHERE reason <> 'missed' ORDER BY ts DESC LIMIT 1
        ), came AS (
            SELECT ts, min(fetched_at) AS came FROM candle_revisions
            WHERE exchange = $exchange AND symbol = $symbol AND timeframe = $timeframe AND ts >= $end GROUP BY ts
        )
        SELECT min(newest.age), max(told.age) FILTER (told.today AND told.reason <> 'missed'),
            epoch(min(newest.decided_at) - min(came)),
            count(*) FILTER (told.today AND told.reason = 'missed'),
            count(*) FILTER (told.today AND told.reason IN {STOPPED})
        FROM told LEFT JOIN newest ON true LEFT JOIN came ON came.ts = newest.ts""",  # noqa: S608
        {"run": run.run_id, **_series(run), "end": (run.end_ts - _ARRIVALS * _step(run)).tz_localize("UTC")},
    ).fetchall()
    return Timing(*rows[0])


def arrivals(lake: Connection) -> dict[Series, Arrival]:
    """Return how the practice exchange's candles come, by series: its clock may run at a speed of its own."""
    rows = lake.execute(
        f"""WITH newest AS (
            SELECT exchange, symbol, timeframe, ts, fetched_at FROM candles
            WHERE exchange IN ('practice', 'practice-bitfinex')
            QUALIFY row_number() OVER (PARTITION BY exchange, symbol, timeframe ORDER BY ts DESC) <= {_ARRIVALS}
        ), spaced AS (
            SELECT *, fetched_at - lag(fetched_at) OVER (
                PARTITION BY exchange, symbol, timeframe ORDER BY ts
            ) AS space FROM newest
        )
        SELECT exchange, symbol, timeframe, max(ts) AT TIME ZONE 'UTC', max(fetched_at) AT TIME ZONE 'UTC',
            median(epoch(space))
        FROM spaced GROUP BY ALL"""  # noqa: S608
    ).fetchall()
    return {tuple(row[:3]): Arrival(*row[3:]) for row in rows}


def facts(lake: Connection, run: Run) -> Rows:
    """Return what is known about the candles of the session's last day and holds, under the headings of the page.

    What began before that day has `Of the day` fewer candles than in all.
    """
    day = run.end_ts.floor("D").tz_localize("UTC")
    return frame(
        lake,
        f"""SELECT start_ts AT TIME ZONE 'UTC' AS "From (UTC)", end_ts AT TIME ZONE 'UTC' AS "To (UTC)", kind AS "Kind",
            candles::VARCHAR AS "Candles",
            least(candles, floor(epoch(end_ts - $day) / $step) + 1)::BIGINT::VARCHAR AS "Of the day",
            detail AS "Detail", kind = 'gap' AS marked
        FROM quality WHERE exchange = $exchange AND symbol = $symbol AND timeframe = $timeframe
            AND resolved_at IS NULL AND end_ts >= $day
        ORDER BY start_ts DESC, kind LIMIT {NEWEST}""",  # noqa: S608
        {**_series(run), "day": day, "step": _step(run).total_seconds()},
    )


def decisions(lake: Connection, run: Run) -> Rows:
    """Return the newest decisions, newest first, under the headings of the page."""
    return frame(
        lake,
        f"""SELECT ts AT TIME ZONE 'UTC' AS "Candle (UTC)", action AS "Action", replace(reason, '_', ' ') AS "Reason",
            detail AS "Detail", close AS "Close", signal AS "Signal", position AS "Position before", price AS "Price",
            order_id AS "Order", reason IN {STOPPED} AS marked
        FROM decisions WHERE run_id = ? ORDER BY ts DESC LIMIT {NEWEST}""",  # noqa: S608
        [run.run_id],
    )


def reconciliations(lake: Connection, run: Run) -> Rows:
    """Return the newest comparisons of the session's account: what is unexplained first, marked while it stands."""
    return frame(
        lake,
        f"""SELECT ts AT TIME ZONE 'UTC' AS "Compared (UTC)", currency AS "Currency",
            replace(kind, '_', ' ') || if(marked, ': stops trading', '') AS "Kind", expected AS "Expected",
            actual AS "Actual", detail AS "Detail", marked
        FROM (
            SELECT *, kind = 'unexplained' AND ts = max(ts) OVER (PARTITION BY currency) AS marked
            FROM reconciliations WHERE account = (SELECT manifest ->> 'account' FROM runs WHERE run_id = ?)
        ) ORDER BY marked DESC, kind = 'unexplained' DESC, ts DESC, currency LIMIT {NEWEST}""",  # noqa: S608
        [run.run_id],
    )


def _series(run: Run) -> dict[str, str]:
    return {"exchange": run.exchange, "symbol": run.symbol, "timeframe": run.timeframe}


def _step(run: Run) -> pd.Timedelta:
    return pd.Timedelta(parse_timeframe(run.timeframe))
