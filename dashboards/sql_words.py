"""What the page of SQL says: of the box, of an answer, of where there is none."""

from __future__ import annotations

from dashboards.look import part
from data.walled import Answer, Limits

FROM_ADDRESS = (
    "This query came with the address and has not run: whoever made a link would otherwise decide what your machine "
    "works on. Read it, then run it."
)

NOT_RUN = "Nothing has run yet. Choose an example or write a SELECT; a click on a view or a column inserts its name."

NO_CHART = "An answer whose first column is a time or a number is drawn here."

STOPPED = "Stopped."

CHANGED = " The lake has changed since: run it again to see what is new."


NO_ROWS = "The lake has no rows for this: `jarvis backtest` or `jarvis live` writes some."


def refused(reason: str) -> str:
    """Return why a query has no answer."""
    return part("fault", title="No answer", text=reason)


def answered(answer: Answer, shown: int, seconds: float) -> str:
    """Return how many rows an answer has, how many of them are shown, and the time it took."""
    rows = answer.rows.num_rows
    count = f"{rows:,} row{'' if rows == 1 else 's'} in {seconds:.2f} s"
    if not rows:
        return f"{count}. {NO_ROWS}"
    if not answer.whole:
        count = f"The first {rows:,} rows, in {seconds:.2f} s: the answer is longer than a page may hold. Ask for less"
    return count + (f"; the table shows {shown:,}, the downloads have all {rows:,}" if shown < rows else "")


def bounds(limits: Limits) -> str:
    """Return what a query may take."""
    size = f"{limits.rows:,} rows or {limits.bytes // 1024**2} MiB"
    return f"Read-only. A query may take {limits.seconds:g} s and {limits.memory // 1024**2} MiB; an answer {size}."
