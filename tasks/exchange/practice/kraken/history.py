"""The account's orders and trades as Kraken lets them be looked up: by id, by client id, by time, in pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from tasks.exchange.matching.engine import MatchingEngine
from tasks.exchange.orders import Fill, Order
from tasks.exchange.practice.kraken.arguments import Arguments
from tasks.exchange.practice.kraken.names import Names
from tasks.exchange.practice.kraken.rows import order_row, trade_row
from tasks.exchange.practice.kraken.words import UNKNOWN_ORDER, KrakenRefusal, invalid
from tasks.exchange.units import SECOND

PAGE = 50
_MOST_ORDERS, _MOST_TRADES = 50, 20
"""How many can be queried by id at once."""

_Row = TypeVar("_Row", Order, Fill)


class History:
    """What there is to look up; `userrefs` are the sender's own numbers, by the order's id."""

    def __init__(self, engine: MatchingEngine, names: Names, userrefs: Mapping[str, int]) -> None:
        self._engine = engine
        self._names = names
        self._userrefs = userrefs

    def query_orders(self, arguments: Arguments) -> dict[str, Any]:
        """Return orders by id; refused if one is not known."""
        ids, userref, trades = arguments.ids("txid", _MOST_ORDERS), arguments.userref(), arguments.flag("trades")
        if not all(order_id in self._engine.orders for order_id in ids):
            raise KrakenRefusal(UNKNOWN_ORDER)
        orders = [self._engine.orders[order_id] for order_id in ids]
        return self._order_rows(
            [each for each in orders if userref in (None, self._userrefs.get(each.id))], trades=trades
        )

    def open_orders(self, arguments: Arguments) -> dict[str, Any]:
        """Return all open orders, newest first, or those of a client id or userref."""
        orders = list(filter(self._filter(arguments), reversed(self._engine.open_orders())))
        return {"open": self._order_rows(orders, trades=arguments.flag("trades"))}

    def closed_orders(self, arguments: Arguments) -> dict[str, Any]:
        """Return a page of the orders that ended, newest first, and how many there are."""
        by = arguments.one_of("closetime", ("open", "close", "both"), "both")
        ended = [order for order in self._engine.orders.values() if order.closed is not None]
        wanted = filter(self._filter(arguments), ended)
        within = self._between(arguments, wanted, _opened if by == "open" else _closed)
        shown = self._order_rows(_page(arguments, within), trades=arguments.flag("trades"))
        return {"closed": shown, "count": len(within)}

    def trades(self, arguments: Arguments) -> dict[str, Any]:
        """Return a page of the account's trades, newest first, and how many there are."""
        arguments.one_of("type", ("all", "no position"), "all")
        within = self._between(arguments, self._engine.fills, _traded)
        return {"trades": self._trade_rows(_page(arguments, within)), "count": len(within)}

    def query_trades(self, arguments: Arguments) -> dict[str, Any]:
        """Return trades by id; refused if one is not known."""
        ids = set(arguments.ids("txid", _MOST_TRADES))
        found = [fill for fill in self._engine.fills if fill.id in ids]
        if len(found) < len(ids):
            raise invalid("txid")
        return self._trade_rows(found)

    def _filter(self, arguments: Arguments) -> Callable[[Order], bool]:
        """Return what tells whether an order is of the client id and the userref that are asked for, if any."""
        client_id, userref = arguments.client_id(), arguments.userref()
        return lambda order: (
            client_id in (None, order.request.client_id) and userref in (None, self._userrefs.get(order.id))
        )

    def _between(self, arguments: Arguments, rows: Iterable[_Row], time: Callable[[_Row], int]) -> list[_Row]:
        """Return what lies after `start` and not after `end`, newest first."""
        start, end = self._moment(arguments, "start"), self._moment(arguments, "end")
        within = [row for row in rows if (start is None or time(row) > start) and (end is None or time(row) <= end)]
        return sorted(within, key=time)[::-1]

    def _moment(self, arguments: Arguments, name: str) -> int | None:
        """Read a bound: a time, or the id of an order or trade, which stands for the time it was made."""
        if not arguments.has(name):
            return None
        value = arguments.text(name)
        if value in self._engine.orders:
            return self._engine.orders[value].opened
        made = next((fill.time for fill in self._engine.fills if fill.id == value), None)
        if made is not None:
            return made
        return int(arguments.number(name) * SECOND)

    def _order_rows(self, orders: list[Order], *, trades: bool) -> dict[str, Any]:
        return {
            order.id: order_row(
                self._names.pairs[order.request.symbol], order, self._userrefs.get(order.id), trades=trades
            )
            for order in orders
        }

    def _trade_rows(self, fills: list[Fill]) -> dict[str, Any]:
        return {
            fill.id: trade_row(self._names.pairs[fill.symbol], fill, self._engine.orders[fill.order_id])
            for fill in fills
        }


def _page(arguments: Arguments, rows: list[_Row]) -> list[_Row]:
    offset = arguments.integer("ofs", 0)
    return rows[offset : offset + PAGE]


def _opened(order: Order) -> int:
    return order.opened


def _closed(order: Order) -> int:
    return order.closed or order.opened


def _traded(fill: Fill) -> int:
    return fill.time
