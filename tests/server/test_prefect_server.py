"""The password of the Prefect server, and which server is used."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from data.errors import BadInput
from flows.server import answers, api_url, ensure_password, server_ready, start_command


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PREFECT_API_URL", "PREFECT_API_AUTH_STRING"):
        monkeypatch.setenv(name, "set so that it is restored")
        monkeypatch.delenv(name)


def test_a_password_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("JARVIS_LAKE=elsewhere\n")
    ensure_password(file)
    password = os.environ["PREFECT_API_AUTH_STRING"]
    assert len(password) > 24
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    written = file.read_text()
    assert "JARVIS_LAKE=elsewhere" in written
    assert f"PREFECT_API_AUTH_STRING={password}" in written
    ensure_password(file)
    assert file.read_text() == written


def test_no_server_is_started_on_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://192.0.2.1:4200/api")
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "jarvis:x")
    with pytest.raises(BadInput, match="no Prefect server answers"):
        start_command()


def test_the_server_is_not_given_the_password_on_its_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JARVIS_STATE", str(tmp_path))
    ensure_password(tmp_path / ".env")
    command, environment = start_command()
    assert not any(os.environ["PREFECT_API_AUTH_STRING"] in word for word in command)
    assert environment["PREFECT_SERVER_API_AUTH_STRING"] == os.environ["PREFECT_API_AUTH_STRING"]
    assert environment["PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED"] == "true"


def test_without_a_server_nothing_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not server_ready()
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    assert not answers(api_url())
    assert not server_ready()
