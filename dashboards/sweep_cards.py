"""The cards of a sweep's charts: the map of two parameters, parallel coordinates, in-sample against out-of-sample."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

from dashboards import sweep_charts as charts
from dashboards import sweep_queries, sweep_words
from dashboards.chart_cards import drawn_or_fault
from dashboards.controls import Selects
from dashboards.hub import background
from dashboards.look import Theme, part
from dashboards.queries import Run
from dashboards.return_cards import pane
from dashboards.session import Card, Session
from dashboards.sweep_queries import CELLS, OBJECTIVE, Parameter, Plane, Sample, Wish
from data.errors import LakeError

_NO_SPLIT = "All candles chose the best set, and none are left to judge it. For a sweep that leaves some:"
_KEY = "A star marks the best objective, hatching where no set has a value, as where all failed."
_NOTHING = "No parameter of this sweep has more than one value among the sets that could be tried."


class Chosen(NamedTuple):
    """What the map is to show, and what the address names that does not vary."""

    wish: Wish
    unknown: list[str]


class MapCard(Card):
    """One visitor's map; the address has `x`, `y`, `figure` and `cell`."""

    def __init__(self, session: Session) -> None:
        super().__init__("The map of the parameters")
        self._session = session
        self._run: Run | None = None
        self._turn = 0
        self._shown: dict[str, str] = {}
        self._selects = Selects(sizing_mode="stretch_width", margin=(0, 0, 8, 0))
        self._selects.param.watch(lambda event: session.apply(lambda: self._choose(event.new)), "chosen")

    async def fill(self, run: Run) -> None:
        """Show what is wanted of a sweep."""
        self._turn += 1
        turn, self._run = self._turn, run
        ask, theme = self._session.hub.ask, self._session.theme
        try:
            varied = await ask(sweep_queries.varied, run)
            chosen = choose(run, varied, self._session.query)
            found = await ask(sweep_queries.plane, run, chosen.wish) if varied else None
        except LakeError as error:
            reason = str(error)
            self._session.apply(lambda: self.fail(reason) if turn == self._turn else None)
            return
        if found is None:
            self._session.apply(lambda: self.show(part("said", text=_NOTHING)) if turn == self._turn else None)
            return
        drawn = await asyncio.to_thread(_draw_map, run, varied, chosen, found, theme)
        self._session.apply(lambda: self._show(run, varied, chosen.wish, drawn) if turn == self._turn else None)

    def _show(self, run: Run, varied: list[Parameter], wish: Wish, drawn: list[Any] | str) -> None:
        if isinstance(drawn, str):
            self.fail(drawn)
            return
        names = [{"id": one.name, "title": one.name} for one in varied]
        boxes = [
            {"name": "x", "label": "Across", "options": names},
            *([{"name": "y", "label": "Up", "options": names}] if wish.y else []),
            {"name": "figure", "label": "Figure", "options": [
                {"id": name, "title": title} for name, (title, _) in sweep_queries.figures(run).items()
            ]},
            {"name": "cell", "label": "Of several sets", "options": [{"id": one, "title": one} for one in CELLS]},
        ]  # fmt: skip
        self._shown = {str(box["name"]): getattr(wish, str(box["name"])) for box in boxes}
        self._selects.param.update(boxes=boxes, chosen=self._shown)
        self.show(self._selects, *map(pane, drawn))

    def _choose(self, chosen: dict[str, str]) -> None:
        """Take notice of what was chosen; axes that come to have the same parameter change theirs for each other's."""
        if self._run is None or chosen == self._shown:
            return
        named = {name: str(chosen.get(name, value)) for name, value in self._shown.items()}
        if named["x"] == named.get("y"):
            named |= {"x": self._shown["y"], "y": self._shown["x"]}
        self._session.visit(**named)
        background(self.fill(self._run))


class SweepCharts:
    """The cards by slot; each is asked for and drawn by itself."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._turn = 0
        self._map = MapCard(session)
        self.cards: dict[str, Card] = {
            "map": self._map,
            "parallel": Card("The parallel coordinates"),
            "sample": Card("The comparison of the samples"),
        }

    def preview(self, run: Run) -> dict[str, str]:  # noqa: ARG002 - there is no sketch of them
        """Return nothing: they are drawn at once."""
        return {}

    async def fill(self, run: Run) -> None:
        """Fill all three."""
        self._turn += 1
        turn = self._turn
        await asyncio.gather(self._map.fill(run), self._parallel(turn, run), self._sample(turn, run))

    async def _parallel(self, turn: int, run: Run) -> None:
        try:
            varied = await self._session.hub.ask(sweep_queries.varied, run)
            names = tuple(one.name for one in varied)
            found = await self._session.hub.ask(sweep_queries.best_and_rest, run, names)
        except LakeError as error:
            self._tell(turn, "parallel", str(error))
            return
        if found.rows.empty or not varied:
            self._tell(turn, "parallel", [part("said", text=_NOTHING if not varied else "No set has an objective.")])
            return
        await self._draw(turn, "parallel", _draw_parallel, run, varied, found)

    async def _sample(self, turn: int, run: Run) -> None:
        told = sweep_queries.terms(run)
        if told.split is None:
            said = part("said", text=_NO_SPLIT, command="--split 0.7")
            self._tell(turn, "sample", [said])
            return
        try:
            found = await self._session.hub.ask(sweep_queries.both_samples, run)
        except LakeError as error:
            self._tell(turn, "sample", str(error))
            return
        await self._draw(turn, "sample", _draw_sample, run, found)

    async def _draw(self, turn: int, name: str, draw: Callable[..., Any], *details: Any) -> None:
        self._tell(turn, name, await asyncio.to_thread(draw, *details, self._session.theme))

    def _tell(self, turn: int, name: str, content: list[Any] | str) -> None:
        def change() -> None:
            if turn != self._turn:
                return
            if isinstance(content, str):
                self.cards[name].fail(content)
            else:
                self.cards[name].show(*map(pane, content))

        self._session.apply(change)


def choose(run: Run, varied: list[Parameter], query: dict[str, str]) -> Chosen:
    """Return what the address wants of a sweep's map; what it does not name, or names wrongly, is chosen for it."""
    names = [one.name for one in varied]
    asked = [query.get(axis, "") for axis in "xy"]
    free = [name for name in names if name not in asked]
    x = asked[0] if asked[0] in names else next(iter(free), "")
    left = [name for name in names if name != x]
    y = asked[1] if asked[1] in left else next(iter(left), "")
    figure, cell = query.get("figure", ""), query.get("cell", "")
    wish = Wish(
        x, y, figure if figure in sweep_queries.figures(run) else OBJECTIVE, cell if cell in CELLS else CELLS[0]
    )
    return Chosen(wish, [name for name in asked if name and name not in names])


def _draw_map(run: Run, varied: list[Parameter], chosen: Chosen, found: Plane, theme: Theme) -> list[Any] | str:
    title, unit = sweep_queries.figures(run)[chosen.wish.figure]

    def drawn(found: Plane) -> list[Any]:
        said = sweep_words.plane(chosen.wish, varied, found, title, chosen.unknown)
        if chosen.wish.y:
            scale = sweep_words.scale(*charts.ends(found), unit, charts.shades(theme, 16))
            said = scale + said + part("said", text=_KEY)
        return [*charts.chart(found, title, unit, theme), said]

    return drawn_or_fault(drawn, found)


def _draw_parallel(run: Run, varied: list[Parameter], found: Sample, theme: Theme) -> list[Any] | str:
    objective = sweep_queries.terms(run).objective
    said = part("said", text=sweep_words.drawn(found))
    return drawn_or_fault(lambda found: [*charts.parallel(found, varied, objective, theme), said], found)


def _draw_sample(run: Run, found: Sample, theme: Theme) -> list[Any] | str:
    said = part("said", text=sweep_words.beside(sweep_queries.terms(run), found))
    return drawn_or_fault(lambda found: [*(charts.scatter(found, theme) if found.total else []), said], found)
