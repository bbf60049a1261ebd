"""What led to a trade, and the market around it.

Every order leads back by joins: its fills, the signal at the close that decided it, and the candles as the run saw
them. Times come back as naive UTC.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import pandas as pd

from dashboards.queries import SEEN, Connection, Rows, Run, frame, instant, series
from data.timeframe import parse_timeframe

MOST_CANDLES = 1_500
"""More candles than this around a trade are merged."""

MOST_ORDERS = 12
"""So many of a trade's orders are told."""

LEAD = 40
"""So many candles are shown before the decision to enter and after the exit."""


class Order(NamedTuple):
    """An order of a trade, with what it came from and what it came to."""

    order_id: str
    side: str
    kind: str
    amount: float
    price: float | None
    reason: str
    decided: pd.Timestamp | None
    """The candle whose close decided it."""
    events: str
    fills: Rows
    signal: Rows
    """The signal at that close, and the one before it."""
    candles: Rows
    """The last candles of which that signal was made, as the run saw them."""


class Story(NamedTuple):
    """A trade, and its orders in their order."""

    trade: dict[str, Any]
    orders: list[Order]


class Scene(NamedTuple):
    """The market around a trade, for a chart."""

    start: pd.Timestamp
    end: pd.Timestamp
    candles: Rows
    indicators: Rows
    markers: Rows


def story(lake: Connection, run: Run, trade_id: int) -> Story | None:
    """Return a trade with its orders; None where the run has none of that number."""
    values = {"run": run.run_id, "trade": trade_id}
    found = frame(
        lake,
        """SELECT * REPLACE (entry_ts AT TIME ZONE 'UTC' AS entry_ts, exit_ts AT TIME ZONE 'UTC' AS exit_ts)
        FROM trades WHERE run_id = $run AND trade_id = $trade""",
        values,
    )
    if found.empty:
        return None
    run = run.at(str(found["symbol"].iloc[0]))
    trade = {str(name): None if pd.isna(value) else value for name, value in found.iloc[0].to_dict().items()}
    ordered = lake.execute(
        f"""WITH own AS (
            SELECT DISTINCT order_id FROM fills WHERE run_id = $run AND trade_id = $trade
            UNION SELECT $entry UNION SELECT $exit
        )
        SELECT order_id, min(side), min(type), max(amount), max(price), min(reason),
            min(decision_ts) AT TIME ZONE 'UTC',
            string_agg(replace(event, '_', ' ') || strftime(ts AT TIME ZONE 'UTC', ' %Y-%m-%d %H:%M'), ', ' ORDER BY ts)
        FROM orders WHERE run_id = $run AND order_id IN (FROM own)
        GROUP BY order_id ORDER BY min(ts), order_id LIMIT {MOST_ORDERS}""",  # noqa: S608
        {**values, "entry": trade.get("entry_order_id"), "exit": trade.get("exit_order_id")},
    ).fetchall()
    return Story(trade, [_order(lake, run, trade_id, row) for row in ordered])


def scene(lake: Connection, run: Run, trade_id: int) -> Scene | None:
    """Return the candles around a trade as the run saw them, the indicators and the fills; None without the trade.

    Of many candles several are merged, and the indicators are those at the last of them.
    """
    found = lake.execute(
        """SELECT coalesce(min(orders.decision_ts), min(entry_ts)) AT TIME ZONE 'UTC', min(entry_ts) AT TIME ZONE 'UTC',
            coalesce(min(exit_ts), min(runs.end_ts)) AT TIME ZONE 'UTC', min(trades.symbol)
        FROM trades JOIN runs USING (run_id) LEFT JOIN orders
            ON orders.run_id = trades.run_id AND orders.order_id = trades.entry_order_id
        WHERE trades.run_id = ? AND trade_id = ?""",
        [run.run_id, trade_id],
    ).fetchall()[0]
    if found[1] is None:
        return None
    candle = parse_timeframe(run.timeframe)
    decided, entered, left = map(pd.Timestamp, found[:3])
    run = run.at(found[3])
    start = max(run.start_ts, min(decided, entered) - LEAD * candle)
    end = min(run.end_ts, left + LEAD * candle)
    merged = math.ceil((end - start).total_seconds() / candle.total_seconds() / MOST_CANDLES)
    bucket = f"time_bucket(to_seconds({int(merged * candle.total_seconds())}), ts)" if merged > 1 else "ts"
    values = {"run": run.run_id, "symbol": run.symbol, "start": instant(start), "end": instant(end)}
    seen = {name: value for name, value in {**series(run), **values}.items() if name != "run"}
    candles = frame(
        lake,
        f"""SELECT {bucket} AT TIME ZONE 'UTC' AS ts, arg_min(open, ts) AS open, max(high) AS high, min(low) AS low,
            arg_max(close, ts) AS close, sum(volume) AS volume
        FROM ({SEEN} AND ts BETWEEN $start AND $end) GROUP BY 1 ORDER BY 1""",  # noqa: S608
        seen,
    )
    return Scene(start, end, candles, _indicators(lake, bucket, values), _fills(lake, run, trade_id, bucket))


def _indicators(lake: Connection, bucket: str, values: dict[str, object]) -> Rows:
    """Return ts and the indicators, a column each, as they stood at the closes of the candles of a scene."""
    told = lake.sql(
        f"""SELECT {bucket} AT TIME ZONE 'UTC' AS ts, arg_max(indicators, ts) AS indicators FROM signals
        WHERE run_id = $run AND symbol = $symbol AND ts BETWEEN $start AND $end GROUP BY 1 ORDER BY 1""",  # noqa: S608
        params=values,
    ).to_arrow_table()
    maps = [dict(row or ()) for row in told["indicators"].to_pylist()]
    names = sorted({name for row in maps for name in row})
    columns = {name: [row.get(name, math.nan) for row in maps] for name in names}
    return pd.DataFrame({"ts": told["ts"].to_pandas(), **columns})


def _fills(lake: Connection, run: Run, trade_id: int, bucket: str) -> Rows:
    """Return a trade's fills at the candles of a scene, in the columns of `queries.markers`."""
    return frame(
        lake,
        f"""SELECT {bucket} AT TIME ZONE 'UTC' AS ts, side AS action, count(*) AS events,
            sum(price * amount) / sum(amount) AS price, sum(amount) AS amount, NULL::DOUBLE AS profit,
            min(side) || ': ' || replace(min(reason), '_', ' ') AS text
        FROM fills WHERE run_id = $run AND trade_id = $trade GROUP BY 1, 2 ORDER BY 1, 2""",  # noqa: S608
        {"run": run.run_id, "trade": trade_id},
    )


def _order(lake: Connection, run: Run, trade_id: int, row: tuple[Any, ...]) -> Order:
    order_id, side, kind, amount, price, reason, decided, events = row
    fills = frame(
        lake,
        """SELECT ts AT TIME ZONE 'UTC' AS "Candle (UTC)", amount AS "Amount", price AS "Price", fee AS "Fee",
            liquidity AS "Liquidity", replace(reason, '_', ' ') AS "Reason"
        FROM fills WHERE run_id = $run AND order_id = $order AND trade_id = $trade ORDER BY ts, fill_id""",
        {"run": run.run_id, "order": order_id, "trade": trade_id},
    )
    if decided is None:
        return Order(order_id, side, kind, amount, price, reason, None, events, fills, pd.DataFrame(), pd.DataFrame())
    until = pd.Timestamp(decided)
    since = instant(until - 12 * parse_timeframe(run.timeframe))
    window = {"since": since, "until": instant(until)}
    signal = frame(
        lake,
        """SELECT ts AT TIME ZONE 'UTC' AS "Candle (UTC)", close AS "Close", indicators, signal AS "Signal",
            entry_exit AS "Change"
        FROM signals WHERE run_id = $run AND symbol = $symbol AND ts BETWEEN $since AND $until
        ORDER BY ts DESC LIMIT 2""",
        {"run": run.run_id, "symbol": run.symbol, **window},
    )
    candles = frame(
        lake,
        f"""SELECT ts AT TIME ZONE 'UTC' AS "Candle (UTC)", open AS "Open", high AS "High", low AS "Low",
            close AS "Close", volume AS "Volume", fetched_at AT TIME ZONE 'UTC' AS "Fetched (UTC)",
            revision AS "Revision", superseded_at AT TIME ZONE 'UTC' AS "Replaced since (UTC)"
        FROM ({SEEN}) WHERE ts BETWEEN $since AND $until ORDER BY 1 DESC LIMIT 3""",  # noqa: S608
        {**series(run), **window},
    )
    return Order(order_id, side, kind, amount, price, reason, until, events, fills, signal, candles)
