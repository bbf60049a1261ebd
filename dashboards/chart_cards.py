"""The cards of a run's charts: asked for together, drawn in a thread, shown as each can be had."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import panel as pn

from dashboards import queries
from dashboards.look import Theme, part
from dashboards.queries import Run
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

    def __init__(self, session: Session) -> None:
        self._session = session
        self._turn = 0
        self._time: Any = None
        self._shown = ""
        self.cards = {"price": Card("The price"), "equity": Card("The equity"), "drawdown": Card("The drawdown")}

    async def fill(self, run: Run) -> None:
        """Ask, draw and show; the same run drawn again keeps the part of time that is in view."""
        self._turn += 1
        turn = self._turn
        answers = await self._ask(run)
        view = (self._time.start, self._time.end) if self._time is not None and run.run_id == self._shown else None
        draw = asyncio.get_running_loop().run_in_executor(_THREAD, _draw, run, answers, self._session.theme, view)
        time, drawn = await draw
        self._session.apply(lambda: self._show(run, time, drawn) if turn == self._turn else None)

    async def _ask(self, run: Run) -> Answers:
        questions = (queries.candles, queries.indicators, queries.markers, queries.equity, queries.first_open)
        asked = [self._session.hub.ask(question, run) for question in questions]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, LakeError):
                raise answer
        return {question.__name__: answer for question, answer in zip(questions, answers, strict=True)}

    def _show(self, run: Run, time: Any, drawn: Drawn) -> None:
        self._time, self._shown = time, run.run_id
        for name, figures in drawn.items():
            if isinstance(figures, str):
                self.cards[name].fail(figures)
            else:
                self.cards[name].show(*map(_pane, figures))


def _pane(content: Any) -> Any:
    return content if isinstance(content, str) else pn.pane.Bokeh(content, sizing_mode="stretch_width", margin=0)


def _draw(run: Run, answers: Answers, theme: Theme, view: View | None) -> tuple[Any, Drawn]:
    from dashboards.charts import Charts  # seconds to import, the first time

    charts = Charts(run.start_ts, run.end_ts, theme, view)
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
