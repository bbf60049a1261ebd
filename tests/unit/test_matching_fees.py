"""Fees by the tier of the volume of thirty days, and the holds that they need."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from tasks.exchange.matching import MatchingEngine
from tasks.exchange.orders import OrderRequest
from tests.unit.matching_market import CANDLE, DAY, RULES, START, SYMBOL, D, money, open_market, order, printed


def rates(engine: MatchingEngine) -> tuple[Decimal, Decimal]:
    return engine.fee(SYMBOL, maker=True), engine.fee(SYMBOL, maker=False)


def test_the_tier_changes_when_its_border_is_reached_and_not_before() -> None:
    engine = open_market()
    engine.submit(order("buy", "limit", "101", "99"))
    printed(engine, "98", "1010")
    assert engine.volume() == 9999
    assert rates(engine) == (D("0.0025"), D("0.004"))
    bid = engine.submit(order("buy", "limit", "5", "98"))
    printed(engine, "97", "0.1")  # 0.01 at 98
    assert engine.volume() == D("9999.98")
    assert rates(engine) == (D("0.0025"), D("0.004"))
    engine.cancel(bid.id)
    engine.submit(order("buy", "limit", "5", "2"))
    printed(engine, "1", "0.1")
    assert engine.volume() == 10_000
    assert rates(engine) == (D("0.002"), D("0.003"))


def test_the_whole_of_a_taker_order_pays_the_rate_before_it() -> None:
    engine = open_market()
    first, second, third = (engine.submit(order("buy", "market", amount)) for amount in ("91", "91", "1"))
    assert first.cost == 9919  # levels 1 to 13: the sum of k times (100 + k)
    assert first.fee == 9919 * D("0.004")
    assert second.cost > 10_000
    assert second.fee == second.cost * D("0.004")
    assert third.fee == third.cost * D("0.003")


def test_volume_is_forgotten_after_thirty_days_to_the_nanosecond() -> None:
    engine = open_market()
    engine.submit(order("buy", "market", "200"))
    engine.advance(START + 30 * DAY - 1)
    assert engine.volume() > 10_000
    assert rates(engine) == (D("0.002"), D("0.003"))
    engine.advance(START + 30 * DAY)
    assert engine.volume() == 0
    assert rates(engine) == (D("0.0025"), D("0.004"))


def test_money_is_held_for_the_higher_fee_of_the_accounts_tier() -> None:
    engine = open_market()
    engine.submit(order("buy", "market", "200"))
    engine.submit(order("buy", "limit", "1", "90"))
    assert money(engine, "USD")[1] == D("90.27")


def test_a_tier_that_is_lost_later_makes_no_order_dearer_than_what_is_held_for_it() -> None:
    tiers = ((D(0), D("0.005")), (D(10_000), D("0.001")))
    engine = open_market(rules=replace(RULES, taker=tiers, maker=tiers))
    engine.submit(order("buy", "market", "200"))
    bid = engine.submit(order("buy", "limit", "1", "90"))
    stop = engine.submit(order("sell", "stop_loss", "1", trigger="89"))
    engine.advance(START + 31 * DAY)
    assert rates(engine) == (D("0.005"), D("0.005"))
    printed(engine, "89")
    assert bid.fee == D("0.09")
    assert stop.fee == D("0.088")
    engine.check()


def test_the_volumes_of_all_markets_count_together() -> None:
    ether = replace(RULES, symbol="ETH/USD", base="ETH")
    engine = MatchingEngine([RULES, ether], {"USD": D(1_000_000)})
    for symbol in (SYMBOL, "ETH/USD"):
        engine.price(symbol, D(100))
        engine.reference(symbol, CANDLE)
        engine.submit(OrderRequest(symbol, "buy", "market", D(55)))
    assert engine.volume() == 11_770  # twice levels 1 to 10
    assert engine.fee("ETH/USD", maker=False) == engine.fee(SYMBOL, maker=False) == D("0.003")
