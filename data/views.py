"""DuckDB views over the lake: one a table, as of one version, over an in-memory connection."""

from __future__ import annotations

import atexit
import functools
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs
from deltalake import DeltaTable

from data.errors import LakeError
from data.rows import one_line
from data.tables import SERIES, TABLES, TIME, Table
from data.writer import Lake, quoted

_SQL_TYPES = {
    pa.string(): "VARCHAR",
    pa.float64(): "DOUBLE",
    pa.int64(): "BIGINT",
    pa.bool_(): "BOOLEAN",
    TIME: "TIMESTAMPTZ",
    pa.map_(pa.string(), pa.float64()): "MAP(VARCHAR, DOUBLE)",
    SERIES: "FLOAT[]",
}

REVISIONS = {
    "candles": ("candle_revisions", "WHERE superseded_at IS NULL"),
    "verdicts": ("verdict_revisions", "QUALIFY row_number() OVER (PARTITION BY run_id ORDER BY judged_at DESC) = 1"),
}
"""Tables whose view shows what holds now: the view of all their rows, and which of these hold."""

_OURS: dict[str, Any] = {"python_enable_replacements": False}
"""A name in a query is a view's, never a Python variable's."""

_WALLS: dict[str, Any] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "allow_persistent_secrets": False,
    "temp_directory": "",
}

PORTFOLIO = """
    SELECT run_id, ts, position,
        position - lag(position, 1, 0) OVER run AS entry_exit_position,
        position * price AS portfolio_holdings,
        cash AS portfolio_cash,
        equity AS portfolio_total,
        equity / lag(equity) OVER run - 1 AS portfolio_daily_returns,
        equity / first_value(equity) OVER run - 1 AS portfolio_cumulative_returns
    FROM equity
    WINDOW run AS (PARTITION BY run_id ORDER BY ts)
"""
"""The lesson's columns, over the table equity."""


def read(lake: Lake, query: str, parameters: Any, *, tables: Collection[str]) -> pa.Table:
    """Return the rows of one of our own queries, over the views of the tables that it names.

    Raises LakeError where one of them cannot be read.
    """
    with passing(lake, tables) as connection:
        try:
            rows: pa.Table = connection.sql(query, params=parameters).to_arrow_table()
        except duckdb.Error as error:
            raise LakeError(one_line(error)) from None
    return rows


def passing(lake: Lake, tables: Collection[str]) -> duckdb.DuckDBPyConnection:
    """Return a connection with the views of some tables, as `connect` does, in a tenth of its time; close it.

    It is for questions of our own: it shares the database of all of this process, and its views are temporary.
    """
    connection = _passing()
    _create_views(connection, lake, tables, recorded="temp.recorded")
    return connection


def read_unrecorded(lake: Lake, name: str, delta: DeltaTable | None, run: str, columns: Sequence[str]) -> pa.Table:
    """Return a run's rows of an opened table, whether the run is recorded or not. Raises LakeError.

    By DuckDB, which reads a text as a text: Arrow knows two kinds, a merge writes the one and an append the other, and
    it cannot compare them.
    """
    listed = ", ".join(f'"{column}"' for column in columns)
    with _passing() as connection:
        source = _rows(connection, lake, TABLES[name], delta)
        try:
            query = connection.sql(f"SELECT {listed} FROM ({source}) WHERE run_id = ?", params=[run])
            rows: pa.Table = query.to_arrow_table()
        except duckdb.Error as error:
            raise LakeError(f"the {name} of run {run} cannot be read: {one_line(error)}") from None
    return rows


def connect(
    lake: Lake,
    *,
    tables: Collection[str] = TABLES,
    walled: bool = False,
    limits: Mapping[str, Any] = MappingProxyType({}),
    scans: Mapping[str, str] = MappingProxyType({}),
) -> duckdb.DuckDBPyConnection:
    """Return an in-memory connection with a view for each table, or for some: each costs a look at its log.

    The views show one version of the lake, whatever is written later; connect again to see it. `candles` has the
    current revisions, `candle_revisions` all of them; `verdicts` the latest of a run, `verdict_revisions` all of them.
    What belongs to a run is seen once the run is recorded. `portfolio` has the lesson's columns. Times are UTC. A table
    that cannot be read raises duckdb.Error when it is asked; the others answer. Of the tables of a run none is seen
    without `runs`.

    With `walled`, for SQL that a person typed: no statement can reach a file, the network or an extension, so nothing
    in the lake can be changed. `limits` are further settings of DuckDB, such as memory_limit and threads. `scans` are
    answers of `scan_of`, by table: these are not opened again.
    """
    connection = _settled(duckdb.connect(":memory:", config=_OURS | (_WALLS if walled else {}) | dict(limits)))
    connection.execute("CREATE SCHEMA jarvis")
    _create_views(connection, lake, tables, recorded="jarvis.recorded", walled=walled, scans=scans)
    if walled:
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
    return connection


def _passing() -> duckdb.DuckDBPyConnection:
    """Return a connection for a question or two: what it makes has to be temporary, and goes when it is closed."""
    return _settled(_database().cursor())


@functools.cache
def _database() -> duckdb.DuckDBPyConnection:
    """Open what all passing connections share: an empty database. To open one takes ten times as long as to connect."""
    return duckdb.connect(":memory:", config=_OURS)


atexit.register(_database.cache_clear)
"""What is still open when Python ends, beside Prefect's threads, DuckDB tells of on the terminal, line by line."""


def _settled(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET enable_progress_bar = false")  # it would be printed among the answers
    return connection


def _create_views(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    tables: Collection[str],
    *,
    recorded: str,
    walled: bool = False,
    scans: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Create a view for each table. `recorded` is made first, with the ids of the runs in this version of `runs`.

    They are read once, not by each view of what belongs to a run.
    """
    temporary = "TEMP " if recorded.startswith("temp.") else ""
    # A run is recorded after all that belongs to it: whoever is in this version of `runs` is whole in the others.
    for name in sorted(tables, key=lambda name: name != "runs"):
        try:
            rows = (
                scans[name] if name in scans else _rows(connection, lake, TABLES[name], lake.table(name), walled=walled)
            )
            _create_view(connection, TABLES[name], rows, recorded, temporary)
        except (LakeError, duckdb.Error, OSError) as error:
            reason = one_line(error) if isinstance(error, LakeError) else f"table {name}: {one_line(error)}"
            _create_view(connection, TABLES[name], _refusal(TABLES[name], reason), recorded, temporary)
        if name == "runs":
            _note_recorded(connection, recorded, temporary)
    if "equity" in tables:
        connection.execute(f"CREATE {temporary}VIEW portfolio AS {PORTFOLIO}")


def scan_of(lake: Lake, name: str, delta: DeltaTable | None) -> str:
    """Return a SELECT over all rows of a table, as it was opened, of a lake in a folder."""
    files = [] if delta is None else lake.files(name, delta)
    return empty(TABLES[name]) if delta is None or not files else scan(TABLES[name], delta, files)


def _note_recorded(connection: duckdb.DuckDBPyConnection, recorded: str, temporary: str) -> None:
    try:
        connection.execute(f"CREATE {temporary}TABLE {recorded} AS SELECT run_id FROM runs")
    except duckdb.Error:  # whoever asks is told
        connection.execute(f"CREATE {temporary}VIEW {recorded} AS SELECT run_id FROM runs")


def _create_view(
    connection: duckdb.DuckDBPyConnection, declared: Table, rows: str, recorded: str, temporary: str
) -> None:
    columns = ", ".join(f'"{name}"' for name in declared.schema.names)
    whole = f" WHERE run_id IN (FROM {recorded})" if declared.of_a_run else ""
    every, those_that_hold = REVISIONS.get(declared.name, (declared.name, ""))
    connection.execute(f"CREATE OR REPLACE {temporary}VIEW {every} AS SELECT {columns} FROM ({rows}){whole}")
    if those_that_hold:
        connection.execute(f"CREATE {temporary}VIEW {declared.name} AS SELECT {columns} FROM {every} {those_that_hold}")


def _rows(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    declared: Table,
    delta: DeltaTable | None,
    *,
    walled: bool = False,
) -> str:
    """Return a SELECT over all rows of a table, as it was opened."""
    if not walled and not lake.remote:
        return scan_of(lake, declared.name, delta)
    files = [] if delta is None else lake.files(declared.name, delta)
    return empty(declared) if delta is None or not files else _registered(connection, lake, declared, delta, files)


def _registered(
    connection: duckdb.DuckDBPyConnection, lake: Lake, declared: Table, delta: DeltaTable, files: list[str]
) -> str:
    """Return a SELECT over the Parquet files of a table, which Arrow reads for DuckDB."""
    connection.register(f"{declared.name}_files", _dataset(declared, files, lake.filesystem(delta)))
    return f"SELECT * FROM {declared.name}_files UNION ALL BY NAME ({empty(declared)})"


def _dataset(declared: Table, files: list[str], filesystem: pa.fs.FileSystem | None) -> ds.Dataset:
    """Return files of a table as Arrow reads them; none is opened, and deltalake's own way takes 1 ms for each."""
    schema = _viewed(declared)
    parts = ds.partitioning(pa.schema([schema.field(name) for name in declared.partition]), flavor="hive")
    parts = parts if declared.partition else None
    return ds.dataset(files, schema=schema, format="parquet", partitioning=parts, filesystem=filesystem)


def _viewed(declared: Table) -> pa.Schema:
    """Return the schema with texts as views: a merge writes them so, and Arrow compares a text with no view of one.

    Files that have them as plain texts are read as views just as well; partitions are not in the files.
    """
    return pa.schema(
        field.with_type(pa.string_view())
        if field.type == pa.string() and field.name not in declared.partition
        else field
        for field in declared.schema
    )


def _refusal(declared: Table, reason: str) -> str:
    """Return a SELECT that raises when it is run: a table that cannot be read takes no other down with it."""
    refuse = f"error({quoted(reason)})"
    columns = ", ".join(f'{refuse}::{_SQL_TYPES[field.type]} AS "{field.name}"' for field in declared.schema)
    return f"SELECT {columns} WHERE {refuse}"


def scan(declared: Table, delta: DeltaTable, files: list[str]) -> str:
    """Return a SELECT over the Parquet files of a table, some of which may lack columns that were added later."""
    listed = ", ".join(map(quoted, files))
    if declared.partition:
        named = (
            "" if _are_alike(declared, delta) else ", union_by_name = true"
        )  # it opens every file, at every question
        hive = "hive_partitioning = true, hive_types_autocast = false"
        return f"SELECT * FROM read_parquet([{listed}], {hive}{named}) UNION ALL BY NAME ({empty(declared)})"
    columns = ", ".join(
        f"'{field.name}': {{name: '{field.name}', type: '{_SQL_TYPES[field.type]}', default_value: NULL}}"
        for field in declared.schema
    )
    return f"SELECT * FROM read_parquet([{listed}], schema = MAP {{{columns}}})"  # told it, DuckDB opens none for it


def _are_alike(declared: Table, delta: DeltaTable) -> bool:
    """Tell by the log whether all files have all columns; where it has no statistics of a column, they may not."""
    told = pa.table(delta.get_add_actions(flatten=True))
    counts = (f"null_count.{name}" for name in declared.schema.names if name not in declared.partition)
    return all(count in told.schema.names and not told[count].null_count for count in counts)


def empty(declared: Table) -> str:
    """Return a SELECT of no rows with the table's columns and types."""
    columns = ", ".join(f'NULL::{_SQL_TYPES[field.type]} AS "{field.name}"' for field in declared.schema)
    return f"SELECT {columns} WHERE false"
