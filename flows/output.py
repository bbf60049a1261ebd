"""What the command line prints: tables for people, JSON for machines."""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

if TYPE_CHECKING:
    from flows.backtest import Backtest
    from flows.doctor import Finding
    from tasks.fetch.collect import Collected
    from tasks.signal import Strategy
    from tasks.signal.check import Report

_TRADES_SHOWN = 20


def backtest_json(result: Backtest) -> None:
    """Print the run as one object: run_id, manifest, metrics (name: value), trades and fills (rows as in the lake)."""
    metrics = {row["metric"]: row["value"] for row in _records(result.metrics)}
    simulation = result.simulation
    _dump(
        {
            "run_id": result.run_id,
            "manifest": result.manifest,
            "metrics": metrics,
            "trades": _records(simulation.trades),
            "fills": _records(simulation.fills),
        }
    )


def backtest_tables(result: Backtest) -> None:
    """Print the portfolio table, the last trades, and the run's id."""
    from tasks.evaluate import portfolio_table, trade_table

    manifest = result.manifest
    parameters = " ".join(f"{name}={value}" for name, value in manifest["parameters"].items())
    title = f"{manifest['strategy']} {parameters} on {manifest['symbol']} {manifest['timeframe']}"
    console = Console()
    _print(console, portfolio_table(result.metrics).itertuples(index=False), [title, ""])
    trades = trade_table(result.simulation.trades)
    _print(console, trades.tail(_TRADES_SHOWN).itertuples(index=False), list(trades.columns))
    if len(trades) > _TRADES_SHOWN:
        console.print(f"the last {_TRADES_SHOWN} of {len(trades)} trades")
    console.print(f"run {result.run_id}", highlight=False)


def collected(done: Collected, *, as_json: bool) -> None:
    """Print what a collect brought."""
    if as_json:
        _dump(asdict(done))
        return
    console = Console()
    for name, value in asdict(done).items():
        if not isinstance(value, list | tuple | dict):
            console.print(f"{name:>10}  {_cell(value)}", highlight=False)
    for fact in done.facts:
        console.print(f"{fact.kind:>10}  {escape(fact.detail)}", highlight=False)


def strategies(known: Mapping[str, type[Strategy]], *, as_json: bool) -> None:
    """Print every strategy with its parameters."""
    if as_json:
        _dump({name: strategy.model_json_schema() for name, strategy in known.items()})
        return
    table = Table("strategy", "parameters", "")
    for name, strategy in sorted(known.items()):
        parameters = " ".join(f"{field}={info.default}" for field, info in strategy.model_fields.items())
        table.add_row(name, escape(parameters), escape((strategy.__doc__ or "").strip().splitlines()[0]))
    Console().print(table)


def check_report(report: Report, *, as_json: bool) -> None:
    """Print what the check of a strategy found."""
    if as_json:
        _dump({"passed": report.passed, "findings": [asdict(finding) for finding in report.findings]})
        return
    console = Console()
    for finding in report.findings:
        console.print(f"[red]{finding.kind}[/red]  {escape(finding.explanation)}", highlight=False, soft_wrap=True)
    if report.passed:
        console.print("[green]passed[/green]  it does not look ahead, and its warm-up suffices")


def findings(found: Iterable[Finding], *, as_json: bool) -> None:
    """Print what the doctor found."""
    if as_json:
        _dump([asdict(finding) for finding in found])
        return
    console = Console()
    for finding in found:
        mark = "[green]ok[/green]  " if finding.ok else "[red]FAIL[/red]"
        console.print(f"{mark} {finding.what:<16} {escape(finding.detail)}", highlight=False, soft_wrap=True)


def print_table(rows: pa.Table) -> None:
    """Print a query's rows for people."""
    _print(Console(), zip(*(column.to_pylist() for column in rows.columns), strict=True), rows.column_names)


def print_csv(rows: pa.Table) -> None:
    """Print a query's rows as CSV with a header; times as ISO 8601."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(rows.column_names)
    columns = [column.to_pylist() for column in rows.columns]
    writer.writerows([_plain(value) for value in row] for row in zip(*columns, strict=True))


def print_json(rows: pa.Table) -> None:
    """Print a query's rows as a list of objects."""
    _dump(rows.to_pylist())


FORMS: dict[str, Callable[[pa.Table], None]] = {"table": print_table, "csv": print_csv, "json": print_json}


@contextmanager
def progress(what: str, *, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar on standard error; yields the function (done, total) that moves it."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=quiet) as bar:
        task = bar.add_task(escape(what), total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _print(console: Console, rows: Iterable[Iterable[Any]], headings: list[str]) -> None:
    table = Table(*(escape(heading) for heading in headings))
    for row in rows:
        table.add_row(*(escape(_cell(value)) for value in row))
    console.print(table)


def _cell(value: object) -> str:
    if value is None or value is pd.NaT or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float):
        return f"{value:,.6g}" if abs(value) < 1 else f"{value:,.2f}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}".removesuffix(" 00:00")
    return str(value)


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pa.Table.from_pandas(frame, preserve_index=False).to_pylist()
    return rows


def _dump(value: object) -> None:
    json.dump(value, sys.stdout, default=_plain, allow_nan=False)
    sys.stdout.write("\n")


def _plain(value: object) -> object:
    return (
        value.isoformat() if isinstance(value, date) else value if isinstance(value, str | float | int) else str(value)
    )
