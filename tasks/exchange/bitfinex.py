"""Orders at Bitfinex: https://docs.bitfinex.com/reference/rest-auth-submit-order and its neighbours."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from data.errors import BadInput, Refused
from tasks.exchange.dialect import Dialect, decimal, str_of
from tasks.exchange.orders import Balance, Fill, Order, OrderRequest, OrderType, Status
from tasks.exchange.units import MILLISECOND

_PAGE = 1000
"""Rows of a history; it gives up to 2,500."""
_FAR = 4_102_444_800_000
"""The year 2100, in milliseconds: ccxt ends ranges at this machine's clock, which need not be the exchange's."""
_CIDS = 2**45
"""Bitfinex' client ids are whole numbers below this."""


class Bitfinex(Dialect):
    """Bitfinex' way with orders.

    It has stop orders, which wake above the market when they buy and below when they sell, and no take-profit orders
    (ccxt says it has, and sends an order that trades at once). Rows are read as Bitfinex sent them.
    """

    triggers: frozenset[OrderType] = frozenset(("stop_loss", "stop_loss_limit"))
    has_expiry = True
    lists_all = True

    def refuse_lacking(self, request: OrderRequest, *, validate: bool = False) -> None:
        """Raise Refused or BadInput for what Bitfinex does not have."""
        super().refuse_lacking(request, validate=validate)
        force = request.time_in_force
        if (request.type == "market" and force != "GTC") or (request.type != "limit" and force == "IOC"):
            # ccxt makes of a stop order that is IOC a limit order, which trades at once
            raise BadInput(f"{self.exchange} takes no {request.type} order that is {force}")

    def sent_id(self, client_id: str) -> int:
        """Return the number by which Bitfinex knows a client id: the UUID's, or its text's SHA-256, modulo 2^45."""
        try:
            number = UUID(client_id).int
        except ValueError:
            number = int.from_bytes(hashlib.sha256(client_id.encode()).digest())
        return number % _CIDS

    def parameters(self, request: OrderRequest) -> dict[str, Any]:
        """Return ccxt's `params` of an order."""
        given = super().parameters(request)
        if request.trigger is not None:
            given["triggerPrice"] = str_of(request.trigger)
        if request.expires is not None:
            given["tif"] = f"{datetime.fromtimestamp(request.expires // (1000 * MILLISECOND), UTC):%Y-%m-%d %H:%M:%S}"
        return given

    def open_orders(self, symbol: str | None) -> list[Order]:
        """Return the open orders; the list is whole."""
        return [self.order_of(row) for row in self._rows(self.client.fetch_open_orders, symbol)]

    def closed_pages(self, since: int, symbol: str | None, client_id: str | None = None) -> Iterator[list[Order]]:
        """Yield the orders that ended since then (ns) and in the last two weeks, the latest first."""
        end = _FAR
        while True:
            rows = self._rows(self.client.fetch_closed_orders, symbol, since // MILLISECOND, _PAGE, {"end": end})
            yield self._of(client_id, [self.order_of(row) for row in rows])
            if len(rows) < _PAGE:
                return
            end = _earlier(end, min(row["info"][5] for row in rows))

    def fill_pages(self, since: int, symbol: str | None) -> Iterator[list[Fill]]:
        """Yield own trades since then (ns), the latest first."""
        end = _FAR
        while True:
            rows = self._rows(self.client.fetch_my_trades, symbol, since // MILLISECOND, _PAGE, {"end": end})
            yield [self.fill_of(row) for row in rows]
            if len(rows) < _PAGE:
                return
            end = _earlier(end, min(row["info"][2] for row in rows))

    def _rows(self, read: Callable[..., Any], *args: Any) -> list[Any]:
        """Read a list; an empty one is read again, for without an envelope it looks like a damaged answer."""
        rows: list[Any] = self.ask(read, *args) or self.ask(read, *args)
        return rows

    def order(self, order_id: str, symbol: str | None) -> Order:
        """Return one order: among the open ones, then among those that ended."""
        import ccxt

        wanted = {"id": [self._number(order_id)]}
        rows = self._rows(self.client.fetch_open_orders, symbol, None, None, wanted)
        rows = rows or self._rows(self.client.fetch_closed_orders, symbol, None, None, wanted)
        found = [row for row in rows if row["id"] == order_id]
        if not found:
            raise ccxt.OrderNotFound(f"{self.exchange} has no order {order_id}")
        return self.with_figures(self.order_of(found[0]))

    def cancel(self, order_id: str, symbol: str | None) -> None:
        """Send a cancellation, once."""
        super().cancel(str(self._number(order_id)), symbol)

    def _number(self, order_id: str) -> int:
        if not (order_id.isascii() and order_id.isdecimal()):
            raise Refused(f"{self.exchange} has no order {order_id}: its ids are whole numbers")
        return int(order_id)

    def with_figures(self, order: Order) -> Order:
        """Add what an order's row does not tell: exact costs and fees."""
        if order.filled:
            order.fills = self.fills_of(order)
            order.cost = sum((fill.cost for fill in order.fills), Decimal(0))
            order.fee = sum((fill.fee for fill in order.fills), Decimal(0))
            order.fee_currency = order.fills[0].fee_currency if order.fills else ""
        return order

    def balance(self) -> dict[str, Balance]:
        """Return what the exchange wallet holds, by currency."""
        answer = self.ask(self.client.fetch_balance)
        rows = [row for row in answer["info"] if row[0] == "exchange"]
        return {
            code: self._balance(code, row[2], row[4])
            for row in rows
            for code in [self.client.safe_currency_code(row[1].lower())]
        }

    def order_of(self, row: Mapping[str, Any]) -> Order:
        """Return Bitfinex' order as ours; its cost is exact and its fee is told `with_figures` only."""
        raw = row["info"]
        text = str(raw[13] or "ACTIVE")
        status = _status(text)
        filled = abs(decimal(raw[7])) - abs(decimal(raw[6]))
        return Order(
            str(raw[0]),
            self.request_of(row),
            status,
            int(raw[4]) * MILLISECOND,
            closed=None if status == "open" else int(raw[5]) * MILLISECOND,
            reason="" if status in ("open", "closed") else text,
            filled=filled,
            cost=filled * decimal(raw[17] or 0),
        )

    def request_of(self, row: Mapping[str, Any]) -> OrderRequest:
        """Return what an order had asked for."""
        raw = row["info"]
        words = str(raw[8]).removeprefix("EXCHANGE ")
        kinds: dict[str, OrderType] = {"MARKET": "market", "STOP": "stop_loss", "STOP LIMIT": "stop_loss_limit"}
        kind = kinds.get(words, "limit")
        limits: dict[OrderType, Any] = {"limit": raw[16], "stop_loss_limit": raw[19] if len(raw) > 19 else None}
        limit = limits.get(kind)
        expires = raw[10]
        return OrderRequest(
            row["symbol"],
            "sell" if decimal(raw[7]) < 0 else "buy",
            kind,
            abs(decimal(raw[7])),
            price=None if limit is None else decimal(limit),
            trigger=decimal(raw[16]) if kind.startswith("stop_loss") else None,
            client_id=None if raw[2] is None else str(raw[2]),
            post_only=bool(int(raw[12] or 0) & 4096),
            time_in_force="GTD" if expires else "IOC" if words == "IOC" else "GTC",
            expires=int(expires) * MILLISECOND if expires else None,
        )

    def _tiers(self, market: Mapping[str, Any], kind: str) -> tuple[tuple[Decimal, Decimal], ...]:
        """The market does not tell its fees, and those of ccxt are a constant: the account's are asked for."""
        fee = self.fee(market["symbol"])
        return ((Decimal(0), fee.maker if kind == "maker" else fee.taker),)


def _status(text: str) -> Status:
    """Return the status that Bitfinex tells in words: `EXECUTED @ 100.0(0.2)`, `IOC CANCELED was: PARTIALLY FILLED`."""
    first = text.partition(" @ ")[0].partition(" was:")[0]
    if first.startswith(("ACTIVE", "PARTIALLY FILLED")):
        return "open"
    if first.startswith("EXECUTED"):
        return "closed"
    return "rejected" if first.startswith("RSN") else "cancelled"


def _earlier(end: int, oldest: int) -> int:
    """Return where the next page ends: at the oldest row of this one, whose neighbours may have its very time."""
    if end == oldest:
        raise Refused(
            f"Bitfinex answered {_PAGE} rows of one millisecond: there may be more, and no way to ask for them"
        )
    return oldest
