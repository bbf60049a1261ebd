"""The rules of well-known markets, and sane ones for all others."""

from __future__ import annotations

from decimal import Decimal

import pytest

from data.errors import BadInput
from tasks.exchange.practice.market.markets_known import known_rules, usual_price
from tasks.exchange.rules import fee_at


def test_bitcoin_has_the_rules_that_kraken_gives_it() -> None:
    rules = known_rules("BTC/USD")
    assert (rules.base, rules.quote) == ("BTC", "USD")
    assert (rules.price_step, rules.amount_step) == (Decimal("0.1"), Decimal("0.00000001"))
    assert (rules.min_amount, rules.min_cost) == (Decimal("0.00005"), Decimal("0.5"))


@pytest.mark.parametrize(
    ("volume", "taker", "maker"),
    [("0", "0.0040", "0.0025"), ("9999.99", "0.0040", "0.0025"), ("10000", "0.0035", "0.0020"), ("1e9", "0.0010", "0")],
)
def test_fees_fall_with_the_volume(volume: str, taker: str, maker: str) -> None:
    rules = known_rules("ETH/EUR")
    assert (fee_at(rules.taker, Decimal(volume)), fee_at(rules.maker, Decimal(volume))) == (
        Decimal(taker),
        Decimal(maker),
    )


def test_no_tier_is_dearer_than_the_one_before_and_no_maker_pays_more_than_a_taker() -> None:
    rules = known_rules("BTC/USD")
    for tiers in (rules.taker, rules.maker):
        assert [start for start, _ in tiers] == sorted({start for start, _ in tiers})
        assert [fee for _, fee in tiers] == sorted((fee for _, fee in tiers), reverse=True)
    assert all(maker < taker for (_, maker), (_, taker) in zip(rules.maker, rules.taker, strict=True))


@pytest.mark.parametrize(
    "symbol", ["BTC/USD", "BTC/JPY", "ETH/BTC", "DOGE/USDT", "ADA/EUR", "NEW/USD", "X/BTC", "EUR/USD"]
)
def test_every_market_can_be_traded_for_little_money(symbol: str) -> None:
    rules = known_rules(symbol)
    usual = usual_price(rules.base) / usual_price(rules.quote)
    assert rules.is_amount(rules.min_amount)
    assert rules.price_step < Decimal(usual) / 100
    assert float(rules.min_amount) * usual_price(rules.base) < 20
    assert float(rules.min_cost) * usual_price(rules.quote) < 1
    assert all(
        "E" not in str(number)
        for number in (rules.price_step, rules.min_amount, rules.min_cost)
        if number > Decimal("1e-6")
    )


@pytest.mark.parametrize(
    "symbol", ["BTC", "BTCUSD", "BTC-USD", "BTC/", "/USD", "btc/usd", "BTC/USD:USD", "BTC/BTC", "", "BTC/USD\n"]
)
def test_a_symbol_that_is_no_pair_is_refused(symbol: str) -> None:
    with pytest.raises(BadInput, match="BTC/USD"):
        known_rules(symbol)


def test_krakens_own_names_of_currencies_are_refused_as_its_clients_would_take_them_for_the_usual_ones() -> None:
    for symbol, usual in (("XBT/USD", "BTC"), ("ETH/XBT", "BTC"), ("XDG/XBT", "BTC, DOGE")):
        with pytest.raises(BadInput, match=f"write {usual} instead"):
            known_rules(symbol)


def test_an_unknown_currency_always_has_the_same_usual_price_between_1_and_100() -> None:
    prices = [usual_price(name) for name in ("AAA", "BBB", "CCC", "AAA")]
    assert prices[0] == prices[3]
    assert len(set(prices)) == 3
    assert all(1 <= price <= 100 for price in prices)
