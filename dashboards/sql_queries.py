"""What the page of SQL asks of the lake itself: its views. A visitor's own SQL never comes here (`data.walled`)."""

from __future__ import annotations

from typing import NamedTuple

from dashboards.queries import Connection
from data.tables import TABLES
from data.views import REVISIONS


class ViewColumn(NamedTuple):
    """A column of a view."""

    name: str
    type: str
    meaning: str


class View(NamedTuple):
    """A view of the lake, and what one of its rows is."""

    name: str
    meaning: str
    columns: list[ViewColumn]


_MEANINGS = {
    "candles": "one row per exchange, symbol, timeframe and ts, as it is known now",
    "candle_revisions": f"one row per {TABLES['candles'].grain}, replaced ones too",
    "verdicts": "one row per run: its latest judgement",
    "verdict_revisions": f"one row per {TABLES['verdicts'].grain}",
    "portfolio": "one row per run and ts: the lesson's columns, computed from equity",
}


_OF_REVISIONS = {revisions: table for table, (revisions, _) in REVISIONS.items()}


def views(lake: Connection) -> list[View]:
    """Return the views by name, each with its columns."""
    rows = lake.execute(
        """SELECT table_name, column_name, data_type FROM duckdb_columns()
        WHERE NOT internal AND schema_name = 'main' ORDER BY table_name, column_index"""
    ).fetchall()
    found: dict[str, View] = {}
    for view, name, kind in rows:
        declared = TABLES.get(_OF_REVISIONS.get(view, view))
        grain = f"one row per {declared.grain}" if declared else ""
        meanings = {c.name: _meaning(c.meaning, c.unit) for c in declared.columns} if declared else {}
        listed = found.setdefault(view, View(view, _MEANINGS.get(view, grain), []))
        listed.columns.append(ViewColumn(name, kind, meanings.get(name, "")))
    return list(found.values())


def _meaning(meaning: str, unit: str) -> str:
    return f"{meaning} ({unit})" if unit else meaning
