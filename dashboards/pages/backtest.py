"""The page of a backtest: figures, charts, verdict, other runs, returns, trades and their lineage, account."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from dashboards import queries, verdict_queries, verdict_words
from dashboards.compare_card import CompareCard
from dashboards.hub import background
from dashboards.look import asset, part
from dashboards.metric_words import Metrics
from dashboards.queries import Run
from dashboards.return_cards import ReturnCards
from dashboards.row_card import ACCOUNT, POSITIONS, TRADES, RowCard
from dashboards.run_charts import RunCharts
from dashboards.run_page import RunPage
from dashboards.session import Card, Session, Words
from dashboards.trade_card import TradeCard
from dashboards.verdict_queries import Judged


class BacktestPage(RunPage):
    """One visitor's page of backtests. A backtest is recorded whole: what is shown of it stays."""

    slug = "backtest"
    title = "Backtest"
    markup = asset("run.html") + asset("backtest.html")
    noun = "backtest"

    def __init__(self, session: Session) -> None:
        super().__init__(session, RunCharts(session, queries.markers))
        self._judged = Words("The verdict")
        self._portfolio, self._trade = Words("The portfolio"), TradeCard(session)
        self._returns = ReturnCards(session)
        self._compare = CompareCard(session)
        picked = session.query.get("trade", "")
        self._trades = RowCard(session, TRADES, picks=True, leads="trade-title", picked=picked)
        self._account, self._positions = RowCard(session, ACCOUNT), RowCard(session, POSITIONS)
        self._trades.table.param.watch(lambda _: session.apply(self._pick_trade), "picked")

    @property
    def tables(self) -> Mapping[str, Card]:
        """The verdict, the comparison, returns, trades, the trade that is picked, account, positions and metrics."""
        return {
            "judged": self._judged,
            "compare": self._compare,
            **self._returns.cards,
            "trades": self._trades,
            "trade": self._trade,
            "account": self._account,
            "positions": self._positions,
            "portfolio": self._portfolio,
        }

    def tiles_known(self, run: Run) -> str | None:
        """Return the tiles where the metrics were asked for before."""
        metrics = self.session.hub.kept(queries.metrics, run)
        return None if metrics is None else part("tiles", tiles=Metrics(run, metrics).tiles())

    async def fill(self, turn: int, run: Run) -> None:
        """Fill all the cards."""
        await asyncio.gather(
            self.charts.fill(run),
            self.show(
                turn, self.tiles, queries.metrics, run, lambda rows: [part("tiles", tiles=Metrics(run, rows).tiles())]
            ),
            self.show(turn, self._judged, verdict_queries.judged, run, lambda found: _judged(run, found)),
            self._trades.fill(run),
            self._trade.fill(run, self._trades.table.picked),
            self._compare.fill(run),
            self._returns.fill(run),
            self._account.fill(run),
            *([self._positions.fill(run)] if run.symbols else []),
            self.show(
                turn,
                self._portfolio,
                queries.metrics,
                run,
                lambda rows: [part("portfolio", tables=Metrics(run, rows).portfolio())],
            ),
        )

    async def follow(self, turn: int, run: Run) -> None:
        """Show a verdict that was made meanwhile; fill the page again if something could not be read."""
        if any(card.failed for card in self.cards.values()):
            await self.mend(turn, run)
        else:
            await self.show(turn, self._judged, verdict_queries.judged, run, lambda found: _judged(run, found))

    def _pick_trade(self) -> None:
        picked = self._trades.table.picked
        self.session.visit(trade=picked)
        if self.run is not None:
            background(self._trade.fill(self.run, picked))

    def _repaint(self) -> None:
        super()._repaint()
        if self.run is not None:
            background(self._repaint_rest(self.run))

    async def _repaint_rest(self, run: Run) -> None:
        await asyncio.gather(
            self._returns.fill(run), self._compare.fill(run), self._trade.fill(run, self._trades.table.picked)
        )

    def _begin(self, runs: list[Run], run: Run | None) -> None:
        if run is not None and self.run is not None and run.run_id != self.run.run_id:
            for card in (self._trades, self._account, self._positions):
                card.forget()
            self._positions.clear()
        super()._begin(runs, run)

    def _list(self, runs: list[Run] | None = None) -> None:
        super()._list(runs)
        if runs is not None and self._compare.is_filled:
            self._compare.list_anew(runs)


def _judged(run: Run, found: Judged) -> list[str]:
    return [*verdict_words.verdict(run, found), verdict_words.sensitivity(found)]
