"""A card with a table of a run's rows: what is wanted of them stands in the address, and all of them can be saved."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

import pyarrow as pa

from dashboards import row_queries, row_words, sql_result
from dashboards.hub import background
from dashboards.latest import Latest
from dashboards.queries import Connection, Rows, Run
from dashboards.row_queries import PAGE, Found, Wanted
from dashboards.row_table import RowTable
from dashboards.search import LONGEST
from dashboards.session import Card, Session
from data.errors import LakeError

_FORMS: dict[str, tuple[str, Callable[[pa.Table], bytes]]] = {
    "csv": ("text/csv", sql_result.csv),
    "parquet": ("application/vnd.apache.parquet", sql_result.parquet),
}


class Topic(NamedTuple):
    """What a table is of."""

    title: str
    file: str
    """What the name of a download begins with."""
    page_of: Callable[[Connection, Run, Wanted], Found]
    whole_of: Callable[[Connection, Run, Wanted], pa.Table]
    told: Callable[[Run, Rows], list[dict[str, Any]]]
    heads: Callable[[Run], list[dict[str, str]]]
    names: tuple[str, str, str]
    """The address' parameters for the words wanted, the order, and the page from 1."""


TRADES = Topic(
    "The table of trades",
    "trades",
    row_queries.trades,
    row_queries.trades_whole,
    row_words.trade_rows,
    row_words.trade_heads,
    ("text", "sort", "at"),
)
ACCOUNT = Topic(
    "The table of the account",
    "portfolio",
    row_queries.account,
    row_queries.account_whole,
    row_words.account_rows,
    row_words.account_heads,
    ("account_text", "account_sort", "account_at"),
)
POSITIONS = Topic(
    "The table of positions",
    "positions",
    row_queries.positions,
    row_queries.positions_whole,
    row_words.position_rows,
    lambda _: row_words.POSITION_HEADS,
    ("position_text", "position_sort", "position_at"),
)


class RowCard(Card):
    """One visitor's table of rows of the run that is shown."""

    def __init__(self, session: Session, topic: Topic, **table: Any) -> None:
        """`table` are further settings of the `RowTable`."""
        super().__init__(topic.title)
        self._session, self._topic = session, topic
        self._run: Run | None = None
        self._asking = Latest(self._fill_again)
        text, order, at = topic.names
        self.table = RowTable(
            self._save,
            size=PAGE,
            text=session.query.get(text, "")[:LONGEST],
            order=session.query.get(order, ""),
            page=session.number(at) - 1,
            label=topic.title,
            **table,
        )
        self.table.param.watch(lambda _: session.apply(self._narrow), "text")
        self.table.param.watch(lambda _: session.apply(self._narrow), "order")
        self.table.param.watch(lambda _: self._turn_page(), "page")

    async def fill(self, run: Run) -> None:
        """Show the wanted page of a run's rows, or why it cannot be shown."""
        self._run = run
        wanted = self._wanted
        try:
            ask = self._session.hub.ask if wanted == Wanted() else self._session.hub.glance
            found = await ask(self._topic.page_of, run, wanted)
        except LakeError as error:
            reason = str(error)
            self._session.apply(lambda: self.fail(reason) if run is self._run else None)
            return
        if found.total and found.rows.empty:  # beyond the last page
            self._session.apply(lambda: setattr(self.table, "page", (found.total - 1) // PAGE))
            return
        rows = self._topic.told(run, found.rows)
        self._session.apply(lambda: self._show(run, wanted, found.total, rows))

    def forget(self) -> None:
        """Want the first page of all rows again, as for another run; the caller holds the document's lock."""
        self.table.param.update(text="", order="", page=0, picked="")

    @property
    def _wanted(self) -> Wanted:
        return Wanted(self.table.text[:LONGEST], self.table.order, max(0, self.table.page))

    def _show(self, run: Run, wanted: Wanted, count: int, rows: list[dict[str, Any]]) -> None:
        if run is self._run and wanted == self._wanted:
            self.table.param.update(heads=self._topic.heads(run), rows=rows, found=count)
            self.show(self.table)

    def _narrow(self) -> None:
        text, order, _ = self._topic.names
        self._session.visit(**{text: self.table.text, order: self.table.order})
        if self.table.page:
            self.table.page = 0
        else:
            self._ask()

    def _turn_page(self) -> None:
        page = self.table.page
        self._session.visit(**{self._topic.names[2]: str(page + 1) if page > 0 else ""})
        self._ask()

    def _ask(self) -> None:
        self._asking.wish()  # a filter changes with every key, and a long table is searched for seconds

    async def _fill_again(self) -> None:
        if self._run is not None:
            await self.fill(self._run)

    def _save(self, form: str) -> None:
        if form in _FORMS and self._run is not None:
            background(self._write(form, self._run))

    async def _write(self, form: str, run: Run) -> None:
        kind, written = _FORMS[form]
        try:
            rows = await self._session.hub.glance(self._topic.whole_of, run, self._wanted)
        except LakeError as error:
            reason = str(error)
            self._session.apply(lambda: self.fail(reason))
            return
        content = await asyncio.to_thread(written, rows)
        self._session.apply(lambda: self.table.send(f"{self._topic.file}-{run.run_id}.{form}", kind, content))
