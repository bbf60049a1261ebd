"""Orders sent and followed: the one place that does, and what is made of an order whose fate the run before left open.

Every step is written down before the next is taken. An intent that the lake has not got is not sent; an order whose
outcome is unknown is looked for until it is certain, and blocks its symbol until then; fills are written before the
event that ends their order.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from data.errors import BadInput, ExchangeError, OutcomeUnknown, Refused, TryLater
from tasks.engine.books import Planned
from tasks.exchange.orders import Order
from tasks.exchange.units import MICROSECOND, SECOND
from tasks.trade.halt import halted
from tasks.trade.intent import NEVER_REACHED, Event, Intent

if TYPE_CHECKING:
    import pandas as pd

    from tasks.trade.desk import Desk
    from tasks.trade.paper import PaperBroker

DEADLINE = 20.0
"""Seconds after which the exchange shall refuse an order: so its absence is certain soon after."""

FOLLOW = 10.0
"""Seconds for which an order is followed that should end at once."""

_PAUSE = 0.1

_CAME_TOO_LATE = "Deadline elapsed"
"""Of Kraken's refusal of an order whose deadline was over: it is none, and was not refused for what it asked."""

_ENDS: dict[str, Event] = {"closed": "filled", "cancelled": "cancelled", "expired": "cancelled", "rejected": "rejected"}


def carry_out(desk: Desk, intent: Intent) -> Intent:
    """Write an order down, send it once, and follow it: a market order to its end.

    What became of it stands in the intent; where that is not known, the desk is blocked. Raises ExchangeError while
    nothing is written yet, LakeError where it could not be written or another process has the session.
    """
    intent.intended = desk.broker.now()
    intent.deadline = _whole_microseconds(desk.broker.deadline(DEADLINE))
    desk.ledger.intend(intent)
    stop = halted(desk.run.symbol)
    if stop is not None and intent.leg != "exit":
        _reject(desk, intent, f"{NEVER_REACHED}: halted, {stop.reason}")
        return intent
    try:
        order = desk.broker.submit(intent.request())
    except OutcomeUnknown as error:
        desk.ledger.note(intent, "unknown", at=desk.now(), reason=str(error))
        resolve(desk, intent)
    except TryLater as error:
        _reject(desk, intent, f"{NEVER_REACHED}: {error}")
    except (Refused, BadInput) as error:
        late = _CAME_TOO_LATE in str(error)
        _reject(desk, intent, f"{NEVER_REACHED} in time: {error}" if late else str(error))
    else:
        _accept(desk, intent, order)
    return intent


def resolve(desk: Desk, intent: Intent) -> None:
    """Find out what became of an order of unknown outcome. The desk is blocked when that is still not known."""
    if intent.filled >= intent.amount:  # on paper: killed between the fill and its event
        desk.ledger.note(intent, "sent", "accepted", "filled", at=desk.now())
        return
    try:
        order = desk.broker.resolve(intent.request(), intent.intended)
    except ExchangeError as error:
        desk.block("unknown_order", f"order {intent.order_id} may be at the exchange, or not: {error}")
        return
    if order is None:
        _reject(desk, intent, f"{NEVER_REACHED}: it was looked for and is not there")
    else:
        _accept(desk, intent, order)


def declare_absent(desk: Desk, intent: Intent) -> bool:
    """End an order of unknown outcome as one that the exchange never had: a person looked there, and it has none.

    False where it is found after all, and taken in. Raises ExchangeError while the exchange does not answer.
    """
    desk.broker.open_orders(intent.symbol)
    resolve(desk, intent)
    if intent.in_doubt:
        _reject(desk, intent, f"{NEVER_REACHED}: so says a person who looked")
    return intent.never_reached


def follow(desk: Desk, intent: Intent) -> None:
    """Ask for an order until it has ended, for some seconds; the desk is blocked when it has not, or cannot be seen."""
    until = time.monotonic() + FOLLOW
    reason = "it is still open"
    while True:
        try:
            refresh(desk, intent)
            reason = "it is still open"
        except ExchangeError as error:
            reason = str(error)
        if intent.is_final:
            return
        if time.monotonic() + _PAUSE > until:
            desk.block("unknown_order", f"order {intent.order_id} has not ended: {reason}")
            return
        time.sleep(_PAUSE)


def refresh(desk: Desk, intent: Intent) -> None:
    """Take in what an accepted order has done since. Raises ExchangeError when it cannot be seen."""
    order = desk.broker.order(intent.exchange_id or "", desk.run.symbol)
    if order.filled != intent.filled:
        desk.take_in(intent, desk.broker.fills_of(order))
    if intent.filled < order.filled:  # the exchange's trades come behind its orders
        raise TryLater(f"its fills make {intent.filled:f} so far, and it is filled to {order.filled:f}")
    if order.status in _ENDS:
        event = _ENDS[order.status]
        reason = None if event == "filled" else order.reason or order.status
        desk.ledger.note(intent, event, at=order.closed or desk.now(), reason=reason)
    elif intent.filled and intent.event != "partially_filled":
        desk.ledger.note(intent, "partially_filled", at=desk.now())


def cancel(desk: Desk, intent: Intent) -> None:
    """Cancel an open order and take in what it did until then; the desk is blocked when that is not certain."""
    try:
        desk.broker.cancel(intent.exchange_id or "", desk.run.symbol)
    except (Refused, OutcomeUnknown):  # it has ended meanwhile, or not: it tells when it is asked
        pass
    except TryLater as error:
        desk.block("unknown_order", f"order {intent.order_id} could not be cancelled: {error}")
        return
    follow(desk, intent)


def settle(desk: Desk) -> None:
    """Bring every order that the runs before left open or in doubt as near to its end as it goes.

    The desk is blocked where one's fate remains unknown. A limit order that rested too long is cancelled here, unless
    what it did not fill is to be bought: that waits for what the newest candle says.
    """
    desk.unblock()
    for intent in [order for order in desk.ledger.orders.values() if not order.is_final]:
        if intent.in_doubt:
            resolve(desk, intent)
        else:
            _look_at(desk, intent)
        nothing_follows = desk.run.options.on_timeout == "cancel" or halted(desk.run.symbol) is not None
        if nothing_follows and not desk.broker.simulates:  # on paper the candle comes first, which may fill it
            end_in_time(desk, intent)
    if not desk.broker.simulates and not desk.blocked:
        _note_strangers(desk)


def leave_inside(
    desk: Desk, broker: PaperBroker, intent: Intent, planned: Planned, ts: pd.Timestamp, timeframe: pd.Timedelta
) -> None:
    """Leave a position on paper inside a candle, at the stop or take-profit that the candle reached."""
    intent.intended = int((ts + timeframe).as_unit("ns").value) - MICROSECOND
    desk.ledger.intend(intent)
    try:
        order = broker.exit_inside(intent, planned, ts, timeframe)
    except Refused as error:
        _reject(desk, intent, str(error))
        return
    intent.exchange_id = order.id
    desk.take_in(intent, order.fills)
    desk.ledger.note(intent, "sent", "accepted", "filled", at=intent.intended)


def _accept(desk: Desk, intent: Intent, order: Order) -> None:
    intent.exchange_id = order.id
    desk.ledger.note(intent, "sent", "accepted", at=order.opened)
    if intent.type == "market":
        follow(desk, intent)
    else:
        _look_at(desk, intent)


def _look_at(desk: Desk, intent: Intent) -> None:
    try:
        refresh(desk, intent)
    except ExchangeError as error:
        desk.block("unknown_order", f"order {intent.order_id} cannot be seen: {error}")


def _reject(desk: Desk, intent: Intent, reason: str) -> None:
    desk.ledger.note(intent, "rejected", at=desk.now(), reason=reason)
    desk.tell("failure" if intent.never_reached else "refused", f"order {intent.order_id}: {reason}")


def end_in_time(desk: Desk, intent: Intent) -> None:
    """Cancel a limit order that has rested for too long, and buy the rest at once if the options say so.

    A halt ends it at once, and nothing is bought.
    """
    options, stop = desk.run.options, halted(desk.run.symbol)
    if intent.type != "limit" or intent.is_final or intent.in_doubt:
        return
    if stop is None and desk.now() - intent.intended < options.limit_timeout * SECOND:
        return
    cancel(desk, intent)
    rest = desk.market.round_amount(intent.amount - intent.filled)
    if stop is not None or options.on_timeout == "cancel":
        return
    if not intent.is_final or desk.blocked or intent.event == "filled":
        return
    wish = desk.wish(intent.decision, intent.side, intent.leg, rest, intent.reason)
    try:
        last = desk.broker.price(desk.run.symbol).last
        hindered = not desk.is_tradable(rest, last) or desk.has_strayed(intent.decision, float(last))
        if hindered or desk.has_used_up(desk.broker.now()):
            desk.tell("limit", f"order {intent.order_id}: {rest:f} of it stays undone at a price of {last:f}")
            return
        carry_out(desk, wish)
    except ExchangeError as error:
        desk.tell("failure", f"order {wish.order_id}: {error}")


def _note_strangers(desk: Desk) -> None:
    known = {order.exchange_id for order in desk.ledger.orders.values()}
    try:
        strangers = [order.id for order in desk.broker.open_orders(desk.run.symbol) if order.id not in known]
    except ExchangeError:
        return  # whatever it says would only be a note
    if strangers:
        desk.tell("foreign_order", f"open orders that this session did not make: {', '.join(strangers)}")


def _whole_microseconds(at: int | None) -> int | None:
    """Return an instant (ns) as the lake keeps it, so that a request read from it is the one that was sent."""
    return None if at is None else at // MICROSECOND * MICROSECOND
