"""What one step of a session did, symbol by symbol, and who is told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import pandas as pd

from data.errors import JarvisError
from flows.alerts import alert
from tasks.trade.decision import Decision
from tasks.trade.desk import Desk, SessionRun


@dataclass
class Outcome:
    """What one step did for one symbol."""

    symbol: str
    run_id: str
    decisions: list[Decision] = field(default_factory=list)
    """Oldest first; none when no candle closed since the step before."""
    account: dict[str, float] = field(default_factory=dict)
    """Cash, position, price, equity and drawdown at the last close that was decided."""
    orders: list[dict[str, Any]] = field(default_factory=list)
    """The orders of these decisions, as they stand."""
    notes: list[tuple[str, str]] = field(default_factory=list)
    """What a person may want to hear of: kind and text."""
    metrics: pd.DataFrame | None = None
    failure: str = ""


def outcome(
    run: SessionRun, desk: Desk | None, decisions: list[Decision] | None, metrics: pd.DataFrame | None, failure: str
) -> Outcome:
    """Sum up what was done for one symbol."""
    result = Outcome(run.symbol, run.run_id, decisions or [], metrics=metrics, failure=failure)
    if desk is not None:
        equity = desk.tables().get("equity")
        if equity is not None and len(equity):
            result.account = {str(name): float(value) for name, value in equity.iloc[-1].items() if name != "ts"}
        decided = {decision.ts for decision in result.decisions}
        result.orders = [asdict(each) for each in desk.ledger.orders.values() if each.decision in decided]
        result.notes = [(note.kind, note.text) for note in desk.notes]
    if failure:
        result.notes.append(("failure", f"{run.symbol}: {failure}"))
    return result


def left_out(symbol: str, why: str) -> Outcome:
    """Return the outcome of a symbol that is not traded now."""
    return Outcome(symbol, "", notes=[("failure", why)], failure=why)


def tell(outcomes: Iterable[Outcome]) -> None:
    """Send what happened as events and alerts; to be called when trading is done."""
    for each in outcomes:
        for kind, text in each.notes:
            alert(kind, text, run=each.run_id)


class StepFailed(JarvisError):
    """A symbol failed; `outcomes` are those of all."""

    def __init__(self, message: str, outcomes: Sequence[Outcome]) -> None:
        super().__init__(message)
        self.outcomes = outcomes


def refuse_failures(outcomes: Sequence[Outcome]) -> None:
    """Raise StepFailed in one line when a symbol failed."""
    failed = [f"{each.symbol}: {each.failure}" for each in outcomes if each.failure]
    if failed:
        raise StepFailed("; ".join(failed), outcomes)
