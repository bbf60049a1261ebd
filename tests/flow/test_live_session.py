"""What a session begins with, and what its symbols owe each other: nothing."""

from __future__ import annotations

import json
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from data.runs import read_run
from data.writer import Lake
from flows.live import live_trading
from flows.outcome import Outcome, StepFailed
from flows.parameters import LiveParameters
from tasks.exchange import trading_client
from tasks.exchange.orders import OrderRequest
from tests.servers.practice_exchange import Practice, practice_exchange

FAILS_FOR_BITCOIN = """
from tasks.signal import Strategy

class Picky(Strategy):
    @property
    def warmup(self):
        return 0

    def generate(self, candles):
        if candles["close"].iloc[-1] > 10_000:
            raise ValueError('odd prices')
        return (candles["close"] > 0).astype(float).to_frame("target")
"""


@pytest.fixture(autouse=True)
def no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JARVIS_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("PREFECT_API_URL", "")


def run(**changes: Any) -> list[Outcome]:
    given = {"mode": "live", "strategy": "buy_and_hold", "cash": 2000.0, "history": 20}
    outcomes: Any = live_trading.fn(LiveParameters(**{**given, **changes}))
    return list(outcomes)


def test_a_symbol_that_fails_stops_no_other_and_the_run_says_which(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, symbols = tmp_path / "picky.py", ("BTC/USD", "ETH/USD")
    path.write_text(FAILS_FOR_BITCOIN)
    with practice_exchange(symbols=symbols) as practice:
        monkeypatch.setenv("JARVIS_EXCHANGE_URLS", json.dumps({"practice": practice.url}))
        practice.step(1800)
        for _ in range(2):
            practice.step(60)
            with pytest.raises(
                StepFailed, match=r"^BTC/USD: picky failed in picky\.py, line 11: ValueError: odd prices$"
            ) as failed:
                run(symbols=symbols, strategy=str(path))
        bitcoin, ether = failed.value.outcomes
        assert bitcoin.decisions == []
        assert (ether.failure, ether.decisions[-1].reason) == ("", "unchanged")
        assert ether.account["position"] > 0
        path.write_text(FAILS_FOR_BITCOIN.replace("10_000", "1_000_000"))
        practice.step(60)
        mended, still = run(symbols=symbols, strategy=str(path))
    assert (mended.run_id, still.run_id) == (bitcoin.run_id, ether.run_id)
    assert mended.decisions[-1].action == "buy"


def test_the_fee_of_a_session_with_real_orders_is_the_accounts_own(lake: Lake, practice: Practice) -> None:
    with trading_client("practice") as account:
        start = account.fee("BTC/USD").taker
        for side in ("buy", "sell") * 2:
            request = OrderRequest("BTC/USD", side, "market", Decimal("0.9"), client_id=str(uuid.uuid4()))
            account.submit(account.prepare(request))
        practice.step(60)
        after = account.fee("BTC/USD").taker
    assert after < start
    (live,), (paper,), (asked,) = run(), run(mode="paper"), run(mode="paper", fee=0.001)
    fees = [read_run(lake, each.run_id, "runs")["fee"].item() for each in (live, paper, asked)]
    assert fees == [float(after), float(start), 0.001]
