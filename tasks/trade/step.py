"""One step of a session: the candles that closed since are taken in, and the newest of them is acted on."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple, cast

import pandas as pd

from data.errors import ExchangeError
from tasks.engine.books import Planned
from tasks.exchange.orders import Side
from tasks.exchange.trading import Quote
from tasks.exchange.units import MICROSECOND
from tasks.trade.decision import Action, Decision
from tasks.trade.execution import cancel, carry_out, end_in_time, leave_inside, refresh
from tasks.trade.halt import halted
from tasks.trade.intent import Intent, Leg
from tasks.trade.ledger import instant
from tasks.trade.protection import secure

if TYPE_CHECKING:
    from tasks.trade.desk import Desk, Seen

ATTEMPTS = 3
"""How often an order is made in one step while the exchange cannot be reached."""

_OF_THE_DATA = ("stale", "deviation")
_INSIDE = ("stop_loss", "trailing_stop", "take_profit")


class Left(NamedTuple):
    """What a candle does to the position by itself: an order that was made inside it, or an exit that is to be made."""

    order: Intent | None = None
    exit: Planned | None = None


class Step:
    """The decisions of one step; `run` makes them."""

    def __init__(self, desk: Desk, candles: pd.DataFrame, signals: pd.DataFrame, seen: Seen) -> None:
        self.desk = desk
        self.fold = desk.fold_over(candles)
        self.books = self.fold.books
        self._signals = signals
        self._wanted = signals["signal"].reindex(self.fold.bars.ts).to_numpy(dtype="float64")
        self._before = len(candles) - len(self.fold.bars.ts)
        self._seen = seen

    def run(self) -> list[Decision]:
        """Decide every candle that is not decided: write it down, and act on it if it is the newest."""
        self._correct()
        due, folded = self.fold.due, len(self.fold.marks)
        decisions = [self._missed(bar, "it came after a later one was decided") for bar in due if bar < folded]
        new = [int(bar) for bar in due if bar >= folded]
        leave: Planned | None = None
        for bar in new:
            left = self._pass(bar)
            leave = left.exit or leave
            if bar != new[-1]:
                decisions.append(self._decide_late(bar))
            else:
                decisions.append(self._decide(bar, left._replace(exit=leave)))
        self.fold.book_until()
        self._note_overdue()
        if decisions:
            marks = [self.fold.marks[self._position(decision.ts)] for decision in decisions]
            self.desk.ledger.decide(decisions, marks, self._signals)
        self.desk.record_trades()
        if not self.desk.broker.simulates:
            secure(self.desk)
        return decisions

    def _correct(self) -> None:
        """Write anew what was written before fills were known that lie inside candles decided already.

        This comes before the next decision is written, so that whoever follows a process killed in between sees it.
        """
        ledger = self.desk.ledger
        if ledger.decisions and self.fold.marks and self.fold.marks[-1].position != ledger.decisions[-1].position:
            ledger.correct_equity(self.fold.equity())
            ledger.record_trades(self.fold.trades())

    def _pass(self, bar: int) -> Left:
        """Take in a candle: what was filled inside it, then its close."""
        if self.desk.paper is None:
            left = Left(exit=self.fold.protection(bar))
        else:
            self.fold.book_until(self.fold.closed_at(bar))
            self._fill_resting(bar)
            left = Left(order=self._leave_inside(bar))
        self.fold.close(bar)
        return left

    def _fill_resting(self, bar: int) -> None:
        """On paper: let the candle fill the limit orders that rest."""
        resting = {order.exchange_id: order for order in self._open_orders()}
        if not resting or self.desk.paper is None:
            return
        _, opens, highs, lows, closes = self.fold.bars
        prices = (float(column[bar]) for column in (opens, highs, lows, closes))
        for order in self.desk.paper.pass_candle(self.desk.run.symbol, self._ts(bar), *prices):
            if order.id in resting:
                refresh(self.desk, resting[order.id])

    def _leave_inside(self, bar: int) -> Intent | None:
        """On paper: leave the position inside the candle, if its range brings an exit."""
        planned = self.fold.protection(bar)
        if planned is None or self.desk.paper is None:
            return None
        wish = self.desk.wish(self._decision_held, "sell", "exit", self.desk.in_steps(planned.amount), planned.reason)
        wish = replace(wish, type=planned.type, price=self.desk.exact(planned.trigger))  # type: ignore[arg-type]
        if planned.refusal:
            self._refuse(wish, planned, (self.fold.closed_at(bar) - 1) * MICROSECOND)
            return None
        step = pd.Timedelta(self.desk.run.step)
        leave_inside(self.desk, self.desk.paper, wish, planned, self._ts(bar), step)
        return wish if wish.event == "filled" else None

    def _decide(self, bar: int, left: Left) -> Decision:
        """Decide the newest candle, now that it is closed."""
        self.fold.book_until()
        wanted = self.books.decide(self._wanted[bar])
        made = self._made_before(bar) or (None if wanted else left.order)
        leave = None if left.exit is None or self._is_held_by_a_stop(left.exit) else left.exit
        if made is not None:
            return self._done(bar, made)
        hindered = self._hindered(bar)
        if hindered is None and (wanted or leave is not None):
            return self._act(bar, leave)
        self._end_entries()
        return hindered or self._quiet(bar)

    def _decide_late(self, bar: int) -> Decision:
        """Record a candle after which a later one has closed: it is not acted on, unless it was before a crash."""
        made = self._made_before(bar)
        if made is None:
            return self._missed(bar, "a later one had closed when this was looked at")
        self.books.decide(self._wanted[bar])
        return self._done(bar, made)

    def _hindered(self, bar: int, quote: Quote | None = None) -> Decision | None:
        """Return the decision to do nothing if nothing may be done; None if it may."""
        if self.desk.blocked:
            return self._row(bar, self.desk.blocked_by, self.desk.blocked, quote=quote)
        stop = halted(self.desk.run.symbol)
        if stop is None:
            return None
        text = f"halted since {stop.at:%Y-%m-%d %H:%M} UTC: {stop.reason}"
        self.desk.tell("halted", text)
        return self._row(bar, "halted", text, quote=quote)

    def _act(self, bar: int, leave: Planned | None) -> Decision:
        """Make the order that is wanted, or the exit that the candle brought; write down why if there is none."""
        order: Intent | None = None
        for _ in range(ATTEMPTS):
            try:
                quote = self.desk.broker.price(self.desk.run.symbol)
                at = self.desk.broker.now()
                planned = self._planned(bar, leave, quote, at)
                if self._clear_the_way(planned):
                    planned = self._planned(bar, leave, quote, at)
                hindered = self._hindered(bar, quote)
                if hindered is not None:
                    return hindered
                if planned is None:
                    self.books.settle()
                    return self._quiet(bar, quote)
                order = self._order(bar, planned, quote)
                if planned.refusal:
                    self._refuse(order, planned, at)
                    return self._row(bar, planned.word, _sentence(planned.refusal), quote=quote)
                carry_out(self.desk, order)
            except ExchangeError as error:
                return self._row(bar, "failed", str(error))
            if not order.never_reached:
                return self._done(bar, order, quote)
        return self._row(bar, "failed", order.ended if order else "", order=order)

    def _planned(self, bar: int, leave: Planned | None, quote: Quote, at: int) -> Planned | None:
        """Return what is to be done at this price and instant (ns), with the market's own minimum looked at."""
        market = float(quote.last)
        if leave is None or self.books.position <= 0.0:  # what was to be left is sold already
            planned = self.books.plan(market, at // MICROSECOND, age=self._age(bar, at))
            if planned is not None and planned.side == "buy":  # sized by what it will cost where the spread is wide
                asked = float(quote.ask) / (1.0 + self.desk.run.rules.slippage)
                if asked > market:
                    planned = self.books.plan(asked, at // MICROSECOND, age=self._age(bar, at))
        else:
            paid = market * (1.0 - self.desk.run.rules.slippage)
            planned = leave._replace(type="market", amount=self.books.position, market=market, price=paid)
        if planned is None or planned.refusal:
            return planned
        amount = self._amount(planned)
        if self.desk.is_tradable(amount, self.desk.exact(planned.price)):
            return planned
        rules = self.desk.market
        least = f"the market takes {rules.min_amount:f} {rules.base} and {rules.min_cost:f} {rules.quote} at least"
        return planned._replace(refusal=f"{amount:f} {rules.base} is too small: {least}", word="too_small")

    def _amount(self, planned: Planned) -> Decimal:
        amount = self.desk.in_steps(planned.amount)
        if planned.side == "sell":
            amount = min(amount, self.desk.market.round_amount(self.desk.ledger.position))
        return amount

    def _order(self, bar: int, planned: Planned, quote: Quote) -> Intent:
        """Return the order that is planned: one to buy waits at the bid if the options say so."""
        side, leg = cast("Side", planned.side), cast("Leg", planned.leg)
        order = self.desk.wish(self._ts(bar), side, leg, self._amount(planned), planned.reason)
        rests = self.desk.run.options.order_type == "limit" and planned.side == "buy"
        if not rests or planned.refusal:
            return order
        return replace(order, type="limit", price=self.desk.market.round_price(quote.bid, "buy"))

    def _clear_the_way(self, planned: Planned | None) -> bool:
        """Cancel what rests at the exchange and was wanted before, and what would meet the order that is planned; tell
        whether there was any."""
        kinds = {"limit", "stop"} if planned is not None and planned.side == "sell" else {"limit"}
        resting = [order for order in self._open_orders() if order.type in kinds]
        for order in resting:
            cancel(self.desk, order)
        return bool(resting)

    def _end_entries(self) -> None:
        """End the entries that rest for too long, or at all while trading is halted."""
        for order in self._open_orders():
            end_in_time(self.desk, order)

    def _refuse(self, order: Intent, planned: Planned, at: int) -> None:
        """Write down an order that is not sent, and count its target as acted on."""
        order.intended = at
        self.desk.ledger.note(order, "rejected", at=at, reason=planned.refusal)
        self.books.refuse(planned)
        if planned.word not in ("too_small", "no_cash", "no_equity"):
            kind = "stale_data" if planned.word in _OF_THE_DATA else "limit"
            self.desk.tell(kind, f"{order.side} was not made: {planned.refusal}")

    def _done(self, bar: int, order: Intent, quote: Quote | None = None) -> Decision:
        """Return the decision that an order was made for, and count its target as acted on.

        One to sell that the exchange ended before it was filled is wanted still.
        """
        ended = order.event in ("rejected", "cancelled") and not self.desk.ledger.was_not_sent(order)
        if ended and order.side == "sell":
            sold = f"{order.filled.normalize():f} of {order.amount.normalize():f} {self.desk.market.base}"
            return self._row(bar, "failed", f"{sold} was sold: {order.ended}", order=order, quote=quote)
        if order.event == "rejected":
            reason, detail = "refused", _sentence(order.ended)
        elif order.in_doubt or (not order.is_final and self.desk.blocked_by == "unknown_order"):
            reason, detail = "unknown_order", self.desk.blocked or f"order {order.order_id} is in doubt"
        else:
            said = "waits" if not order.filled else "is" if order.is_final else "is so far"
            what = f"{order.side} of {order.amount.normalize():f} {self.desk.market.base} at {order.type}"
            reason, detail = order.reason, f"{what} {said} filled to {order.filled.normalize():f}"
        if order.reason not in _INSIDE:  # else the signal has still to be acted on, if it wants something new
            self.books.settle()
        return self._row(bar, reason, detail, order=order, quote=quote)

    def _quiet(self, bar: int, quote: Quote | None = None) -> Decision:
        signal, held = self._wanted[bar], f"{self.books.position:.10g} {self.desk.market.base} held"
        if pd.isna(signal):
            return self._row(bar, "warm_up", f"the strategy gives no signal; {held}", quote=quote)
        return self._row(bar, "unchanged", f"the signal is {signal:g} and was acted on; {held}", quote=quote)

    def _missed(self, bar: int, why: str) -> Decision:
        return self._row(bar, "missed", f"recorded, not acted on: {why}")

    def _row(
        self, bar: int, reason: str, detail: str, *, order: Intent | None = None, quote: Quote | None = None
    ) -> Decision:
        run, now = self.desk.run, self.desk.now()
        made = order is not None and reason not in ("refused", "failed")
        action: Action = order.side if order is not None and made else "hold"
        return Decision(
            run_id=run.run_id,
            symbol=run.symbol,
            ts=self._ts(bar),
            decided_at=instant(now),
            action=action,
            reason=reason,
            detail=detail,
            close=float(self.fold.bars.closes[bar]),
            signal=float(self._wanted[bar]),
            target=self.books.target,
            position=self.fold.marks[bar].position,
            price=None if quote is None else float(quote.last),
            amount=None if order is None else float(order.amount),
            order_id=None if order is None else order.order_id,
            age=self._seconds_since(bar, now),
            candles=self._before + bar + 1,
            data_fingerprint=self._seen.fingerprint,
            candles_version=self._seen.candles_version,
            code_version=run.code_version,
            flow_run_id=run.flow_run_id,
        )

    def _made_before(self, bar: int) -> Intent | None:
        """Return the order that an earlier attempt at this very decision made, if the exchange may have had it."""
        orders = [order for order in self.desk.ledger.orders.values() if order.decision == self._ts(bar)]
        return next((order for order in orders if order.type != "stop" and not order.never_reached), None)

    def _is_held_by_a_stop(self, leave: Planned) -> bool:
        """Tell whether the exchange itself sees to an exit."""
        return leave.type == "stop" and any(order.type == "stop" for order in self._open_orders())

    def _open_orders(self) -> list[Intent]:
        return [order for order in self.desk.ledger.orders.values() if not order.is_final and not order.in_doubt]

    def _age(self, bar: int, at: int) -> float:
        """Return for how many seconds the signal has waited at an instant (ns): since the close of the first candle
        that wanted the same as this one and was not acted on."""
        first = bar
        while first > 0 and self._wanted[first - 1] == self._wanted[bar] and self.fold.is_undone(first - 1):
            first -= 1
        return self._seconds_since(first, at)

    def _seconds_since(self, bar: int, at: int) -> float:
        return (at // MICROSECOND - self.fold.closed_at(bar)) / 1e6

    def _note_overdue(self) -> None:
        """Say so when the candle that should have closed by now is not there."""
        last = len(self.fold.bars.ts) - 1
        waited = self._seconds_since(last, self.desk.now())
        if waited > 2 * self.desk.run.step.total_seconds():
            self.desk.tell("stale_data", f"no candle since that of {self._ts(last):%Y-%m-%d %H:%M} UTC")

    @property
    def _decision_held(self) -> pd.Timestamp:
        """The candle whose decision made the position."""
        return pd.Timestamp(self.books.decision, unit="us", tz="UTC")

    def _ts(self, bar: int) -> pd.Timestamp:
        return self.fold.bars.ts[bar]

    def _position(self, ts: pd.Timestamp) -> int:
        return int(self.fold.bars.ts.get_loc(ts))  # type: ignore[arg-type]


def _sentence(refusal: str) -> str:
    return f"no order was made: {refusal}"
