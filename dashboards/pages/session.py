"""The page of a session, on paper or live: where it stands, its charts, decisions, orders, account and parity."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from dashboards import queries, session_words
from dashboards.look import asset
from dashboards.queries import Account, Run
from dashboards.run_charts import RunCharts
from dashboards.run_page import GrowingPage
from dashboards.session import Card, Session
from data.errors import LakeError

Question = Callable[[queries.Connection, Run], queries.Rows]

_LISTS: dict[Question, str] = {
    queries.decisions: "No candle has closed since the session began.",
    queries.orders: "No order was made yet.",
    queries.reconciliations: "No account was compared: on paper there is none.",
}
"""What is listed, and what is said where there is nothing."""


class SessionPage(GrowingPage):
    """One visitor's page of sessions. A session goes on: the page keeps up, and sends only what has changed."""

    slug = "live"
    title = "Live"
    markup = asset("run.html") + asset("session.html")
    noun = "session"

    def __init__(self, session: Session) -> None:
        super().__init__(session, RunCharts(session, queries.fill_markers))
        self._lists = {question.__name__: Card(f"The list of {question.__name__}") for question in _LISTS}
        self._parity = Card("The parity")

    @property
    def tables(self) -> Mapping[str, Card]:
        """Decisions, orders, reconciliations and parity."""
        return {**self._lists, "parity": self._parity}

    def tiles_known(self, run: Run) -> str | None:
        """Return the tiles where the account was asked for before."""
        account = self.session.hub.kept(queries.account, run)
        return None if account is None else session_words.tiles(run, account)

    async def write(self, turn: int, run: Run) -> None:
        """Write figures, lists and parity."""
        lists = [self._list_rows(turn, run, question, otherwise) for question, otherwise in _LISTS.items()]
        parity = self.show(turn, self._parity, queries.parity, run, lambda found: [session_words.parity(run, found)])
        await asyncio.gather(self._write_figures(turn, run), parity, *lists)

    async def _list_rows(self, turn: int, run: Run, question: Question, otherwise: str) -> None:
        card = self._lists[question.__name__]
        await self.show(turn, card, question, run, lambda rows: [session_words.listing(rows, otherwise)])

    async def _write_figures(self, turn: int, run: Run) -> None:
        try:
            account = await self.session.hub.ask(queries.account, run)
        except LakeError as error:
            reason = str(error)
            self.apply(turn, lambda: self.tiles.fail(reason))
            return
        self.drawn = run, account.fills
        self.apply(turn, lambda: self._show_figures(run, account))

    def _show_figures(self, run: Run, account: Account) -> None:
        self.show_head(run, *session_words.hindrance(account))
        self.tiles.show(session_words.tiles(run, account))
