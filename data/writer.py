"""The writer of the lake: one folder of Delta tables, which are Parquet files and a log of transactions.

A commit is all or nothing: a process killed while it writes leaves the table as it was. Any number of processes may
write at once; a reader sees one version, whatever is written meanwhile.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from data.errors import LakeError, unknown
from data.settings import settings
from data.tables import TABLES, Table

ROW_GROUP = 122_880
"""Rows of a row group: the size that DuckDB scans in parallel and prunes by its statistics."""

_ATTEMPTS = 20


class Claim(NamedTuple):
    """A compare-and-swap on a table: the commit happens only if `id` stands at `version` - 1."""

    id: str
    version: int


class Lake:
    """The lake in one folder; tables come into being when first written."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    @classmethod
    def open(cls) -> Lake:
        """Return the lake of the settings (`JARVIS_LAKE`)."""
        return cls(settings().lake)

    def path(self, name: str) -> Path:
        """Return the folder of a table. Raises BadInput for a table that is not in the schema."""
        return self.root / _declared(name).name

    def table(self, name: str) -> DeltaTable | None:
        """Open the newest version of a table; None when nothing was ever written to it."""
        path = self.path(name)
        if not (path / "_delta_log").is_dir():
            return None
        try:
            return DeltaTable(path)
        except DeltaError as error:
            if "No files in log segment" in str(error):  # its creator was killed before the first commit
                return None
            raise _unreadable(path, error) from None
        except OSError as error:
            raise _unreadable(path, error) from None

    def version(self, name: str) -> int:
        """Return the version of a table, -1 when nothing was ever written to it."""
        table = self.table(name)
        return -1 if table is None else table.version()

    def claimed(self, name: str, claim_id: str) -> int:
        """Return the version last committed to a table under `claim_id`, 0 if none."""
        table = self.table(name)
        return 0 if table is None else table.transaction_version(claim_id) or 0

    def append(self, name: str, rows: pa.Table | pd.DataFrame, claim: Claim | None = None) -> bool:
        """Append rows in one commit.

        Columns are those of `data.tables`; absent ones become null. Returns False, with nothing written, when another
        writer holds the claim. Raises LakeError where the rows do not fit the schema or the folder cannot be written.
        """
        declared = _declared(name)
        table = conform(declared, rows)

        def commit(delta: DeltaTable, properties: CommitProperties) -> None:
            write_deltalake(
                delta,
                table,
                mode="append",
                schema_mode="merge",
                writer_properties=writer_properties(),
                commit_properties=properties,
            )

        return self._commit(declared, claim, commit)

    def upsert(self, name: str, rows: pa.Table | pd.DataFrame, claim: Claim | None = None) -> bool:
        """Replace the rows whose key is in the table and insert the others, in one commit; otherwise as `append`."""
        declared = _declared(name)
        table = conform(declared, rows)
        same_key = " AND ".join(f"target.{column} = source.{column}" for column in declared.key)

        def commit(delta: DeltaTable, properties: CommitProperties) -> None:
            merge = delta.merge(
                table,
                same_key,
                source_alias="source",
                target_alias="target",
                merge_schema=True,
                writer_properties=writer_properties(),
                commit_properties=properties,
            )
            merge.when_matched_update_all().when_not_matched_insert_all().execute()

        return self._commit(declared, claim, commit)

    def _commit(
        self, declared: Table, claim: Claim | None, commit: Callable[[DeltaTable, CommitProperties], None]
    ) -> bool:
        transactions = None if claim is None else [Transaction(claim.id, claim.version)]
        for attempt in range(_ATTEMPTS):
            try:
                delta = self._create(declared)
                if claim is not None and (delta.transaction_version(claim.id) or 0) != claim.version - 1:
                    return False
                commit(delta, CommitProperties(app_transactions=transactions))
            except CommitFailedError:  # another writer was first: look again, and let it go ahead
                time.sleep(random.uniform(0, 0.02 * (attempt + 1)))  # noqa: S311
                continue
            except (DeltaError, OSError) as error:
                raise LakeError(_unwritten(self.path(declared.name), error)) from None
            if declared.durable:
                fsync_commit(self.path(declared.name), delta.version())
            return True
        raise LakeError(f"table {declared.name}: {_ATTEMPTS} commits lost against other writers; try again")

    def _create(self, declared: Table) -> DeltaTable:
        table = self.table(declared.name)
        if table is not None:
            return table
        path = self.path(declared.name)
        path.mkdir(parents=True, exist_ok=True)
        return DeltaTable.create(
            path,
            declared.schema,
            mode="ignore",
            partition_by=list(declared.partition),
            description=f"One row per {declared.grain}.",
        )


def conform(declared: Table, rows: pa.Table | pd.DataFrame) -> pa.Table:
    """Return rows with exactly the declared columns and types, sorted as declared; a NaN of pandas becomes null.

    Raises LakeError for a column that is not declared, a value of another type, or a key that is null.
    """
    if isinstance(rows, pd.DataFrame):
        rows = pa.Table.from_pandas(rows, preserve_index=False)
    strangers = sorted(set(rows.column_names) - set(declared.schema.names))
    if strangers:
        raise LakeError(f"table {declared.name} has no column {', '.join(strangers)}: add it to data/tables.py first")
    columns = []
    for field in declared.schema:
        if field.name not in rows.column_names:
            columns.append(pa.nulls(rows.num_rows, field.type))
            continue
        try:
            columns.append(rows[field.name].cast(field.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            reason = str(error).splitlines()[0]
            raise LakeError(f"table {declared.name}, column {field.name}: not {field.type}: {reason}") from None
    table = pa.Table.from_arrays(columns, schema=declared.schema)
    empty = [name for name in declared.key if table[name].null_count]
    if empty:
        raise LakeError(f"table {declared.name}: {', '.join(empty)} is part of the key and cannot be null")
    return _sorted(table, declared.sort)


def _sorted(table: pa.Table, by: tuple[str, ...]) -> pa.Table:
    order = [(name, "ascending") for name in by]
    indices = pa.compute.sort_indices(table.select(list(by)), sort_keys=order).to_numpy()
    in_order = (indices[1:] > indices[:-1]).all()
    return table if in_order else table.take(indices)


def _declared(name: str) -> Table:
    if name not in TABLES:
        raise unknown("table", name, TABLES)
    return TABLES[name]


def writer_properties() -> WriterProperties:
    """Return how every Parquet file of the lake is written."""
    return WriterProperties(compression="ZSTD", max_row_group_size=ROW_GROUP)


def _unreadable(path: Path, error: Exception) -> LakeError:
    return LakeError(f"the lake's table {path} cannot be read: {_first_line(error)}; `jarvis doctor` looks at it")


def _unwritten(path: Path, error: Exception) -> str:
    reason = _first_line(error)
    if "No space left" in reason or "os error 28" in reason:
        return f"disk full: nothing was written to {path}; make room and run it again"
    return f"nothing was written to {path}: {reason}"


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def fsync_commit(path: Path, version: int) -> None:
    """Force a commit to the disk: its data files, its log entry, and the folders that name them."""
    log = path / "_delta_log" / f"{version:020}.json"
    actions: list[dict[str, Any]] = [json.loads(line) for line in log.read_text().splitlines()]
    files = [path / action["add"]["path"] for action in actions if "add" in action] + [log]
    folders = {folder for file in files for folder in (file.parent, *file.parent.parents) if folder >= path}
    for place in (*files, *folders, path.parent):
        descriptor = os.open(place, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
