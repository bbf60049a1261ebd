"""The page of the data: every series of the lake, how fresh and how whole it is, and what a collection would fetch."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import pandas as pd
from panel.viewable import Viewable

from dashboards import data_queries, data_words
from dashboards.coverage_card import CoverageCard
from dashboards.data_queries import Series
from dashboards.hub import background
from dashboards.look import asset, part
from dashboards.queries import Connection
from dashboards.search import LONGEST
from dashboards.series_controls import Choices, Freshness, SearchBox, SeriesTable
from dashboards.session import Card, Session, Words
from data.errors import LakeError

LISTED = 100
"""How many series the table shows at a time; the others are found by typing."""

DRAWN = 16
"""How many of them have a row on the line of time."""

T = TypeVar("T")

_WHOLE: dict[str, Any] = {"sizing_mode": "stretch_width", "margin": 0}


class Look(NamedTuple):
    """What a look at the lake found, and what could not be read of it."""

    series: list[Series]
    faults: list[str]


class DataPage:
    """One visitor's page of the data; the series picked, the search, the order and the kind stand in the address."""

    slug = "data"
    title = "Data"
    markup = asset("data.html")

    def __init__(self, session: Session) -> None:
        self.session = session
        self._found: list[Series] = []
        self._wanted = ""
        self._picked: Series | None = None
        self._turn = 0
        self._stale = self._following = False
        query = session.query
        self._search = SearchBox(find=query.get("find", "")[:LONGEST], **_WHOLE)
        self._table = SeriesTable(heads=data_words.heads(), order=query.get("sort") or "name", **_WHOLE)
        self._freshness = Freshness(visible=False, **_WHOLE)
        self._kinds = Choices(chosen=query.get("kind", ""), label="Kind of fact", **_WHOLE)
        self._status, self._notice = Words("The status"), Words("The list of series")
        self._tiles, self._series = Words("The key figures"), Card("The table of series")
        self._line = CoverageCard(session, lambda name: self._pick(name.address))
        self._head, self._next = Words("The series"), Words("What the next collection fetches")
        self._facts = Words("The list of facts")
        self._search.param.watch(lambda _: self._list_anew(), "find")
        self._table.param.watch(lambda _: self._list_anew(), "order")
        self._table.param.watch(lambda event: self._pick(event.new), "picked")
        self._kinds.param.watch(lambda _: self._choose(), "chosen")
        session.on_theme = self._repaint

    @property
    def slots(self) -> Mapping[str, Viewable]:
        """The cards; in the head the search and the status."""
        cards = {
            "status": self._status, "notice": self._notice, "tiles": self._tiles, "table": self._series,
            "line": self._line, "head": self._head, "next": self._next, "facts": self._facts,
        }  # fmt: skip
        slots = {name: card.slot for name, card in cards.items()}
        return {"control": self._search, "fresh": self._freshness, "kinds": self._kinds, **slots}

    def preview(self) -> Mapping[str, str]:
        """Return nothing: the log that tells all is read at once."""
        return {}

    async def update(self, **query: str) -> None:
        """Fill the page with the series that the address names, or with the first."""
        self._turn += 1
        self._wanted = query.get("series", "")
        await self._fill(self._turn)

    def lake_changed(self) -> None:
        """Bring all cards up to date; versions that come meanwhile are looked at together."""
        self._stale = True
        if not self._following:
            background(self._follow())

    async def _follow(self) -> None:
        """Follow the lake, for no more than a tenth of the time."""
        self._following = True
        try:
            while self._stale:
                self._stale = False
                began = time.monotonic()
                await self._fill(self._turn)
                await asyncio.sleep(9 * (time.monotonic() - began))
        finally:
            self._following = False

    async def _fill(self, turn: int) -> None:
        try:
            found, faults = await self._look()
        except LakeError as error:
            reason = str(error)
            self._apply(turn, lambda: self._tell_fault(reason))
            return
        first = data_words.ordered(found, self._table.order)[:1]
        wanted = [one for one in found if one.name.address == self._wanted]
        picked = next(iter(wanted if self._wanted else first), None)
        self._apply(turn, lambda: self._begin(found, faults, picked))
        if picked is not None:
            await asyncio.gather(
                self._draw(found, picked), self._tell_next(turn, picked), self._tell_facts(turn, picked)
            )

    async def _look(self) -> Look:
        """Return all series with what is known of them. Raises LakeError where not even these can be told."""
        found = await self.session.hub.ask(data_queries.series, self.session.hub.lake)
        faults = [f"{name} is left out: its timeframe is none" for name in found.strange]
        remarks = await self._known(data_queries.remarks, faults)
        calendars = await self._known(data_queries.calendars, faults)
        return Look(data_queries.with_remarks(found.series, remarks, calendars), faults)

    async def _known(self, question: Callable[[Connection], T], faults: list[str]) -> T | None:
        try:
            return await self.session.hub.ask(question)
        except LakeError as error:
            faults.append(str(error))
            return None

    def _apply(self, turn: int, change: Callable[[], None]) -> None:
        """Change the page, unless another series was picked since this turn."""
        self.session.apply(lambda: change() if turn == self._turn else None)

    def _begin(self, found: list[Series], faults: list[str], picked: Series | None) -> None:
        other = self._picked is None or picked is None or self._picked.name != picked.name
        self._found, self._picked = found, picked
        self._say()
        if picked is None:
            absent = data_words.absent(self._wanted, found[0], self.session.theme) if found else data_words.NONE_YET
            self._notice.show(absent, alone=True)
            return
        self._wanted = picked.name.address
        self.session.visit(series=self._wanted)
        said = [part("fault", title="Something is left out of this page", text=fault) for fault in faults]
        self._notice.show(*said) if said else self._notice.clear()
        self._tiles.show(data_words.tiles(found))
        self._list()
        if not self._series.is_filled:
            self._series.show(self._table)
        if other:
            for card in (self._next, self._facts):
                card.wait()
        self._head.show(data_words.head(picked))
        self._freshness.param.update(visible=True, **data_words.schedule(picked))

    def _list(self) -> None:
        """List the series that have the words of the search; the caller holds the document's lock."""
        shown = self._listed(self._found)
        late = [one.due + one.step for one in self._found if one.due is not None]
        self._table.param.update(
            rows=[data_words.row(one) for one in shown[:LISTED]],
            found=len(shown),
            late=sorted(map(data_words.milliseconds, late)),
            picked=self._wanted,
        )

    def _listed(self, found: list[Series]) -> list[Series]:
        """Return the series that have the words of the search, in the order of the table."""
        return data_words.matching(data_words.ordered(found, self._table.order), self._search.find)

    def _list_anew(self) -> None:
        self.session.visit(find=self._search.find, sort=self._table.order)
        self._list()
        self._repaint()

    def _repaint(self) -> None:
        if self._picked is not None:
            background(self._draw(self._found, self._picked))

    async def _draw(self, found: list[Series], picked: Series) -> None:
        """Draw the first of the series listed, with the picked one above them where it comes later."""
        listed = self._listed(found)
        shown = [picked, *listed[: DRAWN - 1]] if picked in listed[DRAWN:] else listed[:DRAWN]
        await self._line.draw(shown, picked.name.address)

    async def _tell_next(self, turn: int, picked: Series) -> None:
        try:
            unasked = await self.session.hub.ask(data_queries.unasked, picked)
        except LakeError as error:
            reason = str(error)
            self._apply(turn, lambda: self._next.fail(reason))
            return
        now = pd.Timestamp.now("UTC").tz_localize(None)
        told = data_words.collections(picked, unasked, now)
        self._apply(turn, lambda: self._next.show(told))

    async def _tell_facts(self, turn: int, picked: Series) -> None:
        kind = self._kinds.chosen
        try:
            counts = await self.session.hub.ask(data_queries.kinds, picked.name)
            rows = await self.session.hub.ask(data_queries.facts, picked.name, kind)
        except LakeError as error:
            reason = str(error)
            self._apply(turn, lambda: self._facts.fail(reason))
            return
        self._apply(turn, lambda: self._show_facts(data_words.facts(rows, counts, kind), counts))

    def _show_facts(self, told: str, counts: dict[str, int]) -> None:
        self._kinds.options = data_words.kinds(counts, self._kinds.chosen)
        self._facts.show(told)

    def _choose(self) -> None:
        self.session.visit(kind=self._kinds.chosen)
        if self._picked is not None:
            background(self._tell_facts(self._turn, self._picked))

    def _pick(self, address: str) -> None:
        if address and address != self._wanted:
            background(self.update(series=address))

    def _say(self, fault: str = "") -> None:
        count = f"{len(self._found):,} series"
        self._status.show(part("status", count=count, lake=self.session.hub.lake.root.name, fault=fault))

    def _tell_fault(self, reason: str) -> None:
        self._say(fault="cannot be read")
        self._notice.fail(reason, alone=self._picked is None)
