"""What protects a position while nobody looks: a stop order at the exchange, or its dead man's switch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from data.errors import ExchangeError, Refused
from data.timeframe import parse_timeframe
from tasks.exchange.trading import LONGEST_SWITCH
from tasks.exchange.units import MICROSECOND
from tasks.trade.execution import cancel, carry_out
from tasks.trade.intent import Intent
from tasks.trade.ledger import instant
from tasks.trade.live import LiveBroker

if TYPE_CHECKING:
    from tasks.trade.desk import Desk

_LEEWAY = 60
"""Seconds beyond two candles after which the dead man's switch fires."""


def places_stops(desk: Desk) -> bool:
    """Tell whether the positions of a session are protected by stops at the exchange."""
    rules, broker = desk.run.rules, desk.broker
    has_stops = min(rules.stop_loss, rules.trailing_stop) < math.inf
    return has_stops and desk.run.options.protective_stops and broker.holds_stops and not broker.simulates


def secure(desk: Desk) -> None:
    """See that exactly one stop order stands at the exchange, for the whole position and at the level now in force.

    One that stands elsewhere is cancelled first: an exchange holds a position for one order at a time. Where nothing
    can be placed the desk is told why, and the next call tries again.
    """
    if desk.blocked or not places_stops(desk):
        return
    try:
        wanted, standing = _wanted(desk), _standing(desk)
        if wanted is not None and len(standing) == 1 and _is_same(wanted, standing[0]):
            return
        if standing:
            release(desk)
            wanted = _wanted(desk)
        if wanted is not None and not desk.blocked:
            carry_out(desk, wanted)
    except ExchangeError as error:
        desk.tell("failure", f"the position is without its stop at the exchange: {error}")


def release(desk: Desk) -> None:
    """Cancel the stop at the exchange and take in what it filled: call it before anything else is sold.

    The desk is blocked when that is not certain.
    """
    for intent in _standing(desk):
        cancel(desk, intent)


def renew(broker: LiveBroker, desks: Sequence[Desk]) -> None:
    """Set the dead man's switch of an account anew, where its exchange has one and its sessions want it.

    It fires two candles and a minute from now, by the exchange's clock. As it would take the stops away that protect
    positions, it is taken away itself where one of these sessions places any, or the account has any by another; and it
    is not set where candles are so long that it could not be set for two of them.
    """
    watched = [desk for desk in desks if desk.run.options.dead_man]
    if not watched:
        return
    longest = max(parse_timeframe(desk.run.timeframe) for desk in watched)
    seconds = 0 if any(places_stops(desk) for desk in desks) else int(2 * longest.total_seconds()) + _LEEWAY
    if seconds > LONGEST_SWITCH:
        return
    try:
        broker.cancel_all_after(0 if seconds and broker.has_stops() else seconds)
    except Refused:
        return  # the exchange has none
    except ExchangeError as error:  # to set it again does no harm, whatever became of it
        watched[0].tell("failure", f"the dead man's switch was not renewed: {error}")


def _standing(desk: Desk) -> list[Intent]:
    return [order for order in desk.ledger.orders.values() if order.type == "stop" and not order.is_final]


def _wanted(desk: Desk) -> Intent | None:
    """Return the stop that the position calls for, in steps of the market; None where it calls for none."""
    books, amount = desk.books, desk.market.round_amount(desk.ledger.position)
    levels = books.levels()
    if amount <= 0 or math.isnan(levels.stop):
        return None
    decision = instant(books.decision * MICROSECOND)
    wish = replace(desk.wish(decision, "sell", "exit", amount, levels.reason), type="stop")
    wish.price = desk.exact(levels.stop)
    try:
        wish.price = desk.broker.prepare(wish.request()).trigger
    except Refused:
        return None  # dust, which no order can sell
    return wish


def _is_same(wanted: Intent, standing: Intent) -> bool:
    return (wanted.amount, wanted.price) == (standing.amount - standing.filled, standing.price)
