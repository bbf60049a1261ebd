"""The account of a session as a fold: what the ledger says, over the candles, by the rules of the backtest."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.engine.books import Books, Mark, Planned
from tasks.engine.inputs import check_prices, read_bars
from tasks.exchange.units import MICROSECOND
from tasks.trade.decision import QUIET, UNDONE, Decision
from tasks.trade.intent import Intent
from tasks.trade.ledger import Ledger, LedgerFill, Standing, microseconds

if TYPE_CHECKING:
    from tasks.trade.desk import SessionRun


class Fold:
    """The account as it came to be, and as it goes on: fills by their time, candles by their close.

    `candles` are those of the session, one at least. When it is made, all up to the last decided one are folded.
    Raises BadInput for candles that cannot be.
    """

    def __init__(self, run: SessionRun, ledger: Ledger, candles: pd.DataFrame) -> None:
        self.books = Books(run.cash, run.rules, run.limits, run.step)
        self.bars = read_bars(candles)
        check_prices(self.bars)
        self.marks: list[Mark] = []
        """The account at each close that was folded."""
        self._run = run
        self._ledger = ledger
        self._opened = self.bars.ts.asi8
        self._closed = self._opened + int(run.step.total_seconds()) * 1_000_000
        self._standing = Standing(ledger.base)
        self._counted: set[str] = set()
        self._decided = {microseconds(decision.ts): decision for decision in ledger.decisions}
        self._events = _events(ledger)
        self._booked = 0
        self._fold_decided()

    @property
    def due(self) -> npt.NDArray[np.int64]:
        """Positions of the candles that are not decided, oldest first; some may be older than one that is."""
        decided = np.fromiter(self._decided, np.int64, len(self._decided))
        return np.flatnonzero(~np.isin(self._opened, decided))

    def closed_at(self, bar: int) -> int:
        """Return the instant at which a candle closes: microseconds since 1970 UTC."""
        return int(self._closed[bar])

    def book_until(self, at: int | None = None) -> None:
        """Book what is older than an instant (microseconds), or all that the ledger had."""
        while self._booked < len(self._events):
            when, event = self._events[self._booked]
            if at is not None and when >= at:
                return
            self._booked += 1
            if isinstance(event, LedgerFill):
                self._book(event)
            else:
                self.books.refuse(_refused(event))

    def take(self, fill: LedgerFill) -> None:
        """Book a fill that was not in the ledger before, after what is older."""
        self.book_until(fill.at // MICROSECOND + 1)
        self._book(fill)

    def protection(self, bar: int) -> Planned | None:
        """Return the exit that a candle brings, which is the next to be closed, with what was filled inside it."""
        self.book_until(self.closed_at(bar))
        return self.books.protection(self.bars.opens[bar], self.bars.highs[bar], self.bars.lows[bar])

    def close(self, bar: int) -> Mark:
        """Close a candle, which is the next one, and return the account as it stands then."""
        self._close_until(bar + 1)
        return self.marks[bar]

    def equity(self) -> pd.DataFrame:
        """Return one row a folded candle: ts, cash, position, price, equity and drawdown."""
        count = len(self.marks)
        table = pd.DataFrame(self.marks, columns=["cash", "position", "equity", "drawdown"], dtype="float64")
        table.insert(0, "ts", self.bars.ts[:count])
        table.insert(3, "price", self.bars.closes[:count])
        return table

    def trades(self) -> pd.DataFrame:
        """Return the round trips, the open one marked at the last close that was folded."""
        last = self.bars.closes[max(len(self.marks) - 1, 0)]
        return self.books.trades(self._run.symbol, self._run.step, float(last))

    def _fold_decided(self) -> None:
        """Close the candles up to the last decided one, and take each decision that did something as it was taken."""
        target = 0.0
        for decision in self._ledger.decisions:
            if self._left_undone(decision) or (decision.target == target and decision.reason in QUIET):
                continue
            target = decision.target
            self._close_until(self._after(decision))
            self.books.settle(target)
        if self._ledger.decisions:
            self._close_until(self._after(self._ledger.decisions[-1]))

    def is_undone(self, bar: int) -> bool:
        """Tell whether a candle is not decided, or something may have been left undone at its decision."""
        decision = self._decided.get(int(self._opened[bar]))
        return decision is None or self._left_undone(decision)

    def _left_undone(self, decision: Decision) -> bool:
        order = self._ledger.orders.get(decision.order_id or "")
        if order is not None and decision.reason == "unknown_order":
            return order.never_reached  # what was not known then is known now
        return decision.reason in UNDONE

    def _after(self, decision: Decision) -> int:
        return int(np.searchsorted(self._opened, microseconds(decision.ts), side="right"))

    def _close_until(self, stop: int) -> None:
        """Close the candles before `stop`, as many at once as nothing was booked between."""
        while (bar := len(self.marks)) < stop:
            self.book_until(self.closed_at(bar))
            end = stop
            if self._booked < len(self._events):
                end = min(stop, int(np.searchsorted(self._closed, self._events[self._booked][0], side="right")))
            part = slice(bar, end)
            self.marks += self.books.close_candles(
                self._opened[part],
                self.bars.opens[part],
                self.bars.highs[part],
                self.bars.lows[part],
                self.bars.closes[part],
            )

    def _book(self, fill: LedgerFill) -> None:
        """Settle a fill and count its order.

        A fee in the base currency was kept back from what was bought, or sold beyond it; one in a third currency moves
        neither money nor position here.
        """
        at = fill.at // MICROSECOND
        if fill.order_id not in self._counted:
            self._counted.add(fill.order_id)
            self.books.place(at)
        amount, fee = fill.amount_float, fill.fee_float
        if fill.fee_currency == self._ledger.base:
            amount, fee = amount - fee if fill.side == "buy" else amount + fee, fee * fill.price_float
        elif fill.fee_currency != self._ledger.quote:
            fee = 0.0
        self._standing.take(fill.side, fill.amount, fill.fee, fill.fee_currency)
        self.books.fill(
            at=at,
            decision=microseconds(fill.decision),
            order_id=fill.order_id,
            leg=fill.leg,
            type=fill.type,
            reason=fill.reason,
            side=fill.side,
            price=fill.price_float,
            amount=amount,
            fee=fee,
            position=float(self._standing.position),
        )


def _events(ledger: Ledger) -> list[tuple[int, LedgerFill | Intent]]:
    """Return the fills, and the exits that were too small to be sent, with their instants (microseconds), in order."""
    refused = [order for order in ledger.orders.values() if order.leg == "exit" and ledger.was_not_sent(order)]
    events: list[tuple[int, LedgerFill | Intent]] = [(fill.at // MICROSECOND, fill) for fill in ledger.fills]
    events += [(order.intended // MICROSECOND, order) for order in refused]
    return sorted(events, key=itemgetter(0))


def _refused(order: Intent) -> Planned:
    """Return an exit that was refused, as the books planned it."""
    nan = float("nan")
    amount = float(order.amount)
    return Planned(order.side, order.leg, order.type, amount, nan, nan, nan, nan, nan, order.reason, order.ended, "")
