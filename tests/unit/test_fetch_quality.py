"""What cannot be is a fault and found at its row; what is odd is a fact, found exactly; nothing else is."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import BadInput
from tasks.fetch import calendars
from tasks.fetch.files import FileSource
from tasks.fetch.quality import drop_repeats, find_facts, find_fault, find_flats, find_gaps, find_outliers

STEPS = {"1m": "min", "1h": "h", "1d": "D", "1w": "7D"}


def candles(count: int, timeframe: str = "1h", start: str = "2024-01-01") -> pd.DataFrame:
    """Candles that breathe by about 1 %, the same every time."""
    ts = pd.date_range(start, periods=count, freq=STEPS[timeframe], tz="UTC", unit="us", name="ts")
    close = 100 + np.sin(np.arange(count))
    opening = np.roll(close, 1)
    high, low = np.maximum(opening, close) + 0.25, np.minimum(opening, close) - 0.25
    columns = {"open": opening, "high": high, "low": low, "close": close, "volume": 5.0, "trades": 3.0}
    return pd.DataFrame(columns, index=ts)


def with_value(frame: pd.DataFrame, row: int, column: str, value: float) -> pd.DataFrame:
    changed = frame.copy()
    changed.iloc[row, changed.columns.get_loc(column)] = value
    return changed


def test_good_candles_have_no_fault_and_no_facts() -> None:
    frame = candles(500)
    assert find_fault(frame, "1h") is None
    assert find_facts(frame, "1h") == []


def test_no_candles_have_no_fault_and_no_facts() -> None:
    assert find_fault(candles(0), "1h") is None
    assert find_facts(candles(0), "1h") == []


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("open", np.nan, "open is missing or not a finite number"),
        ("close", np.inf, "close is missing or not a finite number"),
        ("low", 0.0, "low is not above 0: 0"),
        ("low", -3.5, "low is not above 0: -3.5"),
        ("volume", -1.0, "volume is below 0: -1"),
        ("volume", np.nan, "volume is missing or not a finite number"),
        ("high", 90.0, "high 90 is below low"),
        ("low", 110.0, "high .* is below low 110"),
        ("open", 200.0, "high .* is below open 200"),
        ("close", 1.0, "low .* is above close 1"),
        ("trades", -1.0, "trades is not a count: -1"),
        ("trades", 1.5, "trades is not a count: 1.5"),
    ],
)
def test_a_value_that_cannot_be_is_found_at_its_row(column: str, value: float, reason: str) -> None:
    fault = find_fault(with_value(candles(9), 4, column, value), "1h")
    assert fault is not None
    assert fault.row == 4
    assert pd.Series([fault.reason]).str.match(reason).all(), fault.reason


def test_the_first_of_several_faults_is_found() -> None:
    frame = with_value(with_value(candles(9), 6, "open", -1.0), 3, "volume", -1.0)
    fault = find_fault(frame, "1h")
    assert fault is not None
    assert fault.row == 3


def test_an_unknown_count_of_trades_is_no_fault() -> None:
    assert find_fault(candles(5).assign(trades=np.nan), "1h") is None


def test_rows_out_of_order_are_found() -> None:
    fault = find_fault(candles(5).iloc[[0, 1, 3, 2, 4]], "1h")
    assert fault is not None
    assert fault == (3, "2024-01-01 02:00 is out of order; sort the rows by time")


def test_a_candle_off_the_grid_is_found() -> None:
    frame = candles(5)
    frame.index = frame.index.where(frame.index != frame.index[2], frame.index[2] + pd.Timedelta(minutes=7))
    fault = find_fault(frame, "1h")
    assert fault is not None
    assert fault == (2, "2024-01-01 02:07 is not the start of a 1h candle")


@pytest.mark.parametrize("start", ["2024-01-01", "2024-01-04"])
def test_weeks_may_start_on_any_day_but_on_one_only(start: str) -> None:
    frame = candles(6, "1w", start)
    assert find_fault(frame, "1w") is None
    frame.index = frame.index.where(frame.index != frame.index[3], frame.index[3] + pd.Timedelta(days=1))
    fault = find_fault(frame, "1w")
    assert fault is not None
    assert fault.row == 3


def test_equal_rows_are_kept_once_and_told() -> None:
    frame = candles(6)
    unique, facts = drop_repeats(frame.iloc[[0, 1, 1, 2, 2, 2, 3, 4, 5, 5]])
    pd.testing.assert_frame_equal(unique, frame, check_freq=False)
    assert [(fact.kind, fact.start.hour, fact.end.hour, fact.candles) for fact in facts] == [
        ("duplicate", 1, 2, 2),
        ("duplicate", 5, 5, 1),
    ]
    assert facts[0].detail == "3 repeated rows, equal to the one kept"


def test_rows_of_one_time_that_differ_are_a_fault() -> None:
    doubled = candles(4).iloc[[0, 1, 1, 2]].copy()
    doubled.iloc[2, doubled.columns.get_loc("volume")] = 6.0
    fault = find_fault(doubled, "1h")
    assert fault is not None
    assert fault == (2, "2024-01-01 01:00 is there twice, with different values")


@given(st.sets(st.integers(1, 198)), st.sampled_from(sorted(STEPS)))
def test_planted_gaps_are_found_exactly_and_nothing_else(absent: set[int], timeframe: str) -> None:
    frame = candles(200, timeframe)
    kept = frame.iloc[[row for row in range(200) if row not in absent]]
    runs = [[row for _, row in run] for _, run in groupby(enumerate(sorted(absent)), lambda pair: pair[1] - pair[0])]
    expected = [("gap", frame.index[run[0]], frame.index[run[-1]], len(run)) for run in runs]
    assert [fact[:4] for fact in find_facts(kept, timeframe)] == expected


@given(st.sets(st.integers(1, 250)), st.sampled_from(["24/5", "XNYS"]))
def test_planted_gaps_of_a_market_with_days_off_are_its_trading_days(absent: set[int], calendar: str) -> None:
    first, last = pd.Timestamp("2023-01-03", tz="UTC"), pd.Timestamp("2024-01-31", tz="UTC")
    due = calendars.trading_days(calendar, first, last)
    kept = due[[row for row in range(len(due)) if row not in absent]]
    runs = [[row for _, row in run] for _, run in groupby(enumerate(sorted(absent)), lambda pair: pair[1] - pair[0])]
    found = find_gaps(kept, "1d", calendar)
    assert [fact[:4] for fact in found] == [("gap", due[run[0]], due[run[-1]], len(run)) for run in runs]


def test_thanksgiving_is_no_gap_in_new_york_and_one_on_weekdays() -> None:
    days = pd.DatetimeIndex(["2024-11-27", "2024-11-29", "2024-12-02"], tz="UTC")
    assert find_gaps(days, "1d", "XNYS") == []
    assert [fact.start.day for fact in find_gaps(days, "1d", "24/5")] == [28]
    assert [(fact.start.day, fact.candles) for fact in find_gaps(days, "1d", "24/7")] == [(28, 1), (30, 2)]


def test_nights_are_no_gaps_where_a_stock_exchange_closes_but_whole_days_are() -> None:
    hours = [f"2024-03-{day:02} {hour}:00" for day in (4, 5, 7) for hour in range(14, 21)]
    found = find_gaps(pd.DatetimeIndex(hours, tz="UTC"), "1h", "XNYS")
    assert [(fact.start, fact.end, fact.candles) for fact in found] == [
        (pd.Timestamp("2024-03-06", tz="UTC"), pd.Timestamp("2024-03-06 23:00", tz="UTC"), 7)
    ]


def test_the_calendar_is_told_from_the_weekends_of_two_weeks_or_more() -> None:
    days = pd.date_range("2024-01-01", periods=30, tz="UTC")
    assert calendars.infer(days) == "24/7"
    assert calendars.infer(days[days.day_of_week < 5]) == "24/5"
    assert calendars.infer(days[days.day_of_week < 5][:10]) is None
    assert calendars.infer(days[:0]) is None


def test_an_unknown_calendar_is_answered_with_the_nearest() -> None:
    assert calendars.check("XNYS") == "XNYS"
    with pytest.raises(BadInput, match="unknown calendar 'NYSEE': did you mean 'NYSE'"):
        calendars.check("NYSEE")


def test_candles_that_stand_still_are_counted_by_day() -> None:
    frame = candles(48)
    for row in (3, 4, 30):
        frame.iloc[row, :5] = [100.0, 100.0, 100.0, 100.0, 0.0]
    assert [fact[:4] for fact in find_flats(frame, "1h")] == [
        ("flat", frame.index[0], frame.index[23], 2),
        ("flat", frame.index[24], frame.index[47], 1),
    ]


def test_one_price_with_volume_is_not_flat() -> None:
    frame = candles(3)
    frame.iloc[1, :5] = [100.0, 100.0, 100.0, 100.0, 2.0]
    assert find_flats(frame, "1h") == []


@given(st.integers(101, 399), st.floats(1.5, 50.0), st.booleans())
def test_a_spike_is_an_outlier_and_its_neighbours_are_none(row: int, factor: float, up: bool) -> None:
    frame = candles(400)
    column, value = ("high", 101 * factor) if up else ("low", 99 / factor)
    found = find_outliers(with_value(frame, row, column, value))
    assert [fact.start for fact in found] == [frame.index[row]]


def test_a_move_that_is_usual_or_small_is_no_outlier() -> None:
    wild = candles(400)
    wild["high"] *= 1.3
    assert find_outliers(with_value(wild, 300, "high", 101 * 1.6)) == []
    still = candles(400)
    still[["open", "high", "low", "close"]] = 100.0
    still["high"] += np.tile([0.0, 0.001], 200)
    assert find_outliers(with_value(still, 300, "high", 101.9)) == []


def test_whether_a_candle_is_an_outlier_depends_on_the_hundred_before_it_alone() -> None:
    frame = with_value(candles(400), 350, "low", 50.0)
    assert find_outliers(frame)[-1] == find_outliers(frame.iloc[350 - 101 : 351])[-1]


def test_the_flash_crash_of_ether_is_found_and_few_days_beside_it(market_data: Path) -> None:
    source = FileSource(market_data / "kraken_ETH-USD_1d_2015-08-07_2021-12-31.csv", symbol="ETH/USD")
    days = next(source.candles("ETH/USD", "1d", None, None)).candles
    assert [f"{fact.start:%Y-%m-%d}" for fact in find_outliers(days)] == ["2017-05-07", "2020-03-12", "2021-02-22"]
    source = FileSource(market_data / "kraken_ETH-USD_1h_2021.csv", symbol="ETH/USD")
    hours = find_outliers(next(source.candles("ETH/USD", "1h", None, None)).candles)
    assert pd.Timestamp("2021-02-22 14:00", tz="UTC") in [fact.start for fact in hours]
    assert len(hours) < 10


def test_a_quiet_day_of_minutes_has_no_outlier(market_data: Path) -> None:
    source = FileSource(market_data / "bitstamp_BTC-USD_1m_2025-01-07.csv", symbol="BTC/USD")
    minutes = next(source.candles("BTC/USD", "1m", None, None)).candles
    assert [(fact.kind, fact.candles) for fact in find_facts(minutes, "1m")] == [("flat", 108)]
