"""The cards of what the account did: rolling Sharpe ratio, returns by size, months, exposure, weights of markets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import panel as pn

from dashboards import position_queries, return_queries
from dashboards.chart_cards import drawn_or_fault, together
from dashboards.line_charts import Line, LineCharts, bars
from dashboards.look import PALETTES, Theme, part
from dashboards.position_queries import Weights
from dashboards.queries import Connection, Rows, Run
from dashboards.return_queries import Distribution, Rolling
from dashboards.return_words import calendar, spread_of, too_short
from dashboards.session import Card, Session

HEIGHT = 220

_OF_RETURNS: Mapping[str, Callable[[Connection, Run, Rows], Any]] = {
    "rolling": return_queries.rolling_sharpe,
    "distribution": return_queries.distribution,
    "months": return_queries.monthly,
}
_TITLES = {
    "rolling": "The rolling Sharpe ratio",
    "distribution": "The distribution of returns",
    "months": "The months",
    "exposure": "The exposure",
    "weights": "The weights",
}


class ReturnCards:
    """The cards by slot; the charts over time pan and zoom together. Weights are those of a run of several markets."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._turn = 0
        self.cards = {name: Card(title) for name, title in _TITLES.items()}

    async def fill(self, run: Run) -> None:
        """Ask, draw in a thread, and show."""
        self._turn += 1
        turn = self._turn
        hub = self._session.hub
        asked: dict[str, Any] = {name: self._of_returns(question, run) for name, question in _OF_RETURNS.items()}
        asked["exposure"] = hub.ask(return_queries.exposure, run)
        if run.symbols:
            asked["weights"] = hub.ask(position_queries.weights, run)
        answers = await together(asked)
        drawn = await asyncio.to_thread(draw, run, answers, self._session.theme)
        self._session.apply(lambda: self._show(drawn) if turn == self._turn else None)

    async def _of_returns(self, question: Callable[[Connection, Run, Rows], Any], run: Run) -> Any:
        hub = self._session.hub
        return await hub.glance(question, run, await hub.ask(return_queries.returns, run))

    def _show(self, drawn: dict[str, list[Any] | str]) -> None:
        for name, content in drawn.items():
            if isinstance(content, str):
                self.cards[name].fail(content)
            else:
                self.cards[name].show(*map(pane, content))
        for name in self.cards.keys() - drawn.keys():
            self.cards[name].clear()


def draw(run: Run, answers: Mapping[str, Any], theme: Theme) -> dict[str, list[Any] | str]:
    """Return what comes into each card, or why nothing does."""
    charts, colours = LineCharts(run.start_ts, run.end_ts, theme), PALETTES[theme]

    def rolling(found: Rolling) -> list[Any]:
        if found.rows.empty:
            return [part("said", text=too_short(run, found))]
        return charts.lines(
            "rolling", found.rows, [Line("sharpe", f"Sharpe ratio of {found.window} returns", colours.equity)],
            height=HEIGHT, form="0.[0]",
        )  # fmt: skip

    def exposure(rows: Rows) -> list[Any]:
        line = [Line("exposure", "In the market", colours.lines[3])]
        return charts.lines("exposure", rows, line, height=HEIGHT, form="0 %", filled=True)

    def weights(found: Weights) -> list[Any]:
        own = zip(found.names.items(), colours.lines, strict=False)
        lines = [Line(column, name, colour) for (column, name), colour in own]
        return charts.lines("weights", found.rows, lines, height=HEIGHT, form="0 %")

    def distribution(found: Distribution) -> list[Any]:
        told = part("said", text=spread_of(run, found))
        return [told] if found.rows.empty else [*bars("distribution", found.rows, theme, HEIGHT), told]

    shown = {
        "rolling": drawn_or_fault(rolling, answers["rolling"]),
        "distribution": drawn_or_fault(distribution, answers["distribution"]),
        "months": drawn_or_fault(lambda rows: [calendar(rows)], answers["months"]),
        "exposure": drawn_or_fault(exposure, answers["exposure"]),
    }
    if "weights" in answers:
        shown["weights"] = drawn_or_fault(weights, answers["weights"])
    charts.connect()
    return shown


def pane(content: Any) -> Any:
    """Return what a card can show of a figure; words stay as they are."""
    return content if isinstance(content, str) else pn.pane.Bokeh(content, sizing_mode="stretch_width", margin=0)
