"""Upkeep of the lake: many small files become few, and what no version needs goes away."""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError, DeltaError

from data.errors import LakeError
from data.rows import one_line
from data.tables import TABLES, Table
from data.views import scan
from data.writer import COMMIT_ONLY, Lake, fsync_commits, quoted, write_checkpoint, writer_properties


@dataclass(frozen=True)
class Upkeep:
    """What was done to one table."""

    table: str
    files_before: int
    files_after: int
    orphans_removed: int
    """Rows cleared away whose run was never recorded, as when its writer was killed."""


def settle(
    lake: Lake, *, keep: timedelta = timedelta(hours=1), orphans_after: timedelta = timedelta(days=1)
) -> list[Upkeep]:
    """Compact and clean every table; afterwards the Parquet files alone, read with a plain glob, are the table.

    Files that no longer belong to the newest version are removed once older than `keep` (whole hours, rounded up): a
    reader that holds an older version, or a writer not yet done, may need them until then. What `record_run` wrote for
    a run that it never recorded is removed once older than `orphans_after`. Safe beside writers and readers. Raises
    LakeError where a table cannot be read or written, after the others are done.
    """
    done = []
    failed = []
    for declared in TABLES.values():
        try:
            delta = lake.table(declared.name)
            if delta is not None:
                done.append(_settle(lake, declared, delta, keep, orphans_after))
        except CommitFailedError:  # a writer was first; the next upkeep finds the table as well
            continue
        except (LakeError, DeltaError, duckdb.Error, OSError) as error:
            failed.append(f"upkeep of table {declared.name} stopped, nothing lost: {one_line(error)}")
    if failed:
        raise LakeError("; ".join(failed))
    return done


def compact(lake: Lake, name: str, *, above: int = 100) -> bool:
    """Make few files of a table's many, where there are more than so many of them in the table or in a partition.

    For sessions, which write a file at every candle. What is replaced stays on the disk for those who still read it,
    until `settle` removes it. Safe beside writers and readers; returns whether anything was done: not when a writer
    was first, whose table the next call finds. Raises LakeError where the table cannot be read or written.
    """
    delta = lake.table(name)
    if delta is None:
        return False
    path, version = lake.path(name), delta.version()
    try:
        for partition in _crowded(delta, TABLES[name].partition, above):
            delta.optimize.compact(
                partition_filters=partition or None,
                writer_properties=writer_properties(),
                post_commithook_properties=COMMIT_ONLY,
            )
        if delta.version() > version:
            fsync_commits(path, version + 1, delta.version())
            write_checkpoint(path, delta)
    except CommitFailedError:
        return False
    except (DeltaError, OSError) as error:
        raise LakeError(f"compaction of table {name} stopped, nothing lost: {one_line(error)}") from None
    return delta.version() > version


def _crowded(delta: DeltaTable, columns: tuple[str, ...], above: int) -> list[list[tuple[str, str, str]]]:
    """Return the partitions of more than so many files, as filters; a table without any is one itself."""
    files = pa.table(delta.get_add_actions(flatten=True))
    counts = Counter(zip(*(files[f"partition.{name}"].to_pylist() for name in columns), strict=True))
    if not columns:
        counts = Counter({(): files.num_rows})
    return [
        [(name, "=", value) for name, value in zip(columns, values, strict=True)]
        for values, count in counts.items()
        if count > above
    ]


def _settle(lake: Lake, declared: Table, delta: DeltaTable, keep: timedelta, orphans_after: timedelta) -> Upkeep:
    path = lake.path(declared.name)
    before, version = len(delta.file_uris()), delta.version()
    orphans = _clear_orphans(lake, declared, delta, orphans_after)
    delta.optimize.compact(writer_properties=writer_properties(), post_commithook_properties=COMMIT_ONLY)
    if delta.version() > version:  # what is new must be on the disk before what it replaces is removed
        fsync_commits(path, version + 1, delta.version())
    write_checkpoint(path, delta)
    delta.cleanup_metadata()
    delta.vacuum(
        retention_hours=math.ceil(keep / timedelta(hours=1)),
        enforce_retention_duration=False,
        dry_run=False,
        full=True,
        post_commithook_properties=COMMIT_ONLY,
    )
    _remove_unfinished(path, datetime.now(UTC) - keep)
    return Upkeep(declared.name, before, len(delta.file_uris()), orphans)


def _remove_unfinished(path: Path, before: datetime) -> None:
    """Remove what killed writers left: deltalake writes to a name with '#' and renames, and its vacuum spares these."""
    for file in path.rglob("*#*"):
        with contextlib.suppress(FileNotFoundError):
            if file.stat().st_mtime <= before.timestamp():
                file.unlink()


def _clear_orphans(lake: Lake, declared: Table, delta: DeltaTable, orphans_after: timedelta) -> int:
    """Remove rows that were claimed for a run longer ago than `orphans_after`, and the run is not in `runs`."""
    if not declared.of_a_run or not (files := lake.files(declared.name, delta)):
        return 0
    runs = lake.table("runs")  # opened after `delta`: a run that was recorded meanwhile is in it
    recorded = [] if runs is None else runs.to_pyarrow_table(columns=["run_id"])["run_id"].to_pylist()
    with duckdb.connect(":memory:") as connection:
        found = connection.execute(f"SELECT DISTINCT run_id FROM ({scan(declared, delta, files)})").fetchall()
    halves = {run for (run,) in found} - set(recorded)
    claims = _claims(lake.path(declared.name), delta) if halves else {}
    before = (datetime.now(UTC) - orphans_after).timestamp() * 1000
    orphans = sorted(run for run in halves if run in claims and claims[run] <= before)
    if not orphans:
        return 0
    listed = ", ".join(map(quoted, orphans))
    deleted = delta.delete(f"run_id IN ({listed})", post_commithook_properties=COMMIT_ONLY)
    return int(deleted["num_deleted_rows"])


def _claims(path: Path, delta: DeltaTable) -> dict[str, int]:
    """Return when each claim on a table was made, in milliseconds; only the log itself tells."""
    claims = pq.read_table(write_checkpoint(path, delta), columns=["txn"], partitioning=None)["txn"].drop_null()
    return {claim["appId"]: claim["lastUpdated"] or 0 for claim in claims.to_pylist()}
