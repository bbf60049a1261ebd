"""What the page of SQL asks of the lake itself: its views. A visitor's own SQL never comes here (`data.walled`)."""

from __future__ import annotations

from typing import NamedTuple

from dashboards.queries import Connection
from data.tables import TABLES


class ViewColumn(NamedTuple):
    """A column of a view."""

    name: str
    type: str
    meaning: str
    written: str
    """The name as SQL writes it."""


class View(NamedTuple):
    """A view of the lake, and what one of its rows is."""

    name: str
    meaning: str
    columns: list[ViewColumn]


_MEANINGS = {
    "candles": "one row per exchange, symbol, timeframe and ts, as it is known now",
    "candle_revisions": f"one row per {TABLES['candles'].grain}, replaced ones too",
    "portfolio": "one row per run and ts: the lesson's columns, computed from equity",
}


def views(lake: Connection) -> list[View]:
    """Return the views by name, each with its columns."""
    rows = lake.execute(
        """SELECT table_name, column_name, data_type, keyword_category IS NOT NULL
        FROM duckdb_columns() LEFT JOIN duckdb_keywords()
            ON keyword_name = lower(column_name) AND keyword_category = 'reserved'
        WHERE NOT internal ORDER BY table_name, column_index"""
    ).fetchall()
    found: dict[str, View] = {}
    for view, name, kind, reserved in rows:
        declared = TABLES.get({"candle_revisions": "candles"}.get(view, view))
        meanings = (
            {column.name: _meaning(column.meaning, column.unit) for column in declared.columns} if declared else {}
        )
        grain = f"one row per {declared.grain}" if declared else ""
        listed = found.setdefault(view, View(view, _MEANINGS.get(view, grain), []))
        written = f'"{name}"' if reserved else name
        listed.columns.append(ViewColumn(name, kind, meanings.get(name, ""), written))
    return list(found.values())


def _meaning(meaning: str, unit: str) -> str:
    return f"{meaning} ({unit})" if unit else meaning
