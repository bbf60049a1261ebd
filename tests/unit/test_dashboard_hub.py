from __future__ import annotations

import asyncio
import contextvars
import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from bokeh.document import Document

from dashboards import hub as hub_module
from dashboards import queries, row_queries
from dashboards.hub import Edition, Hub, background, stamp
from data.errors import LakeError
from data.tables import TABLES
from data.writer import Lake
from tests.unit import dashboard_lake as rows
from tests.unit.lake_rows import data_files


class Visitor(Document):
    """A document without a server: what is put off until its lock is free happens at once."""

    def add_next_tick_callback(self, callback: Callable[[], Any]) -> Any:
        callback()


def run_ids(connection: duckdb.DuckDBPyConnection) -> list[str]:
    return [run.run_id for run in queries.runs(connection, "backtest")]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "POLL", 0.02)


def test_questions_are_answered_outside_the_event_loops_thread(lake: Lake) -> None:
    answered = asyncio.run(Hub(lake).ask(lambda _: threading.get_ident()))
    assert answered != threading.get_ident()


def test_the_same_question_of_many_visitors_runs_once(lake: Lake) -> None:
    asked = []

    def question(_: duckdb.DuckDBPyConnection, detail: int) -> int:
        asked.append(detail)
        return detail

    async def visit() -> list[int]:
        hub = Hub(lake)
        return [*await asyncio.gather(*[hub.ask(question, 1) for _ in range(20)]), await hub.ask(question, 2)]

    assert asyncio.run(visit()) == [1] * 20 + [2]
    assert sorted(asked) == [1, 2]


def test_an_answer_that_is_there_can_be_had_without_asking(lake: Lake) -> None:
    async def visit() -> tuple[Any, Any]:
        hub = Hub(lake)
        before = hub.kept(run_ids)
        await hub.ask(run_ids)
        return before, hub.kept(run_ids)

    assert asyncio.run(visit()) == (None, [])


@pytest.mark.usefixtures("quick")
def test_a_visitor_is_told_of_a_run_that_lands(lake: Lake) -> None:
    async def visit() -> list[str]:
        hub, told = Hub(lake), []
        assert await hub.ask(run_ids) == []
        hub.subscribe(Visitor(), lambda: told.append(True))
        await asyncio.sleep(0.1)
        assert not told
        await asyncio.to_thread(rows.record, lake)
        await until(lambda: bool(told))
        while not (found := await hub.ask(run_ids)):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        return found

    assert asyncio.run(visit()) == ["run-1"]


@pytest.mark.usefixtures("quick")
def test_a_version_waits_until_the_last_one_is_answered_and_then_all_share_the_newest(lake: Lake) -> None:
    asked, slow = [], threading.Event()

    def question(connection: duckdb.DuckDBPyConnection) -> int:
        found = len(run_ids(connection))
        asked.append(found)
        slow.wait(20)
        return found

    async def visit() -> list[int]:
        hub, answers, told = Hub(lake), list[int](), []

        async def refresh() -> None:
            answers.append(await hub.ask(question))

        def listen() -> None:
            told.append(background(refresh()))

        for _ in range(5):
            hub.subscribe(Visitor(), listen)
        await asyncio.sleep(0.1)
        for n in range(1, 4):
            rows.record(lake, run_id=f"run-{n}")
            await until(lambda: len(asked) == 1)
            await asyncio.sleep(0.1)
        slow.set()
        await until(lambda: len(answers) == 10)
        return answers

    assert asyncio.run(visit()) == [1] * 5 + [3] * 5
    assert asked == [1, 3]


@pytest.mark.usefixtures("quick")
def test_visitors_are_told_outside_of_what_the_first_one_runs_in(lake: Lake) -> None:
    """Panel keeps the document that it works for in a variable of the context."""
    whose: contextvars.ContextVar[str] = contextvars.ContextVar("whose", default="nobody's")

    async def visit() -> list[str]:
        hub, told = Hub(lake), list[str]()
        whose.set("the first visitor's")
        hub.subscribe(Visitor(), lambda: told.append(whose.get()))
        await asyncio.sleep(0.1)
        rows.record(lake)
        await until(lambda: bool(told))
        return told

    assert asyncio.run(visit()) == ["nobody's"]


@pytest.mark.usefixtures("quick")
def test_a_run_that_lands_before_the_first_look_is_not_missed(lake: Lake) -> None:
    async def visit() -> None:
        hub, told = Hub(lake), []
        assert await hub.ask(run_ids) == []
        rows.record(lake)
        hub.subscribe(Visitor(), lambda: told.append(True))
        await until(lambda: bool(told))
        assert await hub.ask(run_ids) == ["run-1"]

    asyncio.run(visit())


@pytest.mark.usefixtures("quick")
def test_a_visitor_who_left_is_told_nothing_more(lake: Lake) -> None:
    async def visit() -> list[str]:
        hub, told, gone = Hub(lake), [], Visitor()
        hub.subscribe(gone, lambda: told.append("gone"))
        hub.subscribe(Visitor(), lambda: told.append("here"))
        for leave in gone.session_destroyed_callbacks:
            leave(None)  # type: ignore[arg-type]
        await asyncio.sleep(0.1)
        await asyncio.to_thread(rows.record, lake)
        await until(lambda: bool(told))
        return told

    assert set(asyncio.run(visit())) == {"here"}


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("torn", ["file", "log"])
def test_a_visitor_is_told_when_what_could_not_be_read_can_be_read_again(lake: Lake, torn: str) -> None:
    rows.record(lake)
    file = data_files(lake, "runs")[0] if torn == "file" else lake.path("runs") / "_delta_log" / f"{0:020}.json"
    whole = file.read_bytes()

    async def visit() -> None:
        hub, told = Hub(lake), []
        file.write_bytes(whole[: len(whole) // 2])
        hub.subscribe(Visitor(), lambda: told.append(True))
        with pytest.raises(LakeError):
            await hub.ask(run_ids)
        await asyncio.sleep(0.2)
        assert not told
        file.write_bytes(whole)
        await until(lambda: bool(told))
        assert await hub.ask(run_ids) == ["run-1"]
        await asyncio.sleep(0.2)
        assert len(told) == 1

    asyncio.run(visit())


def test_a_table_whose_log_is_torn_spoils_only_its_own_questions(lake: Lake) -> None:
    rows.record(lake)
    for entry in (lake.path("trades") / "_delta_log").iterdir():
        entry.write_text("{ torn")

    async def visit() -> list[str]:
        hub = Hub(lake)
        (run,) = await hub.ask(queries.runs, "backtest")
        assert len(await hub.ask(queries.equity, run)) == 10
        with pytest.raises(LakeError, match="trades cannot be read") as caught:
            await hub.ask(row_queries.trades, run)
        return str(caught.value).splitlines()

    (line,) = asyncio.run(visit())
    assert str(lake.root) not in line


def test_a_file_that_is_torn_spoils_only_its_own_questions_and_names_no_folder(lake: Lake) -> None:
    rows.record(lake)
    data_files(lake, "metrics")[0].write_bytes(b"no parquet")

    async def visit() -> str:
        hub = Hub(lake)
        (run,) = await hub.ask(queries.runs, "backtest")
        assert (await hub.ask(row_queries.trades, run)).total == 1
        with pytest.raises(LakeError) as caught:
            await hub.ask(queries.metrics, run)
        return str(caught.value)

    told = asyncio.run(visit())
    assert "\n" not in told
    assert str(lake.root) not in told


def test_a_torn_file_says_what_to_do_and_what_the_lake_lacks_does_not(lake: Lake) -> None:
    rows.record(lake)
    data_files(lake, "metrics")[0].write_bytes(b"no parquet")
    for entry in (lake.path("trades") / "_delta_log").iterdir():
        entry.write_text("{ torn")

    async def visit() -> list[str]:
        hub, told = Hub(lake), list[str]()
        (run,) = await hub.ask(queries.runs, "backtest")
        for question in (queries.metrics, row_queries.trades, queries.candles):
            with pytest.raises(LakeError) as caught:
                await hub.ask(question, run)
            told.append(str(caught.value))
        return told

    assert [said.count("; `jarvis doctor` ") for said in asyncio.run(visit())] == [1, 1, 0]


def broken(_: duckdb.DuckDBPyConnection) -> int:
    raise TypeError("nothing to be subtracted")


@pytest.mark.parametrize("lasting", [True, False])
def test_what_one_visitor_cannot_be_told_costs_the_others_nothing(lake: Lake, lasting: bool) -> None:
    rows.record(lake)

    async def visit() -> None:
        hub = Hub(lake)
        (run,) = await hub.ask(queries.runs, "backtest")
        opened, ask = hub._edition, hub.ask_lasting if lasting else hub.ask
        with pytest.raises(LakeError, match="no longer has the candles"):
            await ask(queries.candles, run)
        with pytest.raises(LakeError, match="not what they should be"):
            await ask(broken)
        assert hub._edition is opened
        assert hub._unanswered == {}

    asyncio.run(visit())


@pytest.mark.usefixtures("quick")
def test_a_lake_that_could_not_be_opened_for_whatever_reason_is_opened_by_the_next_question(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> Edition:
        raise MemoryError("for a moment")

    async def visit() -> list[str]:
        hub = Hub(lake)
        hub.subscribe(Visitor(), lambda: None)
        with monkeypatch.context() as patch:
            patch.setattr(hub_module, "Edition", fail)
            with pytest.raises(MemoryError):
                await hub.ask(run_ids)
        await asyncio.sleep(0.2)
        return await hub.ask(run_ids)

    assert asyncio.run(visit()) == []
    assert not caplog.records


def test_files_that_were_compacted_away_under_a_reader_are_looked_up_afresh(lake: Lake) -> None:
    lake.append("candles", rows.candles(5))
    lake.append("candles", rows.candles(10).iloc[5:])
    rows.record(lake)

    async def visit() -> int:
        hub = Hub(lake)
        (run,) = await hub.ask(queries.runs, "backtest")
        delta = lake.table("candles")
        assert delta is not None
        delta.optimize.compact()
        delta.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
        return len(await hub.ask(queries.candles, run))

    assert asyncio.run(visit()) == 10


def test_rows_that_make_no_sense_are_a_line_too(lake: Lake, caplog: pytest.LogCaptureFixture) -> None:
    def question(_: duckdb.DuckDBPyConnection) -> int:
        raise TypeError("nothing to be subtracted")

    with pytest.raises(LakeError, match="not what they should be"):
        asyncio.run(Hub(lake).ask(question))
    assert "nothing to be subtracted" in caplog.text


def aged(log: Path, seconds: float) -> None:
    """Let a folder have been changed so long ago."""
    changed = time.time_ns() - int(seconds * 1e9)
    os.utime(log, ns=(changed, changed))


def test_two_commits_at_what_the_file_system_calls_one_instant_are_two(lake: Lake) -> None:
    rows.record(lake, run_id="first")
    log = lake.path("runs") / "_delta_log"
    once, when = stamp(lake), log.stat().st_mtime_ns
    rows.record(lake, run_id="second")
    os.utime(log, ns=(when, when))
    assert stamp(lake) != once


def test_a_folder_that_does_not_change_is_not_gone_through_again(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    rows.record(lake)
    for name in TABLES:
        if (log := lake.path(name) / "_delta_log").exists():
            aged(log, 10)
    once, list_folder, listed = stamp(lake), Path.iterdir, list[Path]()
    monkeypatch.setattr(Path, "iterdir", lambda folder: listed.append(folder) or list_folder(folder))
    assert stamp(lake) == once
    assert not listed
    aged(lake.path("runs") / "_delta_log", 5)
    assert stamp(lake) != once
    assert listed == [lake.path("runs") / "_delta_log"]


def test_a_new_version_reads_the_logs_of_what_changed_alone(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    rows.record(lake)
    first, opened = Edition(lake), []
    lake.append("candles", rows.candles(3))
    table = Lake.table
    monkeypatch.setattr(Lake, "table", lambda lake, name: opened.append(name) or table(lake, name))
    second = Edition(lake, first)
    assert opened == ["candles"]  # which was not there before
    opened.clear()
    lake.append("candles", rows.candles(2).assign(symbol="ETH/USD"))
    third = Edition(lake, second)
    assert opened == ["candles"]  # by the writer
    assert third.answer(lambda lake: lake.execute("SELECT count(*) FROM candles").fetchall()) == [(5,)]
    assert second.answer(lambda lake: lake.execute("SELECT count(*) FROM candles").fetchall()) == [(3,)]
    assert third.answer(run_ids) == second.answer(run_ids) == first.answer(run_ids) == ["run-1"]


def test_a_run_that_lands_while_a_version_is_opened_is_whole_in_it_or_absent(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def beside_a_writer(lake: Lake, name: str, *rest: Any) -> Any:
        if name == "runs":
            rows.record(lake, "run-2")
        return renewed(lake, name, *rest)

    rows.record(lake)
    first = Edition(lake)
    rows.record(lake, "run-1b")
    renewed = hub_module._renewed
    monkeypatch.setattr(hub_module, "_renewed", beside_a_writer)
    second = Edition(lake, first)
    assert sorted(second.answer(run_ids)) == ["run-1", "run-1b", "run-2"]
    counted = second.answer(lambda lake: lake.execute("SELECT run_id, count(*) FROM equity GROUP BY ALL").fetchall())
    assert sorted(counted) == [("run-1", 10), ("run-1b", 10), ("run-2", 10)]


def test_a_lake_that_was_begun_anew_is_read_anew(lake: Lake) -> None:
    rows.record(lake)
    first = Edition(lake)
    shutil.rmtree(lake.root)
    for number in range(3):
        rows.record(lake, f"other-{number}")
    second = Edition(lake, first)
    with pytest.raises(LakeError):
        second.answer(run_ids)  # its log looks as if it had grown; `Hub` then looks at the lake afresh

    async def ask() -> list[str]:
        hub = Hub(lake)
        hub._before = first
        return await hub.ask(run_ids)

    assert sorted(asyncio.run(ask())) == ["other-0", "other-1", "other-2"]
