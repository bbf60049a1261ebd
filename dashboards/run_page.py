"""What the pages of runs have in common: the picker, the list that grows as runs land, the cards of the run picked."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from panel.viewable import Viewable

from dashboards import queries, run_words
from dashboards.chart_cards import LinkedCharts
from dashboards.controls import RunPicker
from dashboards.hub import background
from dashboards.latest import sparingly
from dashboards.look import part
from dashboards.queries import Run
from dashboards.session import Card, Session, Words
from data.errors import LakeError

_LISTED = 200
"""How many runs the picker shows at a time; the others are found by typing."""


class Drawings(Protocol):
    """The cards of a run's charts."""

    cards: dict[str, Card]

    def preview(self, run: Run) -> dict[str, str]:
        """Return sketches of what somebody was shown before, by card."""

    async def fill(self, run: Run) -> None:
        """Ask, draw and show."""


class RunPage(ABC):
    """One visitor's page of runs of a kind; which one is picked stands in the address."""

    slug: str
    title: str
    markup: str
    noun: str
    """The kind of runs, in the singular."""
    charts: Drawings

    def __init__(self, session: Session, charts: Drawings) -> None:
        self.session = session
        self.run: Run | None = None
        self._wanted = ""
        self._runs: list[Run] = []
        self._turn = 0
        self._picker = RunPicker(sizing_mode="stretch_width", margin=0)
        self._picker.param.watch(lambda event: self._pick(event.new), "run")
        self._picker.param.watch(lambda _: self._list(), "search")
        self._notice, self._status = Words("The list of runs"), Words("The status")
        self._head, self._manifest = Words("The run"), Words("The manifest")
        self.tiles = Words("The key figures")
        self.charts = charts
        self._stale = self._following = False
        session.on_theme = self._repaint

    @property
    @abstractmethod
    def tables(self) -> Mapping[str, Card]:
        """The cards below the charts, by slot."""

    @abstractmethod
    def tiles_known(self, run: Run) -> str | None:
        """Return the key figures of a run, where all that they need was asked before."""

    @abstractmethod
    async def fill(self, turn: int, run: Run) -> None:
        """Fill tiles, charts and tables with a run that was picked just now."""

    @abstractmethod
    async def follow(self, turn: int, run: Run) -> None:
        """Bring tiles, charts and tables up to date, as the lake has changed."""

    def links(self, run: Run) -> list[tuple[str, str]]:  # noqa: ARG002 - some pages have some
        """Return the links beside the name of a run: words and address."""
        return []

    def choose(self, runs: list[Run], wanted: str) -> Run | None:
        """Return the run to show: the wanted one, or the newest where none is named."""
        return next((run for run in runs if run.run_id == wanted or not wanted), None)

    @property
    def cards(self) -> dict[str, Card]:
        """The cards that tell of the run, by slot."""
        return {
            "head": self._head, "tiles": self.tiles, **self.charts.cards, **self.tables, "manifest": self._manifest,
        }  # fmt: skip

    @property
    def slots(self) -> Mapping[str, Viewable]:
        """The cards, and in the head the picker and the status."""
        return {"control": self._picker, "status": self._status.slot, "notice": self._notice.slot} | {
            name: card.slot for name, card in self.cards.items()
        }

    @property
    def known(self) -> Run | None:
        """The run that the address names, where the list of runs was asked for before."""
        return self.choose(self.session.hub.kept(queries.runs, self.noun) or [], self.session.query["run"])

    def preview(self) -> Mapping[str, str]:
        """Return the figures and charts that somebody was shown before, for the first instant of the page."""
        run = self.known
        if run is None:
            return {}
        tiles = self.tiles_known(run)
        return {
            "head": run_words.head(run, self.links(run)),
            **self.charts.preview(run),
            **({"tiles": tiles} if tiles else {}),
        }

    async def update(self, **query: str) -> None:
        """Fill the page with the run that the address names, or with the newest."""
        self._turn += 1
        turn = self._turn
        self._wanted = query.get("run", "")
        try:
            runs = await self.session.hub.ask(queries.runs, self.noun)
        except LakeError as error:
            reason = str(error)
            self.apply(turn, lambda: self._tell_fault(reason))
            return
        run = self.choose(runs, self._wanted)
        self.apply(turn, lambda: self._begin(runs, run))
        if run is not None:
            await self.fill(turn, run)

    def lake_changed(self) -> None:
        """List the new runs; fill the page if it waits for its run, else let it follow."""
        self._stale = True
        if not self._following:
            background(self._refresh())

    async def _refresh(self) -> None:
        """Follow the lake; versions that come meanwhile are looked at together."""
        self._following = True
        try:
            while self._stale:
                self._stale = False
                await self._refresh_once()
        finally:
            self._following = False

    async def _refresh_once(self) -> None:
        turn, shown = self._turn, self.run
        if shown is None:
            await self.update(run=self._wanted)
            return
        try:
            runs = await self.session.hub.ask(queries.runs, self.noun)
        except LakeError as error:
            reason = str(error)
            self.apply(turn, lambda: self._say(fault=reason))
            return
        self.apply(turn, lambda: self._list(runs))
        run = next((run for run in runs if run.run_id == shown.run_id), None)
        if run is not None:
            await self.follow(turn, run)

    def apply(self, turn: int, change: Callable[[], None]) -> None:
        """Change the page, unless another run was picked since this turn."""
        self.session.apply(lambda: change() if turn == self._turn else None)

    async def mend(self, turn: int, run: Run) -> None:
        """Fill the cards again for one that could not be; that may take a tenth of the time, no more."""
        await sparingly(self.fill(turn, run))

    async def show(
        self, turn: int, card: Card, question: Callable[..., Any], run: Run, shown: Callable[[Any], list[Any]]
    ) -> None:
        """Ask, and show the answer in a card, or why there is none."""
        try:
            answer = await self.session.hub.ask(question, run)
        except LakeError as error:
            reason = str(error)
            self.apply(turn, lambda: card.fail(reason))
            return
        self.apply(turn, lambda: card.show(*shown(answer)))

    def show_head(self, run: Run, *below: str) -> None:
        """Show the name and circumstances of a run, which is the one picked; the caller holds the document's lock."""
        self.run = run
        self._head.show(run_words.head(run, self.links(run)), *below)

    def _pick(self, run_id: str) -> None:
        if run_id and (self.run is None or run_id != self.run.run_id):
            background(self.update(run=run_id))

    def _repaint(self) -> None:
        if self.run is not None:
            background(self.charts.fill(self.run))

    def _begin(self, runs: list[Run], run: Run | None) -> None:
        self.run = run
        self._list(runs)
        if run is None:
            self._tell_absent(runs)
            return
        self._notice.clear()
        self.session.visit(run=run.run_id)
        self._picker.run = run.run_id
        for card in self.cards.values():
            card.wait()
        self.show_head(run)
        self._manifest.show(part("manifest", run=run, text=run_words.manifest(run)))

    def _list(self, runs: list[Run] | None = None) -> None:
        self._runs = self._runs if runs is None else runs
        found = run_words.matching(self._runs, self._picker.search)
        self._picker.param.update(
            runs=[run_words.option(run) for run in found[:_LISTED]],
            found=len(found),
            label=run_words.label(self.run) if self.run else "",
        )
        self._say()

    def _say(self, fault: str = "") -> None:
        count = f"{len(self._runs):,} {self.noun}{'' if len(self._runs) == 1 else 's'}"
        self._status.show(part("status", count=count, lake=self.session.hub.lake.root.name, fault=fault))

    def _tell_fault(self, reason: str) -> None:
        self._say(fault="cannot be read")
        self._notice.fail(reason, alone=self.run is None)

    def _tell_absent(self, runs: list[Run]) -> None:
        if runs:
            self._notice.show(run_words.absent(self._wanted, runs[0], self.session.theme, page=self.slug), alone=True)
        else:
            self._notice.show(run_words.none_yet(self.noun), alone=True)


class GrowingPage(RunPage):
    """A page of runs that go on: it is written anew as they do, and drawn anew where that would show something else."""

    charts: LinkedCharts
    drawn: Any = None
    """What the charts depend on, as `write` last found it."""

    @abstractmethod
    async def write(self, turn: int, run: Run) -> None:
        """Write all but the charts, and set `drawn`."""

    async def fill(self, turn: int, run: Run) -> None:
        """Fill all the cards."""
        await asyncio.gather(self.charts.fill(run), self.write(turn, run))

    async def follow(self, turn: int, run: Run) -> None:
        """Write what is new; the charts follow where they would show something else."""
        before = self.drawn
        await self.write(turn, run)
        if before != self.drawn or any(card.failed for card in self.charts.cards.values()):
            self.charts.follow(run)
