"""One market as the engine sees it: its price and depth, and the account's own orders in the order of their turn."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice, takewhile
from typing import Any, NamedTuple

from tasks.exchange.matching.book import Depth, Level
from tasks.exchange.matching.candles import Candle
from tasks.exchange.orders import Order, OrderRequest, Side
from tasks.exchange.rules import MarketRules


@dataclass(slots=True)
class Standing:
    """An open order and its place."""

    order: Order
    turn: int
    """Of two orders at one price, the one with the lower turn is served first."""
    rate: Decimal
    """The highest fee, as a fraction, that the money held for it covers: it never pays more."""

    @property
    def waits(self) -> bool:
        """Tell whether it still waits for its trigger."""
        return self.order.request.trigger is not None and not self.order.triggered

    @property
    def remaining(self) -> Decimal:
        """What is not filled yet; only of orders whose amount is in the base currency."""
        return self.order.request.amount - self.order.filled

    @property
    def buys_at_market(self) -> bool:
        """Tell whether it pays whatever the depth asks, now."""
        return self.order.request.side == "buy" and self.order.request.price is None and not self.waits


class Queue:
    """Orders at prices, in the order in which a moving price comes to them."""

    def __init__(self, direction: int) -> None:
        self.direction = direction
        """1: a rising price reaches them, the lowest first; -1: a falling price, the highest first."""
        self.line: list[tuple[Decimal, int, Standing]] = []
        """Price times direction, turn, order."""

    def add(self, price: Decimal, standing: Standing) -> None:
        """Put an order in its place."""
        insort(self.line, (price * self.direction, standing.turn, standing))

    def remove(self, price: Decimal, standing: Standing) -> None:
        """Take an order out."""
        del self.line[bisect_left(self.line, (price * self.direction, standing.turn))]

    @property
    def first(self) -> Decimal | None:
        """The price that is reached first."""
        return self.line[0][0] * self.direction if self.line else None

    def reached(self, price: Decimal, *, beyond: bool) -> list[Standing]:
        """Return those that this price reaches; with `beyond`, those it has passed."""
        bound = price * self.direction
        return [s for _, _, s in takewhile(lambda place: place[0] < bound if beyond else place[0] <= bound, self.line)]


class Plan(NamedTuple):
    """What an order that comes in will take."""

    levels: list[Level]
    done: bool
    """Nothing is left of what was wanted."""

    @property
    def cost(self) -> Decimal:
        """Quote currency, without fees."""
        return sum((price * amount for price, amount in self.levels), Decimal(0))


class Pit:
    """One market: rules, price, depth, own orders."""

    def __init__(self, rules: MarketRules, depth: Depth) -> None:
        self.rules = rules
        self._depth = depth
        self.last = Decimal(0)
        """0 until the market has a price."""
        self.candle: Candle | None = None
        self.taken: dict[Side, dict[Decimal, Decimal]] = {"buy": {}, "sell": {}}
        """By side of the taker and price: what the account took of the depth since the last print."""
        self.bids, self.asks = Queue(-1), Queue(1)
        self.falling, self.rising = Queue(-1), Queue(1)
        """Orders that wait for their trigger."""

    @property
    def open_count(self) -> int:
        """How many own orders are open here."""
        return sum(len(queue.line) for queue in self.queues)

    @property
    def queues(self) -> tuple[Queue, Queue, Queue, Queue]:
        """All queues of own orders."""
        return self.bids, self.asks, self.falling, self.rising

    @property
    def quiet(self) -> bool:
        """Tell whether no own order is open here."""
        return not (self.bids.line or self.asks.line or self.falling.line or self.rising.line)

    def add(self, standing: Standing) -> None:
        """Give an open order its place."""
        price, queue = self.place(standing)
        queue.add(price, standing)

    def remove(self, standing: Standing) -> None:
        """Take an order from its place."""
        price, queue = self.place(standing)
        queue.remove(price, standing)

    def place(self, standing: Standing) -> tuple[Decimal, Queue]:
        """Return the price at which an order stands, and its queue."""
        request = standing.order.request
        if standing.waits and request.trigger is not None:
            return request.trigger, self.rising if _waits_for_rise(request) else self.falling
        assert request.price is not None, "an order without a limit never rests"
        return request.price, self._resting(request.side)

    def need(self, standing: Standing) -> tuple[str, Decimal]:
        """Return the currency and the amount that an order can still cost, fees included."""
        request = standing.order.request
        if request.side == "sell":
            return self.rules.base, standing.remaining
        price = request.price or request.trigger or self.last
        return self.rules.quote, standing.remaining * price * (1 + standing.rate)

    def is_reached(self, request: OrderRequest) -> bool:
        """Tell whether the last price wakes this order."""
        if request.trigger is None:
            return True
        return self.last >= request.trigger if _waits_for_rise(request) else self.last <= request.trigger

    def take(self, taker: Side, level: Level) -> None:
        """Note that a taker of this side had this amount at this price."""
        self.taken[taker][level.price] = self.taken[taker].get(level.price, Decimal(0)) + level.amount

    def replenish(self) -> None:
        """Make the depth whole again."""
        for taken in self.taken.values():
            taken.clear()

    def depth(self, taker: Side, levels: int) -> list[Level]:
        """Return the first of what a taker of this side meets."""
        return list(islice(self.offers(taker), levels))

    def offers(self, taker: Side) -> Iterator[Level]:
        """Yield what a taker of this side meets: the depth without what was taken since the last print.

        After a jump a resting order can lie beyond the new price until prints fill it. What the depth offers at its
        price or better is spoken for: no later order may have it first.
        """
        first, taken = self._resting(taker).first, self.taken[taker]
        for price, amount in self._depth(self.rules, self.last, self.candle, taker) if self.last else ():
            if first is not None and not _is_better(taker, first, price):
                continue
            left = amount - taken.get(price, 0)
            if left > 0:
                yield Level(price, left)

    def meets_own(self, request: OrderRequest) -> bool:
        """Tell whether an order would come to an own order that rests, if the market did not stop it before."""
        own = self._opposite(request.side).first
        return own is not None and (request.price is None or not _is_better(request.side, request.price, own))

    def plan(self, request: OrderRequest, fraction: Decimal) -> Plan:
        """Return what this fraction of the request would take now, short of own orders."""
        own = self._opposite(request.side).first

        def is_open_to_it(level: Level) -> bool:
            if request.price is not None and _is_better(request.side, request.price, level.price):
                return False
            return own is None or _is_better(request.side, level.price, own)

        met = takewhile(is_open_to_it, self.offers(request.side))
        return self._take(met, request.amount * fraction, in_quote=request.in_quote)

    def snapshot(self) -> dict[str, Any]:
        """Return price, candle and what was taken as JSON; the orders have a list of their own."""
        candle = [str(value) for value in self.candle] if self.candle else None
        taken = {side: {str(x): str(y) for x, y in levels.items()} for side, levels in self.taken.items()}
        return {"last": str(self.last), "candle": candle, "taken": taken}

    def load(self, snapshot: Mapping[str, Any]) -> None:
        """Take price, candle and what was taken from a snapshot."""
        self.last = Decimal(snapshot["last"])
        if snapshot["candle"]:
            ts, start, high, low, close, volume, trades = map(Decimal, snapshot["candle"])
            self.candle = Candle(int(ts), start, high, low, close, volume, int(trades))
        for side, taken in self.taken.items():
            taken.update({Decimal(price): Decimal(amount) for price, amount in snapshot["taken"][side].items()})

    def _take(self, met: Iterator[Level], wanted: Decimal, *, in_quote: bool) -> Plan:
        step, levels = self.rules.amount_step, []
        for price, offered in met:
            unit = price if in_quote else Decimal(1)
            amount = min(offered, wanted // (unit * step) * step)
            if amount:
                levels.append(Level(price, amount))
                wanted -= amount * unit
            if amount < offered:
                return Plan(levels, done=True)
        return Plan(levels, done=not wanted)

    def _resting(self, side: Side) -> Queue:
        return self.bids if side == "buy" else self.asks

    def _opposite(self, side: Side) -> Queue:
        return self.asks if side == "buy" else self.bids


def _waits_for_rise(request: OrderRequest) -> bool:
    return request.type.startswith("stop_loss") == (request.side == "buy")


def _is_better(side: Side, price: Decimal, other: Decimal) -> bool:
    """Tell whether who trades on this side prefers the first price."""
    return price < other if side == "buy" else price > other
