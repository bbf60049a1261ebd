"""The page of a backtest: its figures, price with entries and exits, equity, drawdown, portfolio, trades, manifest."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from panel.viewable import Viewable

from dashboards import queries, run_words
from dashboards.chart_cards import ChartCards
from dashboards.controls import RunPicker
from dashboards.hub import background
from dashboards.look import PALETTES, asset, part
from dashboards.metric_words import Metrics
from dashboards.preview import sketch
from dashboards.queries import Run
from dashboards.session import Card, Session
from dashboards.trade_table import trade_table
from data.errors import LakeError

_LISTED = 200
"""How many runs the picker shows at a time; the others are found by typing."""


class BacktestPage:
    """One visitor's page of backtests; which one is picked stands in the address."""

    slug = "backtest"
    title = "Backtest"
    markup = asset("backtest.html")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._wanted = ""
        self._run: Run | None = None
        self._runs: list[Run] = []
        self._turn = 0
        self._picker = RunPicker(sizing_mode="stretch_width", margin=0)
        self._picker.param.watch(lambda event: self._pick(event.new), "run")
        self._picker.param.watch(lambda _: self._list(), "search")
        self._notice, self._status = Card("The list of runs"), Card("The status")
        self._head, self._tiles, self._portfolio = Card("The run"), Card("The key figures"), Card("The portfolio")
        self._trades, self._manifest = Card("The table of trades"), Card("The manifest")
        self._charts = ChartCards(session)
        session.on_theme = self._repaint

    @property
    def slots(self) -> Mapping[str, Viewable]:
        """The cards, and in the head the picker and the status."""
        return {"control": self._picker, "status": self._status.slot, "notice": self._notice.slot} | {
            name: card.slot for name, card in self._cards.items()
        }

    @property
    def _cards(self) -> dict[str, Card]:
        tables = {"portfolio": self._portfolio, "trades": self._trades, "manifest": self._manifest}
        return {"head": self._head, "tiles": self._tiles, **self._charts.cards, **tables}

    def preview(self) -> Mapping[str, str]:
        """Return the figures and charts that somebody was shown before, for the first instant of the page."""
        kept = self._session.hub.kept
        run = _find(kept(queries.runs, self.slug) or [], self._session.query["run"])
        if run is None:
            return {}
        shown = {"head": run_words.head(run)}
        colours = PALETTES[self._session.theme]
        if (metrics := kept(queries.metrics, run)) is not None:
            shown["tiles"] = part("tiles", tiles=Metrics(run, metrics).tiles())
        if (candles := kept(queries.candles, run)) is not None:
            shown["price"] = sketch([(candles["close"], colours.hold)])
        if (equity := kept(queries.equity, run)) is not None:
            held = equity["price"] / equity["price"].iloc[0] * run.cash
            shown["equity"] = sketch([(held, colours.hold), (equity["equity"], colours.equity)])
            shown["drawdown"] = sketch([(equity["drawdown"], colours.down)])
        return shown

    async def update(self, **query: str) -> None:
        """Fill the page with the run that the address names, or with the newest."""
        self._turn += 1
        turn = self._turn
        self._wanted = query.get("run", "")
        try:
            runs = await self._session.hub.ask(queries.runs, self.slug)
        except LakeError as error:
            reason = str(error)
            self._apply(turn, lambda: self._tell_fault(reason))
            return
        run = _find(runs, self._wanted)
        self._apply(turn, lambda: self._begin(runs, run))
        if run is not None:
            await asyncio.gather(
                self._charts.fill(run),
                self._fill(turn, self._trades, queries.trades, run, lambda rows: trade_table(run, rows)),
                self._fill_figures(turn, run),
            )

    def lake_changed(self) -> None:
        """List the new runs; fill the page if it waits for its run, or if something could not be read."""
        background(self._refresh())

    async def _refresh(self) -> None:
        if self._run is None or any(card.failed for card in self._cards.values()):
            await self.update(run=self._run.run_id if self._run else self._wanted)
            return
        try:
            runs = await self._session.hub.ask(queries.runs, self.slug)
        except LakeError as error:
            reason = str(error)
            self._apply(self._turn, lambda: self._say(fault=reason))
            return
        self._apply(self._turn, lambda: self._list(runs))

    def _pick(self, run_id: str) -> None:
        if run_id and (self._run is None or run_id != self._run.run_id):
            background(self.update(run=run_id))

    def _repaint(self) -> None:
        if self._run is not None:
            background(self._charts.fill(self._run))

    def _apply(self, turn: int, change: Callable[[], None]) -> None:
        self._session.apply(lambda: change() if turn == self._turn else None)

    def _begin(self, runs: list[Run], run: Run | None) -> None:
        self._run = run
        self._list(runs)
        if run is None:
            self._tell_absent(runs)
            return
        self._notice.clear()
        self._session.visit(run=run.run_id)
        self._picker.run = run.run_id
        for card in self._cards.values():
            card.wait()
        self._head.show(run_words.head(run))
        self._manifest.show(part("manifest", run=run, text=run_words.manifest(run)))

    async def _fill(
        self, turn: int, card: Card, question: Callable[..., Any], run: Run, shown: Callable[[Any], list[Any]]
    ) -> None:
        try:
            answer = await self._session.hub.ask(question, run)
        except LakeError as error:
            reason = str(error)
            self._apply(turn, lambda: card.fail(reason))
            return
        self._apply(turn, lambda: card.show(*shown(answer)))

    async def _fill_figures(self, turn: int, run: Run) -> None:
        tiles = self._fill(
            turn, self._tiles, queries.metrics, run, lambda rows: [part("tiles", tiles=Metrics(run, rows).tiles())]
        )
        portfolio = self._fill(
            turn,
            self._portfolio,
            queries.metrics,
            run,
            lambda rows: [part("portfolio", tables=Metrics(run, rows).portfolio())],
        )
        await asyncio.gather(tiles, portfolio)

    def _list(self, runs: list[Run] | None = None) -> None:
        self._runs = self._runs if runs is None else runs
        found = [run for run in self._runs if run_words.has(run, self._picker.search)]
        self._picker.param.update(
            runs=[run_words.option(run) for run in found[:_LISTED]],
            found=len(found),
            label=run_words.label(self._run) if self._run else "",
        )
        self._say()

    def _say(self, fault: str = "") -> None:
        count = f"{len(self._runs):,} backtest{'' if len(self._runs) == 1 else 's'}"
        self._status.show(part("status", count=count, lake=self._session.hub.lake.root.name, fault=fault))

    def _tell_fault(self, reason: str) -> None:
        self._say(fault="cannot be read")
        self._notice.fail(reason, alone=self._run is None)

    def _tell_absent(self, runs: list[Run]) -> None:
        if runs:
            self._notice.show(run_words.absent(self._wanted, runs[0], self._session.theme), alone=True)
        else:
            self._notice.show(run_words.none_yet(), alone=True)


def _find(runs: list[Run], wanted: str) -> Run | None:
    """Return the wanted run, or the newest where none is named."""
    return next((run for run in runs if run.run_id == wanted or not wanted), None)
