"""The cards of the charts of parity."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from dashboards import parity_queries
from dashboards.chart_cards import Answers, Drawn, LinkedCharts, View, drawn_or_fault
from dashboards.look import PALETTES, Theme, part
from dashboards.parity_words import MEANINGS
from dashboards.preview import sketch
from dashboards.queries import Run
from dashboards.session import Session
from data.timeframe import parse_timeframe

if TYPE_CHECKING:
    from dashboards.charts import Charts


class ParityCards(LinkedCharts):
    """Verdicts, equities and their distance."""

    def __init__(self, session: Session) -> None:
        questions = {"strip": parity_queries.strip, "curves": parity_queries.curves}
        titles = {"strip": "The verdicts", "curves": "The equities", "distance": "The distance"}
        super().__init__(session, questions, titles)

    def preview(self, run: Run) -> dict[str, str]:
        """Return sketches of the equities that somebody was shown before."""
        curves, colours = self.session.hub.kept(parity_queries.curves, run), PALETTES[self.session.theme]
        if curves is None:
            return {}
        lines = [(curves["backtest"], colours.lines[0]), (curves["live"], colours.equity)]
        return {"curves": sketch(lines), "distance": sketch([(curves["apart"], colours.equity)])}

    @staticmethod
    def draw(run: Run, answers: Answers, theme: Theme, view: View | None) -> tuple[Charts, Drawn]:
        """Draw all three, on the time of the candles that were decided."""
        from dashboards.parity_charts import ParityCharts  # seconds to import, the first time

        length = pd.Timedelta(seconds=run.bucket) if run.bucket else pd.Timedelta(parse_timeframe(run.timeframe))
        charts = ParityCharts(run.start_ts, run.end_ts + length, theme, view)
        strip = drawn_or_fault(charts.strip, answers["strip"], length)
        drawn: Drawn = {
            "strip": strip if isinstance(strip, str) else [_legend(theme), *strip],
            "curves": drawn_or_fault(charts.curves, answers["curves"]),
            "distance": drawn_or_fault(charts.distance, answers["curves"]),
        }
        charts.connect()
        return charts, drawn


def _legend(theme: Theme) -> str:
    colours = PALETTES[theme].verdicts
    return part("legend", kinds=[(verdict, colour, MEANINGS[verdict]) for verdict, colour in colours.items()])
