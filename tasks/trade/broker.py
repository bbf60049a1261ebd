"""What a broker is: the one protocol behind which the exchange and its simulation on paper stand."""

from __future__ import annotations

from typing import Protocol

from tasks.exchange.orders import Balance, Fill, Order, OrderRequest
from tasks.exchange.rules import MarketRules
from tasks.exchange.trading import Quote


class Broker(Protocol):
    """An account that trades. Times are nanoseconds since 1970 UTC, by the exchange's clock.

    Raised are TryLater, Refused and BadInput; OutcomeUnknown by those that place or cancel, and by no other.
    """

    @property
    def name(self) -> str:
        """The exchange."""

    @property
    def simulates(self) -> bool:
        """Whether fills are made here, from candles: on paper."""

    @property
    def holds_stops(self) -> bool:
        """Whether stop orders can rest at the exchange."""

    def now(self) -> int:
        """Return the time."""

    def rules(self, symbol: str) -> MarketRules:
        """Return steps, minimums and fees of a market."""

    def price(self, symbol: str) -> Quote:
        """Return what the market shows now."""

    def deadline(self, seconds: float) -> int | None:
        """Return the instant so many seconds from now, after which an order shall be refused; None: not to be had."""

    def prepare(self, request: OrderRequest) -> OrderRequest:
        """Return the request in the market's steps. Raises Refused naming the rule that it breaks."""

    def submit(self, request: OrderRequest) -> Order:
        """Send an order, once."""

    def resolve(self, request: OrderRequest, sent: int) -> Order | None:
        """Return what became of an order of unknown outcome that was sent then or later, None if it is none for
        certain. Raises OutcomeUnknown."""

    def order(self, order_id: str, symbol: str) -> Order:
        """Return an order as it stands, with its figures."""

    def fills_of(self, order: Order) -> list[Fill]:
        """Return the trades of an order."""

    def cancel(self, order_id: str, symbol: str) -> None:
        """Cancel an order. Refused when it is not open any more."""

    def open_orders(self, symbol: str) -> list[Order]:
        """Return the open orders of a market."""

    def balance(self) -> dict[str, Balance]:
        """Return what the account holds, by currency."""

    def cancel_all_after(self, seconds: int) -> None:
        """Set the dead man's switch; 0 takes it away. Refused where the exchange has none."""
