"""Upkeep: few files instead of many, nothing lost, and no trace of runs that never were."""

from __future__ import annotations

import os
import threading
import time
from datetime import timedelta
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from data.candles import read_candles
from data.errors import LakeError
from data.runs import record_run
from data.tables import TABLES
from data.upkeep import Upkeep, compact, settle
from data.views import connect
from data.writer import Claim, Lake
from tests.unit.lake_rows import SIZES, a_run, candles, content, data_files, metrics, of_a_run

AT_ONCE = timedelta(0)


def upkeep_of(
    lake: Lake, table: str, keep: timedelta = AT_ONCE, orphans_after: timedelta = timedelta(days=1)
) -> Upkeep:
    return next(done for done in settle(lake, keep=keep, orphans_after=orphans_after) if done.table == table)


def stored(lake: Lake, table: str) -> int:
    delta = lake.table(table)
    return 0 if delta is None else delta.to_pyarrow_table().num_rows


def test_an_empty_lake_needs_no_upkeep(lake: Lake) -> None:
    assert settle(lake) == []
    assert not lake.root.exists()


def test_many_small_files_become_one_with_the_same_rows(lake: Lake) -> None:
    for k in range(12):
        lake.append("candles", candles(5, start=pd.Timestamp("2024-01-01", tz="UTC") + timedelta(hours=5 * (11 - k))))
    before = read_candles(lake, "kraken", "BTC/USD", "1h")
    done = upkeep_of(lake, "candles")
    assert (done.files_before, done.files_after) == (12, 1)
    assert len(data_files(lake, "candles")) == 1
    pd.testing.assert_frame_equal(read_candles(lake, "kraken", "BTC/USD", "1h"), before)


def test_afterwards_a_plain_glob_gives_the_rows_of_the_views(lake: Lake) -> None:
    for run in "abc":
        record_run(lake, a_run(run), of_a_run())
    for symbol in ("BTC/USD", "x'y", "a=b"):
        lake.append("candles", candles(4, symbol=symbol))
        lake.upsert("candles", candles(4, symbol=symbol, close=9.0))
    settle(lake, keep=AT_ONCE)
    views = connect(lake)
    for name in ("runs", *SIZES, "candles"):
        columns = ", ".join(f'"{column}"' for column in TABLES[name].schema.names)
        glob = f"read_parquet('{lake.path(name)}/**/part-*.parquet', hive_partitioning = true)"
        order = ", ".join(TABLES[name].key)
        plain = duckdb.sql(f"SET TimeZone = 'UTC'; SELECT {columns} FROM {glob} ORDER BY {order}").fetchall()
        assert plain == views.sql(f"SELECT {columns} FROM {name} ORDER BY {order}").fetchall(), name


def test_upkeep_of_a_settled_lake_changes_nothing(lake: Lake) -> None:
    record_run(lake, a_run("r"), of_a_run())
    settle(lake, keep=AT_ONCE)
    files, version = content(lake.path("equity")), lake.version("equity")
    settle(lake, keep=AT_ONCE)
    assert lake.version("equity") == version
    assert set(content(lake.path("equity"))) == set(files)


def test_a_reader_keeps_its_version_as_long_as_was_promised(lake: Lake) -> None:
    for k in range(5):
        lake.append("candles", candles(2, start=pd.Timestamp("2024-01-01", tz="UTC") + timedelta(days=k)))
    readers = [connect(lake), connect(lake, walled=True)]
    settle(lake, keep=timedelta(hours=1))
    lake.append("candles", candles(2, start="2025-01-01"))
    for reader in readers:
        assert reader.execute("SELECT count(*), sum(trades) FROM candles").fetchall() == [(10, 70)]
    assert connect(lake).execute("SELECT count(*) FROM candles").fetchall() == [(12,)]


@pytest.mark.parametrize("keep", [timedelta(minutes=1), timedelta(hours=1)])
def test_a_part_of_an_hour_is_not_taken_for_none(lake: Lake, keep: timedelta) -> None:
    lake.append("metrics", metrics("r", "a"))
    lake.append("metrics", metrics("r", "b"))
    settle(lake, keep=keep)
    assert len(data_files(lake, "metrics")) == 3, "the files of the older version went too early"
    settle(lake, keep=AT_ONCE)
    assert len(data_files(lake, "metrics")) == 1


def test_what_killed_writers_left_goes_once_it_is_old(lake: Lake) -> None:
    lake.append("candles", candles())
    folder = data_files(lake, "candles")[0].parent
    names = ["part-9.parquet", "part-9.parquet#1", "../../../_delta_log/00000000000000000009.json#1"]
    left = [
        folder / f"{age}-{name}" if "log" not in name else folder / name.replace("9.json", f"{age}.json")
        for age in ("old", "young")
        for name in names
    ]
    for file in left:
        file.write_bytes(b"torn")
        if "old" in file.name:
            os.utime(file, (time.time() - 7_200,) * 2)
    settle(lake)
    assert {file.name for file in left if file.exists()} == {file.name for file in left if "young" in file.name}
    assert len(read_candles(lake, "kraken", "BTC/USD", "1h")) == 3


def half_a_run(lake: Lake, run: str) -> None:
    """What a writer leaves that was killed before its run was recorded."""
    tables = of_a_run()
    for name in ("equity", "metrics"):
        lake.append(name, tables[name].assign(run_id=run), Claim(run, 1))


def test_half_a_run_goes_once_it_is_old_and_whole_runs_stay(lake: Lake) -> None:
    record_run(lake, a_run("whole"), of_a_run())
    half_a_run(lake, "half")
    assert upkeep_of(lake, "equity", orphans_after=timedelta(hours=1)).orphans_removed == 0
    assert stored(lake, "equity") == 2 * SIZES["equity"]
    assert upkeep_of(lake, "equity", orphans_after=AT_ONCE).orphans_removed == SIZES["equity"]
    assert stored(lake, "equity") == SIZES["equity"]
    assert stored(lake, "metrics") == SIZES["metrics"]
    assert connect(lake).execute("SELECT DISTINCT run_id FROM equity").fetchall() == [("whole",)]


def test_compaction_does_not_make_half_a_run_young_again(lake: Lake) -> None:
    half_a_run(lake, "half")
    written = time.time()
    record_run(lake, a_run("whole"), of_a_run())
    time.sleep(0.5)
    settle(lake, keep=AT_ONCE)
    since = timedelta(seconds=time.time() - written - 0.1)
    assert upkeep_of(lake, "equity", orphans_after=since).orphans_removed == SIZES["equity"]


@pytest.mark.parametrize("orphans_after", [AT_ONCE, timedelta(days=1)])
def test_half_a_run_is_completed_whether_upkeep_cleared_it_or_not(lake: Lake, orphans_after: timedelta) -> None:
    half_a_run(lake, "r")
    settle(lake, keep=AT_ONCE, orphans_after=orphans_after)
    assert record_run(lake, a_run("r"), of_a_run())
    for name, size in SIZES.items():
        assert stored(lake, name) == size, name
    settle(lake, keep=AT_ONCE, orphans_after=AT_ONCE)
    for name, size in SIZES.items():
        assert stored(lake, name) == size, name


def test_a_run_that_is_completed_while_upkeep_clears_it_is_whole(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Upkeep has decided to clear half a run; at this moment its writer is run again and completes it."""
    half_a_run(lake, "r")
    from data import upkeep

    claims = upkeep._claims

    def meanwhile(path: Path, delta: object) -> dict[str, int]:
        found = claims(path, delta)
        record_run(Lake(lake.root), a_run("r"), of_a_run())
        return found

    monkeypatch.setattr(upkeep, "_claims", meanwhile)
    settle(lake, keep=timedelta(hours=1), orphans_after=AT_ONCE)
    assert {name: stored(lake, name) for name in SIZES} == SIZES
    connection = connect(lake)
    assert connection.execute("SELECT count(*) FROM equity").fetchall() == [(SIZES["equity"],)]


def test_rows_that_nobody_claimed_are_not_taken_for_half_a_run(lake: Lake) -> None:
    """A live session appends without claims, and its run may be recorded by another writer."""
    lake.append("orders", of_a_run()["orders"].assign(run_id="live"))
    assert upkeep_of(lake, "orders", orphans_after=AT_ONCE).orphans_removed == 0
    assert stored(lake, "orders") == SIZES["orders"]


def test_claims_outlive_upkeep_and_the_log_that_bore_them(lake: Lake) -> None:
    record_run(lake, a_run("r"), of_a_run())
    settle(lake, keep=AT_ONCE)
    log = lake.path("runs") / "_delta_log"
    for file in log.iterdir():
        os.utime(file, (time.time() - 90_000,) * 2)
    lake.append("runs", pd.DataFrame([a_run("s")]), Claim("s", 1))
    settle(lake, keep=AT_ONCE)
    assert not (log / f"{0:020}.json").exists(), "the log is never cleaned"
    assert lake.claimed("runs", "r") == lake.claimed("runs", "s") == 1
    assert not record_run(lake, a_run("r"), of_a_run())
    assert stored(lake, "runs") == 2


def test_the_checkpoint_and_the_new_files_are_on_the_disk_before_anything_is_removed(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.append("candles", candles())
    lake.append("candles", candles(start="2025-01-01"))
    synced: set[str] = set()
    missing: list[Path] = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        synced.add(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    def before_removal(path: Path, before: object) -> None:
        fresh = [Path(uri) for uri in lake.files("candles", lake.table("candles"))]
        log = path / "_delta_log"
        needed = [*fresh, *log.glob("*.checkpoint.parquet"), log / "_last_checkpoint", log, fresh[0].parent]
        missing.extend(place for place in needed if str(place) not in synced)

    monkeypatch.setattr(os, "fsync", watched)
    monkeypatch.setattr("data.upkeep._remove_unfinished", before_removal)
    settle(lake, keep=timedelta(hours=1))
    assert missing == []


def test_one_broken_table_does_not_keep_the_others_from_their_upkeep(lake: Lake) -> None:
    for k in range(3):
        record_run(lake, a_run(str(k)), of_a_run())
        lake.append("candles", candles(start=f"202{k}-01-01"))
    (lake.path("candles") / "_delta_log" / f"{1:020}.json").write_text("torn")
    with pytest.raises(LakeError, match=r"^upkeep of table candles stopped, nothing lost: [^\n]*$"):
        settle(lake, keep=AT_ONCE)
    for name in SIZES:
        assert len(data_files(lake, name)) == 1, name


def processor_seconds(lake: Lake, rows: int) -> float:
    """What a connection and a question cost, whatever else the machine does."""
    taken = []
    for _ in range(5):
        start = time.process_time()
        views = connect(lake, tables={"quality"})
        found = views.execute("SELECT count(*), sum(candles) FROM quality").fetchall()
        taken.append(time.process_time() - start)
        assert found == [(rows, rows)]
    return min(taken)


@pytest.mark.parametrize("appends", [200, pytest.param(1_000, marks=pytest.mark.slow)])
def test_many_small_appends_read_faster_once_settled(lake: Lake, appends: int) -> None:
    day = pd.Timestamp("2024-01-01", tz="UTC")
    row = pd.DataFrame(
        {**dict.fromkeys(TABLES["quality"].key[:4], "x"), "start_ts": day, "end_ts": [day], "candles": 1}
    )
    for k in range(appends):
        lake.append("quality", row.assign(start_ts=day + timedelta(days=k)))
    before = processor_seconds(lake, appends)
    settle(lake, keep=AT_ONCE)
    after = processor_seconds(lake, appends)
    assert after < 0.7 * before, f"{before:.3f} s before, {after:.3f} s after"


def files(lake: Lake, table: str) -> int:
    delta = lake.table(table)
    return 0 if delta is None else len(delta.file_uris())


def test_a_partition_of_many_files_is_put_together_and_the_others_are_left_alone(lake: Lake) -> None:
    for k in range(6):
        lake.append("candles", candles(2, symbol="x'y=z", start=pd.Timestamp(2024, 1, 1 + k, tz="UTC")))
    lake.append("candles", candles(2))
    before = read_candles(lake, "kraken", "x'y=z", "1h")
    assert not compact(lake, "candles", above=6)
    assert compact(lake, "candles", above=5)
    assert files(lake, "candles") == 2
    assert len(data_files(lake, "candles")) == 8  # whoever still reads the version of before has its files
    pd.testing.assert_frame_equal(read_candles(lake, "kraken", "x'y=z", "1h"), before)


def test_a_table_without_partitions_is_put_together_once(lake: Lake) -> None:
    for k in range(5):
        lake.append("metrics", metrics(f"r{k}"), Claim(f"r{k}", 1))
    assert compact(lake, "metrics", above=4)
    assert (files(lake, "metrics"), stored(lake, "metrics"), lake.claimed("metrics", "r3")) == (1, 5, 1)
    assert not compact(lake, "metrics", above=4)


def test_nothing_is_done_to_a_table_that_does_not_exist(lake: Lake) -> None:
    assert not compact(lake, "candles")
    assert not lake.root.exists()


def test_writers_lose_nothing_while_files_are_put_together(lake: Lake) -> None:
    def write() -> None:
        for k in range(15):
            lake.append("metrics", metrics(f"r{k}"), Claim(f"r{k}", 1))
            lake.upsert("metrics", metrics(f"r{k // 2}", value=2.0))

    writer = threading.Thread(target=write)
    writer.start()
    while writer.is_alive():
        compact(lake, "metrics", above=2)
    writer.join()
    table = lake.table("metrics")
    assert table is not None
    values = table.to_pandas().set_index("run_id")["value"].to_dict()
    assert values == {f"r{k}": 2.0 if k < 8 else 1.0 for k in range(15)}


def test_what_cannot_be_put_together_is_said_and_nothing_is_lost(lake: Lake) -> None:
    for k in range(4):
        lake.append("metrics", metrics(f"r{k}"))
    data_files(lake, "metrics")[0].unlink()
    with pytest.raises(LakeError, match="compaction of table metrics stopped, nothing lost"):
        compact(lake, "metrics", above=3)
    assert files(lake, "metrics") == 4
