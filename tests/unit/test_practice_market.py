"""Practice markets: candles of every length, and the prints, tell one and the same story."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from functools import cache
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import BadInput
from tasks.exchange.matching.candles import Candle, Tick
from tasks.exchange.practice.market.market import INTERVALS, Market, generated, replayed
from tasks.exchange.practice.market.markets_known import known_rules
from tasks.exchange.units import MINUTE, SECOND

NOW = 1_768_480_200 * SECOND + 17 * SECOND + 3
DAY = 1440
SYMBOLS = ("BTC/USD", "DOGE/EUR", "ETH/BTC", "NOBODY/KNOWS")

times = st.integers(NOW - 400 * DAY * MINUTE, NOW + 400 * DAY * MINUTE)


def candles_of(ticks: Iterable[Tick], minutes: int) -> dict[int, Candle]:
    """The candles that an exchange makes of prints."""
    made: dict[int, Candle] = {}
    for tick in ticks:
        ts = tick.time // (minutes * MINUTE) * minutes * MINUTE
        _, open_, high, low, _, volume, trades = made.get(ts, (0, tick.price, tick.price, tick.price, 0, Decimal(0), 0))
        prices = max(high, tick.price), min(low, tick.price), tick.price
        made[ts] = Candle(ts, open_, *prices, volume + tick.amount, trades + 1)
    return made


@cache
def market(symbol: str, seed: int) -> Market:
    return generated(known_rules(symbol), seed)


@cache
def replay() -> Market:
    """Hours with holes and gaps, of a market whose price is a few ticks."""
    rng = np.random.default_rng(7)
    hours = pd.date_range("2024-03-01", periods=120, freq="h", tz="UTC", name="ts")
    close = 0.0002 + 0.000001 * rng.integers(-5, 6, 120)
    frame = pd.DataFrame({"open": rng.permutation(close), "high": close, "low": close, "close": close}, index=hours)
    frame["high"], frame["low"] = frame.max(axis=1), frame.min(axis=1)
    frame["volume"], frame["trades"] = rng.exponential(50, 120), rng.integers(1, 200, 120).astype(float)
    return replayed(known_rules("ETH/BTC"), frame.drop(frame.index[[5, 6, 7, 30, 77]]), "1h", NOW, 5)


def markets() -> st.SearchStrategy[Market]:
    made = st.builds(market, st.sampled_from(SYMBOLS), st.integers(0, 4))
    return st.one_of(made, st.builds(replay))


@settings(max_examples=60)
@given(markets(), times, st.sampled_from([i for i in INTERVALS if i < DAY] + [7, 90]), st.integers(1, 4))
def test_candles_are_what_the_prints_make_of_them(market: Market, now: int, interval: int, count: int) -> None:
    candles = market.candles(interval, now, count)
    begin = now // (interval * MINUTE) * interval * MINUTE - (count - 1) * interval * MINUTE
    made = candles_of(market.ticks(begin - 1, now), interval)
    assert {candle.ts: candle for candle in candles if candle.trades} == made


@settings(max_examples=15)
@given(st.integers(0, 4), times)
def test_a_day_is_what_its_prints_make_of_it(seed: int, now: int) -> None:
    yesterday, today = market("BTC/USD", seed).candles(DAY, now, 2)
    prints = market("BTC/USD", seed).ticks(yesterday.ts - 1, now)
    assert candles_of(prints, DAY) == {yesterday.ts: yesterday, today.ts: today}


@settings(max_examples=40)
@given(markets(), times, st.sampled_from([(a, b) for a in INTERVALS for b in INTERVALS if a < b and b % a == 0]))
def test_short_candles_make_the_long_ones(market: Market, now: int, intervals: tuple[int, int]) -> None:
    short, long = intervals
    for candle in market.candles(long, now, 3):
        end = min(candle.ts + long * MINUTE - 1, now)
        parts = [part for part in market.candles(short, end, long // short) if part.ts >= candle.ts and part.trades]
        if candle.trades:
            prices = parts[0].open, max(p.high for p in parts), min(p.low for p in parts), parts[-1].close
            volume, trades = sum((p.volume for p in parts), Decimal(0)), sum(p.trades for p in parts)
            assert candle[1:] == (*prices, volume, trades)
        else:
            assert not parts


@settings(max_examples=60)
@given(markets(), times, st.sampled_from(INTERVALS), st.integers(1, 30))
def test_candles_lie_without_holes_on_multiples_of_their_length(
    market: Market, now: int, interval: int, count: int
) -> None:
    candles = market.candles(interval, now, count)
    step = interval * MINUTE
    assert len(candles) <= count
    assert all(candle.ts % step == 0 for candle in candles)
    assert all(later.ts - earlier.ts == step for earlier, later in pairwise(candles))
    assert all(candle.ts <= now < candle.ts + step for candle in candles[-1:])


@settings(max_examples=60)
@given(markets(), times, st.sampled_from(INTERVALS))
def test_a_candle_in_which_nobody_trades_is_flat_at_the_close_before(market: Market, now: int, interval: int) -> None:
    for before, candle in pairwise(market.candles(interval, now, 40)):
        if not candle.trades:
            assert candle[1:] == (before.close,) * 4 + (0, 0)


@settings(max_examples=40)
@given(markets(), times, st.integers(0, 90 * MINUTE))
def test_prints_come_in_order_of_time_on_tick_and_step(market: Market, after: int, span: int) -> None:
    prints = list(market.ticks(after, after + span))
    assert all(earlier.time < later.time for earlier, later in pairwise(prints))
    assert all(after < tick.time <= after + span for tick in prints)
    assert all(market.rules.is_price(tick.price) and market.rules.is_amount(tick.amount) for tick in prints)


@settings(max_examples=40)
@given(markets(), times, st.lists(st.integers(0, 20 * MINUTE), max_size=6))
def test_no_print_is_told_twice_or_lost_however_often_it_is_asked(market: Market, now: int, spans: list[int]) -> None:
    bounds = [now + sum(spans[:n]) for n in range(len(spans) + 1)]
    told = [tick for after, until in pairwise(bounds) for tick in market.ticks(after, until)]
    assert told == list(market.ticks(bounds[0], bounds[-1]))


@settings(max_examples=40)
@given(markets(), times)
def test_the_last_price_is_that_of_the_last_print(market: Market, now: int) -> None:
    prints = list(market.ticks(now - 30 * MINUTE, now))
    last = market.candles(1, now, 1)[-1:]
    if prints:
        assert market.last(now) == prints[-1].price
    assert [candle.close for candle in last] == ([market.last(now)] if last else [])


@settings(max_examples=10)
@given(st.lists(st.tuples(times, st.sampled_from(INTERVALS)), min_size=2, max_size=5))
def test_what_was_asked_before_changes_no_answer(questions: list[tuple[int, int]]) -> None:
    asked = generated(known_rules("SOL/USD"), 3)
    answers = [asked.candles(interval, now, 5) for now, interval in questions]
    anew = generated(known_rules("SOL/USD"), 3)
    assert [anew.candles(interval, now, 5) for now, interval in reversed(questions)] == answers[::-1]


def test_nothing_of_the_future_is_in_the_open_candle() -> None:
    whole = market("BTC/USD", 1).candles(60, NOW // (60 * MINUTE) * 60 * MINUTE + 60 * MINUTE, 2)[0]
    opens = [market("BTC/USD", 1).candles(60, whole.ts + n * MINUTE, 1)[0] for n in range(60)]
    assert opens[0].trades == 1
    assert opens[0].high == opens[0].low == whole.open
    assert all(earlier.volume <= later.volume for earlier, later in pairwise(opens))
    assert opens[-1].volume < whole.volume


@pytest.mark.parametrize("interval", INTERVALS)
def test_there_are_as_many_candles_as_kraken_tells(interval: int) -> None:
    assert len(market("BTC/USD", 1).candles(interval, NOW, 721)) == 721


def test_a_minute_has_about_twelve_prints_and_begins_with_one() -> None:
    minutes = [candle for candle in market("BTC/USD", 1).candles(1, NOW, 200)[:-1] if candle.trades]
    assert {candle.trades for candle in minutes} == {12}
    assert all(next(market("BTC/USD", 1).ticks(candle.ts - 1, NOW)).time == candle.ts for candle in minutes)


def test_some_minutes_are_quiet_and_most_are_not() -> None:
    quiet = sum(not candle.trades for candle in market("BTC/USD", 1).candles(1, NOW, 30 * DAY))
    assert 0.001 < quiet / (30 * DAY) < 0.05


def test_takers_buy_when_the_price_rises_and_sell_when_it_falls() -> None:
    prints = list(market("BTC/USD", 1).ticks(NOW - 60 * MINUTE, NOW))
    assert {tick.side for tick in prints} == {"buy", "sell"}
    for before, tick in pairwise(prints):
        if tick.time // MINUTE == before.time // MINUTE and tick.price != before.price:
            assert tick.side == ("buy" if tick.price > before.price else "sell")


def test_each_seed_and_each_market_has_prices_of_its_own() -> None:
    closes = {generated(known_rules(symbol), seed).last(NOW) for symbol in ("AAA/USD", "BBB/USD") for seed in (1, 2, 3)}
    assert len(closes) == 6


def test_a_currency_has_about_one_price_in_all_its_markets() -> None:
    midnight = NOW // (DAY * MINUTE) * DAY * MINUTE
    dollars, tethers = (generated(known_rules(f"BTC/{quote}")).candles(DAY, midnight, 3) for quote in ("USD", "USDT"))
    assert [candle.close for candle in dollars[:-1]] == [candle.close for candle in tethers[:-1]]
    assert dollars[0].volume != tethers[0].volume


def test_the_same_seed_gives_these_prices_to_everybody() -> None:
    """A change of these is a change of everybody's practice prices."""
    now = 1_768_480_200 * SECOND
    day = market("BTC/USD", 1).candles(DAY, now, 2)[0]
    assert [str(value) for value in day[1:]] == ["48221.4", "48591.5", "47200.7", "47968.1", "3253.28690744", "16956"]
    assert str(market("BTC/USD", 1).last(now)) == "47933.9"


def test_no_market_has_a_price_before_it_begins() -> None:
    begin = replay().candles(60, NOW, 10_000)[0].ts
    assert replay().candles(60, begin - 1, 10) == []
    assert list(replay().ticks(begin - 90 * MINUTE, begin - 1)) == []
    with pytest.raises(BadInput, match="begins at"):
        replay().last(begin - 1)
    assert replay().last(begin) == replay().candles(60, begin, 1)[0].open


def test_no_candles_are_asked_no_candles_are_given() -> None:
    assert market("BTC/USD", 1).candles(1, NOW, 0) == []
