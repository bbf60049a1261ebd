"""The page docs/lake.md, written from `data.tables`: ``python -m data.handbook`` renews it."""

from __future__ import annotations

import pyarrow as pa

from data.settings import CHECKOUT
from data.tables import TABLES, Column, Table

PAGE = CHECKOUT / "docs" / "lake.md"

_INTRODUCTION = """\
# The lake

<!-- Written by `python -m data.handbook` from `data/tables.py`: change it there. -->

One folder (`JARVIS_LAKE`, by default `data/lake`) of [Delta](https://delta.io) tables: Parquet files, zstd, and a log
of transactions. `jarvis sql` and the dashboard see each table as a DuckDB view of the same name.

- **A commit is all or nothing.** A process killed while it writes leaves a table as it was; a reader sees one version,
  whatever is written meanwhile. Any number of processes may write.
- **A run is seen whole or not at all.** Its row in `runs` is written last, and the views show nothing of a run without
  it. The same manifest run again writes nothing.
- **A closed candle that its source changed** is kept: the old revision gets `superseded_at`, the new one the next
  `revision`, in one commit. The view `candles` shows what holds now, `candle_revisions` all there ever was.
- **A verdict depends on what else was tried** until it is given: a run that is judged again gets another row. The view
  `verdicts` shows the latest of each run, `verdict_revisions` all of them.
- **A gap stays a gap.** It is a row of `quality`; no candle is ever invented.
- **Durable** tables are forced to the disk (fsync) before a write returns.
- **Columns are only ever added.** Rows written before have null there.
- The view `portfolio` has the lesson's columns over `equity`: `portfolio_holdings`, `portfolio_cash`,
  `portfolio_total`, `portfolio_daily_returns`, `portfolio_cumulative_returns`, `position`, `entry_exit_position`.
- The flow `upkeep`, nightly where `jarvis up` or `jarvis serve` runs, makes many small files few. After it a plain
  `read_parquet` over a table's data files gives the table's rows: `runs/*.parquet`, `candles/exchange=*/**/*.parquet`.

Times are UTC, `timestamp[us, UTC]`. Fractions are fractions (0.012 is 1.2 %). Money and prices are in the quote
currency, amounts in the base currency.
"""


def lake_page() -> str:
    """Return the page as Markdown: the rules, then every table with its columns."""
    return "\n".join([_INTRODUCTION, *(_section(table) for table in TABLES.values())])


def _section(table: Table) -> str:
    facts = [f"One row per {table.grain}.", f"Key: {_names(table.key)}."]
    if table.partition:
        facts.append(f"Partitioned by {_names(table.partition)}.")
    facts.append(f"Sorted by {_names(table.sort)}.")
    if table.durable:
        facts.append("Durable.")
    rows = "".join(_row(column) for column in table.columns)
    return f"## {table.name}\n\n{' '.join(facts)}\n\n| Column | Type | Unit | Meaning |\n|---|---|---|---|\n{rows}"


def _row(column: Column) -> str:
    kind = "map of string to double" if pa.types.is_map(column.type) else str(column.type)
    return f"| `{column.name}` | {kind} | {column.unit} | {column.meaning} |\n"


def _names(columns: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in columns)


if __name__ == "__main__":
    PAGE.write_text(lake_page(), encoding="utf-8")
