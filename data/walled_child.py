"""The process in which one visitor's query runs: `data.walled` starts it, asks it one thing, and reads its answer.

It is told the lake and its limits when it starts, the query by a line of JSON. It answers with a line of JSON and,
where there are rows, an Arrow IPC stream.
"""

from __future__ import annotations

import bisect
import contextlib
import json
import os
import resource
import signal
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import duckdb
import pyarrow as pa

from data.errors import BadInput, LakeError
from data.query import begin, told
from data.views import connect
from data.walled import READY, Answer, Limits
from data.writer import Lake

_BATCH = 10_000
_NICENESS = 5

_THREADS = 1
"""Threads of DuckDB: the machine trades, too."""


def main() -> None:
    """Wait for a query, answer it, end."""
    root, *rest = json.loads(sys.argv[1])
    lake, limits = _lake(Path(root)), Limits(*rest)
    answer = _own_the_output()
    os.nice(_NICENESS)
    with contextlib.suppress(Exception):  # only to have loaded and done once what a query needs
        _connect(lake, limits).close()
    _confine(limits)
    answer.write(READY)
    answer.flush()
    query = sys.stdin.buffer.readline()
    if not query:
        return
    threading.Thread(target=_end_with_the_server, daemon=True).start()
    signal.setitimer(signal.ITIMER_REAL, limits.seconds + 1)  # the server is first, unless something holds it up
    head, rows = _answer(lake, limits, json.loads(query))
    answer.write(json.dumps(head).encode() + b"\n")
    if rows is not None:
        with pa.ipc.new_stream(answer, rows.schema) as stream:
            stream.write_table(rows)
    answer.flush()
    os._exit(0)  # nothing here is worth an orderly end


def _lake(root: Path) -> Lake:
    """Return the lake under a name that tells no folder: views of a table that cannot be read bear it."""
    if not root.parent.is_dir():
        return Lake(root)
    os.chdir(root.parent)
    return Lake(Path(root.name))


def _own_the_output() -> BinaryIO:
    """Return the pipe to the server; what a library prints goes nowhere."""
    answer = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    return answer


def _confine(limits: Limits) -> None:
    """Take the system's limits upon this process: processor time, memory, and no byte to any file."""
    seconds = int(limits.seconds) + 2
    for kind, most in (
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_DATA, 2 * limits.memory),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (most, most))


def _end_with_the_server() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


def _connect(lake: Lake, limits: Limits) -> duckdb.DuckDBPyConnection:
    return connect(lake, walled=True, limits={"memory_limit": f"{limits.memory}B", "threads": _THREADS})


def _answer(lake: Lake, limits: Limits, query: str) -> tuple[dict[str, Any], pa.Table | None]:
    """Return the head of the answer, and the rows where there are some."""
    try:
        reader = begin(_connect(lake, limits), query).to_arrow_reader(_BATCH)
        answer = collect(reader, reader.schema, limits)
    except LakeError as error:
        return {"lake": _without_folder(str(error), lake)}, None
    except BadInput as error:
        return {"fault": _without_folder(str(error), lake)}, None
    except (MemoryError, duckdb.OutOfMemoryException):
        return {"fault": None}, None
    except duckdb.Error as error:
        return _refused(told(error), lake), None
    except (pa.ArrowException, OSError) as error:  # of rows that come after the first
        return _refused(told(duckdb.Error(str(error))), lake), None
    return {"whole": answer.whole}, answer.rows


def _refused(error: Exception, lake: Lake) -> dict[str, Any]:
    kind = "lake" if isinstance(error, LakeError) else "fault"
    return {kind: _without_folder(str(error), lake)}


def _without_folder(text: str, lake: Lake) -> str:
    for folder in (lake.root.absolute(), lake.root.resolve()):
        text = text.replace(f"file://{folder}", lake.root.name).replace(str(folder), lake.root.name)
    return text


def collect(batches: Iterable[pa.RecordBatch], schema: pa.Schema, limits: Limits) -> Answer:
    """Return the first rows, up to the limits. Raises BadInput where not even one row is within them."""
    kept: list[pa.RecordBatch] = []
    rows = size = 0
    whole = True
    for batch in batches:
        room = limits.bytes - size
        fitting = bisect.bisect_right(range(batch.num_rows + 1), room, key=lambda n: batch.slice(0, n).nbytes) - 1
        taken = batch.slice(0, min(fitting, limits.rows - rows))
        kept.append(taken)
        rows, size = rows + taken.num_rows, size + taken.nbytes
        if taken.num_rows < batch.num_rows:
            whole = False
            break
    if not whole and not rows:
        raise BadInput(f"one row of the answer is larger than {limits.bytes // 1024**2} MiB, the most that is answered")
    table = pa.Table.from_batches(kept, schema)
    return Answer(table.rename_columns(_numbered(table.column_names)), whole)


def _numbered(names: list[str]) -> list[str]:
    """Return names of which none is twice.

    >>> _numbered(["a", "b", "a"])
    ['a', 'b', 'a (2)']
    """
    seen: dict[str, int] = {}
    given = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        new = name if seen[name] == 1 else f"{name} ({seen[name]})"
        while new in seen and new != name:
            seen[name] += 1
            new = f"{name} ({seen[name]})"
        seen.setdefault(new, 1)
        given.append(new)
    return given


if __name__ == "__main__":
    main()
