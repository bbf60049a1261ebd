"""The lake under kill -9 and under many writers and readers at once: whole, and every commit once.

Processes come from a fork server that has everything imported and nothing used: deltalake's threads do not survive a
fork.
"""

from __future__ import annotations

import random
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest

from data.candles import read_candles
from data.runs import is_recorded, record_run
from data.upkeep import settle
from data.views import connect
from data.writer import Claim, Lake

PROCESSES = get_context("forkserver")
PROCESSES.set_forkserver_preload(["pytest", "data.upkeep", "data.runs", "data.candles"])

EPOCH = pd.Timestamp("2024-01-01", tz="UTC")
ROWS = 7
"""Rows of a commit, and of a run in each of its tables."""

SUM = ROWS * (ROWS + 1) // 2
"""What the numbers 1 to ROWS of a commit sum up to, if all are there once."""

SERIES = ("kraken", "BTC/USD", "1h")
HOURS = pd.date_range(EPOCH, periods=5, freq="h")


def batch(number: int) -> pd.DataFrame:
    """Rows of the table quality, whose sum over `candles` tells whether all of them are there."""
    keys = dict(zip(("exchange", "symbol", "timeframe"), SERIES, strict=True))
    instants = EPOCH + pd.to_timedelta(range(ROWS), unit="h")
    return pd.DataFrame(
        {**keys, "kind": f"{number:05}", "start_ts": instants, "end_ts": instants, "candles": np.arange(1, ROWS + 1)}
    )


def append_once(lake: Lake, number: int) -> None:
    lake.append("quality", batch(number), Claim(f"batch {number}", 1))


def run_once(lake: Lake, number: int) -> None:
    run = f"run {number:05}"
    ts = EPOCH + pd.to_timedelta(range(ROWS), unit="h")
    names = [str(k) for k in range(ROWS)]
    tables = {
        "equity": pd.DataFrame({"ts": ts, "equity": 1.0}),
        "fills": pd.DataFrame({"symbol": "BTC/USD", "fill_id": names, "ts": ts, "amount": 1.0}),
        "metrics": pd.DataFrame({"metric": names, "value": 1.0}),
    }
    record_run(lake, {"run_id": run, "created_at": EPOCH}, tables)


def revise_once(lake: Lake, number: int) -> None:
    """Replace the current candles by a new revision with `number` as their prices, unless they have it."""
    while True:
        version = lake.claimed("candles", "series")
        with connect(lake) as connection:
            found = connection.execute("SELECT revision, close FROM candles LIMIT 1").fetchone()
        if found is not None and found[1] >= number:
            return
        keys = dict(zip(("exchange", "symbol", "timeframe"), SERIES, strict=True))
        base = pd.DataFrame({**keys, "ts": HOURS, "open": 1.0, "high": 1.0, "low": 1.0, "volume": 1.0})
        rows = [base.assign(revision=0 if found is None else found[0] + 1, close=float(number))]
        if found is not None:
            rows.append(base.assign(revision=found[0], close=found[1], superseded_at=EPOCH))
        if lake.upsert("candles", pd.concat(rows), Claim("series", version + 1)):
            return


WORK: tuple[Callable[[Lake, int], object], ...] = (
    append_once,
    run_once,
    revise_once,
    lambda lake, number: settle(lake),
)


def work_on(root: Path, first: int, tell: Connection) -> None:
    """Do one piece of work after the other, and tell each that is done."""
    lake = Lake(root)
    tell.send(first)
    for number in range(first, first + 1_000):
        WORK[number % len(WORK)](lake, number)
        tell.send(number + 1)


@contextmanager
def started(target: Callable[..., None], *arguments: Any) -> Iterator[BaseProcess]:
    process = PROCESSES.Process(target=target, args=arguments, daemon=True)
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def assert_whole(lake: Lake, done: int, tried: int) -> None:
    """All work below `done` is there once, that below `tried` once or not at all, and nothing else."""
    for walled in (False, True):
        connection = connect(lake, walled=walled)
        batches = connection.execute(
            "SELECT kind, count(*), sum(candles) FROM quality GROUP BY 1 ORDER BY 1"
        ).fetchall()
        assert [row[1:] for row in batches] == [(ROWS, SUM)] * len(batches)
        assert_present([int(kind) for kind, _, _ in batches], append_once, done, tried)
        runs = [run for (run,) in connection.execute("SELECT run_id FROM runs ORDER BY 1").fetchall()]
        assert_present([int(run.split()[1]) for run in runs], run_once, done, tried)
        for name in ("equity", "fills", "metrics"):
            found = connection.execute(f"SELECT run_id, count(*) FROM {name} GROUP BY 1 ORDER BY 1").fetchall()
            assert found == [(run, ROWS) for run in runs], name
        revised = [number for number in range(done) if WORK[number % len(WORK)] is revise_once]
        current = connection.execute("SELECT ts, count(*), max(close) FROM candles GROUP BY 1 ORDER BY 1").fetchall()
        if revised:
            assert [row[:2] for row in current] == [(ts.to_pydatetime(), 1) for ts in HOURS]
        assert len({price for _, _, price in current}) <= 1, "a torn revision"
        assert all(max(revised, default=0) <= price < tried for _, _, price in current)
        count = "SELECT count(DISTINCT revision), count(*) FROM candle_revisions"
        revisions, rows = connection.execute(count).fetchall()[0]
        assert rows == revisions * len(HOURS)
    prices = read_candles(lake, *SERIES)["close"]
    assert len(prices) in {0, len(HOURS)}


def assert_present(found: list[int], kind: Callable[..., object], done: int, tried: int) -> None:
    possible = [number for number in range(tried) if WORK[number % len(WORK)] is kind]
    certain = [number for number in possible if number < done]
    assert found[: len(certain)] == certain
    assert found == possible[: len(found)]


def kill_at_random(lake: Lake, trials: int, seed: int) -> None:
    chance = random.Random(seed)
    done = 0
    for _ in range(trials):
        told, tell = PROCESSES.Pipe(duplex=False)
        with started(work_on, lake.root, done, tell) as process:
            tell.close()
            assert told.poll(60), "the writer did not start"
            done = told.recv()
            time.sleep(chance.uniform(0, 0.7))
            process.kill()
            process.join()
            while told.poll():
                try:
                    done = told.recv()
                except EOFError:
                    break
        assert_whole(lake, done, done + 1)
    told, tell = PROCESSES.Pipe(duplex=False)
    with started(work_on, lake.root, done, tell):
        until = done + len(WORK)
        while told.recv() < until:
            pass
    assert_whole(lake, until, until + 1)
    assert until > trials // 2, "too little was done to prove anything"


def test_a_writer_killed_at_any_instant_leaves_the_lake_whole_and_another_goes_on(lake: Lake) -> None:
    kill_at_random(lake, trials=8, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 5))
def test_a_writer_killed_at_any_of_many_instants_leaves_the_lake_whole(lake: Lake, seed: int) -> None:
    kill_at_random(lake, trials=50, seed=seed)


def files(root: Path) -> dict[Path, int]:
    """Files under a folder, with the instant at which each came to its name."""
    return {file.relative_to(root): file.stat().st_ctime_ns for file in root.rglob("*") if file.is_file()}


STEPS: dict[str, Callable[[Lake, int], object]] = {
    "append": append_once,
    "upsert": revise_once,
    "run": run_once,
    "compaction": lambda lake, number: settle(lake),
    "removal": lambda lake, number: settle(lake, keep=timedelta(0)),
}


@pytest.mark.parametrize("kind", STEPS)
@pytest.mark.parametrize("fresh", [True, False], ids=["first", "later"])
def test_every_step_of_a_write_is_a_lake_that_reads_back_whole(tmp_path: Path, kind: str, fresh: bool) -> None:
    """deltalake makes files, gives them their names and at last removes some: each state between is made again."""
    before, after = Lake(tmp_path / "before"), Lake(tmp_path / "after")
    number = 0 if fresh else 4
    for earlier in range(number):
        WORK[earlier % 3](before, earlier)
    before.root.mkdir(exist_ok=True)
    shutil.copytree(before.root, after.root)
    old = files(after.root)
    STEPS[kind](after, number)
    new = files(after.root)
    made = sorted((file for file in new if new[file] != old.get(file)), key=lambda file: new[file])
    gone = [file for file in old if file not in new]

    connection = connect(before)
    seen = {view: contents(connection, view) for view in VIEWS}
    connection = connect(after)
    wanted = {view: contents(connection, view) for view in VIEWS}
    step = Lake(tmp_path / "step")
    shutil.copytree(before.root, step.root)
    for turn, file in enumerate([*made, *gone]):
        target = step.root / file
        if file in new:
            target.parent.mkdir(parents=True, exist_ok=True)
            unfinished = target.with_name(target.name + "#1")
            whole = (after.root / file).read_bytes()
            unfinished.write_bytes(whole[: len(whole) // 2])
            assert_one_of(step, seen, wanted)
            unfinished.write_bytes(whole)
            unfinished.rename(target)
        else:
            target.unlink()
        assert_one_of(step, seen, wanted)
        if turn % 3 == 0:
            again = Lake(tmp_path / "again")
            shutil.copytree(step.root, again.root)
            STEPS[kind](again, number)
            assert_one_of(again, wanted, wanted)
            shutil.rmtree(again.root)
    assert_one_of(step, wanted, wanted)


VIEWS = ("runs", "equity", "fills", "metrics", "quality", "candles", "candle_revisions")


def contents(connection: duckdb.DuckDBPyConnection, view: str) -> list[Any]:
    return connection.execute(f"SELECT * FROM {view} ORDER BY ALL").fetchall()


def assert_one_of(lake: Lake, before: dict[str, list[Any]], after: dict[str, list[Any]]) -> None:
    """The lake reads as before the write or as after it; never as something between."""
    connection = connect(lake)
    found = {view: contents(connection, view) for view in VIEWS}
    assert found in (before, after)


def write_batches(root: Path, numbers: range) -> None:
    lake = Lake(root)
    for number in numbers:
        append_once(lake, number)
        run_once(lake, number)
        revise_once(lake, number)


def settle_until_killed(root: Path) -> None:
    while True:
        settle(Lake(root))
        time.sleep(0.2)


def read_until_told(root: Path, readers: int, stop: Any, tell: Connection) -> None:
    """Read in so many threads, and tell what was wrong and how often was read."""
    wrong: list[str] = []
    reads: Counter[int] = Counter()

    def read(reader: int) -> None:
        batches = 0
        while not stop.is_set() and not wrong:
            try:
                with connect(Lake(root), walled=reader % 2 == 0) as connection:
                    batches = check(connection, batches)
                candles = read_candles(Lake(root), *SERIES)
                assert len(candles) in {0, len(HOURS)}
                assert candles["close"].nunique() <= 1
            except Exception as error:  # noqa: BLE001 - whatever it is, the test shall show it
                wrong.append(f"{type(error).__name__}: {error}")
            reads[reader] += 1

    threads = [threading.Thread(target=read, args=(reader,)) for reader in range(readers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tell.send((wrong[:3], sorted(reads.values())))


def check(connection: duckdb.DuckDBPyConnection, batches_before: int) -> int:
    """Look for torn and doubled rows; returns the batches seen."""
    torn = f"""
        SELECT 'batch', kind FROM quality GROUP BY 2 HAVING count(*) <> {ROWS} OR sum(candles) <> {SUM}
        UNION ALL SELECT 'run', run_id FROM runs GROUP BY 2 HAVING count(*) <> 1
        UNION ALL SELECT 'candle', ts::VARCHAR FROM candles GROUP BY 2 HAVING count(*) <> 1
        UNION ALL SELECT 'revision', revision::VARCHAR FROM candle_revisions GROUP BY 2 HAVING count(*) <> {len(HOURS)}
    """
    for table in ("equity", "fills", "metrics"):
        torn += f"""
        UNION ALL SELECT '{table}', run_id
        FROM runs LEFT JOIN (SELECT run_id, count(*) AS rows FROM {table} GROUP BY 1) USING (run_id)
        WHERE rows IS DISTINCT FROM {ROWS}
        """
    found = connection.execute(torn).fetchall()
    assert found == []
    ((batches,),) = connection.execute("SELECT count(DISTINCT kind) FROM quality").fetchall()
    assert batches >= batches_before, "a commit that was seen is gone"
    return int(batches)


def write_and_read_at_once(lake: Lake, writers: int, readers: int, each: int) -> None:
    stop = PROCESSES.Event()
    pipes = [PROCESSES.Pipe(duplex=False) for _ in range(4)]
    reading = [
        PROCESSES.Process(target=read_until_told, args=(lake.root, readers // 4, stop, tell)) for _, tell in pipes
    ]
    writing = [
        PROCESSES.Process(target=write_batches, args=(lake.root, range(k * each, (k + 1) * each)))
        for k in range(writers)
    ]
    with started(settle_until_killed, lake.root) as upkeep:
        for process in [*reading, *writing]:
            process.start()
        for _, tell in pipes:  # else a reader that dies would be waited for
            tell.close()
        for process in writing:
            process.join()
        stop.set()
        answers = [told.recv() for told, _ in pipes]
        assert upkeep.is_alive(), "upkeep failed beside the writers"
    for process in reading:
        process.join()
    assert [process.exitcode for process in writing] == [0] * writers
    assert [wrong for wrong, _ in answers] == [[]] * 4
    assert all(len(reads) == readers // 4 for _, reads in answers)
    connection = connect(lake)
    check(connection, writers * each)
    assert connection.execute("SELECT count(*) FROM runs").fetchall() == [(writers * each,)]
    assert connection.execute("SELECT DISTINCT close FROM candles").fetchall() == [(writers * each - 1,)]
    settle(lake, keep=timedelta(0))
    check(connect(lake), writers * each)


def test_two_writers_and_a_hundred_readers_see_no_torn_or_doubled_row(lake: Lake) -> None:
    write_and_read_at_once(lake, writers=2, readers=100, each=2)


@pytest.mark.slow
@pytest.mark.parametrize("writers", [2, 4])
def test_many_writers_and_a_hundred_readers_see_no_torn_or_doubled_row(lake: Lake, writers: int) -> None:
    write_and_read_at_once(lake, writers=writers, readers=100, each=12)


def claim_each(root: Path, racer: int, versions: int, start: Any, tell: Connection) -> None:
    lake = Lake(root)
    won = []
    for version in range(1, versions + 1):
        start.wait()
        if lake.append("quality", batch(100 * version + racer), Claim("race", version)):
            won.append(version)
    tell.send(won)


@pytest.mark.parametrize("racers", [2, 4])
def test_of_processes_that_race_on_a_claim_one_wins_each_version(lake: Lake, racers: int) -> None:
    versions = 6
    start = PROCESSES.Barrier(racers)
    pipes = [PROCESSES.Pipe(duplex=False) for _ in range(racers)]
    racing = [
        PROCESSES.Process(target=claim_each, args=(lake.root, k, versions, start, tell))
        for k, (_, tell) in enumerate(pipes)
    ]
    for process in racing:
        process.start()
    for _, tell in pipes:
        tell.close()
    won = sorted(version for told, _ in pipes for version in told.recv())
    for process in racing:
        process.join()
    assert won == list(range(1, versions + 1))
    assert lake.claimed("quality", "race") == versions
    kinds = connect(lake).execute("SELECT kind, count(*) FROM quality GROUP BY 1").fetchall()
    assert [rows for _, rows in kinds] == [ROWS] * versions


def record_all(root: Path, numbers: range, start: Any) -> None:
    lake = Lake(root)
    for number in numbers:
        start.wait()
        run_once(lake, number)


def test_a_run_that_several_processes_record_at_once_is_there_once(lake: Lake) -> None:
    racers, numbers = 3, range(4)
    start = PROCESSES.Barrier(racers)
    racing = [PROCESSES.Process(target=record_all, args=(lake.root, numbers, start)) for _ in range(racers)]
    for process in racing:
        process.start()
    for process in racing:
        process.join()
    assert [process.exitcode for process in racing] == [0] * racers
    check(connect(lake), 0)
    assert all(is_recorded(lake, f"run {number:05}") for number in numbers)
    for name in ("equity", "fills", "metrics"):
        delta = lake.table(name)
        assert delta is not None
        assert delta.to_pyarrow_table().num_rows == ROWS * len(numbers)
