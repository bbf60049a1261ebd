"""Bitfinex's whole numbers for what the engine names by text: orders, trades, and the sender's own ids (cid).

A number is the place among all orders or trades ever made, so that it is the same after a restart. A cid is a whole
number below 2^45. It "should be unique in the day (UTC) (not enforced)" (docs.bitfinex.com, ws-auth-input-order-new):
two open orders may bear the same one, which the engine does not allow; the later ones are told apart by a suffix.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice

from tasks.exchange.matching.engine import MatchingEngine
from tasks.exchange.orders import Order
from tasks.exchange.units import MILLISECOND

FIRST_ORDER = 100_000_000_000
FIRST_TRADE = 1_000_000_000

LARGEST_CID = 2**45 - 1

_CLIENT_ID = re.compile(r"([0-9]{1,14})(\.[0-9]+)?")


class Places:
    """The places of names in a list that only grows, counted from `first`."""

    def __init__(self, first: int) -> None:
        self._first = first
        self._names: list[str] = []
        self._places: dict[str, int] = {}

    def update(self, names: Iterable[str]) -> None:
        """Take note of the names that are new: those behind the ones known."""
        for name in islice(names, len(self._names), None):
            self._places[name] = self._first + len(self._names)
            self._names.append(name)

    def number(self, name: str) -> int:
        """Return the number of a name that is known."""
        return self._places[name]

    def name(self, number: int) -> str | None:
        """Return the name of a number; None where there is none."""
        place = number - self._first
        return self._names[place] if 0 <= place < len(self._names) else None


class Numbers:
    """The numbers of an engine's orders and trades."""

    def __init__(self, engine: MatchingEngine) -> None:
        self._engine = engine
        self._orders, self._trades = Places(FIRST_ORDER), Places(FIRST_TRADE)

    def order(self, id_: str) -> int:
        """Return the number of an order."""
        self._orders.update(self._engine.orders)
        return self._orders.number(id_)

    def order_of(self, number: int) -> Order | None:
        """Return the order of a number; None where there is none."""
        self._orders.update(self._engine.orders)
        id_ = self._orders.name(number)
        return None if id_ is None else self._engine.orders[id_]

    def trade(self, id_: str) -> int:
        """Return the number of a trade."""
        self._trades.update(fill.id for fill in self._engine.fills)
        return self._trades.number(id_)


def cid_of(order: Order) -> int:
    """Return the sender's number of an order; that of an order without one is the millisecond of its creation."""
    match = _CLIENT_ID.fullmatch(order.request.client_id or "")
    return int(match[1]) if match else order.opened // MILLISECOND


def client_id_of(cid: int, engine: MatchingEngine) -> str:
    """Return what the engine is to call an order with this cid: the number itself, if no open order bears it."""
    taken = {order.request.client_id for order in engine.open_orders()}
    names = (str(cid) if copy == 1 else f"{cid}.{copy}" for copy in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken)
