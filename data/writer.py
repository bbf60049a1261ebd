"""The writer of the lake: one folder of Delta tables, which are Parquet files and a log of transactions.

A commit is all or nothing: a process killed while it writes leaves the table as it was. Any number of processes may
write at once; a reader sees one version, whatever is written meanwhile. A process that has used the lake must not fork
(deltalake's threads stay behind): start others by spawn or forkserver.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs
from deltalake import (
    CommitProperties,
    DeltaTable,
    PostCommitHookProperties,
    Transaction,
    WriterProperties,
    write_deltalake,
)
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.fs import DeltaStorageHandler

from data.errors import BadInput, LakeError, unknown
from data.rows import conform, one_line
from data.settings import settings
from data.tables import TABLES, Table

ROW_GROUP = 122_880
"""Rows of a row group: the size that DuckDB scans in parallel and prunes by its statistics."""

CHECKPOINT_EVERY = 20
"""Commits between two checkpoints of a log, of which a reader reads the last and what follows it."""

COMMIT_ONLY = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)
"""Nothing after a commit: were deltalake's own checkpoint to fail there, a done write would look failed."""

_ATTEMPTS = 20

_synced: dict[str, int] = {}
"""By a table's own id: the version up to which this process has forced its commits to the disk."""

BROKEN = "the lake's table"
"""How the message of a table that cannot be read begins, also where DuckDB passes it on."""

Where = list[tuple[str, str, Any]]


class Claim(NamedTuple):
    """A compare-and-swap on a table: the commit happens only if `id` stands at `version` - 1."""

    id: str
    version: int


class Lake:
    """The lake in one folder, or in a bucket such as s3://bucket/lake; tables come into being when first written.

    A bucket is whatever deltalake takes, by the variables that it takes (AWS_ACCESS_KEY_ID and the like). Sweeps and
    backtests read and write there; upkeep and the dashboard need a folder, and of a bucket `root` is but a name.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)
        self.remote = is_remote(root)
        self.address = str(root).rstrip("/") if self.remote else str(self.root.absolute())
        if self.remote:
            return
        awkward = re.search(r"[%=\[\]*?\\\x00-\x1f]", str(self.root.absolute()))
        if awkward:  # deltalake and DuckDB each read something else into it
            path = str(self.root)
            raise BadInput(f"the lake cannot lie in {path!r}: its path bears {awkward[0]!r}; choose another folder")

    @classmethod
    def open(cls) -> Lake:
        """Return the lake of the settings (`JARVIS_LAKE`)."""
        return cls(settings().lake)

    def path(self, name: str) -> Path:
        """Return the folder of a table. Raises BadInput for a table that is not in the schema."""
        return self.root / _declared(name).name

    def folder(self, name: str) -> Path | None:
        """Return the folder of something in the lake that is no table; None where the lake is no folder itself."""
        return None if self.remote else self.root / name

    def filesystem(self, delta: DeltaTable) -> pa.fs.FileSystem | None:
        """Return through what Arrow reads the `files` of an opened table; None where they lie in a folder."""
        return pa.fs.PyFileSystem(DeltaStorageHandler.from_table(delta._table)) if self.remote else None

    def table(self, name: str, version: int | None = None) -> DeltaTable | None:
        """Open a version of a table, the newest if None is named; None when nothing was ever written to it."""
        path = self.path(name)
        try:
            there = self.remote or path.exists()
            return DeltaTable(self._uri(name), version) if there else None
        except TableNotFoundError:
            return None
        except (DeltaError, OSError) as error:
            if "No files in log segment" in str(error):  # its creator was killed before the first commit
                return None
            raise _unreadable(path, error) from None

    def files(self, name: str, delta: DeltaTable, where: Where | None = None) -> list[str]:
        """Return the Parquet files of an opened table; `where` leaves out partitions, not rows."""
        if self.remote:
            return [uri[len(delta.table_uri) :].lstrip("/") for uri in delta.file_uris(file_pruning_predicate=where)]
        prefix = len(urlsplit(delta.table_uri).path)  # deltalake writes the folder as a URL, the rest as it is
        return [f"{self.path(name)}/{uri[prefix:]}" for uri in delta.file_uris(file_pruning_predicate=where)]

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
                post_commithook_properties=COMMIT_ONLY,
            )

        return self._commit(declared, table.num_rows, claim, commit)

    def upsert(self, name: str, rows: pa.Table | pd.DataFrame, claim: Claim | None = None) -> bool:
        """Replace the rows whose key is in the table and insert the others, in one commit; otherwise as `append`."""
        declared = _declared(name)
        table = conform(declared, rows)
        same_key = [f"target.{column} = source.{column}" for column in declared.key]
        for column in declared.partition:  # named, it lets writers of other partitions go on beside this one
            values = pc.unique(table[column]).to_pylist()
            if len(values) == 1:
                same_key.append(f"target.{column} = {quoted(values[0])}")

        def commit(delta: DeltaTable, properties: CommitProperties) -> None:
            merge = delta.merge(
                table,
                " AND ".join(same_key),
                source_alias="source",
                target_alias="target",
                merge_schema=True,
                writer_properties=writer_properties(),
                commit_properties=properties,
                post_commithook_properties=COMMIT_ONLY,
            )
            merge.when_matched_update_all().when_not_matched_insert_all().execute()

        return self._commit(declared, table.num_rows, claim, commit)

    def _commit(
        self, declared: Table, rows: int, claim: Claim | None, commit: Callable[[DeltaTable, CommitProperties], None]
    ) -> bool:
        if not rows and claim is None:
            return True
        path = self.path(declared.name)
        now = int(time.time() * 1000)
        transactions = None if claim is None else [Transaction(claim.id, claim.version, now)]
        for attempt in range(_ATTEMPTS):
            try:
                delta = self._create(declared)
                if claim is not None and (delta.transaction_version(claim.id) or 0) != claim.version - 1:
                    return False
                commit(delta, CommitProperties(app_transactions=transactions))
            except CommitFailedError:  # another writer was first: look again, and let it go ahead
                time.sleep(random.uniform(0, 0.02 * (attempt + 1)))  # noqa: S311
                continue
            except LakeError:
                raise
            except Exception as error:  # noqa: BLE001 - deltalake raises just that for what Arrow cannot cast
                raise _unwritten(path, error) from None
            self._after_commit(declared, path, delta)
            return True
        raise LakeError(f"table {declared.name}: {_ATTEMPTS} commits lost against other writers; try again")

    def _create(self, declared: Table) -> DeltaTable:
        table = self.table(declared.name)
        if table is not None:
            return table
        path = self.path(declared.name)
        if not self.remote:
            path.mkdir(parents=True, exist_ok=True)
        delta = DeltaTable.create(
            self._uri(declared.name),
            declared.schema,
            mode="ignore",
            partition_by=list(declared.partition),
            description=f"One row per {declared.grain}.",
            configuration={"delta.logRetentionDuration": "interval 1 days"},
            post_commithook_properties=COMMIT_ONLY,
        )
        if not self.remote:
            fsync_commits(path, 0, 0)  # without its beginning no table can be read
            _fsync({self.root.parent})
        return delta

    def _uri(self, name: str) -> str:
        return f"{self.address}/{name}" if self.remote else str(self.path(name))

    def _after_commit(self, declared: Table, path: Path, delta: DeltaTable) -> None:
        if not self.remote:
            _make_certain(declared, path, delta)
        elif delta.version() % CHECKPOINT_EVERY == 0:
            with contextlib.suppress(DeltaError, OSError):
                delta.create_checkpoint()


def is_remote(root: Path | str) -> bool:
    """Tell whether a lake lies in a bucket: has an address with a scheme, as s3://bucket/lake."""
    return isinstance(root, str) and "://" in root


def _make_certain(declared: Table, path: Path, delta: DeltaTable) -> None:
    version = delta.version()
    if declared.durable:  # with all commits since the checkpoint: without those of other writers ours cannot be read
        table = str(delta.metadata().id)
        first = max(_checkpointed(path), _synced.get(table, -1)) + 1
        try:
            fsync_commits(path, min(first, version), version)
        except OSError as error:
            reason = one_line(error)
            raise LakeError(f"written to {path}, but not certain to survive a power cut: {reason}") from None
        _synced[table] = version
    if version % CHECKPOINT_EVERY == 0:
        with contextlib.suppress(DeltaError, OSError):  # the write is done; the next checkpoint makes up for this one
            write_checkpoint(path, delta)


def _declared(name: str) -> Table:
    if name not in TABLES:
        raise unknown("table", name, TABLES)
    return TABLES[name]


def quoted(text: str) -> str:
    """Return a text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"


def writer_properties() -> WriterProperties:
    """Return how every Parquet file of the lake is written."""
    return WriterProperties(compression="ZSTD", max_row_group_size=ROW_GROUP)


def _unreadable(path: Path, error: Exception) -> LakeError:
    return LakeError(f"{BROKEN} {path} cannot be read: {one_line(error)}; `jarvis doctor` looks at it")


def _unwritten(path: Path, error: Exception) -> LakeError:
    reason = one_line(error)
    if "No space left" in reason or "os error 28" in reason:
        return LakeError(f"disk full: nothing was written to {path}; make room and run it again")
    return LakeError(f"nothing was written to {path}: {reason}")


def fsync_commits(path: Path, first: int, last: int) -> None:
    """Force commits to the disk: their data files, their log entries, and the folders that name them."""
    log = path / "_delta_log"
    places = {path.parent, path, log}
    for number in range(first, last + 1):
        entry = log / f"{number:020}.json"
        with contextlib.suppress(FileNotFoundError):  # upkeep has a checkpoint of it, on the disk
            actions: list[dict[str, Any]] = [json.loads(line) for line in entry.read_text().splitlines()]
            files = [path / unquote(action["add"]["path"]) for action in actions if "add" in action]
            folders = {folder for file in files for folder in file.parents if path in folder.parents}
            places |= {entry, *files, *folders}
    _fsync(places)


def write_checkpoint(path: Path, delta: DeltaTable) -> Path:
    """Sum up the log in one file, forced to the disk, so that readers need not read the log from its beginning."""
    delta.create_checkpoint()
    log = path / "_delta_log"
    file = log / f"{delta.version():020}.checkpoint.parquet"
    _fsync({file, log / "_last_checkpoint", log})
    return file


def _checkpointed(path: Path) -> int:
    """Return the version of the newest checkpoint, -1 if there is none."""
    try:
        return int(json.loads((path / "_delta_log" / "_last_checkpoint").read_text())["version"])
    except (OSError, ValueError, KeyError):
        return -1


def _fsync(places: Iterable[Path]) -> None:
    for place in places:
        with contextlib.suppress(FileNotFoundError):  # upkeep was here: what it removes, no version needs
            descriptor = os.open(place, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
