"""Upkeep of the lake: many small files become few, and what no version needs goes away."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError, DeltaError

from data.errors import LakeError
from data.tables import TABLES, Table
from data.views import scan
from data.writer import Lake, fsync_commit, writer_properties


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

    Files that no longer belong to the newest version are removed once older than `keep`: a reader that holds an older
    version, or a writer not yet done, may need them until then. Rows of runs that were never recorded are removed once
    older than `orphans_after`. Safe beside writers and readers. Raises LakeError where a table cannot be written.
    """
    done = []
    for declared in TABLES.values():
        delta = lake.table(declared.name)
        if delta is None:
            continue
        try:
            done.append(_settle(lake, declared, delta, keep, orphans_after))
        except CommitFailedError:  # a writer was first; the next upkeep finds the table as well
            continue
        except (DeltaError, OSError) as error:
            reason = str(error).splitlines()[0]
            raise LakeError(f"upkeep of table {declared.name} stopped, nothing lost: {reason}") from None
    return done


def _settle(lake: Lake, declared: Table, delta: DeltaTable, keep: timedelta, orphans_after: timedelta) -> Upkeep:
    before = len(delta.file_uris())
    orphans = _clear_orphans(lake, declared, delta, orphans_after)
    version = delta.version()
    delta.optimize.compact(writer_properties=writer_properties())
    if delta.version() > version:  # what is compacted must be on the disk before its parts are removed
        fsync_commit(lake.path(declared.name), delta.version())
    delta.create_checkpoint()
    delta.cleanup_metadata()
    delta.vacuum(
        retention_hours=int(keep.total_seconds() // 3600), enforce_retention_duration=False, dry_run=False, full=True
    )
    return Upkeep(declared.name, before, len(delta.file_uris()), orphans)


def _clear_orphans(lake: Lake, declared: Table, delta: DeltaTable, orphans_after: timedelta) -> int:
    """Remove rows of runs that are not in `runs`, as far as they lie in files older than `orphans_after`."""
    if not declared.of_a_run:
        return 0
    before = (datetime.now(UTC) - orphans_after).timestamp() * 1000
    added = pa.table(delta.get_add_actions(flatten=True))
    old = added.filter(pc.less_equal(added["modification_time"], before))["path"].to_pylist()
    files = [str(lake.path(declared.name) / path) for path in old]
    if not files:
        return 0
    runs = lake.table("runs")
    recorded = [] if runs is None else runs.to_pyarrow_table(columns=["run_id"])["run_id"].to_pylist()
    connection = duckdb.connect(":memory:")
    found = connection.execute(f"SELECT DISTINCT run_id FROM ({scan(declared, files)})").fetchall()
    connection.close()
    orphans = sorted({run for (run,) in found} - set(recorded))
    if not orphans:
        return 0
    listed = ", ".join(f"'{run}'" for run in orphans)
    return int(delta.delete(f"run_id IN ({listed})")["num_deleted_rows"])
