"""Writing to the lake: appended, replaced, claimed; the same bytes for the same rows; no name leads out of it."""

from __future__ import annotations

import os
from multiprocessing.pool import ThreadPool
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from data.candles import read_candles
from data.errors import BadInput, LakeError
from data.tables import TABLES
from data.views import connect
from data.writer import CHECKPOINT_EVERY, Claim, Lake
from tests.unit.lake_rows import EPOCH, candles, content, data_files, metrics


def rows(lake: Lake, table: str) -> int:
    delta = lake.table(table)
    return 0 if delta is None else delta.to_pyarrow_table().num_rows


def test_a_table_comes_into_being_with_its_first_row(lake: Lake) -> None:
    assert lake.version("metrics") == -1
    assert lake.claimed("metrics", "r") == 0
    assert not lake.root.exists()
    lake.append("metrics", metrics("r"))
    assert rows(lake, "metrics") == 1


def test_a_table_that_is_not_declared_is_answered_with_the_nearest_name(lake: Lake) -> None:
    with pytest.raises(BadInput, match="did you mean 'candles'"):
        lake.append("candels", candles())


def test_no_rows_make_no_version(lake: Lake) -> None:
    lake.append("metrics", metrics("r"))
    version = lake.version("metrics")
    assert lake.append("metrics", metrics("r").iloc[:0])
    assert lake.upsert("metrics", metrics("r").iloc[:0])
    assert lake.version("metrics") == version


def test_upsert_replaces_the_rows_of_the_same_key_and_inserts_the_others(lake: Lake) -> None:
    lake.append("metrics", metrics("r", "a", "b", value=1.0))
    lake.upsert("metrics", metrics("r", "b", "c", value=2.0))
    found = lake.table("metrics").to_pyarrow_table().sort_by("metric")
    assert dict(zip(found["metric"].to_pylist(), found["value"].to_pylist(), strict=True)) == {"a": 1, "b": 2, "c": 2}


def test_upsert_replaces_a_candle_by_its_microsecond(lake: Lake) -> None:
    """The statistics in the log are cut to milliseconds: no file may be left out by them."""
    instants = EPOCH + pd.to_timedelta([1, 123, 1_001], unit="us")
    lake.append("candles", candles(3, ts=instants))
    for k, instant in enumerate(instants):
        lake.upsert("candles", candles(1, ts=instant, close=10.0 + k))
    assert read_candles(lake, "kraken", "BTC/USD", "1h")["close"].tolist() == [10, 11, 12]
    for walled in (False, True):
        found = connect(lake, walled=walled).execute("SELECT close FROM candles WHERE ts > ?", [instants[1]]).fetchall()
        assert found == [(12.0,)]


def test_the_same_claim_writes_once_and_makes_no_version(lake: Lake) -> None:
    assert lake.append("metrics", metrics("r"), Claim("r", 1))
    before = content(lake.root)
    assert not lake.append("metrics", metrics("r"), Claim("r", 1))
    assert not lake.upsert("metrics", metrics("r"), Claim("r", 1))
    assert content(lake.root) == before
    assert lake.claimed("metrics", "r") == 1


def test_a_claim_that_skips_a_version_is_refused(lake: Lake) -> None:
    assert not lake.append("metrics", metrics("r"), Claim("r", 2))
    assert lake.append("metrics", metrics("r"), Claim("r", 1))
    assert lake.append("metrics", metrics("s"), Claim("r", 2))
    assert lake.claimed("metrics", "r") == 2
    assert lake.claimed("metrics", "s") == 0


def test_a_claim_on_a_stale_view_of_the_table_is_lost(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.append("metrics", metrics("first"))
    stale = lake.table("metrics")
    lake.append("metrics", metrics("theirs"), Claim("bar", 1))
    seen = iter([stale])
    opened = lake.table
    monkeypatch.setattr(lake, "table", lambda name: next(seen, None) or opened(name))
    assert not lake.append("metrics", metrics("ours"), Claim("bar", 1))
    assert rows(lake, "metrics") == 2


def test_stale_upserts_of_one_key_leave_one_row(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.append("metrics", metrics("r", "other"))
    stale = lake.table("metrics")
    lake.upsert("metrics", metrics("r", "same", value=1.0))
    seen = iter([stale])
    opened = lake.table
    monkeypatch.setattr(lake, "table", lambda name: next(seen, None) or opened(name))
    lake.upsert("metrics", metrics("r", "same", value=2.0))
    connection = connect(lake)
    connection.execute(
        "CREATE TABLE found AS SELECT * FROM read_parquet(?)", [lake.files("metrics", opened("metrics"))]
    )
    assert connection.execute("SELECT value FROM found WHERE metric = 'same'").fetchall() == [(2.0,)]


def test_writers_of_two_series_do_not_stand_in_each_others_way(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.append("candles", candles(symbol="BTC/USD"))
    lake.append("candles", candles(symbol="ETH/USD"))
    stale = lake.table("candles")
    lake.upsert("candles", candles(symbol="BTC/USD", close=5.0))
    opens = []
    monkeypatch.setattr(lake, "table", lambda name: opens.append(name) or stale)
    lake.upsert("candles", candles(symbol="ETH/USD", close=6.0))
    assert len(opens) == 1, "the upsert was not done at its first attempt"
    monkeypatch.undo()
    assert read_candles(lake, "kraken", "BTC/USD", "1h")["close"].tolist() == [5.0] * 3
    assert read_candles(lake, "kraken", "ETH/USD", "1h")["close"].tolist() == [6.0] * 3


def test_threads_that_race_on_a_claim_have_one_winner_each_version(lake: Lake) -> None:
    lake.append("metrics", metrics("first"))
    with ThreadPool(6) as pool:
        for version in range(1, 6):
            race = [(version, k) for k in range(6)]
            won = pool.starmap(lambda v, k: lake.append("metrics", metrics(f"{v}-{k}"), Claim("bar", v)), race)
            assert sum(won) == 1
    assert rows(lake, "metrics") == 6
    assert lake.claimed("metrics", "bar") == 5


def test_threads_that_race_to_create_a_table_lose_no_row(tmp_path: Path) -> None:
    with ThreadPool(6) as pool:
        for trial in range(5):
            lake = Lake(tmp_path / str(trial))
            pool.map(lambda k, lake=lake: lake.append("metrics", metrics(str(k))), range(6))
            assert rows(lake, "metrics") == 6


def test_a_writer_that_loses_every_commit_says_so(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.append("metrics", metrics("r"))
    stale = lake.table("metrics")
    lake.append("metrics", metrics("r", "other"))
    monkeypatch.setattr(lake, "table", lambda name: stale)
    monkeypatch.setattr("data.writer.time.sleep", lambda seconds: None)
    monkeypatch.setattr("data.writer._ATTEMPTS", 3)
    with pytest.raises(LakeError, match="3 commits lost against other writers; try again"):
        lake.upsert("metrics", metrics("r", "other"))


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    given = candles(500)
    ways = {
        "as it is": given,
        "shuffled": given.sample(frac=1, random_state=1),
        "reordered": given[given.columns[::-1]],
    }
    lakes = {way: Lake(tmp_path / way) for way in ways}
    for way, lake in lakes.items():
        lake.append("candles", ways[way])
    assert len({file.read_bytes() for lake in lakes.values() for file in data_files(lake, "candles")}) == 1


def test_files_are_zstd_and_their_row_groups_fit_the_scan(lake: Lake) -> None:
    lake.append("candles", candles(130_000))
    (file,) = data_files(lake, "candles")
    metadata = pq.ParquetFile(file).metadata
    assert [metadata.row_group(k).num_rows for k in range(metadata.num_row_groups)] == [122_880, 7_120]
    assert metadata.row_group(0).column(0).compression == "ZSTD"


SYMBOLS = ["BTC/USD", "x'y", "a=b", "../../etc", "/etc", "a b", "ü€ß", "100%", "a%2Fb", 'q"q', "[x]", "*", "a?b", "{a}"]
SYMBOLS += ["a#b", "a\\b", "..", ".", "a\nb", "é:;,", "$HOME", "_x", ".x", " lead", "trail ", "null", "123", "x" * 200]


def test_every_symbol_reads_back_and_stays_in_the_lake(lake: Lake, tmp_path: Path) -> None:
    for k, symbol in enumerate(SYMBOLS):
        lake.append("candles", candles(2, symbol=symbol, close=float(k)))
        lake.upsert("candles", candles(1, symbol=symbol, close=k + 0.5))
    assert [file.name for file in tmp_path.iterdir()] == ["lake"]
    for k, symbol in enumerate(SYMBOLS):
        assert read_candles(lake, "kraken", symbol, "1h")["close"].tolist() == [k + 0.5, k], symbol
    for walled in (False, True):
        found = connect(lake, walled=walled).execute("SELECT symbol, count(*) FROM candles GROUP BY ALL").fetchall()
        assert sorted(found) == sorted((symbol, 2) for symbol in SYMBOLS)


@pytest.mark.parametrize("symbol", ["0123", "2021-01-01", "1e5", "true"])
def test_a_symbol_that_looks_like_another_type_is_text(lake: Lake, symbol: str) -> None:
    lake.append("candles", candles(symbol=symbol))
    for walled in (False, True):
        found = connect(lake, walled=walled).execute("SELECT DISTINCT symbol, typeof(symbol) FROM candles").fetchall()
        assert found == [(symbol, "VARCHAR")]


@pytest.mark.parametrize("symbol", ["", "a~b", "__HIVE_DEFAULT_PARTITION__"])
def test_a_symbol_that_cannot_name_a_folder_is_refused(lake: Lake, symbol: str) -> None:
    with pytest.raises(LakeError, match=r"column symbol: '.*' cannot name a folder"):
        lake.append("candles", candles(symbol=symbol))
    assert lake.version("candles") == -1


@pytest.mark.parametrize("name", ["a b", "a#b", "ü", "x'y", 'q"q', "~x", "a&b;c", "(1)"])
def test_the_lake_may_lie_in_a_folder_of_any_usual_name(tmp_path: Path, name: str) -> None:
    lake = Lake(tmp_path / name / "lake")
    lake.append("candles", candles())
    lake.append(
        "quality", pd.DataFrame({**dict.fromkeys(TABLES["quality"].key, "x"), "start_ts": [EPOCH], "end_ts": EPOCH})
    )
    assert [folder.name for folder in tmp_path.iterdir()] == [name]
    assert len(read_candles(lake, "kraken", "BTC/USD", "1h")) == 3
    for walled in (False, True):
        connection = connect(lake, walled=walled)
        assert connection.execute("SELECT DISTINCT symbol FROM candles").fetchall() == [("BTC/USD",)]
        assert connection.execute("SELECT kind FROM quality").fetchall() == [("x",)]


@pytest.mark.parametrize("name", ["a%20b", "a=b", "[x]", "a*", "a?", "a\\b", "a\nb"])
def test_a_folder_that_deltalake_or_duckdb_would_misread_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match=r"the lake cannot lie in .*: its path bears .*; choose another folder"):
        Lake(tmp_path / name)


def test_the_log_is_summed_up_as_it_grows(lake: Lake) -> None:
    for k in range(CHECKPOINT_EVERY + 3):
        lake.append("metrics", metrics(str(k)), Claim(str(k), 1))
    log = lake.path("metrics") / "_delta_log"
    assert [file.name for file in log.glob("*.checkpoint.parquet")] == [f"{CHECKPOINT_EVERY:020}.checkpoint.parquet"]
    for entry in log.glob("0*.json"):
        if int(entry.stem) <= CHECKPOINT_EVERY:
            entry.unlink()
    assert rows(lake, "metrics") == CHECKPOINT_EVERY + 3
    assert lake.claimed("metrics", "0") == 1, "the checkpoint forgot a claim"


def test_a_checkpoint_that_fails_does_not_make_a_done_write_look_failed(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("data.writer.CHECKPOINT_EVERY", 1)
    monkeypatch.setattr("data.writer.write_checkpoint", full)
    assert lake.append("metrics", metrics("r"))
    assert rows(lake, "metrics") == 1


def fsynced(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The places that are forced to the disk from here on."""
    places: set[str] = set()
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        places.add(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    return places


def test_orders_and_fills_are_on_the_disk_before_the_write_returns(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    places = fsynced(monkeypatch)
    fill = pd.DataFrame({"run_id": ["r"], "fill_id": "1", "symbol": "BTC/USD", "ts": EPOCH})
    lake.append("fills", fill)
    table = lake.path("fills")
    log = table / "_delta_log"
    everything = {*table.rglob("*"), table, lake.root, lake.root.parent}
    assert {str(place) for place in everything} <= places

    places.clear()
    first = set(data_files(lake, "fills"))
    lake.append("fills", fill.assign(fill_id="2"))
    (new,) = set(data_files(lake, "fills")) - first
    assert {str(log / f"{2:020}.json"), str(log), str(new)} <= places
    assert not {str(each) for each in first} & places, "what is on the disk already is not forced there again"


def test_the_beginning_of_every_log_is_on_the_disk(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of other tables may be lost in a power cut, but the table must be readable after it."""
    places = fsynced(monkeypatch)
    lake.append("metrics", metrics("r"))
    log = lake.path("metrics") / "_delta_log"
    assert {str(place) for place in (log / f"{0:020}.json", log, log.parent, lake.root, lake.root.parent)} <= places


def test_a_durable_write_takes_the_commits_of_other_writers_before_it_along(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without theirs on the disk, ours could not be read after a power cut."""
    fill = pd.DataFrame({"run_id": ["r"], "fill_id": "1", "symbol": "BTC/USD", "ts": EPOCH})
    with monkeypatch.context() as other:
        other.setattr("data.writer._fsync", lambda places: None)
        other.setattr("data.writer._synced", {})
        lake.append("fills", fill)
    theirs = {*data_files(lake, "fills"), *(lake.path("fills") / "_delta_log").glob("*.json")}
    places = fsynced(monkeypatch)
    lake.append("fills", fill.assign(fill_id="2"))
    assert {str(place) for place in theirs} <= places


def test_a_write_that_may_not_survive_a_power_cut_is_no_silent_success(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill = pd.DataFrame({"run_id": ["r"], "fill_id": "1", "symbol": "BTC/USD", "ts": EPOCH})
    lake.append("fills", fill)

    def broken(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(LakeError, match=r"written to .*fills, but not certain to survive a power cut: .*Input/output"):
        lake.append("fills", fill.assign(fill_id="2"))
