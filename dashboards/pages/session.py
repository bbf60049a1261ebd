"""The page of a session: its mode, all sessions, health, account, charts, orders, trades, decisions and parity."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pandas as pd
from panel.viewable import Viewable

from dashboards import health_words, order_queries, parity_queries, queries, session_queries, session_words
from dashboards.health_words import Sign
from dashboards.look import asset
from dashboards.queries import Run
from dashboards.run_charts import RunCharts
from dashboards.run_page import GrowingPage
from dashboards.series_controls import Freshness
from dashboards.session import Card, Session, Words
from dashboards.session_cards import SessionCards
from dashboards.session_queries import Account, Arrival
from data.errors import LakeError

SHOWN = 12
"""So many sessions have a card; the others are found by the search."""


class _List(NamedTuple):
    """A question of which the rows are listed, and what is said where there are none."""

    question: Callable[[queries.Connection, Run], queries.Rows]
    title: str
    otherwise: str


_LISTS = {
    "open": _List(order_queries.open_orders, "The list of open orders", "No order is open."),
    "decisions": _List(
        session_queries.decisions, "The list of decisions", "No candle has closed since the session began."
    ),
    "trades": _List(order_queries.trades, "The list of trades", "Nothing was bought yet."),
    "orders": _List(order_queries.orders, "The list of orders", "No order was made yet."),
    "reconciliations": _List(
        session_queries.reconciliations,
        "The list of reconciliations",
        "No account was compared: on paper there is none.",
    ),
    "facts": _List(session_queries.facts, "The list of facts", "Nothing is known about the candles of the day."),
}


class SessionPage(GrowingPage):
    """One visitor's page of sessions. A session goes on: the page keeps up, and sends only what has changed."""

    slug = "live"
    title = "Live"
    markup = asset("session.html")
    noun = "session"

    def __init__(self, session: Session) -> None:
        super().__init__(session, RunCharts(session, queries.fill_markers, order_queries.levels))
        self._lists = {name: Words(one.title) for name, one in _LISTS.items()}
        self._parity = Words("The parity")
        self._mode, self._overview, self._health = Words("The mode"), Card("The overview"), Words("The health")
        self._cards = SessionCards(sizing_mode="stretch_width", margin=0)
        self._cards.param.watch(lambda event: self._pick(event.new), "picked")
        self._fresh = Freshness(visible=False, margin=0)
        self._fresh.param.watch(lambda _: session.apply(lambda: self._show_health(self._signs)), "late")
        self._signs: list[Sign] = []

    @property
    def tables(self) -> Mapping[str, Card]:
        """Health, the lists and parity."""
        return {"health": self._health, **self._lists, "parity": self._parity}

    @property
    def slots(self) -> Mapping[str, Viewable]:
        """The cards, those of all sessions, and what ticks."""
        return {**super().slots, "mode": self._mode.slot, "sessions": self._overview.slot, "fresh": self._fresh}

    def links(self, run: Run) -> list[tuple[str, str]]:
        """Return the link to the session's page of parity."""
        return [("Parity", "?" + urlencode({"page": "parity", "run": run.run_id, "theme": self.session.theme}))]

    def preview(self) -> Mapping[str, str]:
        """Return the mode, too."""
        shown, run = super().preview(), self.known
        return shown if run is None else {**shown, "mode": session_words.banner(run)}

    def tiles_known(self, run: Run) -> str | None:
        """Return the tiles where the account was asked for before."""
        kept = self.session.hub.kept
        accounts = kept(session_queries.accounts, _shown(kept(queries.runs, self.noun) or [], run))
        return None if accounts is None else session_words.tiles(run, accounts[run.run_id], _now())

    def show_head(self, run: Run, *below: str) -> None:
        """Show the mode, in the window's title too, with the name of the session, which is the one picked."""
        super().show_head(run, *below)
        self._mode.show(session_words.banner(run))
        self._mode.slot.css_classes = ["filled", f"mode-{run.mode}"]
        self.session.shell.title = session_words.title(run)
        self._cards.picked = run.run_id

    async def write(self, turn: int, run: Run) -> None:
        """Write figures, the cards of all sessions, lists, parity, and the health, which needs most of them."""
        account, timing, _, *told = await asyncio.gather(
            self._write_accounts(turn, run),
            self._ask(session_queries.timing, run),
            self._write_parity(turn, run),
            *(self._write_list(turn, run, name) for name in _LISTS),
        )
        lists = dict(zip(_LISTS, told, strict=True))
        if not isinstance(account, LakeError):
            self.drawn = run, account.fills, _prices(lists["open"])
        signs = _signs(run, account, timing, lists)
        self.apply(turn, lambda: self._show_health(signs))

    def _show_health(self, signs: list[Sign]) -> None:
        """Show the lights; a session that is dead changes no lake, but its newest candle becomes late."""
        self._signs = signs
        if signs:
            self._health.show(health_words.signs(signs, late=self._fresh.late))

    async def _ask(self, question: Callable[..., Any], *details: Any) -> Any:
        """Return the answer, or the LakeError that there is instead."""
        try:
            return await self.session.hub.ask(question, *details)
        except LakeError as error:
            return error

    async def _write_accounts(self, turn: int, run: Run) -> Account | LakeError:
        runs, arrivals = await asyncio.gather(self._ask(queries.runs, self.noun), self._ask(session_queries.arrivals))
        shown = _shown([] if isinstance(runs, LakeError) else runs, run)
        found = len(shown) if isinstance(runs, LakeError) else len(runs)
        accounts = await self._ask(session_queries.accounts, shown)
        if isinstance(accounts, LakeError):
            fault = accounts
            self.apply(turn, lambda: self._fail_figures(str(fault)))
            return fault
        account: Account = accounts[run.run_id]
        cards = [session_words.card(one, accounts[one.run_id], _arrival(one, arrivals), _now()) for one in shown]
        schedule = session_words.schedule(run, account, _arrival(run, arrivals))
        self.apply(turn, lambda: self._show_figures(run, account, schedule))
        self.apply(turn, lambda: self._show_overview(cards, found))
        return account

    def _show_figures(self, run: Run, account: Account, schedule: dict[str, Any]) -> None:
        self.show_head(run, *session_words.hindrance(account))
        self.tiles.show(session_words.tiles(run, account, _now()))
        if schedule["closed"] is None:
            self._fresh.visible = False
        else:
            self._fresh.param.update(visible=True, **schedule)

    def _fail_figures(self, reason: str) -> None:
        self._fresh.visible = False
        self.tiles.fail(reason)
        self._overview.fail(reason)

    def _show_overview(self, cards: list[dict[str, Any]], found: int) -> None:
        self._cards.param.update(sessions=cards, found=found)
        self._overview.show(self._cards)

    async def _write_list(self, turn: int, run: Run, name: str) -> queries.Rows | LakeError:
        answer: tuple[queries.Rows, str] | LakeError = await self._ask(_listed, run, name)
        card = self._lists[name]
        if isinstance(answer, LakeError):
            fault = str(answer)
            self.apply(turn, lambda: card.fail(fault))
            return answer
        rows, told = answer
        self.apply(turn, lambda: card.show(told))
        return rows

    async def _write_parity(self, turn: int, run: Run) -> None:
        compared = await self._ask(parity_queries.overview)
        differing = await self._ask(parity_queries.differing, run, "", "", 0)
        fault = next((str(answer) for answer in (compared, differing) if isinstance(answer, LakeError)), None)
        if fault is not None:
            self.apply(turn, lambda: self._parity.fail(fault))
            return
        found = next((one for one in compared if one.run.run_id == run.run_id), None)
        if found is not None:
            told = session_words.parity(run, found, differing[1], self.session.theme)
            self.apply(turn, lambda: self._parity.show(told))


def _listed(lake: queries.Connection, run: Run, name: str) -> tuple[queries.Rows, str]:
    """Return the rows of a list, and how they are told: worked out once for all who look."""
    rows = _LISTS[name].question(lake, run)
    return rows, session_words.listing(rows, _LISTS[name].otherwise)


def _shown(runs: list[Run], picked: Run) -> tuple[Run, ...]:
    """Return the sessions that have a card: the newest, and the one that is picked."""
    newest = [picked if run.run_id == picked.run_id else run for run in runs[:SHOWN]]
    return tuple(newest if picked in newest else [*newest[: SHOWN - 1], picked])


def _signs(run: Run, account: Any, timing: Any, lists: Mapping[str, Any]) -> list[Sign]:
    told: list[tuple[str, Callable[..., Sign], tuple[Any, ...]]] = [
        ("trading", health_words.trading, (account, timing)),
        ("exchange", lambda account: health_words.exchange(run, account), (account,)),
        ("delay", lambda timing: health_words.delay(run, timing), (timing,)),
        ("clock", lambda timing: health_words.clock(run, timing), (timing,)),
        ("gaps", health_words.gaps, (lists["facts"],)),
        ("orders", health_words.orders, (lists["open"],)),
        ("account", lambda rows: health_words.account(run, rows), (lists["reconciliations"],)),
    ]
    signs = []
    for name, tell, answers in told:
        fault = next((answer for answer in answers if isinstance(answer, LakeError)), None)
        signs.append(tell(*answers) if fault is None else health_words.unreadable(name, str(fault)))
    return signs


def _prices(rows: Any) -> Any:
    """Return what the lines across the price depend on."""
    return None if isinstance(rows, LakeError) else tuple(zip(rows["Order"], rows["Limit or stop"], strict=True))


def _arrival(run: Run, arrivals: dict[session_queries.Series, Arrival] | LakeError) -> Arrival | None:
    return None if isinstance(arrivals, LakeError) else arrivals.get((run.exchange, run.symbol, run.timeframe))


def _now() -> pd.Timestamp:
    return pd.Timestamp.now("UTC").tz_localize(None)
