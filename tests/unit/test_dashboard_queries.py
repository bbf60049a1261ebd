from __future__ import annotations

import pandas as pd
import pytest

from dashboards import queries
from data.errors import LakeError
from data.views import connect
from data.writer import Lake
from tests.unit import dashboard_lake as rows


def of(lake: Lake) -> tuple[queries.Connection, queries.Run]:
    connection = connect(lake)
    run = queries.run(connection, "run-1")
    assert run is not None
    return connection, run


def test_runs_come_newest_first_and_only_of_their_kind(lake: Lake) -> None:
    rows.record(lake, "older", created_at=rows.MADE - pd.Timedelta(days=1))
    rows.record(lake, "newer")
    rows.record(lake, "live-1", kind="live")
    assert [run.run_id for run in queries.runs(connect(lake), "backtest")] == ["newer", "older"]


def test_an_empty_lake_has_no_runs(lake: Lake) -> None:
    assert queries.runs(connect(lake), "backtest") == []
    assert queries.run(connect(lake), "run-1") is None


def test_a_run_without_prefect_has_no_flow_run(lake: Lake) -> None:
    rows.record(lake)
    rows.record(lake, "run-2", flow_run_id="abc")
    found = {run.run_id: run.flow_run_id for run in queries.runs(connect(lake), "backtest")}
    assert found == {"run-1": None, "run-2": "abc"}


def test_a_chart_shows_the_candles_as_the_run_saw_them(lake: Lake) -> None:
    late = rows.MADE + pd.Timedelta(days=1)
    lake.append("candles", rows.candles(10, superseded_at=[late] + [pd.NaT] * 9))
    lake.append("candles", rows.candles(1, revision=1, fetched_at=late, close=999.0, high=1_000.0))
    rows.record(lake)
    shown = queries.candles(*of(lake))
    assert list(shown["close"]) == [101.0 + n for n in range(10)]
    assert str(shown["ts"].dtype) == "datetime64[us]"


def test_a_revision_that_the_run_did_not_see_any_more_is_not_shown(lake: Lake) -> None:
    early = rows.START + pd.Timedelta(days=1)
    lake.append("candles", rows.candles(10, superseded_at=[early] + [pd.NaT] * 9))
    lake.append("candles", rows.candles(1, revision=1, fetched_at=early, close=150.0))
    rows.record(lake)
    assert queries.candles(*of(lake))["close"].iloc[0] == 150.0


def test_candles_of_another_series_stay_out(lake: Lake) -> None:
    lake.append("candles", rows.candles(10))
    lake.append("candles", rows.candles(10, symbol="ETH/USD", close=1.0))
    rows.record(lake)
    assert queries.candles(*of(lake))["close"].min() == 101.0


def test_candles_that_are_gone_are_said_to_be_gone(lake: Lake) -> None:
    rows.record(lake)
    with pytest.raises(LakeError, match="no longer has the candles of BTC/USD 1m from csv"):
        queries.candles(*of(lake))
    assert queries.first_open(*of(lake)) is None


def test_few_candles_are_drawn_as_they_are(lake: Lake) -> None:
    lake.append("candles", rows.candles(queries.MOST_CANDLES))
    rows.record(lake, n=queries.MOST_CANDLES)
    connection, run = of(lake)
    assert run.bucket == 0
    assert len(queries.candles(connection, run)) == queries.MOST_CANDLES


def test_many_candles_are_merged_and_lose_no_high_no_low_and_no_volume(lake: Lake) -> None:
    n = 20_000
    lake.append("candles", rows.candles(n))
    rows.record(lake, n=n)
    connection, run = of(lake)
    shown = queries.candles(connection, run)
    assert run.bucket == 900
    assert queries.MERGED_CANDLES / 2 < len(shown) <= queries.MERGED_CANDLES
    assert shown["volume"].sum() == n
    assert (shown["high"].max(), shown["low"].min()) == (101.0 + n, 99.0)
    assert (shown["open"].iloc[0], shown["close"].iloc[-1]) == (100.0, 100.0 + n)
    assert shown["ts"].is_monotonic_increasing


@pytest.mark.parametrize("n", [2_001, 10_000, 100_000])
@pytest.mark.parametrize("timeframe", ["1m", "7m", "1h", "1d", "1w"])
def test_merged_candles_are_whole_multiples_of_the_runs_and_never_too_many(timeframe: str, n: int, lake: Lake) -> None:
    rows.record(lake)
    candle = {"1m": 60, "7m": 420, "1h": 3600, "1d": 86400, "1w": 604800}[timeframe]
    _, run = of(lake)
    end = run.start_ts + pd.Timedelta(seconds=candle) * (n - 1)
    run = run._replace(candles=n, timeframe=timeframe, end_ts=end)
    assert run.bucket % candle == 0
    assert (run.end_ts - run.start_ts).total_seconds() / run.bucket <= queries.MERGED_CANDLES


def test_the_equity_of_merged_candles_ends_as_the_lakes_and_keeps_the_deepest_drawdown(lake: Lake) -> None:
    n = 20_000
    rows.record(lake, n=n, tables={"equity": rows.equity(n)})
    shown = queries.equity(*of(lake))
    assert shown["equity"].iloc[-1] == 1_000.0 + n - 1
    assert shown["ts"].iloc[-1] == rows.times(n)[-1].tz_localize(None)
    assert shown["drawdown"].min() == -0.1


def test_indicators_bear_their_names_whatever_these_are(lake: Lake) -> None:
    rows.record(lake, tables={"signals": rows.signals(10, "fast", "a\"b'; drop", "<b>")})
    shown = queries.indicators(*of(lake))
    assert set(shown.columns) == {"ts", "fast", "a\"b'; drop", "<b>"}
    assert list(shown["<b>"]) == [101.0 + n for n in range(10)]


def test_a_strategy_without_indicators_has_none(lake: Lake) -> None:
    rows.record(lake, tables={"signals": rows.signals(10)})
    assert list(queries.indicators(*of(lake)).columns) == ["ts"]


def test_markers_stand_at_the_fills_of_the_trades(lake: Lake) -> None:
    rows.record(lake)
    marks = queries.markers(*of(lake))
    start = rows.START.tz_localize(None)
    assert list(zip(marks["ts"], marks["action"], marks["price"], strict=True)) == [
        (start, "buy", 100.0),
        (start + pd.Timedelta(minutes=1), "sell", 110.0),
    ]
    assert list(marks["text"]) == ["trade 1, long entry", "trade 1, long exit: signal"]


def test_a_short_trade_begins_with_a_sale_and_an_open_one_has_no_exit(lake: Lake) -> None:
    rows.record(lake, tables={"trades": rows.trades(side="short", status="open", exit_ts=pd.NaT, exit_reason=None)})
    marks = queries.markers(*of(lake))
    assert list(marks["action"]) == ["sell"]


def test_markers_of_merged_candles_are_counted_together(lake: Lake) -> None:
    rows.record(lake, n=20_000, tables={"trades": rows.trades(100)})
    marks = queries.markers(*of(lake))
    assert marks["events"].sum() == 200
    assert set(marks["action"]) == {"buy", "sell"}
    assert len(marks) < 60


def test_metrics_come_by_name_with_their_interval(lake: Lake) -> None:
    rows.record(lake)
    assert queries.metrics(*of(lake)).loc["sharpe_ratio", ["value", "low", "high"]].tolist() == [1.5, 0.5, 2.5]
