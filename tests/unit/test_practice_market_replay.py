"""Given candles as a practice market: shifted to now, repeated after the end, and otherwise as they were."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from data.errors import BadInput
from tasks.exchange.matching.candles import Candle
from tasks.exchange.practice.market.market import Market, replayed
from tasks.exchange.practice.market.markets_known import known_rules
from tasks.exchange.units import MINUTE

HOUR = 60 * MINUTE
START = 1_768_480_200 * 10**9
"""Half past the hour."""
SHARP = START // HOUR * HOUR

ROWS = [
    (100.0, 110.0, 95.0, 105.0, 10.0, 900.0),
    (105.5, 106.0, 90.0, 92.0, 20.0, np.nan),
    (92.0, 92.0, 92.0, 92.0, 0.0, 0.0),
    (93.0, 121.0, 93.0, 120.0, 5.25, 30.0),
]


def frame(rows: list[tuple[float, ...]] = ROWS, freq: str = "h", start: str = "2024-03-01") -> pd.DataFrame:
    index = pd.date_range(start, periods=len(rows), freq=freq, tz="UTC", name="ts").as_unit("us")
    return pd.DataFrame(rows, index, ["open", "high", "low", "close", "volume", "trades"])


def market(candles: pd.DataFrame | None = None, timeframe: str = "1h", start: int = START, **options: Any) -> Market:
    return replayed(known_rules("LTC/USD"), frame() if candles is None else candles, timeframe, start, **options)


def prices(candle: Candle) -> tuple[str, ...]:
    return tuple(str(price) for price in candle[1:5])


def test_the_last_candle_closes_at_the_start_or_at_the_full_hour_before_it() -> None:
    for start in (START, SHARP):
        *candles, _open = market(start=start).candles(60, start, 100)
        assert [candle.ts for candle in candles] == [SHARP - n * HOUR for n in (4, 3, 2, 1)]
        assert prices(candles[-1]) == ("93.00", "121.00", "93.00", "120.00")


def test_prices_and_volumes_are_those_given() -> None:
    first, second, _, fourth, _ = market().candles(60, START, 100)
    assert prices(first) == ("100.00", "110.00", "95.00", "105.00")
    assert prices(second) == ("105.50", "106.00", "90.00", "92.00")
    assert [candle.volume for candle in (first, second, fourth)] == [Decimal(10), Decimal(20), Decimal("5.25")]


def test_a_candle_without_volume_and_a_missing_one_are_alike_times_in_which_nobody_trades() -> None:
    for candles in (frame(), frame().drop(frame().index[2])):
        silent = market(candles).candles(60, START, 100)[2]
        assert silent == Candle(SHARP - 2 * HOUR, *[Decimal("92.00")] * 4, Decimal(0), 0)
        assert list(market(candles).ticks(silent.ts - 1, silent.ts + HOUR - 1)) == []


def test_a_time_without_trades_takes_no_part_in_a_longer_candle() -> None:
    risen, fallen = market(), market(frame([*ROWS[:3], (80, 85, 70, 75, 1, 100)]))
    assert prices(risen.candles(120, SHARP - 1, 1)[0]) == prices(risen.candles(120, SHARP, 2)[0])
    assert prices(risen.candles(120, SHARP, 2)[0]) == ("93.00", "121.00", "93.00", "120.00")
    assert prices(fallen.candles(120, SHARP, 2)[0]) == ("80.00", "85.00", "70.00", "75.00")


def test_where_few_trades_are_known_few_minutes_have_any() -> None:
    many, unknown, none, few, _ = market().candles(60, START, 100)
    assert many.trades == unknown.trades == 12 * 60
    assert none.trades == 0
    assert few.trades == 12 * 24


def test_after_the_end_the_moves_begin_again_at_the_price_reached() -> None:
    first, *_, fourth, again = market().candles(60, SHARP + HOUR - 1, 5)
    factor = Decimal("1.2")
    assert again.open == fourth.close
    assert again[1:5] == tuple(price * factor for price in first[1:5])
    assert again.volume == first.volume
    assert market().candles(60, SHARP + 5 * HOUR, 1)[0].open == Decimal("105.5") * factor**2


@pytest.mark.parametrize("factor", [1.5, 0.5])
def test_moves_that_repeat_for_years_end_at_prices_that_can_be_told(factor: float) -> None:
    endless = market(frame([(100, 160, 40, 100 * factor, 1, 10)]))
    late = endless.candles(60, START + 20_000 * HOUR, 3)
    assert all(Decimal("0.01") <= candle.low <= candle.high <= Decimal(10) ** 16 for candle in late)


def test_a_candle_that_contradicts_itself_is_widened_to_hold_open_and_close() -> None:
    assert prices(market(frame([(100, 101, 99, 105, 1, 1)])).candles(60, SHARP - 1, 1)[0]) == (
        "100.00",
        "105.00",
        "99.00",
        "105.00",
    )


def test_a_price_below_the_tick_is_one_tick() -> None:
    tiny = market(frame([(0.0001, 0.0002, 0.0001, 0.0001, 1, 1)]))
    assert tiny.last(START) == Decimal("0.01")


def test_a_volume_of_less_than_its_prints_is_raised_to_one_step_each() -> None:
    assert market(frame([(100, 101, 99, 105, 1e-9, 1)])).candles(60, SHARP - 1, 1)[0].volume == Decimal("0.00000012")


def test_a_volume_of_any_size_fits() -> None:
    huge = market(frame([(100, 101, 99, 105, 1e15, np.nan)]))
    assert huge.candles(60, SHARP - 1, 1)[0].volume == Decimal(10) ** 15
    assert sum(tick.amount for tick in huge.ticks(SHARP - HOUR - 1, SHARP - 1)) == Decimal(10) ** 15


@pytest.mark.parametrize(
    ("timeframe", "freq", "length"),
    [
        ("1m", "min", 1),
        ("15m", "15min", 15),
        ("90m", "90min", 90),
        ("4h", "4h", 240),
        ("1d", "D", 1440),
        ("1w", "7D", 10080),
    ],
)
def test_candles_of_any_timeframe_are_played_at_multiples_of_it(timeframe: str, freq: str, length: int) -> None:
    played = market(frame(freq=freq), timeframe)
    begin = START // (length * MINUTE) * length * MINUTE
    *candles, _open = played.candles(length, START, 100)
    assert [candle.ts for candle in candles] == [begin - n * length * MINUTE for n in (4, 3, 2, 1)]
    prints = list(played.ticks(candles[0].ts - 1, candles[0].ts + length * MINUTE - 1))
    assert max(tick.price for tick in prints) == Decimal(110)
    assert sum(tick.amount for tick in prints) == Decimal(10)
    longer = played.candles(21600, START, 100)
    assert sum(c.volume for c in longer) >= Decimal("35.25")


def test_the_seed_draws_the_path_and_not_the_candles() -> None:
    one, two = market(seed=1), market(seed=2)
    assert one.candles(60, SHARP - 1, 4) == two.candles(60, SHARP - 1, 4)
    assert one.candles(1, SHARP - 1, 4) != two.candles(1, SHARP - 1, 4)


def test_weeks_that_begin_on_mondays_are_shifted_to_whole_weeks_since_1970() -> None:
    played = market(frame(freq="7D", start="2024-03-04"), "1w")
    assert all(candle.ts % (7 * 1440 * MINUTE) == 0 for candle in played.candles(10080, START, 9))


@pytest.mark.parametrize(
    ("candles", "words"),
    [
        (frame([]), "no candle of LTC/USD 1h has any volume"),
        (frame([(1, 1, 1, 1, 0, 0)]), "no candle of LTC/USD 1h has any volume"),
        (frame([(1, 1, 1, 1, np.nan, 0)]), "no candle of LTC/USD 1h has any volume"),
        (frame([(1, 1, -1, 1, 1, 1)]), "price of 0 or below"),
        (frame()[::-1], "sort or resample"),
        (frame(freq="30min"), "sort or resample"),
    ],
)
def test_candles_that_cannot_be_played_are_refused(candles: pd.DataFrame, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        market(candles)


def test_a_timeframe_that_is_none_is_refused() -> None:
    with pytest.raises(BadInput, match="unknown timeframe"):
        market(timeframe="1y")
