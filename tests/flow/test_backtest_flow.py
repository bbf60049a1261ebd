"""The backtest flow, with a Prefect API and without one."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, FlowRunFilter, FlowRunFilterId

from data.errors import BadInput
from data.runs import canonical, read_run, run_id
from data.tables import TABLES
from data.views import connect
from data.writer import Lake
from flows.backtest import Backtest, backtest
from flows.parameters import BacktestParameters
from flows.report import dashboard_address

RESULTS = ("signals", "orders", "fills", "equity", "trades", "metrics")


def run(**parameters: object) -> Backtest:
    result: Backtest = backtest.fn(BacktestParameters(**parameters))  # type: ignore[arg-type]
    return result


def test_a_run_is_recorded_whole_under_the_hash_of_its_manifest(lake: Lake) -> None:
    result = run()
    assert result.run_id == run_id(result.manifest)
    recorded = read_run(lake, result.run_id, "runs").iloc[0]
    assert recorded["manifest"] == canonical(result.manifest)
    assert recorded["flow_run_id"] is None or pd.isna(recorded["flow_run_id"])
    for table in RESULTS:
        assert len(read_run(lake, result.run_id, table)) > 0, table
    pd.testing.assert_frame_equal(
        read_run(lake, result.run_id, "trades")[["entry_price", "exit_price", "profit"]],
        result.simulation.trades[["entry_price", "exit_price", "profit"]],
    )


def test_the_same_manifest_is_the_same_run_and_is_written_once(lake: Lake) -> None:
    first = run()
    versions = {table: lake.version(table) for table in TABLES}
    assert run().run_id == first.run_id
    assert {table: lake.version(table) for table in TABLES} == versions
    assert run(cash=50_000).run_id != first.run_id


def test_the_same_manifest_gives_the_same_bytes_in_another_lake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = []
    for name in ("one", "other"):
        monkeypatch.setenv("JARVIS_LAKE", str(tmp_path / name))
        run(stop_loss=0.05)
        tables = {table: sorted(Lake.open().path(table).glob("*.parquet")) for table in RESULTS}
        contents.append({table: [file.read_bytes() for file in found] for table, found in tables.items()})
    assert all(contents[0].values())
    assert contents[0] == contents[1]


def test_every_trade_leads_back_to_the_candle_that_decided_it_by_joins_alone(lake: Lake) -> None:
    result = run()
    connection = connect(lake)
    rows = connection.execute(
        """SELECT t.trade_id, s.ts, s.indicators['fast'] > s.indicators['slow'], s.entry_exit, c.close = s.close, f.ts
        FROM trades t
        JOIN runs r USING (run_id)
        JOIN orders o ON o.run_id = t.run_id AND o.order_id = t.entry_order_id AND o.event = 'filled'
        JOIN fills f ON f.run_id = t.run_id AND f.order_id = o.order_id
        JOIN signals s ON s.run_id = t.run_id AND s.symbol = t.symbol AND s.ts = o.decision_ts
        JOIN candles c ON c.exchange = r.exchange AND c.symbol = t.symbol AND c.timeframe = r.timeframe AND c.ts = s.ts
        ORDER BY t.trade_id"""
    ).fetchall()
    assert len(rows) == len(result.simulation.trades)
    assert all(crossed and change == 1 and same for _, _, crossed, change, same, _ in rows)
    index = list(read_run(lake, result.run_id, "signals")["ts"])
    assert all(index.index(filled) == index.index(decided) + 1 for _, decided, *_, filled in rows)


def test_the_portfolio_view_has_the_columns_of_the_lesson(lake: Lake) -> None:
    result = run()
    rows = connect(lake).sql("SELECT * FROM portfolio ORDER BY ts").to_arrow_table().to_pandas()
    equity = result.simulation.equity
    assert list(rows["portfolio_total"]) == list(equity["equity"])
    assert rows["portfolio_holdings"].to_numpy() == pytest.approx((equity["position"] * equity["price"]).to_numpy())
    assert rows["portfolio_daily_returns"][1:].to_numpy() == pytest.approx(equity["equity"].pct_change()[1:].to_numpy())
    assert rows["portfolio_cumulative_returns"].iloc[-1] == pytest.approx(equity["equity"].iloc[-1] / 100_000 - 1)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"strategy": "sma_crosover"}, "did you mean 'sma_crossover'"),
        ({"params": {"fasst": 3}}, "did you mean 'fast'"),
        ({"params": {"fast": 100, "slow": 50}}, "fast"),
        ({"symbol": "MSFT"}, "AAPL"),
        ({"timeframe": "1h"}, "1d"),
        ({"params": {"slow": 5000}}, "5000"),
        ({"start": "2030-01-01"}, "2030-01-01"),
    ],
)
def test_bad_input_is_refused_and_records_no_run(lake: Lake, parameters: dict[str, object], words: str) -> None:
    with pytest.raises(BadInput) as refusal:
        run(**parameters)
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert lake.version("runs") == -1


@pytest.mark.server
def test_the_run_shows_in_prefect_with_named_tasks_tags_report_and_tables(lake: Lake, prefect_api: None) -> None:
    result: Backtest = backtest(BacktestParameters())
    flow_run = read_run(lake, result.run_id, "runs")["flow_run_id"].iloc[0]
    with get_client(sync_client=True) as client:
        shown = client.read_flow_run(flow_run)
        tasks = client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[flow_run])))
        of_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run]))
        artifacts = {artifact.key: artifact for artifact in client.read_artifacts(artifact_filter=of_run)}
    assert shown.state_name == "Completed"
    assert {"backtest", "sma_crossover", "AAPL", "1d"} <= set(shown.tags)
    stages = ["initialize", "fetch_data", "generate_signals", "execute_backtest", "evaluate_metrics"]
    assert [task.name.rpartition("-")[0] for task in sorted(tasks, key=lambda task: task.start_time)] == stages
    assert set(artifacts) == {"report", "portfolio", "trades"}
    assert f"]({dashboard_address(result.run_id)})" in artifacts["report"].data
    assert len(json.loads(artifacts["trades"].data)) == len(result.simulation.trades)


@pytest.mark.server
def test_the_form_in_the_prefect_ui_knows_types_bounds_and_defaults(prefect_api: None) -> None:
    schema = backtest.parameters.model_dump()
    fields = schema["definitions"]["BacktestParameters"]["properties"]
    assert fields["cash"]["default"] == 100_000
    assert fields["cash"]["exclusiveMinimum"] == 0
    assert {choice["type"] for choice in fields["slippage"]["anyOf"]} == {"string", "number"}
    assert fields["limit_offset"]["exclusiveMaximum"] == 1
    assert all("description" in field for field in fields.values())
