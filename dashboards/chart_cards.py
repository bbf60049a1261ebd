"""The cards of charts: asked for together, drawn in a thread, shown as each can be had."""

from __future__ import annotations

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

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

T = TypeVar("T")

_THREAD = ThreadPoolExecutor(1, thread_name_prefix="charts")  # HoloViews keeps state of its own: one drawing at a time
_logger = logging.getLogger("jarvis.dashboard")

Answers = dict[str, Any]
"""What each question was answered, or the LakeError that it met."""

Question = Callable[[queries.Connection, Run], Any]
View = tuple[float, float]
Drawn = dict[str, list[Any] | str]
"""Figures by card, with words above them where something is left out, or the reason why there are none."""


class LinkedCharts(ABC):
    """The charts of one run at a time, on one axis of time."""

    def __init__(self, session: Session, questions: Mapping[str, Question], titles: Mapping[str, str]) -> None:
        """`questions` are asked of the lake by name, `titles` are those of the cards."""
        self.session = session
        self.cards = {name: Card(title) for name, title in titles.items()}
        self._questions = questions
        self._turn = 0
        self._time: Any = None
        self._shown = ""
        self._drawn: Drawn = {}
        self._behind: Run | None = None
        self._following = False

    @abstractmethod
    def preview(self, run: Run) -> dict[str, str]:
        """Return sketches of what somebody was shown before, by card."""

    @staticmethod
    @abstractmethod
    def draw(run: Run, answers: Answers, theme: Theme, view: View | None) -> tuple[Any, Drawn]:
        """Draw, in a thread, and return the axis of time with what comes into each card."""

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
        draw = asyncio.get_running_loop().run_in_executor(_THREAD, self.draw, run, answers, self.session.theme, view)
        axis, drawn = await draw
        self.session.apply(lambda: show(run, axis, drawn) if turn == self._turn else None)

    async def _ask(self, run: Run) -> Answers:
        asked = [self.session.hub.ask(question, run) for question in self._questions.values()]
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
                self.cards[name].failed = any(isinstance(figure, str) for figure in figures)  # something is left out


class ChartCards(LinkedCharts):
    """Price, equity and drawdown."""

    def __init__(self, session: Session, markers: Question, levels: Question | None = None) -> None:
        """`markers` is the question for what stands at the price: trades, or fills; `levels` for lines across it."""
        questions: dict[str, Question] = {
            "candles": queries.candles,
            "indicators": queries.indicators,
            "markers": markers,
            "equity": queries.equity,
            "first_open": queries.first_open,
            **({"levels": levels} if levels is not None else {}),
        }
        titles = {"price": "The price", "equity": "The equity", "drawdown": "The drawdown"}
        super().__init__(session, questions, titles)

    def preview(self, run: Run) -> dict[str, str]:
        """Return sketches of what somebody was shown before."""
        kept, colours = self.session.hub.kept, PALETTES[self.session.theme]
        shown = {}
        if (candles := kept(queries.candles, run)) is not None:
            shown["price"] = sketch([(candles["close"], colours.hold)])
        if (equity := kept(queries.equity, run)) is not None:
            held = equity["price"] / equity["price"].iloc[0] * run.cash
            shown["equity"] = sketch([(held, colours.hold), (equity["equity"], colours.equity)])
            shown["drawdown"] = sketch([(equity["drawdown"], colours.down)])
        return shown

    @staticmethod
    def draw(run: Run, answers: Answers, theme: Theme, view: View | None) -> tuple[Any, Drawn]:
        """Draw all three."""
        from dashboards.charts import Charts  # seconds to import, the first time

        charts = Charts(run.drawn_from, run.end_ts, theme, view)
        drawn: Drawn = {
            "price": _price(charts, answers),
            "equity": drawn_or_fault(charts.equity, answers["equity"], run.cash, _without_fault(answers["first_open"])),
            "drawdown": drawn_or_fault(charts.drawdown, answers["equity"]),
        }
        charts.connect()
        return charts.time, drawn


async def in_turn(draw: Callable[..., T], *details: Any) -> T:
    """Draw with HoloViews in the one thread that does."""
    return await asyncio.get_running_loop().run_in_executor(_THREAD, draw, *details)


def _pane(content: Any) -> Any:
    return content if isinstance(content, str) else pn.pane.Bokeh(content, sizing_mode="stretch_width", margin=0)


def _price(charts: Charts, answers: Answers) -> list[Any] | str:
    """Draw the price; what cannot be had of indicators and markers is left out, and said above it."""
    extras = (answers["indicators"], answers["markers"], answers.get("levels"))
    faults = {str(extra) for extra in extras if isinstance(extra, LakeError)}
    drawn = drawn_or_fault(charts.price, answers["candles"], *map(_without_fault, extras))
    said = [part("fault", title="Something is left out of this chart", text=fault) for fault in sorted(faults)]
    return drawn if isinstance(drawn, str) else [*said, *drawn]


def _without_fault(answer: Any) -> Any:
    return None if isinstance(answer, LakeError) else answer


def drawn_or_fault(draw: Callable[..., list[Any]], answer: Any, *others: Any) -> list[Any] | str:
    """Draw an answer, or say why that cannot be."""
    if isinstance(answer, LakeError):
        return str(answer)
    try:
        return draw(answer, *others)
    except Exception as error:  # whatever a library makes of odd data spoils this card alone
        _logger.exception("a chart could not be drawn")
        return f"it could not be drawn: {type(error).__name__}"
