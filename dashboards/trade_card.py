"""The card of the trade that was picked: its candles with indicators and fills, and the lineage of its decisions."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from dashboards import trade_queries, trade_words
from dashboards.chart_cards import drawn_or_fault, in_turn
from dashboards.look import Theme, part
from dashboards.queries import Run
from dashboards.return_cards import pane
from dashboards.session import Card, Session, whole_number
from dashboards.trade_queries import Scene
from data.errors import LakeError

if TYPE_CHECKING:
    from dashboards.charts import Charts

_logger = logging.getLogger("jarvis.dashboard")


class TradeCard(Card):
    """One visitor's trade, of the run that is shown; the address' parameter `trade` names it."""

    def __init__(self, session: Session) -> None:
        super().__init__("The trade")
        self._session = session
        self._turn = 0

    async def fill(self, run: Run, picked: str) -> None:
        """Show a trade by its number, or say why it is not shown."""
        self._turn += 1
        turn = self._turn
        if not picked:
            self._say(turn, part("said", text=trade_words.NOT_PICKED))
            return
        number = whole_number(picked)
        try:
            story = await self._session.hub.ask(trade_queries.story, run, number)
            scene = await self._session.hub.ask(trade_queries.scene, run, number)
        except LakeError as error:
            reason = str(error)
            self._session.apply(lambda: self.fail(reason) if turn == self._turn else None)
            return
        if story is None or scene is None:
            self._say(turn, part("said", text=f"This run has no trade {picked}."))
            return
        drawn = await in_turn(draw, run, scene, self._session.theme)
        charts = [_fault(drawn)] if isinstance(drawn, str) else map(pane, drawn)
        contents = [trade_words.head(run, story), *charts, trade_words.lineage(run, story)]
        self._session.apply(lambda: self.show(*contents) if turn == self._turn else None)

    def _say(self, turn: int, words: str) -> None:
        self._session.apply(lambda: self.show(words) if turn == self._turn else None)


def draw(run: Run, scene: Scene, theme: Theme) -> list[Any] | str:
    """Draw the candles around a trade; without any, say so."""
    from dashboards.charts import Charts  # seconds to import, the first time

    if scene.candles.empty:
        return f"the lake no longer has the candles of {run.symbol} {run.timeframe} from {run.exchange}"
    charts = Charts(scene.start, scene.end, theme)
    drawn = drawn_or_fault(lambda around: _price(charts, around), scene)
    charts.connect()
    return drawn


def _price(charts: Charts, scene: Scene) -> list[Any]:
    figures = charts.price(scene.candles, scene.indicators, scene.markers)
    for made in figures:
        made.name = made.name.replace("price", "trade").replace("oscillator", "trade-oscillator")
    charts.tell_as("trade")
    return figures


def _fault(reason: str) -> str:
    return part("fault", title="Its candles cannot be shown", text=reason)
