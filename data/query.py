"""SQL that a person typed: one read-only statement over the views."""

from __future__ import annotations

import duckdb
import pyarrow as pa

from data.errors import BadInput, LakeError
from data.views import connect
from data.writer import BROKEN, Lake

_READS = {duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN, duckdb.StatementType.RELATION}


def run_query(lake: Lake, query: str) -> pa.Table:
    """Run one SELECT (or SHOW, DESCRIBE, EXPLAIN) over the lake's views and return its rows.

    Nothing outside the views can be reached and nothing can be changed. Raises BadInput, with DuckDB's own words, for
    a statement that cannot be run, LakeError where a table cannot be read.
    """
    connection = connect(lake, walled=True)
    try:
        statements = connection.extract_statements(query)
        if len(statements) != 1:
            raise BadInput(f"{len(statements)} statements given: write one SELECT")
        if statements[0].type not in _READS:
            raise BadInput(f"{statements[0].type.name} is not possible here: the lake is read-only, write a SELECT")
        rows: pa.Table = connection.sql(query).to_arrow_table()
        return rows
    except duckdb.Error as error:
        reason = " ".join(str(error).split("\n\n")[0].split())
        if BROKEN in reason:
            raise LakeError(reason[reason.index(BROKEN) :]) from None
        raise BadInput(f"SQL: {reason}") from None
    finally:
        connection.close()
