"""A trade in words: what it came to, and for each order the candles, the signal and the fills that belong to it."""

from __future__ import annotations

from typing import Any

import pandas as pd

from dashboards.look import figure, number, part
from dashboards.queries import Rows, Run
from dashboards.row_words import tone, when
from dashboards.session_words import listing
from dashboards.trade_queries import MOST_ORDERS, Order, Story

NOT_PICKED = "Choose a trade of the table: its candles, and from which candles, signals, orders and fills it came."


def head(run: Run, story: Story) -> str:
    """Return what a trade came to as HTML."""
    trade = story.trade
    profit = float(trade["profit"])
    facts = [
        ("entry", f"{when(run, trade['entry_ts'])} at {number(trade['entry_price'])}"),
        (
            "exit",
            f"{when(run, trade['exit_ts'])} at {number(trade['exit_price'])}" if trade["exit_ts"] else "still open",
        ),
        ("amount", number(trade["amount"])),
        ("return", figure(trade["return"], "fraction")),
        ("fees", figure(trade["fees"], "quote")),
        ("candles held", _count(trade.get("bars_held"))),
        ("worst and best inside", _between(trade)),
        ("", "touches a gap in the data" if trade.get("touches_gap") else ""),
        ("", f"its first {MOST_ORDERS} orders" if len(story.orders) == MOST_ORDERS else ""),
    ]
    return part(
        "trade",
        title=f"Trade {trade['trade_id']}, {trade['side']}: {figure(profit, 'quote')}",
        tone=tone(profit),
        facts=[fact for fact in facts if fact[1]],
    )


def lineage(run: Run, story: Story) -> str:
    """Return a trade's orders as HTML, each with what it came from and what it came to."""
    return part("lineage", orders=[_order(run, order) for order in story.orders])


def _order(run: Run, order: Order) -> dict[str, Any]:
    at = "" if order.price is None else f" at {number(order.price)}"
    decided = "" if order.decided is None else f"the last that were known at the close of {when(run, order.decided)}"
    return {
        "id": order.order_id,
        "title": f"{order.side.capitalize()} {number(order.amount)}, {order.kind}{at}",
        "reason": (order.reason or "").replace("_", " "),
        "candles_said": decided,
        "candles": listing(_without_empty(order.candles), "The lake no longer has them."),
        "signal_said": "" if order.decided is None else "at that close, and at the one before",
        "signal": listing(_spread(order.signal), "The lake has none."),
        "said": f"{order.order_id}: {order.events}",
        "fills": listing(order.fills, "It was not filled."),
    }


def _spread(signal: Rows) -> Rows:
    """Return the rows of signals with each indicator as a column."""
    if signal.empty:
        return signal
    maps = [dict(row) if row is not None else {} for row in signal["indicators"]]
    names = sorted({name for row in maps for name in row})
    columns = {name: [row.get(name, float("nan")) for row in maps] for name in names}
    rest = signal.drop(columns="indicators")
    spread = pd.DataFrame(columns, index=rest.index).rename(columns=lambda name: f"{name} " if name in rest else name)
    return pd.concat([rest.iloc[:, :2], spread, rest.iloc[:, 2:]], axis=1)


def _without_empty(candles: Rows) -> Rows:
    """Return candles without the instants at which they were replaced where none was."""
    replaced = "Replaced since (UTC)"
    return candles.drop(columns=replaced) if replaced in candles and candles[replaced].isna().all() else candles


def _count(value: Any) -> str:
    return "" if value is None else f"{value:,.0f}"


def _between(trade: dict[str, Any]) -> str:
    worst, best = trade.get("worst_excursion"), trade.get("best_excursion")
    return "" if worst is None or best is None else f"{figure(worst, 'fraction')}, {figure(best, 'fraction')}"
