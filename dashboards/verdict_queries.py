"""What the pages ask about how far a run can be trusted: its verdict, what small changes do, a walk-forward."""

from __future__ import annotations

from typing import Any, NamedTuple

from dashboards.queries import Connection, Rows, Run, frame


class Judged(NamedTuple):
    """The latest verdict on a run, a row of the table `verdicts` (None: never judged), its rows of `sensitivity`."""

    verdict: dict[str, Any] | None
    steps: Rows


def judged(lake: Connection, run: Run) -> Judged:
    """Return how a run was judged last, and what it comes to with other costs and parameters, by step."""
    verdicts = frame(lake, "SELECT * FROM verdicts WHERE run_id = ?", [run.run_id]).to_dict("records")
    steps = frame(
        lake,
        "SELECT varied, step, value, cumulative_return, sharpe_ratio, max_drawdown, trades, note FROM sensitivity"
        " WHERE run_id = ? ORDER BY varied <> 'costs', varied, step",
        [run.run_id],
    )
    return Judged({str(name): value for name, value in verdicts[0].items()} if verdicts else None, steps)


def folds(lake: Connection, run: Run) -> Rows:
    """Return the tests of a sweep's walk-forward, by time; times are naive UTC."""
    return frame(
        lake,
        """SELECT fold, test_start AT TIME ZONE 'UTC' AS test_start, test_end AT TIME ZONE 'UTC' AS test_end,
            number, parameters, objective, out_objective, out_cumulative_return, out_max_drawdown, out_trades
        FROM folds WHERE run_id = ? ORDER BY fold""",
        [run.run_id],
    )
