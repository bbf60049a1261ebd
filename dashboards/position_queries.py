"""What a run of several markets held of each, as a view of the table `positions`. Times come back as naive UTC."""

from __future__ import annotations

from typing import NamedTuple

from dashboards.queries import Connection, Rows, Run, frame
from dashboards.return_queries import stretch

MOST_LINES = 6
"""Of more markets than this the largest have a line each, and the others one together."""


class Weights(NamedTuple):
    """The share of the equity that was held of each market over time."""

    rows: Rows
    """ts, and a column for each of `names`: below 0 when short, means where closes are merged."""
    names: dict[str, str]
    """What each column is of, by column: the market, or the others."""


def weights(lake: Connection, run: Run) -> Weights:
    """Return the weights; a close at which the account had nothing left has none."""
    closes = f"SELECT ts, equity, {stretch(run)} AS stretch FROM equity WHERE run_id = $run AND equity > 0"  # noqa: S608
    found = frame(
        lake,
        f"""WITH closes AS ({closes}),
        times AS (SELECT stretch, min(ts) AS ts, count(*) AS closes FROM closes GROUP BY 1),
        held AS (SELECT stretch, symbol, sum(value / equity) AS held
            FROM positions JOIN closes USING (ts) WHERE run_id = $run GROUP BY ALL)
        SELECT times.ts AT TIME ZONE 'UTC' AS ts, symbol, held / closes AS weight
        FROM times LEFT JOIN held USING (stretch) ORDER BY 1, 2""",  # noqa: S608
        {"run": run.run_id},
    )
    by_market = found.pivot(index="ts", columns="symbol", values="weight")
    by_market = by_market.reindex(columns=list(run.symbols)).fillna(0.0)
    largest = by_market.abs().mean().sort_values(ascending=False, kind="stable").index
    own = list(run.symbols) if len(run.symbols) <= MOST_LINES else list(largest[: MOST_LINES - 1])
    names = {f"w{number}": symbol for number, symbol in enumerate(own)}
    rows = by_market[own].set_axis(list(names), axis="columns")
    if len(own) < len(run.symbols):
        rows = rows.assign(others=by_market.drop(columns=own).sum(axis="columns"))
        names["others"] = f"{len(run.symbols) - len(own)} others"
    return Weights(rows.reset_index(), names)
