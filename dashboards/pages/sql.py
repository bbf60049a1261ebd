"""The page of SQL: a query box over the lake's views, the answer as chart, table and file.

A visitor's SQL never runs in this process (`data.walled`), and never by itself: an address only fills the box.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from panel.viewable import Viewable

from dashboards import sql_queries, sql_words
from dashboards.hub import background
from dashboards.look import asset, part
from dashboards.session import Card, Session, Words
from dashboards.sql_answer import AnswerCards
from dashboards.sql_controls import QueryBox
from dashboards.sql_examples import EXAMPLES
from data.errors import JarvisError, LakeError
from data.walled import Walled
from data.writer import Lake

_LONGEST_ADDRESS = 8_000
"""Characters that a query may take in the address, which servers and browsers do not take at any length."""

_logger = logging.getLogger("jarvis.dashboard")


class SqlPage:
    """One visitor's page of SQL, with one query under way at most."""

    slug = "sql"
    title = "SQL"
    markup = asset("sql.html")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._walled = walled(session.hub.lake)
        given = session.query.get("sql", "")
        self._box = QueryBox(
            self._hear,
            sql=given,
            hint=sql_words.FROM_ADDRESS if given else sql_words.bounds(self._walled.limits),
            examples=[{"title": title, "sql": sql.strip()} for title, sql in EXAMPLES.items()],
        )
        self._box.param.watch(lambda event: self._write(event.new), "sql")
        self._answer = AnswerCards(session)
        self._cards = {
            "status": Words("The status"),
            "notice": Words("The list of views"),
            "query": Card("The box"),
            **self._answer.cards,
        }
        self._task: asyncio.Task[None] | None = None
        session.document.on_session_destroyed(lambda _: self._stop())

    @property
    def slots(self) -> Mapping[str, Viewable]:
        """The box, the answer's cards, and in the head the status."""
        return {name: card.slot for name, card in self._cards.items()}

    def preview(self) -> Mapping[str, str]:
        """Return nothing: an answer is for its visitor alone."""
        return {}

    async def update(self, **query: str) -> None:  # noqa: ARG002 - what the address names stands in the box already
        """Show the box and the views; run nothing."""
        self._session.apply(self._begin)
        await self._list()
        self._walled.prepare()

    def lake_changed(self) -> None:
        """Look at the views again, and say that the answer is of before."""
        self._answer.lake_changed()
        background(self._list())

    def _begin(self) -> None:
        self._session.visit()
        self._cards["query"].show(self._box)
        self._answer.say(part("said", text=sql_words.NOT_RUN), part("said", text=sql_words.NO_CHART))

    async def _list(self) -> None:
        try:
            views = await self._session.hub.ask(sql_queries.views)
        except LakeError as error:
            reason = str(error)
            self._session.apply(lambda: self._cards["notice"].fail(reason))
            return
        self._session.apply(lambda: self._offer(views))

    def _offer(self, views: list[sql_queries.View]) -> None:
        self._cards["notice"].clear()
        self._box.views = [
            {**view._asdict(), "columns": [column._asdict() for column in view.columns]} for view in views
        ]
        lake = self._session.hub.lake.root.name
        self._cards["status"].show(part("status", count=f"{len(views)} views", lake=lake, fault=""))

    def _hear(self, said: str, value: Any) -> None:
        if said == "run" and isinstance(value, str):
            self._run(value)
        elif said == "stop":
            self._stop()

    def _write(self, sql: str) -> None:
        self._session.visit(sql=sql if _fits_address(sql) else "")

    def _run(self, sql: str) -> None:
        if self._task is not None and not self._task.done():
            return
        self._session.apply(lambda: self._start(sql))
        self._task = background(self._ask(sql))

    def _start(self, sql: str) -> None:
        self._write(sql)
        self._box.param.update(running=True, hint="")
        self._answer.wait()

    def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _ask(self, sql: str) -> None:
        began = time.monotonic()
        try:
            answer = await self._walled.ask(sql)
            show = await self._answer.show(answer, time.monotonic() - began)
        except asyncio.CancelledError:
            self._tell(part("said", text=sql_words.STOPPED))
            raise
        except JarvisError as error:
            self._tell(sql_words.refused(str(error)))
        except Exception as error:  # whatever a library makes of odd values spoils this answer alone
            _logger.exception("an answer could not be prepared")
            self._tell(sql_words.refused(f"it cannot be shown: {type(error).__name__}"))
        else:
            self._session.apply(lambda: self._end(show))

    def _tell(self, words: str) -> None:
        self._session.apply(lambda: self._end(lambda: self._answer.say(words, part("said", text=sql_words.NO_CHART))))

    def _end(self, show: Callable[[], None]) -> None:
        hint = sql_words.bounds(self._walled.limits)
        self._box.param.update(running=False, ended=self._box.ended + 1, hint=hint)
        show()


def _fits_address(sql: str) -> bool:
    return len(sql) <= _LONGEST_ADDRESS and len(quote(sql)) <= _LONGEST_ADDRESS  # a paste may be of megabytes


@functools.cache
def walled(lake: Lake) -> Walled:
    """Return what answers the queries of all visitors of this process."""
    shared = Walled(lake)
    atexit.register(shared.close)
    return shared
