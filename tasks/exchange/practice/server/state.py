"""What a practice exchange remembers between two runs: a SQLite file in a folder of its own, or in memory."""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import TypeAdapter

from data.errors import BadInput
from tasks.exchange.orders import Order
from tasks.exchange.practice.server.journal import Journal

_SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS parts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS orders (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    client_id TEXT,
    value TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS orders_client ON orders (client_id) WHERE client_id IS NOT NULL;
"""
_ORDER = TypeAdapter(Order)


class Saved(NamedTuple):
    """What was saved last."""

    parts: dict[str, Any]
    """By name: engine, clock, keys; each as its snapshot gave it."""
    orders: list[Order]
    """All ever, oldest first."""


class Store:
    """State and journal of one exchange. What `save` has returned from survives the death of the process.

    The folder belongs to one process at a time, and is for its owner's eyes only. BadInput when it is taken, cannot be
    written, or holds another exchange than the one named by `identity`.
    """

    def __init__(self, folder: Path | None, identity: Mapping[str, Any]) -> None:
        self.folder = folder
        self._identity = identity
        self._lock = None if folder is None else _locked(folder)
        self._connection = _connect(folder)
        try:
            self._connection.executescript(_SCHEMA)
            self.journal = Journal(self._connection)
            self._refuse_another(identity)
        except sqlite3.DatabaseError as error:
            self.close()
            reason = f"the practice state in {folder} cannot be read ({error})"
            raise BadInput(f"{reason}: move it away to begin anew") from None
        except BadInput:
            self.close()
            raise

    def load(self) -> Saved | None:
        """Return what was saved last; None before the first time."""
        rows = self._connection.execute("SELECT name, value FROM parts WHERE name <> 'identity'")
        parts = {name: json.loads(value) for name, value in rows}
        orders = self._connection.execute("SELECT value FROM orders ORDER BY number")
        return Saved(parts, [_ORDER.validate_json(value) for (value,) in orders]) if parts else None

    def save(self, parts: Mapping[str, Any], orders: Iterable[Order] = ()) -> None:
        """Save parts, the orders that have changed and the entries that wait, all or nothing."""
        with self._transaction():
            self._connection.executemany(
                "INSERT INTO parts VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                [(name, json.dumps(value)) for name, value in {**parts, "identity": self._identity}.items()],
            )
            self._connection.executemany(
                "INSERT INTO orders VALUES (NULL, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET value = excluded.value",
                [(order.id, order.request.client_id, _ORDER.dump_json(order).decode()) for order in orders],
            )
            self.journal.write()
        self.journal.written()

    def orders_of(self, client_id: str) -> list[str]:
        """Return the ids of all orders that a client id ever made, oldest first."""
        # The journal knows those too which the engine was told another client id of: Bitfinex allows one twice at once.
        rows = self._connection.execute(
            "SELECT id FROM orders WHERE client_id = ?1 OR id IN (SELECT made.value FROM journal, "
            "json_each(journal.orders) AS made WHERE journal.client_id = ?1) ORDER BY number",
            (client_id,),
        )
        return [order_id for (order_id,) in rows]

    def reopen(self) -> None:
        """Close the file and open it again, as a restart does; what is in memory only stays."""
        if self.folder is not None:
            self._connection.close()
            self._connection = _connect(self.folder)
            self.journal = Journal(self._connection)

    def close(self) -> None:
        """Let go of file and folder."""
        self._connection.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _refuse_another(self, identity: Mapping[str, Any]) -> None:
        """See that the store is this exchange's, or nobody's yet: the first save makes it so."""
        found = self._connection.execute("SELECT value FROM parts WHERE name = 'identity'").fetchone()
        if found is not None and (kept := json.loads(found[0])) != identity:
            names = [name for name in kept | dict(identity) if kept.get(name) != identity.get(name)]
            told = ", ".join(f"{name} {kept.get(name)}, not {identity.get(name)}" for name in names)
            reason = f"the practice exchange in {self.folder} is another one ({told})"
            raise BadInput(f"{reason}: give another --state folder")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.rollback()
            raise
        self._connection.commit()


def _connect(folder: Path | None) -> sqlite3.Connection:
    """Open the file. A commit is in the system's hands when it returns, so a killed process loses nothing of it."""
    if folder is not None:
        os.close(os.open(folder / "exchange.sqlite", os.O_CREAT | os.O_RDWR, 0o600))
    name = ":memory:" if folder is None else str(folder / "exchange.sqlite")
    return sqlite3.connect(name, isolation_level=None, check_same_thread=False)


def _locked(folder: Path) -> int:
    """Make the folder and take it for this process; the system lets go of it when the process ends, however it does."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        reason = f"the practice state cannot be kept in {folder} ({error.strerror})"
        raise BadInput(f"{reason}: give another --state folder") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise BadInput(
            f"a practice exchange runs on {folder} already: end it, or give another --state folder"
        ) from None
    return lock
