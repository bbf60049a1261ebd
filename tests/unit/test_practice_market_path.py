"""Splitting a candle: whatever the candle, its parts make it again, exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.exchange.practice.market import draws
from tasks.exchange.practice.market.bars import LARGEST, PRINTS, Bars
from tasks.exchange.practice.market.path import prints, split
from tasks.exchange.units import MINUTE

SPLITS = [(24, 60), (60, 1), (5, 1), (7, 1440), (2, 60)]


def bars(*rows: tuple[int, ...]) -> Bars:
    return Bars(*np.array(rows, dtype=np.int64).T)


@st.composite
def rows(draw: st.DrawFn, minutes: int) -> tuple[int, ...]:
    """Open, high, low, close, volume and active minutes."""
    low = draw(st.one_of(st.integers(1, 10), st.integers(1, LARGEST - 10**9)))
    high = low + draw(st.one_of(st.integers(0, 3), st.integers(0, 10**9)))
    open_, close = draw(st.integers(low, high)), draw(st.integers(low, high))
    active = draw(st.one_of(st.integers(1, minutes), st.just(minutes), st.just(0)))
    if not active:
        return (open_, open_, open_, open_, 0, 0)
    spare = draw(st.one_of(st.integers(0, 100), st.integers(0, LARGEST // 2)))
    return (open_, high, low, close, PRINTS * active + spare, active)


@settings(max_examples=150)
@given(st.data(), st.sampled_from(SPLITS), st.integers(0, 2**63))
def test_the_parts_make_the_candle_again(data: Any, cut: tuple[int, int], seed: int) -> None:
    parts, minutes = cut
    whole = bars(*data.draw(st.lists(rows(parts * minutes), min_size=1, max_size=4)))
    keys = draws.keys_at(np.uint64(seed), np.arange(len(whole)))
    made = split(whole, keys, parts, minutes)
    assert len(made) == parts * len(whole)
    for column, expected in zip(made.merge(parts).columns(), whole.columns(), strict=True):
        assert column.tolist() == expected.tolist()


@settings(max_examples=100)
@given(st.data(), st.sampled_from(SPLITS), st.integers(0, 2**63))
def test_each_part_is_a_sound_candle_that_opens_where_the_one_before_closed(
    data: Any, cut: tuple[int, int], seed: int
) -> None:
    parts, minutes = cut
    made = split(bars(data.draw(rows(parts * minutes))), draws.keys_at(np.uint64(seed), np.arange(1)), parts, minutes)
    assert (made.low <= np.minimum(made.open, made.close)).all()
    assert (made.high >= np.maximum(made.open, made.close)).all()
    assert (made.open[1:] == made.close[:-1]).all()
    assert ((made.active >= 0) & (made.active <= minutes)).all()
    assert (made.volume >= PRINTS * made.active).all()
    assert (made.active[0] > 0) == (made.active.sum() > 0)
    quiet = made.active == 0
    assert (made.volume[quiet] == 0).all()
    assert (made.high[quiet] == made.low[quiet]).all()


@settings(max_examples=150)
@given(st.lists(rows(1).filter(lambda row: row[-1] > 0), min_size=1, max_size=5), st.integers(0, 2**63))
def test_the_prints_make_the_minute_again(minutes: list[tuple[int, ...]], seed: int) -> None:
    whole = bars(*minutes)
    made = prints(whole, draws.keys_at(np.uint64(seed), np.arange(len(whole))))
    assert made.price.shape == (len(whole), PRINTS)
    assert (made.price[:, 0] == whole.open).all()
    assert (made.price[:, -1] == whole.close).all()
    assert (made.price.max(axis=1) == whole.high).all()
    assert (made.price.min(axis=1) == whole.low).all()
    assert (made.amount.sum(axis=1) == whole.volume).all()
    assert (made.amount >= 1).all()
    assert (made.offset[:, 0] == 0).all()
    assert (np.diff(made.offset, axis=1) > 0).all()
    assert (made.offset < MINUTE).all()


def test_a_candle_is_split_alike_alone_and_among_others() -> None:
    rng = np.random.default_rng(1)
    low = rng.integers(1, 10**6, 50)
    high = low + rng.integers(0, 10**5, 50)
    many = Bars(low, high, low, high, rng.integers(10**6, 10**12, 50), rng.integers(1, 1441, 50))
    keys = draws.keys_at(draws.key_of("any"), np.arange(50))
    together = split(many, keys, 24, 60)
    for n in range(50):
        alone = split(many.part(n, 1), keys[n : n + 1], 24, 60)
        for column, expected in zip(alone.columns(), together.part(24 * n, 24).columns(), strict=True):
            assert column.tolist() == expected.tolist()


def test_rising_candles_have_their_low_first_more_often_than_falling_ones() -> None:
    count = 2000
    ends = np.full(count, 4000), np.full(count, 6000)
    high, low, volume, active = (np.full(count, value) for value in (9000, 1000, 10**9, 60))
    keys = draws.keys_at(draws.key_of("turns"), np.arange(count))

    def low_first(open_: Any, close: Any) -> float:
        made = split(Bars(open_, high, low, close, volume, active), keys, 60, 1)
        lows, highs = made.low.reshape(count, 60).argmin(axis=1), made.high.reshape(count, 60).argmax(axis=1)
        return float((lows < highs).mean())

    assert low_first(*ends) == pytest.approx(0.8, abs=0.05)
    assert low_first(*reversed(ends)) == pytest.approx(0.2, abs=0.05)


def test_draws_are_even_and_have_no_memory() -> None:
    keys = draws.keys_at(draws.key_of("even", 1), np.arange(500))
    drawn = draws.uniform(keys, 0, 200)
    assert 0 < drawn.min() < 0.001
    assert 0.999 < drawn.max() < 1
    assert drawn.mean() == pytest.approx(0.5, abs=0.005)
    assert abs(np.corrcoef(drawn[:-1].ravel(), drawn[1:].ravel())[0, 1]) < 0.02
    assert abs(np.corrcoef(drawn[:, :-1].ravel(), drawn[:, 1:].ravel())[0, 1]) < 0.02
    bells = draws.normal(keys, 0, 200)
    assert (bells.mean(), bells.std()) == pytest.approx((0, 1), abs=0.015)
    assert abs(np.corrcoef(drawn.ravel(), draws.uniform(keys, 1, 200).ravel())[0, 1]) < 0.02


def test_a_draw_depends_on_key_stream_and_number_alone() -> None:
    keys = draws.keys_at(draws.key_of("address"), np.arange(10))
    assert draws.bits(keys[3:4], 2, 5).tolist() == draws.bits(keys, 2, 9)[3:4, :5].tolist()
    assert draws.bits(keys, 2, 5).tolist() != draws.bits(keys, 3, 5).tolist()
    assert draws.key_of("a", 1) != draws.key_of("a", 2)
