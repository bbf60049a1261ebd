"""The page of parity: a session against the backtest of its candles, candle by candle, and what each cause comes to."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Mapping
from urllib.parse import urlencode

import panel as pn

from dashboards import parity_queries, parity_words
from dashboards.candle_table import CandleTable
from dashboards.hub import background
from dashboards.look import asset, part
from dashboards.parity_cards import ParityCards
from dashboards.parity_queries import Standing
from dashboards.queries import Rows, Run
from dashboards.run_page import GrowingPage
from dashboards.search import LONGEST
from dashboards.session import Card, Session, Words, instant_of
from data.errors import LakeError

_DIFFERENCES = [verdict for verdict in parity_queries.VERDICTS if verdict != "equal"]
_NOT_PICKED = "Choose a candle of the list: what the session did in it and around it, and what its backtest did."


class ParityPage(GrowingPage):
    """One visitor's page of parity; without a run in the address it lists all sessions."""

    slug = "parity"
    title = "Parity"
    markup = asset("parity.html")
    noun = "session"

    def __init__(self, session: Session) -> None:
        super().__init__(session, ParityCards(session))
        self._differing, self._candle = Card("The list of candles"), Words("The candle")
        self._causes = Words("What the causes come to")
        self._table = self._make_table()
        self._save = pn.widgets.FileDownload(
            callback=self._write_file, label="Download CSV", stylesheets=[asset("button.css")], margin=(10, 0, 0, 0)
        )

    @property
    def tables(self) -> Mapping[str, Card]:
        """The candles that differ, the one that is picked, and the causes."""
        return {"differing": self._differing, "candle": self._candle, "causes": self._causes}

    def links(self, run: Run) -> list[tuple[str, str]]:
        """Return the link to the session itself."""
        return [("Session", "?" + urlencode({"page": "live", "run": run.run_id, "theme": self.session.theme}))]

    def choose(self, runs: list[Run], wanted: str) -> Run | None:
        """Return the session that the address names; none where it names none."""
        return super().choose(runs, wanted) if wanted else None

    def tiles_known(self, run: Run) -> str | None:
        """Return the tiles where it was asked before how the session compares."""
        found = self.session.hub.kept(parity_queries.standing, run)
        return parity_words.tiles(run, found) if found is not None and found.causes else None

    async def write(self, turn: int, run: Run) -> None:
        """Write how it compares, the list, and the candle that is chosen."""
        await asyncio.gather(self._write_standing(turn, run), self._list_candles(run), self._show_candle(run))

    async def _write_standing(self, turn: int, run: Run) -> None:
        try:
            found = await self.session.hub.ask(parity_queries.standing, run)
        except LakeError as error:
            reason = str(error)
            self.apply(turn, lambda: self._fail_standing(reason))
            return
        self.drawn = run, found
        self.apply(turn, lambda: self._show_standing(run, found))

    def _show_standing(self, run: Run, found: Standing) -> None:
        if not found.causes:
            self.show_head(run)
            self._notice.show(parity_words.never(run), alone=True)
            return
        self._notice.clear()
        self.show_head(run, parity_words.verdict(run, found))
        self.tiles.show(parity_words.tiles(run, found))
        self._causes.show(parity_words.causes(run, found))

    def _fail_standing(self, reason: str) -> None:
        self.tiles.fail(reason)
        self._causes.fail(reason)

    async def _list_candles(self, run: Run) -> None:
        wanted = run.run_id, *self._narrowed, self._table.page
        try:
            found, rows = await self.session.hub.ask(parity_queries.differing, run, *wanted[1:])
        except LakeError as error:
            reason = str(error)
            self._apply_for(run, lambda: self._differing.fail(reason))
            return
        if not found or len(rows):
            self._apply_for(run, lambda: self._show_candles(wanted, found, rows))
        else:  # beyond the last page
            self._apply_for(run, lambda: setattr(self._table, "page", (found - 1) // parity_queries.PAGE))

    def _show_candles(self, wanted: tuple[str, str, str, int], found: int, rows: Rows) -> None:
        if wanted[1:] != (*self._narrowed, self._table.page):
            return
        self._table.param.update(rows=parity_words.options(rows), found=found)
        self._save.filename = f"parity-{wanted[0]}.csv"
        self._differing.show(self._table, self._save)

    async def _show_candle(self, run: Run) -> None:
        picked = self._table.candle
        told = part("said", text=_NOT_PICKED)
        if picked:
            told = part("said", text=f"No candle {picked} of this session was compared.")
            ts = instant_of(picked)
            try:
                around = [] if ts is None else await self.session.hub.ask(parity_queries.neighbourhood, run, ts)
            except LakeError as error:
                reason = str(error)
                self._apply_for(run, lambda: self._candle.fail(reason))
                return
            told = parity_words.neighbours(ts, around) if ts is not None and around else told
        self._apply_for(run, lambda: self._candle.show(told) if picked == self._table.candle else None)

    def _apply_for(self, run: Run, change: Callable[[], None]) -> None:
        """Change the page while it shows this run, whatever else was asked meanwhile."""
        self.session.apply(lambda: change() if self.run is not None and self.run.run_id == run.run_id else None)

    @property
    def _narrowed(self) -> tuple[str, str]:
        return self._table.verdict, self._table.text[:LONGEST]

    def _make_table(self) -> CandleTable:
        query = self.session.query
        table = CandleTable(
            verdicts=list(dict.fromkeys([*_DIFFERENCES, *filter(None, [query.get("verdict", "")])])),
            verdict=query.get("verdict", ""),
            text=query.get("text", ""),
            page=self.session.number("at") - 1,
            candle=query.get("candle", ""),
            size=parity_queries.PAGE,
            sizing_mode="stretch_width",
            margin=0,
        )
        table.param.watch(self._narrow, ["verdict", "text"])
        table.param.watch(self._turn_page, "page")
        table.param.watch(self._pick_candle, "candle")
        return table

    def _narrow(self, *_: object) -> None:
        self.session.visit(verdict=self._table.verdict, text=self._table.text)
        if self._table.page:
            self._table.page = 0
        else:
            self._ask_candles()

    def _turn_page(self, *_: object) -> None:
        page = self._table.page
        self.session.visit(at=str(page + 1) if page else "")
        self._ask_candles()

    def _ask_candles(self) -> None:
        if self.run is not None:
            background(self._list_candles(self.run))

    def _pick_candle(self, *_: object) -> None:
        self.session.visit(candle=self._table.candle)
        if self.run is not None:
            background(self._show_candle(self.run))

    async def _write_file(self) -> io.StringIO:
        run = self.run
        if run is None:
            return io.StringIO()
        try:
            rows = await self.session.hub.ask(parity_queries.differing_whole, run, *self._narrowed)
        except LakeError as error:
            return io.StringIO(f"{error}\n")
        return io.StringIO(await asyncio.to_thread(rows.to_csv, index=False))

    def _begin(self, runs: list[Run], run: Run | None) -> None:
        if run is not None and self.run is not None and run.run_id != self.run.run_id:
            self.run = run
            self._table.param.update(verdict="", text="", page=0, candle="")
        super()._begin(runs, run)

    def _tell_absent(self, runs: list[Run]) -> None:
        if self._wanted or not runs:
            super()._tell_absent(runs)
        else:
            background(self._show_sessions(self._turn))

    async def _show_sessions(self, turn: int) -> None:
        try:
            found = await self.session.hub.ask(parity_queries.overview)
        except LakeError as error:
            reason = str(error)
            self.apply(turn, lambda: self._notice.fail(reason, alone=True))
            return
        self.apply(turn, lambda: self._notice.show(parity_words.sessions(found, self.session.theme), alone=True))
