"""The cards of a run's charts: asked for together, drawn in a thread, shown as each can be had."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import panel as pn

from dashboards import queries
from dashboards.hub import background
from dashboards.look import PALETTES, Theme, part
from dashboards.preview import sketch
from dashboards.queries import Run
from dashboards.renewal import renew
from dashboards.session import Card, Session
from data.errors import LakeError

if TYPE_CHECKING:
    from dashboards.charts import Charts

_THREAD = ThreadPoolExecutor(1, thread_name_prefix="charts")  # HoloViews keeps state of its own: one drawing at a time
_logger = logging.getLogger("jarvis.dashboard")

Answers = dict[str, Any]
"""What each question was answered, or the LakeError that it met."""

View = tuple[float, float]
Drawn = dict[str, list[Any] | str]
"""Figures by card, with words above them where something is left out, or the reason why there are none."""


class ChartCards:
    """Price, equity and drawdown of one run at a time, on one axis of time."""

    def __init__(self, session: Session, markers: Callable[..., Any]) -> None:
        """`markers` is the question for what stands at the price: trades, or fills."""
        self._session = session
        self._questions = {
            "candles": queries.candles,
            "indicators": queries.indicators,
            "markers": markers,
            "equity": queries.equity,
            "first_open": queries.first_open,
        }
        self._turn = 0
        self._time: Any = None
        self._shown = ""
        self._drawn: Drawn = {}
        self._behind: Run | None = None
        self._following = False
        self.cards = {"price": Card("The price"), "equity": Card("The equity"), "drawdown": Card("The drawdown")}

    def preview(self, run: Run) -> dict[str, str]:
        """Return sketches of what somebody was shown before."""
        kept, colours = self._session.hub.kept, PALETTES[self._session.theme]
        shown = {}
        if (candles := kept(queries.candles, run)) is not None:
            shown["price"] = sketch([(candles["close"], colours.hold)])
        if (equity := kept(queries.equity, run)) is not None:
            held = equity["price"] / equity["price"].iloc[0] * run.cash
            shown["equity"] = sketch([(held, colours.hold), (equity["equity"], colours.equity)])
            shown["drawdown"] = sketch([(equity["drawdown"], colours.down)])
        return shown

    async def fill(self, run: Run) -> None:
        """Ask, draw and show; the same run drawn again keeps the part of time that is in view."""
        self._turn += 1
        self._behind = None
        await self._fill(self._turn, run, self._show)

    def follow(self, run: Run) -> None:
        """Bring the charts of the run that is shown up to date where they stand, soon.

        Drawing is the most expensive thing that a page does: it may take a tenth of the time, no more.
        """
        self._behind = run
        if not self._following:
            background(self._follow())

    async def _follow(self) -> None:
        self._following = True
        try:
            while (run := self._behind) is not None:
                self._behind = None
                began = time.monotonic()
                await self._fill(self._turn, run, self._renew)
                await asyncio.sleep(9 * (time.monotonic() - began))
        finally:
            self._following = False

    async def _fill(self, turn: int, run: Run, show: Callable[[Run, Any, Drawn], None]) -> None:
        answers = await self._ask(run)
        view = (self._time.start, self._time.end) if self._time is not None and run.run_id == self._shown else None
        draw = asyncio.get_running_loop().run_in_executor(_THREAD, _draw, run, answers, self._session.theme, view)
        axis, drawn = await draw
        self._session.apply(lambda: show(run, axis, drawn) if turn == self._turn else None)

    async def _ask(self, run: Run) -> Answers:
        asked = [self._session.hub.ask(question, run) for question in self._questions.values()]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, LakeError):
                raise answer
        return dict(zip(self._questions, answers, strict=True))

    def _renew(self, run: Run, axis: Any, drawn: Drawn) -> None:
        if not renew(self._time, self._drawn, axis, drawn):
            self._show(run, axis, drawn)

    def _show(self, run: Run, axis: Any, drawn: Drawn) -> None:
        self._time, self._shown, self._drawn = axis, run.run_id, drawn
        for name, figures in drawn.items():
            if isinstance(figures, str):
                self.cards[name].fail(figures)
            else:
                self.cards[name].show(*map(_pane, figures))


def _pane(content: Any) -> Any:
    return content if isinstance(content, str) else pn.pane.Bokeh(content, sizing_mode="stretch_width", margin=0)


def _draw(run: Run, answers: Answers, theme: Theme, view: View | None) -> tuple[Any, Drawn]:
    from dashboards.charts import Charts  # seconds to import, the first time

    charts = Charts(run.drawn_from, run.end_ts, theme, view)
    drawn: Drawn = {
        "price": _price(charts, answers),
        "equity": _drawn(charts.equity, answers["equity"], run.cash, _without_fault(answers["first_open"])),
        "drawdown": _drawn(charts.drawdown, answers["equity"]),
    }
    charts.connect()
    return charts.time, drawn


def _price(charts: Charts, answers: Answers) -> list[Any] | str:
    """Draw the price; what cannot be had of indicators and markers is left out, and said above it."""
    extras = (answers["indicators"], answers["markers"])
    faults = {str(extra) for extra in extras if isinstance(extra, LakeError)}
    drawn = _drawn(charts.price, answers["candles"], *map(_without_fault, extras))
    said = [part("fault", title="Something is left out of this chart", text=fault) for fault in sorted(faults)]
    return drawn if isinstance(drawn, str) else [*said, *drawn]


def _without_fault(answer: Any) -> Any:
    return None if isinstance(answer, LakeError) else answer


def _drawn(draw: Callable[..., list[Any]], answer: Any, *others: Any) -> list[Any] | str:
    if isinstance(answer, LakeError):
        return str(answer)
    try:
        return draw(answer, *others)
    except Exception as error:  # whatever a library makes of odd data spoils this card alone
        _logger.exception("a chart could not be drawn")
        return f"it could not be drawn: {type(error).__name__}"
