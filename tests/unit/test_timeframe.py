"""Timeframes: read as ccxt writes them; a candle is closed when its time is over, not before."""

from __future__ import annotations

from datetime import timedelta

import pytest

from data.errors import BadInput
from data.timeframe import parse_timeframe


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
