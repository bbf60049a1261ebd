from __future__ import annotations

import io
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dashboards import sql_result, sql_words
from dashboards.pages import sql as page
from dashboards.sql_answer import _chosen
from dashboards.sql_chart import POINTS, ResultChart, Series, series, thin
from dashboards.sql_examples import EXAMPLES
from dashboards.sql_queries import views
from dashboards.sql_result import LONGEST_TEXT, MOST_ROWS, Order, csv, parquet, shown
from data.query import run_query
from data.tables import TABLES
from data.views import connect
from data.walled import Answer, Limits
from data.writer import Lake
from tests.unit import dashboard_lake as rows

EVIL = "<img src=x onerror=alert(1)>"

ODD = """SELECT INTERVAL 1 MONTH + INTERVAL 2 SECOND AS span, 'infinity'::TIMESTAMP AS never, 1::HUGEINT AS huge,
    uuid() AS id, '\\x00a'::BLOB AS bytes, map {'a': 1.5::DOUBLE} AS numbers, [1, NULL] AS list, {'a': now()} AS struct,
    NULL AS nothing,
    1.50::DECIMAL(5, 2) AS exact, TIME '10:00' AS time, '101'::BIT AS bits, DATE '2024-01-01' AS day,
    'x'::ENUM ('x') AS kind,
    'nan'::DOUBLE AS nan, union_value(a := 1) AS either, '290000-01-01'::DATE AS late, true AS truth,
    TIMESTAMPTZ '2024-01-01 00:00:00.5+00' AS ts, '{"a": 1}'::JSON AS json"""


@pytest.fixture
def traded(lake: Lake) -> Lake:
    lake.append("candles", rows.candles(10))
    gap = {"exchange": "csv", "symbol": "BTC/USD", "timeframe": "1m", "kind": "gap", "candles": 3, "detail": EVIL}
    lake.append("quality", pd.DataFrame([{**gap, "start_ts": rows.START, "end_ts": rows.START, "found_at": rows.MADE}]))
    rows.record(lake, "tested", tables=_backtest())
    rows.record(lake, "session", kind="paper", created_at=rows.MADE + pd.Timedelta(days=1), tables=_session())
    return lake


def _backtest() -> dict[str, Any]:
    ts = rows.times(10)
    order = {"symbol": "BTC/USD", "order_id": "1", "side": "buy", "reason": "signal", "amount": 2.0}
    signals = pa.table({"symbol": ["BTC/USD"] * 10, "ts": pa.array(ts), "close": [100.0] * 10})
    orders = pd.DataFrame([{**order, "event": "filled", "ts": ts[1], "decision_ts": ts[0], "type": "market"}])
    fills = pd.DataFrame([{**order, "fill_id": "1", "ts": ts[1], "price": 101.0, "fee": 0.5}])
    return {"signals": signals, "orders": orders, "fills": fills}


def _session() -> dict[str, Any]:
    ts = rows.times(10)
    order = {"symbol": "BTC/USD", "order_id": "1", "side": "sell", "reason": "signal", "amount": 2.0}
    events = [{**order, "event": event, "ts": ts[1], "decision_ts": ts[0]} for event in ("intent", "sent", "filled")]
    decision = {
        "symbol": "BTC/USD",
        "action": "sell",
        "reason": "signal",
        "detail": EVIL,
        "close": 90.0,
        "price": 200.0,
    }
    hold = {"symbol": "BTC/USD", "action": "hold", "reason": "stale", "detail": "too old", "close": 90.0}
    return {
        "orders": pd.DataFrame(events),
        "fills": pd.DataFrame([{**order, "fill_id": "1", "ts": ts[1], "price": 198.0, "fee": 0.5}]),
        "decisions": pd.DataFrame([{**decision, "ts": ts[0]}, {**hold, "ts": ts[1]}]),
        "parity": pd.DataFrame({"symbol": "BTC/USD", "ts": ts[:3], "verdict": ["equal", "fill", "equal"]}),
    }


def example(lake: Lake, title: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = run_query(lake, EXAMPLES[title].strip()).to_pylist()
    return found


@pytest.mark.parametrize("title", EXAMPLES)
def test_every_example_has_rows_where_there_are_some_and_runs_on_an_empty_lake(traded: Lake, title: str) -> None:
    assert example(traded, title)
    assert example(Lake(traded.root.parent / "empty"), title) == []


def test_the_examples_tell_what_they_say(traded: Lake) -> None:
    assert {row["sharpe"] for row in example(traded, "Runs by Sharpe ratio")} == {1.5}
    assert [row["trade_id"] for row in example(traded, "Trades of the newest backtest")] == [1]
    assert len(example(traded, "Equity and drawdown of the newest run")) == 10
    slippage = {row["run_id"]: row["slippage"] for row in example(traded, "Fills with slippage")}
    assert slippage == pytest.approx({"tested": 0.01, "session": 0.01})
    assert [row["reason"] for row in example(traded, "Decisions of the newest session, with reasons")] == [
        "stale",
        "signal",
    ]
    assert [row["example"] for row in example(traded, "Why sessions did not trade")] == ["too old"]
    assert [row["absent"] for row in example(traded, "Gaps in the candles")] == [3]
    counts = {row["verdict"]: row["candles"] for row in example(traded, "Parity of the sessions, counted")}
    assert counts == {"equal": 2, "fill": 1}
    (month,) = example(traded, "Return by month of the newest backtest")
    assert month["return"] == pytest.approx(1_009 / 1_000 - 1)


def test_the_views_are_listed_with_types_and_meanings_and_no_name_needs_quotes(lake: Lake) -> None:
    found = {view.name: view for view in views(connect(lake))}
    assert set(found) == {*TABLES, "candle_revisions", "verdict_revisions", "portfolio"}
    assert [column.name for column in found["candles"].columns] == TABLES["candles"].schema.names
    assert all(view.meaning for view in found.values())
    assert found["equity"].columns[1] == (
        "ts",
        "TIMESTAMP WITH TIME ZONE",
        "candle at whose close the account is valued (UTC)",
    )
    for view in found.values():
        names = [column.name for column in view.columns]
        assert run_query(lake, f"SELECT {', '.join(names)} FROM {view.name}").column_names == names


def test_values_of_every_type_are_shown_sorted_and_saved(lake: Lake) -> None:
    odd = run_query(lake, f"{ODD} FROM range(3)")
    cells = dict(zip(odd.column_names, shown(odd).rows[0], strict=True))
    assert cells["span"] == "1 months 0 days 2 seconds"
    assert (cells["nothing"], cells["exact"], cells["truth"], cells["nan"]) == (None, "1.50", "true", "nan")
    assert (cells["numbers"], cells["list"], cells["ts"]) == ('{"a": 1.5}', "[1, null]", "2024-01-01 00:00:00.500000")
    for column in range(odd.num_columns):
        assert len(shown(odd, Order(column, descending=True)).rows) == 3
    assert len(csv(odd).splitlines()) == 4
    assert pq.read_table(io.BytesIO(parquet(odd))).num_rows == 3
    assert len(parquet(odd.slice(0, 0))) > 0


def test_the_table_has_the_first_rows_of_all_sorted_and_the_downloads_have_all() -> None:
    many = pa.table({"i": range(5_000), "word": [EVIL] * 5_000})
    assert [row[0] for row in shown(many).rows] == [str(i) for i in range(MOST_ROWS)]
    assert shown(many, Order(0, descending=True)).rows[0] == ["4999", EVIL]
    assert shown(many).heads == [("i", "int64", "number"), ("word", "string", "")]
    assert pq.read_table(io.BytesIO(parquet(many))).equals(many)
    assert csv(many).count(b"\n") == 5_001


def test_long_texts_and_many_columns_are_cut_for_the_screen_alone() -> None:
    long = pa.table({"x": ["y" * 1_000]})
    assert shown(long).rows == [["y" * LONGEST_TEXT + "…"]]
    assert b"y" * 1_000 in csv(long)
    wide = pa.table({f"c{n}": ["z" * 150] * MOST_ROWS for n in range(100)})
    assert 0 < len(shown(wide).rows) < 200


def test_what_is_shown_of_an_answer_is_said() -> None:
    answer = Answer(pa.table({"i": range(1_500)}), whole=True)
    assert sql_words.answered(answer, 1_000, 0.123) == (
        "1,500 rows in 0.12 s; the table shows 1,000, the downloads have all 1,500"
    )
    assert sql_words.answered(Answer(pa.table({"i": [1]}), whole=True), 1, 0.1) == "1 row in 0.10 s"
    assert "The first 1,500 rows" in sql_words.answered(Answer(answer.rows, whole=False), 1_000, 1.0)
    assert EVIL not in sql_words.refused(EVIL)
    assert "10 s" in sql_words.bounds(Limits())


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"word": ["a", "b"], "y": [1, 2]}, "first column"),
        ({"x": [1, 2], "word": ["a", "b"]}, "numbers beside"),
        ({"x": [1], "y": [1]}, "two rows"),
        ({"x": [None, float("nan"), 1.0], "y": [1, 2, 3]}, "two rows"),
    ],
)
def test_what_cannot_be_drawn_says_why(columns: dict[str, Any], reason: str) -> None:
    told = series(pa.table(columns))
    assert isinstance(told, str)
    assert reason in told


def test_a_chart_is_in_the_order_of_its_first_column(lake: Lake) -> None:
    result = run_query(
        lake, "SELECT DATE '2024-01-03' - i::INTEGER AS day, i AS n, i::DECIMAL(9, 2) AS d FROM range(3) t(i)"
    )
    drawn = series(result)
    assert isinstance(drawn, Series)
    assert drawn.times
    assert list(np.diff(drawn.x)) == [86_400_000] * 2
    assert list(drawn.columns["n"]) == [2, 1, 0]
    chart = ResultChart(drawn, ["d"], "dark")
    assert list(chart.sources[0].data["y"]) == [2, 1, 0]


def test_many_points_are_thinned_to_what_the_screen_shows_and_no_peak_is_lost() -> None:
    x = np.arange(200_000.0)
    y = np.sin(x / 1_000)
    y[77_777], y[123_456], y[10:500] = 9.0, -9.0, np.nan
    few, heights = thin(x, y, (-1.0, 1e9))
    assert len(few) <= POINTS
    assert (np.nanmax(heights), np.nanmin(heights)) == (9.0, -9.0)
    assert (np.diff(few) > 0).all()
    near, _ = thin(x, y, (77_000.0, 78_000.0))
    assert list(near) == list(x[76_999:78_002])


def test_the_lines_of_the_address_are_drawn_and_what_it_cannot_name_is_the_first() -> None:
    assert _chosen("0,2", 3) == [0, 2]
    for other in ("", "9", "x", "-1", "1e9,,", EVIL):
        assert _chosen(other, 3) == [0]


def test_a_query_too_long_for_the_address_is_not_quoted_to_find_that_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert page._fits_address("SELECT 1")
    assert not page._fits_address("\N{SNOWMAN}" * 4_000)
    monkeypatch.delattr(page, "quote")
    assert not page._fits_address("x" * 10_000_000)


def test_a_message_of_a_browser_can_be_anything() -> None:
    from dashboards.sql_controls import QueryBox

    heard: list[tuple[str, Any]] = []
    box = QueryBox(lambda said, value: heard.append((said, value)))
    for message in (None, "run", 5, ["run"], {"run": {"sql": 1}}):
        box._handle_msg(message)
    assert heard == [("run", {"sql": 1})]


def test_nothing_of_the_result_is_lost_in_csv_but_the_type() -> None:
    table = pa.table({"a,b": ['say "x"', "two\nlines", None], "n": [1, None, 3]})
    again = pd.read_csv(io.BytesIO(sql_result.csv(table)))
    assert list(again["a,b"][:2]) == ['say "x"', "two\nlines"]
