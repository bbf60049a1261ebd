"""SQL of visitors in child processes: what it can do, what it cannot, and that nothing of it stays."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pytest

from data import walled
from data.errors import BadInput, JarvisError, LakeError
from data.settings import CHECKOUT
from data.walled import AT_ONCE, LONGEST_QUERY, MOST_WAITING, Answer, Limits, Walled
from data.walled_child import collect
from data.writer import Lake
from tests.unit import dashboard_lake as rows
from tests.unit.lake_rows import data_files

QUICK, PATIENT = Limits(seconds=5), Limits(seconds=60)
ENDLESS = "SELECT count(*) FROM range(1000000) a, range(1000000) b"

MEMORY, TIME, FILES = "MiB of memory", "stopped after 5 seconds", "file system operations are disabled"

ATTEMPTS = {
    "SELECT * FROM read_csv('/etc/passwd')": FILES,
    "SELECT * FROM '/etc/passwd'": "does not exist|disabled",
    "WITH x AS (COPY (SELECT 1) TO 'LAKE/stolen.csv') SELECT * FROM x": FILES,
    "WITH x AS (COPY (SELECT 1) TO 'LAKE/runs/_delta_log/00000000000000000000.json') SELECT * FROM x": FILES,
    "ATTACH 'LAKE/new.db' AS mine": "ATTACH is not possible here",
    "SET enable_external_access = true": "SET is not possible here",
    "SELECT 1; SELECT 2": "2 statements",
    "SELECT repeat('x', 2000000000)": MEMORY,
    "SELECT range(1000000000)": MEMORY,
    "SELECT list(i) FROM range(1000000000) t(i)": f"{MEMORY}|{TIME}",  # whichever is first
    ENDLESS: TIME,
    "WITH RECURSIVE t AS (SELECT 1 i UNION ALL SELECT i + 1 FROM t) SELECT max(i) FROM t": TIME,
    f"SELECT {'(' * 4500}1{')' * 4500}": "depth",
    "SELECT repeat('x', 40000000)": "one row of the answer is larger",
    "SELECT if(i < 50000, i, error('later')) FROM range(100000) t(i)": "later",
}


@pytest.fixture
def filled(lake: Lake) -> Lake:
    lake.append("candles", rows.candles(10))
    rows.record(lake)
    return lake


def contents(lake: Lake) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in sorted(lake.root.rglob("*")) if file.is_file()}


def visit(lake: Lake, *queries: str, limits: Limits = PATIENT) -> list[Answer | BaseException]:
    """Ask all at once; return the answers or errors."""

    async def ask() -> list[Answer | BaseException]:
        asked = Walled(lake, limits)
        try:
            return await asyncio.gather(*map(asked.ask, queries), return_exceptions=True)
        finally:
            asked.close()

    return asyncio.run(ask())


def error_of(lake: Lake, query: str) -> str:
    (error,) = visit(lake, query)
    assert isinstance(error, BadInput), error
    return str(error)


def test_a_query_is_answered_from_the_views(filled: Lake) -> None:
    counted, named = visit(filled, "SELECT count(*) AS n FROM candles", 'SELECT 1 AS a, 2 AS a, 3 AS "a (2)"')
    assert isinstance(counted, Answer)
    assert isinstance(named, Answer)
    assert counted.rows.to_pylist() == [{"n": 10}]
    assert counted.whole
    assert len(set(named.rows.column_names)) == 3


def test_each_query_sees_what_was_written_until_then(lake: Lake) -> None:
    async def ask() -> list[int]:
        asked = Walled(lake)
        asked.prepare()
        seen = []
        for n in (0, 5):
            if n:
                lake.append("candles", rows.candles(n))
            seen.append((await asked.ask("SELECT count(*) AS n FROM candles")).rows["n"][0].as_py())
        asked.close()
        return seen

    assert asyncio.run(ask()) == [0, 5]


def test_an_answer_is_cut_off_at_its_most_rows_and_bytes(lake: Lake) -> None:
    many = "SELECT range AS i, repeat('x', 100) AS x FROM range(100000000)"
    (by_rows,) = visit(lake, many, limits=PATIENT._replace(rows=25_000))
    (by_bytes,) = visit(lake, many, limits=PATIENT._replace(bytes=100_000))
    assert isinstance(by_rows, Answer)
    assert isinstance(by_bytes, Answer)
    assert (by_rows.rows.num_rows, by_rows.whole) == (25_000, False)
    assert 90_000 < by_bytes.rows.nbytes <= 100_000
    assert not by_bytes.whole


def test_an_answer_as_long_as_may_be_is_whole() -> None:
    batches = [pa.record_batch({"i": [1, 2]}), pa.record_batch({"i": [3, 4]})]
    assert collect(batches, batches[0].schema, Limits(rows=4)).whole
    assert not collect(batches, batches[0].schema, Limits(rows=3)).whole
    assert not collect(batches, batches[0].schema, Limits(bytes=24)).whole


@pytest.fixture(scope="module")
def refusals(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What came of each attempt, all made on one lake; no byte of it may differ afterwards."""
    lake = Lake(tmp_path_factory.mktemp("attacked") / "lake")
    lake.append("candles", rows.candles(10))
    rows.record(lake)
    before = contents(lake)

    async def attack() -> dict[str, Any]:
        quick, patient, few = Walled(lake, QUICK), Walled(lake, PATIENT), asyncio.Semaphore(AT_ONCE)

        async def attempt(query: str) -> Any:
            async with few:
                asked = quick if TIME in ATTEMPTS[query] else patient
                return await asked.ask(query.replace("LAKE", str(lake.root)))

        outcomes = await asyncio.gather(*map(attempt, ATTEMPTS), return_exceptions=True)
        quick.close()
        patient.close()
        return dict(zip(ATTEMPTS, outcomes, strict=True))

    yield asyncio.run(attack())
    assert contents(lake) == before
    assert sorted(lake.root.parent.iterdir()) == [lake.root]


@pytest.mark.parametrize("query", ATTEMPTS)
def test_an_attempt_is_refused_in_one_clear_line(refusals: dict[str, Any], query: str) -> None:
    error = refusals[query]
    assert isinstance(error, BadInput), error
    assert any(word in str(error) for word in ATTEMPTS[query].split("|")), error
    assert "\n" not in str(error)


def test_a_query_of_a_megabyte_is_refused_at_once(lake: Lake) -> None:
    assert f"{LONGEST_QUERY:,} are the most" in error_of(lake, f"SELECT '{'x' * 1_000_000}'")


def test_no_folder_and_no_key_of_the_user_can_be_asked_for(filled: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KRAKEN_SECRET", "a secret of the tests")
    for file in data_files(filled, "metrics"):
        file.write_bytes(b"torn")
    for entry in (filled.path("trades") / "_delta_log").iterdir():
        entry.write_text("torn")
    told = visit(
        filled,
        "SELECT string_agg(value, ' ') FROM duckdb_settings()",
        "SELECT string_agg(sql, ' ') FROM duckdb_views()",
        "SELECT * FROM metrics",
        "SELECT * FROM trades",
        "SELECT getenv('KRAKEN_SECRET')",
        "SELECT * FROM duckdb_extensions()",
    )
    said = " ".join(str(one.rows.to_pydict() if isinstance(one, Answer) else one) for one in told)
    assert [type(one) for one in told[2:4]] == [BadInput, LakeError]
    assert str(filled.root.parent) not in said
    assert str(Path.home()) not in said
    assert "a secret" not in said


def test_a_torn_table_spoils_no_other(filled: Lake) -> None:
    for entry in (filled.path("trades") / "_delta_log").iterdir():
        entry.write_text("torn")
    torn, whole = visit(filled, "SELECT * FROM trades", "SELECT count(*) AS n FROM equity")
    assert "trades cannot be read" in str(torn)
    assert isinstance(whole, Answer)
    assert whole.rows["n"].to_pylist() == [10]


def test_another_visitor_is_answered_while_one_holds_a_process_up(filled: Lake) -> None:
    async def ask() -> tuple[Answer, bool]:
        asked = Walled(filled, PATIENT)
        held = asyncio.ensure_future(asked.ask(ENDLESS))
        answer = await asked.ask("SELECT 1 AS n")
        waits = not held.done()
        held.cancel()
        await asyncio.gather(held, return_exceptions=True)
        asked.close()
        return answer, waits

    answer, waits = asyncio.run(ask())
    assert answer.rows["n"].to_pylist() == [1]
    assert waits


def test_a_query_that_is_cancelled_leaves_no_process(lake: Lake) -> None:
    async def ask() -> list[psutil.Process]:
        asked = Walled(lake)
        running = asyncio.ensure_future(asked.ask(ENDLESS))
        await asyncio.sleep(1)
        children = psutil.Process().children()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        asked.close()
        return children

    before = set(psutil.Process().children())
    children = [child for child in asyncio.run(ask()) if child not in before]
    assert children
    gone, alive = psutil.wait_procs(children, timeout=10)
    assert not alive, gone


def test_a_full_queue_says_so(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    let_go = threading.Event()
    monkeypatch.setattr(walled._Child, "wait", lambda self: let_go.wait(30))

    async def ask() -> list[BaseException | Answer]:
        asked = Walled(lake)
        many = [asyncio.ensure_future(asked.ask("SELECT 1")) for _ in range(AT_ONCE + MOST_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(JarvisError, match="try again in a moment"):
            await asked.ask("SELECT 1")
        for waiting in many:
            waiting.cancel()
        let_go.set()
        answers = await asyncio.gather(*many, return_exceptions=True)
        asked.close()
        return answers

    assert {type(answer) for answer in asyncio.run(ask())} == {asyncio.CancelledError}


@pytest.mark.slow
def test_children_end_with_a_server_that_is_killed(lake: Lake) -> None:
    server = f"""
import asyncio
from pathlib import Path
from data.walled import Limits, Walled
from data.writer import Lake
asyncio.run(Walled(Lake(Path({str(lake.root)!r})), Limits(seconds=60)).ask({ENDLESS!r}))
"""
    with subprocess.Popen([sys.executable, "-c", server], cwd=CHECKOUT) as process:
        children: list[psutil.Process] = []
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not (
            len(children) == 2 and max(child.cpu_times().user for child in children) > 2
        ):  # one at the query for a while, one in reserve
            time.sleep(0.1)
            children = psutil.Process(process.pid).children()
        process.kill()
    assert len(children) == 2
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive


def test_a_process_that_dies_in_reserve_is_replaced(lake: Lake) -> None:
    async def ask() -> Answer:
        asked = Walled(lake)
        asked.prepare()
        assert asked._spare is not None
        asked._spare._process.kill()
        await asyncio.sleep(0.3)
        answer = await asked.ask("SELECT 1 AS n")
        asked.close()
        return answer

    assert asyncio.run(ask()).rows["n"].to_pylist() == [1]
