"""The answer to a visitor's query on the page: the table with its downloads, and the chart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import panel as pn

from dashboards import sql_result, sql_words
from dashboards.hub import background
from dashboards.latest import Latest
from dashboards.look import part
from dashboards.session import Card, Session, whole_number
from dashboards.sql_chart import POINTS, ResultChart, Series, colours, series
from dashboards.sql_controls import LineChoice, ResultTable
from dashboards.sql_result import Order, Shown
from data.walled import Answer

_FILES: dict[str, tuple[str, Callable[[Any], bytes]]] = {
    "csv": ("text/csv", sql_result.csv),
    "parquet": ("application/vnd.apache.parquet", sql_result.parquet),
}


class AnswerCards:
    """The cards of one visitor's newest answer, which is kept for sorting, downloads and drawing."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._answer: Answer | None = None
        self._order: Order | None = None
        self._table: ResultTable | None = None
        self._choice: LineChoice | None = None
        self._series: Series | None = None
        self._chart: ResultChart | None = None
        self._lines: list[int] = []
        self._thinning = Latest(self._thin)
        self.cards = {"result": Card("The result"), "chart": Card("The chart")}
        session.on_theme = self._draw

    def say(self, result: str, chart: str) -> None:
        """Show words, as HTML, in place of an answer; the caller holds the document's lock."""
        self._answer = self._table = self._series = self._chart = None
        self.cards["result"].show(result)
        self.cards["chart"].show(chart)

    def wait(self) -> None:
        """Dim what is shown: it is about to be replaced."""
        for card in self.cards.values():
            card.wait()

    def lake_changed(self) -> None:
        """Say that the answer is of before; the caller holds the document's lock."""
        if self._table is not None and not self._table.words.endswith(sql_words.CHANGED):
            self._table.words += sql_words.CHANGED

    async def show(self, answer: Answer, seconds: float) -> Callable[[], None]:
        """Prepare an answer; what is returned shows it, with the document's lock held."""
        shown, drawable = await asyncio.gather(
            asyncio.to_thread(sql_result.shown, answer.rows), asyncio.to_thread(series, answer.rows)
        )
        return lambda: self._show(answer, shown, drawable, seconds)

    def _show(self, answer: Answer, shown: Shown, drawable: Series | str, seconds: float) -> None:
        self._answer, self._order = answer, None
        words = sql_words.answered(answer, len(shown.rows), seconds)
        self._table = ResultTable(self._hear, heads=list(map(list, shown.heads)), rows=shown.rows, words=words)
        self.cards["result"].show(self._table)
        self._series = self._chart = None
        if isinstance(drawable, str):
            self.cards["chart"].show(part("said", text=drawable))
            return
        self._series = drawable
        self._lines = _chosen(self._session.query.get("lines", ""), len(drawable.columns))
        self._choice = LineChoice(self._hear)
        self._draw()

    def _hear(self, said: str, value: Any) -> None:
        if said == "sort" and isinstance(value, int):
            background(self._sort(value))
        elif said == "save" and value in _FILES:
            background(self._save(value))
        elif said == "line" and isinstance(value, int):
            self._switch(value)

    async def _sort(self, column: int) -> None:
        answer, table, before = self._answer, self._table, self._order
        if answer is None or table is None or not 0 <= column < answer.rows.num_columns:
            return
        again = before is not None and before.column == column
        self._order = order = Order(column, descending=again and before is not None and not before.descending)
        shown = await asyncio.to_thread(sql_result.shown, answer.rows, order)
        self._session.apply(lambda: table.sort(shown.rows, order) if self._order is order else None)

    async def _save(self, form: str) -> None:
        answer, table = self._answer, self._table
        if answer is None or table is None:
            return
        kind, written = _FILES[form]
        content = await asyncio.to_thread(written, answer.rows)
        self._session.apply(lambda: table.send(f"query.{form}", kind, content))

    def _switch(self, line: int) -> None:
        if self._series is None or not 0 <= line < len(self._series.columns):
            return
        lines = [n for n in range(len(self._series.columns)) if (n in self._lines) != (n == line)]
        if lines:  # the last one stays
            self._lines = lines
            self._session.visit(lines=",".join(map(str, lines)))
            self._draw()

    def _draw(self) -> None:
        if self._series is None or self._choice is None:
            return
        before, theme = self._chart, self._session.theme
        names = [*self._series.columns]
        view = None if before is None else (before.range.start, before.range.end)
        chart = ResultChart(self._series, [names[n] for n in self._lines], theme, view)
        self._choice.lines = [
            {"name": name, "colour": colour, "drawn": n in self._lines}
            for n, (name, colour) in enumerate(zip(names, colours(theme), strict=False))
        ]
        if len(self._series.x) > POINTS:
            for moved in ("start", "end"):
                chart.range.on_change(moved, self._zoom)
        self._chart = chart
        pane = pn.pane.Bokeh(chart.figure, sizing_mode="stretch_width", margin=0)
        self.cards["chart"].show(self._choice, pane)

    def _zoom(self, attr: str, old: Any, new: Any) -> None:  # noqa: ARG002 - Bokeh asks for these names
        self._thinning.wish()

    async def _thin(self) -> None:
        """Draw what is in view in the detail that the screen shows."""
        chart = self._chart
        if chart is not None:
            points = await asyncio.to_thread(chart.points)
            self._session.apply(lambda: chart.renew(points))


def _chosen(lines: str, columns: int) -> list[int]:
    """Return the lines that the address names, by number, or the first."""
    named = {whole_number(line) for line in lines.split(",") if line.isdecimal()}
    return [n for n in range(columns) if n in named] or [0]
