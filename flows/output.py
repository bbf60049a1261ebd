"""What the command line prints: tables for people, JSON for machines."""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from data.tables import TABLES

if TYPE_CHECKING:
    from flows.backtest import Backtest
    from flows.doctor import Finding
    from flows.flatten import Flattened
    from flows.outcome import Outcome
    from flows.parameters import LiveParameters
    from flows.sweep import Sweep
    from tasks.evaluate.verdict import Verdict
    from tasks.fetch.collect import Collected
    from tasks.signal import Strategy
    from tasks.signal.check import Report
    from tasks.trade.reconcile import Difference

_UNBOUNDED = 10_000
_TRADES_SHOWN = 20
_FACTS_SHOWN = 20
_SETS_SHOWN = 10
_DIFFERENCES_SHOWN = 20
_DROPPABLE = ("Entry Portfolio Holding", "Exit Portfolio Holding", "Fees", "Side")
"""Columns of the trade table that a narrow terminal does without."""


def backtest_json(result: Backtest) -> None:
    """Print the run as one object: run_id, manifest, verdict, metrics (name: value), trades and fills."""
    metrics = {row["metric"]: row["value"] for row in _records(result.metrics)}
    simulation = result.simulation
    _dump(
        {
            "run_id": result.run_id,
            "manifest": result.manifest,
            "verdict": result.verdict.words,
            "metrics": metrics,
            "trades": _rows("trades", simulation.trades, result.run_id),
            "fills": _rows("fills", simulation.fills, result.run_id),
        }
    )


def backtest_tables(result: Backtest) -> None:
    """Print the portfolio table, the last trades, and the run's id."""
    from flows.detail import in_words
    from tasks.evaluate import portfolio_table, trade_table

    manifest = result.manifest
    parameters = " ".join(f"{name}={value}" for name, value in manifest["parameters"].items())
    console = _console()
    console.print(f"[bold]{escape(manifest['strategy'])}[/bold] {escape(parameters)}", highlight=False)
    series = f"{manifest['exchange']} {manifest['symbol']} {manifest['timeframe']}"
    reach = f"{manifest['start'][:10]} to {manifest['end'][:10]}"
    console.print(f"{series}, {manifest['candles']:,} candles, {reach}", highlight=False, markup=False)
    if (known := in_words(manifest)) is not None:
        console.print(known, highlight=False, markup=False, soft_wrap=True)
    _print(console, portfolio_table(result.metrics))
    trades = trade_table(result.simulation.trades)
    _print(console, trades.tail(_TRADES_SHOWN), droppable=_DROPPABLE)
    if len(trades) > _TRADES_SHOWN:
        console.print(f"the last {_TRADES_SHOWN} of {len(trades)} trades: jarvis sql has all of them", highlight=False)
    console.print(result.verdict.words, highlight=False, markup=False, soft_wrap=True)
    console.print(f"run {result.run_id}", highlight=False)


def swept(results: Sequence[Sweep], *, as_json: bool) -> None:
    """Print each sweep's best sets, what failed, its walk-forward, the verdict and the ids; of several the sets' rank.

    As JSON one object, of several sweeps a list of them.
    """
    if as_json:
        told = [_sweep_json(result) for result in results]
        _dump(told[0] if len(told) == 1 else told)
        return
    for result in results:
        _sweep_tables(result, heading=len(results) > 1)
    if len(results) > 1:
        _over_all(results)


def _sweep_json(result: Sweep) -> dict[str, Any]:
    from tasks.evaluate.ranking import best_compromises
    from tasks.evaluate.verdict import rank

    manifest, metrics = result.manifest, {row["metric"]: row["value"] for row in _records(result.metrics)}
    columns = ["parameters", *_sets_shown(manifest)]
    told = {"run_id": result.run_id, "verdict": result.verdict, "metrics": metrics}
    told["best"] = _records(rank(result.sets).head(_SETS_SHOWN)[columns])
    if len(manifest["objectives"]) > 1:
        told["front"] = _records(best_compromises(result.sets, manifest["objectives"])[columns])
    if result.walk is not None:
        told["folds"] = _records(result.walk.folds)
    return told | {"runs": result.runs, "manifest": manifest}


def _sweep_tables(result: Sweep, *, heading: bool) -> None:
    from flows.walk_forward import chosen
    from tasks.evaluate.ranking import best_compromises
    from tasks.evaluate.verdict import rank

    manifest, console = result.manifest, _console()
    if heading:
        console.print(f"[bold]{escape(result.series)}[/bold]", highlight=False)
    _print(console, _sets(rank(result.sets).head(_SETS_SHOWN), manifest))
    failed = result.sets["failure"].dropna()
    if len(failed):
        console.print(f"{len(failed)} of {len(result.sets)} sets failed, the first: {failed.iloc[0]}", markup=False)
    noted = result.sets["note"].dropna()
    if len(noted):
        console.print(f"{len(noted)} sets have no objective, the first: {noted.iloc[0]}", markup=False)
    if len(manifest["objectives"]) > 1:
        front = best_compromises(result.sets, manifest["objectives"])
        words = f"Pareto front of {' and '.join(manifest['objectives'])}: {len(front)} sets that no other beats in all"
        console.print(words, highlight=False)
        _print(console, _sets(front.head(_SETS_SHOWN), manifest))
    if result.walk is not None:
        found = result.metrics.set_index("metric")["value"]
        console.print("Walk-forward: the best set of the candles before each test, and what it did there")
        _print(console, chosen(result.walk, list(manifest["parameters"]["grid"])))
        names = [name for name in ("return", "sharpe", "drawdown", "trades") if pd.notna(found[f"walk_forward_{name}"])]
        figures = [f"{name} {found[f'walk_forward_{name}']:.4g}" for name in names]
        console.print(f"one account through all tests: {', '.join(figures)}", highlight=False)
    console.print(result.verdict, highlight=False, markup=False, soft_wrap=True)
    console.print(f"sweep {result.run_id}, its best sets in full: {' '.join(result.runs) or 'none'}", highlight=False)


def judged(run: str, verdict: Verdict, *, as_json: bool) -> None:
    """Print a verdict, and what it rests on."""
    figures = {} if verdict.deflated is None else verdict.deflated._asdict()
    if as_json:
        _dump({"run_id": run, "supported": verdict.supported, "reason": verdict.reason} | figures)
        return
    console = _console()
    if figures:
        _print(console, pd.DataFrame({"figure": list(figures), "value": list(figures.values())}))
    console.print(verdict.words, highlight=False, markup=False, soft_wrap=True)


def _over_all(results: Sequence[Sweep]) -> None:
    """Print the sets that are best over all series, by the mean of their objectives."""
    from tasks.evaluate.ranking import over_all

    found = over_all({result.series: result.sets for result in results})
    console, grid = _console(), results[0].manifest["parameters"]["grid"]
    console.print(f"[bold]over all {len(results)} series[/bold]: {len(found):,} sets have an objective on each")
    best = found.head(_SETS_SHOWN)
    _print(
        console, _varied(best["parameters"], grid).join(best.drop(columns="parameters").round(4).reset_index(drop=True))
    )


def _sets(rows: pd.DataFrame, manifest: Mapping[str, Any]) -> pd.DataFrame:
    varied = _varied(rows["parameters"], manifest["parameters"]["grid"])
    return varied.join(rows[_sets_shown(manifest)].round(4).reset_index(drop=True))


def _varied(parameters: pd.Series, grid: Iterable[str]) -> pd.DataFrame:
    """Return what of the parameters (JSON) varies, a column each."""
    sets = [json.loads(text) for text in parameters]
    return pd.DataFrame({name: [each[name] for each in sets] for name in grid})


def _sets_shown(manifest: Mapping[str, Any]) -> list[str]:
    """Return the columns of a sweep's sets that people see."""
    from tasks.evaluate.trial import OBJECTIVES

    usual = ["number", "objective", "sharpe_ratio", "cumulative_return", "max_drawdown", "trades"]
    others = [OBJECTIVES[name] for name in manifest["objectives"][1:]]
    outside = ["out_sharpe_ratio", "out_cumulative_return"] if manifest["split"] is not None else []
    return [*usual, *(name for name in others if name not in usual), *outside]


def announcement(parameters: LiveParameters) -> str:
    """Return what a session with real money will do, in lines."""
    asked = {name: value for name, value in parameters if value != type(parameters).model_fields[name].default}
    plain = ("exchange", "symbols", "timeframe", "mode", "strategy", "params", "cash")
    chosen = " ".join(f"{name}={value}" for name, value in parameters.params.items())
    terms = ", ".join(f"{name} {value}" for name, value in asked.items() if name not in plain)
    return "\n".join(
        [
            f"REAL MONEY: orders are sent to {parameters.exchange}.",
            f"Markets   {', '.join(parameters.symbols)}, at each close of {parameters.timeframe}",
            f"Strategy  {' '.join(filter(None, (parameters.strategy, chosen)))}",
            f"Cash      {parameters.cash:,.2f}, split evenly",
            f"Terms     {terms or 'as by default: no stops, no limits'}",
            "A new session begins with an order that is only checked, and a look at the balance.",
            "`jarvis halt` stops it, `jarvis flatten` sells what it holds.",
        ]
    )


def stepped(outcomes: Sequence[Outcome], *, as_json: bool, raised: bool = False) -> None:
    """Print what a step of a session decided and did; as JSON one line.

    `raised`: an error follows that says which symbols failed, and why.
    """
    if as_json:
        _dump([_outcome(outcome) for outcome in outcomes])
        return
    console = _console()
    rows = [row for outcome in outcomes for row in _decided(outcome)]
    if rows:
        _print(console, pd.DataFrame(rows), droppable=("detail",))
    for outcome in outcomes:
        if not (outcome.decisions or outcome.failure):
            console.print(f"{outcome.symbol}: no candle has closed since the last decision", highlight=False)
        for kind, text in outcome.notes:
            if not (raised and outcome.failure and text.endswith(outcome.failure)):
                console.print(f"{kind}: {escape(text)}", highlight=False, soft_wrap=True)
    if rows:
        runs = ", ".join(f"{outcome.run_id} ({outcome.symbol})" for outcome in outcomes)
        console.print(f"session {runs}", highlight=False, soft_wrap=True)


def _decided(outcome: Outcome) -> list[dict[str, object]]:
    """Return one row a decision; the equity is known of the last close."""
    last = len(outcome.decisions) - 1
    return [
        {
            "symbol": outcome.symbol,
            "candle": decision.ts.to_pydatetime(),
            "close": decision.close,
            "signal": decision.signal,
            "decision": decision.action,
            "reason": decision.reason,
            "position": decision.position,
            "equity": outcome.account.get("equity") if number == last else None,
            "detail": decision.detail,
        }
        for number, decision in enumerate(outcome.decisions)
    ]


def _outcome(outcome: Outcome) -> dict[str, Any]:
    decisions = pd.DataFrame(
        [asdict(decision) for decision in outcome.decisions], columns=TABLES["decisions"].schema.names
    )
    return {
        "symbol": outcome.symbol,
        "run_id": outcome.run_id,
        "decisions": _records(decisions),
        "account": {name: None if math.isnan(value) else value for name, value in outcome.account.items()},
        "orders": outcome.orders,
        "notes": [{"kind": kind, "text": text} for kind, text in outcome.notes],
        "failure": outcome.failure or None,
    }


def flattened(done: Sequence[Flattened], *, as_json: bool) -> None:
    """Print what was sold, and what could not be."""
    if as_json:
        _dump([asdict(session) for session in done])
        return
    for session in done:
        for text in session.said:
            typer.echo(text)
        state = f"NOT FLAT: {session.failure}" if session.failure else "flat"
        left = f", {session.left.normalize():f} left: less than the exchange takes" if session.left else ""
        typer.echo(f"{session.symbol} (session {session.run_id}): {state}{'' if session.failure else left}")
    if not done:
        typer.echo("halted; no session holds anything or has an order open")


def sessions(rows: pd.DataFrame, *, as_json: bool) -> None:
    """Print the sessions in the lake."""
    if as_json:
        _dump(_records(rows))
    elif rows.empty:
        typer.echo("no session yet: `jarvis live` begins one")
    else:
        _print(_console(), rows, droppable=("strategy", "timeframe", "exchange"))


def reconciled(differences: Sequence[Difference], *, as_json: bool) -> None:
    """Print how an account and the ledger compare, currency by currency."""
    if as_json:
        _dump([{**difference._asdict(), "stops": difference.stops} for difference in differences])
        return
    for difference in differences:
        word = "STOPS" if difference.stops else "ok"
        typer.echo(f"{word:<6} {difference.currency:<5} {difference.kind:<12} {difference.detail}")
    if not differences:
        typer.echo("nothing to compare: no live session trades on this account")


def parity(rows: pd.DataFrame, *, as_json: bool) -> None:
    """Print how many candles have each verdict, and the first that differ."""
    counts = {str(verdict): int(count) for verdict, count in rows["verdict"].value_counts().items()}
    if as_json:
        _dump({"run_id": rows["run_id"].iloc[0], "counts": counts, "candles": _records(rows)})
        return
    console = _console()
    console.print(", ".join(f"{count:,} {verdict}" for verdict, count in counts.items()), highlight=False)
    differing = rows.loc[rows["verdict"] != "equal", ["ts", "verdict", "detail"]]
    for ts, verdict, detail in differing.head(_DIFFERENCES_SHOWN).itertuples(index=False):
        console.print(f"{ts:%Y-%m-%d %H:%M}  {verdict:<6}  {detail}", highlight=False, soft_wrap=True, markup=False)
    if len(differing) > _DIFFERENCES_SHOWN:
        console.print(f'the first {_DIFFERENCES_SHOWN} of {len(differing)}: jarvis sql "from parity"', highlight=False)


def collected(done: Collected, *, as_json: bool) -> None:
    """Print what a collect brought, and the facts that it found."""
    if as_json:
        facts = [fact._asdict() for fact in done.facts]
        _dump({**asdict(done), "series": done.series._asdict(), "facts": facts})
        return
    console = _console()
    reach = "" if done.first is None else f", {_cell(done.first)} to {_cell(done.last)} UTC"
    counts = f"{done.new:,} new, {done.revised:,} revised, {done.unchanged:,} unchanged, {done.still_open:,} still open"
    console.print(f"{' '.join(done.series)}: {counts}{reach}", highlight=False, soft_wrap=True, markup=False)
    for fact in done.facts[:_FACTS_SHOWN]:
        console.print(f"{fact.kind:>9}  {fact.detail}", highlight=False, soft_wrap=True, markup=False)
    if len(done.facts) > _FACTS_SHOWN:
        console.print(f'{len(done.facts) - _FACTS_SHOWN:>9} more: jarvis sql "from quality"', highlight=False)


def strategies(known: Mapping[str, type[Strategy]], *, as_json: bool) -> None:
    """Print every strategy with its parameters."""
    if as_json:
        _dump({name: strategy.model_json_schema() for name, strategy in known.items()})
        return
    table = Table("strategy", "parameters", "")
    for name, strategy in sorted(known.items()):
        parameters = " ".join(f"{field}={info.default}" for field, info in strategy.model_fields.items())
        table.add_row(name, escape(parameters), escape((strategy.__doc__ or "").strip().splitlines()[0]))
    _console().print(table)


def check_report(report: Report, *, as_json: bool) -> None:
    """Print what the check of a strategy found."""
    if as_json:
        _dump({"passed": report.passed, "findings": [asdict(finding) for finding in report.findings]})
        return
    console = _console()
    for finding in report.findings:
        console.print(f"[red]{finding.kind}[/red]  {escape(finding.explanation)}", highlight=False, soft_wrap=True)
    if report.passed:
        console.print("[green]passed[/green]  it does not look ahead, and its warm-up suffices")


def findings(found: Iterable[Finding], *, as_json: bool) -> None:
    """Print what the doctor found."""
    if as_json:
        _dump([asdict(finding) for finding in found])
        return
    console = _console()
    for finding in found:
        mark = "[green]ok[/green]  " if finding.ok else "[red]FAIL[/red]"
        console.print(f"{mark} {finding.what:<16} {escape(finding.detail)}", highlight=False, soft_wrap=True)


def print_table(rows: pa.Table) -> None:
    """Print a query's rows for people."""
    columns = {name: rows[index].to_pylist() for index, name in enumerate(rows.column_names)}
    _print(_console(), pd.DataFrame(columns, dtype=object))


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


def _console() -> Console:
    """Return a console; what is not a terminal has no width that could cut a table."""
    return Console() if sys.stdout.isatty() else Console(width=_UNBOUNDED)


def _print(console: Console, frame: pd.DataFrame, droppable: tuple[str, ...] = ()) -> None:
    """Print a frame as a table; on a narrow terminal with folded headings, and without the droppable columns."""
    table = _table(frame)
    if (
        droppable
        and Measurement.get(console, console.options.update(max_width=_UNBOUNDED), table).minimum > console.width
    ):
        kept = frame.drop(columns=[name for name in droppable if name in frame])
        table = _table(kept.rename(columns=lambda name: name.replace(" ", "\n")))
    console.print(table)


def _table(frame: pd.DataFrame) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in frame.columns:
        number = pd.api.types.is_numeric_dtype(frame[name].infer_objects())
        table.add_column(escape(str(name)), justify="right" if number else "left", no_wrap=len(frame.columns) > 2)
    for row in frame.itertuples(index=False):
        table.add_row(*(escape(_cell(value)) for value in row))
    return table


def _cell(value: object) -> str:
    if value is None or value is pd.NaT or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float):
        return f"{value:,.6g}" if abs(value) < 1 else f"{value:,.2f}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}".removesuffix(" 00:00")
    return str(value)


def _rows(table: str, frame: pd.DataFrame, run_id: str) -> list[dict[str, Any]]:
    """Return a run's rows with the columns of the lake's table, in its order; those that it has not are null."""
    return _records(frame.assign(run_id=run_id).reindex(columns=TABLES[table].schema.names))


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
