"""Rows of CSV and Parquet files as arrays, each with the number of its line."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from data.errors import BadInput
from tasks.fetch.columns import Columns, is_number, recognise, time_format, to_numbers, to_times

_CHUNK = 50_000
_LONGEST_LINE = 65_536


class Rows(NamedTuple):
    """Rows in the order of the file."""

    file: str
    ts: NDArray[np.datetime64]
    """UTC, microseconds."""
    numbers: dict[str, NDArray[np.float64]]
    lines: NDArray[np.int64]
    """Line of the file (row of a Parquet file) that each stands in, from 1."""
    unit: str = "line"

    def place(self, row: int) -> str:
        """Name a row for people: `prices.csv line 17`."""
        return f"{self.file} {self.unit} {self.lines[row]}"


def read_csv(stream: IO[str], file: str, symbol: str | None, headerless: tuple[str, ...] | None = None) -> Rows:
    """Read a CSV file, separated by commas, semicolons or tabs, to the end.

    `headerless` names the columns of a file without a header. Raises BadInput, with the line, for what is not
    understood.
    """
    lines = _bounded_lines(stream, file)
    try:
        first = next(lines, "")
        separator = max(",;\t", key=first.count)
        header = next(csv.reader([first], delimiter=separator), [])
        if not header:
            raise BadInput(f"{file} is empty")
        if not all(is_number(cell) for cell in header):
            return _read_table(csv.reader(lines, delimiter=separator), header, file, symbol, before=1)
        if headerless is None:
            raise BadInput(f"{file} line 1: no header; name the columns: timestamp,open,high,low,close,volume")
        return _read_table(csv.reader(chain([first], lines)), list(headerless), file, symbol, before=0)
    except UnicodeDecodeError:
        raise BadInput(f"{file} is not text in UTF-8") from None
    except csv.Error as error:
        raise BadInput(f"{file} is not a CSV file: {error}") from None


def _bounded_lines(stream: IO[str], file: str) -> Iterator[str]:
    """Yield lines, of a length that fits in memory whatever the file is."""
    number = 0
    while line := stream.readline(_LONGEST_LINE):
        number += 1
        if len(line) == _LONGEST_LINE:
            raise BadInput(f"{file} line {number} is longer than {_LONGEST_LINE} characters: not a file of candles")
        yield line


def _read_table(reader: Any, header: list[str], file: str, symbol: str | None, before: int) -> Rows:
    columns = recognise(header, file, symbol)
    parts: list[Rows] = []
    written = ""
    numbered = ((reader.line_num + before, cells) for cells in reader if cells)
    while chunk := list(islice(numbered, _CHUNK)):
        lines = np.array([line for line, _ in chunk], dtype=np.int64)
        for line, cells in chunk:
            if len(cells) != len(header):
                raise BadInput(f"{file} line {line}: has {len(cells)} columns, not {len(header)}")
        part, written = _parse([cells for _, cells in chunk], columns, file, lines, written)
        parts.append(part)
    if not parts:
        raise BadInput(f"{file} has a header but no rows")
    return _join(parts)


def _parse(
    cells: list[list[str]], columns: Columns, file: str, lines: NDArray[np.int64], written: str
) -> tuple[Rows, str]:
    def place(row: int) -> str:
        return f"{file} line {lines[row]}"

    texts = [" ".join(row[at] for at in columns.ts) for row in cells]
    written = written or time_format(texts[0])
    ts = to_times(texts, written, place)
    numbers = {name: to_numbers([row[at] for row in cells], name, place) for name, at in columns.numbers.items()}
    return Rows(file, ts, numbers, lines), written


def _join(parts: list[Rows]) -> Rows:
    numbers = {name: np.concatenate([part.numbers[name] for part in parts]) for name in parts[0].numbers}
    ts = np.concatenate([part.ts for part in parts])
    return Rows(parts[0].file, ts, numbers, np.concatenate([part.lines for part in parts]), parts[0].unit)


def read_parquet(path: Path, symbol: str | None) -> Rows:
    """Read a Parquet file. Raises BadInput, with the row, for what is not understood."""
    file = path.name
    try:
        names = pq.read_schema(path).names
        columns = recognise(names, file, symbol)
        needed = [names[at] for at in (*columns.ts, *columns.numbers.values())]
        table = pq.read_table(path, columns=needed, partitioning=None)
    except pa.ArrowException as error:
        raise BadInput(f"{file} is not a Parquet file: {str(error).splitlines()[0]}") from None
    if table.num_rows == 0:
        raise BadInput(f"{file} has no rows")
    rows = Rows(file, np.empty(0, "datetime64[us]"), {}, np.arange(1, table.num_rows + 1), "row")
    ts = _parquet_times([table.column(names[at]) for at in columns.ts], rows)
    numbers = {name: _parquet_numbers(table.column(names[at]), name, rows) for name, at in columns.numbers.items()}
    return rows._replace(ts=ts, numbers=numbers)


def _parquet_times(columns: list[pa.ChunkedArray], rows: Rows) -> NDArray[np.datetime64]:
    for column in columns:
        _refuse_nulls(column, "time", rows)
    kind = columns[0].type
    if len(columns) == 1 and (pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
        utc = columns[0].cast(pa.timestamp("us", getattr(kind, "tz", None)), safe=False)
        return np.asarray(utc.to_numpy(), dtype="datetime64[us]")
    texts = [" ".join(map(str, parts)) for parts in zip(*(column.to_pylist() for column in columns), strict=True)]
    return to_times(texts, time_format(texts[0]), rows.place)


def _parquet_numbers(column: pa.ChunkedArray, name: str, rows: Rows) -> NDArray[np.float64]:
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        _refuse_nulls(column, name, rows)
        return to_numbers(column.to_pylist(), name, rows.place)
    try:
        return np.asarray(column.cast(pa.float64(), safe=False).to_numpy())
    except pa.ArrowException:
        raise BadInput(f"{rows.file}: column {name} is {column.type}, not numbers") from None


def _refuse_nulls(column: pa.ChunkedArray, name: str, rows: Rows) -> None:
    if column.null_count:
        row = int(column.is_null().to_numpy().argmax())
        raise BadInput(f"{rows.place(row)}: {name} is empty")
