"""The charts of a run: price, equity and drawdown, as finely as the screen shows what is in view."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pandas as pd

from dashboards import queries
from dashboards.chart_cards import Answers, Drawn, LinkedCharts, View, drawn_or_fault, together, without_fault
from dashboards.controls import Selects
from dashboards.figures import time_bounds
from dashboards.hub import background
from dashboards.latest import Latest
from dashboards.look import PALETTES, Theme, part
from dashboards.order_queries import Level
from dashboards.preview import sketch
from dashboards.progress import extend, progress
from dashboards.queries import Connection, Rows, Run
from dashboards.renewal import move, moved
from dashboards.session import Session, instant_of
from dashboards.windows import Window
from data.errors import LakeError

if TYPE_CHECKING:
    from dashboards.charts import Charts

Markers = Callable[[Connection, Run, Window], Rows]
Levels = Callable[[Connection, Run], list[Level]]

_OUTLINED = {"candles": queries.candles, "indicators": queries.indicators, "equity": queries.equity}
"""What is told from the run's outline where a large part of a long run is in view."""

_VIEW = ("from", "to")
"""The address' parameters for what is in view, UTC."""

_AT_REST = 0.4
"""Seconds after which what is in view has come to rest."""

_PLACES = {"candles": ("price",), "equity": ("equity", "drawdown")}
"""The cards that an answer alone can fill."""


class RunCharts(LinkedCharts):
    """Price, equity and drawdown.

    They are drawn once, of candles merged over the whole run. When what is in view changes, the figures that are there
    are given candles of another length: of a few questions that come one upon the other the last is asked. Of a run of
    several markets the price is that of one, which the address' parameter `symbol` names.
    """

    def __init__(self, session: Session, markers: Markers, levels: Levels | None = None) -> None:
        """`markers` is the question for what stands at the price: trades, or fills; `levels` for lines across it."""
        titles = {"price": "The price", "equity": "The equity", "drawdown": "The drawdown"}
        super().__init__(session, {}, titles)
        self._markers, self._levels = markers, levels
        self._run: Run | None = None
        self._window: Window | None = None
        self._watched: Any = None
        self._zooming = Latest(self._zoom)
        self._noting = Latest(self._note_view)
        self._market = Selects(sizing_mode="stretch_width", margin=(0, 0, 8, 0))
        self._market.param.watch(lambda event: session.apply(lambda: self._choose(event.new)), "chosen")

    def preview(self, run: Run) -> dict[str, str]:
        """Return sketches of what somebody was shown before."""
        kept, colours = self.session.hub.kept, PALETTES[self.session.theme]
        shown = {}
        if (candles := kept(queries.candles, self._at(run), run.outline)) is not None:
            shown["price"] = sketch([(candles["close"], colours.hold)])
        if (equity := kept(queries.equity, run, run.outline)) is not None:
            held = equity["price"] / equity["price"].iloc[0] * run.cash
            shown["equity"] = sketch([(held, colours.hold), (equity["equity"], colours.equity)])
            shown["drawdown"] = sketch([(equity["drawdown"], colours.down)])
        return shown

    def in_view(self, run: Run) -> View | None:
        """Return as others do; of the run that the page begins with, what the address names."""
        if self._shown:
            return super().in_view(run)
        first, last = time_bounds(run.drawn_from, run.end_ts)
        since, until = (instant_of(self.session.query.get(name, "")) for name in _VIEW)
        start = first if since is None else max(first, since.timestamp() * 1000)
        end = last if until is None else min(last, until.timestamp() * 1000)
        return (start, end) if start < end and (start, end) != (first, last) else None

    async def ask(self, run: Run, view: View | None) -> Answers:
        """Ask for the whole, and where less is in view, for that as `finer`, with its `window`."""
        window = run.whole if view is None else run.around(*map(_time, view))
        asked = {**self._questions_of(run, run.whole), "first_open": self._keep(run, queries.first_open)}
        if self._levels is not None:
            asked["levels"] = self.session.hub.ask(self._levels, run)
        whole = await together(asked)
        finer = whole if window == run.whole else await together(self._questions_of(run, window))
        return {**whole, "finer": finer, "window": window}

    @staticmethod
    def draw(run: Run, answers: Answers, theme: Theme, view: View | None) -> tuple[Charts, Drawn]:
        """Draw all three."""
        from dashboards import charts as drawing  # seconds to import, the first time

        charts = drawing.Charts(run.drawn_from, run.end_ts, theme, view)
        drawn: Drawn = {
            "price": _price(charts, answers),
            "equity": drawn_or_fault(charts.equity, answers["equity"], run.cash, without_fault(answers["first_open"])),
            "drawdown": drawn_or_fault(charts.drawdown, answers["equity"]),
        }
        if answers["window"] != run.whole:
            drawing.show(_finer(charts, answers["finer"]))
        charts.connect()
        return charts, drawn

    async def go_on(self, run: Run) -> bool:
        """Send what is new to the figures that are there; the window moves on with what is in view."""
        turn, charts, before = self._turn, self.charts, self._run
        if (
            charts is None
            or before is None
            or self._window is None
            or run.run_id != before.run_id
            or any(card.failed for card in self.cards.values())
        ):
            return False
        bounds = time_bounds(run.drawn_from, run.end_ts)
        window = run.whole
        if self._window != before.whole:
            window = _window_at(self._window, run, *moved(charts.time, bounds))
        try:
            news = await self.session.hub.ask(progress, run, window, self.session.theme, self._markers, self._levels)
        except LakeError:  # each of the charts says what it misses
            return False
        fed = charts.sources_for(news, whole=window == run.whole)
        if fed is None:
            return False

        def change() -> None:
            if turn != self._turn or charts is not self.charts:
                return
            for source, columns in fed:
                extend(source, columns)
            move(charts.time, bounds)
            self._run, self._window = run, window
            self._look()

        self.session.apply(change)
        return True

    def above(self, run: Run, card: str) -> list[Any]:
        """Return the box to choose a market in, above the price of a run of several."""
        if card != "price" or len(run.symbols) < 2:
            return []
        options = [{"id": symbol, "title": symbol} for symbol in run.symbols]
        boxes = [{"name": "symbol", "label": "Market", "options": options}]
        self._market.param.update(boxes=boxes, chosen={"symbol": self._at(run).symbol})
        return [self._market]

    def _at(self, run: Run) -> Run:
        return run.at(self.session.query.get("symbol", ""))

    def _choose(self, chosen: dict[str, str]) -> None:
        run = self._run
        symbol = str(chosen.get("symbol", ""))
        if run is not None and symbol in run.symbols and symbol != self._at(run).symbol:
            self.session.visit(symbol=symbol)
            background(self.fill(run))

    def notice(self, run: Run, answers: Answers) -> None:
        """Watch what is in view: it may have changed while this was drawn."""
        self._run, self._window = run, answers["window"]
        if self.charts is not None and self.charts.time is not self._watched:
            self._watched = self.charts.time
            self._note(run)
            for moved in ("start", "end"):
                self._watched.on_change(moved, self._move)
        self._look()

    def _move(self, attr: str, old: Any, new: Any) -> None:  # noqa: ARG002 - Bokeh asks for these names
        self._look()
        if self._run is not None:
            self._note(self._run)

    def _note(self, run: Run) -> None:
        if not run.is_session:  # what is in view of a session moves on by itself
            self._noting.wish()

    async def _note_view(self) -> None:
        """Write what is in view into the address, once it has come to rest."""
        await asyncio.sleep(_AT_REST)
        self.session.apply(lambda: self.session.visit(**dict(zip(_VIEW, self._view_in_words(), strict=True))))

    def _view_in_words(self) -> tuple[str, str]:
        axis = None if self.charts is None else self.charts.time
        if axis is None or (axis.start, axis.end) == tuple(axis.bounds):
            return "", ""
        return _minute(axis.start), _minute(axis.end)

    def _look(self) -> None:
        if self._wanted() is not None:
            self._zooming.wish()

    async def _zoom(self) -> None:
        """Let the figures show what is wanted of the run for what is in view by now."""
        run, charts, window = self._run, self.charts, self._wanted()
        if run is None or charts is None or window is None:
            return
        answers = await together(self._questions_of(run, window))
        fed = await asyncio.to_thread(_finer, charts, answers)
        self._window = window
        self.session.apply(lambda: self._refine(charts, answers, fed))

    def _refine(self, charts: Charts, answers: Answers, fed: Any) -> None:
        from dashboards.charts import show

        if charts is not self.charts:
            return
        show(fed)
        for name, cards in _PLACES.items():
            if isinstance(answers[name], LakeError):
                for card in cards:
                    self.cards[card].fail(str(answers[name]))

    def _wanted(self) -> Window | None:
        """Return what should be shown of the run for what is in view; None where that is shown."""
        if self.charts is None or self._run is None or self._window is None:
            return None
        axis = self.charts.time
        first, last = axis.bounds
        start, end = max(first, axis.start), min(last, axis.end)
        if not start < end:
            return None
        window = _window_at(self._window, self._run, start, end)
        return None if window is self._window else window

    def _questions_of(self, run: Run, window: Window) -> dict[str, Any]:
        market = self._at(run)
        asked: dict[str, Any] = {
            name: self._rows(question, run if name == "equity" else market, window)
            for name, question in _OUTLINED.items()
        }
        hub = self.session.hub
        ask = hub.ask if window == run.whole else hub.glance
        return {**asked, "markers": ask(self._markers, market, window)}

    async def _rows(self, question: Callable[..., Rows], run: Run, window: Window) -> Rows:
        if not run.outlined(window):
            return await self.session.hub.glance(question, run, window)
        outline: Rows = await self._keep(run, question, run.outline)
        if window == run.outline:
            return outline
        return await self.session.hub.glance(question, run, window, outline)

    async def _keep(self, run: Run, question: Callable[..., Any], *details: Any) -> Any:
        """Ask what others will ask too: of a run that is over, once and for all."""
        hub = self.session.hub
        return await (hub.ask if run.is_session else hub.ask_lasting)(question, run, *details)


def _minute(milliseconds: float) -> str:
    return f"{_time(milliseconds):%Y-%m-%dT%H:%M}"


def _time(milliseconds: float) -> pd.Timestamp:
    return pd.Timestamp(milliseconds, unit="ms")


def _window_at(shown: Window, run: Run, start: float, end: float) -> Window:
    """Return the window for what is in view (milliseconds since 1970): the one shown, where that will do."""
    view = _time(start), _time(end)
    wanted = run.around(*view)
    return shown if shown.shows(*view, wanted) else wanted


def _finer(charts: Charts, answers: Answers) -> Any:
    return charts.finer(*(without_fault(answers[name]) for name in ("candles", "indicators", "markers", "equity")))


def _price(charts: Charts, answers: Answers) -> list[Any] | str:
    """Draw the price; what cannot be had of indicators, markers and levels is left out, and said above it."""
    extras = (answers["indicators"], answers["markers"], answers.get("levels"))
    faults = {str(extra) for extra in extras if isinstance(extra, LakeError)}
    drawn = drawn_or_fault(charts.price, answers["candles"], *map(without_fault, extras))
    said = [part("fault", title="Something is left out of this chart", text=fault) for fault in sorted(faults)]
    return drawn if isinstance(drawn, str) else [*said, *drawn]
