"""Trading at an exchange: orders in, orders and fills and balances back, each failure sorted.

with trading_client("practice") as trader:
    request = trader.prepare(OrderRequest("BTC/USD", "buy", "limit", amount, price, client_id=id_))
    sent = trader.clock.now()
    try:
        order = trader.submit(request)
    except OutcomeUnknown:
        order = trader.resolve(request, sent)          # None: it is certain that there is none
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from data.errors import BadInput, ExchangeError, OutcomeUnknown, Refused, TryLater
from tasks.exchange.client import PRACTICE, guarded_class, insist, private_client, unknown_on
from tasks.exchange.clock import ExchangeClock
from tasks.exchange.dialect import Dialect, Fee, Transfer, decimal
from tasks.exchange.failures import NOT_UNDERSTOOD, sort_failure
from tasks.exchange.finding import find_order, settle
from tasks.exchange.keys import Keys, practice_keys, read_keys
from tasks.exchange.lock import sole_trader
from tasks.exchange.orders import Balance, Fill, Order, OrderRequest
from tasks.exchange.rules import MarketRules
from tasks.exchange.units import SECOND

LONGEST_DEADLINE = 60
"""Seconds: what Kraken takes."""

_PRICE_ATTEMPTS = 3

_FAR_TOO_MUCH = 10**15
"""Of amounts and prices; beyond, their steps could not be counted in Decimal's 28 digits."""

LONGEST_SWITCH = 86_400
"""Seconds for which the dead man's switch can be set."""


@dataclass(frozen=True, slots=True)
class Quote:
    """What a market shows, in quote currency."""

    last: Decimal
    bid: Decimal
    ask: Decimal
    traded: int
    """When the market last traded at that price (ns): a ticker tells no time of its own, and may be old. Where an
    exchange shows no trades, `arrived`."""
    arrived: int
    """When the answer was there, by the exchange's clock (ns)."""


@contextmanager
def trading_client(
    exchange: str, *, keys: Keys | None = None, timeout: float = 20.0, paced: bool | None = None
) -> Iterator[TradingClient]:
    """Open the account at an exchange, for this process alone, and close it.

    Keys are read from the environment or `.env` (the practice exchange needs none). `timeout` is of one request, in
    seconds; a read is repeated within three times that, an order never. Requests keep the distance that the exchange
    asks for, if `paced`: by default everywhere but at the practice exchange. Raises BadInput for an unknown exchange
    and for keys that are missing, TryLater when another process trades with this key.
    """
    keys = account_keys(exchange) if keys is None else keys
    paced = exchange not in PRACTICE if paced is None else paced
    with (
        sole_trader(exchange, keys.public),
        private_client(exchange, keys, timeout=timeout, paced=paced) as client,
    ):
        insist(client.load_markets, patience=3 * timeout)
        yield TradingClient(client, exchange, patience=3 * timeout, account=account_name(exchange, keys))


def account_keys(exchange: str) -> Keys:
    """Return the keys with which the account at an exchange is opened; nobody is asked.

    Raises BadInput for an unknown exchange and for keys that are missing or malformed.
    """
    wanted = [name for name, needed in guarded_class(exchange)({}).requiredCredentials.items() if needed]
    return practice_keys() if exchange in PRACTICE else read_keys(exchange, wanted)


def account_name(exchange: str, keys: Keys) -> str:
    """Return the name of an account, which tells it from others and shows nothing of its keys."""
    return f"{exchange}:{hashlib.sha256(keys.public.encode()).hexdigest()[:8]}"


class TradingClient:
    """One account at one exchange, for one thread. Times are nanoseconds since 1970 UTC, by the exchange's clock.

    Every method takes a bounded time: so many requests as it needs, each within the timeout; a read that fails is
    repeated within `patience` seconds. Raised are TryLater, Refused and BadInput; OutcomeUnknown by those that place or
    cancel, and by no other.
    """

    def __init__(self, client: Any, exchange: str, *, patience: float, account: str) -> None:
        self.exchange = exchange
        self.account = account
        """Its name, as `account_name` gives it."""
        self.clock = ExchangeClock(client, patience=patience)
        self._client = client
        self._dialect = dialect_of(client, exchange, patience)
        self._rules: dict[str, MarketRules] = {}

    @property
    def holds_stops(self) -> bool:
        """Whether stop orders can rest at the exchange."""
        return "stop_loss" in self._dialect.triggers

    @property
    def validates(self) -> bool:
        """Whether the exchange checks an order without taking it."""
        return self._dialect.has_validate

    @property
    def pace(self) -> float:
        """The exchange's seconds in one of ours, 1 when it is slower or not known."""
        self.clock.now()
        return max(1.0, self.clock.speed or 1.0)

    def now(self) -> int:
        """Return the time."""
        with self._asking("the clock"):
            return self.clock.now()

    def rules(self, symbol: str) -> MarketRules:
        """Return steps, minimums and fees of a market. Where prices have significant digits in place of a step
        (Bitfinex), `price_step` is the finest there is, and `prepare` knows the digits."""
        self._market(symbol)
        if symbol not in self._rules:
            with self._asking(f"the rules of {symbol}"):
                self._rules[symbol] = self._dialect.rules(symbol)
        return self._rules[symbol]

    def fee(self, symbol: str) -> Fee:
        """Return the account's own fees in a market."""
        self._market(symbol)
        with self._asking(f"the fees of {symbol}"):
            return self._dialect.fee(symbol)

    def price(self, symbol: str) -> Quote:
        """Return what a market shows now. Raises TryLater when its latest trades know nothing of that price."""
        self._market(symbol)
        with self._asking(f"the price of {symbol}"):
            return read_quote(self._dialect, self.clock, symbol)

    def balance(self) -> dict[str, Balance]:
        """Return what the account holds, by currency."""
        with self._asking("the balance"):
            return self._dialect.balance()

    def open_orders(self, symbol: str | None = None) -> list[Order]:
        """Return the open orders, of one market or all. What one that is filled in part cost exactly, `order` tells."""
        with self._asking("the open orders"):
            return self._dialect.open_orders(symbol)

    def order(self, order_id: str, symbol: str | None = None) -> Order:
        """Return an order as it stands. Raises Refused where there is none of this id."""
        with self._asking(f"order {order_id}"):
            return self._dialect.order(order_id, symbol)

    def fills(self, since: int, symbol: str | None = None) -> list[Fill]:
        """Return the own trades since then, the earliest first, all pages of them."""
        with self._asking("the fills"):
            found = {fill.id: fill for page in self._dialect.fill_pages(since, symbol) for fill in page}
        return sorted((fill for fill in found.values() if fill.time >= since), key=lambda fill: (fill.time, fill.id))

    def fills_of(self, order: Order) -> list[Fill]:
        """Return the trades of one order."""
        with self._asking(f"the fills of order {order.id}"):
            return self._dialect.fills_of(order)

    def prepare(self, request: OrderRequest) -> OrderRequest:
        """Return the request in the market's steps: amounts down, prices down for a buy and up for a sell.

        Raises BadInput for a request that contradicts itself, Refused naming the rule of the market that it breaks or
        what the exchange lacks. A market order's cost is judged by the price of now.
        """
        near = None
        if request.type == "market" and not request.in_quote and self.rules(request.symbol).min_cost > 0:
            near = self.price(request.symbol).last
        return self._prepared(request, near)

    def submit(self, request: OrderRequest) -> Order:
        """Send an order, once, and return it as it was taken: what became of it is asked by `order`.

        Raises Refused or TryLater when it is certain that it was not taken, OutcomeUnknown otherwise: then call
        `resolve`, and send nothing before it has answered.
        """
        prepared = self._prepared(request)
        with self._asking("the clock"):
            self.clock.check()
            opened = self.clock.now()
        with self._changing(_described(prepared)):
            answer = self._dialect.place(prepared)
        return Order(str(answer["id"]), prepared, "open", opened)

    def validate(self, request: OrderRequest) -> None:
        """Have the exchange check an order without taking it. Raises Refused with its reason, or if it cannot."""
        prepared = self._prepared(request)
        self._dialect.refuse_lacking(prepared, validate=True)
        with self._asking(f"validation of {_described(prepared)}"):
            # The text: ccxt would send Python's True as "True", and nobody knows how Kraken reads it.
            answer = self._dialect.place(prepared, validate="true")
        if answer["id"] is not None:
            raise OutcomeUnknown(f"{self.exchange} took order {answer['id']}, which it was only to validate: cancel it")

    def find(self, client_id: str, since: int, symbol: str | None = None) -> Order | None:
        """Return the order of a client id that was sent since then, None if the exchange shows none (yet)."""
        with self._asking(f"order {client_id}"):
            return find_order(self._dialect, client_id, since, symbol)

    def resolve(self, request: OrderRequest, sent: int, *, timeout: float = 180.0) -> Order | None:
        """Return what became of an order of unknown outcome: the order, or None when there certainly is none.

        `sent` is the exchange's time before it was sent. Raises OutcomeUnknown when `timeout` seconds did not suffice.
        """
        pause = max(0.05, 1.0 / max(1.0, self.clock.speed or 1.0))
        return settle(self._dialect, self.clock, request, sent, timeout=timeout, pause=pause)

    def deadline(self, seconds: float = 30.0) -> int | None:
        """Return the exchange's time in so many of our seconds, for an order's `deadline`; None where it has none.

        At most 60 of the exchange's seconds, of which the practice exchange may have many in one of ours.
        """
        if not self._dialect.has_deadline:
            return None
        return self.now() + int(min(LONGEST_DEADLINE, seconds * self.pace) * SECOND)

    def cancel(self, order_id: str | None = None, *, client_id: str | None = None, symbol: str | None = None) -> None:
        """Cancel an open order, by its id or the client's. Raises Refused when no open order has it.

        After OutcomeUnknown it may be called again: a second cancellation does no harm.
        """
        if (order_id is None) == (client_id is None):
            raise BadInput("cancel one order, by its id or by its client id")
        with self._changing(f"cancellation of order {order_id or client_id}"):
            if client_id is not None:
                self._dialect.cancel_client(client_id, symbol)
            elif order_id is not None:
                self._dialect.cancel(order_id, symbol)

    def cancel_all(self, symbol: str | None = None) -> None:
        """Cancel all open orders: those of one market one by one, as exchanges take no notice of the market."""
        if symbol is None:
            with self._changing("cancellation of all orders"):
                self._dialect.cancel_everything()
            return
        self._market(symbol)
        for order in self.open_orders(symbol):
            try:
                self.cancel(order.id, symbol=symbol)
            except Refused:
                if self.order(order.id, symbol).status == "open":
                    raise

    def cancel_all_after(self, seconds: int) -> None:
        """Set the dead man's switch: all orders of the account go in so many of our seconds unless it is set again.

        0 takes it away. Raises Refused where the exchange has none.
        """
        if not 0 <= seconds <= LONGEST_SWITCH:
            raise BadInput(f"the dead man's switch takes 0 to {LONGEST_SWITCH} seconds, not {seconds}")
        if self._client.has.get("cancelAllOrdersAfter") is not True:
            raise Refused(f"{self.exchange} has no dead man's switch: nothing was sent")
        with self._asking("the clock"):
            lasts = min(LONGEST_SWITCH, int(seconds * self.pace))
        with self._changing("the dead man's switch"):
            self._client.cancel_all_orders_after(lasts * 1000)

    def transfers(self, since: int) -> list[Transfer]:
        """Return deposits and withdrawals since then (ns), the earliest first, all pages of them.

        Raises Refused where the exchange's ledger is not read: everywhere but at Kraken.
        """
        with self._asking("the deposits and withdrawals"):
            found = {transfer.id: transfer for page in self._dialect.transfer_pages(since) for transfer in page}
        return sorted(found.values(), key=lambda transfer: (transfer.time, transfer.id))

    def bears(self, order: Order, client_id: str) -> bool:
        """Tell whether an order that was read is the one of this client id, in whatever form the exchange keeps it."""
        return self._dialect.bears(order, client_id)

    def _market(self, symbol: str) -> Any:
        if symbol not in self._client.markets:
            raise unknown_on("symbol", symbol, self._client.markets, self.exchange)
        return self._client.markets[symbol]

    def _prepared(self, request: OrderRequest, near: Decimal | None = None) -> OrderRequest:
        if self._market(request.symbol)["active"] is False:
            raise Refused(f"{self.exchange} does not trade {request.symbol} now")
        refuse_contradiction(request)
        self._dialect.refuse_lacking(request)
        rules = self.rules(request.symbol)
        price, trigger = (
            None if wanted is None else self._dialect.round_price(rules, wanted, request.side)
            for wanted in (request.price, request.trigger)
        )
        step = replace(rules, amount_step=rules.price_step) if request.in_quote else rules
        prepared = replace(request, amount=step.round_amount(request.amount), price=price, trigger=trigger)
        refuse_breach(rules, prepared, near)
        return prepared

    def _asking(self, what: str) -> Any:
        return sorting(f"{self.exchange}: {what}")

    def _changing(self, what: str) -> Any:
        return sorting(f"{self.exchange}: {what}", may_change=True)


@contextmanager
def sorting(doing: str, *, may_change: bool = False) -> Iterator[None]:
    """Raise what a failure of the block means to the one who asked; see `failures`."""
    import ccxt

    try:
        yield
        return
    except Exception as error:
        if not may_change and not isinstance(error, (ccxt.BaseError, ExchangeError, *NOT_UNDERSTOOD)):
            raise
        failure = sort_failure(error, doing, may_change=may_change)
    raise failure from None


def read_quote(dialect: Dialect, clock: ExchangeClock, symbol: str) -> Quote:
    """Return what a market shows now. Raises TryLater when its latest trades know nothing of that price."""
    for _ in range(_PRICE_ATTEMPTS):
        told = dialect.ask(dialect.client.fetch_ticker, symbol)
        last, bid, ask = (decimal(told[name]) for name in ("last", "bid", "ask"))
        if dialect.client.has.get("fetchTrades") is not True:
            arrived = clock.now()
            return Quote(last, bid, ask, arrived, arrived)
        traded = dialect.traded_at(symbol, last)
        if traded is not None:
            return Quote(last, bid, ask, traded, clock.now())
    raise TryLater(f"none of the latest trades is at the ticker's price, {last:f}: it is old")


def refuse_contradiction(request: OrderRequest) -> None:
    """Raise BadInput for a request that contradicts itself."""
    numbers = {"amount": request.amount, "price": request.price, "trigger": request.trigger}
    for name, value in numbers.items():
        if value is not None and not (value.is_finite() and 0 < value < _FAR_TOO_MUCH):
            raise BadInput(f"the order's {name} is {value}: it must be above 0, and below {_FAR_TOO_MUCH}")
    limited, waits = request.type.endswith("limit"), request.type not in ("market", "limit")
    contradictions = (
        (limited != (request.price is not None), f"a {request.type} order has {'a' if limited else 'no'} price"),
        (waits != (request.trigger is not None), f"a {request.type} order has {'a' if waits else 'no'} trigger"),
        (request.post_only and request.type != "limit", "only a limit order can be post-only"),
        (request.post_only and request.time_in_force == "IOC", "a post-only order rests, and an IOC order does not"),
        ((request.time_in_force == "GTD") != (request.expires is not None), "GTD orders expire, and no others"),
        (request.in_quote and (request.type, request.side) != ("market", "buy"), "only market buys are for money"),
    )
    for broken, rule in contradictions:
        if broken:
            raise BadInput(f"this order cannot be: {rule}")


def refuse_breach(rules: MarketRules, request: OrderRequest, near: Decimal | None) -> None:
    """Raise Refused when a request, already in steps, breaks a rule of the market; `near` is the price of now."""
    least, unit = (rules.min_cost, rules.quote) if request.in_quote else (rules.min_amount, rules.base)
    if request.amount < least or not request.amount:
        raise Refused(f"{rules.symbol}: {request.amount.normalize():f} {unit} is below the least amount, {least:f}")
    for name, value in (("price", request.price), ("trigger", request.trigger)):
        if value is not None and value <= 0:
            raise Refused(f"{rules.symbol}: the {name} is below the smallest step, {rules.price_step:f}")
    price = request.price or request.trigger or near
    if price is not None and not request.in_quote and request.amount * price < rules.min_cost:
        cost = (request.amount * price).normalize()
        raise Refused(f"{rules.symbol}: {cost:f} {rules.quote} is below the least cost, {rules.min_cost:f}")


def dialect_of(client: Any, exchange: str, patience: float) -> Dialect:
    """Return the exchange's way with orders."""
    from tasks.exchange.bitfinex import Bitfinex
    from tasks.exchange.kraken import Kraken

    kinds: dict[str, type[Dialect]] = {"kraken": Kraken, "bitfinex": Bitfinex}
    return kinds.get(PRACTICE.get(exchange, exchange), Dialect)(client, exchange, patience)


def _described(request: OrderRequest) -> str:
    terms = [request.side, f"{request.amount.normalize():f}", request.symbol, request.type]
    return f"{' '.join(terms)} (client id {request.client_id or 'none'})"
