"""The exchange's clock: measured, trusted within its resolution, and a reason not to trade when it is far off."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from typing import Any

import pytest

from data.errors import TryLater
from tasks.exchange import client as client_module
from tasks.exchange.client import public_client
from tasks.exchange.clock import ExchangeClock
from tests.servers.canned_exchange import Answer, Asked, CannedExchange, canned_exchange, result

SECOND = 1_000_000_000
Served = Callable[..., Any]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_PAUSES", (0.01,))


@pytest.fixture
def clock_of(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    @contextmanager
    def served(name: str, answer: Callable[[Asked], Answer]) -> Iterator[tuple[ExchangeClock, CannedExchange]]:
        with canned_exchange() as exchange:
            exchange.answers |= {"Time": answer, "status": answer}
            monkeypatch.setenv("JARVIS_EXCHANGE_URLS", json.dumps({name: exchange.url}))
            with public_client(name, paced=False) as client:
                yield ExchangeClock(client), exchange

    return served


def ahead(seconds: float, *headers: tuple[str, str]) -> Callable[[Asked], Answer]:
    """Kraken's time, in whole seconds, of a clock that is so far ahead."""
    return lambda asked: result({"unixtime": int(time.time() + seconds), "rfc1123": ""})._replace(headers=headers)


@pytest.mark.parametrize("seconds", [0.0, 1.0, -1.0, 1.9, -1.9])
def test_clocks_that_are_near_may_trade(clock_of: Served, seconds: float) -> None:
    with clock_of("kraken", ahead(seconds)) as (clock, _):
        clock.check()
        assert abs(clock.offset / SECOND - seconds) <= clock.uncertainty / SECOND + 0.01
        assert SECOND // 2 <= clock.uncertainty < SECOND
        assert 0 < clock.round_trip < SECOND


@pytest.mark.parametrize("seconds", [4.0, -4.0, 86400.0, -86400.0])
def test_clocks_that_are_far_apart_may_not(clock_of: Served, seconds: float) -> None:
    told = r"^kraken's clock is [+-]\d+\.\d s off this machine's: nothing is traded"
    with clock_of("kraken", ahead(seconds)) as (clock, _), pytest.raises(TryLater, match=told):
        clock.check()


def test_a_clock_that_does_not_answer_lets_nothing_be_traded(clock_of: Served) -> None:
    with clock_of("kraken", lambda asked: Answer("<html>", 502)) as (clock, _), pytest.raises(TryLater, match="502"):
        clock.check()


def test_the_time_it_tells_is_never_ahead_of_the_exchanges(clock_of: Served) -> None:
    with clock_of("kraken", ahead(100.0)) as (clock, _):
        for _ in range(20):
            clock.measure()
            told, true = clock.now(), time.time_ns() + 100 * SECOND
            assert true - 1.5 * SECOND < told <= true
            time.sleep(0.03)


def test_it_is_not_asked_again_for_every_order(clock_of: Served) -> None:
    with clock_of("kraken", ahead(0.0)) as (clock, exchange):
        for _ in range(5):
            clock.check()
            clock.now()
        assert exchange.count("Time") == 1


def test_it_is_asked_again_when_this_machines_clock_was_set(clock_of: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    with clock_of("kraken", ahead(0.0)) as (clock, exchange):
        clock.check()
        steady = time.monotonic_ns
        monkeypatch.setattr("tasks.exchange.clock.time.monotonic_ns", lambda: steady() + 3 * SECOND)
        clock.check()
        assert exchange.count("Time") == 2


def test_the_date_of_an_answer_stands_in_for_a_time_that_is_not_told(clock_of: Served) -> None:
    date = ("Date", formatdate(time.time() - 30, usegmt=True))
    with (
        clock_of("bitfinex", lambda asked: Answer("[1]", headers=(date,))) as (clock, _),
        pytest.raises(TryLater, match=r"^bitfinex's clock is -\d\d\.\d s off"),
    ):
        clock.check()


def test_without_a_time_and_a_date_it_cannot_be_measured_and_nothing_is_traded(clock_of: Served) -> None:
    with clock_of("bitfinex", lambda asked: Answer("[1]")) as (clock, _):
        with pytest.raises(TryLater, match=r"^bitfinex told neither a time nor a date: nothing is traded"):
            clock.check()
        assert clock.offset is None
        assert abs(clock.now() - time.time_ns()) < SECOND


@pytest.mark.parametrize("speed", ["60", "0", "1"])
def test_the_practice_exchanges_own_clock_alone_counts(clock_of: Served, speed: str) -> None:
    with clock_of("practice", ahead(-1e7, ("X-Practice-Speed", speed))) as (clock, _):
        clock.check()
        assert clock.speed == float(speed)
        assert clock.now() < time.time_ns() - 1e6 * SECOND


def test_a_faster_clock_is_followed_at_its_speed(clock_of: Served) -> None:
    with clock_of("practice", ahead(0.0, ("X-Practice-Speed", "100"))) as (clock, exchange):
        first = clock.now()
        time.sleep(0.1)
        assert 10 * SECOND <= clock.now() - first < 60 * SECOND
        assert exchange.count("Time") == 1


def test_a_clock_whose_speed_cannot_be_told_is_asked_each_time(clock_of: Served) -> None:
    with clock_of("practice", ahead(0.0, ("X-Practice-Speed", "0"))) as (clock, exchange):
        clock.now()
        clock.now()
        assert exchange.count("Time") >= 2
