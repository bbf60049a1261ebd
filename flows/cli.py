"""The command `jarvis`."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from data.errors import BadInput, JarvisError, TryLater
from flows.options import pairs, takes
from flows.parameters import CollectParameters, LiveParameters, PortfolioParameters, SweepParameters

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

_lost: list[str] = []
"""What was said of a Prefect server that went away while a run was under way."""

Json = Annotated[bool, typer.Option("--json", help="Print one JSON value, for machines.")]
Limits = Literal["none", "starter", "intermediate", "pro"]


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"jarvis {version('jarvis')}")
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Take what stands before a command."""


@app.command()
def up() -> None:
    """Start it all: Prefect, a practice exchange and a session that trades on it, the dashboard. Ctrl-C ends it."""
    from flows.up import up as run

    run(typer.echo)


@app.command()
@takes(PortfolioParameters)
def backtest(parameters: PortfolioParameters, as_json: Json = False) -> None:
    """Backtest a strategy and print the portfolio table, the trade table and the run's id.

    Several symbols are traded on one account. The run is recorded in the lake; while a Prefect server answers, in its
    UI too.

        jarvis backtest --symbol AAPL --strategy sma_crossover --param fast=20 --param slow=60

        jarvis backtest --exchange kraken --symbol BTC/USD --symbol ETH/USD --weight BTC/USD=0.6 --weight ETH/USD=0.4
    """
    from flows import output
    from flows.server import load_environment, server_ready

    load_environment()
    recorded = server_ready()
    from flows.backtest import backtest as of_one
    from flows.portfolio import portfolio

    flow: Any = portfolio if parameters.alone is None else of_one
    asked = parameters.alone or parameters
    result = flow(asked) if recorded else flow.fn(asked)
    output.backtest_json(result) if as_json else output.backtest_tables(result)


@app.command()
@takes(SweepParameters)
def sweep(parameters: SweepParameters, as_json: Json = False) -> None:
    """Try many parameter sets of a strategy; print the best with a verdict. Killed, it goes on when called again.

    jarvis sweep --strategy sma_crossover --symbol AAPL --grid fast=5:50:5 --grid slow=20:200:20 --split 0.7

    jarvis sweep --symbol AAPL --grid fast=2:100:1 --grid slow=20:300:1 --optuna 200 --walk-forward 5 --runner dask
    """
    from flows import output
    from flows.server import load_environment, server_ready

    load_environment()
    recorded = server_ready()
    from flows.sweep import sweep as flow

    output.swept(flow(parameters) if recorded else flow.fn(parameters), as_json=as_json)


@app.command()
def judge(run: Annotated[str, typer.Argument(help="A backtest or a sweep, by its id.")], as_json: Json = False) -> None:
    """Judge a recorded run by all that was tried on its series until now, and record the verdict.

    jarvis judge 0123456789abcdef
    """
    from data.writer import Lake
    from flows import output
    from flows.judge import judge_again

    output.judged(run, judge_again(Lake.open(), run), as_json=as_json)


@app.command()
@takes(CollectParameters)
def collect(parameters: CollectParameters, as_json: Json = False) -> None:
    """Bring candles into the lake: from an exchange what the lake lacks, from a file all that is in it.

    jarvis collect --exchange kraken --symbol BTC/USD --timeframe 1h

    jarvis collect --file XBTUSD_60.csv --exchange kraken
    """
    from data.writer import Lake
    from flows import output
    from tasks.fetch import collect_series

    with output.progress(str(parameters.file or parameters.symbol), quiet=as_json) as report:
        done = collect_series(Lake.open(), **dict(parameters), progress=report)
    output.collected(done, as_json=as_json)


@app.command()
@takes(LiveParameters)
def live(
    parameters: LiveParameters,
    stream: Annotated[
        bool, typer.Option("--stream", help="Go on, a step at each candle's close, until Ctrl-C.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Take one step of a session: decide what the newest closed candle asks for, trade it, and print the decision.

    The same options are the same session: it is resumed. On paper unless --mode live says otherwise.

        jarvis live --exchange kraken --symbol BTC/USD --timeframe 1h --strategy macd --cash 1000
    """
    from flows import output
    from flows.server import load_environment

    load_environment()
    recorded = _recorded()
    from flows.live import live_stream, live_trading
    from flows.outcome import StepFailed

    _announce(parameters)
    if stream:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # which the background job of a shell would ignore
        _run(live_stream, parameters, lambda outcomes: output.stepped(outcomes, as_json=as_json), recorded=recorded)
        return
    try:
        outcomes = _run(live_trading, parameters, recorded=recorded)
    except StepFailed as failed:
        output.stepped(failed.outcomes, as_json=as_json, raised=True)
        raise
    output.stepped(outcomes, as_json=as_json)


@app.command()
def halt(
    symbol: Annotated[list[str] | None, typer.Option(help="Only this market; repeatable. Without it all.")] = None,
    reason: Annotated[str, typer.Option(help="What those shall read who meet the halt.")] = "by hand",
) -> None:
    """Stop trading at once, until `jarvis resume`: candles go on being recorded, stops at the exchange stay."""
    from tasks.trade.halt import halt as stop

    for each in _each(symbol):
        stop(reason, each)
        typer.echo(f"halted: {each or 'all symbols'}")
    if symbol:
        _warn_of_strangers(symbol)


@app.command()
def resume(
    symbol: Annotated[list[str] | None, typer.Option(help="Only the halt of this market; repeatable.")] = None,
) -> None:
    """Lift the halt of all symbols, or those of some; the one of all does not lift those of single symbols."""
    from tasks.trade.halt import halts
    from tasks.trade.halt import resume as lift

    for each in _each(symbol):
        typer.echo(f"{'resumed' if lift(each) else 'was not halted'}: {each or 'all symbols'}")
    for name, halt in halts().items():
        typer.echo(f"still halted: {name or 'all symbols'} since {halt.at:%Y-%m-%d %H:%M} UTC ({halt.reason})")


@app.command()
def flatten(
    run: Annotated[str | None, typer.Option(help="Only this session.")] = None,
    symbol: Annotated[list[str] | None, typer.Option(help="Only this market; repeatable.")] = None,
    as_json: Json = False,
) -> None:
    """Halt, cancel all open orders of sessions, and sell what they hold at the market's price. Needs no server."""
    from data.writer import Lake
    from flows import output
    from flows.flatten import flatten as sell
    from flows.server import load_environment

    load_environment()
    done = sell(Lake.open(), run=run, symbols=tuple(symbol or ()))
    output.flattened(done, as_json=as_json)
    if any(session.failure for session in done):
        raise typer.Exit(1)


@app.command()
def sessions(as_json: Json = False) -> None:
    """List the paper and live sessions: what each decided last, holds and is worth, and whether it is halted."""
    from data.writer import Lake
    from flows import output
    from flows.roster import roster

    output.sessions(roster(Lake.open()), as_json=as_json)


@app.command()
def reconcile(
    exchange: Annotated[str, typer.Option(help="The exchange whose account is compared with the ledger.")] = "practice",
    accept: Annotated[str | None, typer.Option(help="Take the balance of this currency as it is: you looked.")] = None,
    absent: Annotated[
        str | None, typer.Option(help="Take the orders of unknown fate of this session as never made: you looked.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare the ledger with an account; exit 1 while a difference that cannot be explained stops a symbol."""
    from data.writer import Lake
    from flows import output
    from flows.reconcile import forget_unknown, reconcile_account

    lake = Lake.open()
    if absent is not None:
        for order in forget_unknown(lake, absent):
            typer.echo(f"order {order} was never made", err=as_json)
    differences = reconcile_account(lake, exchange, accept)
    output.reconciled(differences, as_json=as_json)
    if any(difference.stops for difference in differences):
        raise typer.Exit(1)


@app.command()
def parity(
    run: Annotated[str, typer.Argument(help="A session, as `jarvis sessions` lists it.")], as_json: Json = False
) -> None:
    """Backtest a session's candles as they are today, and say candle by candle where the two differ and why."""
    from data.writer import Lake
    from flows import output
    from flows.parity import check_parity
    from flows.server import load_environment

    load_environment()
    output.parity(check_parity(Lake.open(), run), as_json=as_json)


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

    report = check_strategy(create(name, pairs(param or [])))
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
@takes(LiveParameters)
def serve(
    parameters: LiveParameters,
    context: typer.Context,
    speed: Annotated[float, typer.Option(help="Seconds of a practice exchange's clock in one of ours.")] = 1.0,
) -> None:
    """Serve the deployments to the Prefect server, without the rest of `jarvis up`.

    With any option of `jarvis live`, the deployment live-trading trades that session after each candle; without one it
    has no schedule.
    """
    from flows.server import api_url, load_environment, server_ready

    load_environment()
    if not server_ready():
        raise JarvisError(f"no Prefect server answers at {api_url()}: start one with `jarvis up`")
    from flows.deploy import serve_deployments

    given = [name for name in LiveParameters.model_fields if _is_given(context, name)]
    if given:
        _announce(parameters)
    serve_deployments(parameters if given else None, speed)


def _each(symbols: list[str] | None) -> list[str | None]:
    """Return the symbols, or None for all of them."""
    return [*symbols] if symbols else [None]


def _warn_of_strangers(symbols: list[str]) -> None:
    """Say which symbols no session trades, as they may be misspelt; what the lake cannot tell is no matter here."""
    from data.writer import Lake
    from flows.roster import traded_symbols

    with suppress(JarvisError):
        strangers = set(symbols) - set(traded_symbols(Lake.open()))
        if strangers:
            named = ", ".join(sorted(strangers))
            typer.echo(f"no session trades {named}: `jarvis sessions` lists what is traded", err=True)


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def _announce(parameters: LiveParameters) -> None:
    """Say what is about to be done with real money, if it may be done and is."""
    if parameters.mode == "live":
        from flows import output
        from tasks.exchange.client import PRACTICE
        from tasks.trade.live import check_permission

        check_permission(parameters.exchange)
        if parameters.exchange not in PRACTICE:
            typer.echo(output.announcement(parameters), err=True)


def _recorded() -> bool:
    """Tell whether Prefect can record a run; where one is set up and does not, say so."""
    from flows.server import api_url, server_ready

    ready = server_ready()
    if os.environ.get("PREFECT_API_URL") and not ready:
        _warn(f"no Prefect server admits us at {api_url()}: this run is not recorded there; the lake has it all")
    return ready


def _run(flow: Any, *arguments: Any, recorded: bool) -> Any:
    """Run a flow; one that Prefect calls cancelled, as another is at the session, is TryLater as without it."""
    if not recorded:
        return flow.fn(*arguments)
    from prefect.client.schemas.objects import State

    from flows.shown import shown

    result = shown(flow, *arguments, say=_lose)
    if isinstance(result, State):
        raise TryLater(result.message or "")
    return result


def _lose(text: str) -> None:
    """Say that Prefect's server went away."""
    _warn(text)
    _lost.append(text)


def _warn(text: str) -> None:
    typer.echo(f"jarvis: {text}", err=True)


def main() -> None:
    """Run the command line; every error of ours is one line on standard error and an exit code."""
    code = 0
    try:
        app()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except JarvisError as error:
        typer.echo(f"jarvis: {error}", err=True)
        code = error.exit_code
    except KeyboardInterrupt:
        code = 130
    if _lost:
        sys.stdout.flush()
        os._exit(code)  # else Prefect's threads would try for minutes to tell its server what has happened
    sys.exit(code)


if __name__ == "__main__":
    main()
