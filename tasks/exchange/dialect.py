"""How orders are asked for and read back, in the words that ccxt has for all exchanges.

Kraken and Bitfinex have dialects of their own (kraken.py, bitfinex.py), which were proven against their wire; of the
others only what is the same everywhere is asked: market, limit, post-only and IOC orders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Literal

from data.errors import Refused, TryLater
from tasks.exchange.client import insist
from tasks.exchange.orders import Balance, Fill, Order, OrderRequest, OrderType, Side, Status
from tasks.exchange.rules import MarketRules
from tasks.exchange.units import MILLISECOND

FINEST = Decimal("1e-8")
"""The step of prices and amounts where an exchange tells none."""

_LATEST_TRADES = 100

_STATUSES: Mapping[str, Status] = {
    "open": "open",
    "closed": "closed",
    "canceled": "cancelled",
    "cancelled": "cancelled",
    "canceling": "open",
    "expired": "expired",
    "rejected": "rejected",
}


@dataclass(frozen=True, slots=True)
class Fee:
    """What an order costs, as fractions of its cost."""

    maker: Decimal
    taker: Decimal


@dataclass(frozen=True, slots=True)
class Transfer:
    """Money that came to an account, or left it, otherwise than by a trade."""

    id: str
    currency: str
    amount: Decimal
    """What it moved the balance by, its fee included: below 0 for a withdrawal."""
    time: int
    """Nanoseconds since 1970 UTC."""
    kind: Literal["deposit", "withdrawal"]


class Dialect:
    """An exchange's way with orders. Reads are repeated where their failure may pass; what is sent is sent once."""

    triggers: frozenset[OrderType] = frozenset()
    """The types of orders it has that wait for a price."""
    has_deadline = False
    has_validate = False
    has_expiry = False
    has_cost = False
    lists_all = False
    """Whether an order that is in none of its lists does not exist: they are read to the end, and bear client ids."""

    def __init__(self, client: Any, exchange: str, patience: float) -> None:
        self.client = client
        self.exchange = exchange
        self._patience = patience

    def ask(self, read: Callable[..., Any], *args: Any) -> Any:
        """Make one read of the client, again where its failure may pass."""
        return insist(read, *args, patience=self._patience)

    def refuse_lacking(self, request: OrderRequest, *, validate: bool = False) -> None:
        """Raise Refused for what the exchange does not have, before anything is sent."""
        lacks = [
            name
            for wanted, name, there in (
                (request.type not in ("market", "limit"), f"{request.type} orders", request.type in self.triggers),
                (request.post_only, "post-only orders", self._in_force("PO")),
                (request.time_in_force == "IOC", "IOC orders", self._in_force("IOC")),
                (request.time_in_force == "GTD", "orders that expire", self.has_expiry),
                (request.deadline is not None, "deadlines of orders", self.has_deadline),
                (request.in_quote, "orders for an amount of money", self.has_cost),
                (validate, "orders that are only validated", self.has_validate),
            )
            if wanted and not there
        ]
        if lacks:
            raise Refused(f"{self.exchange} has no {', and no '.join(lacks)}: nothing was sent")

    def _in_force(self, kind: str) -> bool:
        offered = self.client.feature_value_by_type("spot", None, "createOrder", "timeInForce") or {}
        return bool(offered.get(kind))

    def parameters(self, request: OrderRequest) -> dict[str, Any]:
        """Return ccxt's `params` of an order."""
        given: dict[str, Any] = {}
        if request.client_id is not None:
            given["clientOrderId"] = self.sent_id(request.client_id)
        if request.post_only:
            given["postOnly"] = True
        if request.time_in_force == "IOC":
            given["timeInForce"] = "IOC"
        return given

    def sent_id(self, client_id: str) -> str | int:
        """Return the client id as the exchange is told it."""
        return client_id

    def place(self, request: OrderRequest, **more: Any) -> Any:
        """Send an order, once; ccxt's answer."""
        kind = "market" if request.price is None else "limit"
        price = None if request.price is None else str_of(request.price)
        parameters = {**self.parameters(request), **more}
        return self.client.create_order(request.symbol, kind, request.side, str_of(request.amount), price, parameters)

    def cancel(self, order_id: str, symbol: str | None) -> None:
        """Send a cancellation, once."""
        self.client.cancel_order(order_id, symbol)

    def cancel_client(self, client_id: str, symbol: str | None) -> None:
        """Cancel the open order of a client id: it is looked for, and cancelled by its own."""
        found = [order for order in self.open_orders(symbol) if self.bears(order, client_id)]
        if not found:
            raise Refused(f"{self.exchange} has no open order {client_id}")
        for order in found:
            self.cancel(order.id, order.request.symbol)

    def cancel_everything(self) -> None:
        """Cancel all open orders of the account."""
        self.client.cancel_all_orders()

    def open_orders(self, symbol: str | None) -> list[Order]:
        """Return the open orders."""
        return [self.order_of(row) for row in self.ask(self.client.fetch_open_orders, symbol)]

    def closed_pages(self, since: int, symbol: str | None, client_id: str | None = None) -> Iterator[list[Order]]:
        """Yield the orders that ended since then (ns), all or those of a client id, a page at a time."""
        rows = self.ask(self.client.fetch_closed_orders, symbol, since // MILLISECOND)
        yield self._of(client_id, [self.order_of(row) for row in rows])

    def fill_pages(self, since: int, symbol: str | None) -> Iterator[list[Fill]]:
        """Yield own trades since then (ns), a page at a time."""
        yield [self.fill_of(row) for row in self.ask(self.client.fetch_my_trades, symbol, since // MILLISECOND)]

    def transfer_pages(self, since: int) -> Iterator[list[Transfer]]:  # noqa: ARG002  the dialects need it
        """Yield what moved the account's money besides trades since then (ns), a page at a time."""
        raise Refused(f"{self.exchange}: its ledger of deposits and withdrawals is not read here")

    def order(self, order_id: str, symbol: str | None) -> Order:
        """Return one order, whatever became of it."""
        return self.order_of(self.ask(self.client.fetch_order, order_id, symbol))

    def orders(self, order_ids: list[str], symbol: str | None) -> list[Order]:
        """Return these orders, all of which are there."""
        return [self.order(order_id, symbol) for order_id in order_ids]

    def with_figures(self, order: Order) -> Order:
        """Return an order of a list with its exact cost and fee, where rows of lists do not tell them."""
        return order

    def fills_of(self, order: Order) -> list[Fill]:
        """Return the fills of one order."""
        symbol = order.request.symbol
        return [self.fill_of(row) for row in self.ask(self.client.fetch_order_trades, order.id, symbol)]

    def _of(self, client_id: str | None, orders: list[Order]) -> list[Order]:
        return [order for order in orders if client_id is None or self.bears(order, client_id)]

    def bears(self, order: Order, client_id: str) -> bool:
        """Tell whether an order that was read is the one of this client id."""
        return order.request.client_id == str(self.sent_id(client_id))

    def balance(self) -> dict[str, Balance]:
        """Return what the account holds, by currency."""
        answer = self.ask(self.client.fetch_balance)
        totals = answer["total"]
        return {code: self._balance(code, totals[code], answer["free"].get(code)) for code in totals}

    def _balance(self, code: str, total: Any, free: Any) -> Balance:
        if total is None or free is None:
            raise TryLater(f"{self.exchange} did not tell how much {code} is free")
        return Balance(decimal(total), decimal(total) - decimal(free))

    def traded_at(self, symbol: str, price: Decimal) -> int | None:
        """Return when a market last traded at this price (ns), among its latest trades; None if it did not."""
        trades = self.ask(self.client.fetch_trades, symbol, None, _LATEST_TRADES)
        times = [int(trade["timestamp"]) * MILLISECOND for trade in trades if decimal(trade["price"]) == price]
        return max(times, default=None)

    def fee(self, symbol: str) -> Fee:
        """Return the account's fees in a market, as the exchange tells them."""
        if self.client.has["fetchTradingFee"] is True:
            told = self.ask(self.client.fetch_trading_fee, symbol)
        elif self.client.has["fetchTradingFees"] is True:
            told = self.ask(self.client.fetch_trading_fees)[symbol]
        else:
            raise Refused(f"{self.exchange} does not tell the account's fees; rules() has the market's")
        return Fee(decimal(told["maker"]), decimal(told["taker"]))

    def rules(self, symbol: str) -> MarketRules:
        """Return steps, minimums and fees of a market, as the exchange told them."""
        market = self.client.markets[symbol]
        least, precision = market["limits"], market["precision"]
        return MarketRules(
            symbol,
            base=market["base"],
            quote=market["quote"],
            price_step=self._step(precision["price"]),
            amount_step=self._step(precision["amount"]),
            min_amount=decimal(least["amount"]["min"] or 0),
            min_cost=decimal(least["cost"]["min"] or 0),
            taker=self._tiers(market, "taker"),
            maker=self._tiers(market, "maker"),
        )

    def round_price(self, rules: MarketRules, price: Decimal, side: Side) -> Decimal:
        """Return a price in the exchange's steps, or of as many digits as it takes: buy down, sell up."""
        import ccxt

        if self.client.precisionMode != ccxt.SIGNIFICANT_DIGITS:
            return rules.round_price(price, side)
        digits = int(self.client.markets[rules.symbol]["precision"]["price"])
        step = max(Decimal(1).scaleb(price.adjusted() - digits + 1), rules.price_step)
        return replace(rules, price_step=step).round_price(price, side)

    def order_of(self, row: Mapping[str, Any]) -> Order:
        """Return ccxt's order as ours."""
        filled = decimal(row["filled"] or 0)
        fee = row.get("fee") or {}
        opened = int(row["timestamp"] or 0) * MILLISECOND
        status = _STATUSES.get(str(row["status"]), "open")
        updated = row.get("lastUpdateTimestamp") or row.get("lastTradeTimestamp")
        return Order(
            str(row["id"]),
            self.request_of(row),
            status,
            opened,
            closed=None if status == "open" or updated is None else int(updated) * MILLISECOND,
            filled=filled,
            cost=filled * decimal(row["average"]) if filled and row["average"] else decimal(row["cost"] or 0),
            fee=decimal(fee.get("cost") or 0),
            fee_currency=fee.get("currency") or "",
        )

    def request_of(self, row: Mapping[str, Any]) -> OrderRequest:
        """Return what an order had asked for, as far as its row tells."""
        return OrderRequest(
            row["symbol"],
            row["side"],
            "market" if row["type"] == "market" else "limit",
            decimal(row["amount"] or 0),
            price=None if row["type"] == "market" or row["price"] is None else decimal(row["price"]),
            client_id=row.get("clientOrderId"),
            post_only=bool(row.get("postOnly")),
            time_in_force="IOC" if row.get("timeInForce") == "IOC" else "GTC",
        )

    def fill_of(self, row: Mapping[str, Any]) -> Fill:
        """Return ccxt's trade as our fill."""
        price, amount, fee = decimal(row["price"]), decimal(row["amount"]), row.get("fee") or {}
        return Fill(
            str(row["id"]),
            str(row["order"]),
            row["symbol"],
            row["side"],
            int(row["timestamp"]) * MILLISECOND,
            price,
            amount,
            cost=price * amount,
            fee=decimal(fee.get("cost") or 0),
            fee_currency=fee.get("currency") or "",
            maker=row.get("takerOrMaker") == "maker",
        )

    def _tiers(self, market: Mapping[str, Any], kind: str) -> tuple[tuple[Decimal, Decimal], ...]:
        tiers = (market.get("tiers") or {}).get(kind)
        if tiers:
            return tuple((decimal(start), decimal(fee)) for start, fee in tiers)
        if market.get(kind) is None:
            raise Refused(f"{self.exchange} does not tell the fees of {market['symbol']}: nothing can be priced there")
        return ((Decimal(0), decimal(market[kind])),)

    def _step(self, precision: Any) -> Decimal:
        """Return the step that a precision means: itself, or so many decimals; so many digits are no step."""
        import ccxt

        if precision is None or self.client.precisionMode == ccxt.SIGNIFICANT_DIGITS:
            return FINEST
        return decimal(precision) if self.client.precisionMode == ccxt.TICK_SIZE else Decimal(1).scaleb(-int(precision))


def decimal(value: Any) -> Decimal:
    """Return a number that ccxt read as the Decimal that its text says: no float has a second meaning.

    >>> decimal(0.1), decimal("0.10")
    (Decimal('0.1'), Decimal('0.10'))
    """
    return value if isinstance(value, Decimal) else Decimal(str(value))


def str_of(value: Decimal) -> str:
    """Return a Decimal as digits, without an exponent.

    >>> str_of(Decimal("1E-8"))
    '0.00000001'
    """
    return format(value, "f")
