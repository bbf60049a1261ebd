"""What all tests share: a lake of their own, the folder of real market data, a Prefect server for flows."""

from __future__ import annotations

import os
import signal
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from data.settings import CHECKOUT
from data.writer import Lake

signal.signal(signal.SIGINT, signal.default_int_handler)
"""Else programs that a test starts would ignore Ctrl-C where the tests are a shell's background job."""

settings.register_profile("patient", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
"""How long an example takes says how busy the machine is, not whether the code is right."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take minutes, so that no worker is left alone with one, and mix the others.

    By name the tests that have a browser would run together, more of them than a small machine has processors.
    """
    items.sort(key=lambda item: (item.get_closest_marker("long") is None, zlib.crc32(item.path.name.encode())))


@pytest.fixture(autouse=True)
def _no_settings_of_the_developer(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Take them away; locks and halts of the tests are in a folder of their own."""
    for name in [name for name in os.environ if name.startswith("JARVIS_") and name != "JARVIS_MARKET_DATA"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("JARVIS_STATE", str(tmp_path_factory.mktemp("state")))


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """An empty lake, which is the settings' lake too."""
    monkeypatch.setenv("JARVIS_LAKE", str(tmp_path / "lake"))
    return Lake.open()


@pytest.fixture(scope="session")
def market_data() -> Path:
    """The folder of real candles; skips the test where it is absent."""
    folder = Path(os.environ.get("JARVIS_MARKET_DATA", CHECKOUT.parent / "shared" / "market-data"))
    if not (folder / "kraken_BTC-USD_1h_2021.csv").exists():
        pytest.skip("needs the folder of real market data: set JARVIS_MARKET_DATA")
    return folder


@pytest.fixture(scope="session")
def prefect_api() -> Iterator[None]:
    """A Prefect API of the tests' own, with a database that goes away."""
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, PREFECT_LOGGING_TO_API_ENABLED, temporary_settings
    from prefect.testing.utilities import prefect_test_harness

    quick = {PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None, PREFECT_LOGGING_TO_API_ENABLED: False}
    with prefect_test_harness(server_startup_timeout=120), temporary_settings(quick):
        yield
