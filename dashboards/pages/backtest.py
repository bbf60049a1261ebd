"""The page of a backtest: its figures, price with entries and exits, equity, drawdown, portfolio, trades, manifest."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from dashboards import queries
from dashboards.look import asset, part
from dashboards.metric_words import Metrics
from dashboards.queries import Run
from dashboards.run_charts import RunCharts
from dashboards.run_page import RunPage
from dashboards.session import Card, Session
from dashboards.trade_table import trade_table


class BacktestPage(RunPage):
    """One visitor's page of backtests. A backtest is recorded whole: what is shown of it stays."""

    slug = "backtest"
    title = "Backtest"
    markup = asset("run.html") + asset("backtest.html")
    noun = "backtest"

    def __init__(self, session: Session) -> None:
        super().__init__(session, RunCharts(session, queries.markers))
        self._portfolio, self._trades = Card("The portfolio"), Card("The table of trades")

    @property
    def tables(self) -> Mapping[str, Card]:
        """Portfolio and trades."""
        return {"portfolio": self._portfolio, "trades": self._trades}

    def tiles_known(self, run: Run) -> str | None:
        """Return the tiles where the metrics were asked for before."""
        metrics = self.session.hub.kept(queries.metrics, run)
        return None if metrics is None else part("tiles", tiles=Metrics(run, metrics).tiles())

    async def fill(self, turn: int, run: Run) -> None:
        """Fill all the cards."""
        await asyncio.gather(
            self.charts.fill(run),
            self.show(turn, self._trades, queries.trades, run, lambda rows: trade_table(run, rows)),
            self.show(
                turn, self.tiles, queries.metrics, run, lambda rows: [part("tiles", tiles=Metrics(run, rows).tiles())]
            ),
            self.show(
                turn,
                self._portfolio,
                queries.metrics,
                run,
                lambda rows: [part("portfolio", tables=Metrics(run, rows).portfolio())],
            ),
        )

    async def follow(self, turn: int, run: Run) -> None:  # noqa: ARG002 - there is nothing to go on
        """Fill the page again if something could not be read."""
        if any(card.failed for card in self.cards.values()):
            await self.update(run=run.run_id)
