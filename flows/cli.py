"""The command `jarvis`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from data.errors import BadInput, JarvisError

app = typer.Typer(
    name="jarvis",
    help="Jarvis, an end-to-end trading pipeline: from candles to signals, backtests and a dashboard.",
    epilog="Exit codes: 0 done, 1 failed, 2 bad input. Settings: JARVIS_* variables, or the same names in .env.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
strategies_app = typer.Typer(invoke_without_command=True, help="List the strategies and their parameters; check one.")
app.add_typer(strategies_app, name="strategies")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON value, for machines.")]
Exchange = Annotated[str, typer.Option(help="sample, an exchange of ccxt, or a name of yours for a file's data.")]
Symbol = Annotated[str, typer.Option(help="Market, such as BTC/USD; the sample has AAPL.")]
Timeframe = Annotated[str, typer.Option(help="Length of a candle: 1m, 1h, 1d ...")]
Start = Annotated[str | None, typer.Option(help="First day or instant, UTC: 2020-01-31, 2020-01-31T12:00.")]
End = Annotated[str | None, typer.Option(help="Day or instant before which it ends, UTC.")]

Limits = Literal["none", "starter", "intermediate", "pro"]


@app.command()
def up() -> None:
    """Start it all: Prefect server, deployments, dashboard, and a backtest of the sample. Ctrl-C ends it."""
    from flows.up import up as run

    run(typer.echo)


@app.command()
def backtest(
    exchange: Exchange = "sample",
    symbol: Symbol = "AAPL",
    timeframe: Timeframe = "1d",
    strategy: Annotated[str, typer.Option(help="Name of a strategy, or path/to/file.py:Class.")] = "sma_crossover",
    param: Annotated[list[str] | None, typer.Option(help="Parameter of the strategy, name=value; repeatable.")] = None,
    start: Start = None,
    end: End = None,
    cash: Annotated[float, typer.Option(help="Money at the start.")] = 100_000.0,
    fraction: Annotated[float, typer.Option(help="Share of the equity that a full signal puts in.")] = 1.0,
    amount: Annotated[float | None, typer.Option(help="Fixed amount of a full signal, instead of --fraction.")] = None,
    fee: Annotated[float | None, typer.Option(help="Fee a side as a fraction; else the market's, or 0.004.")] = None,
    slippage: Annotated[float, typer.Option(help="Price paid worse than the market's, as a fraction.")] = 0.0005,
    stop_loss: Annotated[float | None, typer.Option(help="Leave at this fraction against the entry.")] = None,
    take_profit: Annotated[float | None, typer.Option(help="Leave at this fraction in favour of the entry.")] = None,
    trailing_stop: Annotated[float | None, typer.Option(help="Leave at this fraction off the best price.")] = None,
    refresh: Annotated[bool, typer.Option("--refresh", help="Ask the exchange for newer candles first.")] = False,
    as_json: Json = False,
) -> None:
    """Backtest a strategy and print the portfolio table, the trade table and the run's id.

    The run is recorded in the lake; while a Prefect server answers, in its UI too.

        jarvis backtest --symbol AAPL --strategy sma_crossover --param fast=20 --param slow=60
    """
    from flows import output
    from flows.parameters import BacktestParameters, parse
    from flows.server import load_environment, server_ready

    values = {name: value for name, value in locals().items() if name in BacktestParameters.model_fields}
    parameters = parse(BacktestParameters, values | {"params": _pairs(param or [])})
    load_environment()
    recorded = server_ready()
    from flows.backtest import backtest as flow

    result = flow(parameters) if recorded else flow.fn(parameters)
    output.backtest_json(result) if as_json else output.backtest_tables(result)


@app.command()
def collect(
    exchange: Annotated[str | None, typer.Option(help="Exchange of ccxt, or a file's name of yours.")] = None,
    symbol: Annotated[str | None, typer.Option(help="Market, such as BTC/USD.")] = None,
    timeframe: Annotated[str | None, typer.Option(help="Length of a candle: 1m, 1h, 1d ...")] = None,
    start: Start = None,
    end: End = None,
    file: Annotated[Path | None, typer.Option(help="CSV, Parquet or ZIP file to import the candles from.")] = None,
    calendar: Annotated[str | None, typer.Option(help="When a file's market trades: 24/7, 24/5, XNYS ...")] = None,
    again: Annotated[bool, typer.Option("--again", help="Ask for all of it: fills gaps, finds revisions.")] = False,
    as_json: Json = False,
) -> None:
    """Bring candles into the lake: from an exchange what the lake lacks, from a file all that is in it.

    jarvis collect --exchange kraken --symbol BTC/USD --timeframe 1h

    jarvis collect --file XBTUSD_60.csv --exchange kraken
    """
    from data.writer import Lake
    from flows import output
    from flows.parameters import CollectParameters, parse
    from tasks.fetch import collect_series

    values = {name: value for name, value in locals().items() if name in CollectParameters.model_fields}
    parameters = parse(CollectParameters, values)
    with output.progress(str(file or symbol), quiet=as_json) as report:
        done = collect_series(Lake.open(), **dict(parameters), progress=report)
    output.collected(done, as_json=as_json)


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="One SELECT over the views: candles, runs, trades, metrics ...")],
    form: Annotated[str, typer.Option("--format", help="table, csv or json.")] = "table",
    as_json: Json = False,
) -> None:
    """Ask the lake, read-only. `jarvis sql "show tables"` lists what there is.

    jarvis sql "select symbol, count(*), sum(profit) from trades group by all"
    """
    from data.query import run_query
    from data.writer import Lake
    from flows import output

    form = "json" if as_json else form
    if form not in output.FORMS:
        raise BadInput(f"--format {form}: choose one of {', '.join(output.FORMS)}")
    output.FORMS[form](run_query(Lake.open(), query))


@strategies_app.callback()
def strategies(context: typer.Context, as_json: Json = False) -> None:
    """List the strategies and their parameters."""
    if context.invoked_subcommand is not None:
        return
    from flows import output
    from tasks.signal.registry import strategies as all_strategies

    output.strategies(all_strategies(), as_json=as_json)


@strategies_app.command()
def check(
    name: Annotated[str, typer.Argument(help="Name of a strategy, or path/to/file.py:Class.")],
    param: Annotated[list[str] | None, typer.Option(help="Parameter of the strategy, name=value; repeatable.")] = None,
    as_json: Json = False,
) -> None:
    """Prove that a strategy does not look ahead and that its warm-up suffices; exit 1 when it does or is not enough."""
    from flows import output
    from tasks.signal.check import check as check_strategy
    from tasks.signal.registry import create

    report = check_strategy(create(name, _pairs(param or [])))
    output.check_report(report, as_json=as_json)
    if not report.passed:
        raise typer.Exit(1)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Look whether all that Jarvis needs is in order; exit 1 when something is not."""
    from flows import output
    from flows.doctor import examine
    from flows.server import load_environment

    load_environment()
    findings = examine()
    output.findings(findings, as_json=as_json)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


@app.command("practice-exchange")
def practice_exchange(
    symbol: Annotated[list[str] | None, typer.Option(help="Market, such as BTC/USD; repeatable.")] = None,
    speed: Annotated[str, typer.Option(help="Seconds of its time in one of ours, or max.")] = "1",
    seed: Annotated[int, typer.Option(help="The same seed has the same prices at the same instant.")] = 1,
    candles: Annotated[str, typer.Option(help="generated, sample, or EXCHANGE:TIMEFRAME of the lake.")] = "generated",
    limits: Annotated[Limits, typer.Option(help="Kraken's rate limits, by the tier of the account.")] = "none",
    state: Annotated[Path | None, typer.Option(help="Folder in which it keeps its state.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port of the exchange.")] = None,
    admin_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port of its faults, clock and journal.")
    ] = None,
) -> None:
    """Serve an exchange to practise on: Kraken's and Bitfinex' own language, on this machine. Ctrl-C ends it.

    jarvis practice-exchange --symbol BTC/USD --speed 60
    """
    from data.settings import settings
    from tasks.exchange.practice.server.serve import parse_speed, run

    known = settings()
    run(
        symbol or ["BTC/USD", "ETH/USD"],
        parse_speed(speed),
        seed,
        state or known.practice_state,
        port or known.practice_port,
        admin_port or known.practice_admin_port,
        candles,
        typer.echo,
        limits,
    )


@app.command()
def serve() -> None:
    """Serve the deployments to the Prefect server, without the rest of `jarvis up`."""
    from flows.server import api_url, load_environment, server_ready

    load_environment()
    if not server_ready():
        raise JarvisError(f"no Prefect server answers at {api_url()}: start one with `jarvis up`")
    from flows.deploy import serve_deployments

    serve_deployments()


def _pairs(texts: list[str]) -> dict[str, str]:
    """Turn name=value texts into a dictionary."""
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise BadInput(f"--param {text}: write name=value, such as fast=50")
        pairs[name.strip()] = value.strip()
    return pairs


def main() -> None:
    """Run the command line; every error of ours is one line on standard error and an exit code."""
    try:
        app()
    except JarvisError as error:
        typer.echo(f"jarvis: {error}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
