"""The cards of charts: asked for together, drawn in a thread, shown as each can be had."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

import panel as pn

from dashboards.hub import background
from dashboards.latest import sparingly
from dashboards.look import Theme
from dashboards.queries import Connection, Run
from dashboards.renewal import renew
from dashboards.session import Card, Session
from data.errors import LakeError

if TYPE_CHECKING:
    from dashboards.charts import Charts

T = TypeVar("T")

_THREAD = ThreadPoolExecutor(1, thread_name_prefix="charts")  # HoloViews keeps state of its own: one drawing at a time
_SOON = 2.0
"""Seconds after which a page has what it asked for, and nobody waits for the processor."""

_logger = logging.getLogger("jarvis.dashboard")

Answers = dict[str, Any]
"""What each question was answered, or the LakeError that it met."""

Question = Callable[[Connection, Run], Any]
View = tuple[float, float]
Drawn = dict[str, list[Any] | str]
"""Figures by card, with words above them where something is left out, or the reason why there are none."""


class LinkedCharts(ABC):
    """The charts of one run at a time, on one axis of time."""

    def __init__(self, session: Session, questions: Mapping[str, Question], titles: Mapping[str, str]) -> None:
        """`questions` are asked of the lake by name, `titles` are those of the cards."""
        self.session = session
        self.cards = {name: Card(title) for name, title in titles.items()}
        self.charts: Charts | None = None
        self._questions = questions
        self._turn = 0
        self._shown = ""
        self._drawn: Drawn = {}
        self._behind: Run | None = None
        self._following = False

    @abstractmethod
    def preview(self, run: Run) -> dict[str, str]:
        """Return sketches of what somebody was shown before, by card."""

    @staticmethod
    @abstractmethod
    def draw(run: Run, answers: Answers, theme: Theme, view: View | None) -> tuple[Charts, Drawn]:
        """Draw, in a thread, and return the charts with what comes into each card."""

    def notice(self, run: Run, answers: Answers) -> None:  # noqa: B027 - not all have to do more
        """Take notice of what is shown from now on; the document's lock is held."""

    async def fill(self, run: Run) -> None:
        """Ask, draw and show; the same run drawn again keeps the part of time that is in view."""
        self._turn += 1
        self._behind = None
        await self._fill(self._turn, run, self._show)

    async def go_on(self, run: Run) -> bool:  # noqa: ARG002 - some charts can
        """Give the charts that are shown what is new of their run; return False where they have to be drawn again."""
        return False

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
                if await self.go_on(run):
                    continue
                await sparingly(self._fill(self._turn, run, self._renew))
        finally:
            self._following = False

    async def _fill(self, turn: int, run: Run, show: Callable[[Run, Charts, Drawn], None]) -> None:
        view = self.in_view(run)
        answers = await self.ask(run, view)
        charts, drawn = await in_turn(self.draw, run, answers, self.session.theme, view)

        def change() -> None:
            if turn == self._turn:
                show(run, charts, drawn)
                self.notice(run, answers)

        self.session.apply(change)

    def in_view(self, run: Run) -> View | None:
        """Return what is to be in view of a run that is drawn again, milliseconds since 1970; None: all of it."""
        if self.charts is None or run.run_id != self._shown:
            return None
        return self.charts.time.start, self.charts.time.end

    async def ask(self, run: Run, view: View | None) -> Answers:  # noqa: ARG002 - what is in view matters to some
        """Ask all the questions for a view (None: all of the run)."""
        return await together({name: self.session.hub.ask(question, run) for name, question in self._questions.items()})

    def above(self, run: Run, card: str) -> list[Any]:  # noqa: ARG002 - some charts have something to choose
        """Return what stands above the chart of a card."""
        return []

    def _renew(self, run: Run, charts: Charts, drawn: Drawn) -> None:
        if self.charts is None or not renew(self.charts.time, self._drawn, charts.time, drawn):
            self._show(run, charts, drawn)

    def _show(self, run: Run, charts: Charts, drawn: Drawn) -> None:
        self.charts, self._shown, self._drawn = charts, run.run_id, drawn
        for name, figures in drawn.items():
            if isinstance(figures, str):
                self.cards[name].fail(figures)
            else:
                self.cards[name].show(*self.above(run, name), *map(_pane, figures))
                self.cards[name].failed = any(isinstance(figure, str) for figure in figures)  # something is left out


async def together(asked: Mapping[str, Awaitable[Any]]) -> Answers:
    """Wait for all answers; a LakeError is an answer too."""
    answers = await asyncio.gather(*asked.values(), return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException) and not isinstance(answer, LakeError):
            raise answer
    return dict(zip(asked, answers, strict=True))


async def in_turn(draw: Callable[..., T], *details: Any) -> T:
    """Draw with HoloViews in the one thread that does; soon after, it draws what the next one can begin with."""
    loop = asyncio.get_running_loop()
    drawn = await loop.run_in_executor(_THREAD, draw, *details)
    loop.call_later(_SOON, _THREAD.submit, _draw_ahead)
    return drawn


def _draw_ahead() -> None:
    from dashboards.charts import draw_ahead  # seconds to import, the first time

    draw_ahead()


def _pane(content: Any) -> Any:
    return content if isinstance(content, str) else pn.pane.Bokeh(content, sizing_mode="stretch_width", margin=0)


def without_fault(answer: Any) -> Any:
    """Return an answer; None for a LakeError."""
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
