"""The depth that is derived from a candle."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tasks.exchange.matching import Book, Candle, derive_book
from tests.unit.matching_market import CANDLE, RULES, SYMBOL, D, open_market, order

FINE = replace(RULES, price_step=D("0.1"), amount_step=D("0.00000001"), min_amount=D("0.00005"))


def candle_of(low: Decimal, spread: Decimal, volume: Decimal) -> Candle:
    return Candle(0, low, low + spread, low, low, volume, 1)


def test_the_depth_of_a_flat_candle_by_hand() -> None:
    book = derive_book(RULES, D(100), CANDLE, 3)
    assert book.bids == [(99, 1), (98, 2), (97, 3)]
    assert book.asks == [(101, 1), (102, 2), (103, 3)]


def test_levels_widen_over_the_range_of_the_candle() -> None:
    asks = derive_book(RULES, D(1000), candle_of(D(900), D(200), D(5050))).asks
    assert [asks[k - 1].price for k in (1, 10, 50, 100)] == [1001, 1012, 1100, 1300]  # 1000 + k + 200 k² / 100²


def test_one_side_holds_the_volume_of_the_candle() -> None:
    book = derive_book(RULES, D(1000), candle_of(D(900), D(200), D(5050)))
    assert sum(level.amount for level in book.bids) == sum(level.amount for level in book.asks) == 5050


def test_without_trades_each_level_is_just_above_the_smallest_order() -> None:
    for candle in (None, candle_of(D(100), D(0), D(0))):
        book = derive_book(RULES, D(1000), candle)
        assert {level.amount for level in book.bids + book.asks} == {D("0.06")}


def test_the_bids_end_before_the_price_of_nothing() -> None:
    book = derive_book(RULES, D(3), CANDLE)
    assert [level.price for level in book.bids] == [2, 1]
    assert len(book.asks) == 100


def test_the_engine_shows_the_depth_that_is_left() -> None:
    engine = open_market()
    engine.submit(order("buy", "market", "2"))
    assert engine.book(SYMBOL, 2) == Book([(99, 1), (98, 2)], [(102, 1), (103, 3)])  # type: ignore[list-item]
    assert [len(side) for side in engine.book(SYMBOL, 1000)] == [99, 99]


ticks = st.integers(1, 10**7).map(lambda n: n * D("0.1"))
volumes = st.integers(0, 10**12).map(lambda n: n * D("0.00000001"))


@given(last=ticks, low=ticks, spread=ticks, volume=volumes)
def test_every_depth_is_ordered_on_the_ticks_and_of_orders_that_could_be(
    last: Decimal, low: Decimal, spread: Decimal, volume: Decimal
) -> None:
    book = derive_book(FINE, last, candle_of(low, spread, volume))
    assert all(deeper.price < better.price and deeper.amount >= better.amount for better, deeper in pairwise(book.bids))
    assert all(deeper.price > better.price and deeper.amount >= better.amount for better, deeper in pairwise(book.asks))
    assert all(level.price < last for level in book.bids)
    assert book.asks[0].price > last
    for level in book.bids + book.asks:
        assert FINE.is_price(level.price)
        assert FINE.is_amount(level.amount)
        assert level.amount >= FINE.min_amount


@given(last=ticks, volume=volumes, more=volumes)
def test_more_volume_never_makes_a_thinner_depth(last: Decimal, volume: Decimal, more: Decimal) -> None:
    thin, thick = (derive_book(FINE, last, candle_of(last, D(5), v)).asks for v in (volume, volume + more))
    assert all(
        less.price == level.price and less.amount <= level.amount for less, level in zip(thin, thick, strict=True)
    )
