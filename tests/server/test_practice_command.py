"""`jarvis practice-exchange` as a user starts it, and every command and program of its document with it."""

from __future__ import annotations

import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from data.settings import CHECKOUT
from tests.flow.test_documents import blocks
from tests.servers.processes import environment, free_port

pytestmark = pytest.mark.server

DOCUMENT = "docs/practice-exchange.md"


@pytest.fixture
def user(tmp_path: Path) -> dict[str, str]:
    """The environment of a user with folders of the test's own and free ports."""
    return environment(
        PYTHONPATH=CHECKOUT,
        JARVIS_LAKE=tmp_path / "lake",
        JARVIS_STATE=tmp_path / "state",
        JARVIS_PRACTICE_STATE=tmp_path / "practice",
        JARVIS_PRACTICE_PORT=free_port(),
        JARVIS_PRACTICE_ADMIN_PORT=free_port(),
    )


@contextmanager
def started(command: str, user: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Start the exchange and wait until it says where it is; SIGINT ends it, cleanly."""
    with subprocess.Popen(
        command.split(), env=user, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            told = [process.stdout.readline() for _ in range(3)]
            assert "practice prices, not a market" in told[0], process.communicate()
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")


def run(command: list[str] | str, user: dict[str, str]) -> str:
    shell = isinstance(command, str)
    done = subprocess.run(command, env=user, shell=shell, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr if not shell else "") == (0, ""), f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_every_command_and_program_of_the_document_works(user: dict[str, str]) -> None:
    port, admin_port = user["JARVIS_PRACTICE_PORT"], user["JARVIS_PRACTICE_ADMIN_PORT"]
    commands = [line for _, block in blocks(DOCUMENT, "sh") for line in block.splitlines()]
    programs = [code for _, code in blocks(DOCUMENT, "python")]
    programs += [code.replace('"kraken"', '"practice"') for _, code in blocks("docs/exchanges.md", "python")]
    with started(commands.pop(0), user):
        for program in programs:
            shown = run([sys.executable, "-c", program.replace("8100", port)], user)
            assert shown.strip(), program
        answers = [run(each.replace("8100", port).replace("8101", admin_port), user) for each in commands]
    assert len(programs) == 3
    assert any('"orders": 1' in answer for answer in answers), "the journal knows the program's order"


def test_the_state_is_there_after_a_restart_and_nobody_else_is_served(user: dict[str, str]) -> None:
    address = f"http://127.0.0.1:{user['JARVIS_PRACTICE_ADMIN_PORT']}/journal/orders?client_id=my+first+order"
    command = "jarvis practice-exchange --symbol BTC/USD"
    program = blocks(DOCUMENT, "python")[0][1].replace("8100", user["JARVIS_PRACTICE_PORT"])
    with started(command, user):
        run([sys.executable, "-c", program], user)
        second = subprocess.run(command.split(), env=user, capture_output=True, text=True, check=False)
        assert second.returncode == 2
        assert second.stderr.count("\n") == 1
        assert "runs on" in second.stderr
    with started(command, user), urllib.request.urlopen(address) as answer:
        assert b'"orders": 1' in answer.read()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("--speed fast", "speed 'fast' cannot be"),
        ("--speed 0", "speed '0' cannot be"),
        ("--symbol nonsense", "'nonsense' is no market"),
        ("--symbol BTC/USD --symbol BTC/USD", "each of them once"),
        ("--candles kraken:1h", "the lake has no such candles"),
        ("--candles nonsense", "'nonsense' are no candles"),
    ],
)
def test_what_cannot_be_is_said_in_one_line_and_leaves_nothing(arguments: str, told: str, user: dict[str, str]) -> None:
    command = ["jarvis", "practice-exchange", *arguments.split()]
    done = subprocess.run(command, env=user, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert told in done.stderr
    with started("jarvis practice-exchange --symbol ETH/USD", user):
        pass
