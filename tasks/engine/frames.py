"""The logs of the compiled pass as tables, columns as `data/tables.py` declares them.

Texts are put together by Arrow, a column at a time: a Python string a row would cost more than the simulation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from tasks.engine.codes import EVENTS, FILLED, INTENT, KINDS, LEGS, LIMIT, PARTIAL, REASONS, Log
from tasks.engine.inputs import Bars, Floats, Ints
from tasks.engine.rules import Limits, Rules

SIDES = ("sell", "buy")
DIRECTIONS = ("short", "long")
LIQUIDITY = ("taker", "maker")
STR = pd.StringDtype(na_value=np.nan)


def reasons(rules: Rules, limits: Limits) -> tuple[str, ...]:
    """Return the words for each reason, those of a refused order with the limit that it missed."""
    steps = f" in steps of {rules.amount_step:g}" if rules.amount_step else ""
    return (
        *REASONS,
        "no equity is left to size the order by",
        f"the amount rounds down to 0{steps}",
        f"the amount is below the market's minimum of {rules.min_amount:g}",
        f"the cost is below the market's minimum of {rules.min_cost:g}",
        "the cash does not cover the cost and the fee",
        f"the drawdown has reached {100 * limits.max_drawdown:g} %",
        f"the day's loss has reached {100 * limits.daily_loss:g} %",
        f"a stop was hit in one of the {limits.cooldown:g} candles before",
        f"the signal is older than {limits.max_signal_age:g} seconds",
        f"the price is more than {100 * limits.max_deviation:g} % off the close that was decided on",
        f"{limits.max_orders_a_day:g} orders were placed on this day",
        "the limits of order and position leave nothing to add",
        "nothing was traded in the candles before, so that its impact is not known",
        "a new decision took the place of its rest",
        "an exit took the place of its rest",
    )


def order_ids(orders: Log, index: pd.DatetimeIndex) -> pa.Array:
    """Name each order by its decision's candle, its side and its leg: `2024-01-02T00:00:00Z-buy-open`.

    A second exit for the same decision has a `-2` to it, as the first was given up before it was filled whole.
    """
    instants = index.asi8[orders["decision"]]
    unit = "us" if (instants % 1_000_000).any() else "s"
    day_and_time = pa.array(instants.view("datetime64[us]").astype(f"datetime64[{unit}]")).cast(pa.string())
    decided = pc.binary_join_element_wise(pc.replace_substring(day_and_time, " ", "T"), "Z", "")
    ids = pc.binary_join_element_wise(decided, _words(orders["side"] > 0, SIDES), _words(orders["leg"], LEGS), "-")
    if not _in_parts(orders["event"]):
        return ids
    attempt = np.ascontiguousarray(orders["attempt"])
    numbered = pc.binary_join_element_wise(ids, pa.array(attempt).cast(pa.string()), "-")
    return pc.if_else(pa.array(attempt > 1), numbered, ids)


def order_frame(
    orders: Log, ids: pa.Array, index: pd.DatetimeIndex, rules: Rules, limits: Limits, symbol: str
) -> pd.DataFrame:
    """One row an order: filled, rejected, or still an intent after the last candle.

    One that is filled in parts has a row for the first of them, and one for what became of it.
    """
    event = np.ascontiguousarray(orders["event"])
    if _in_parts(event):
        told = (event != PARTIAL) | (orders["number"] == 1)
        orders, ids, event = orders[told], ids.filter(pa.array(told)), event[told]
    return _frame(
        symbol=pa.repeat(symbol, len(orders)),
        order_id=ids,
        event=_words(event, EVENTS),
        ts=index.take(orders["bar"]),
        decision_ts=index.take(orders["decision"]),
        side=_words(orders["side"] > 0, SIDES),
        type=_words(orders["kind"], KINDS),
        amount=orders["ordered"],
        price=orders["trigger"],
        reason=_words(orders["reason"], reasons(rules, limits)),
    )


def fill_frame(orders: Log, ids: pa.Array, index: pd.DatetimeIndex, symbol: str) -> pd.DataFrame:
    """One row a fill, numbered within its order."""
    event = np.ascontiguousarray(orders["event"])
    in_parts = _in_parts(event)
    filled = (event == FILLED) | (event == PARTIAL) if in_parts else event == FILLED
    fills, ids = orders[filled], ids.filter(pa.array(filled))
    rests = fills["kind"] == LIMIT
    number: Any = pa.array(np.ascontiguousarray(fills["number"])).cast(pa.string()) if in_parts else "1"
    return _frame(
        symbol=pa.repeat(symbol, len(fills)),
        fill_id=pc.binary_join_element_wise(ids, number, "-"),
        order_id=ids,
        trade_id=fills["trade"],
        ts=index.take(fills["bar"]),
        side=_words(fills["side"] > 0, SIDES),
        price=fills["price"],
        amount=fills["amount"],
        fee=fills["fee"],
        fee_currency=pa.nulls(len(fills), pa.string()),
        liquidity=_words(rests, LIQUIDITY) if rests.any() else pa.repeat(LIQUIDITY[0], len(fills)),
        reason=_words(fills["reason"], REASONS),
    )


def trade_frame(
    trades: Log, orders: Log, ids: pa.Array, opened: pd.DatetimeIndex, last: int, gaps: Ints, symbol: str
) -> pd.DataFrame:
    """One row a round trip, the last perhaps open. `opened` are the opening instants of the orders' candles."""
    side, entry, leave = trades["side"], trades["entry_order"], trades["exit_order"]
    is_open = leave < 0
    entry_bar = orders["bar"][entry]
    last_bar = np.where(is_open, np.maximum(last, entry_bar), orders["bar"][leave]) if len(trades) else entry_bar
    absent = np.searchsorted(gaps, last_bar) - np.searchsorted(gaps, orders["decision"][entry])
    entry_holding = trades["amount"] * trades["entry_price"]
    exit_holding = trades["amount"] * trades["exit_price"]
    profit = side * (exit_holding - entry_holding) - trades["fees"] - trades["carry"]
    exit_reason = orders["reason"][leave] if len(trades) else leave
    columns = {
        "symbol": pa.repeat(symbol, len(trades)),
        "trade_id": np.arange(1, len(trades) + 1),
        "side": _words(side > 0, DIRECTIONS),
        "status": _words(is_open, ("closed", "open")),
        "entry_ts": opened.take(entry),
        "exit_ts": opened.take(leave).where(~is_open),
        "amount": trades["amount"],
        "entry_price": trades["entry_price"],
        "exit_price": trades["exit_price"],
        "entry_holding": entry_holding,
        "exit_holding": exit_holding,
        "fees": trades["fees"],
        "carry": trades["carry"],
        "profit": profit,
        "return": profit / entry_holding,
        "exit_reason": _words(exit_reason, REASONS, absent=is_open),
        "bars_held": last_bar - entry_bar,
        "worst_excursion": trades["worst"],
        "best_excursion": trades["best"],
        "touches_gap": absent > 0,
        "entry_order_id": ids.take(pa.array(entry)),
        "exit_order_id": ids.take(pa.array(leave, mask=is_open)),
    }
    return _frame(**columns)


def equity_frame(bars: Bars, cash: Floats, position: Floats, equity: Floats, drawdown: Floats) -> pd.DataFrame:
    """One row a candle, valued at its close."""
    # The closes are copied: the frame may be written to, the candles may not.
    return _frame(ts=bars.ts, cash=cash, position=position, price=bars.closes.copy(), equity=equity, drawdown=drawdown)


def _in_parts(event: npt.NDArray[np.int64]) -> bool:
    """Tell whether an order was filled in parts, given up or left waiting: without, each has one row and one fill."""
    return bool(event.max(initial=INTENT) > INTENT)


def _words(codes: Any, words: Sequence[str], absent: npt.NDArray[np.bool_] | None = None) -> pa.Array:
    numbers = pa.array(np.asarray(codes).astype(np.int32), mask=absent)
    return pa.DictionaryArray.from_arrays(numbers, pa.array(words)).cast(pa.string())


def _frame(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame({name: _column(values) for name, values in columns.items()}, copy=False)


def _column(values: Any) -> Any:
    if isinstance(values, pa.Array):
        return pd.array(values, dtype=STR)
    # A field of a log is a view on whole rows; a column of its own is smaller and faster.
    return np.ascontiguousarray(values) if isinstance(values, np.ndarray) else values
