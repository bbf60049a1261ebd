"""Rows on their way into the lake: the declared columns and types, and nothing guessed."""

from __future__ import annotations

import re

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from data.errors import LakeError
from data.tables import Table


def conform(declared: Table, rows: pa.Table | pd.DataFrame) -> pa.Table:
    """Return rows with exactly the declared columns and types, sorted as declared; NaN becomes null.

    Numbers stay numbers, text stays text, and instants must bear a time zone: nothing is guessed. Raises LakeError for
    a column that is not declared, a value of another type, a key that is null or cannot name a folder.
    """
    if isinstance(rows, pd.DataFrame):
        try:
            rows = pa.Table.from_pandas(rows, preserve_index=False)
        except (pa.ArrowException, ValueError) as error:
            raise LakeError(f"table {declared.name}: rows are no table: {one_line(error)}") from None
    strangers = sorted(set(rows.column_names) - set(declared.schema.names))
    if strangers:
        raise LakeError(f"table {declared.name} has no column {', '.join(strangers)}: add it to data/tables.py first")
    if len(set(rows.column_names)) < rows.num_columns:
        raise LakeError(f"table {declared.name}: a column is given twice: {', '.join(rows.column_names)}")
    table = pa.Table.from_arrays([_column(declared, field, rows) for field in declared.schema], schema=declared.schema)
    empty = [name for name in declared.key if table[name].null_count]
    if empty:
        raise LakeError(f"table {declared.name}: {', '.join(empty)} is part of the key and cannot be null")
    for name in declared.partition:
        for value in pc.unique(table[name]).to_pylist():
            if value in ("", "__HIVE_DEFAULT_PARTITION__") or "~" in value:
                raise LakeError(f"table {declared.name}, column {name}: '{value}' cannot name a folder: no ~, no blank")
    return _sorted(table, declared.sort)


def _column(declared: Table, field: pa.Field, rows: pa.Table) -> pa.ChunkedArray:
    if field.name not in rows.column_names:
        return pa.chunked_array([pa.nulls(rows.num_rows, field.type)])
    column = rows[field.name]
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), None, column)
    if column.null_count == rows.num_rows:  # pandas gives a column without values whatever type it likes
        return pa.chunked_array([pa.nulls(rows.num_rows, field.type)])
    place = f"table {declared.name}, column {field.name}"
    given = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_timestamp(given) and given.tz is None:
        raise LakeError(f"{place}: times without a time zone; make them UTC")
    if not any(kind(given) and kind(field.type) for kind in _KINDS):
        raise LakeError(f"{place}: {given} given, {field.type} wanted")
    try:
        return column.cast(field.type)
    except pa.ArrowException as error:
        raise LakeError(f"{place}: not {field.type}: {one_line(error)}") from None


def _is_text(kind: pa.DataType) -> bool:
    return kind in (pa.string(), pa.large_string(), pa.string_view())


def _is_number(kind: pa.DataType) -> bool:
    return any(is_kind(kind) for is_kind in (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal))


_KINDS = (_is_text, _is_number, pa.types.is_boolean, pa.types.is_timestamp, pa.types.is_map, pa.types.is_list)


def _sorted(table: pa.Table, by: tuple[str, ...]) -> pa.Table:
    order = [(name, "ascending") for name in by]
    indices = pc.sort_indices(table.select(list(by)), sort_keys=order).to_numpy()
    in_order = (indices[1:] > indices[:-1]).all()
    return table if in_order else table.take(indices)


def one_line(error: Exception) -> str:
    """Return what a library says went wrong, and why, on one line."""
    first, *others = re.sub(r"\x1b\[\d*m", "", str(error)).splitlines() or [type(error).__name__]
    causes = [line.strip(" ↳") for line in others if "↳" in line]
    return ": ".join([first.strip(), *causes])[:300]
