"""What a live session cannot be begun with: one clear line, an exit code, nothing sent and nothing recorded."""

from __future__ import annotations

import base64
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from data import settings
from data.runs import read_run
from data.writer import Lake
from tasks.exchange import client
from tasks.exchange.practice.keys import PREFIX, secret_of
from tasks.trade.halt import halt
from tests.servers.command_line import Done, Jarvis, fails, only
from tests.servers.practice_exchange import Practice
from tests.servers.public_exchange import HOUR, PublicExchange, serve

LIVE = ("live", "--mode", "live", "--cash", "1000", "--history", "20", "--param", "fast=2", "--param", "slow=5")
REAL_SECRET = base64.b64encode(b"a secret of the real kind" * 2).decode()
REMOTE = "exchange.example"
"""A name that leads to this machine in these tests, and says nothing of it."""


@pytest.fixture(autouse=True)
def no_keys_of_the_developer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("KRAKEN_", "BITFINEX_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(settings, "CHECKOUT", tmp_path)
    monkeypatch.setattr(client, "_PAUSES", (0.01, 0.01))


@pytest.fixture
def remote(monkeypatch: pytest.MonkeyPatch) -> Iterator[PublicExchange]:
    """An exchange in Kraken's words at an address that is not loopback, as far as its name tells."""
    found = socket.getaddrinfo

    def looked_up(host: Any, *arguments: Any, **options: Any) -> Any:
        return found("127.0.0.1" if host == REMOTE else host, *arguments, **options)

    now = int(time.time())
    with serve(PublicExchange(now, now // HOUR * HOUR - 50 * HOUR)) as exchange:
        monkeypatch.setattr(socket, "getaddrinfo", looked_up)
        address = exchange.url.replace("127.0.0.1", REMOTE)
        monkeypatch.setenv("JARVIS_EXCHANGE_URLS", json.dumps({"kraken": address}))
        monkeypatch.setenv("NO_PROXY", REMOTE)
        yield exchange


def refused(done: Done, code: int, words: str) -> None:
    """The command ended so; with real money, its last line says this, after what it was about to do."""
    *announcement, line = done.err.strip().splitlines()
    assert not announcement or announcement[0].startswith("REAL MONEY")
    fails(Done(done.code, done.out, line), code, words)


def nothing_happened(lake: Lake, practice: Practice) -> None:
    """No order of any kind was sent, unless to be checked only, and there is no session."""
    assert [order for order in practice.journal("AddOrder") if "validate" not in json.dumps(order)] == []
    assert practice.ask("GET", "/state")["orders"] == 0
    assert lake.version("runs") == -1
    assert lake.version("orders") == -1


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        pytest.param(["--symbol", "BTC/EUR"], 2, "unknown symbol 'BTC/EUR'", id="unknown symbol"),
        pytest.param(["--symbol", "BTCUSD"], 2, "did you mean BTC/USD?", id="misspelt symbol"),
        pytest.param(["--symbol", "BTC/USD", "--symbol", "ABC/USD"], 2, "'ABC/USD'", id="one of two unknown"),
        pytest.param(["--timeframe", "1x"], 2, "unknown timeframe '1x'", id="no timeframe"),
        pytest.param(["--timeframe", "3m"], 2, "practice has no 3m candles; it has 1m, 5m", id="not the exchange's"),
        pytest.param(["--param", "slow=500"], 2, "needs 500 candles, and the history is 20", id="long warm-up"),
        pytest.param(["--cash", "0.1"], 2, "a full signal is worth 0.1, and practice takes", id="cash below the least"),
        pytest.param(["--fraction", "0.0001"], 2, "or a larger fraction", id="fraction below the least"),
        pytest.param(["--cash", "100001"], 2, "needs 100001: give less cash, or bring more", id="cash not there"),
        pytest.param(["--cash", "-5"], 2, "cash", id="negative cash"),
        pytest.param(["--exchange", "kraken"], 2, "set JARVIS_LIVE=yes", id="real money not allowed"),
    ],
)
def test_what_cannot_be_traded_is_said_before_anything_is_sent(
    jarvis: Jarvis, practice: Practice, lake: Lake, arguments: list[str], code: int, words: str
) -> None:
    fails(jarvis(*LIVE, *arguments), code, words)
    nothing_happened(lake, practice)


@pytest.mark.parametrize("allowed", ["", "YES", "no", "1"])
def test_real_money_takes_the_very_word(
    jarvis: Jarvis, remote: PublicExchange, monkeypatch: pytest.MonkeyPatch, allowed: str
) -> None:
    monkeypatch.setenv("JARVIS_LIVE", allowed)
    fails(jarvis(*LIVE, "--exchange", "kraken", "--timeframe", "1h"), 2, "JARVIS_LIVE")
    assert remote.asked == []


@pytest.mark.parametrize(
    ("public", "secret", "words"),
    [
        pytest.param("", "", "KRAKEN_PUBLIC_KEY is not set", id="none"),
        pytest.param("public", "", "KRAKEN_SECRET_KEY is not set", id="half of them"),
        pytest.param("public", "not base64", "KRAKEN_SECRET_KEY cannot be used", id="blank inside"),
        pytest.param("public", "@@@@", "is not base64, which Kraken's secrets are", id="no secret of Kraken's"),
        pytest.param("public", REAL_SECRET, "a key is sent by https only", id="an address without encryption"),
        pytest.param(
            f"{PREFIX}me", secret_of(f"{PREFIX}me"), "a practice key is sent to a loopback", id="practice key"
        ),
    ],
)
def test_keys_that_are_missing_or_of_the_wrong_kind_never_leave_for_a_real_exchange(
    jarvis: Jarvis,
    remote: PublicExchange,
    lake: Lake,
    monkeypatch: pytest.MonkeyPatch,
    public: str,
    secret: str,
    words: str,
) -> None:
    monkeypatch.setenv("JARVIS_LIVE", "yes")
    monkeypatch.setenv("KRAKEN_PUBLIC_KEY", public)
    monkeypatch.setenv("KRAKEN_SECRET_KEY", secret)
    done = jarvis(*LIVE, "--exchange", "kraken", "--timeframe", "1h")
    refused(done, 2, words)
    assert not secret or secret not in done.err
    asked = [each.path for each in remote.asked]
    assert all(path.startswith("/0/public/") for path in asked)
    assert not asked or "is sent" in words  # of an address that only the exchange's client knows
    assert lake.version("runs") == -1


def test_a_real_key_never_leaves_for_a_practice_exchange(
    jarvis: Jarvis, practice: Practice, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JARVIS_LIVE", "yes")
    monkeypatch.setenv("JARVIS_EXCHANGE_URLS", json.dumps({"kraken": practice.url}))
    monkeypatch.setenv("KRAKEN_PUBLIC_KEY", "public")
    monkeypatch.setenv("KRAKEN_SECRET_KEY", REAL_SECRET)
    refused(jarvis(*LIVE, "--exchange", "kraken"), 2, "a real key is not sent to a loopback address")
    nothing_happened(lake, practice)
    assert all(entry["path"].startswith("/0/public/") for entry in practice.journal())


def test_keys_that_may_not_trade_begin_no_session(jarvis: Jarvis, practice: Practice, lake: Lake) -> None:
    practice.ask("POST", "/keys", {"key": f"{PREFIX}trader", "permissions": ["query"]})
    fails(jarvis(*LIVE), 1, "Permission denied")
    nothing_happened(lake, practice)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("cancel_only", "practice does not trade BTC/USD now"),
        ("post_only", "practice does not trade BTC/USD now"),
        ("maintenance", "EService:Unavailable"),
    ],
)
@pytest.mark.parametrize("mode", ["paper", "live"])
def test_a_market_that_is_halted_is_said_before_anything_is_sent(
    jarvis: Jarvis, practice: Practice, lake: Lake, status: str, words: str, mode: str
) -> None:
    practice.fault("maintenance", status=status)
    fails(jarvis(*LIVE, "--mode", mode), 1, words)
    nothing_happened(lake, practice)


def test_a_market_that_is_halted_later_costs_no_order_and_its_candles_are_recorded_afterwards(
    jarvis: Jarvis, practice: Practice, lake: Lake
) -> None:
    run = only(jarvis(*LIVE, "--json"))["run_id"]
    sent = len(practice.journal("AddOrder"))
    practice.fault("maintenance", status="cancel_only")
    for _ in range(2):
        practice.step(60)
        fails(jarvis(*LIVE), 1, "practice does not trade BTC/USD now")
    assert len(practice.journal("AddOrder")) == sent
    practice.clear_faults()
    assert len(only(jarvis(*LIVE, "--json"))["decisions"]) == 2
    assert read_run(lake, run, "decisions")["ts"].is_unique


def test_a_history_that_the_exchange_has_not_got_is_said_and_nothing_is_sent(
    jarvis: Jarvis, practice: Practice, lake: Lake
) -> None:
    done = jarvis(*LIVE, "--history", "2000", "--param", "slow=1000")
    fails(done, 1, "sma_crossover needs 1000 candles or more (999 to warm up), but there are 720")
    assert done.out == ""
    assert practice.ask("GET", "/state")["orders"] == 0
    assert lake.version("orders") == lake.version("decisions") == -1


def test_while_all_is_halted_a_new_session_sends_nothing(jarvis: Jarvis, practice: Practice) -> None:
    halt("not today")
    hold = ("live", "--mode", "live", "--cash", "1000", "--strategy", "buy_and_hold", "--json")
    (decision,) = only(jarvis(*hold))["decisions"]
    assert decision["reason"] == "halted"
    assert practice.ask("GET", "/state")["orders"] == 0
