"""The card that sets other backtests beside the one that is shown: a search box, their growth, and a table."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from dashboards import compare_queries, compare_words, queries, run_words
from dashboards.chart_cards import drawn_or_fault
from dashboards.compare_queries import MOST_RUNS, Runs
from dashboards.controls import RunPicker
from dashboards.hub import background
from dashboards.line_charts import Line, LineCharts
from dashboards.look import PALETTES, Theme, part
from dashboards.queries import Rows, Run
from dashboards.return_cards import pane
from dashboards.session import Card, Session
from dashboards.sql_controls import LineChoice
from data.errors import LakeError

HEIGHT = 300
_LISTED = 100


class CompareCard(Card):
    """One visitor's comparison; `compare` in the address has the ids of the other runs."""

    def __init__(self, session: Session) -> None:
        super().__init__("The comparison")
        self._session = session
        self._runs: list[Run] = []
        self._run: Run | None = None
        self._turn = 0
        self._others = list(dict.fromkeys(filter(None, session.query.get("compare", "").split(","))))
        self._picker = RunPicker(
            purpose="Compare with another backtest", sizing_mode="stretch_width", margin=(0, 0, 8, 0)
        )
        self._picker.param.watch(
            lambda event: session.apply(lambda: self._add(event.new)) if event.new else None, "run"
        )
        self._picker.param.watch(lambda _: session.apply(self._offer), "search")
        self._chosen = LineChoice(self._hear, label="Runs compared: a click takes one out")

    async def fill(self, run: Run) -> None:
        """Show the run beside the chosen ones."""
        self._turn += 1
        turn, self._run = self._turn, run
        try:
            listed = await self._session.hub.ask(queries.runs, run.kind)
        except LakeError as error:
            reason = str(error)
            self._session.apply(lambda: self.fail(reason) if turn == self._turn else None)
            return
        known = {one.run_id: one for one in listed}
        wanted = [name for name in self._others if name != run.run_id]
        runs: Runs = (run, *(known[name] for name in wanted if name in known))[:MOST_RUNS]
        said = _left_out([name for name in wanted if name not in known], len(wanted) + 1)
        contents: list[Any] = []
        if len(runs) > 1:
            contents = await self._compared(runs)
        self._session.apply(lambda: self._show(listed, runs, said, contents) if turn == self._turn else None)

    async def _compared(self, runs: Runs) -> list[Any]:
        hub, theme = self._session.hub, self._session.theme
        curves, metrics = await asyncio.gather(
            _answer(hub.ask(compare_queries.curves, runs)), _answer(hub.ask(compare_queries.metrics, runs))
        )
        drawn = await asyncio.to_thread(drawn_or_fault, lambda rows: draw(runs, rows, theme), curves)
        shown = [_fault(drawn)] if isinstance(drawn, str) else drawn
        if isinstance(metrics, LakeError):
            return [*shown, _fault(str(metrics))]
        differing = compare_queries.differences(runs)
        return [*shown, compare_words.table(runs, metrics, differing, theme)]

    def list_anew(self, runs: list[Run]) -> None:
        """Offer the runs that there are now, newest first; the caller holds the document's lock."""
        self._runs = runs
        self._offer()

    def _offer(self) -> None:
        taken = {*self._others, self._run.run_id if self._run else ""}
        found = [run for run in run_words.matching(self._runs, self._picker.search) if run.run_id not in taken]
        self._picker.param.update(runs=[run_words.option(run) for run in found[:_LISTED]], found=len(found))

    def _show(self, listed: list[Run], runs: Runs, said: list[str], contents: list[Any]) -> None:
        self.list_anew(listed)
        self._chosen.lines = [
            {"name": compare_words.title(run), "colour": colour, "drawn": True}
            for run, colour in zip(runs[1:], colours(self._session.theme)[1:], strict=False)
        ]
        chosen = [self._chosen] if len(runs) > 1 else []
        self.show(self._picker, *said, *chosen, *map(pane, contents))

    def _add(self, run_id: str) -> None:
        self._picker.run = ""
        if len(self._others) < MOST_RUNS - 1 and run_id not in self._others:
            self._change([*self._others, run_id])

    def _hear(self, said: str, value: Any) -> None:
        if said == "line" and isinstance(value, int):
            self._session.apply(lambda: self._take_out(value))

    def _take_out(self, place: int) -> None:
        known = {run.run_id for run in self._runs}
        shown = [name for name in self._others if name in known and (self._run is None or name != self._run.run_id)]
        if 0 <= place < len(shown):
            self._change([name for name in self._others if name != shown[place]])

    def _change(self, others: list[str]) -> None:
        self._others = others
        self._session.visit(compare=",".join(others))
        if self._run is not None:
            background(self.fill(self._run))


def draw(runs: Runs, curves: Rows, theme: Theme) -> list[Any]:
    """Draw the growth of the runs since their starts, over all the time that any of them covers."""
    charts = LineCharts(min(run.start_ts for run in runs), max(run.end_ts for run in runs), theme)
    lines = [
        Line(f"r{n}", compare_words.title(run), colour)
        for n, (run, colour) in enumerate(zip(runs, colours(theme), strict=False))
    ]
    drawn = charts.lines("compare", curves, lines, height=HEIGHT, form="0.[0] %")
    charts.connect()
    return drawn


def colours(theme: Theme) -> list[str]:
    """Return a colour for each run, the shown one first."""
    palette = PALETTES[theme]
    return [*dict.fromkeys((palette.equity, *palette.lines, palette.hold))]


async def _answer(asked: Awaitable[Rows]) -> Rows | LakeError:
    """Return an answer, or what kept the lake from it."""
    try:
        return await asked
    except LakeError as error:
        return error


def _left_out(unknown: list[str], count: int) -> list[str]:
    said = [part("said", text=f"The lake has no backtest {', '.join(unknown)}.")] if unknown else []
    if count > MOST_RUNS:
        said.append(part("said", text=f"No more than {MOST_RUNS} runs are shown beside each other."))
    return said


def _fault(reason: str) -> str:
    return part("fault", title="The comparison is not whole", text=reason)
