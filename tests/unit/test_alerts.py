"""Alerts: what is sent to the user's address, how long that may take, and that nobody reads the address in a log."""

from __future__ import annotations

import json
import logging
import socket
import time
from collections.abc import Iterator

import pytest

from flows import alerts
from flows.alerts import ALERTS, alert
from tests.servers.loopback import QuietHandler, listening

SECRET = "T0KEN-nobody-may-read"


class Mailbox(QuietHandler):
    """Keeps what is posted to it."""

    received: list[tuple[str, dict[str, str]]]
    status = 200

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.received.append((self.path, body))
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()


@pytest.fixture
def mailbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Mailbox]]:
    """An address of the user's that works."""
    handler = type("Mailbox", (Mailbox,), {"received": []})
    with listening(handler) as url:
        monkeypatch.setenv("JARVIS_ALERT_URL", f"{url}/{SECRET}")
        yield handler


def test_an_alert_is_posted_as_json_with_its_session_and_its_words(mailbox: type[Mailbox]) -> None:
    alert("unknown_order", "BTC/USD: order x may be there, or not", run="abc123")
    ((path, message),) = mailbox.received
    assert path == f"/{SECRET}"
    assert message.pop("at").endswith("+00:00")
    assert message == {
        "kind": "unknown_order",
        "text": "BTC/USD: order x may be there, or not",
        "run_id": "abc123",
    }


@pytest.mark.parametrize("kind", sorted(ALERTS))
def test_every_kind_of_alert_reaches_a_person(kind: str, mailbox: type[Mailbox]) -> None:
    alert(kind, "words", run="r")
    assert [message["kind"] for _, message in mailbox.received] == [kind]


def test_what_lasts_is_sent_once_in_a_while_and_not_at_every_candle(
    mailbox: type[Mailbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    for candle in range(3):
        alert("stale_data", f"no candle since {candle}", run="r")
    alert("stale_data", "another session", run="s")
    alert("failure", "another kind", run="r")
    assert [message["text"] for _, message in mailbox.received] == [
        "no candle since 0",
        "another session",
        "another kind",
    ]
    monkeypatch.setattr(alerts, "AGAIN", 0.0)
    alert("stale_data", "still", run="r")
    assert mailbox.received[-1][1]["text"] == "still"


@pytest.mark.parametrize("kind", ["fill", "limit", "refused"])
def test_what_happens_every_day_wakes_nobody(kind: str, mailbox: type[Mailbox]) -> None:
    alert(kind, "BTC/USD: bought 1", run="r")
    assert mailbox.received == []


def test_without_an_address_nothing_is_sent_and_nothing_is_said(caplog: pytest.LogCaptureFixture) -> None:
    alert("failure", "words", run="r")
    assert caplog.messages == []


def test_an_address_that_fails_is_a_line_in_the_log_and_no_error(
    mailbox: type[Mailbox], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    mailbox.status = 500
    alert("failure", "words", run="r")
    assert caplog.messages == ["sending the alert 'failure': HTTPError"]


def test_an_address_that_never_answers_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(alerts, "TIMEOUT", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("JARVIS_ALERT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}/{SECRET}")
        started = time.monotonic()
        alert("halted", "words", run="r")
        assert time.monotonic() - started < 3
    assert len(caplog.messages) == 1


@pytest.mark.parametrize(
    "address",
    [
        f"http://127.0.0.1:9/{SECRET}",
        f"https://127.0.0.1:9/{SECRET}",
        f"http://127.0.0.1:9/{SECRET} with a blank",
        f"http://{SECRET}:port/",
        f"file:///etc/{SECRET}",
        SECRET,
    ],
)
def test_the_address_is_a_secret_that_no_log_holds(
    address: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(alerts, "TIMEOUT", 2.0)
    monkeypatch.setenv("JARVIS_ALERT_URL", address)
    alert("failure", "words", run="r")
    assert len(caplog.messages) == 1
    assert "alert" in caplog.text
    assert SECRET not in caplog.text
    assert SECRET.lower() not in caplog.text.lower()
