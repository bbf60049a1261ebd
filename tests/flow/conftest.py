"""What tests of the command line share: the command itself in this process, and a practice exchange that it finds."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from data.writer import Lake
from flows.cli import app, main
from tests.servers.command_line import Done, Jarvis
from tests.servers.practice_exchange import Practice, practice_exchange

COMMAND = typer.main.get_command(app)
"""Put together once: it takes longer than many a command."""


@pytest.fixture
def jarvis(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Jarvis:
    """The command line, in this process; there is no Prefect server."""
    monkeypatch.setenv("JARVIS_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("PREFECT_API_URL", "")
    monkeypatch.setattr("flows.cli.app", COMMAND)

    def run(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["jarvis", *arguments])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        return Done(code, *capsys.readouterr())

    return run


@pytest.fixture
def practice(monkeypatch: pytest.MonkeyPatch) -> Iterator[Practice]:
    """A practice exchange whose clock stands at a full hour until it is stepped."""
    with practice_exchange() as exchange:
        monkeypatch.setenv("JARVIS_EXCHANGE_URLS", json.dumps({"practice": exchange.url}))
        exchange.step(30 * 60)
        yield exchange
