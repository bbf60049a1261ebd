"""The card of the line of time: asked for, drawn in a thread, and brought up to date where it stands."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable
from typing import Any

import panel as pn

from dashboards import data_queries
from dashboards.coverage_chart import colours, draw_coverage
from dashboards.data_queries import Holes, Name, Series
from dashboards.data_words import MEANINGS
from dashboards.look import part
from dashboards.queries import Rows
from dashboards.renewal import renew
from dashboards.session import Card, Session
from data.errors import LakeError

_logger = logging.getLogger("jarvis.dashboard")


class CoverageCard(Card):
    """Series on one axis of time; the same series drawn again keep the part of time that is in view."""

    def __init__(self, session: Session, tapped: Callable[[Name], None]) -> None:
        """`tapped` is called with the series whose row was tapped, with the document's lock held."""
        super().__init__("The line of time")
        self._session = session
        self._tapped = tapped
        self._turn = 0
        self._shown: tuple[Name, ...] = ()
        self._picked = self._theme = ""
        self._axis: Any = None
        self._figure: Any = None

    async def draw(self, shown: list[Series], picked: str) -> None:
        """Ask for what is known of some series, from the top, and draw them; a later call overtakes this one."""
        self._turn += 1
        turn, theme = self._turn, self._session.theme
        if not shown:
            self._apply(turn, self._tell_nothing)
            return
        names = tuple(series.name for series in shown)
        same = names == self._shown and picked == self._picked
        view = (self._axis.start, self._axis.end) if same else None
        try:
            marks, holes = await self._ask(shown)
            axis, figure = await asyncio.to_thread(draw_coverage, shown, picked, marks, holes, theme, view)
        except LakeError as error:
            self._apply(turn, functools.partial(self._refuse, str(error)))
        except Exception as error:  # whatever a library makes of odd data spoils this card alone
            _logger.exception("the line of time could not be drawn")
            self._apply(turn, functools.partial(self._refuse, f"it could not be drawn: {type(error).__name__}"))
        else:
            self._apply(turn, lambda: self._renew(names, picked, axis, figure))

    async def _ask(self, shown: list[Series]) -> tuple[Rows, list[Holes]]:
        ask = self._session.hub.ask
        marks = ask(data_queries.marks, tuple(series.name for series in shown))
        return await asyncio.gather(marks, asyncio.gather(*(ask(data_queries.unasked, series) for series in shown)))

    def _apply(self, turn: int, change: Callable[[], None]) -> None:
        self._session.apply(lambda: change() if turn == self._turn else None)

    def _tell_nothing(self) -> None:
        self._shown = ()
        self.show(part("said", text="No series has these words."))

    def _refuse(self, reason: str) -> None:
        self._shown = ()
        self.fail(reason)

    def _renew(self, names: tuple[Name, ...], picked: str, axis: Any, figure: Any) -> None:
        """Show what was drawn: as data of the figure that is there, where it has the same rows; else in its place."""
        theme, moved = self._session.theme, picked != self._picked
        self._picked = picked
        same = (names, theme) == (self._shown, self._theme)
        if same and renew(self._axis, {"line": [self._figure]}, axis, {"line": [figure]}):
            if moved:
                self._axis.update(start=axis.start, end=axis.end)
            return
        self._shown, self._theme, self._axis, self._figure = names, theme, axis, figure
        figure.on_event("tap", lambda event: self._tap(event.y))
        legend = part("legend", kinds=[(kind, colour, MEANINGS[kind]) for kind, colour in colours(theme).items()])
        self.show(legend, pn.pane.Bokeh(figure, sizing_mode="stretch_width", margin=0))

    def _tap(self, height: float) -> None:
        row = round(height)
        if 0 <= row < len(self._shown):
            self._tapped(self._shown[row])
