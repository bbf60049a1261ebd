"""What a run shows of itself in the Prefect UI: a report, tables, tags."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext

from data.settings import settings
from flows.detail import in_words
from tasks.evaluate import portfolio_table, trade_table
from tasks.fetch import Fact, Series

_ROWS_SHOWN = 200
"""A table artifact is stored whole in Prefect's database; the lake has all the rows."""


def flow_run_id() -> str | None:
    """Return the id of the Prefect flow run under way; None when there is none."""
    context = FlowRunContext.get()
    return str(context.flow_run.id) if context is not None and context.flow_run is not None else None


def publish_report(run_id: str, manifest: dict[str, Any], metrics: pd.DataFrame, trades: pd.DataFrame) -> None:
    """Attach a Markdown report, the portfolio table, the trade table and tags to the flow run; without one, nothing."""
    if flow_run_id() is None:
        return
    tag([manifest["kind"], manifest["strategy"], manifest["symbol"], manifest["timeframe"]])
    portfolio = portfolio_table(metrics)
    create_markdown_artifact(_markdown(run_id, manifest, portfolio), key="report", description=f"Run {run_id}")
    create_table_artifact(cells(portfolio), key="portfolio", description=f"Portfolio table of run {run_id}")
    create_table_artifact(
        cells(trade_table(trades).tail(_ROWS_SHOWN)),
        key="trades",
        description=f"Trade table of run {run_id}: the last {min(len(trades), _ROWS_SHOWN)} of {len(trades)} trades",
    )


def publish_facts(series: Series, facts: Sequence[Fact]) -> None:
    """Attach what was found about the candles, and tags, to the flow run; without one, nothing."""
    if flow_run_id() is None:
        return
    tag(["collect", *series])
    found = pd.DataFrame(facts, columns=Fact._fields)
    create_table_artifact(cells(found.tail(_ROWS_SHOWN)), key="facts", description=f"Found in {' '.join(series)}")


def dashboard_address(run_id: str, page: str = "backtest") -> str:
    """Return the address of a run's page in the dashboard that `jarvis up` starts."""
    return f"http://127.0.0.1:{settings().dashboard_port}/trading?page={page}&run={run_id}"


def tag(tags: Sequence[str], name: str | None = None) -> None:
    """Put tags on the flow run under way, beside those that it has, and a name; without one, nothing."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return
    run = context.flow_run
    all_tags = [*run.tags, *(new for new in dict.fromkeys(tags) if new not in run.tags)]
    with get_client(sync_client=True) as client:
        client.update_flow_run(run.id, name=name, tags=all_tags)


def cells(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows as Prefect shows them: text and numbers, no times and no NaN."""
    text = table.astype(object).where(table.notna(), "")
    return [
        {str(name): value if isinstance(value, int | float) else str(value) for name, value in row.items()}
        for row in text.to_dict("records")
    ]


def _markdown(run_id: str, manifest: dict[str, Any], portfolio: pd.DataFrame) -> str:
    parameters = ", ".join(f"{name} {value}" for name, value in manifest["parameters"].items()) or "none"
    costs = manifest["costs"]
    slippage = f"{costs['slippage']:.2%}" if isinstance(costs["slippage"], float) else costs["slippage"]
    known = f" Detail: {in_words(manifest)}." if manifest.get("detail") else ""
    rows = "\n".join(f"| {name} | {value} |" for name, value in portfolio.itertuples(index=False))
    return f"""# {manifest["strategy"]} on {manifest["symbol"]} {manifest["timeframe"]}

Run [`{run_id}`]({dashboard_address(run_id)}): {manifest["candles"]:,} candles of {manifest["exchange"]},
{manifest["start"][:16]} to {manifest["end"][:16]} UTC. Parameters: {parameters}.
Fee {costs["fee"]:.2%} and slippage {slippage} a side, cash {manifest["cash"]:,.0f}.{known}

| | |
|---|---|
{rows}
"""
