"""The made-up days behave like those of a real market, with fixed seeds."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.exchange.practice.market.bars import PRINTS, Bars
from tasks.exchange.practice.market.generator import Generated
from tasks.exchange.practice.market.market import generated
from tasks.exchange.practice.market.markets_known import known_rules, usual_price

SEEDS = [1, 2, 3]
SYMBOLS = ["BTC/USD", "DOGE/USD", "ETH/BTC", "BTC/JPY"]
DAYS = 80 * 365
"""From 1970 to 2050."""


def days(symbol: str = "BTC/USD", seed: int = 1, count: int = DAYS) -> Bars:
    return Generated(known_rules(symbol), seed).bars(0, count)


def returns(bars: Bars) -> np.ndarray:
    return np.diff(np.log(bars.close))


@pytest.mark.parametrize("seed", SEEDS)
def test_there_are_jumps(seed: int) -> None:
    moves = returns(days(seed=seed))
    jumps = np.abs(moves) > 6 * moves.std()
    assert jumps.sum() > 20
    assert {True, False} == set((moves[jumps] > 0).tolist())


@pytest.mark.parametrize("seed", SEEDS)
def test_tails_are_fatter_than_a_bell_has_them(seed: int) -> None:
    moves = returns(days(seed=seed))
    assert ((moves - moves.mean()) ** 4).mean() / moves.var() ** 2 > 6


@pytest.mark.parametrize("seed", SEEDS)
def test_turbulent_days_follow_turbulent_days_but_moves_foretell_no_moves(seed: int) -> None:
    moves = returns(days(seed=seed))
    for lag in (1, 5):
        sizes = np.abs(moves)
        assert np.corrcoef(sizes[:-lag], sizes[lag:])[0, 1] > 0.1
        assert abs(np.corrcoef(moves[:-lag], moves[lag:])[0, 1]) < 0.05


@pytest.mark.parametrize("seed", SEEDS)
def test_volume_grows_with_the_range(seed: int) -> None:
    bars = days(seed=seed)
    assert np.corrcoef(np.log(bars.high / bars.low), np.log(bars.volume))[0, 1] > 0.5


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_prices_stay_sane_for_decades(symbol: str) -> None:
    rules = known_rules(symbol)
    usual = usual_price(rules.base) / usual_price(rules.quote) / float(rules.price_step)
    bars = days(symbol)
    assert bars.low.min() > usual / 20
    assert bars.high.max() < usual * 20
    assert np.median(bars.close) == pytest.approx(usual, rel=0.3)


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_each_day_is_a_sound_candle_that_opens_where_the_one_before_closed(symbol: str) -> None:
    bars = days(symbol)
    assert (bars.low >= 1).all()
    assert (bars.low <= np.minimum(bars.open, bars.close)).all()
    assert (bars.high >= np.maximum(bars.open, bars.close)).all()
    assert (bars.open[1:] == bars.close[:-1]).all()
    assert ((bars.active >= 1) & (bars.active <= 1440)).all()
    assert (bars.volume >= PRINTS * bars.active).all()


def test_days_are_the_same_however_they_are_come_by() -> None:
    whole, late = days(count=5000), Generated(known_rules("BTC/USD"), 1)
    for first, count in ((4000, 1000), (10, 3), (1020, 10)):
        expected = whole.part(first, count)
        for column, known in zip(late.bars(first, count).columns(), expected.columns(), strict=True):
            assert column.tolist() == known.tolist()


def test_days_hours_and_minutes_are_about_equally_volatile() -> None:
    """By Parkinson (1980): the squared logarithm of high over low, over 4 log 2, is the variance of a bar."""
    market = generated(known_rules("BTC/USD"), 3)
    now = 20_000 * 86_400 * 10**9

    def variance_of_a_day(interval: int, count: int) -> float:
        candles = market.candles(interval, now, count + 1)[:-1]
        ranges = np.array([float(candle.high / candle.low) for candle in candles])
        return float((np.log(ranges) ** 2).sum() / (4 * np.log(2)) / (count * interval / 1440))

    day = variance_of_a_day(1440, 20)
    assert variance_of_a_day(60, 20 * 24) == pytest.approx(day, rel=0.35)
    assert variance_of_a_day(1, 20 * 1440) == pytest.approx(day, rel=0.35)
