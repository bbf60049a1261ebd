"""What the page of a session asks of the lake about its orders: those that are open, their prices, fills and trades.

Times come back as naive UTC.
"""

from __future__ import annotations

from typing import NamedTuple

from dashboards.queries import Connection, Rows, Run, frame, read_object
from dashboards.session_queries import held

NEWEST = 100
"""A page lists so many orders and trades; the lake has all of them."""

IN_DOUBT = ("intent", "unknown", "sent")
"""Last events of an order that the exchange may have, or not."""

_EVENTS = [*IN_DOUBT, "accepted", "partially_filled"]
"""What happens to an order before its end, in this order."""


class Level(NamedTuple):
    """A price at which something is to happen."""

    kind: str
    """buy, sell, stop, goal or entry."""
    price: float
    text: str


def levels(lake: Connection, run: Run) -> list[Level]:
    """Return the prices of the open orders, and of what is held its entry with the exits that the settings ask for.

    Where a stop rests at the exchange, that is the stop. A trailing one is recorded nowhere else.
    """
    rows = lake.execute(
        f"SELECT type, side, price, amount FROM ({_OPEN}) WHERE price IS NOT NULL",  # noqa: S608
        {"run": run.run_id},
    ).fetchall()
    told = [
        Level("stop" if type_ == "stop" else side, price, f"{type_} to {side} {amount:g}")
        for type_, side, price, amount in rows
    ]
    bought = lake.execute(
        f"SELECT entry FROM ({held('run_id = $run')}) WHERE position > 0 AND entry IS NOT NULL",  # noqa: S608
        {"run": run.run_id},
    ).fetchall()
    if not bought:
        return told
    entry = bought[0][0]
    stops = read_object(run.manifest).get("stops") or {}
    told.append(Level("entry", entry, "entry"))
    if stops.get("stop_loss") and not any(level.kind == "stop" for level in told):
        told.append(Level("stop", entry * (1 - stops["stop_loss"]), "stop loss, by the settings"))
    if stops.get("take_profit"):
        told.append(Level("goal", entry * (1 + stops["take_profit"]), "take profit, by the settings"))
    return told


def open_orders(lake: Connection, run: Run) -> Rows:
    """Return the orders that have not ended, newest first; those that are in doubt are marked."""
    return frame(
        lake,
        f"""SELECT order_id AS "Order", side AS "Side", type AS "Type", amount AS "Amount", price AS "Limit or stop",
            coalesce(filled, 0) AS "Filled", replace(event, '_', ' ') AS "State",
            since AT TIME ZONE 'UTC' AS "Since (UTC)", replace(reason, '_', ' ') AS "Why", event IN {IN_DOUBT} AS marked
        FROM ({_OPEN}) LEFT JOIN (
            SELECT order_id, sum(amount) AS filled FROM fills WHERE run_id = $run GROUP BY order_id
        ) USING (order_id) ORDER BY since DESC, order_id""",  # noqa: S608
        {"run": run.run_id},
    )


def orders(lake: Connection, run: Run) -> Rows:
    """Return the newest orders, newest first, each with the events of its life and what was filled."""
    return frame(
        lake,
        f"""WITH filled AS (
            SELECT order_id, sum(amount) AS amount, sum(price * amount) / sum(amount) AS price, sum(fee) AS fee
            FROM fills WHERE run_id = $run GROUP BY order_id
        ), told AS (
            SELECT *, list_position({_EVENTS}, event) AS rank,
                event || if(event IN ('rejected', 'cancelled'), ' (' || reason || ')', '') AS said
            FROM orders WHERE run_id = $run
        )
        SELECT order_id AS "Order", min(told.type) AS "Type", max(told.amount) AS "Amount",
            max(told.price) AS "Limit or stop", replace(arg_min(told.reason, coalesce(rank, 9)), '_', ' ') AS "Why",
            string_agg(replace(said, '_', ' ') || strftime(ts AT TIME ZONE 'UTC', ' %m-%d %H:%M:%S'), ' → '
                ORDER BY ts, coalesce(rank, 9)) AS "Events (UTC)",
            min(filled.amount) AS "Filled", min(filled.price) AS "Average price", min(fee) AS "Fee",
            bool_or(event = 'rejected') AS marked
        FROM told LEFT JOIN filled USING (order_id)
        GROUP BY order_id ORDER BY min(ts) DESC, order_id LIMIT {NEWEST}""",  # noqa: S608
        {"run": run.run_id},
    )


def trades(lake: Connection, run: Run) -> Rows:
    """Return the newest round trips, newest first; what one that is open comes to is not known before its end."""
    return frame(
        lake,
        f"""SELECT entry_ts AT TIME ZONE 'UTC' AS "Entry (UTC)",
            if(status = 'closed', exit_ts, NULL) AT TIME ZONE 'UTC' AS "Exit (UTC)", amount AS "Amount",
            entry_price AS "Entry price", if(status = 'closed', exit_price, NULL) AS "Exit price",
            if(status = 'closed', profit, NULL) AS "Profit",
            if(status = 'closed', "return", NULL) AS "Return", fees AS "Fees",
            if(status = 'closed', replace(coalesce(exit_reason, '?'), '_', ' '), 'still open') AS "Exit reason"
        FROM trades WHERE run_id = ? ORDER BY trade_id DESC LIMIT {NEWEST}""",  # noqa: S608
        [run.run_id],
    )


_OPEN = f"""
    SELECT order_id, min(side) AS side, min(type) AS type, max(amount) AS amount, max(price) AS price, min(ts) AS since,
        arg_max(event, rank) AS event, arg_min(reason, rank) AS reason
    FROM (SELECT *, coalesce(list_position({_EVENTS}, event), 9) AS rank FROM orders WHERE run_id = $run)
    GROUP BY order_id HAVING max(rank) < 9"""  # noqa: S608
