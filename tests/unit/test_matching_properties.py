"""No sequence of operations loses or makes money, fills twice or too much, breaks priority or leaves a hold behind.

A state machine does to an engine whatever can be done to one. After each step it works out for itself, from orders and
fills alone, what must hold; the engine's own check comes on top. A twin does the same from a restart on, at any moment,
out of nothing but snapshot and changed orders: it must have the same future.
"""

from __future__ import annotations

import copy
import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal, localcontext
from fractions import Fraction
from random import Random
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tasks.exchange.matching import Candle, MatchingEngine, RefusedOrder, Tick, derive_book
from tasks.exchange.orders import Fill, Order, OrderRequest, Side
from tasks.exchange.units import SECOND
from tests.unit.matching_market import DAY, RULES, START, SYMBOL, D

TIERS = replace(
    RULES,
    taker=((D(0), D("0.004")), (D(500), D("0.003")), (D(2000), D("0.0017"))),
    maker=((D(0), D("0.0025")), (D(500), D("0.002")), (D(2000), D("0"))),
)
OTHER = replace(TIERS, symbol="ETH/USD", base="ETH", price_step=D("0.5"))
SYMBOLS = (SYMBOL, "ETH/USD")

symbols = st.sampled_from(SYMBOLS)
prices = st.integers(85, 115).map(D)
amounts = st.integers(12, 600).map(lambda n: n * D("0.01"))
client_ids = st.sampled_from([None, None, None, None, "a", "b"])
cuts = st.sampled_from([None, None, None, None, None, None, None, D(0), D("0.3"), D(1)])
LIMITED = ("limit", "stop_loss_limit", "take_profit_limit")


@st.composite
def requests(draw: st.DrawFn) -> OrderRequest:
    kind = draw(st.sampled_from(["market", "limit", "limit", "limit", "stop_loss", "take_profit", *LIMITED[1:]]))
    in_quote = kind == "market" and draw(st.booleans())
    force = draw(st.sampled_from(["GTC", "GTC", "GTC", "GTC", "IOC", "GTD"])) if kind != "market" else "GTC"
    return OrderRequest(
        draw(symbols),
        "buy" if in_quote else draw(st.sampled_from(["buy", "sell"])),
        kind,  # type: ignore[arg-type]
        draw(st.integers(1000, 60_000).map(lambda n: n * D("0.01"))) if in_quote else draw(amounts),
        draw(prices) if kind in LIMITED else None,
        trigger=draw(prices) if "_" in kind else None,
        client_id=draw(client_ids),
        post_only=kind == "limit" and force != "IOC" and draw(st.sampled_from([False, False, True])),
        time_in_force=force,  # type: ignore[arg-type]
        expires=START + draw(st.integers(1, 3000)) * SECOND if force == "GTD" else None,
        in_quote=in_quote,
    )


def rests(order: Order) -> bool:
    return order.status == "open" and (order.request.trigger is None or order.triggered)


def is_worse(order: Order, other: Order) -> bool:
    """Whether an order's limit is farther from the market than another's on the same side."""
    mine, its = order.request.price, other.request.price
    assert mine is not None
    assert its is not None
    return mine < its if order.request.side == "buy" else mine > its


class Trading(RuleBasedStateMachine):
    """An engine, its twin, and what the test knows of both."""

    @initialize(
        usd=st.sampled_from([9000, 1000, 0]),
        btc=st.sampled_from([90, 5, 0]),
        share=st.sampled_from(["0.1", "0.37", "1"]),
    )
    def open(self, usd: int, btc: int, share: str) -> None:
        self.deposits = {"USD": D(usd), "BTC": D(btc), "ETH": D(5)}
        self.engine, self.twin = (
            MatchingEngine([TIERS, OTHER], self.deposits, share=D(share), max_open=6) for _ in range(2)
        )
        self.stored: dict[str, Order] = {}
        self.entered: dict[str, int] = {}
        """The step in which an order came to rest."""
        self.step = 0
        self.taken: defaultdict[tuple[str, str, Decimal], Decimal] = defaultdict(Decimal)
        """By symbol, side and price: what was taken since the last print."""
        self.candles: dict[str, Candle] = {}
        for symbol in SYMBOLS:
            self.both(lambda engine, symbol=symbol: engine.price(symbol, D(100)))
        self.both(lambda engine: engine.advance(START))

    def both(self, do: Callable[[MatchingEngine], Any]) -> Any:
        """Do it to both; whatever comes of it must be the same."""
        answers = []
        for engine in (self.engine, self.twin):
            try:
                answers.append(do(engine))
            except RefusedOrder as refused:
                answers.append((refused.refusal, refused.detail))
        assert answers[0] == answers[1]
        return answers[0]

    @rule(several=st.lists(st.tuples(requests(), cuts), min_size=1, max_size=5))
    def submit(self, several: list[tuple[OrderRequest, Decimal | None]]) -> None:
        for request, cut in several:
            self.submit_one(request, cut)
            self.everything_adds_up()

    def submit_one(self, request: OrderRequest, cut: Decimal | None) -> None:
        before, count = copy.deepcopy(self.engine.open_orders()), len(self.engine.fills)
        state = self.engine.snapshot()
        answer = self.both(lambda engine: engine.submit(request, fill_limit=cut))
        if not isinstance(answer, Order):
            assert self.engine.snapshot() == state
            return
        fills = self.engine.fills[count:]
        assert not any(fill.maker for fill in fills)
        if request.post_only:
            assert not fills
        if cut is not None and cut < 1:
            assert answer.status == "cancelled"
            assert (answer.cost if request.in_quote else answer.filled) <= request.amount * cut
        self.took(fills, before)

    @rule(request=requests())
    def validate(self, request: OrderRequest) -> None:
        state, count = self.engine.snapshot(), len(self.engine.orders)
        self.both(lambda engine: engine.submit(request, validate=True))
        assert (self.engine.snapshot(), len(self.engine.orders)) == (state, count)

    @rule(several=st.lists(st.tuples(symbols, prices, amounts.map(lambda n: n * 5), st.sampled_from([0, 1, 1, 60]))))
    def print_trades(self, several: list[tuple[str, Decimal, Decimal, int]]) -> None:
        for symbol, price, amount, after in several:
            self.print_trade(symbol, price, amount, after)
            self.everything_adds_up()

    def print_trade(self, symbol: str, price: Decimal, amount: Decimal, after: int) -> None:
        time = self.engine.now + after * SECOND
        self.both(lambda engine: engine.advance(time))
        before = copy.deepcopy([order for order in self.engine.open_orders() if order.request.symbol == symbol])
        for key in [key for key in self.taken if key[0] == symbol]:
            del self.taken[key]
        fills = self.both(lambda engine: engine.trade(symbol, Tick(time, price, amount, "buy")))
        made = [fill for fill in fills if fill.maker]
        assert fills[: len(made)] == made
        self.follows_the_print(made, [order for order in before if rests(order)], price, amount)
        for fill in fills[len(made) :]:
            self.took([fill], [])
        for order in before:
            if order.request.trigger is not None and not order.triggered:
                rise = (order.request.side == "buy") == order.request.type.startswith("stop_loss")
                reached = price >= order.request.trigger if rise else price <= order.request.trigger
                assert self.engine.orders[order.id].triggered == reached

    def follows_the_print(self, made: list[Fill], resting: list[Order], price: Decimal, amount: Decimal) -> None:
        """Exactly the passed orders fill, the best and earliest first, until the share of the print is used up."""
        orders = {order.id: order for order in resting}
        passed = [
            order
            for order in resting
            if order.request.price is not None
            and (order.request.price > price if order.request.side == "buy" else order.request.price < price)
        ]
        share = self.engine.share * amount // D("0.01") * D("0.01")
        wanted = sum((order.request.amount - order.filled for order in passed), D(0))
        assert sum((fill.amount for fill in made), D(0)) == min(share, wanted)
        for fill in made:
            order = orders[fill.order_id]
            assert order in passed
            assert fill.price == order.request.price
            for other in passed:
                ahead = is_worse(order, other) or (
                    other.request.price == order.request.price and self.entered[other.id] < self.entered[order.id]
                )
                if ahead:
                    assert self.engine.orders[other.id].status == "closed"

    def took(self, fills: list[Fill], before: list[Order]) -> None:
        """What was taken was there, once, and nobody's who came first."""
        for fill in fills:
            book = derive_book(
                TIERS if fill.symbol == SYMBOL else OTHER, self.engine.last(fill.symbol), self.candles.get(fill.symbol)
            )
            offered = dict(book.asks if fill.side == "buy" else book.bids)
            self.taken[fill.symbol, fill.side, fill.price] += fill.amount
            assert self.taken[fill.symbol, fill.side, fill.price] <= offered[fill.price]
            for order in before:
                if rests(order) and order.request.symbol == fill.symbol and order.request.price is not None:
                    own_buys = order.request.side == "buy"
                    assert fill.price > order.request.price if own_buys else fill.price < order.request.price

    @rule(number=st.integers(0, 50))
    def cancel(self, number: int) -> None:
        ids = list(self.engine.orders)
        if ids:
            order_id = ids[-1 - number % len(ids)]
            was_open = self.engine.orders[order_id].status == "open"
            answer = self.both(lambda engine: engine.cancel(order_id))
            assert isinstance(answer, Order) == was_open

    @rule(client_id=st.sampled_from(["a", "b"]))
    def cancel_client(self, client_id: str) -> None:
        known = client_id in {order.request.client_id for order in self.engine.open_orders()}
        assert isinstance(self.both(lambda engine: engine.cancel_client(client_id)), Order) == known

    @rule()
    def cancel_all(self) -> None:
        self.both(lambda engine: engine.cancel_all())
        assert self.engine.open_orders() == []
        assert all(balance.held == 0 for balance in self.engine.balances().values())

    @rule(seconds=st.sampled_from([0, 1, 60]))
    def set_dead_mans_switch(self, seconds: int) -> None:
        self.both(lambda engine: engine.cancel_all_after(seconds))

    @rule(nanoseconds=st.sampled_from([-SECOND, 1, SECOND, 100 * SECOND, 16 * DAY]))
    def advance(self, nanoseconds: int) -> None:
        now = self.engine.now
        self.both(lambda engine: engine.advance(now + nanoseconds))
        assert self.engine.now == max(now, now + nanoseconds)

    @rule(currency=st.sampled_from(["USD", "BTC", "EUR"]), amount=st.integers(-500, 1000))
    def deposit(self, currency: str, amount: int) -> None:
        if self.both(lambda engine: engine.deposit(currency, D(amount))) is None:
            self.deposits[currency] = self.deposits.get(currency, D(0)) + amount

    @rule(symbol=symbols, low=prices, spread=st.integers(0, 20), volume=st.integers(0, 10_000))
    def close_candle(self, symbol: str, low: Decimal, spread: int, volume: int) -> None:
        """A new candle comes with a print, so that what was taken is forgotten with the depth that it was taken of."""
        candle = Candle(START, low, low + spread, low, low, volume * D("0.01"), 1)
        self.candles[symbol] = candle
        self.both(lambda engine: engine.reference(symbol, candle))
        self.print_trade(symbol, self.engine.last(symbol), D("0.01"), 1)

    @rule()
    def restart_the_twin(self) -> None:
        snapshot = json.loads(json.dumps(self.engine.snapshot()))
        self.twin = MatchingEngine.restore([TIERS, OTHER], snapshot, copy.deepcopy(list(self.stored.values())))

    @invariant()
    def everything_adds_up(self) -> None:
        if not hasattr(self, "engine"):
            return
        self.step += 1
        self.engine.check()
        self.engine.check(whole=False)
        self.store_what_changed()
        self.orders_and_fills_agree()
        self.money_follows_from_the_fills()
        self.book_is_not_crossed()
        self.twin_is_the_same()
        for order in self.engine.open_orders():
            if rests(order):
                self.entered.setdefault(order.id, self.step)

    def store_what_changed(self) -> None:
        for order in self.engine.take_changed():
            self.stored[order.id] = copy.deepcopy(order)
        assert self.stored == self.engine.orders
        assert list(self.stored) == list(self.engine.orders)

    def orders_and_fills_agree(self) -> None:
        fills = self.engine.fills
        assert len({fill.id for fill in fills}) == len(fills)
        assert [fill.time for fill in fills] == sorted(fill.time for fill in fills)
        assert sum(len(order.fills) for order in self.engine.orders.values()) == len(fills)
        for fill in fills:
            request = self.engine.orders[fill.order_id].request
            assert fill.amount > 0
            assert (fill.symbol, fill.side) == (request.symbol, request.side)
            assert fill.cost == fill.price * fill.amount
            if request.price is not None:
                assert fill.price <= request.price if fill.side == "buy" else fill.price >= request.price
        for order in self.engine.orders.values():
            filled = order.cost if order.request.in_quote else order.filled
            assert filled <= order.request.amount
            assert sum((fill.amount for fill in order.fills), D(0)) == order.filled
            assert (order.closed is None) == (order.status == "open")

    def money_follows_from_the_fills(self) -> None:
        """By fractions, which cannot round."""
        total = defaultdict(Fraction, {currency: Fraction(amount) for currency, amount in self.deposits.items()})
        held: defaultdict[str, Fraction] = defaultdict(Fraction)
        for fill in self.engine.fills:
            sign, base = (1 if fill.side == "buy" else -1), fill.symbol.split("/")[0]
            total[base] += sign * Fraction(fill.amount)
            total["USD"] -= sign * Fraction(fill.price) * Fraction(fill.amount) + Fraction(fill.fee)
            assert 0 <= Fraction(fill.fee) <= Fraction(fill.cost) * Fraction("0.004")
        for order in self.engine.open_orders():
            left = Fraction(order.request.amount) - Fraction(order.filled)
            if order.request.side == "sell":
                held[order.request.symbol.split("/")[0]] += left
            else:
                held["USD"] += left * Fraction(order.request.price or order.request.trigger or 0)
        for currency, balance in self.engine.balances().items():
            assert Fraction(balance.total) == total[currency]
            assert held[currency] <= Fraction(balance.held) <= held[currency] * Fraction("1.004")
            assert 0 <= balance.held <= balance.total

    def book_is_not_crossed(self) -> None:
        for symbol in SYMBOLS:
            book = self.engine.book(symbol)
            if book.bids and book.asks:
                assert book.bids[0].price < book.asks[0].price

    def twin_is_the_same(self) -> None:
        assert self.twin.snapshot() == self.engine.snapshot()
        assert self.twin.orders == self.engine.orders
        assert self.twin.fills == self.engine.fills
        assert self.twin.balances() == self.engine.balances()
        with localcontext() as context:
            context.prec = 60
            assert self.twin.volume() == self.engine.volume()


TestTrading = Trading.TestCase
TestTrading.settings = settings(max_examples=60, stateful_step_count=30)


def chance_request(chance: Random) -> OrderRequest:
    """One that is mostly not refused."""
    kind = chance.choice(["market", "limit", "limit", "limit", "limit", "stop_loss", "take_profit", *LIMITED[1:]])
    force = chance.choice(["GTC", "GTC", "GTC", "IOC", "GTD"]) if kind != "market" else "GTC"
    in_quote = kind == "market" and chance.random() < 0.3
    side: Side = "buy" if in_quote else chance.choice(["buy", "sell"])
    limit = D(chance.randint(85, 102) if side == "buy" else chance.randint(98, 115))
    return OrderRequest(
        chance.choice(SYMBOLS),
        side,
        kind,  # type: ignore[arg-type]
        chance.randint(12, 900) * D("0.01") * (50 if in_quote else 1),
        limit if kind in LIMITED else None,
        trigger=D(chance.randint(85, 115)) if "_" in kind else None,
        client_id=chance.choice([None, None, "a", "b"]),
        post_only=kind == "limit" and force != "IOC" and chance.random() < 0.3,
        time_in_force=force,  # type: ignore[arg-type]
        expires=START + chance.randint(1, 3000) * SECOND if force == "GTD" else None,
        in_quote=in_quote,
    )


@pytest.mark.parametrize("seed", range(6))
def test_long_sessions_add_up_too(seed: int) -> None:
    """Hypothesis tries what is odd; these go on until much has happened."""
    chance = Random(seed)
    session = Trading()
    session.open(20_000, 200, chance.choice(["0.1", "0.37", "1"]))
    price = 100
    for _ in range(150):
        what = chance.random()
        if what < 0.4:
            session.submit_one(chance_request(chance), None if chance.random() < 0.95 else D("0.3"))
        elif what < 0.8:
            price = min(max(price + chance.choice([-6, -2, -1, -1, 0, 1, 1, 2, 6]), 85), 115)
            amount = chance.randint(1, 3000) * D("0.01")
            session.print_trade(chance.choice(SYMBOLS), D(price), amount, chance.choice([0, 1, 20]))
        elif what < 0.85:
            session.close_candle(chance.choice(SYMBOLS), D(price), chance.randint(0, 20), chance.randint(0, 100_000))
        elif what < 0.9:
            session.cancel(chance.randint(0, 20))
        elif what < 0.97:
            session.restart_the_twin()
        else:
            unusual = [session.cancel_all, lambda: session.set_dead_mans_switch(60), lambda: session.advance(16 * DAY)]
            chance.choice(unusual)()
        session.everything_adds_up()
    fills = session.engine.fills
    assert sum(fill.maker for fill in fills) > 2
    assert sum(not fill.maker for fill in fills) > 25
