"""What was ordered and traded, from the first day on."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Self

from tasks.exchange.matching.book import Level
from tasks.exchange.matching.ids import make_id
from tasks.exchange.matching.volume import TradedVolume
from tasks.exchange.orders import Fill, Order


class History:
    """All orders and fills; it gives them their ids."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.orders: dict[str, Order] = {}
        self.fills: list[Fill] = []
        self.volume = TradedVolume()
        self.changed: dict[str, Order] = {}

    def begin(self, order: Order) -> None:
        """Give a new order its id and write it down."""
        order.id = make_id("O", len(self.orders) + 1, self.seed)
        self.orders[order.id] = self.changed[order.id] = order

    def fill(self, order: Order, level: Level, time: int, *, fee: Decimal, maker: bool) -> Fill:
        """Write down a trade of an order, with its fee."""
        (price, amount), request = level, order.request
        id_ = make_id("T", len(self.fills) + 1, self.seed)
        cost = price * amount
        fill = Fill(
            id_, order.id, request.symbol, request.side, time, price, amount, cost, fee, order.fee_currency, maker
        )
        order.filled, order.cost, order.fee = order.filled + amount, order.cost + cost, order.fee + fee
        order.fills.append(fill)
        self.fills.append(fill)
        self.volume.add(time, cost)
        self.changed[order.id] = order
        return fill

    def take_changed(self) -> list[Order]:
        """Return the orders that changed since this was last asked."""
        changed, self.changed = list(self.changed.values()), {}
        return changed

    @classmethod
    def restore(cls, orders: Iterable[Order], seed: int) -> Self:
        """Return the history of these orders, oldest first; their fills' ids tell in what order they happened."""
        history = cls(seed)
        history.orders = {order.id: order for order in orders}
        fills = {fill.id: fill for order in history.orders.values() for fill in order.fills}
        turns = {make_id("T", number, seed): number for number in range(1, len(fills) + 1)}
        history.fills = sorted(fills.values(), key=lambda fill: turns.get(fill.id, 0))
        for fill in history.fills:
            history.volume.add(fill.time, fill.cost)
        return history
