"""What the account did in words: the months as a table, and what stands beside the charts."""

from __future__ import annotations

import calendar as names
from typing import NamedTuple

import pandas as pd

from dashboards.look import part
from dashboards.queries import Rows, Run
from dashboards.return_queries import Distribution, Rolling, period

_STRONGEST = 42
"""Percent of its colour that the greatest gain or loss takes: text stays readable on it, dark and light."""


class Cell(NamedTuple):
    """A month's or a year's growth: text, tone, and how strong its colour is, in percent."""

    text: str
    tone: str
    share: int


def calendar(rows: Rows) -> str:
    """Return months in their order, a row for each year with its growth at the end; the newest year is the last."""
    if rows.empty:
        return part("said", text="The account has no returns.")
    months, years = rows[rows["month"].notna()], rows[rows["month"].isna()].set_index("year")["value"]
    values = {(int(year), int(month)): value for year, month, value in months[["year", "month", "value"]].to_numpy()}
    strongest = max((abs(value) for value in values.values() if pd.notna(value)), default=0.0)
    widest = max((abs(value) for value in years if pd.notna(value)), default=0.0)
    shown = [
        (
            year,
            [_cell(values.get((year, month)), strongest) for month in range(1, 13)],
            _cell(years.get(year), widest),
        )
        for year in range(int(years.index.min()), int(years.index.max()) + 1)
    ]
    return part("calendar", months=list(names.month_abbr)[1:], years=shown)


def too_short(run: Run, found: Rolling) -> str:
    """Say why there is no rolling ratio."""
    if not found.window:
        return "The metrics of this run do not say how many returns make a year."
    unit = f"{period(run)}s"
    return f"A window takes the returns of {found.window} {unit}, and the run has those of {found.returns}."


def spread_of(run: Run, found: Distribution) -> str:
    """Say which returns are counted, and which are left out."""
    unit = period(run)
    if not found.returns:
        return "The account has no returns."
    if not found.still:
        return f"Returns of {found.returns:,} {unit}s."
    if found.still == found.returns:
        return f"Nothing moved: the returns of all {found.returns:,} {unit}s are 0."
    left = f"{found.still:,} on which nothing moved are left out"
    return f"Returns of {found.returns - found.still:,} {unit}s; {left}."


def _cell(value: float | None, strongest: float) -> Cell | None:
    if value is None or pd.isna(value):
        return None
    share = round(_STRONGEST * min(1.0, abs(value) / strongest)) if strongest else 0
    percent = round(value * 100, 1)
    return Cell(f"{percent:+.1f}" if percent else "0.0", "good" if percent > 0 else "bad" if percent < 0 else "", share)
