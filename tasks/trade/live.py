"""The broker that trades for real, or at the practice exchange as if it were: a guarded account behind the protocol."""

from __future__ import annotations

import time
from decimal import Decimal

from data.errors import BadInput, ExchangeError, OutcomeUnknown, Refused
from data.settings import settings
from tasks.exchange.client import PRACTICE
from tasks.exchange.orders import Balance, Fill, Order, OrderRequest
from tasks.exchange.rules import MarketRules
from tasks.exchange.trading import Quote, TradingClient

SHORTEST_SWITCH = 60
"""Seconds of this machine: less than a run can take, the dead man's switch would fire between two of them."""

_PAUSE = 0.5


class LiveBroker:
    """An account at an exchange. Times are nanoseconds since 1970 UTC, by the exchange's clock.

    What is unknown is asked for within `patience` seconds: the fate of an order, and that of a cancellation.
    """

    simulates = False

    def __init__(self, trader: TradingClient, *, patience: float = 60.0) -> None:
        self.trader = trader
        self.name = trader.exchange
        self.account = trader.account
        """Which account it is, without its keys."""
        self.holds_stops = trader.holds_stops
        self._patience = patience

    def now(self) -> int:
        """Return the time."""
        return self.trader.now()

    def rules(self, symbol: str) -> MarketRules:
        """Return steps, minimums and fees of a market."""
        return self.trader.rules(symbol)

    def taker_fee(self, symbol: str) -> Decimal:
        """Return the account's fee of a market order, as a fraction; the market's where the exchange tells no other."""
        try:
            return self.trader.fee(symbol).taker
        except Refused:
            return self.trader.rules(symbol).taker[0][1]

    def price(self, symbol: str) -> Quote:
        """Return what the market shows now."""
        return self.trader.price(symbol)

    def deadline(self, seconds: float) -> int | None:
        """Return the instant so many seconds from now, after which an order is refused; None where it has none."""
        return self.trader.deadline(seconds)

    def prepare(self, request: OrderRequest) -> OrderRequest:
        """Return the request in the market's steps. Raises Refused naming the rule that it breaks."""
        return self.trader.prepare(request)

    def submit(self, request: OrderRequest) -> Order:
        """Send an order, once."""
        return self.trader.submit(request)

    def resolve(self, request: OrderRequest, sent: int) -> Order | None:
        """Return what became of an order of unknown outcome, None if it is none for certain. Raises OutcomeUnknown."""
        return self.trader.resolve(request, sent, timeout=self._patience)

    def order(self, order_id: str, symbol: str) -> Order:
        """Return an order as it stands, with its figures."""
        return self.trader.order(order_id, symbol)

    def fills_of(self, order: Order) -> list[Fill]:
        """Return the trades of an order."""
        return self.trader.fills_of(order)

    def cancel(self, order_id: str, symbol: str) -> None:
        """Cancel an order; when it returns the order is not open any more.

        Where the answer is lost the order is asked for, and cancelled again while it is open: a second cancellation
        does no harm. Raises Refused when it was not open, OutcomeUnknown when it is not certain in time.
        """
        until = time.monotonic() + self._patience
        while True:
            try:
                self.trader.cancel(order_id, symbol=symbol)
                return
            except OutcomeUnknown as error:
                doubt = error
            if self._has_ended(order_id, symbol):
                return
            if time.monotonic() + _PAUSE > until:
                raise doubt
            time.sleep(_PAUSE)

    def open_orders(self, symbol: str) -> list[Order]:
        """Return the open orders of a market."""
        return self.trader.open_orders(symbol)

    def has_stops(self) -> bool:
        """Tell whether stop orders rest in any market of the account, whoever placed them."""
        return any(order.request.trigger is not None for order in self.trader.open_orders())

    def balance(self) -> dict[str, Balance]:
        """Return what the account holds, by currency."""
        return self.trader.balance()

    def cancel_all_after(self, seconds: int) -> None:
        """Set the dead man's switch of the account to so many of the exchange's seconds; 0 takes it away.

        It lasts a minute of this machine's at least. Raises Refused where the exchange has none.
        """
        ours = max(SHORTEST_SWITCH, round(seconds / self.trader.pace)) if seconds else 0
        self.trader.cancel_all_after(ours)

    def _has_ended(self, order_id: str, symbol: str) -> bool:
        try:
            return self.trader.order(order_id, symbol).status != "open"
        except ExchangeError:
            return False


def check_permission(exchange: str) -> None:
    """Raise BadInput unless orders may be sent to an exchange: one for real money is to be allowed twice.

    Keys are the second time; they are looked for when the account is opened.
    """
    if exchange not in PRACTICE and settings().live != "yes":
        raise BadInput(f"{exchange} trades real money: set JARVIS_LIVE=yes in the environment or .env to allow that")


def first_check(broker: LiveBroker, symbol: str, cash: float, promised: float = 0.0) -> None:
    """Have an exchange check the smallest order there is, and see that the account has the cash of a session, besides
    what is promised to others that begin with it.

    Raises BadInput where it has not, Refused where the market is halted or takes no order. Nothing is bought.
    """
    rules, price = broker.rules(symbol), broker.price(symbol)
    least = max(rules.min_amount, rules.min_cost * Decimal("1.01") / price.bid, rules.amount_step)
    request = broker.prepare(OrderRequest(symbol, "buy", "market", least + rules.amount_step))
    if broker.trader.validates:
        broker.trader.validate(request)
    balance = broker.balance().get(rules.quote)
    free = balance.free if balance else Decimal(0)
    if free < Decimal(repr(cash)) + Decimal(repr(promised)):
        besides = f" besides {promised:g} for other symbols" if promised else ""
        raise BadInput(
            f"{broker.name}: the account has {free.normalize():f} {rules.quote} free, and the session of {symbol} "
            f"needs {cash:g}{besides}: give less cash, or bring more"
        )
