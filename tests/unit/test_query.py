from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from data.candles import read_candles
from data.errors import BadInput, LakeError
from data.markets import read_market
from data.query import run_query
from data.writer import Lake

READERS = (
    "read_csv",
    "read_csv_auto",
    "sniff_csv",
    "read_text",
    "read_blob",
    "read_json",
    "read_json_objects",
    "read_ndjson",
    "read_parquet",
    "parquet_scan",
    "parquet_metadata",
    "parquet_schema",
    "read_duckdb",
)


@pytest.fixture
def filled(lake: Lake) -> Lake:
    lake.append("runs", pd.DataFrame({"run_id": ["a", "b"], "cash": [1.0, 2.0], "created_at": [datetime.now(UTC)] * 2}))
    return lake


def test_one_select_is_answered(filled: Lake) -> None:
    rows = run_query(filled, "SELECT run_id, cash FROM runs ORDER BY cash DESC;")
    assert rows.to_pydict() == {"run_id": ["b", "a"], "cash": [2.0, 1.0]}


@pytest.mark.parametrize("query", ["DESCRIBE runs", "SHOW TABLES", "EXPLAIN SELECT 1", "FROM runs", "SUMMARIZE runs"])
def test_what_only_looks_is_answered(filled: Lake, query: str) -> None:
    assert run_query(filled, query).num_rows > 0


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("", "0 statements"),
        ("SELECT 1; SELECT 2", "2 statements"),
        ("CREATE TABLE mine AS SELECT 1", "CREATE"),
        ("INSERT INTO runs VALUES (1)", "read-only"),
        ("COPY (SELECT 1) TO 'out.csv'", "read-only"),
        ("SET threads = 8", "read-only"),
        ("SELECT * FROM 'secrets.csv'", "secrets.csv"),
        ("SELEC 1", "SELEC"),
        ("SELECT nothing FROM runs", "nothing"),
    ],
)
def test_whatever_else_is_bad_input_in_one_line(filled: Lake, query: str, words: str) -> None:
    with pytest.raises(BadInput) as refusal:
        run_query(filled, query)
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "query",
    [
        *(f"SELECT * FROM {reader}('/etc/passwd')" for reader in READERS),
        *(f"SELECT * FROM {reader}('http://127.0.0.1:9/x')" for reader in ("read_csv", "read_parquet", "read_json")),
        "SELECT * FROM glob('/*')",
        "SELECT * FROM 's3://bucket/x.parquet'",
        "SELECT * FROM '../runs/*.parquet'",
        "SELECT * FROM query_table(['/etc/passwd'])",
        "SELECT * FROM query('COPY (SELECT 1) TO ''stolen.csv''')",
        "SELECT * FROM delta_scan('.')",
        "SELECT * FROM sqlite_scan('/etc/passwd', 'x')",
        "SELECT * FROM duckdb_extensions()",
        "SELECT * FROM enable_logging()",
        "SELECT getenv('HOME')",
        "SELECT * FROM lake",
        "SELECT * FROM query",
        "WITH x AS (COPY (SELECT 1) TO 'stolen.csv') SELECT * FROM x",
        "WITH x AS (INSERT INTO runs VALUES (1)) SELECT * FROM x",
        "COPY runs FROM '/etc/passwd'",
        "COPY runs TO 'stolen.parquet' (FORMAT parquet)",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO 'stolen.csv'",
        "ATTACH 'new.db' AS mine",
        "ATTACH ':memory:' AS mine",
        "DETACH memory",
        "USE memory",
        "INSTALL httpfs",
        "LOAD httpfs",
        "LOAD '/tmp/evil.duckdb_extension'",
        "FORCE INSTALL httpfs FROM 'http://127.0.0.1:9'",
        "SET lock_configuration = false",
        "RESET enable_external_access",
        "PRAGMA enable_external_access",
        "PRAGMA database_list",
        "CALL pragma_version()",
        "CREATE SECRET (TYPE s3)",
        "CREATE MACRO mine() AS 1",
        "CREATE VIEW runs AS SELECT 1",
        "DROP VIEW runs",
        "UPDATE runs SET cash = 0",
        "DELETE FROM runs",
        "EXPORT DATABASE 'stolen'",
        "IMPORT DATABASE '/tmp'",
        "CHECKPOINT",
        "VACUUM",
        "BEGIN",
        "PREPARE mine AS SELECT 1",
        "EXECUTE mine",
    ],
)
def test_nothing_leads_out_of_the_lake_or_changes_it(
    filled: Lake, query: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    with pytest.raises(BadInput) as refusal:
        run_query(filled, query)
    assert "\n" not in str(refusal.value)
    assert str(tmp_path) not in str(refusal.value)
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before


def test_a_broken_table_is_the_lakes_fault_and_the_others_answer(filled: Lake) -> None:
    filled.append("metrics", pd.DataFrame({"run_id": ["a"], "metric": ["sharpe_ratio"], "value": [1.0]}))
    (filled.path("metrics") / "_delta_log" / f"{0:020}.json").write_text("{")
    with pytest.raises(LakeError, match=r"metrics cannot be read: .*jarvis doctor"):
        run_query(filled, "SELECT * FROM metrics")
    assert run_query(filled, "SELECT * FROM runs").num_rows == 2


def test_what_the_stages_ask_of_a_broken_table_is_refused_in_one_line_too(filled: Lake) -> None:
    now = [datetime.now(UTC)]
    filled.append("markets", pd.DataFrame({"exchange": ["kraken"], "symbol": ["BTC/USD"], "updated_at": now}))
    (filled.path("markets") / "_delta_log" / f"{0:020}.json").write_text("{")
    with pytest.raises(LakeError, match=r"markets cannot be read: .*jarvis doctor"):
        read_market(filled, "kraken", "BTC/USD")


def test_candles_bear_the_version_of_the_table_that_they_were_read_from(lake: Lake) -> None:
    assert read_candles(lake, "kraken", "BTC/USD", "1h").attrs == {"version": -1}
    key = {
        "exchange": ["kraken"],
        "symbol": ["BTC/USD"],
        "timeframe": ["1h"],
        "ts": [datetime.now(UTC)],
        "revision": [0],
    }
    lake.append("candles", pd.DataFrame(key))
    assert read_candles(lake, "kraken", "BTC/USD", "1h").attrs == {"version": lake.version("candles")}
