"""The broker on paper: the matching engine of the practice exchange, in-process, on the prices of a real market.

What it costs to trade is the backtest's, to the last bit: a taker meets one level without end, at the market's price
and the slippage, reckoned in floats as the compiled pass reckons them. Only where the touch is worse than that does it
pay more.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Protocol

import pandas as pd

from data.errors import BadInput, Refused
from data.markets import Market
from tasks.exchange.dialect import FINEST
from tasks.exchange.matching import Candle, Level, MatchingEngine, RefusedOrder, Tick
from tasks.exchange.orders import Balance, Fill, Order, OrderRequest, Side
from tasks.exchange.rules import MarketRules
from tasks.exchange.trading import Quote, refuse_breach, refuse_contradiction
from tasks.exchange.units import MICROSECOND, SECOND
from tasks.trade.intent import NEVER_REACHED, Intent

if TYPE_CHECKING:
    from tasks.engine.books import Planned

_UNLIMITED = Decimal("Infinity")

_NOISE = Decimal("1e-9")
"""Of the cash: an order that spends all of it, sized in floats, may be dearer than the cash by their rounding."""

_FRESH = 30 * SECOND
"""How long an order is filled at the price by which it was decided."""


class Prices(Protocol):
    """Where the market's prices come from. Times are nanoseconds since 1970 UTC."""

    def now(self) -> int:
        """Return the time."""

    def price(self, symbol: str) -> Quote:
        """Return what the market shows now. Raises TryLater or Refused."""


class RecordedPrices:
    """The prices of a replay, at the time and the price that it is set to."""

    def __init__(self) -> None:
        self._now = 0
        self._last = Decimal(0)

    def at(self, ns: int, price: float) -> None:
        """Set the time (nanoseconds since 1970 UTC) and the price, which is bid and ask too."""
        self._now, self._last = ns, _plain(price)

    def now(self) -> int:
        """Return the time."""
        return self._now

    def price(self, symbol: str) -> Quote:  # noqa: ARG002 - of the one market that is replayed
        """Return the price."""
        return Quote(self._last, self._last, self._last, self._now, self._now)


def market_rules(market: Market, fee: float) -> MarketRules:
    """Return the rules of a market that the lake knows, with one fee for all orders, as in the backtest.

    A step that is not known is 1e-8. `fee` is a fraction.
    """
    base, _, quote = market.symbol.partition("/")
    everywhere = ((Decimal(0), _plain(fee)),)
    return MarketRules(
        market.symbol,
        base=market.base or base,
        quote=market.quote or quote.partition(":")[0],
        price_step=_plain(market.price_step) if market.price_step else FINEST,
        amount_step=_plain(market.amount_step) if market.amount_step else FINEST,
        min_amount=_plain(market.min_amount or 0.0),
        min_cost=_plain(market.min_cost or 0.0),
        taker=everywhere,
        maker=everywhere,
    )


class PaperBroker:
    """The account of one session in one market, on paper. Times are nanoseconds since 1970 UTC.

    It lives as long as its process: `restore` gives it money and open orders anew, from the ledger. An order executes
    at once or rests; what rests is filled by candles that go beyond its price. The id of an order is its client id.
    """

    name = "paper"
    simulates = True
    holds_stops = False

    def __init__(self, prices: Prices, market: MarketRules, slippage: float) -> None:
        """Trade in a market at its fees, and at prices worse than its own by `slippage`, a fraction."""
        self._prices = prices
        self._market = market
        self._slippage = slippage
        self._told: Quote | None = None
        self._offer: Decimal | None = None
        self.restore(0.0, Decimal(0), ())

    def restore(self, cash: float, position: Decimal, orders: Iterable[Intent]) -> None:
        """Begin with this money (quote currency), position (base currency), and those of the orders that are open.

        A market order that was accepted and not filled is executed now, or is none if the money does not suffice any
        more. Raises TryLater where that needs a price that cannot be had.
        """
        if not (math.isfinite(cash) and position.is_finite() and position >= 0):
            raise BadInput(f"an account on paper cannot begin with {cash} of money and a position of {position}")
        self._slack = Decimal(max(cash, 0.0)) * _NOISE
        self._engine = MatchingEngine(
            [self._market],
            {self._market.quote: Decimal(max(cash, 0.0)) + self._slack, self._market.base: position},
            share=Decimal(1),
            depth=self._offered,
            charge=_charge,
        )
        self._orders: dict[str, Order] = {}
        for intent in orders:
            if intent.is_final or intent.in_doubt:
                continue
            request = replace(intent.request(), deadline=None)
            if intent.filled >= intent.amount:
                self._orders[intent.client_id] = _filled(request, intent)
            elif request.price is None:
                try:
                    self.submit(request)
                except Refused as error:
                    self._orders[intent.client_id] = _never_was(request, intent, str(error))
            else:
                self._place(request, request.price, None, intent.intended)

    def now(self) -> int:
        """Return the time, by the clock of the prices."""
        return self._prices.now()

    def rules(self, symbol: str) -> MarketRules:
        """Return steps, minimums and fees of the market."""
        if symbol != self._market.symbol:
            raise BadInput(f"this account on paper trades {self._market.symbol}, not {symbol}")
        return self._market

    def price(self, symbol: str) -> Quote:
        """Return what the market shows now; an order that follows at once is filled at it."""
        self.rules(symbol)
        self._told = self._prices.price(symbol)
        return self._told

    def deadline(self, seconds: float) -> None:
        """Return None: orders have no deadline."""

    def prepare(self, request: OrderRequest) -> OrderRequest:
        """Return the request in the market's steps. Raises Refused naming the rule that it breaks."""
        rules = self.rules(request.symbol)
        refuse_contradiction(request)
        if request.trigger is not None:
            raise Refused(f"paper has no {request.type} orders: stops are looked for when a candle has closed")
        price = None if request.price is None else rules.round_price(request.price, request.side)
        step = rules.price_step if request.in_quote else rules.amount_step
        prepared = replace(request, amount=request.amount // step * step, price=price)
        refuse_breach(rules, prepared, None if price is not None else _plain(self._paid(request.side)))
        return prepared

    def submit(self, request: OrderRequest) -> Order:
        """Execute an order, or let it rest, and return it as it stands. Raises Refused when it cannot be."""
        prepared = self.prepare(request)
        paid = self._paid(request.side)
        return self._place(prepared, _plain(paid), _plain(paid), self.now())

    def resolve(self, request: OrderRequest, sent: int) -> Order | None:  # noqa: ARG002 - nothing is ever under way
        """Return the order of a client id; one that this broker does not know never was."""
        order = self._orders.get(request.client_id or "")
        return None if order is None else _shown(order)

    def order(self, order_id: str, symbol: str) -> Order:
        """Return an order as it stands. Raises Refused where there is none of this id."""
        self.rules(symbol)
        if order_id not in self._orders:
            raise Refused(f"paper has no order {order_id}")
        return _shown(self._orders[order_id])

    def fills_of(self, order: Order) -> list[Fill]:
        """Return the trades of an order."""
        return self.order(order.id, order.request.symbol).fills

    def cancel(self, order_id: str, symbol: str) -> None:
        """Cancel an order. Raises Refused when it is not open any more."""
        if self.order(order_id, symbol).status != "open":
            raise Refused(f"paper: order {order_id} is not open any more")
        self._engine.advance(self.now())
        self._engine.cancel_client(order_id)

    def open_orders(self, symbol: str) -> list[Order]:
        """Return the open orders."""
        self.rules(symbol)
        return [_shown(order) for order in self._engine.open_orders()]

    def balance(self) -> dict[str, Balance]:
        """Return what the account holds, by currency."""
        held = self._engine.balances()
        money = held[self._market.quote]
        return {**held, self._market.quote: replace(money, total=money.total - self._slack)}

    def cancel_all_after(self, seconds: int) -> None:  # noqa: ARG002
        """Raise Refused: what is on paper ends with its process."""
        raise Refused("paper has no dead man's switch: nothing was set")

    def pass_candle(
        self, symbol: str, ts: pd.Timestamp, open_: float, high: float, low: float, close: float
    ) -> list[Order]:
        """Let the market pass through a closed candle; return the orders that it filled.

        A limit order is filled at its price by a candle that goes beyond it, and not by one that only touches it. The
        adverse side of a candle comes first, as for stops.
        """
        self.rules(symbol)
        self._engine.take_changed()
        for price in (open_, low, high, close):
            self._engine.trade(symbol, Tick(_nanoseconds(ts), _plain(price), _UNLIMITED, "sell"))
        return [_shown(order) for order in self._engine.take_changed()]

    def exit_inside(self, intent: Intent, planned: Planned, ts: pd.Timestamp, timeframe: pd.Timedelta) -> Order:
        """Execute a stop or a take-profit that a candle's range brought, at the price that was planned for it.

        The order is filled when it is returned; its time is the last microsecond of the candle. Raises Refused.
        """
        request = replace(intent.request(), type="market", price=None, trigger=None, deadline=None)
        closing = _nanoseconds(ts + timeframe) - MICROSECOND
        return self._place(request, _plain(planned.price), _plain(planned.price), closing)

    def _paid(self, side: Side) -> float:
        """Return what a taker pays or gets now."""
        quote = self._told
        if quote is None or self.now() - quote.arrived > _FRESH:
            quote = self.price(self._market.symbol)
        sign = 1 if side == "buy" else -1
        paid = float(quote.last) * (1.0 + sign * self._slippage)
        return max(paid, float(quote.ask)) if side == "buy" else min(paid, float(quote.bid))

    def _place(self, request: OrderRequest, near: Decimal, offer: Decimal | None, at: int) -> Order:
        """Submit an order to the engine at an instant, while there is this one offer to take."""
        if not request.client_id or request.client_id in self._orders:
            raise Refused("paper: an order needs a client id that no other has had")
        self._engine.advance(at)
        self._engine.price(request.symbol, near)
        self._offer = offer
        try:
            order = self._engine.submit(request)
        except RefusedOrder as error:
            wanted = f"{request.side} {request.amount.normalize():f} {request.symbol} at about {near:f}"
            raise Refused(f"paper: {wanted}: {error.refusal.value}") from None
        finally:
            self._offer = None
        self._orders[request.client_id] = order
        return _shown(order)

    def _offered(self, rules: MarketRules, last: Decimal, candle: Candle | None, taker: Side) -> Iterator[Level]:  # noqa: ARG002
        if self._offer is not None:
            yield Level(self._offer, _UNLIMITED)


def _charge(rate: Decimal, price: Decimal, amount: Decimal) -> Decimal:
    """Return the fee that the compiled pass reckons, in its order of operations."""
    return _plain(float(rate) * float(price) * float(amount))


def _shown(order: Order) -> Order:
    """Return an order of the engine under ids that are the same in every process."""
    id_ = str(order.request.client_id)
    fills = [replace(fill, id=f"{id_}-{number}", order_id=id_) for number, fill in enumerate(order.fills, 1)]
    return replace(order, id=id_, fills=fills)


def _filled(request: OrderRequest, intent: Intent) -> Order:
    """Return an order whose fills the ledger has: nothing more is to come of it."""
    return Order(intent.client_id, request, "closed", intent.intended, filled=intent.filled)


def _never_was(request: OrderRequest, intent: Intent, why: str) -> Order:
    """Return an order that was taken by a process killed before it was filled: what it was for may be wanted again."""
    return Order(intent.client_id, request, "rejected", intent.intended, reason=f"{NEVER_REACHED}: {why}")


def _plain(value: float) -> Decimal:
    """Return a float as the shortest decimal that means it."""
    return Decimal(repr(float(value)))


def _nanoseconds(moment: pd.Timestamp) -> int:
    return int(moment.as_unit("ns").value)
