from __future__ import annotations

import io
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dashboards import queries, row_queries, row_words, sql_result, trade_queries, trade_words
from dashboards.row_queries import PAGE, Wanted
from dashboards.trade_card import draw
from data.views import connect
from data.writer import Lake
from tests.unit import dashboard_lake as rows

ORDER = "2024-01-01T00:05:00Z-buy-open"


def of(lake: Lake) -> tuple[queries.Connection, queries.Run]:
    connection = connect(lake)
    run = queries.run(connection, "run-1")
    assert run is not None
    return connection, run


def one_trade(lake: Lake, *, name: str = "fast") -> None:
    """Record a trade that the close of the sixth minute decided, with order, fill, signals and candles."""
    at = rows.times(20)
    order = {
        "symbol": "BTC/USD", "order_id": ORDER, "event": "filled", "ts": at[6], "decision_ts": at[5], "side": "buy",
        "type": "market", "amount": 2.0, "price": None, "reason": "signal",
    }  # fmt: skip
    fill = {
        "symbol": "BTC/USD", "fill_id": f"{ORDER}-1", "order_id": ORDER, "trade_id": 1, "ts": at[6], "side": "buy",
        "price": 106.0, "amount": 2.0, "fee": 0.5, "liquidity": "taker", "reason": "signal",
    }  # fmt: skip
    trade = rows.trades(
        1, entry_ts=[at[6]], exit_ts=pd.NaT, exit_reason=None, status="open", entry_order_id=ORDER, bars_held=13
    )
    lake.append("candles", rows.candles(20))
    tables = {
        "orders": pd.DataFrame([order]).astype({"price": float}), "fills": pd.DataFrame([fill]),
        "trades": trade, "signals": rows.signals(20, name),
    }  # fmt: skip
    rows.record(lake, n=20, tables=tables)


def many(lake: Lake, n: int = 60, **columns: Any) -> tuple[queries.Connection, queries.Run]:
    lake.append("candles", rows.candles(10))
    rows.record(lake, n=10, tables={"trades": rows.trades(n, profit=[float(k % 7) for k in range(n)], **columns)})
    return of(lake)


def test_a_page_of_trades_is_one_page_and_knows_of_the_others(lake: Lake) -> None:
    connection, run = many(lake)
    first, last = (row_queries.trades(connection, run, Wanted(page=page)) for page in (0, 2))
    assert (first.total, len(first.rows), len(last.rows)) == (60, PAGE, 60 - 2 * PAGE)
    assert list(first.rows["trade"]) == list(range(1, PAGE + 1))
    assert row_queries.trades(connection, run, Wanted(page=9)).rows.empty


def test_all_trades_are_sorted_not_those_of_the_page(lake: Lake) -> None:
    connection, run = many(lake)
    rising = row_queries.trades(connection, run, Wanted(order="profit")).rows["profit"]
    falling = row_queries.trades(connection, run, Wanted(order="-profit")).rows["profit"]
    assert (rising.max(), falling.min()) == (2.0, 3.0)
    assert falling.is_monotonic_decreasing


@pytest.mark.parametrize("order", ["nothing", "-", "profit; DROP TABLE trades", "1"])
def test_an_order_that_no_column_has_is_the_tables_own(lake: Lake, order: str) -> None:
    connection, run = many(lake)
    assert list(row_queries.trades(connection, run, Wanted(order=order)).rows["trade"][:3]) == [1, 2, 3]


def test_trades_are_found_by_all_the_words_that_were_typed(lake: Lake) -> None:
    connection, run = many(lake, side=["long", "short"] * 30, exit_reason=["signal"] * 59 + ["stop_loss"])
    found = row_queries.trades(connection, run, Wanted(text="SHORT stop loss"))
    assert list(found.rows["trade"]) == [60]
    assert row_queries.trades(connection, run, Wanted(text="' OR 1=1 --")).total == 0
    assert row_queries.trades(connection, run, Wanted(text="#60")).total == 1


def test_a_download_has_all_that_is_found_under_the_lessons_headings(lake: Lake) -> None:
    connection, run = many(lake)
    whole = row_queries.trades_whole(connection, run, Wanted(order="-profit", page=2))
    lesson = ["Stock", "Entry Date", "Exit Date", "Shares", "Entry Share Price", "Exit Share Price"]
    lesson += ["Entry Portfolio Holding", "Exit Portfolio Holding", "Profit/Loss"]
    assert [name for name in whole.column_names if name in lesson] == lesson
    assert whole.num_rows == 60
    csv = pd.read_csv(io.BytesIO(sql_result.csv(whole)))
    parquet = pq.read_table(io.BytesIO(sql_result.parquet(whole)))
    assert csv["Profit/Loss"].is_monotonic_decreasing
    assert parquet["Entry Date"].type == pa.timestamp("us", "UTC")


def test_the_account_is_paged_filtered_by_time_and_saved(lake: Lake) -> None:
    account = rows.equity(100).assign(cash=10.0, position=[0.0] * 50 + [1.0] * 50)
    rows.record(lake, n=100, tables={"equity": account})
    connection, run = of(lake)
    assert row_queries.account(connection, run).total == 100
    assert row_queries.account(connection, run, Wanted(text="long")).total == 50
    assert row_queries.account(connection, run, Wanted(text="2024-01-01 01:")).total == 40
    deepest = row_queries.account(connection, run, Wanted(order="drawdown")).rows.iloc[0]
    assert deepest["drawdown"] == -0.1
    whole = row_queries.account_whole(connection, run, Wanted(order="-ts"))
    assert whole["holding"].to_pylist()[0] == 200.0
    assert row_words.account_rows(run, row_queries.account(connection, run).rows)[0]["cells"][0] == "2024-01-01 00:00"


def test_an_open_trade_is_told_as_open(lake: Lake) -> None:
    one_trade(lake)
    connection, run = of(lake)
    (row,) = row_words.trade_rows(run, row_queries.trades(connection, run).rows)
    assert row["id"] == "1"
    assert (row["cells"][3], row["cells"][-1], row["cells"][7]) == ("open", "still open", ["19.00", "good"])


def test_the_lineage_leads_from_the_trade_to_the_candles_that_caused_it(lake: Lake) -> None:
    one_trade(lake)
    story = trade_queries.story(*of(lake), 1)
    assert story is not None
    (order,) = story.orders
    assert (order.order_id, order.decided) == (ORDER, pd.Timestamp("2024-01-01 00:05"))
    assert list(order.candles["Candle (UTC)"].dt.minute) == [5, 4, 3]
    assert list(order.candles["Revision"]) == [0, 0, 0]
    assert list(order.candles["Fetched (UTC)"]) == [rows.START.tz_localize(None)] * 3
    assert list(order.signal["Candle (UTC)"].dt.minute) == [5, 4]
    assert list(order.fills["Price"]) == [106.0]


def test_a_candle_that_changed_after_the_run_is_shown_as_the_run_saw_it_and_said_to_be_replaced(lake: Lake) -> None:
    one_trade(lake)
    later = rows.MADE + pd.Timedelta(days=1)
    lake.upsert("candles", rows.candles(20).iloc[[5]].assign(superseded_at=later))
    lake.append("candles", rows.candles(20).iloc[[5]].assign(revision=1, fetched_at=later, close=999.0))
    connection, run = of(lake)
    story = trade_queries.story(connection, run, 1)
    assert story is not None
    newest = story.orders[0].candles.iloc[0]
    assert (newest["Close"], newest["Revision"]) == (106.0, 0)
    assert "Replaced since (UTC)" in trade_words.lineage(run, story)


def test_what_a_strategy_puts_into_a_name_is_shown_as_text(lake: Lake) -> None:
    one_trade(lake, name="<script>alert(1)</script>")
    connection, run = of(lake)
    story = trade_queries.story(connection, run, 1)
    assert story is not None
    told = trade_words.head(run, story) + trade_words.lineage(run, story)
    assert "<script>" not in told
    assert "&lt;script&gt;alert(1)" in told


def test_a_trade_that_is_not_there_has_no_story_and_no_scene(lake: Lake) -> None:
    one_trade(lake)
    assert trade_queries.story(*of(lake), 2) is None
    assert trade_queries.scene(*of(lake), 2) is None


def test_the_scene_lies_around_the_trade_and_is_drawn(lake: Lake) -> None:
    one_trade(lake)
    connection, run = of(lake)
    scene = trade_queries.scene(connection, run, 1)
    assert scene is not None
    assert (scene.start, scene.end) == (run.start_ts, run.end_ts)
    assert len(scene.candles) == 20
    assert list(scene.indicators.columns) == ["ts", "fast"]
    assert list(scene.markers["price"]) == [106.0]
    drawn = draw(run, scene, "dark")
    assert not isinstance(drawn, str)
    assert drawn[0].name == "trade"


def test_a_long_trade_is_drawn_of_merged_candles(lake: Lake) -> None:
    n = 8_000
    lake.append("candles", rows.candles(n))
    trade = rows.trades(1, exit_ts=[rows.times(n)[-1]])
    rows.record(lake, n=n, tables={"trades": trade, "signals": rows.signals(n, "fast")})
    scene = trade_queries.scene(*of(lake), 1)
    assert scene is not None
    assert len(scene.candles) <= trade_queries.MOST_CANDLES + 1
    assert len(scene.indicators) == len(scene.candles)
    assert scene.candles["volume"].sum() == n


def test_candles_that_are_gone_are_said_to_be_gone(lake: Lake) -> None:
    rows.record(lake)
    connection, run = of(lake)
    scene = trade_queries.scene(connection, run, 1)
    assert scene is not None
    assert draw(run, scene, "dark") == "the lake no longer has the candles of BTC/USD 1m from csv"
