"""Accounts at practice exchanges, as the client that trades and as a broker."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tasks.exchange import TradingClient, client, trading_client
from tasks.trade import live
from tasks.trade.live import LiveBroker
from tests.servers.practice_exchange import Practice, practice_exchange

Open = Callable[..., Any]


@pytest.fixture
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of its own for what processes lock, and no waiting between two tries."""
    monkeypatch.setenv("JARVIS_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(client, "_PAUSES", (0.01, 0.01))
    monkeypatch.setattr(live, "_PAUSE", 0.01)


@pytest.fixture
def practice() -> Iterator[Practice]:
    """A practice exchange whose clock stands still until it is stepped."""
    with practice_exchange() as served:
        yield served


@pytest.fixture(params=["practice", "practice-bitfinex"])
def name(request: pytest.FixtureRequest) -> str:
    """The practice exchange in each of its languages."""
    return str(request.param)


@pytest.fixture
def account_at(monkeypatch: pytest.MonkeyPatch) -> Open:
    """Open the account at an exchange on loopback."""

    @contextmanager
    def opened(server: Any, name: str = "practice", **options: Any) -> Iterator[TradingClient]:
        monkeypatch.setenv("JARVIS_EXCHANGE_URLS", json.dumps({name: server.url}))
        with trading_client(name, **{"timeout": 5, **options}) as trader:
            yield trader

    return opened


@pytest.fixture
def broker_at(account_at: Open) -> Open:
    """Open the account at an exchange on loopback, as a broker."""

    @contextmanager
    def opened(server: Any, name: str = "practice", *, patience: float = 60.0, **options: Any) -> Iterator[LiveBroker]:
        with account_at(server, name, **options) as trader:
            yield LiveBroker(trader, patience=patience)

    return opened
