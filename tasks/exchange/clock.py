"""The exchange's clock, measured: how far it is from this machine's, and what it shows now."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import Any

from data.errors import TryLater
from tasks.exchange.client import insist
from tasks.exchange.units import MILLISECOND, SECOND

LIMIT = 2.0
"""Seconds by which the clocks may differ, besides the uncertainty, before nothing is traded."""

_FRESH = 300 * SECOND
_JUMP = SECOND // 2
"""This machine's clock was set, or the machine slept, when its two clocks came so far apart since the measurement."""


class ExchangeClock:
    """The clock of one exchange, as a client hears of it. All times are nanoseconds since 1970 UTC.

    It is read from the exchange's time where it tells one, else from the `Date` of its answers; both in whole seconds
    at some exchanges. The practice exchange may run at another speed, which its answers tell: then its clock alone
    counts, and how far it is from this machine's says nothing.
    """

    def __init__(self, client: Any, *, patience: float = 30.0) -> None:
        self._client = client
        self._patience = patience
        self._told: int | None = None
        self._answered = self._steady = 0
        self.offset: int | None = None
        """Nanoseconds by which the exchange's clock was ahead of this machine's; None where it cannot be measured."""
        self.uncertainty = 0
        """Nanoseconds by which the offset may be wrong, either way."""
        self.round_trip = 0
        """Nanoseconds that the question took."""
        self.speed: float | None = None
        """Of the practice exchange: its seconds in one of ours, 0 when they cannot be told; None of a real one."""

    def measure(self) -> None:
        """Ask the exchange for its time. Raises TryLater when it does not answer."""
        fetch = self._client.fetch_time if self._client.has["fetchTime"] is True else self._fetch_date
        milliseconds = insist(fetch, patience=self._patience)
        session = self._client.session
        self._answered = session.answered
        self._steady = time.monotonic_ns() - (time.time_ns() - self._answered)
        self.round_trip = max(0, session.answered - session.sent)
        self.speed = _speed(self._client.last_response_headers)
        self._told = self.offset = None
        if milliseconds is not None:
            self._told = milliseconds * MILLISECOND
            resolution = SECOND if milliseconds % 1000 == 0 else MILLISECOND
            self.offset = self._told + resolution // 2 - (session.sent + session.answered) // 2
            self.uncertainty = (resolution + self.round_trip) // 2

    def now(self) -> int:
        """Return the time that the exchange's clock shows or has passed: behind it by its resolution and the way of
        an answer at most, and never ahead. This machine's time where the exchange's cannot be measured."""
        if self.speed == 0 or not self._fresh():
            self.measure()
        if self._told is None:
            return time.time_ns()
        passed = time.monotonic_ns() - self._steady
        return self._told + int(passed * (1.0 if self.speed is None else self.speed))

    def check(self, limit: float = LIMIT) -> None:
        """Raise TryLater when the clocks differ by more than `limit` seconds and the uncertainty, or may do so."""
        if not self._fresh():
            self.measure()
        if self.speed is not None:
            return
        if self.offset is None:
            raise TryLater(f"{self._client.id} told neither a time nor a date: nothing is traded by a clock unknown")
        if abs(self.offset) - self.uncertainty > limit * SECOND:
            raise TryLater(
                f"{self._client.id}'s clock is {self.offset / SECOND:+.1f} s off this machine's: "
                f"nothing is traded beyond {limit:g} s; set this machine's clock"
            )

    def _fresh(self) -> bool:
        steady, wall = time.monotonic_ns() - self._steady, time.time_ns() - self._answered
        return self._answered > 0 and steady < _FRESH and abs(wall - steady) < _JUMP

    def _fetch_date(self) -> int | None:
        """Return what the `Date` of an answer says, in milliseconds; None without one.

        The practice exchange's answers bear the machine's date; its clock shows at least the time of its last trade.
        """
        self._client.fetch_status()
        headers = self._client.last_response_headers
        if _speed(headers) is not None:
            trades = self._client.fetch_trades(next(iter(self._client.markets)), None, 1)
            return int(trades[-1]["timestamp"])
        date = headers.get("Date")
        return None if date is None else int(parsedate_to_datetime(date).timestamp()) * 1000


def _speed(headers: Any) -> float | None:
    text = (headers or {}).get("X-Practice-Speed")
    return None if text is None else float(text)
