"""What a practice exchange remembers: kills, restarts, absences, and folders that cannot serve."""

from __future__ import annotations

import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from http.client import HTTPException
from pathlib import Path
from threading import Timer
from typing import Any

import pytest

from data.errors import BadInput
from data.settings import CHECKOUT
from tasks.exchange.orders import Order, OrderRequest
from tasks.exchange.practice.server.plan import Plan
from tasks.exchange.practice.server.state import Store
from tasks.exchange.practice.server.venue import LONGEST_ABSENCE, Venue
from tasks.exchange.units import MINUTE, SECOND
from tests.servers.practice_exchange import NOW, Practice, practice_exchange, signed

SYMBOL = "BTC/USD"
LIMIT = {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "price": "10000", "volume": "0.001"}

MARKET = {"pair": "XBTUSD", "type": "buy", "ordertype": "market", "volume": "0.0001"}


class Wall:
    """A wall clock that is moved by hand."""

    def __init__(self) -> None:
        self.time = NOW

    def __call__(self) -> int:
        return self.time


@contextmanager
def opened(folder: Path | None, wall: Wall, said: list[str] | None = None, **options: Any) -> Iterator[Venue]:
    venue = Venue.open(Plan((SYMBOL,)), folder, wall=wall, say=(said if said is not None else []).append, **options)
    try:
        yield venue
    finally:
        venue.close()


def near(venue: Venue, ticks: int) -> OrderRequest:
    """A small order to buy some ticks below the last price."""
    price = venue.exchange.engine.last(SYMBOL) - ticks * Decimal("0.1")
    return OrderRequest(SYMBOL, "buy", "limit", Decimal("0.0001"), price, client_id=f"near-{ticks}")


def whole_state(venue: Venue) -> Any:
    engine = venue.exchange.engine
    return engine.snapshot(), engine.orders, engine.fills, venue.exchange.clock.now(), venue.keys.snapshot()


# The store


def test_orders_and_parts_come_back_as_they_were_saved(tmp_path: Path) -> None:
    order = Order("O1", OrderRequest(SYMBOL, "sell", "limit", Decimal("0.10"), Decimal("1E+5")), "open", 5)
    store = Store(tmp_path, {})
    assert store.load() is None
    store.save({"engine": {"now": 5}}, [order, Order("O2", order.request, "open", 6)])
    order.status, order.filled = "closed", Decimal("0.10")
    store.save({"engine": {"now": 7}}, [order])
    store.close()
    store = Store(tmp_path, {})
    saved = store.load()
    store.close()
    assert saved is not None
    assert saved.parts == {"engine": {"now": 7}}
    assert [(o.id, o.status, o.request, o.filled) for o in saved.orders] == [
        ("O1", "closed", order.request, Decimal("0.10")),
        ("O2", "open", order.request, Decimal(0)),
    ]


def test_a_save_that_fails_leaves_all_as_it_was(tmp_path: Path) -> None:
    store = Store(tmp_path, {})
    store.save({"engine": 1})
    with pytest.raises(TypeError):
        store.save({"engine": 2, "clock": object()})
    with pytest.raises(AttributeError):
        store.save({"engine": 3}, ["no order"])  # type: ignore[list-item]
    saved = store.load()
    store.close()
    assert saved is not None
    assert saved.parts == {"engine": 1}


def test_folder_and_files_are_for_their_owners_eyes_only(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "state"
    store = Store(folder, {})
    store.save({"engine": 1})
    modes = {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert (modes, len(list(folder.iterdir())) >= 2) == ({0o600}, True)
    store.close()


def test_a_folder_belongs_to_one_exchange_at_a_time(tmp_path: Path) -> None:
    first = Store(tmp_path, {})
    with pytest.raises(BadInput, match=f"a practice exchange runs on {tmp_path} already: end it, or give another"):
        Store(tmp_path, {})
    first.close()
    Store(tmp_path, {}).close()


@pytest.mark.parametrize(
    ("plan", "told"),
    [
        (Plan((SYMBOL,), seed=2), "seed 1, not 2"),
        (Plan((SYMBOL, "ETH/USD")), r"symbols \['BTC/USD'\], not \['BTC/USD', 'ETH/USD'\]"),
        (Plan((SYMBOL,), candles="kraken:1h"), "candles generated, not kraken:1h"),
    ],
)
def test_the_state_of_another_exchange_is_refused_and_kept(tmp_path: Path, plan: Plan, told: str) -> None:
    with opened(tmp_path, Wall()) as venue:
        venue.exchange.engine.submit(near(venue, 9000))
    with pytest.raises(BadInput, match=f"the practice exchange in .* is another one .{told}.: give another") as refused:
        Venue.open(plan, tmp_path)
    assert "\n" not in str(refused.value)
    with opened(tmp_path, Wall()) as venue:
        assert len(venue.exchange.engine.orders) == 1


@pytest.mark.parametrize(
    "damage", [b"no database at all, but a text that is long enough", b"SQLite format 3\0" + b"x" * 200]
)
def test_a_file_that_is_no_state_is_refused_and_kept(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "exchange.sqlite").write_bytes(damage)
    for _ in range(2):
        with pytest.raises(BadInput, match=r"cannot be read .*: move it away to begin anew"):
            Store(tmp_path, {})
    assert (tmp_path / "exchange.sqlite").read_bytes() == damage


def test_a_state_that_does_not_add_up_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path, Wall()) as venue:
        venue.change(lambda: venue.exchange.engine.submit(near(venue, 9000)))
    with sqlite3.connect(tmp_path / "exchange.sqlite") as connection:
        connection.execute("DELETE FROM orders")
    connection.close()
    with pytest.raises(BadInput, match=r"does not add up .*: move it away to begin anew"):
        Venue.open(Plan((SYMBOL,)), tmp_path)


def test_a_folder_that_cannot_be_made_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        BadInput, match=r"the practice state cannot be kept in .*file/state .*: give another --state folder"
    ):
        Store(tmp_path / "file" / "state", {})


# Restarts


def test_an_exchange_that_starts_again_is_the_one_that_it_was(tmp_path: Path) -> None:
    wall = Wall()
    with opened(tmp_path, wall) as venue:
        venue.exchange.engine.submit(near(venue, 9000))
        venue.exchange.engine.submit(OrderRequest(SYMBOL, "buy", "market", Decimal("0.001")))
        venue.change(lambda: venue.keys.permit("PRACTICE-x", {"query"}))
        venue.keys.take_nonce("PRACTICE-x", 17, wire="kraken")
        before = whole_state(venue)
    with opened(tmp_path, wall) as venue:
        assert whole_state(venue) == before
        assert not venue.keys.take_nonce("PRACTICE-x", 17, wire="kraken")


def test_without_a_folder_nothing_is_remembered() -> None:
    with opened(None, Wall()) as venue:
        venue.change(lambda: venue.exchange.engine.submit(near(venue, 9000)))
    with opened(None, Wall()) as venue:
        assert venue.exchange.engine.orders == {}


def test_an_absence_is_traded_through_as_if_it_had_not_been(tmp_path: Path) -> None:
    hours, beats, balances = 3, 120, {"USD": Decimal(100_000)}
    wall = Wall()
    with opened(tmp_path, wall, balances=balances) as venue:
        for ticks in (50, 500, 9000):
            venue.change(lambda ticks=ticks: venue.exchange.engine.submit(near(venue, ticks)))
    wall.time += hours * 60 * MINUTE
    with opened(tmp_path, wall) as venue:
        absent = whole_state(venue)

    wall = Wall()
    with opened(None, wall, balances=balances) as venue:
        for ticks in (50, 500, 9000):
            venue.change(lambda ticks=ticks: venue.exchange.engine.submit(near(venue, ticks)))
        for _ in range(beats):
            wall.time += hours * 60 * MINUTE // beats
            venue.heartbeat()
        present = whole_state(venue)
    assert present[2], "no order was filled in the meantime"
    assert absent == present


def test_of_a_long_absence_the_last_days_are_traded_through_and_it_is_said(tmp_path: Path) -> None:
    wall, said = Wall(), []
    with opened(tmp_path, wall) as venue:
        venue.change(lambda: venue.exchange.engine.submit(near(venue, 1)))
    wall.time += LONGEST_ABSENCE + 10 * 86_400 * SECOND
    with opened(tmp_path, wall, said) as venue:
        assert venue.exchange.synced == wall.time
        assert [fill.time >= NOW + 10 * 86_400 * SECOND for fill in venue.exchange.engine.fills] != [False]
    assert said == ["the exchange was away for long: the first 10.0 days of it pass without trading"]


def test_a_dead_mans_switch_fires_in_an_absence(tmp_path: Path) -> None:
    wall = Wall()
    with opened(tmp_path, wall) as venue:
        venue.change(lambda: venue.exchange.engine.submit(near(venue, 9000)))
        venue.change(lambda: venue.exchange.engine.cancel_all_after(30))
    wall.time += 3600 * SECOND
    with opened(tmp_path, wall) as venue:
        (order,) = venue.exchange.engine.orders.values()
        assert (order.status, order.closed) == ("cancelled", NOW + 30 * SECOND)


def test_a_clock_that_stood_still_stands_still_and_one_at_full_speed_goes_on(tmp_path: Path) -> None:
    wall = Wall()
    with opened(tmp_path, wall) as venue:
        venue.exchange.clock.pause()
    wall.time += 3600 * SECOND
    with opened(tmp_path, wall, speed="max") as venue:
        assert venue.exchange.clock.now() == NOW
        venue.heartbeat()
        assert venue.exchange.clock.now() == NOW + MINUTE
    with opened(tmp_path, wall, speed=10.0) as venue:
        wall.time += SECOND
        assert (venue.exchange.clock.now(), venue.fastest) == (NOW + MINUTE + 10 * SECOND, False)


@pytest.mark.parametrize("kept", [True, False])
def test_orders_money_nonces_and_the_clock_survive_a_restart_under_way(tmp_path: Path, kept: bool) -> None:
    with practice_exchange(state=tmp_path if kept else None) as practice:
        (txid,) = practice.private("AddOrder", cl_ord_id="before", **LIMIT)["result"]["txid"]
        practice.private("AddOrder", userref="7", **LIMIT)
        told = [practice.private(endpoint) for endpoint in ("OpenOrders", "BalanceEx")]
        used = signed(practice.url, "Balance")
        assert urllib.request.urlopen(used).status == 200
        practice.restart()
        assert [practice.private(endpoint) for endpoint in ("OpenOrders", "BalanceEx")] == told
        with urllib.request.urlopen(used) as again:
            assert again.read() == b'{"error":["EAPI:Invalid nonce"]}'
        practice.step(60)
        assert practice.ask("GET", "/status")["time"] == NOW / SECOND + 60
        assert practice.orders_of("before") == [txid]
        assert {order["userref"] for order in told[0]["result"]["open"].values()} == {None, 7}
        assert [entry["client_id"] for entry in practice.journal("AddOrder")] == ["before", None]


def test_a_state_that_cannot_be_saved_stops_the_trading_and_nothing_is_answered_that_is_not_kept(
    tmp_path: Path,
) -> None:
    with practice_exchange(state=tmp_path) as practice:
        practice.private("AddOrder", cl_ord_id="kept", **LIMIT)
        blocker = sqlite3.connect(tmp_path / "exchange.sqlite", isolation_level=None)
        practice.on_loop(lambda: practice.venue.store._connection.execute("PRAGMA busy_timeout = 0"))
        blocker.execute("BEGIN IMMEDIATE")
        for _ in range(2):
            with pytest.raises(urllib.error.HTTPError) as failed:
                practice.private("AddOrder", cl_ord_id="lost", **LIMIT)
            with failed.value as error:
                assert (error.code, b"has stopped trading: database is locked" in error.read()) == (500, True)
        blocker.execute("ROLLBACK")
        blocker.close()
        assert "locked" in practice.ask("GET", "/status")["broken"]
        practice.restart()
        assert (practice.orders_of("kept") != [], practice.orders_of("lost")) == (True, [])
        assert practice.private("OpenOrders")["error"] == []


# Kills


def started(folder: Path) -> tuple[subprocess.Popen[str], str, str]:
    """Start an exchange in a process of its own; return it with its two addresses."""
    code = (
        "import sys; from pathlib import Path; from tasks.exchange.practice.server.serve import run;"
        "run(['BTC/USD'], 1.0, 1, Path(sys.argv[1]), 0, 0, say=lambda line: print(line, flush=True))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(3)]
    words = [word for line in lines for word in line.split() if word.startswith("http://")]
    assert len(words) == 2, lines
    return process, words[0], words[1]


def place_until_it_dies(url: str, name: str, process: subprocess.Popen[str], after: float) -> list[str]:
    """Place orders one after another, kill the exchange meanwhile, and return the client ids that were answered."""
    placed: list[str] = []
    killer = Timer(after, process.kill)
    killer.start()
    try:
        for number in range(10_000):
            request = signed(url, "AddOrder", cl_ord_id=f"{name}-{number}", **MARKET)
            with urllib.request.urlopen(request, timeout=10) as answer:
                assert b'"error":[]' in answer.read()
            placed.append(f"{name}-{number}")
    except (OSError, HTTPException):
        pass
    finally:
        killer.join()
        process.wait(10)
        assert process.stdout is not None
        process.stdout.close()
    return placed


def test_a_kill_at_any_moment_loses_nothing_that_was_answered(tmp_path: Path) -> None:
    placed: list[str] = []
    for trial in range(3):
        process, url, _ = started(tmp_path)
        placed += place_until_it_dies(url, f"t{trial}", process, 0.15 + 0.07 * trial)
    assert len(placed) > 20
    venue = Venue.open(Plan((SYMBOL,)), tmp_path)
    made = [order.request.client_id for order in venue.exchange.engine.orders.values()]
    entries = venue.store.journal.latest(100_000, "AddOrder")
    venue.close()
    assert len(set(made)) == len(made)
    assert set(placed) <= set(made)
    # At most the one order a trial whose answer was on its way when the process died.
    assert len(made) - len(placed) <= 4
    assert [entry["client_id"] for entry in entries] == made


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_quickly_and_cleanly_on_a_signal_even_with_requests_that_hang(tmp_path: Path, number: int) -> None:
    process, url, admin_url = started(tmp_path)
    practice = Practice(None, None, url, admin_url)  # type: ignore[arg-type]
    practice.fault("hang_before", "Time")
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as hanging:
        hanging.sendall(b"GET /0/public/Time HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        practice.private("AddOrder", cl_ord_id="last", **LIMIT)
        begun = time.monotonic()
        process.send_signal(number)
        assert process.wait(10) == 0
        assert time.monotonic() - begun < 2
    assert process.stdout is not None
    process.stdout.close()
    with opened(tmp_path, Wall()) as venue:
        assert venue.store.orders_of("last") != []
