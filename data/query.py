"""SQL that a person typed: one read-only statement over the views."""

from __future__ import annotations

import duckdb
import pyarrow as pa

from data.errors import BadInput, JarvisError, LakeError
from data.views import connect
from data.writer import BROKEN, Lake

_READS = {duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN, duckdb.StatementType.RELATION}
_LONGEST = 500


def run_query(lake: Lake, query: str) -> pa.Table:
    """Run one SELECT (or SHOW, DESCRIBE, EXPLAIN) over the lake's views and return its rows.

    Nothing outside the views can be reached and nothing can be changed. Raises BadInput, with DuckDB's own words, for
    a statement that cannot be run, LakeError where a table cannot be read.
    """
    connection = connect(lake, walled=True)
    try:
        rows: pa.Table = begin(connection, query).to_arrow_table()
        return rows
    except duckdb.Error as error:
        raise told(error) from None
    finally:
        connection.close()


def begin(connection: duckdb.DuckDBPyConnection, query: str) -> duckdb.DuckDBPyRelation:
    """Begin a query on a walled connection. Raises BadInput for what is not one statement that reads, duckdb.Error."""
    statements = connection.extract_statements(query)
    if len(statements) != 1:
        raise BadInput(f"{len(statements)} statements given: write one SELECT")
    if statements[0].type not in _READS:
        raise BadInput(f"{statements[0].type.name} is not possible here: the lake is read-only, write a SELECT")
    return connection.sql(query)


def told(error: duckdb.Error) -> JarvisError:
    """Return what DuckDB says of a query in one line, as the lake's fault or the query's."""
    reason = " ".join(str(error).split("\n\n")[0].split())[:_LONGEST]
    if BROKEN in reason:
        return LakeError(reason[reason.index(BROKEN) :])
    return BadInput(f"SQL: {reason}")
