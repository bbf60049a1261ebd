"""Timeframes: read as ccxt writes them; a candle is closed when its time is over, not before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import BadInput
from data.timeframe import is_closed, parse_timeframe


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("1m", timedelta(minutes=1)),
        ("15m", timedelta(minutes=15)),
        ("4h", timedelta(hours=4)),
        ("1d", timedelta(days=1)),
        ("2w", timedelta(weeks=2)),
        ("9999m", timedelta(minutes=9999)),
    ],
)
def test_a_timeframe_is_a_number_and_a_unit(text: str, length: timedelta) -> None:
    assert parse_timeframe(text) == length


@pytest.mark.parametrize(
    "text",
    ["", "h", "1", "0h", "01h", "-1h", "1.5h", "1H", "1M", "1s", "1y", " 1h", "1h ", "1h\n", "10000m", "\u0661h"],
)
def test_what_is_no_timeframe_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(BadInput, match="write a number and m, h, d or w, such as 1m, 4h or 1d"):
        parse_timeframe(text)


def test_a_candle_is_closed_at_the_very_instant_its_time_is_over() -> None:
    opened = datetime(2024, 1, 1, tzinfo=UTC)
    assert is_closed(opened, "1h", now=opened + timedelta(hours=1))
    assert not is_closed(opened, "1h", now=opened + timedelta(hours=1, microseconds=-1))


def test_without_a_clock_the_machines_own_is_read() -> None:
    now = datetime.now(UTC)
    assert is_closed(now - timedelta(minutes=2), "1m")
    assert not is_closed(now, "1m")


@given(st.integers(1, 9999), st.sampled_from("mhdw"))
def test_every_number_of_every_unit_is_a_multiple_of_one(number: int, unit: str) -> None:
    assert parse_timeframe(f"{number}{unit}") == number * parse_timeframe(f"1{unit}")
