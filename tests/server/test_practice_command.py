"""`jarvis practice-exchange` as a user starts it, and every command and program of its document with it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from data.settings import CHECKOUT
from tests.flow.test_documents import blocks

pytestmark = pytest.mark.server

BIN = Path(sys.executable).parent
DOCUMENT = "docs/practice-exchange.md"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Folders of the test's own and free ports."""
    port, admin_port = free_ports()
    return {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")} | {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "PYTHONPATH": str(CHECKOUT),
        "PREFECT_API_URL": "",
        "JARVIS_LAKE": str(tmp_path / "lake"),
        "JARVIS_STATE": str(tmp_path / "state"),
        "JARVIS_PRACTICE_STATE": str(tmp_path / "practice"),
        "JARVIS_PRACTICE_PORT": str(port),
        "JARVIS_PRACTICE_ADMIN_PORT": str(admin_port),
    }


def free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        return one.getsockname()[1], two.getsockname()[1]


@contextmanager
def started(command: str, environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Start the exchange and wait until it says where it is; SIGINT ends it, cleanly."""
    with subprocess.Popen(
        command.split(), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
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


def run(command: list[str] | str, environment: dict[str, str]) -> str:
    shell = isinstance(command, str)
    done = subprocess.run(command, env=environment, shell=shell, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr if not shell else "") == (0, ""), f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_every_command_and_program_of_the_document_works(environment: dict[str, str]) -> None:
    port, admin_port = environment["JARVIS_PRACTICE_PORT"], environment["JARVIS_PRACTICE_ADMIN_PORT"]
    commands = [line for _, block in blocks(DOCUMENT, "sh") for line in block.splitlines()]
    programs = [code for _, code in blocks(DOCUMENT, "python")]
    programs += [code.replace('"kraken"', '"practice"') for _, code in blocks("docs/exchanges.md", "python")]
    with started(commands.pop(0), environment):
        for program in programs:
            shown = run([sys.executable, "-c", program.replace("8100", port)], environment)
            assert shown.strip(), program
        answers = [run(each.replace("8100", port).replace("8101", admin_port), environment) for each in commands]
    assert len(programs) == 3
    assert any('"orders": 1' in answer for answer in answers), "the journal knows the program's order"


def test_the_state_is_there_after_a_restart_and_nobody_else_is_served(environment: dict[str, str]) -> None:
    address = f"http://127.0.0.1:{environment['JARVIS_PRACTICE_ADMIN_PORT']}/journal/orders?client_id=my+first+order"
    command = "jarvis practice-exchange --symbol BTC/USD"
    program = blocks(DOCUMENT, "python")[0][1].replace("8100", environment["JARVIS_PRACTICE_PORT"])
    with started(command, environment):
        run([sys.executable, "-c", program], environment)
        second = subprocess.run(command.split(), env=environment, capture_output=True, text=True, check=False)
        assert second.returncode == 2
        assert second.stderr.count("\n") == 1
        assert "runs on" in second.stderr
    with started(command, environment), urllib.request.urlopen(address) as answer:
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
def test_what_cannot_be_is_said_in_one_line_and_leaves_nothing(
    arguments: str, told: str, environment: dict[str, str]
) -> None:
    command = ["jarvis", "practice-exchange", *arguments.split()]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert told in done.stderr
    with started("jarvis practice-exchange --symbol ETH/USD", environment):
        pass
