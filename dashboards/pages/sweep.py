"""The page of a sweep: the verdict first, then the map of its parameters, what held out-of-sample, and its sets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from panel.viewable import Viewable

from dashboards import queries, sweep_queries, sweep_words, verdict_queries, verdict_words
from dashboards.hub import background
from dashboards.look import asset
from dashboards.queries import Rows, Run
from dashboards.row_card import RowCard, Topic
from dashboards.run_page import RunPage
from dashboards.session import Card, Session, Words
from dashboards.sweep_cards import SweepCharts
from dashboards.verdict_queries import Judged
from data.errors import LakeError


class SweepPage(RunPage):
    """One visitor's page of sweeps. A sweep is recorded whole; the runs of its best sets come a little later."""

    slug = "sweep"
    title = "Sweep"
    markup = asset("sweep.html")
    noun = "sweep"

    def __init__(self, session: Session) -> None:
        super().__init__(session, SweepCharts(session))
        self._progress = Words("The sweeps under way")
        self._walk, self._changes = Words("The walk-forward"), Words("What little changes do")
        self._sets = RowCard(
            session,
            Topic(
                "The table of parameter sets",
                "sets",
                sweep_queries.sets,
                sweep_queries.sets_whole,
                lambda _, rows: sweep_words.set_rows(rows, session.theme),
                lambda _: sweep_words.SET_HEADS,
                ("text", "sort", "at"),
            ),
        )

    @property
    def tables(self) -> Mapping[str, Card]:
        """The walk-forward, what little changes do to the best set, the sets."""
        return {"walk": self._walk, "changes": self._changes, "sets": self._sets}

    @property
    def slots(self) -> Mapping[str, Viewable]:
        """The cards, and above them the sweeps under way."""
        return {**super().slots, "progress": self._progress.slot}

    def tiles_known(self, run: Run) -> str | None:
        """Return verdict and statistics where they were asked for before."""
        metrics = self.session.hub.kept(queries.metrics, run)
        return None if metrics is None else "".join(_judged(metrics))

    async def update(self, **query: str) -> None:
        """Fill the page, and say what is under way."""
        await asyncio.gather(super().update(**query), self._tell_progress())

    async def fill(self, turn: int, run: Run) -> None:
        """Fill all the cards."""
        await asyncio.gather(
            self.show(turn, self.tiles, queries.metrics, run, _judged),
            self.charts.fill(run),
            self._fill_walk(turn, run),
            self.show(turn, self._changes, verdict_queries.judged, run, _changed),
            self._sets.fill(run),
        )

    async def _fill_walk(self, turn: int, run: Run) -> None:
        """Show the tests of a walk-forward; a sweep without has no such card."""
        try:
            found = await self.session.hub.ask(verdict_queries.folds, run)
        except LakeError as error:
            reason = str(error)
            self.apply(turn, lambda: self._walk.fail(reason))
            return
        told = verdict_words.folds(found)
        self.apply(turn, lambda: self._walk.clear() if found.empty else self._walk.show(told))

    async def follow(self, turn: int, run: Run) -> None:
        """Link what was run in full meanwhile; fill the page again if something could not be read."""
        if any(card.failed for card in self.cards.values()):
            await self.mend(turn, run)
        else:
            await self._sets.fill(run)

    async def _refresh_once(self) -> None:
        await asyncio.gather(super()._refresh_once(), self._tell_progress())

    async def _tell_progress(self) -> None:
        try:
            found = await self.session.hub.ask(sweep_queries.under_way, self.session.hub.lake)
        except LakeError as error:
            reason = str(error)
            self.session.apply(lambda: self._progress.fail(reason))
            return
        told = sweep_words.progress(found, time.time())
        self.session.apply(lambda: self._progress.show(told) if told else self._progress.clear())

    def _begin(self, runs: list[Run], run: Run | None) -> None:
        if run is not None and self.run is not None and run.run_id != self.run.run_id:
            self._sets.forget()
        super()._begin(runs, run)

    def _repaint(self) -> None:
        super()._repaint()
        if self.run is not None:
            background(self._sets.fill(self.run))


def _judged(metrics: Rows) -> list[str]:
    return [sweep_words.verdict(metrics), sweep_words.tiles(metrics)]


def _changed(found: Judged) -> list[str]:
    return [verdict_words.sensitivity(found)]
