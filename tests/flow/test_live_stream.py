"""A stream: it outlives an exchange that is away, and lets go of its session when that is to be flattened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from data.errors import TryLater
from data.writer import Lake
from flows import live
from flows.outcome import Outcome
from flows.parameters import LiveParameters
from tasks.exchange import client
from tasks.trade.halt import FLATTEN, halt
from tests.servers.practice_exchange import Practice


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JARVIS_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("PREFECT_API_URL", "")
    monkeypatch.setattr(client, "_PAUSES", (0.01, 0.01))
    monkeypatch.setattr(live, "_PAUSE", 0.0)


@pytest.mark.parametrize(
    ("away", "decided"),
    [("Balance*", ["reconciliation"]), ("*", [])],
    ids=["the account cannot be seen", "nothing answers"],
)
def test_a_stream_outlives_an_outage_and_goes_on_with_its_position(
    lake: Lake, practice: Practice, monkeypatch: pytest.MonkeyPatch, away: str, decided: list[str]
) -> None:
    told: list[Outcome] = []

    def next_candle(*_: Any) -> None:
        if len(told) == 1:
            practice.fault("http", away, status=503)
        if len(told) == 2:
            practice.clear_faults()
        practice.step(60)

    monkeypatch.setattr(live, "await_close", next_candle)
    parameters = LiveParameters(mode="live", strategy="buy_and_hold", cash=1000.0, history=20)
    live.stream(parameters, told.extend, steps=3)
    first, during, after = told
    assert [bool(outcome.failure) for outcome in told] == [False, not decided, False]
    assert [decision.reason for decision in during.decisions] == decided
    assert [decision.reason for decision in after.decisions][-1] == "unchanged"
    assert after.account["position"] == first.decisions[0].amount


def test_a_stream_that_waits_for_a_close_lets_go_at_once_of_what_is_to_be_flattened(
    lake: Lake, practice: Practice
) -> None:
    parameters = LiveParameters(mode="live", strategy="buy_and_hold", cash=1000.0, history=20)
    with pytest.raises(TryLater, match="is being flattened: the stream has ended"):
        live.stream(parameters, lambda _: halt(FLATTEN))  # the clock stands still: no candle closes any more
