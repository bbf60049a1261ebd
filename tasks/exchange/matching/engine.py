"""The matching engine: one account that trades in several markets. No I/O, no clock of its own, no chance.

The markets move by the prints it is told of (`trade`), time by `advance`. A taker meets the depth that `book` derives
from the last closed candle; what rests is filled by prints that go beyond its price. All money is exact: nothing is
rounded but amounts, down to the market's step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, Self

from tasks.exchange.matching.alarms import SWITCH, Alarms
from tasks.exchange.matching.book import LEVELS, Book, Depth, Level, offers
from tasks.exchange.matching.candles import Candle, Tick
from tasks.exchange.matching.exact import exact
from tasks.exchange.matching.history import History
from tasks.exchange.matching.invariants import (
    check_client_ids,
    check_history,
    check_holds,
    check_money,
    check_orders,
    check_places,
)
from tasks.exchange.matching.ledger import Ledger
from tasks.exchange.matching.pit import Pit, Plan, Standing
from tasks.exchange.matching.refusals import InvariantBroken, Reason, Refusal, RefusedOrder
from tasks.exchange.matching.requests import check_request
from tasks.exchange.orders import Balance, Fill, Order, OrderRequest, Status
from tasks.exchange.rules import MarketRules, fee_at
from tasks.exchange.units import SECOND

__all__ = ["InvariantBroken", "MatchingEngine", "Refusal", "RefusedOrder"]

Charge = Callable[[Decimal, Decimal, Decimal], Decimal]
"""The fee (quote currency) of a fill, from its rate, price and amount."""

_WHOLE = Decimal(1)
_LONGEST_SWITCH = 86_400
"""Seconds, Kraken's."""


def charge_exactly(rate: Decimal, price: Decimal, amount: Decimal) -> Decimal:
    """Return the fee of a fill."""
    return price * amount * rate


class MatchingEngine:
    """One account, its orders and its money. Times are nanoseconds since 1970 UTC."""

    def __init__(
        self,
        rules: Iterable[MarketRules],
        balances: Mapping[str, Decimal],
        *,
        share: Decimal = Decimal("0.1"),
        max_open: int = 80,
        seed: int = 0,
        depth: Depth = offers,
        charge: Charge = charge_exactly,
    ) -> None:
        """Begin with these balances; `share` of a print fills own orders, `max_open` may be open in one market.

        `depth` tells what a taker meets and `charge` what a fill costs; neither is part of a snapshot.
        """
        self.share, self.max_open, self.seed = share, max_open, seed
        self._charge = charge
        self.now = 0
        """0 until the first `advance`."""
        self._pits = {each.symbol: Pit(each, depth) for each in rules}
        self._ledger = Ledger()
        self._history = History(seed)
        self._standing: dict[str, Standing] = {}
        self._client_ids: dict[str, str] = {}
        self._turn = 0
        self._alarms = Alarms()
        for pit in self._pits.values():
            self._ledger.deposit(pit.rules.base, Decimal(0))
            self._ledger.deposit(pit.rules.quote, Decimal(0))
        for currency, amount in balances.items():
            self.deposit(currency, amount)

    # Time and market

    def advance(self, now: int) -> None:
        """Let time pass: orders expire and the dead man's switch fires, in the order of their times.

        An earlier time than the engine's own is ignored.
        """
        if now >= self._alarms.due:
            self._pass_due(now)
        self.now = max(self.now, now)

    def reference(self, symbol: str, candle: Candle) -> None:
        """Set the last closed candle, from which the depth is derived."""
        self._pit(symbol).candle = candle

    def price(self, symbol: str, price: Decimal) -> None:
        """Set the last price without a trade, as at the opening: it neither fills nor wakes orders."""
        self._pit(symbol).last = price

    def trade(self, symbol: str, tick: Tick) -> list[Fill]:
        """Take note of a print and return the fills that it brings.

        First own resting orders fill that the price goes beyond, best price and earliest turn first, each at its own
        limit, all together at most `share` of the print. Then the orders wake whose trigger it reaches. The depth is
        whole again.
        """
        pit = self._pit(symbol)
        self.advance(tick.time)
        pit.last = tick.price
        pit.replenish()
        return [] if pit.quiet else self._meet(pit, tick)

    def last(self, symbol: str) -> Decimal:
        """Return the price of the last print; 0 before the first."""
        return self._pit(symbol).last

    @exact
    def book(self, symbol: str, depth: int = LEVELS) -> Book:
        """Return the market's depth, best price first, of at most 100 levels a side.

        Own orders are not in it, nor is what they have the first right to.
        """
        pit = self._pit(symbol)
        return Book(pit.depth("sell", depth), pit.depth("buy", depth))

    # Orders

    @exact
    def submit(self, request: OrderRequest, *, validate: bool = False, fill_limit: Decimal | None = None) -> Order:
        """Place an order; return it as it stands after its first trades.

        With `validate` the request is checked, not the money or the depth, and nothing is placed: the order that is
        returned has no id. With `fill_limit`, a fault, at most that fraction fills at once and the rest is cancelled.
        Raises RefusedOrder, and has then changed nothing.
        """
        pit = self._pit(request.symbol)
        check_request(request, pit.rules, pit.last, self.now)
        if request.client_id in self._client_ids:
            raise RefusedOrder(Refusal.DUPLICATE_CLIENT_ID, str(request.client_id))
        order = Order("", request, "open", self.now, fee_currency=pit.rules.quote)
        if validate:
            return order
        if request.type != "market" and pit.open_count >= self.max_open:
            raise RefusedOrder(Refusal.TOO_MANY_ORDERS, f"{self.max_open} in {request.symbol}")
        order.triggered = request.trigger is not None and pit.is_reached(request)
        standing = Standing(order, self._turn + 1, max(self._fee(pit, maker=True), self._fee(pit, maker=False)))
        fraction = _WHOLE if fill_limit is None else fill_limit
        if not 0 <= fraction <= 1:
            raise RefusedOrder(Refusal.BAD_ARGUMENTS, f"a fraction of the order to fill is 0 to 1, not {fraction}")
        plan = Plan([], done=False) if standing.waits else pit.plan(request, fraction)
        if request.post_only and (plan.levels or pit.meets_own(request)):
            raise RefusedOrder(Refusal.POST_ONLY, f"{request.side} at {request.price}, market at {pit.last}")
        if request.in_quote and plan.done and not plan.levels and fraction == 1:
            raise RefusedOrder(Refusal.MIN_AMOUNT, f"{request.amount} {pit.rules.quote} buys nothing")
        self._check_funds(pit, standing, plan)
        self._turn += 1
        self._history.begin(order)
        self._register(standing)
        self._execute(pit, standing, plan, limited=fraction < 1)
        return order

    @exact
    def cancel(self, order_id: str) -> Order:
        """Cancel an open order."""
        if order_id not in self._standing:
            raise RefusedOrder(Refusal.UNKNOWN_ORDER, order_id)
        return self._end(self._standing[order_id], "cancelled", Reason.ASKED)

    def cancel_client(self, client_id: str) -> Order:
        """Cancel the open order of this client id."""
        if client_id not in self._client_ids:
            raise RefusedOrder(Refusal.UNKNOWN_ORDER, client_id)
        return self.cancel(self._client_ids[client_id])

    @exact
    def cancel_all(self) -> list[Order]:
        """Cancel all open orders, oldest first."""
        return [self._end(standing, "cancelled", Reason.ALL) for standing in tuple(self._standing.values())]

    def cancel_all_after(self, seconds: int) -> int | None:
        """Set the dead man's switch, which cancels all orders; return when. 0 disarms it, which returns None."""
        if not 0 <= seconds <= _LONGEST_SWITCH:
            raise RefusedOrder(Refusal.BAD_ARGUMENTS, f"the switch takes 0 to {_LONGEST_SWITCH} seconds, not {seconds}")
        self._alarms.switch = self.now + seconds * SECOND if seconds else None
        return self._alarms.switch

    @property
    def orders(self) -> dict[str, Order]:
        """Every order ever, by id, oldest first."""
        return self._history.orders

    @property
    def fills(self) -> list[Fill]:
        """Every fill ever, oldest first."""
        return self._history.fills

    def open_orders(self) -> list[Order]:
        """Return the open orders, oldest first."""
        return [standing.order for standing in self._standing.values()]

    def take_changed(self) -> list[Order]:
        """Return the orders that changed since this was last asked."""
        return self._history.take_changed()

    # Money

    def balances(self) -> dict[str, Balance]:
        """Return what the account has, by currency: those of the markets, and those deposited."""
        return self._ledger.balances()

    @exact
    def deposit(self, currency: str, amount: Decimal) -> None:
        """Add money from outside, or take away a negative amount, of what no order holds."""
        if not amount.is_finite():
            raise RefusedOrder(Refusal.BAD_AMOUNT, str(amount))
        if self._ledger.free(currency) + amount < 0:
            raise RefusedOrder(Refusal.FUNDS, f"{self._ledger.free(currency):f} {currency} is free")
        self._ledger.deposit(currency, amount)

    @exact
    def volume(self) -> Decimal:
        """Return the cost of the account's trades of the last 30 days; quote currencies are added as they are."""
        return self._history.volume.at(self.now)

    @exact
    def fee(self, symbol: str, *, maker: bool) -> Decimal:
        """Return the fee of the account's tier, as a fraction of the cost."""
        return self._fee(self._pit(symbol), maker=maker)

    # Evidence and state

    @exact
    def check(self, *, whole: bool = True) -> None:
        """Raise InvariantBroken, naming it, if anything does not add up.

        Without `whole` the orders that have ended and their fills are left out, so that it takes the same time however
        long the history is: microseconds instead of some ten for each order ever.
        """
        check_money(self._ledger)
        check_orders(self.orders.values() if whole else self.open_orders(), self._standing)
        check_places(self._pits.values(), self._standing)
        check_client_ids(self._client_ids, self._standing)
        check_holds(self._ledger, {id_: self._pit_of(each).need(each) for id_, each in self._standing.items()})
        if whole:
            check_history(self._ledger, self.fills, self._pits)

    def snapshot(self) -> dict[str, Any]:
        """Return everything but the orders, as JSON."""
        return {
            "now": self.now,
            "options": {"share": str(self.share), "max_open": self.max_open, "seed": self.seed},
            "ledger": self._ledger.snapshot(),
            "markets": {symbol: pit.snapshot() for symbol, pit in self._pits.items()},
            "open": [[id_, standing.turn, str(standing.rate)] for id_, standing in self._standing.items()],
            "turn": self._turn,
            "switch": self._alarms.switch,
        }

    @classmethod
    @exact
    def restore(
        cls, rules: Iterable[MarketRules], snapshot: Mapping[str, Any], orders: Iterable[Order], **options: Any
    ) -> Self:
        """Return the engine of a snapshot and all its orders, oldest first; `options` overrule those of before.

        Raises InvariantBroken if snapshot and orders are not of the same moment.
        """
        kept = {**snapshot["options"], "share": Decimal(snapshot["options"]["share"])}
        engine = cls(rules, {}, **{**kept, **options})
        engine.now, engine._turn, engine._alarms.switch = snapshot["now"], snapshot["turn"], snapshot["switch"]
        engine._ledger = Ledger.restore(snapshot["ledger"])
        engine._history = History.restore(orders, engine.seed)
        for symbol, pit in snapshot["markets"].items():
            engine._pit(symbol).load(pit)
        for id_, turn, rate in snapshot["open"]:
            if id_ not in engine.orders:
                raise InvariantBroken(f"the open order {id_} is not among the orders")
            standing = Standing(engine.orders[id_], turn, Decimal(rate))
            engine._register(standing)
            engine._stand(standing)
        engine.check()
        return engine

    # How it is done

    def _pit(self, symbol: str) -> Pit:
        if symbol not in self._pits:
            raise RefusedOrder(Refusal.UNKNOWN_SYMBOL, symbol)
        return self._pits[symbol]

    def _pit_of(self, standing: Standing) -> Pit:
        return self._pits[standing.order.request.symbol]

    def _fee(self, pit: Pit, *, maker: bool) -> Decimal:
        return fee_at(pit.rules.maker if maker else pit.rules.taker, self._history.volume.at(self.now))

    def _check_funds(self, pit: Pit, standing: Standing, plan: Plan) -> None:
        currency, needed = pit.need(standing)
        if standing.buys_at_market:
            needed = plan.cost * (1 + min(self._fee(pit, maker=False), standing.rate))
        if needed > self._ledger.free(currency):
            raise RefusedOrder(Refusal.FUNDS, f"{needed:f} {currency} needed, {self._ledger.free(currency):f} free")

    def _register(self, standing: Standing) -> None:
        order, request = standing.order, standing.order.request
        self._standing[order.id] = standing
        if request.client_id is not None:
            self._client_ids[request.client_id] = order.id
        if request.expires is not None:
            self._alarms.expire(request.expires, order.id)

    def _execute(self, pit: Pit, standing: Standing, plan: Plan, *, limited: bool = False) -> None:
        """Let an order take what was planned; what is left rests, waits or is cancelled."""
        request = standing.order.request
        rate = self._fee(pit, maker=False)
        for level in plan.levels:
            self._fill(pit, standing, level, rate, maker=False)
            pit.take(request.side, level)
        if limited:
            self._end(standing, "cancelled", Reason.EXCHANGE)
        elif plan.done:
            self._end(standing, "closed")
        elif standing.waits:
            self._stand(standing)
        elif pit.meets_own(request):
            self._end(standing, "cancelled", Reason.SELF_TRADE)
        elif request.price is None:
            self._end(standing, "cancelled", Reason.NO_DEPTH)
        elif request.time_in_force == "IOC":
            self._end(standing, "cancelled", Reason.IMMEDIATE)
        else:
            self._stand(standing)

    def _stand(self, standing: Standing) -> None:
        """Give an order its place, and speak for the money that it can cost."""
        pit = self._pit_of(standing)
        pit.add(standing)
        self._ledger.hold(standing.order.id, *pit.need(standing))

    def _leave(self, standing: Standing) -> None:
        """Take an order from its place, if it has one, and release its money."""
        if standing.order.id in self._ledger.holds:
            self._pit_of(standing).remove(standing)
            self._ledger.release(standing.order.id)

    def _end(self, standing: Standing, status: Status, reason: str = "") -> Order:
        self._leave(standing)
        order = standing.order
        order.status, order.closed, order.reason = status, self.now, str(reason)
        del self._standing[order.id]
        self._history.changed[order.id] = order
        if order.request.client_id is not None:
            del self._client_ids[order.request.client_id]
        return order

    def _fill(self, pit: Pit, standing: Standing, level: Level, rate: Decimal, *, maker: bool) -> None:
        fee = self._charge(min(rate, standing.rate), *level)
        fill = self._history.fill(standing.order, level, self.now, fee=fee, maker=maker)
        self._ledger.settle(fill, pit.rules.base)

    @exact
    def _meet(self, pit: Pit, tick: Tick) -> list[Fill]:
        before = len(self.fills)
        self._fill_passed(pit, tick)
        for queue in (pit.falling, pit.rising):
            for standing in queue.reached(tick.price, beyond=False):
                self._wake(pit, standing)
        return self.fills[before:]

    def _fill_passed(self, pit: Pit, tick: Tick) -> None:
        """Fill the resting orders that a print went beyond, as far as their share of it goes."""
        step = pit.rules.amount_step
        left = self.share * tick.amount // step * step
        for standing in pit.bids.reached(tick.price, beyond=True) + pit.asks.reached(tick.price, beyond=True):
            amount = min(left, standing.remaining)
            if not amount:
                return
            price, _ = pit.place(standing)
            self._fill(pit, standing, Level(price, amount), self._fee(pit, maker=True), maker=True)
            left -= amount
            if standing.remaining:
                self._ledger.hold(standing.order.id, *pit.need(standing))
            else:
                self._end(standing, "closed")

    def _wake(self, pit: Pit, standing: Standing) -> None:
        """Let an order come in whose trigger was reached."""
        self._leave(standing)
        self._turn += 1
        standing.turn, standing.order.triggered = self._turn, True
        self._history.changed[standing.order.id] = standing.order
        plan = pit.plan(standing.order.request, _WHOLE)
        try:
            self._check_funds(pit, standing, plan)
        except RefusedOrder:
            self._end(standing, "cancelled", Reason.FUNDS)
        else:
            self._execute(pit, standing, plan)

    @exact
    def _pass_due(self, now: int) -> None:
        while self._alarms.due <= now:
            self.now = max(self.now, self._alarms.due)
            what = self._alarms.pop()
            if what == SWITCH:
                for standing in tuple(self._standing.values()):
                    self._end(standing, "cancelled", Reason.DEAD_MAN)
            elif what in self._standing:
                self._end(self._standing[what], "expired", Reason.EXPIRED)
