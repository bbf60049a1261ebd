"""The journal of a practice exchange: every request, who sent it, what it made, which fault it met."""

from __future__ import annotations

import json
import sqlite3
from typing import Any, NamedTuple

_LISTS = ("errors", "orders", "faults")
READS_KEPT = 100_000
"""Of public reads about so many stay, the latest; what a key asked for stays for ever."""

_LONGEST = 2000

_SCHEMA = """
CREATE TABLE IF NOT EXISTS journal (
    id INTEGER PRIMARY KEY,
    time INTEGER NOT NULL,
    method TEXT NOT NULL,
    path TEXT NOT NULL,
    params TEXT NOT NULL,
    key TEXT,
    status INTEGER NOT NULL,
    errors TEXT NOT NULL,
    orders TEXT NOT NULL,
    client_id TEXT,
    faults TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS journal_client ON journal (client_id) WHERE client_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS journal_reads ON journal (id) WHERE method = 'GET';
"""


class Entry(NamedTuple):
    """One request, carried out or not. Headers are not kept: what signs a request is nobody's to read again."""

    time: int
    """By the exchange's clock, in nanoseconds since 1970 UTC."""
    method: str
    path: str
    params: str
    """Query and body as they came; the first 2,000 characters."""
    key: str | None = None
    """Public key, once the signature is proven."""
    status: int = 200
    errors: tuple[str, ...] = ()
    orders: tuple[str, ...] = ()
    """Ids of the orders that it made."""
    client_id: str | None = None
    faults: tuple[str, ...] = ()
    """Kinds of the faults that it met."""


class Journal:
    """Entries wait in memory until `write`, which the owner of the transaction calls."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._waiting: list[Entry] = []
        self._until_trim = 0
        connection.executescript(_SCHEMA)

    def note(self, entry: Entry) -> None:
        """Take an entry, to be written with the next transaction."""
        self._waiting.append(entry)

    @property
    def waiting(self) -> int:
        """How many entries are not written yet."""
        return len(self._waiting)

    def write(self) -> None:
        """Write what waits, within the transaction that is open; it waits on until `written`."""
        rows = [_row(entry) for entry in self._waiting]
        self._connection.executemany("INSERT INTO journal VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        self._until_trim -= len(rows)
        if self._until_trim <= 0:
            self._until_trim = READS_KEPT // 10
            self._connection.execute(
                "DELETE FROM journal WHERE method = 'GET' AND id <= ("
                "SELECT id FROM journal WHERE method = 'GET' ORDER BY id DESC LIMIT 1 OFFSET ?)",
                (READS_KEPT,),
            )

    def written(self) -> None:
        """Forget what waited, once the transaction is through."""
        self._waiting.clear()

    def latest(self, limit: int, endpoint: str = "*", client_id: str | None = None) -> list[dict[str, Any]]:
        """Return the latest written entries, newest last; `endpoint` is a pattern of the path or its last part."""
        rows = self._connection.execute(
            "SELECT * FROM (SELECT * FROM journal WHERE (path GLOB ? OR path GLOB '*/' || ?)"
            " AND (? IS NULL OR client_id = ?) ORDER BY id DESC LIMIT ?) ORDER BY id",
            (endpoint, endpoint, client_id, client_id, limit),
        )
        names = [column[0] for column in rows.description]
        return [_entry(dict(zip(names, row, strict=True))) for row in rows]

    def count(self) -> int:
        """Return the number of written entries."""
        counted: int = self._connection.execute("SELECT count(*) FROM journal").fetchone()[0]
        return counted


def _row(entry: Entry) -> tuple[Any, ...]:
    time, method, path, params, key, status, errors, orders, client_id, faults = entry
    lists = [json.dumps(value) if value else "[]" for value in (errors, orders, faults)]
    return (time, method, path, params[:_LONGEST], key, status, lists[0], lists[1], client_id, lists[2])


def _entry(row: dict[str, Any]) -> dict[str, Any]:
    return row | {name: json.loads(row[name]) for name in _LISTS}
