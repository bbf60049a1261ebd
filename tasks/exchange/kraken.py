"""Orders at Kraken: https://docs.kraken.com/api/docs/rest-api/add-order and its neighbours."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal

from data.errors import BadInput, Refused, TryLater
from tasks.exchange.dialect import Dialect, Transfer, decimal, str_of
from tasks.exchange.orders import CLIENT_ID, Balance, Fill, Order, OrderRequest, OrderType, Status
from tasks.exchange.rules import MarketRules
from tasks.exchange.units import SECOND

_PAGE = 50
"""Rows of ClosedOrders and TradesHistory; `ofs` leads to the next ones."""
_QUERIED = 20
"""Ids in one QueryOrders or QueryTrades."""
_OF_TRADES = frozenset({"trade", "margin", "rollover", "settled"})
"""Types of entries of the ledger that come with the account's trades."""
_UUID_LENGTH = 32
"""Without its dashes; every other client id is shorter."""
_STATUSES: Mapping[str, Status] = {
    "pending": "open",
    "open": "open",
    "closed": "closed",
    "canceled": "cancelled",
    "expired": "expired",
}


class Kraken(Dialect):
    """Kraken's way with orders. Rows are read as Kraken sent them: ccxt rounds costs and times."""

    triggers: frozenset[OrderType] = frozenset(("stop_loss", "take_profit", "stop_loss_limit", "take_profit_limit"))
    has_deadline = True
    has_validate = True
    has_expiry = True
    has_cost = True
    lists_all = True

    def refuse_lacking(self, request: OrderRequest, *, validate: bool = False) -> None:
        """Raise Refused or BadInput for what Kraken does not have."""
        super().refuse_lacking(request, validate=validate)
        if request.client_id is not None and not CLIENT_ID.fullmatch(request.client_id):
            raise BadInput(f"client id {request.client_id!r}: Kraken takes a UUID or at most 18 characters")

    def parameters(self, request: OrderRequest) -> dict[str, Any]:
        """Return ccxt's `params` of an order."""
        given = super().parameters(request)
        if request.trigger is not None:
            name = "stopLossPrice" if request.type.startswith("stop_loss") else "takeProfitPrice"
            given[name] = str_of(request.trigger)
        if request.in_quote:
            given["cost"] = str_of(request.amount)
        if request.expires is not None:
            given |= {"timeinforce": "GTD", "expiretm": str(request.expires // SECOND)}
        if request.deadline is not None:
            given["deadline"] = rfc3339(request.deadline)
        return given

    def bears(self, order: Order, client_id: str) -> bool:
        """Tell whether an order that was read is the one of this client id, in whichever of its forms a UUID is."""
        return _one_form(order.request.client_id or "") == _one_form(client_id)

    def cancel_client(self, client_id: str, symbol: str | None) -> None:
        """Cancel the open order of a client id."""
        self.client.cancel_order("", symbol, {"clientOrderId": client_id})

    def open_orders(self, symbol: str | None) -> list[Order]:
        """Return the open orders."""
        orders = [self.order_of(row) for row in self.ask(self.client.fetch_open_orders)]
        return [order for order in orders if symbol is None or order.request.symbol == symbol]

    def closed_pages(self, since: int, symbol: str | None, client_id: str | None = None) -> Iterator[list[Order]]:
        """Yield the orders that were opened or ended since then (ns): the latest first, 50 a page."""
        given: dict[str, Any] = {"start": _start(since)}
        if client_id is not None:
            given["clientOrderId"] = client_id
        for rows in self._pages(self.client.fetch_closed_orders, given):
            orders = self._of(client_id, [self.order_of(row) for row in rows])
            yield [order for order in orders if symbol is None or order.request.symbol == symbol]

    def fill_pages(self, since: int, symbol: str | None) -> Iterator[list[Fill]]:
        """Yield own trades since then (ns): the latest first, 50 a page."""
        for rows in self._pages(self.client.fetch_my_trades, {"start": _start(since)}):
            fills = [self.fill_of(row) for row in rows]
            yield [fill for fill in fills if fill.time >= since and (symbol is None or fill.symbol == symbol)]

    def transfer_pages(self, since: int) -> Iterator[list[Transfer]]:
        """Yield what moved the account's money besides trades since then (ns): the latest first, 50 entries a page."""
        for rows in self._pages(self.client.fetch_ledger, {"start": _start(since)}):
            entries = [self.transfer_of(row) for row in rows if row["info"]["type"] not in _OF_TRADES]
            yield [entry for entry in entries if entry.time >= since]

    def _pages(self, read: Callable[..., Any], given: Mapping[str, Any]) -> Iterator[list[Any]]:
        """Yield the rows of a history page by page, to the first that is not full.

        What is added meanwhile moves the pages on, so that a row may come twice, and none is missed. Raises TryLater
        when a page brings nothing new: the pages would have no end.
        """
        seen: set[str] = set()
        for offset in itertools.count(0, _PAGE):
            rows = self.ask(read, None, None, None, {**given, "ofs": str(offset)})
            yield rows
            if len(rows) < _PAGE:
                return
            new = {row["id"] for row in rows} - seen
            if not new:
                raise TryLater(f"{self.exchange} answered a page of its history again in place of the next")
            seen |= new

    def orders(self, order_ids: list[str], symbol: str | None) -> list[Order]:
        """Return these orders, 20 a request."""
        return [
            self.order_of(row)
            for chunk in _requests(order_ids, _QUERIED)
            for row in self.ask(self.client.fetch_orders_by_ids, chunk, symbol)
        ]

    def fills_of(self, order: Order) -> list[Fill]:
        """Return the fills of one order, 19 a request: their ids are in its row, so that it is asked again.

        Of 20 ids ccxt makes two requests, the second without any, which Kraken refuses.
        """
        row = self.ask(self.client.fetch_order, order.id)
        return [
            self.fill_of(trade)
            for chunk in _requests([trade["id"] for trade in row["trades"]], _QUERIED - 1)
            for trade in self.ask(self.client.fetch_order_trades, order.id, None, None, None, {"trades": chunk})
        ]

    def balance(self) -> dict[str, Balance]:
        """Return what the account holds, by currency, with what open orders hold of it."""
        answer = self.ask(self.client.fetch_balance)
        rows = answer["info"]["result"]
        found: dict[str, Balance] = {}
        for name, row in rows.items():
            code = self.client.safe_currency_code(name)
            held = found.get(code, Balance(Decimal(0), Decimal(0)))
            found[code] = Balance(held.total + decimal(row["balance"]), held.held + decimal(row.get("hold_trade") or 0))
        return found

    def rules(self, symbol: str) -> MarketRules:
        """Return steps, minimums and fees of a market; ccxt knows the decimals of prices, and not their tick."""
        rules = super().rules(symbol)
        tick = self.client.markets[symbol]["info"].get("tick_size")
        return replace(rules, price_step=max(rules.price_step, decimal(tick or 0)))

    def order_of(self, row: Mapping[str, Any]) -> Order:
        """Return Kraken's order as ours."""
        raw = row["info"]
        status = _STATUSES.get(raw["status"], "open")
        closed = raw.get("closetm")
        flags = raw.get("oflags") or ""
        return Order(
            str(row["id"]),
            self.request_of(row),
            status,
            nanoseconds(raw["opentm"]),
            closed=nanoseconds(closed) if closed and status != "open" else None,
            reason=raw.get("reason") or "",
            filled=decimal(raw["vol_exec"]),
            cost=decimal(raw["cost"]),
            fee=decimal(raw["fee"]),
            fee_currency=self._currency(row["symbol"], "base" if "fcib" in flags else "quote"),
        )

    def request_of(self, row: Mapping[str, Any]) -> OrderRequest:
        """Return what an order had asked for."""
        raw = row["info"]
        told = raw["descr"]
        kind: Any = told["ordertype"].replace("-", "_")
        first, second = decimal(told["price"]), decimal(told["price2"])
        waits = kind in self.triggers
        limit = (second if waits else first) if kind.endswith("limit") else None
        flags = (raw.get("oflags") or "").split(",")
        expires = decimal(raw.get("expiretm") or 0)
        return OrderRequest(
            row["symbol"],
            told["type"],
            kind,
            decimal(raw["vol"]),
            price=limit,
            trigger=first if waits else None,
            client_id=raw.get("cl_ord_id"),
            post_only="post" in flags,
            time_in_force="GTD" if expires else "IOC" if raw.get("timeinforce") == "IOC" else "GTC",
            expires=nanoseconds(expires) if expires else None,
            in_quote="viqc" in flags,
        )

    def fill_of(self, row: Mapping[str, Any]) -> Fill:
        """Return Kraken's trade as our fill."""
        raw = row["info"]
        return Fill(
            str(row["id"]),
            raw["ordertxid"],
            row["symbol"],
            raw["type"],
            nanoseconds(raw["time"]),
            decimal(raw["price"]),
            decimal(raw["vol"]),
            cost=decimal(raw["cost"]),
            fee=decimal(raw["fee"]),
            fee_currency=self._currency(row["symbol"], "quote"),
            maker=raw.get("maker") is True,
        )

    def transfer_of(self, row: Mapping[str, Any]) -> Transfer:
        """Return an entry of Kraken's ledger as a transfer: rewards and purchases on its site are deposits too."""
        raw = row["info"]
        moved = decimal(raw["amount"]) - decimal(raw["fee"])
        currency = self.client.safe_currency_code(raw["asset"])
        kind: Literal["deposit", "withdrawal"] = "deposit" if moved > 0 else "withdrawal"
        return Transfer(str(row["id"]), currency, moved, nanoseconds(raw["time"]), kind)

    def _currency(self, symbol: str, which: str) -> str:
        """Return the base or quote currency of a market; nothing for one that is no longer traded."""
        return str((self.client.markets.get(symbol) or {}).get(which) or "")

    def _tiers(self, market: Mapping[str, Any], kind: str) -> tuple[tuple[Decimal, Decimal], ...]:
        tiers = market["info"].get("fees_maker" if kind == "maker" else "fees")
        if not tiers:
            raise Refused(f"{self.exchange} does not tell the fees of {market['symbol']}: nothing can be priced there")
        return tuple((decimal(start), decimal(percent) / 100) for start, percent in tiers)


def _one_form(client_id: str) -> str:
    bare = client_id.replace("-", "").lower()
    return bare if len(client_id) >= _UUID_LENGTH and CLIENT_ID.fullmatch(bare) else client_id


def nanoseconds(seconds: Any) -> int:
    """Return Kraken's seconds since 1970, to the microsecond that a float can tell, in nanoseconds."""
    return int(round(decimal(seconds), 6) * SECOND)


def rfc3339(ns: int) -> str:
    """Write a time (nanoseconds since 1970 UTC), its milliseconds cut.

    >>> rfc3339(1_500_000_000)
    '1970-01-01T00:00:01.500Z'
    """
    return f"{datetime.fromtimestamp(ns // SECOND, UTC):%Y-%m-%dT%H:%M:%S}.{ns % SECOND // 1_000_000:03d}Z"


def _requests(ids: list[str], most: int) -> list[list[str]]:
    """Return ids as they are asked for, so many at most in each request."""
    return [ids[at : at + most] for at in range(0, len(ids), most)]


def _start(since: int) -> str:
    """Return the whole second from which pages are asked, so that nothing of `since` (ns) is left out."""
    return str(max(0, since // SECOND - 1))
