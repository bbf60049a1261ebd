"""Settings: from the environment or `.env`, checked, and named in the error when they cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.errors import BadInput
from data.settings import CHECKOUT, Settings, settings
from data.writer import Lake


@pytest.fixture(autouse=True)
def env_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    file = tmp_path / ".env"
    monkeypatch.setitem(Settings.model_config, "env_file", file)
    return file


def test_the_lake_lies_in_the_checkout_unless_said_otherwise() -> None:
    assert settings().lake == CHECKOUT / "data" / "lake"


def test_a_relative_lake_lies_in_the_checkout_wherever_the_command_is_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JARVIS_LAKE", "elsewhere")
    assert Lake.open().root == CHECKOUT / "elsewhere"


def test_an_absolute_lake_lies_where_it_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JARVIS_LAKE", str(tmp_path))
    assert Lake.open().root == tmp_path


def test_a_setting_may_stand_in_the_env_file_and_the_environment_comes_first(
    monkeypatch: pytest.MonkeyPatch, env_file: Path
) -> None:
    env_file.write_text("JARVIS_DASHBOARD_PORT=6001\nJARVIS_PREFECT_PORT=6002\nSOMETHING_ELSE=1\n")
    monkeypatch.setenv("JARVIS_PREFECT_PORT", "6003")
    assert (settings().dashboard_port, settings().prefect_port) == (6001, 6003)


def test_settings_are_read_afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    before = settings().prefect_port
    monkeypatch.setenv("JARVIS_PREFECT_PORT", str(before + 1))
    assert settings().prefect_port == before + 1


def test_addresses_of_exchanges_are_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JARVIS_EXCHANGE_URLS", '{"kraken": "http://127.0.0.1:8080"}')
    assert settings().exchange_urls == {"kraken": "http://127.0.0.1:8080"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("JARVIS_PREFECT_PORT", "0"),
        ("JARVIS_DASHBOARD_PORT", "65536"),
        ("JARVIS_DASHBOARD_PORT", "many"),
        ("JARVIS_EXCHANGE_URLS", "[1]"),
        ("JARVIS_EXCHANGE_URLS", '{"kraken": 5}'),
        ("JARVIS_EXCHANGE_URLS", "kraken=http://127.0.0.1"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_the_name_of_its_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(BadInput) as refused:
        settings()
    assert str(refused.value).startswith(f"{name} cannot be used: ")
    assert "\n" not in str(refused.value)
    assert refused.value.exit_code == 2
