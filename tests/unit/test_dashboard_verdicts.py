"""What the pages say of how far a run can be trusted, on runs with known answers."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from dashboards import queries, verdict_queries, verdict_words
from dashboards.queries import Connection, Run
from data.tables import TABLES
from data.views import connect
from data.writer import Lake
from tests.unit import dashboard_lake

EVIL = "<script>alert(1)</script>"
NOON = pd.Timestamp("2024-06-01 12:00", tz="UTC")


@pytest.fixture
def recorded(lake: Lake) -> Lake:
    dashboard_lake.record(lake)
    return lake


def of(lake: Lake) -> tuple[Connection, Run]:
    connection = connect(lake)
    run = queries.run(connection, "run-1")
    assert run is not None
    return connection, run


def write(lake: Lake, table: str, *rows: dict[str, Any]) -> None:
    lake.append(table, pa.Table.from_pylist([{"run_id": "run-1", **row} for row in rows], TABLES[table].schema))


def judgement(*, supported: bool, reason: str, judged_at: pd.Timestamp = NOON) -> dict[str, Any]:
    counts = {"trials": 1_234, "effective_trials": 7.4, "probabilistic_sharpe": 0.99, "deflated_sharpe": 0.5}
    return {"judged_at": judged_at, "supported": supported, "reason": reason, **counts}


def test_a_run_that_nobody_judged_says_how_to_have_it_judged(recorded: Lake) -> None:
    connection, run = of(recorded)
    found = verdict_queries.judged(connection, run)
    assert found.verdict is None
    assert "jarvis judge run-1" in "".join(verdict_words.verdict(run, found))
    assert "was not tried" in verdict_words.sensitivity(found)


@pytest.mark.parametrize(("supported", "title"), [(True, "Supported"), (False, "Not proven")])
def test_the_latest_verdict_is_said_in_the_same_size_whichever_it_is(
    recorded: Lake, *, supported: bool, title: str
) -> None:
    before = judgement(supported=not supported, reason="earlier", judged_at=NOON - pd.Timedelta(days=1))
    write(recorded, "verdicts", before, judgement(supported=supported, reason=f"{title.lower()}: by {EVIL}"))
    connection, run = of(recorded)
    said = "".join(verdict_words.verdict(run, verdict_queries.judged(connection, run)))
    assert f">{title}</strong><span>By &lt;script&gt;" in said
    assert EVIL not in said
    for told in ("1,234", "<b>7</b>", "99.00 %", "50.00 %"):
        assert told in said


def test_other_costs_come_before_other_parameters_and_the_run_itself_is_marked(recorded: Lake) -> None:
    figures = {"cumulative_return": 0.5, "sharpe_ratio": 1.25, "max_drawdown": -0.125, "trades": 9}
    write(
        recorded, "sensitivity",
        {"varied": EVIL, "step": -1, "value": '"low"', "note": "too <few> candles"},
        *({"varied": "costs", "step": step, "value": str(step), **figures} for step in (3, 1, 0, 2)),
        {"varied": "a", "step": 1, "value": "12", **figures, "cumulative_return": -0.5},
    )  # fmt: skip
    connection, run = of(recorded)
    found = verdict_queries.judged(connection, run)
    assert [*found.steps["varied"]] == ["costs"] * 4 + [EVIL, "a"]
    assert [*found.steps["step"]][:4] == [0, 1, 2, 3]
    said = verdict_words.sensitivity(found)
    assert said.count('class="own"') == 1
    assert "as it is" in said.split('class="own"')[1].split("</tr>")[0]
    assert 'class="number bad">-50.00 %' in said
    assert "too &lt;few&gt; candles" in said
    assert EVIL not in said


def test_the_tests_of_a_walk_forward_are_told_by_time_also_one_that_no_set_was_chosen_for(recorded: Lake) -> None:
    day = pd.Timestamp("2024-01-01", tz="UTC")
    chosen = {"number": 3, "parameters": f'{{"fast":5,"x":"{EVIL}"}}', "objective": 0.123456, "out_objective": -0.5,
              "out_cumulative_return": 0.25, "out_max_drawdown": -0.1, "out_trades": 4}  # fmt: skip
    write(
        recorded, "folds",
        {"fold": 2, "test_start": day + pd.Timedelta(days=9), "test_end": day + pd.Timedelta(days=12, hours=5)},
        {"fold": 1, "test_start": day, "test_end": day + pd.Timedelta(days=8), **chosen},
    )  # fmt: skip
    rows = verdict_queries.folds(*of(recorded))
    assert [*rows["fold"]] == [1, 2]
    said = verdict_words.folds(rows)
    for told in ("2024-01-01", "2024-01-13 05:00", "fast=5 x=&lt;script&gt;", "0.12346", "25.00 %"):
        assert told in said
    assert EVIL not in said
    assert verdict_queries.folds(*of(recorded)).columns.tolist() == rows.columns.tolist()
