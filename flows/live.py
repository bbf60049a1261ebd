"""The live flow: at every closed candle fetch, signal, decide, trade and evaluate, into the tables of the backtest."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial

import pandas as pd
from prefect import flow
from prefect.client.schemas.objects import State
from prefect.settings import get_current_settings
from prefect.states import Cancelled

from data.candles import fingerprint
from data.errors import ExchangeError, LakeError, SourceError, Taken
from data.timeframe import parse_timeframe
from data.upkeep import compact
from flows.aside import Behind
from flows.live_report import publish_live
from flows.outcome import Outcome, left_out, outcome, refuse_failures, tell
from flows.parameters import LiveParameters
from flows.report import flow_run_id
from flows.session import Session, opened
from flows.zombies import mend_zombies
from tasks.evaluate import evaluate_metrics
from tasks.exchange.lock import is_waited_for
from tasks.fetch import fetch_live
from tasks.fetch.live import LiveMarket
from tasks.signal import generate_signals
from tasks.stage import each, unrecorded
from tasks.trade import execute_trade_strategy, resume
from tasks.trade.desk import Desk, Seen
from tasks.trade.protection import renew
from tasks.trade.reconcile import reconcile

LIVE_TIMEOUT = 600
"""Seconds after which Prefect ends a run; what it leaves in doubt the next one resolves."""

RESULTS = get_current_settings().results.local_storage_path
"""Where Prefect keeps results by default. Told, it does not ask its server for the place again and again before it lets
a run begin."""

EVALUATE_EVERY = 30.0
"""Seconds between two evaluations in a stream."""

TIDY_EVERY = 50
"""Steps of a stream between two looks at the number of files."""

_PAUSE = 5.0
"""Seconds between two steps of a stream while the exchange does not tell its time, and two tries to open it again."""

_LOOK = 0.5
"""Seconds between two looks at whether those are done that were to go first."""

WRITTEN = (
    "candles", "quality", "signals", "orders", "fills", "decisions", "equity", "trades", "metrics", "reconciliations",
)  # fmt: skip


@flow(name="live-trading", timeout_seconds=LIVE_TIMEOUT, persist_result=False, result_storage=RESULTS)
def live_trading(parameters: LiveParameters = LiveParameters()) -> list[Outcome] | State:  # noqa: B008 - it is frozen
    """Do what the newest closed candle asks for, once, in every market of a session.

    A run that finds nothing new does nothing; one that finds another at work is cancelled. Raises JarvisError when a
    symbol failed, after the others are done.
    """
    try:
        with opened(parameters) as session:
            outcomes = step(session)
            tidy(session)
            mend_zombies(flow_run_id())
    except Taken as error:
        if flow_run_id() is None:
            raise
        return Cancelled(message=str(error))
    publish_live(outcomes, parameters)
    tell(outcomes)
    refuse_failures(outcomes)
    return outcomes


def step(session: Session) -> list[Outcome]:
    """Take every symbol from its ledger to its decision; one that fails stops no other."""
    lake, market, timeframe = session.lake, session.market, session.parameters.timeframe
    runs, failures = session.runs, dict[str, str]()
    opening = {symbol: (lake, run, session.brokers[symbol], session.desks.get(symbol)) for symbol, run in runs.items()}
    desks = each(resume, opening, failures)
    block_unexplained(session, desks)
    wanted = {symbol: (market, lake, symbol, timeframe, desk.run.history_start) for symbol, desk in desks.items()}
    session.due = due_now(market, timeframe)
    candles = each(fetch_live, wanted, failures, due=session.due)
    signals = each(generate_signals, {symbol: (frame, session.strategy) for symbol, frame in candles.items()}, failures)
    work = {
        symbol: (desks[symbol], candles[symbol], frame, fingerprinted(candles[symbol]))
        for symbol, frame in signals.items()
    }
    decided = each(execute_trade_strategy, work, failures)
    if session.trader is not None:
        renew(session.trader, list(desks.values()))
    metrics = evaluate(session, desks, candles, failures)
    session.desks = {symbol: desk for symbol, desk in desks.items() if symbol not in failures}
    outcomes = [
        outcome(run, desks.get(symbol), decided.get(symbol), metrics.get(symbol), failures.get(symbol, ""))
        for symbol, run in runs.items()
    ]
    return outcomes + [left_out(symbol, why) for symbol, why in session.left_out.items()]


def block_unexplained(session: Session, desks: Mapping[str, Desk]) -> None:
    """Compare the ledger with the account; what cannot be explained stops the symbols that it concerns.

    While the account cannot be seen all of them are stopped, and their candles are recorded.
    """
    if session.trader is None:
        return
    rules = {symbol: desk.market for symbol, desk in desks.items()}
    try:
        differences = reconcile(session.lake, session.trader, session.trader.account, rules)
    except ExchangeError as error:
        for desk in desks.values():
            desk.block("reconciliation", f"the account cannot be compared with its ledger: {error}")
        return
    for difference in differences:
        for symbol, desk in desks.items():
            if difference.currency not in (rules[symbol].base, rules[symbol].quote):
                continue
            if difference.stops:
                desk.block("reconciliation", difference.detail)
            elif difference.kind not in ("equal", "opening", "pending"):
                desk.tell("explained", difference.detail)


def evaluate(
    session: Session, desks: Mapping[str, Desk], candles: Mapping[str, pd.DataFrame], failures: dict[str, str]
) -> dict[str, pd.DataFrame]:
    """Compute and record the metrics of each symbol; in a stream not at every candle."""
    if time.monotonic() - session.evaluated < EVALUATE_EVERY:
        return {}
    session.evaluated = time.monotonic()
    work = {}
    for symbol, frame in candles.items():
        tables = desks[symbol].tables()
        if tables and len(tables["equity"]):
            work[symbol] = (tables["equity"], tables["trades"], tables["fills"], frame.loc[tables["equity"]["ts"]])
    if not work:
        return {}
    run = next(iter(session.runs.values()))  # cash, timeframe and calendar are the same in all
    terms = {"cash": run.cash, "timeframe": run.timeframe, "calendar": "24/7"}
    metrics = each(evaluate_metrics, work, failures, **terms)
    for symbol, rows in metrics.items():
        try:
            session.lake.upsert("metrics", rows.assign(run_id=session.runs[symbol].run_id))
        except LakeError as error:
            failures[symbol] = str(error)
    return metrics


def stream(parameters: LiveParameters, say: Callable[[list[Outcome]], None], *, steps: int | None = None) -> None:
    """Take a step at each candle's close in one process, until stopped or so many `steps` are done.

    For candles shorter than a run of Prefect's takes to start; within a flow run it shows there those steps at which
    something was ordered or failed. A symbol that fails at one step is taken up again at the next. A command that needs
    what the stream holds, such as `jarvis flatten`, has it at once, and the stream has it back when that is done.
    """
    numbers = itertools.count(1)
    with Behind() as reports:
        sitting = opened(parameters)
        while True:
            with sitting as session:
                for number in numbers:
                    outcomes = stream_step(session, reports)
                    say(outcomes)
                    if number == steps:
                        return
                    if number % TIDY_EVERY == 0:
                        tidy(session)
                    await_close(session)
                    if is_waited_for(parameters.exchange):
                        break
            sitting = reopened(parameters)


def stream_step(session: Session, reports: Behind) -> list[Outcome]:
    """Take one step of a stream, and tell of it."""
    with unrecorded():
        outcomes = step(session)
    if flow_run_id() is not None and any(outcome.orders or outcome.failure for outcome in outcomes):
        reports.do(partial(publish_live, outcomes, session.parameters))
    tell(outcomes)
    return outcomes


@contextmanager
def reopened(parameters: LiveParameters) -> Iterator[Session]:
    """Open a session when all are done that were to go first, as soon as the exchange can be reached."""
    with ExitStack() as stack:
        while True:
            while is_waited_for(parameters.exchange):
                time.sleep(_LOOK)
            try:
                session = stack.enter_context(opened(parameters))
                break
            except (ExchangeError, SourceError, LakeError) as error:
                logging.getLogger(__name__).warning("the session is not open again yet: %s", error)
                time.sleep(_PAUSE)
        yield session


@flow(name="live-stream", persist_result=False, result_storage=RESULTS)
def live_stream(parameters: LiveParameters, say: Callable[[list[Outcome]], None], steps: int | None = None) -> None:
    """Run `stream` as one flow run."""
    stream(parameters, say, steps=steps)


def tidy(session: Session) -> None:
    """Put the many small files that sessions write together, where they have become many."""
    for name in WRITTEN:
        try:
            compact(session.lake, name)
        except LakeError as error:  # they are read all the same, more slowly
            logging.getLogger(__name__).warning("%s", error)


def await_close(session: Session) -> None:
    """Sleep until a candle has closed since the last step began, by the exchange's clock, or somebody is to go first.

    While the clock cannot be read, some seconds: the next step asks again, and says so.
    """
    market, timeframe, exchange = session.market, session.parameters.timeframe, session.parameters.exchange
    try:
        taken_in = newest_due(market.now(), timeframe) if session.due is None else session.due
        closes = taken_in + 2 * pd.Timedelta(parse_timeframe(timeframe))
        while (left := (closes - market.now()).total_seconds() / market.speed) > 0 and not is_waited_for(exchange):
            time.sleep(min(max(left / 2, 0.005), 1.0))
    except SourceError:
        time.sleep(_PAUSE)


def due_now(market: LiveMarket, timeframe: str) -> pd.Timestamp | None:
    """Return the same for all symbols of a step, None where the exchange does not tell its time: each then asks."""
    try:
        return newest_due(market.now(), timeframe)
    except SourceError:
        return None


def newest_due(now: pd.Timestamp, timeframe: str) -> pd.Timestamp:
    """Return the opening instant of the newest candle that is closed."""
    length = pd.Timedelta(parse_timeframe(timeframe))
    return now.floor(length) - length


def fingerprinted(candles: pd.DataFrame) -> Seen:
    """Return what names the candles that a decision saw."""
    return Seen(fingerprint(candles), candles.attrs["version"])
