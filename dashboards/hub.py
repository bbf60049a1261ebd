"""One reader of the lake for all sessions: it notices new versions, answers questions, and keeps the answers."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import contextvars
import functools
import gc
import logging
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar

import duckdb
from bokeh.document import Document
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from dashboards.queries import NoAnswer
from data.errors import LakeError
from data.rows import one_line
from data.tables import TABLES
from data.views import connect, scan_of
from data.writer import Lake

P = ParamSpec("P")
T = TypeVar("T")
Question = Callable[Concatenate[duckdb.DuckDBPyConnection, P], T]
Mark = tuple[int, int]
"""Of a table: it changes with every commit."""
Stamp = tuple[Mark, ...]


class Opened(NamedTuple):
    """A table: its mark, looked at before it was opened, and the SELECT over its rows."""

    mark: Mark
    delta: DeltaTable | None
    scan: str


POLL = 0.1
"""Seconds between two looks at the lake."""

_COARSE = 2_000_000_000
"""Nanoseconds; a file system may call two changes that follow each other within them simultaneous."""

_SELDOM = 60.0
"""Seconds between two tries of a question without an answer, at most; at first they are as short as POLL."""

_LONGEST = 10.0
"""Seconds that a new version waits, at most, until those who were told of the last one have their answers."""

_DOCTOR = "`jarvis doctor`"
"""What to do about a lake that cannot be read; what the lake says itself has it already."""

_KEPT_ANSWERS = 64
_LASTING_ANSWERS = 12
_POOL = ThreadPoolExecutor(4, thread_name_prefix="lake")
_WATCH = ThreadPoolExecutor(1, thread_name_prefix="lake-watch")
"""Of the look for new versions, which waits for no question."""
_logger = logging.getLogger("jarvis.dashboard")


class Edition:
    """One version of the lake, open for questions from any thread; answers are kept while it is the newest."""

    def __init__(self, lake: Lake, before: Edition | None = None) -> None:
        """Open the lake as it is now; of what has not changed since the edition `before` no log is read again."""
        self.stamp = stamp(lake)
        self._root = str(lake.root)
        self._opened: dict[str, Opened] = {} if lake.remote else _opened(lake, {} if before is None else before._opened)
        self._connection = connect(lake, scans={name: table.scan for name, table in self._opened.items()})
        self.answers: dict[Any, asyncio.Future[Any]] = {}

    def answer(self, question: Question[..., T], *details: Any) -> T:
        """Answer a question here and now. Raises LakeError with one line that names no folder."""
        try:
            return question(self._connection.cursor(), *details)
        except NoAnswer:
            raise
        except (duckdb.Error, LakeError, OSError) as error:
            told = one_line(error).removeprefix("Invalid Input Error: ")
            raise LakeError(_with_advice(told.replace(self._root, "lake"))) from None
        except (TypeError, ValueError) as error:
            _logger.exception("rows of the lake are not what they should be")
            raise NoAnswer(f"the lake's rows are not what they should be: {type(error).__name__}") from error


class Hub:
    """What the sessions of one process share.

    A session subscribes with its document; its listener is called, with the document's lock held, when the lake has a
    new version, or can be read again where it could not. Questions run in threads; the same question of several
    sessions runs once.
    """

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self._edition: asyncio.Future[Edition] | None = None
        self._before: Edition | None = None
        self._lasting: dict[Any, asyncio.Future[Any]] = {}
        self._unanswered: dict[Any, None] = {}
        self._patience = POLL
        self._next_try = 0.0
        self._waiting = 0
        self._seen: Stamp | None = None
        self._listeners: dict[Document, Callable[[], None]] = {}
        self._poller: asyncio.Task[None] | None = None

    def close(self) -> None:
        """Let go of the lake; DuckDB fills the terminal with complaints of what is still there when Python ends."""
        self._edition = self._before = None
        gc.collect()

    def subscribe(self, document: Document, listener: Callable[[], None]) -> None:
        """Call `listener` at each new version of the lake until the session ends."""
        self._listeners[document] = listener
        document.on_session_destroyed(lambda _: self._leave(document))
        if self._poller is None:
            nobodys = contextvars.Context()  # not that of this visitor, whose document the others would run with
            self._poller = asyncio.get_running_loop().create_task(self._poll(), context=nobodys)

    def kept(self, question: Question[..., T], *details: Any) -> T | None:
        """Return the answer to a question where it is there already, without asking."""
        edition, key = _result(self._edition), (question, details)
        answer = self._lasting.get(key)
        return _result(answer if edition is None else edition.answers.get(key, answer))

    async def ask(self, question: Question[P, T], *details: P.args, **_: P.kwargs) -> T:
        """Answer a question from the newest version of the lake. Raises LakeError."""
        self._waiting += 1
        try:
            return await self._twice(self._ask, question, *details)
        except LakeError as error:
            self._note_unanswered(error, question, details)
            raise
        finally:
            self._waiting -= 1

    async def glance(self, question: Question[P, T], *details: P.args, **_: P.kwargs) -> T:
        """Answer a question as `ask` does, and keep nothing: for one that hardly anybody asks again."""
        return await self._twice(self._answer, question, *details)

    async def ask_lasting(self, question: Question[P, T], *details: P.args, **_: P.kwargs) -> T:
        """Answer a question of what was recorded once and for all; the answer outlives the versions of the lake."""
        key = (question, details)
        if key in self._lasting:
            self._lasting[key] = self._lasting.pop(key)  # the last in line to go
        else:
            while len(self._lasting) >= _LASTING_ANSWERS:
                self._lasting.pop(next(iter(self._lasting)))
            self._lasting[key] = asyncio.ensure_future(self._twice(self._answer, question, *details))
        try:
            answer: T = await asyncio.shield(self._lasting[key])
        except LakeError as error:
            self._lasting.pop(key, None)
            self._note_unanswered(error, question, details)
            raise
        return answer

    def _note_unanswered(self, error: LakeError, question: Question[..., Any], details: tuple[Any, ...]) -> None:
        if not isinstance(error, NoAnswer) and len(self._unanswered) < _KEPT_ANSWERS:
            self._unanswered[question, details] = None

    async def _twice(self, ask: Callable[..., Coroutine[Any, Any, T]], question: Question[P, T], *details: Any) -> T:
        try:
            return await ask(question, *details)
        except NoAnswer:
            raise
        except LakeError:  # its files may have been compacted away meanwhile: look at the lake afresh, once
            self._edition = self._before = None
            return await ask(question, *details)

    async def _answer(self, question: Question[..., T], *details: Any) -> T:
        edition = await self._open()
        return await _in_thread(edition.answer, question, *details)

    async def _ask(self, question: Question[..., T], *details: Any) -> T:
        edition = await self._open()
        key = (question, details)
        if key not in edition.answers:
            while len(edition.answers) >= _KEPT_ANSWERS:
                edition.answers.pop(next(iter(edition.answers)))
            edition.answers[key] = _in_thread(edition.answer, question, *details)
        try:
            answer: T = await asyncio.shield(edition.answers[key])
        except LakeError:
            edition.answers.pop(key, None)
            raise
        return answer

    async def _open(self) -> Edition:
        if self._edition is None:
            self._edition = _in_thread(Edition, self.lake, self._before)
        try:
            self._before = await asyncio.shield(self._edition)
        except (duckdb.Error, OSError) as error:
            self._edition = None
            raise LakeError(_with_advice(f"the lake cannot be opened: {one_line(error)}")) from None
        except Exception:
            self._edition = None  # else nobody would ever look again
            raise
        return self._before

    async def _poll(self) -> None:
        while True:
            try:
                now = await asyncio.get_running_loop().run_in_executor(_WATCH, stamp, self.lake)
                if self._is_news(now) or await self._is_mended():
                    self._edition = None
                    self._unanswered.clear()
                    for document, listener in list(self._listeners.items()):
                        document.add_next_tick_callback(listener)
                    await self._settle()
            except Exception:  # the poller outlives whatever goes wrong in one round
                _logger.exception("the lake could not be looked at")
            await asyncio.sleep(POLL)

    async def _settle(self) -> None:
        """Wait until those who were told of a version have their answers.

        With the next one before that, those who are slower would ask all of it once more, and share nothing.
        """
        deadline, idle = time.monotonic() + _LONGEST, 0
        while idle < 2 and time.monotonic() < deadline:
            await asyncio.sleep(POLL / 5)
            idle = 0 if self._waiting else idle + 1

    def _is_news(self, now: Stamp) -> bool:
        """Tell whether the lake moved on since the last look, or since the edition that is open was opened."""
        edition = _result(self._edition)
        stale = edition is not None and edition.stamp != now
        moved = self._seen not in {None, now}
        self._seen = now
        return stale or moved

    async def _is_mended(self) -> bool:
        """Tell whether a question that had no answer has one now: a file that is put back changes no log."""
        if not self._unanswered:
            self._patience = POLL
            return False
        if time.monotonic() < self._next_try:
            return False
        mended = await _in_thread(_has_answer, self.lake, list(self._unanswered))
        self._patience = min(2 * self._patience, _SELDOM)
        self._next_try = time.monotonic() + self._patience
        return mended

    def _leave(self, document: Document) -> None:
        self._listeners.pop(document, None)


@functools.cache
def hub() -> Hub:
    """Return the hub of this process, over the settings' lake."""
    shared = Hub(Lake.open())
    atexit.register(shared.close)
    return shared


def _in_thread(work: Callable[..., T], *details: Any) -> asyncio.Future[T]:
    return asyncio.get_running_loop().run_in_executor(_POOL, functools.partial(work, *details))


def _result(asked: asyncio.Future[T] | None) -> T | None:
    """Return what a future has come to; None while that is nothing."""
    if asked is None or not asked.done() or asked.cancelled() or asked.exception() is not None:
        return None
    return asked.result()


def _with_advice(reason: str) -> str:
    return reason if _DOCTOR in reason else f"{reason}; {_DOCTOR} shows what is wrong with the lake"


def _has_answer(lake: Lake, asked: list[tuple[Question[..., Any], tuple[Any, ...]]]) -> bool:
    """Tell whether one of the questions has an answer in the lake as it is now."""
    try:
        edition = Edition(lake)
    except (duckdb.Error, OSError):
        return False
    for question, details in asked:
        with contextlib.suppress(LakeError):
            edition.answer(question, *details)
            return True
    return False


def stamp(lake: Lake) -> Stamp:
    """Return what changes with every commit, at the price of a look at each table's folder."""
    return tuple(_mark(lake, name) for name in TABLES)


def _mark(lake: Lake, name: str) -> Mark:
    log = lake.path(name) / "_delta_log"
    try:
        changed = log.stat().st_mtime_ns
        count = _count if time.time_ns() - changed < _COARSE else _counted
        return changed, count(log, changed)
    except OSError:
        return 0, 0


def _opened(lake: Lake, known: Mapping[str, Opened]) -> dict[str, Opened]:
    """Return the tables that can be read, by name; of those that are `known` from before only news are read."""
    opened = {}
    # As `connect` does: who is in `runs` is whole in the others, so these are looked at once that is opened.
    for name in sorted(TABLES, key=lambda name: name != "runs"):
        mark, before = _mark(lake, name), known.get(name)
        with contextlib.suppress(LakeError, OSError):  # `connect` says why
            opened[name] = before if before and before.mark == mark else _renewed(lake, name, mark, before)
    return opened


def _renewed(lake: Lake, name: str, mark: Mark, before: Opened | None) -> Opened:
    """Open a table that had commits since `before`; if its log has only grown since, read what is new in it."""
    if before is not None and before.delta is not None and mark[1] > before.mark[1]:
        with contextlib.suppress(DeltaError):
            before.delta.update_incremental()
            return Opened(mark, before.delta, scan_of(lake, name, before.delta))
    delta = lake.table(name)
    return Opened(mark, delta, scan_of(lake, name, delta))


def _count(log: Path, changed: int) -> int:  # noqa: ARG001  of a folder that does not change it is told once
    return sum(1 for _ in log.iterdir())


_counted = functools.lru_cache(4 * len(TABLES))(_count)


def background(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Start work on the loop, kept from the garbage collector; what it raises goes to the log."""
    task = asyncio.get_running_loop().create_task(work)
    _tasks.add(task)
    task.add_done_callback(_finish)
    return task


_tasks: set[asyncio.Task[None]] = set()


def _finish(task: asyncio.Task[None]) -> None:
    _tasks.discard(task)
    if not task.cancelled() and task.exception() is not None:
        _logger.error("a page could not be filled", exc_info=task.exception())
