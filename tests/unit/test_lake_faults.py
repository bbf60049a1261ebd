"""What can go wrong under the lake: one clear line, nothing half-written, and the other tables answer."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from data.candles import read_candles
from data.errors import LakeError
from data.runs import record_run
from data.upkeep import settle
from data.views import connect
from data.writer import Lake
from tests.unit.lake_rows import a_run, candles, content, data_files, metrics, of_a_run

ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), str(Path(__file__).parent)]),
}


def table_files(lake: Lake, table: str) -> set[str]:
    """The files of the newest version, which must not change when a write fails."""
    return set(lake.files(table, lake.table(table)))


def one_line(error: BaseException) -> bool:
    return "\n" not in str(error) and "\x1b" not in str(error)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 KiB; needs the right to mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a tmpfs")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_one_line_and_what_was_there_stays(small_disk: Path) -> None:
    lake = Lake(small_disk / "lake")
    lake.append("candles", candles(10))
    lake.append("metrics", metrics("r"))
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * (shutil.disk_usage(small_disk).free - 4096))
    before = {table: (lake.version(table), table_files(lake, table)) for table in ("candles", "metrics")}
    for write in (
        lambda: lake.append("candles", candles(5_000, start="2025-01-01")),
        lambda: lake.upsert("candles", candles(5_000)),
        lambda: lake.append("fills", of_a_run()["fills"].assign(run_id="r")),
        lambda: record_run(lake, a_run("r"), of_a_run()),
    ):
        with pytest.raises(LakeError, match=r"^disk full: nothing was written to [^\n]*; make room and run it again$"):
            write()
    assert {table: (lake.version(table), table_files(lake, table)) for table in before} == before
    assert len(read_candles(lake, "kraken", "BTC/USD", "1h")) == 10

    filler.unlink()
    assert record_run(lake, a_run("r"), of_a_run())
    lake.append("candles", candles(10, start="2025-01-01"))
    assert len(read_candles(lake, "kraken", "BTC/USD", "1h")) == 20


LIMITED = """
import json, resource, signal, sys
from pathlib import Path

from data.errors import LakeError
from data.writer import Lake
from tests.unit.lake_rows import metrics

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
lake = Lake(Path(sys.argv[1]))
answers = []
for k, limit in enumerate(range(0, 12_000, 400)):
    write = (lake.append, lake.upsert)[k % 2]
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        answer = write("metrics", metrics(f"run {k}"))
    except LakeError as error:
        answer = str(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    answers.append((f"run {k}", answer))
print(json.dumps(answers))
"""


def test_a_write_cut_off_at_any_file_says_whether_it_is_there(lake: Lake) -> None:
    """Files are cut off at ever larger sizes: first the data, then the log, at last the checkpoint alone.

    Version 100, where deltalake would write a checkpoint of its own, is among them.
    """
    for k in range(88):
        lake.append("metrics", metrics(f"before {k}"))
    found = subprocess.run(
        [sys.executable, "-c", LIMITED, str(lake.root)], env=ENVIRONMENT, stdout=subprocess.PIPE, check=True
    )
    answers = json.loads(found.stdout)
    written = [run for run, answer in answers if answer is True]
    refused = [answer for _, answer in answers if answer is not True]
    assert written
    assert refused
    assert all(answer.startswith("nothing was written to ") and "\n" not in answer for answer in refused)
    stored = lake.table("metrics").to_pyarrow_table()["run_id"].to_pylist()
    assert sorted(stored) == sorted([f"before {k}" for k in range(88)] + written)
    lake.append("metrics", metrics("after"))


UNPRIVILEGED = """
import os, sys
from pathlib import Path

import duckdb

from data.errors import LakeError
from data.upkeep import settle
from data.views import connect
from data.writer import Lake
from tests.unit.lake_rows import metrics, of_a_run

os.setgroups([])
os.setgid(65534)
os.setuid(65534)
lake = Lake(Path(sys.argv[1]))
for work in (
    lambda: lake.append("metrics", metrics("r", "other")),
    lambda: lake.upsert("metrics", metrics("r")),
    lambda: lake.append("equity", of_a_run()["equity"].assign(run_id="r")),
    lambda: settle(lake),
    lambda: lake.version("metrics"),
    lambda: connect(lake).execute("SELECT count(*) FROM metrics").fetchall(),
):
    try:
        print("done", work())
    except (LakeError, duckdb.Error) as error:
        print("refused", error)
"""


def as_nobody(lake: Lake) -> list[str]:
    if os.getuid():
        pytest.skip("needs root, to become a user without rights")
    for folder in [lake.root, *lake.root.parents][:-1]:
        if not folder.stat().st_mode & 0o001 and folder != lake.root:
            folder.chmod(0o755)
    found = subprocess.run(
        [sys.executable, "-c", UNPRIVILEGED, str(lake.root)],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    if found.returncode:
        pytest.skip(f"Python cannot run as another user here: {found.stderr.splitlines()[-1]}")
    return found.stdout.splitlines()


def test_a_folder_that_may_be_read_but_not_written_says_so(lake: Lake) -> None:
    record_run(lake, a_run("r"), {"metrics": of_a_run()["metrics"]})
    lake.append("metrics", metrics("r", "d"))
    before = content(lake.root)
    append, upsert, create, upkeep, version, query = as_nobody(lake)
    for answer in (append, upsert, create):
        assert answer.startswith("refused nothing was written to ")
        assert "Permission denied" in answer
    assert upkeep.startswith("refused upkeep of table runs stopped, nothing lost: ")
    assert version == "done 2"
    assert query == "done [(4,)]"
    assert content(lake.root) == before


def test_a_folder_that_may_not_be_read_says_so(lake: Lake) -> None:
    record_run(lake, a_run("r"), of_a_run())
    lake.root.chmod(0o700)
    answers = as_nobody(lake)
    assert len(answers) == 6
    for answer in answers:
        assert answer.startswith("refused ")
        assert "Permission denied" in answer


def test_a_file_in_the_lakes_place_says_so(tmp_path: Path) -> None:
    (tmp_path / "lake").write_text("no folder")
    with pytest.raises(LakeError, match=r"^nothing was written to [^\n]*Not a directory[^\n]*$"):
        Lake(tmp_path / "lake").append("metrics", metrics("r"))
    assert (tmp_path / "lake").read_text() == "no folder"


def entry(lake: Lake, version: int) -> Path:
    return lake.path("metrics") / "_delta_log" / f"{version:020}.json"


def file_in_place_of_the_table(lake: Lake) -> None:
    shutil.rmtree(lake.path("metrics"))
    lake.path("metrics").write_text("no folder")


def file_in_place_of_the_log(lake: Lake) -> None:
    shutil.rmtree(lake.path("metrics") / "_delta_log")
    (lake.path("metrics") / "_delta_log").write_text("no folder")


def junk_checkpoint(lake: Lake) -> None:
    lake.table("metrics").create_checkpoint()
    next((lake.path("metrics") / "_delta_log").glob("*.checkpoint.parquet")).write_bytes(b"x")


def halved(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


LOG_FAULTS = {
    "garbage": lambda lake: entry(lake, 1).write_text("garbage"),
    "half an entry": lambda lake: halved(entry(lake, 2)),
    "a hole": lambda lake: entry(lake, 1).unlink(),
    "no beginning": lambda lake: entry(lake, 0).unlink(),
    "empty beginning": lambda lake: entry(lake, 0).write_text(""),
    "junk checkpoint": junk_checkpoint,
    "a file in place of the table": file_in_place_of_the_table,
    "a file in place of the log": file_in_place_of_the_log,
}
DATA_FAULTS = {
    "missing": lambda file: file.unlink(),
    "halved": halved,
    "empty": lambda file: file.write_bytes(b""),
    "no Parquet": lambda file: file.write_text("run_id,metric,value\n"),
    "bits flipped": lambda file: file.write_bytes(file.read_bytes()[:10] + b"\0" * 60 + file.read_bytes()[70:]),
}


@pytest.fixture
def whole(lake: Lake) -> Lake:
    lake.append("metrics", metrics("r", "a"))
    lake.append("metrics", metrics("r", "b"))
    record_run(lake, a_run("r"), {"equity": of_a_run()["equity"]})
    lake.append("candles", candles())
    return lake


def assert_only_metrics_refuse(lake: Lake) -> None:
    """The view of the broken table raises when it is asked, and takes no other down with it."""
    for walled in (False, True):
        connection = connect(lake, walled=walled)
        for question in ("SELECT * FROM metrics", "SELECT sum(value) FROM metrics WHERE run_id = 'r'"):
            with pytest.raises(duckdb.Error):
                connection.execute(question).fetchall()
        assert len(connection.execute("DESCRIBE metrics").fetchall()) == 7
        assert connection.execute("SELECT count(*) FROM equity").fetchall() == [(4,)]
        assert connection.execute("SELECT count(*) FROM candles").fetchall() == [(3,)]
        assert connection.execute("SELECT count(*) FROM portfolio").fetchall() == [(4,)]


@pytest.mark.parametrize("fault", LOG_FAULTS)
def test_a_broken_log_is_one_line_and_breaks_its_table_alone(whole: Lake, fault: str) -> None:
    LOG_FAULTS[fault](whole)
    before = content(whole.root)
    for work in (
        lambda: whole.append("metrics", metrics("r", "c")),
        lambda: whole.upsert("metrics", metrics("r", "c")),
        lambda: whole.version("metrics"),
        lambda: whole.claimed("metrics", "r"),
    ):
        with pytest.raises(LakeError, match=r"the lake's table .*metrics cannot be read: .*`jarvis doctor`") as refused:
            work()
        assert one_line(refused.value)
    assert content(whole.root) == before
    assert_only_metrics_refuse(whole)
    with pytest.raises(duckdb.Error, match=r"the lake's table .*metrics cannot be read"):
        connect(whole).execute("SELECT count(*) FROM metrics")


@pytest.mark.parametrize("fault", DATA_FAULTS)
def test_a_broken_data_file_is_one_line_and_breaks_its_table_alone(whole: Lake, fault: str) -> None:
    DATA_FAULTS[fault](data_files(whole, "metrics")[0])
    assert_only_metrics_refuse(whole)
    version = whole.version("metrics")
    for work in (lambda: whole.upsert("metrics", metrics("r", "a", "b")), lambda: settle(whole)):
        with pytest.raises(
            LakeError, match=r"nothing was written to .*metrics|upkeep of table metrics stopped"
        ) as refused:
            work()
        assert one_line(refused.value)
    assert whole.version("metrics") == version


@pytest.mark.parametrize("fault", DATA_FAULTS)
def test_candles_that_cannot_be_read_are_one_line(whole: Lake, fault: str) -> None:
    (file,) = data_files(whole, "candles")
    DATA_FAULTS[fault](file)
    with pytest.raises(
        LakeError, match=r"the candles of kraken BTC/USD 1h cannot be read: .*`jarvis doctor`"
    ) as refused:
        read_candles(whole, "kraken", "BTC/USD", "1h")
    assert one_line(refused.value)


def test_broken_runs_hide_no_table_that_belongs_to_none(whole: Lake) -> None:
    (whole.path("runs") / "_delta_log" / f"{1:020}.json").write_text("garbage")
    connection = connect(whole)
    assert connection.execute("SELECT count(*) FROM candles").fetchall() == [(3,)]
    for name in ("runs", "equity", "metrics"):
        with pytest.raises(duckdb.Error, match=r"the lake's table .*runs cannot be read"):
            connection.execute(f"SELECT count(*) FROM {name}")


@pytest.mark.parametrize("leave", ["folder", "log folder", "unfinished entry"])
def test_a_table_whose_creator_was_killed_is_empty_and_can_be_written(lake: Lake, leave: str) -> None:
    log = lake.path("metrics") / "_delta_log"
    (log if leave != "folder" else log.parent).mkdir(parents=True)
    if leave == "unfinished entry":
        (log / f"{0:020}.json#1").write_text('{"protocol"')
    assert lake.version("metrics") == -1
    assert connect(lake).execute("SELECT count(*) FROM metrics").fetchall() == [(0,)]
    assert settle(lake) == []
    lake.append("metrics", metrics("r"))
    assert lake.table("metrics").to_pyarrow_table().num_rows == 1
