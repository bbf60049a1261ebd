"""The lesson's portfolio and trade tables, for people to read."""

from __future__ import annotations

from typing import Any

import pandas as pd

from data.metrics import METRICS, PORTFOLIO

_ABSENT = "n/a"
_TRADE_HEADINGS = {
    "symbol": "Stock",
    "entry_ts": "Entry Date",
    "exit_ts": "Exit Date",
    "amount": "Shares",
    "entry_price": "Entry Share Price",
    "exit_price": "Exit Share Price",
    "entry_holding": "Entry Portfolio Holding",
    "exit_holding": "Exit Portfolio Holding",
    "profit": "Profit/Loss",
    "fees": "Fees",
    "side": "Side",
    "exit_reason": "Exit Reason",
}


def portfolio_table(metrics: pd.DataFrame) -> pd.DataFrame:
    """Return the headline metrics as text, in the columns Metric and Value.

    The lesson's five come first: Annual Return, Cumulative Returns, Annual Volatility, Sharpe Ratio, Sortino Ratio.
    Fractions are shown as percents. The 95 % interval and the note follow in brackets; what is not defined is "n/a",
    and its note says why.
    """
    columns = metrics[["metric", "value", "low", "high", "note"]].itertuples(index=False)
    found: dict[str, list[Any]] = {name: row for name, *row in columns}
    rows = [(METRICS[name].title, _describe(METRICS[name].unit, *found[name])) for name in PORTFOLIO]
    return pd.DataFrame(rows, columns=["Metric", "Value"])


def trade_table(trades: pd.DataFrame) -> pd.DataFrame:
    """Return the trades under the lesson's headings, with Fees, Side and Exit Reason after them.

    Values keep their type. An open trade has no Exit Date, its exit price is the last close, and its reason is "open".
    """
    shown = trades[list(_TRADE_HEADINGS)].rename(columns=_TRADE_HEADINGS).reset_index(drop=True)
    still_open = (trades["status"] == "open").to_numpy(dtype=bool)
    shown["Exit Reason"] = shown["Exit Reason"].astype("str").mask(still_open, "open")
    return shown


def format_value(value: float | None, unit: str) -> str:
    """Write a value with its unit for a person; "n/a" if there is none.

    >>> format_value(0.1234, "fraction"), format_value(1234.5, "quote"), format_value(12.0, "days")
    ('12.34 %', '1,234.50', '12 days')
    """
    if value is None or pd.isna(value):
        return _ABSENT
    match unit:
        case "fraction":
            return f"{value * 100:,.2f} %"
        case "count":
            return _plain(value, 2)
        case "days" | "bars":
            return f"{_plain(value, 1)} {unit}"
        case _:
            return f"{value:,.2f}"


def _describe(unit: str, value: float | None, low: float | None, high: float | None, note: str | None) -> str:
    interval = [] if pd.isna(low) else [f"95 %: {format_value(low, unit)} to {format_value(high, unit)}"]
    remarks = "; ".join(interval if pd.isna(note) else [*interval, note])
    return f"{format_value(value, unit)} ({remarks})" if remarks else format_value(value, unit)


def _plain(value: float, decimals: int) -> str:
    """Write a number without the decimals that say nothing."""
    return f"{value:,.{decimals}f}".rstrip("0").rstrip(".")
