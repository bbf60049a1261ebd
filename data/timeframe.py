"""Timeframes: the length of a candle, written as ccxt writes it (``1m``, ``4h``, ``1d``)."""

from __future__ import annotations

import re
from datetime import timedelta

from data.errors import BadInput

_UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 604800}
_WORDS = re.compile(r"([1-9]\d{0,3})([mhdw])")


def parse_timeframe(text: str) -> timedelta:
    """Return the length of a candle.

    Raises BadInput for anything that is not a number followed by m, h, d or w.

    >>> parse_timeframe("4h")
    datetime.timedelta(seconds=14400)
    """
    match = _WORDS.fullmatch(text)
    if match is None:
        raise BadInput(f"unknown timeframe '{text}': write a number and m, h, d or w, such as 1m, 4h or 1d")
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])
