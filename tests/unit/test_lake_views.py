"""The views: one consistent version, whole runs, UTC; and behind the wall nothing to reach but rows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import duckdb
import pandas as pd
import pytest

from data import tables
from data.errors import LakeError
from data.runs import record_run
from data.tables import SERIES, TABLES, Column, Table
from data.views import connect
from data.writer import Lake
from tests.unit.lake_rows import EPOCH, SIZES, a_run, candles, content, metrics, of_a_run

both = pytest.mark.parametrize("walled", [False, True], ids=["open", "walled"])


@both
def test_an_empty_lake_has_every_view_with_its_columns_and_types(lake: Lake, walled: bool) -> None:
    connection = connect(lake, walled=walled)
    types = {"string": "VARCHAR", "double": "DOUBLE", "int64": "BIGINT", "bool": "BOOLEAN"}
    types |= {"timestamp[us, tz=UTC]": "TIMESTAMP WITH TIME ZONE", "map<string, double>": "MAP(VARCHAR, DOUBLE)"}
    types |= {str(SERIES): "FLOAT[]"}
    for name, table in TABLES.items():
        assert connection.execute(f"SELECT * FROM {name}").fetchall() == []
        described = [row[:2] for row in connection.execute(f"DESCRIBE {name}").fetchall()]
        assert described == [(field.name, types[str(field.type)]) for field in table.schema]
    assert connection.execute("SELECT * FROM candle_revisions").fetchall() == []
    assert connection.execute("SELECT * FROM portfolio").fetchall() == []


@both
def test_the_views_of_a_written_lake_have_the_same_columns_and_types(lake: Lake, walled: bool) -> None:
    before = {name: connect(lake, walled=walled).execute(f"DESCRIBE {name}").fetchall() for name in TABLES}
    record_run(lake, a_run("r"), of_a_run())
    lake.append("candles", candles())
    connection = connect(lake, walled=walled)
    assert {name: connection.execute(f"DESCRIBE {name}").fetchall() for name in TABLES} == before


@both
def test_candles_are_the_current_revisions_and_candle_revisions_all(lake: Lake, walled: bool) -> None:
    lake.append("candles", candles(3, superseded_at=[pd.NaT, EPOCH, pd.NaT]))
    lake.append("candles", candles(3, revision=1, close=9.0).iloc[[1]])
    connection = connect(lake, walled=walled)
    assert connection.execute("SELECT close FROM candles ORDER BY ts").fetchall() == [(101.0,), (9.0,), (103.0,)]
    assert connection.execute("SELECT count(*) FROM candle_revisions").fetchall() == [(4,)]


@both
def test_what_belongs_to_a_run_is_seen_once_the_run_is_recorded(lake: Lake, walled: bool) -> None:
    lake.append("metrics", metrics("early"))
    record_run(lake, a_run("r"), of_a_run())
    connection = connect(lake, walled=walled)
    for name, size in SIZES.items():
        assert connection.execute(f"SELECT run_id, count(*) FROM {name} GROUP BY 1").fetchall() == [("r", size)]
    assert connection.execute("SELECT indicators['slow'] FROM signals LIMIT 1").fetchall() == [(2.0,)]


@both
def test_a_connection_shows_one_version_whatever_is_written_later(lake: Lake, walled: bool) -> None:
    lake.append("metrics", metrics("r"))
    lake.append("runs", pd.DataFrame([a_run("r")]))
    connection = connect(lake, walled=walled)
    lake.append("metrics", metrics("r", "later"))
    lake.upsert("metrics", metrics("r", value=2.0))
    assert connection.execute("SELECT value FROM metrics").fetchall() == [(1.0,)]
    assert sorted(connect(lake, walled=walled).execute("SELECT value FROM metrics").fetchall()) == [(1.0,), (2.0,)]


def test_a_run_recorded_while_the_views_are_made_is_whole_or_absent(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = lake.table

    def while_another_writes(name: str) -> object:
        found = opened(name)
        monkeypatch.setattr(lake, "table", opened)
        record_run(Lake(lake.root), a_run(f"r{name}"), of_a_run())
        monkeypatch.setattr(lake, "table", while_another_writes)
        return found

    monkeypatch.setattr(lake, "table", while_another_writes)
    connection = connect(lake)
    whole = connection.execute("SELECT run_id FROM runs").fetchall()
    for name, size in SIZES.items():
        found = connection.execute(f"SELECT run_id, count(*) FROM {name} GROUP BY 1").fetchall()
        assert found == [(run, size) for (run,) in whole], name


@both
def test_portfolio_has_the_lessons_columns(lake: Lake, walled: bool) -> None:
    equity = of_a_run()["equity"].assign(position=[0, 2, 2, 0], equity=[100.0, 110, 99, 121])
    for run in ("r", "s"):
        record_run(lake, a_run(run), {"equity": equity})
    found = connect(lake, walled=walled).execute(
        """SELECT entry_exit_position, portfolio_holdings, portfolio_cash, portfolio_total, portfolio_daily_returns,
        portfolio_cumulative_returns FROM portfolio WHERE run_id = 's' ORDER BY ts"""
    )
    assert found.fetchall() == [
        (0, 0, 1, 100, None, 0),
        (2, 6, 1, 110, pytest.approx(0.1), pytest.approx(0.1)),
        (0, 6, 1, 99, pytest.approx(-0.1), pytest.approx(-0.01)),
        (-2, 0, 1, 121, pytest.approx(2 / 9), pytest.approx(0.21)),
    ]


@both
def test_days_are_days_of_utc_wherever_the_machine_stands(
    lake: Lake, walled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        lake.append("candles", candles(1, ts=[datetime(2026, 1, 1, tzinfo=UTC)]))
        found = connect(lake, walled=walled).execute(
            "SELECT ts, date_trunc('day', ts)::VARCHAR, ts::DATE::VARCHAR FROM candles"
        )
        ((ts, day, date),) = found.fetchall()
    finally:
        monkeypatch.undo()
        time.tzset()
    assert ts == datetime(2026, 1, 1, tzinfo=UTC)
    assert ts.utcoffset() == timedelta(0)
    assert (day, date) == ("2026-01-01 00:00:00+00", "2026-01-01")


@both
def test_a_long_question_draws_no_progress_among_the_answers(lake: Lake, walled: bool) -> None:
    """DuckDB would do so on standard output, after two seconds."""
    asked = "SELECT value FROM duckdb_settings() WHERE name = 'enable_progress_bar'"
    assert connect(lake, walled=walled).execute(asked).fetchall() == [("false",)]


def with_column(monkeypatch: pytest.MonkeyPatch, name: str, column: Column) -> None:
    """The schema as a later release declares it."""
    old = TABLES[name]
    new = Table(old.name, old.grain, old.key, (*old.columns, column), old.partition, old.sort, old.durable)
    monkeypatch.setitem(TABLES, name, new)


@both
@pytest.mark.parametrize("write", ["append", "upsert"])
def test_a_column_that_came_later_is_null_in_what_was_written_before(
    lake: Lake, write: str, walled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.append("candles", candles(1))
    with_column(monkeypatch, "candles", Column("vwap", tables.FLOAT, "quote", "average price"))
    asked = "SELECT close, vwap FROM candles ORDER BY ts"
    assert connect(lake, walled=walled).execute(asked).fetchall() == [(101.0, None)]
    getattr(lake, write)("candles", candles(1, start="2025-01-01", vwap=7.5))
    assert connect(lake, walled=walled).execute(asked).fetchall() == [(101.0, None), (101.0, 7.5)]
    assert connect(lake, walled=walled).execute("SELECT count(*) FROM candles WHERE vwap > 7").fetchall() == [(1,)]


def test_a_question_opens_the_files_that_it_needs_and_the_newest(lake: Lake) -> None:
    for symbol in ("BTC/USD", "ETH/USD", "XBT/EUR"):
        lake.append("candles", candles(3, symbol=symbol))
    for file in (lake.path("candles") / "exchange=kraken" / "symbol=ETH%2FUSD").rglob("*.parquet"):
        file.write_bytes(b"torn")
    connection = connect(lake)
    asked = "SELECT count(*) FROM candles WHERE symbol = ?"
    assert connection.execute(asked, ["BTC/USD"]).fetchall() == [(3,)]
    with pytest.raises(duckdb.Error, match=r"ETH"):
        connection.execute(asked, ["ETH/USD"])


def test_a_column_that_came_later_survives_an_older_release_and_upkeep(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    from data.candles import read_candles
    from data.upkeep import settle

    with monkeypatch.context() as newer:
        with_column(newer, "candles", Column("vwap", tables.FLOAT, "quote", "average price"))
        lake.append("candles", candles(1, vwap=7.5))
    lake.append("candles", candles(1, start="2025-01-01"))
    settle(lake, keep=timedelta(0))
    assert len(read_candles(lake, "kraken", "BTC/USD", "1h")) == 2
    with_column(monkeypatch, "candles", Column("vwap", tables.FLOAT, "quote", "average price"))
    assert connect(lake).execute("SELECT vwap FROM candles ORDER BY ts").fetchall() == [(7.5,), (None,)]


def test_a_column_whose_type_changed_is_refused(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.append("metrics", metrics("r"))
    old = TABLES["metrics"]
    columns = tuple(column._replace(type=tables.TEXT) if column.name == "value" else column for column in old.columns)
    monkeypatch.setitem(TABLES, "metrics", Table(old.name, old.grain, old.key, columns, old.partition, old.sort))
    with pytest.raises(LakeError, match=r"^nothing was written to [^\n]*metrics: [^\n]*$"):
        lake.append("metrics", pd.DataFrame({"run_id": ["r"], "metric": "n", "value": "high"}))


@pytest.fixture(scope="module")
def fortress(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake with rows beside a secret, for tests that change nothing."""
    folder = tmp_path_factory.mktemp("fortress")
    (folder / "secret.csv").write_text("password\nhunter2\n")
    lake = Lake(folder / "lake")
    record_run(lake, a_run("r"), of_a_run())
    lake.append("candles", candles())
    return lake


@pytest.fixture
def attacked(fortress: Lake) -> Iterator[Lake]:
    """The fortress, and a check that nothing in and around it is touched."""
    before = content(fortress.root.parent)
    yield fortress
    assert content(fortress.root.parent) == before


REFUSED = [
    "COPY candles TO '{out}'",
    "COPY (SELECT 1) TO '{data}' (FORMAT parquet)",
    "COPY candles FROM '{secret}'",
    "WITH x AS (COPY candles TO '{out}') SELECT * FROM x",
    "WITH x AS (COPY (SELECT 1) TO '{data}' (FORMAT parquet)) SELECT * FROM x",
    "EXPORT DATABASE '{folder}'",
    "IMPORT DATABASE '{folder}'",
    "ATTACH '{out}'",
    "ATTACH '{out}' AS other (TYPE sqlite)",
    "ATTACH 'http://127.0.0.1:9/x.db'",
    "INSTALL httpfs",
    "INSTALL '{out}'",
    "LOAD httpfs",
    "LOAD '{out}'",
    "FORCE INSTALL json FROM 'http://127.0.0.1:9'",
    "SELECT * FROM read_csv('{secret}')",
    "SELECT * FROM read_csv_auto('{secret}')",
    "SELECT * FROM read_text('{secret}')",
    "SELECT * FROM read_blob('{secret}')",
    "SELECT * FROM read_json('{secret}')",
    "SELECT * FROM read_parquet('{data}')",
    "SELECT * FROM parquet_metadata('{data}')",
    "SELECT * FROM parquet_schema('{data}')",
    "SELECT * FROM sniff_csv('{secret}')",
    "SELECT * FROM glob('{folder}/*')",
    "SELECT * FROM '{secret}'",
    "SELECT * FROM '{data}'",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_csv('/proc/self/environ')",
    "SELECT * FROM read_text('{folder}/lake/../secret.csv')",
    "SELECT * FROM read_parquet('http://127.0.0.1:9/x.parquet')",
    "SELECT * FROM read_csv('https://127.0.0.1:9/x.csv')",
    "SELECT * FROM read_parquet('s3://bucket/x.parquet')",
    "SELECT getenv('HOME')",
    "SET enable_external_access = true",
    "SET GLOBAL enable_external_access = true",
    "SET TimeZone = 'America/New_York'",
    "SET lock_configuration = false",
    "RESET enable_external_access",
    "RESET lock_configuration",
    "PRAGMA enable_external_access",
    "PRAGMA memory_limit = '100GB'",
    "PRAGMA database_list; SET threads = 64",
    "SET allowed_directories = ['{folder}']",
    "SET temp_directory = '{folder}'",
    "SET log_query_path = '{out}'",
    "PRAGMA enable_profiling; SET profiling_output = '{out}'",
    "CREATE SECRET s (TYPE s3, KEY_ID 'x', SECRET 'y')",
    "CREATE PERSISTENT SECRET s (TYPE http, BEARER_TOKEN 'x')",
    "SELECT 1; COPY candles TO '{out}'",
    "SELECT * FROM frame_in_this_function",
    "SELECT * FROM stolen",
    "CALL pragma_version(); EXPORT DATABASE '{folder}'",
    "INSERT INTO candles SELECT * FROM candles",
    "UPDATE candles SET close = 0",
    "DELETE FROM runs",
    "DELETE FROM candles_files",
    "INSERT INTO metrics_files SELECT * FROM metrics_files",
    "TRUNCATE candles",
    "ALTER TABLE candles ADD COLUMN x INT",
]

stolen = pd.DataFrame({"a": [1]})


@pytest.mark.parametrize("statement", REFUSED)
def test_behind_the_wall_nothing_but_rows_can_be_reached(attacked: Lake, statement: str) -> None:
    frame_in_this_function = pd.DataFrame({"a": [1]})
    data = next(attacked.path("metrics").glob("*.parquet"))
    folder = attacked.root.parent
    places = {"out": folder / "out", "data": data, "secret": folder / "secret.csv", "folder": folder}
    connection = connect(attacked, walled=True)
    with pytest.raises(duckdb.Error):
        connection.execute(statement.format(**places))
    assert len(frame_in_this_function) == 1
    assert connection.execute("SELECT count(*) FROM metrics").fetchall() == [(SIZES["metrics"],)]


HARMLESS = [
    "DROP VIEW candles",
    "CREATE OR REPLACE VIEW candles AS SELECT 1 AS close",
    "CREATE OR REPLACE MACRO add(a, b) AS a - b",
    "CREATE TABLE mine AS SELECT * FROM candles",
    "ATTACH ':memory:' AS other",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_secrets()",
    "PREPARE q AS SELECT 1",
    "BEGIN",
    "CHECKPOINT",
    "DETACH memory",
    "VACUUM",
    "USE memory",
]


@pytest.mark.parametrize("statement", HARMLESS)
def test_what_the_wall_lets_through_is_forgotten_with_its_connection(attacked: Lake, statement: str) -> None:
    try:
        connect(attacked, walled=True).execute(statement)
    except duckdb.Error:
        return
    found = connect(attacked, walled=True).execute("SELECT count(*), sum(close), 1 + 1 FROM candles").fetchall()
    assert found == [(3, 306, 2)]


def test_behind_the_wall_questions_are_answered(attacked: Lake) -> None:
    connection = connect(attacked, walled=True)
    asked = """WITH daily AS (SELECT date_trunc('day', ts) AS day,
        max(high) - min(low) AS spread FROM candles GROUP BY 1)
        SELECT day, spread, row_number() OVER (ORDER BY day) FROM daily"""
    assert connection.execute(asked).fetchall() == [(EPOCH.to_pydatetime(), 6.0, 1)]
    joined = "SELECT count(*) FROM trades JOIN runs USING (run_id) JOIN metrics USING (run_id)"
    assert connection.execute(joined).fetchall() == [(3,)]


def test_the_settings_that_the_wall_shows_bear_no_secret(attacked: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JARVIS_PASSWORD", "hunter2")
    connection = connect(attacked, walled=True)
    shown = str(connection.execute("SELECT * FROM duckdb_settings()").fetchall())
    assert "hunter2" not in shown
    assert str(attacked.root) not in str(connection.execute("SELECT sql FROM duckdb_views()").fetchall())


def cost(connection: duckdb.DuckDBPyConnection, query: str) -> float:
    taken = []
    for _ in range(7):
        start = time.process_time()
        connection.execute(query).fetchall()
        taken.append(time.process_time() - start)
    return min(taken)


def test_a_filter_on_time_reads_a_fraction_of_a_compacted_table(lake: Lake) -> None:
    from data.upkeep import settle

    for k in range(2):
        lake.append("candles", candles(250_000, start=EPOCH + timedelta(hours=250_000 * k)))
    settle(lake, keep=timedelta(0))
    connection = connect(lake)
    everything = cost(connection, "SELECT sum(close * volume), count(DISTINCT open) FROM candles")
    week = cost(
        connection,
        """SELECT sum(close * volume), count(DISTINCT open) FROM candles
        WHERE ts >= TIMESTAMPTZ '2024-03-01' AND ts < TIMESTAMPTZ '2024-03-08'""",
    )
    assert week < everything / 3, f"a week {week:.4f} s, all {everything:.4f} s"


@both
def test_rows_that_were_merged_in_are_found_by_their_texts(lake: Lake, walled: bool) -> None:
    """A merge writes texts as views, an append does not; both kinds of files are in the table."""
    record_run(lake, a_run("r"), {"metrics": metrics("r", "sharpe_ratio").drop(columns="run_id")})
    lake.upsert("metrics", metrics("r", "sharpe_ratio", "cagr", value=2.0))
    lake.append("metrics", metrics("r", "sortino_ratio", value=3.0))
    lake.append("candles", candles())
    lake.upsert("candles", candles(open=101.0))
    with connect(lake, walled=walled) as connection:
        for condition, found in (
            ("= 'cagr'", 1),
            ("> 'cagr'", 2),
            ("in ('cagr', 'sortino_ratio')", 2),
            ("like 's%'", 2),
        ):
            count = connection.execute(f"SELECT count(*) FROM metrics WHERE metric {condition}").fetchone()
            assert count == (found,), condition
        held = "exchange = 'kraken' AND symbol = 'BTC/USD' AND open = 101"
        assert connection.execute(f"SELECT count(*) FROM candles WHERE {held}").fetchone() == (3,)
