"""The result of a visitor's query: as text for a table, in another order, as CSV and as Parquet.

All of it takes time on many rows and belongs in a thread.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

MOST_ROWS = 1_000
"""Rows that the table shows; the downloads have all."""

MOST_TEXT = 2_000_000
"""Characters that the table shows: fewer rows where they are long."""

LONGEST_TEXT = 200
"""Characters of a cell that the table shows."""


class Order(NamedTuple):
    """How the rows of a result are sorted: by which column; `descending` puts the greatest first."""

    column: int
    descending: bool


class Shown(NamedTuple):
    """What the table shows: a head a column, and rows of text; None is null."""

    heads: list[tuple[str, str, str]]
    """Name, type, and whether it holds a `number` or tells `when`; otherwise empty."""
    rows: list[list[str | None]]


def shown(rows: pa.Table, order: Order | None = None) -> Shown:
    """Return the first rows, of all in that order."""
    heads = [(field.name, str(field.type), _kind(field.type)) for field in rows.schema]
    if order is not None and order.column < rows.num_columns:
        direction = "descending" if order.descending else "ascending"
        rows = rows.take(pc.sort_indices(_sortable(rows[order.column]), sort_keys=[("", direction)]))
    first = rows.slice(0, MOST_ROWS)
    columns = [[_clipped(text) for text in texts(column)] for column in first.columns]
    return Shown(heads, list(_within(MOST_TEXT, map(list, zip(*columns, strict=True)))))


def _kind(kind: pa.DataType) -> str:
    return "number" if is_number(kind) else "when" if is_time(kind) else ""


def is_time(kind: pa.DataType) -> bool:
    """Tell whether values of a type are instants or days."""
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))


def is_number(kind: pa.DataType) -> bool:
    """Tell whether values of a type are numbers."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def csv(rows: pa.Table) -> bytes:
    """Return all rows as CSV, with a line of headings; times are UTC."""
    written = io.BytesIO()
    pa_csv.write_csv(_plain(rows), written)
    return written.getvalue()


def parquet(rows: pa.Table) -> bytes:
    """Return all rows as Parquet; what it has no type for is written as text."""
    try:
        return _parquet(rows)
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        return _parquet(_plain(rows))


def texts(column: pa.ChunkedArray) -> list[str | None]:
    """Return values as text; null stays None."""
    try:
        values = column.to_pylist()
    except (OverflowError, ValueError):  # instants that Python has no object for
        try:
            values = column.cast(pa.string()).to_pylist()
        except pa.ArrowException:
            values = column.cast(pa.int64()).to_pylist()
    if pa.types.is_map(column.type):
        values = [None if value is None else dict(value) for value in values]
    return [None if value is None else _text(value) for value in values]


def _text(value: Any) -> str:
    written: Callable[[Any], str] = str
    match value:
        case bool():
            written = _truth
        case float():
            written = "{:.10g}".format
        case bytes():
            written = bytes.hex
        case datetime():
            written = _time
        case pa.MonthDayNano():
            written = _span
        case list() | dict():
            written = _json
    return written(value)


def _truth(value: bool) -> str:
    return str(value).lower()


def _time(value: datetime) -> str:
    return str(value).removesuffix("+00:00")


def _span(value: Any) -> str:
    return f"{value.months} months {value.days} days {value.nanoseconds / 1e9:g} seconds"


def _json(value: list[Any] | dict[str, Any]) -> str:
    return json.dumps(value, default=_text, ensure_ascii=False)


def _clipped(text: str | None) -> str | None:
    return text if text is None or len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"


def _within(most: int, rows: Iterator[list[str | None]]) -> Iterator[list[str | None]]:
    size = 0
    for row in rows:
        size += sum(len(text or "") + 8 for text in row)
        if size > most:
            return
        yield row


def _sortable(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_dictionary(column.type):
        return column.cast(column.type.value_type)
    return column if _is_plain(column.type) and not pa.types.is_null(column.type) else _as_text(column)


def _plain(rows: pa.Table) -> pa.Table:
    """Return rows whose columns are numbers, truth values, texts and times; others become text."""
    columns = [column if _is_plain(column.type) else _as_text(column) for column in rows.columns]
    return pa.table(columns, names=rows.column_names)


def _is_plain(kind: pa.DataType) -> bool:
    simple = (pa.types.is_boolean, pa.types.is_string, pa.types.is_timestamp, pa.types.is_date, pa.types.is_null)
    return is_number(kind) or any(is_kind(kind) for is_kind in simple)


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(texts(column), pa.string())])


def _parquet(rows: pa.Table) -> bytes:
    written = io.BytesIO()
    pq.write_table(rows, written, compression="zstd")
    return written.getvalue()
