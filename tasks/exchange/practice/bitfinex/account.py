"""Bitfinex's private requests: wallets, orders and trades of the account, new orders, cancellations.

Endpoints: https://docs.bitfinex.com/reference (rest-auth-*). As there, the answer to a new order or a cancellation is
a notification that shows the order before anything has happened to it: to know more, ask again. The engine's fees are
all in the quote currency, where Bitfinex takes a buyer's from what was bought.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from tasks.exchange.matching.engine import Refusal, RefusedOrder
from tasks.exchange.orders import Fill, Order, OrderRequest
from tasks.exchange.practice.bitfinex.market import MarketData, window
from tasks.exchange.practice.bitfinex.numbers import LARGEST_CID, Numbers, cid_of, client_id_of
from tasks.exchange.practice.bitfinex.orders import read_order
from tasks.exchange.practice.bitfinex.rows import POST_ONLY_CROSSED, number, order_row, trade_row, updated
from tasks.exchange.practice.bitfinex.words import (
    FAILED,
    MAINTENANCE,
    ErrorRow,
    currency_name,
    integer,
    integers,
    invalid,
    pair_name,
    plain,
)
from tasks.exchange.practice.exchange import PracticeExchange
from tasks.exchange.practice.wire import Reply
from tasks.exchange.units import MILLISECOND, MINUTE

HISTORY = 14 * 24 * 60 * MINUTE
"""How long ago (ns) an order may have ended to be in the history: "up to circa two weeks"."""

DEFAULT_LIMIT = 25
MAX_LIMIT = 2500
"""Rows of one history."""

Body = Mapping[str, Any]


class Account:
    """What the owner of a key may ask, and order."""

    def __init__(self, exchange: PracticeExchange, markets: MarketData) -> None:
        self._exchange = exchange
        self._engine = exchange.engine
        self._markets = markets
        self._numbers = Numbers(exchange.engine)

    def wallets(self, _: Body) -> list[list[Any]]:
        """Return the exchange wallet: [type, currency, total, interest, free, last change, its details]."""
        return [
            ["exchange", currency_name(code), number(balance.total), 0, number(balance.free), None, None]
            for code, balance in self._engine.balances().items()
        ]

    def summary(self, _: Body) -> list[Any]:
        """Return the account's fees as fractions, those of the first market: makers', then takers'."""
        symbol = next(iter(self._exchange.markets))
        maker, taker = (number(self._engine.fee(symbol, maker=each)) for each in (True, False))
        fees = [[fee, fee, fee, None, None, 0] for fee in (maker, taker)]
        return [None, None, None, None, fees, None, None, None, None, {"leo_lev": 0, "leo_amount_avg": 0}]

    def orders(self, body: Body, name: str | None = None) -> list[list[Any]]:
        """Return the open orders, newest first: all, those of one market, those of a list of ids."""
        return [self._row(order) for order in reversed(self._chosen(self._engine.open_orders(), body, name))]

    def order_history(self, body: Body, name: str | None = None) -> list[list[Any]]:
        """Return the orders that ended in the last two weeks, the latest first."""
        asked = window(body, DEFAULT_LIMIT, MAX_LIMIT)
        start = max(asked.start, self._exchange.synced - HISTORY)
        ended = (o for o in self._engine.orders.values() if o.status != "open" and start <= updated(o) <= asked.end)
        found = sorted(self._chosen(ended, body, name), key=updated)[::-1]
        return [self._row(order) for order in found[: asked.limit]]

    def order_trades(self, _: Body, name: str, number_: str) -> list[list[Any]]:
        """Return the trades of one order, the latest first; none where there is no such order."""
        symbol = self._markets.market(name).rules.symbol
        order = self._numbers.order_of(int(number_))
        if order is None or order.request.symbol != symbol:
            return []
        return [self._trade(fill) for fill in reversed(order.fills)]

    def trades(self, body: Body, name: str | None = None) -> list[list[Any]]:
        """Return the account's trades, the latest first unless `sort` is 1."""
        symbol = None if name is None else self._markets.market(name).rules.symbol
        asked = window(body, DEFAULT_LIMIT, MAX_LIMIT)
        fills = self._engine.fills if asked.rising else reversed(self._engine.fills)
        found = [f for f in fills if asked.start <= f.time <= asked.end and symbol in (None, f.symbol)]
        return [self._trade(fill) for fill in found[: asked.limit]]

    def submit(self, body: Body) -> Reply:
        """Place an order."""
        request, cid = read_order(body, self._markets, self._exchange.synced)
        self._check_mode(request)
        if cid is not None:
            request = replace(request, client_id=client_id_of(cid, self._engine))
        try:
            order = self._placed(request)
        except RefusedOrder as error:
            raise self._error(error, request) from None
        fresh = Order(order.id, request, "open", order.opened)
        told = self._notification("on-req", [self._row(fresh)], "Submitting 1 orders.")
        return Reply(told, orders=(order.id,), client_id=None if cid is None else str(cid))

    def cancel(self, body: Body) -> list[Any]:
        """Cancel the open order of an `id`, or of a `cid` and the UTC day of its creation (`cid_date`)."""
        order = self._wanted(body)
        if order is None or order.status != "open":
            raise ErrorRow(FAILED, "Order not found.")
        row = self._row(order)
        self._engine.cancel(order.id)
        text = f"Submitted for cancellation; waiting for confirmation (ID: {row[0]})."
        return self._notification("oc-req", row, text)

    def cancel_many(self, body: Body) -> list[Any]:
        """Cancel the open orders of a list of ids, or, with `all` 1, every one; ids that are none are left out."""
        ids = integers(body, "id")
        if ids is None and integer(body, "all", 0, 1) != 1:
            raise invalid("id")
        orders = self._chosen(self._engine.open_orders(), {} if ids is None else body, None)
        rows = [self._row(order) for order in orders]
        for order in orders:
            self._engine.cancel(order.id)
        return self._notification("oc_multi-req", rows, f"Submitting {len(rows)} order cancellations.")

    def _placed(self, request: OrderRequest) -> Order:
        """Place an order; one that must not take but would is accepted, and cancelled at once, as Bitfinex does."""
        try:
            return self._engine.submit(request, fill_limit=self._exchange.take_fill_limit())
        except RefusedOrder as error:
            if error.refusal is not Refusal.POST_ONLY:
                raise
        # The engine refuses it, so it gets one of which nothing can be filled, to be shown as what was asked for.
        empty = replace(request, post_only=False, time_in_force="IOC", expires=None)
        order = self._engine.submit(empty, fill_limit=Decimal(0))
        order.request, order.reason = request, POST_ONLY_CROSSED
        return order

    def _error(self, error: RefusedOrder, request: OrderRequest) -> ErrorRow:
        """Return Bitfinex's words for why the engine does not take an order."""
        rules = self._exchange.markets[request.symbol].rules
        price = request.price or request.trigger or self._engine.last(request.symbol)
        wanted = f"{plain(request.amount)} {pair_name(rules)} at {plain(price)}"
        texts = {
            Refusal.FUNDS: f"not enough exchange balance for {wanted}",
            Refusal.MIN_AMOUNT: f"minimum size for {rules.symbol} is {plain(rules.min_amount)}",
            Refusal.MIN_COST: f"minimum cost for {rules.symbol} is {plain(rules.min_cost)}",
        }
        arguments = {Refusal.BAD_EXPIRY: "tif", Refusal.BAD_PRICE: "price", Refusal.BAD_AMOUNT: "amount"}
        if error.refusal in arguments:
            return invalid(arguments[error.refusal])
        return ErrorRow(FAILED, f"Invalid order: {texts.get(error.refusal, error.refusal.value)}")

    def _check_mode(self, request: OrderRequest) -> None:
        """Refuse what the exchange's mode forbids; Bitfinex knows no such modes, and says maintenance."""
        status = self._exchange.status
        if (
            status == "cancel_only"
            or (status == "post_only" and not request.post_only)
            or (status == "limit_only" and request.type != "limit")
        ):
            raise ErrorRow(MAINTENANCE, "maintenance")

    def _wanted(self, body: Body) -> Order | None:
        """Return the order that a cancellation names; of several with one cid the latest that is open."""
        id_ = integer(body, "id")
        if id_ is not None:
            return self._numbers.order_of(id_)
        cid, day = integer(body, "cid", 0, LARGEST_CID), body.get("cid_date")
        if cid is None or not isinstance(day, str):
            raise invalid("id")
        named = (o for o in reversed(self._engine.open_orders()) if cid_of(o) == cid and _day(o.opened) == day)
        return next(named, None)

    def _chosen(self, orders: Iterable[Order], body: Body, name: str | None) -> list[Order]:
        """Return those of one market, if one is named, and of a list of ids, if there is one."""
        symbol = None if name is None else self._markets.market(name).rules.symbol
        ids = integers(body, "id")
        return [
            order
            for order in orders
            if symbol in (None, order.request.symbol) and (ids is None or self._numbers.order(order.id) in ids)
        ]

    def _row(self, order: Order) -> list[Any]:
        name = self._markets.names[order.request.symbol]
        return order_row(order, self._numbers.order(order.id), cid_of(order), name)

    def _trade(self, fill: Fill) -> list[Any]:
        order = self._engine.orders[fill.order_id]
        numbers = self._numbers.trade(fill.id), self._numbers.order(order.id)
        return trade_row(fill, order, numbers, cid_of(order), self._markets.names[fill.symbol])

    def _notification(self, kind: str, data: list[Any], text: str) -> list[Any]:
        """Return the envelope of what was done: [time, type, id, nothing, data, code, status, text]."""
        now = self._exchange.clock.server_time() // MILLISECOND
        return [now, kind, None, None, data, None, "SUCCESS", text]


def _day(time: int) -> str:
    """Return the UTC day of a time (ns), as 2026-01-15."""
    return datetime.fromtimestamp(time // (1000 * MILLISECOND), UTC).date().isoformat()
