"""What the page of parity asks of the lake: how sessions compare with the backtests of their candles."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, NamedTuple

import pandas as pd

from dashboards.queries import Connection, NoAnswer, Rows, Run, frame, runs
from dashboards.row_queries import MOST_ROWS

VERDICTS = ("data", "signal", "fill", "cost", "equal")
"""The worst first: the earlier cause."""

PENDING = "not compared"
"""What stands for a verdict of a candle that was decided after the last comparison."""

PAGE = 25
"""So many of the candles that differ are listed at a time."""

_RANKED = [PENDING, *reversed(VERDICTS)]
_LIFE = ["intent", "unknown", "sent", "accepted", "partially_filled"]
_BEFORE, _AFTER = 2, 2
"""So many candles on either side of one are its neighbourhood."""

_PENDING = "SELECT run_id, ts FROM decisions ANTI JOIN parity USING (run_id, ts)"
"""The candles that were decided and are not compared."""

_APART = "10000 * (live_equity / nullif(backtest_equity, 0) - 1)"
_FILLS = '[{"side":"VARCHAR","price":"DOUBLE","fee":"DOUBLE"}]'


class Cause(NamedTuple):
    """What the candles of one verdict come to."""

    verdict: str
    candles: int
    money: float | None
    """By how much the session's equity gained on the backtest's in these candles; None: not known in any of them."""
    fills: int
    """Fills that both have, on the same side."""
    slippage: float | None
    """By how many basis points the session's price was worse than the backtest's, the mean of these fills."""
    fees: float | None
    """By how much the session's fees were higher; None: this was not recorded."""


class Standing(NamedTuple):
    """How a session compares with its backtest; `causes` are empty where it was not compared yet."""

    causes: list[Cause]
    compared_at: datetime | None
    pending: int
    """Candles that were decided since, and are not compared yet."""
    money: float | None
    """By how much the session's equity was above the backtest's at the last candle where both are known."""
    apart: float | None
    """The same in basis points of the backtest's equity."""
    widest: float | None
    """The same where it was largest either way."""

    @property
    def counts(self) -> dict[str, int]:
        """Candles by verdict, the worst first."""
        return {cause.verdict: cause.candles for cause in self.causes}


class Compared(NamedTuple):
    """A session amid the others; the rest as in `Standing`."""

    run: Run
    counts: dict[str, int]
    compared_at: datetime | None
    pending: int
    apart: float | None


class Candle(NamedTuple):
    """One candle of a session, by what the session did and by what the backtest did; times are naive UTC."""

    ts: pd.Timestamp
    verdict: str
    detail: str | None
    action: str | None
    """The session's decision; None: there is none."""
    reason: str | None
    explanation: str | None
    live_orders: list[dict[str, Any]]
    backtest_orders: list[dict[str, Any]] | None
    """What was ordered at the close; None, as with the fills: it was compared before that was recorded."""
    live_fills: list[dict[str, Any]] | None
    backtest_fills: list[dict[str, Any]] | None
    live_signal: float | None
    backtest_signal: float | None
    live_position: float | None
    backtest_position: float | None
    live_equity: float | None
    backtest_equity: float | None


def overview(lake: Connection) -> list[Compared]:
    """Return all sessions with how they compare, the newest first."""
    rows = lake.execute(
        f"""WITH pending AS (
            SELECT run_id, count(*) AS pending FROM ({_PENDING}) GROUP BY run_id
        ), compared AS (
            SELECT run_id, histogram(verdict) AS counts, max(compared_at) AT TIME ZONE 'UTC' AS compared_at,
                arg_max({_APART}, ts) AS apart
            FROM parity GROUP BY run_id
        )
        SELECT run_id, coalesce(counts, MAP {{}}), compared_at, coalesce(pending, 0), apart
        FROM compared FULL JOIN pending USING (run_id)"""  # noqa: S608
    ).fetchall()
    found = {run_id: rest for run_id, *rest in rows}
    return [Compared(run, *found.get(run.run_id, ({}, None, 0, None))) for run in runs(lake, "session")]


def standing(lake: Connection, run: Run) -> Standing:
    """Return how a session compares with its backtest, and what each cause comes to."""
    head = lake.execute(
        f"""SELECT max(compared_at) AT TIME ZONE 'UTC', (
                SELECT count(*) FROM ({_PENDING}) WHERE run_id = $run
            ), arg_max(live_equity - backtest_equity, ts), arg_max({_APART}, ts), arg_max({_APART}, abs({_APART}))
        FROM parity WHERE run_id = $run""",  # noqa: S608
        {"run": run.run_id},
    ).fetchall()
    return Standing(_causes(lake, run), *head[0])


def strip(lake: Connection, run: Run) -> Rows:
    """Return the candles of the chart: ts, verdict (the worst of its candles), candles, and how many of each verdict.

    Those that were decided since the last comparison are there too, `not compared`.
    """
    counted = "".join(f", count(*) FILTER (verdict = '{verdict}') AS \"{verdict}\"" for verdict in _RANKED)
    rows = frame(
        lake,
        f"""WITH told AS (
            SELECT ts, coalesce(verdict, '{PENDING}') AS verdict
            FROM (SELECT ts FROM decisions WHERE run_id = $run)
            FULL JOIN (SELECT ts, verdict FROM parity WHERE run_id = $run) USING (ts)
        )
        SELECT {_moment(run)} AT TIME ZONE 'UTC' AS ts, count(*) AS candles,
            arg_max(verdict, coalesce(list_position({_RANKED}, verdict), 0)) AS verdict{counted}
        FROM told GROUP BY 1 ORDER BY 1""",  # noqa: S608
        {"run": run.run_id},
    )
    if rows.empty:
        raise NoAnswer("no candle has closed since the session began")
    return rows


def curves(lake: Connection, run: Run) -> Rows:
    """Return ts, both equities (live, backtest) and how far they are apart in basis points, at the chart's candles."""
    rows = frame(
        lake,
        f"""SELECT max(ts) AT TIME ZONE 'UTC' AS ts, arg_max(live_equity, ts) AS live,
            arg_max(backtest_equity, ts) AS backtest, 10000 * (live / nullif(backtest, 0) - 1) AS apart
        FROM parity WHERE run_id = ? AND live_equity IS NOT NULL AND backtest_equity IS NOT NULL
        GROUP BY {_moment(run)} ORDER BY 1""",  # noqa: S608
        [run.run_id],
    )
    if rows.empty:
        raise NoAnswer("there is no candle yet in which the equity of both is known")
    return rows


def differing(lake: Connection, run: Run, verdict: str, text: str, page: int) -> tuple[int, Rows]:
    """Return how many candles differ by this verdict ('': any) with this text in it, and those of one page (from 0).

    The newest come first; columns are ts, verdict, detail and apart, in basis points.
    """
    chosen, values = _chosen(run, verdict, text)
    found = lake.execute(f"SELECT count(*) FROM parity WHERE {chosen}", values).fetchall()[0][0]  # noqa: S608
    rows = frame(
        lake,
        f"""SELECT ts AT TIME ZONE 'UTC' AS ts, verdict, detail,
            {_APART} AS apart
        FROM parity WHERE {chosen} ORDER BY parity.ts DESC LIMIT {PAGE} OFFSET {page * PAGE}""",  # noqa: S608
        values,
    )
    return found, rows


def differing_whole(lake: Connection, run: Run, verdict: str, text: str) -> Rows:
    """Return all columns of the candles that `differing` pages through, MOST_ROWS at most."""
    chosen, values = _chosen(run, verdict, text)
    return frame(
        lake,
        f"""SELECT * REPLACE (ts AT TIME ZONE 'UTC' AS ts, compared_at AT TIME ZONE 'UTC' AS compared_at)
        FROM parity WHERE {chosen} ORDER BY parity.ts DESC LIMIT {MOST_ROWS}""",  # noqa: S608
        values,
    )


def neighbourhood(lake: Connection, run: Run, ts: pd.Timestamp) -> list[Candle]:
    """Return a candle that was compared (naive UTC) amid those around it; nothing where it was not."""
    values = {"run": run.run_id, "ts": ts.tz_localize("UTC").to_pydatetime()}
    rows = lake.sql(
        f"""WITH compared AS (
            SELECT * FROM parity WHERE run_id = $run AND EXISTS (FROM parity WHERE run_id = $run AND ts = $ts)
        ), around AS (
            (FROM compared WHERE ts <= $ts ORDER BY ts DESC LIMIT {_BEFORE + 1})
            UNION ALL (FROM compared WHERE ts > $ts ORDER BY ts LIMIT {_AFTER})
        ), told AS (
            SELECT order_id, min(decision_ts) AS ts, min(side) AS side, min(type) AS type, min(amount) AS amount,
                min(price) AS price, last(event ORDER BY ts, coalesce(list_position({_LIFE}, event), 9)) AS event,
                coalesce(min(reason) FILTER (event = 'intent'), min(reason)) AS reason
            FROM orders WHERE run_id = $run AND decision_ts IN (SELECT ts FROM around) GROUP BY order_id
        ), ordered AS (
            SELECT ts, to_json(list(
                struct_pack(side, type, amount, price, reason, event) ORDER BY order_id
            )) AS live_orders
            FROM told GROUP BY ts
        )
        SELECT around.ts AT TIME ZONE 'UTC' AS ts, verdict, around.detail, action, reason,
            decided.detail AS explanation, live_orders, backtest_orders, live_fills, backtest_fills, live_signal,
            backtest_signal, live_position, backtest_position, live_equity, backtest_equity
        FROM around LEFT JOIN (FROM decisions WHERE run_id = $run) AS decided USING (ts)
        LEFT JOIN ordered USING (ts) ORDER BY around.ts""",  # noqa: S608
        params=values,
    ).fetchall()
    return [_candle(row) for row in rows]


def _candle(row: tuple[Any, ...]) -> Candle:
    found = Candle._make(row)
    texts = (found.backtest_orders, found.live_fills, found.backtest_fills)
    theirs, mine, its = (None if text is None else json.loads(str(text)) for text in texts)
    orders = json.loads(str(found.live_orders or "[]"))
    return found._replace(
        ts=pd.Timestamp(found.ts), live_orders=orders, backtest_orders=theirs, live_fills=mine, backtest_fills=its
    )


def _causes(lake: Connection, run: Run) -> list[Cause]:
    rows = lake.execute(
        f"""WITH told AS (
            SELECT ts, verdict, live_equity - backtest_equity AS apart, from_json(live_fills, '{_FILLS}') AS mine,
                from_json(backtest_fills, '{_FILLS}') AS its
            FROM parity WHERE run_id = $run
        ), moved AS (
            SELECT verdict, apart - coalesce(last_value(apart IGNORE NULLS) OVER before, 0) AS money,
                list_sum([fill.fee for fill in mine]) AS paid, list_sum([fill.fee for fill in its]) AS due,
                mine IS NOT NULL AND its IS NOT NULL AS recorded
            FROM told WINDOW before AS (ORDER BY ts ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
        ), pairs AS (
            SELECT verdict, mine[n] AS mine, its[n] AS its
            FROM told, unnest(generate_series(1, least(len(mine), len(its)))) AS pair (n)
        ), slipped AS (
            SELECT verdict, count(*) AS fills,
                avg(if(mine.side = 'buy', 1, -1) * 10000 * (mine.price / its.price - 1)) AS slippage
            FROM pairs WHERE mine.side = its.side GROUP BY verdict
        )
        SELECT verdict, count(*), sum(money), coalesce(any_value(fills), 0), any_value(slippage),
            sum(coalesce(paid, 0) - coalesce(due, 0)) FILTER (recorded)
        FROM moved LEFT JOIN slipped USING (verdict)
        GROUP BY verdict ORDER BY coalesce(list_position({[*VERDICTS]}, verdict), 0)""",  # noqa: S608
        {"run": run.run_id},
    ).fetchall()
    return [Cause._make(row) for row in rows]


def _chosen(run: Run, verdict: str, text: str) -> tuple[str, dict[str, str]]:
    condition = "run_id = $run AND verdict <> 'equal'"
    values = {"run": run.run_id}
    if verdict:
        condition, values["verdict"] = f"{condition} AND verdict = $verdict", verdict
    if text:
        said = "concat_ws(' ', strftime(ts AT TIME ZONE 'UTC', '%Y-%m-%d %H:%M'), verdict, detail)"
        condition, values["text"] = f"{condition} AND contains(lower({said}), lower($text))", text
    return condition, values


def _moment(run: Run) -> str:
    """Return the chart's candle of an instant `ts`, as SQL."""
    return f"time_bucket(to_seconds({run.bucket}), ts)" if run.bucket else "ts"
