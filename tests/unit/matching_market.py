"""A market of round figures for the tests of the matching engine.

The price is 100, the tick 1. The last candle is flat, with a volume of 5050: so level k of either side of the depth
lies k from the price and holds k (1 at 101, 2 at 102, 3 at 103; 1 at 99, 2 at 98, 3 at 97).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tasks.exchange.matching import Candle, MatchingEngine, Tick
from tasks.exchange.orders import Fill, OrderRequest, OrderType, Side
from tasks.exchange.rules import MarketRules
from tasks.exchange.units import SECOND

D = Decimal
SYMBOL = "BTC/USD"
START = 1_700_000_000 * SECOND
DAY = 24 * 3600 * SECOND

RULES = MarketRules(
    symbol=SYMBOL,
    base="BTC",
    quote="USD",
    price_step=D(1),
    amount_step=D("0.01"),
    min_amount=D("0.05"),
    min_cost=D(10),
    taker=((D(0), D("0.004")), (D(10_000), D("0.003"))),
    maker=((D(0), D("0.0025")), (D(10_000), D("0.002"))),
)

CANDLE = Candle(START - 60 * SECOND, D(100), D(100), D(100), D(100), D(5050), 7)


def open_market(
    usd: str = "100000", btc: str = "1000", *, rules: MarketRules = RULES, **options: Any
) -> MatchingEngine:
    engine = MatchingEngine([rules], {"USD": D(usd), "BTC": D(btc)}, **options)
    engine.advance(START)
    engine.price(SYMBOL, D(100))
    engine.reference(SYMBOL, CANDLE)
    return engine


def order(side: Side, kind: OrderType, amount: str, price: str | None = None, **more: Any) -> OrderRequest:
    if "trigger" in more:
        more["trigger"] = D(more["trigger"])
    return OrderRequest(SYMBOL, side, kind, D(amount), None if price is None else D(price), **more)


def printed(engine: MatchingEngine, price: str, amount: str = "10", *, after: int = 1) -> list[Fill]:
    """Let the market print a trade, so many seconds later."""
    return engine.trade(SYMBOL, Tick(engine.now + after * SECOND, D(price), D(amount), "buy"))


def trades(fills: list[Fill]) -> list[tuple[str, str]]:
    """Prices and amounts, plain."""
    return [(f"{fill.price.normalize():f}", f"{fill.amount.normalize():f}") for fill in fills]


def money(engine: MatchingEngine, currency: str) -> tuple[Decimal, Decimal]:
    """Total and held."""
    balance = engine.balances()[currency]
    return balance.total, balance.held
