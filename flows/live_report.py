"""What a live run shows of itself in the Prefect UI: tags, a decision report, tables of signals, orders and account."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import pandas as pd
from prefect.artifacts import create_markdown_artifact, create_table_artifact

from flows.aside import aside
from flows.parameters import LiveParameters
from flows.report import cells, dashboard_address, flow_run_id, tag

if TYPE_CHECKING:
    from flows.outcome import Outcome

_SECONDS = 20.0
"""How long Prefect's server may take for all of it."""
_ROWS_SHOWN = 100
"""The newest; after a long absence every missed candle has a decision."""

_HEAD = (
    "| Market | Candle (UTC) | Close | Signal | Decision | Why | Order | Position | Equity | Drawdown |\n"
    "|---|---|--:|--:|---|---|---|--:|--:|--:|"
)
_SIGNALS = ["symbol", "ts", "close", "signal", "target", "action", "reason", "detail", "age"]
_DO = {"buy": "**buy**", "sell": "**sell**", "hold": "hold"}


def publish_live(outcomes: Sequence[Outcome], parameters: LiveParameters) -> None:
    """Attach tags, a Markdown report and the tables signals, orders and account to the flow run; without one, nothing.

    Raises nothing: a server that went away costs a line in the log, and some seconds.
    """
    if flow_run_id() is not None:
        aside("the report of this run in Prefect", lambda: _publish(outcomes, parameters), _SECONDS)


def decision_report(outcomes: Sequence[Outcome], parameters: LiveParameters) -> str:
    """Return the decisions of one run in Markdown: a row a market, and below it what a person should know."""
    chosen = ", ".join(f"{name} {value}" for name, value in parameters.params.items())
    title = f"# {parameters.strategy} on {parameters.exchange} {parameters.timeframe}, {parameters.mode}"
    rows = "\n".join(_row(outcome) for outcome in outcomes)
    notes = "\n".join(f"- {_words(text)}" for outcome in outcomes for _, text in outcome.notes)
    parts = [title, f"With {chosen}." if chosen else "", f"{_HEAD}\n{rows}", notes]
    return "\n\n".join(part for part in parts if part) + "\n"


def name_of(outcomes: Sequence[Outcome], parameters: LiveParameters) -> str:
    """Return what a run is called: its newest candle, and what was done."""
    newest = max((each.decisions[-1].ts for each in outcomes if each.decisions), default=None)
    when = "nothing new" if newest is None else f"{newest:%Y-%m-%d %H:%M}"
    done = [f"{each.decisions[-1].action} {each.symbol}" for each in outcomes if each.decisions]
    return f"{when} {parameters.strategy}: {', '.join(done)}" if done else f"{parameters.strategy}: {when}"


def _publish(outcomes: Sequence[Outcome], parameters: LiveParameters) -> None:
    known = [parameters.mode, parameters.exchange, parameters.strategy, parameters.timeframe, *parameters.symbols]
    tag(known, name_of(outcomes, parameters))
    create_markdown_artifact(
        decision_report(outcomes, parameters), key="decision-report", description="What was decided, and why"
    )
    decided = [{"symbol": o.symbol, **asdict(decision)} for o in outcomes for decision in o.decisions]
    ordered = [{"symbol": o.symbol, **row} for o in outcomes for row in o.orders]
    accounts = [{"symbol": o.symbol, "run_id": o.run_id, **o.account} for o in outcomes]
    signals = pd.DataFrame(decided, columns=_SIGNALS)
    for key, table in (("signals", signals), ("orders", pd.DataFrame(ordered)), ("account", pd.DataFrame(accounts))):
        if len(table):
            create_table_artifact(
                cells(table.tail(_ROWS_SHOWN)), key=key, description=f"{key.capitalize()} of this run"
            )


def _row(outcome: Outcome) -> str:
    market = f"[{outcome.symbol}]({dashboard_address(outcome.run_id, 'live')})" if outcome.run_id else outcome.symbol
    account = [_number(outcome.account.get(name)) for name in ("position", "equity")]
    account.append(f"{outcome.account['drawdown']:.2%}" if "drawdown" in outcome.account else "")
    if outcome.failure:
        shown = ["", "", "", "**failed**", _words(outcome.failure), ""]
    elif not outcome.decisions:
        shown = ["", "", "", "none", "no candle has closed since the run before", ""]
    else:
        newest = outcome.decisions[-1]
        missed = f" ({len(outcome.decisions) - 1} before it were missed)" if len(outcome.decisions) > 1 else ""
        amount = f" {_number(newest.amount)}" if newest.amount is not None else ""
        shown = [
            f"{newest.ts:%Y-%m-%d %H:%M}",
            _number(newest.close),
            _number(newest.signal),
            f"{_DO.get(newest.action, newest.action)}{amount}",
            f"{_words(newest.reason)}: {_words(newest.detail)}{missed}",
            f"`{newest.order_id}`" if newest.order_id else "",
        ]
    return f"| {' | '.join([market, *shown, *account])} |"


def _number(value: float | None) -> str:
    return "" if value is None or pd.isna(value) else f"{value:,.8g}"


def _words(text: str | None) -> str:
    """Return a text that stays in its cell of a table."""
    return " ".join((text or "").split()).replace("|", "\\|")
