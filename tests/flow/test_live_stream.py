"""A stream: it outlives an exchange that is away, and lets commands that need its session go first."""

from __future__ import annotations

import json
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from data.errors import TryLater
from data.writer import Lake
from flows import live
from flows.flatten import Flattened, flatten
from flows.outcome import Outcome
from flows.parameters import LiveParameters
from tasks.exchange import client
from tasks.exchange.lock import going_first
from tests.servers.practice_exchange import Practice, practice_exchange


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JARVIS_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("PREFECT_API_URL", "")
    monkeypatch.setattr(client, "_PAUSES", (0.01, 0.01))
    monkeypatch.setattr(live, "_PAUSE", 0.0)
    monkeypatch.setattr(live, "_LOOK", 0.01)


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


def test_a_candle_that_closes_during_a_step_is_acted_on_at_once(lake: Lake, practice: Practice) -> None:
    told: list[Outcome] = []

    def slow(outcomes: list[Outcome]) -> None:
        told.extend(outcomes)
        practice.step(60)

    live.stream(LiveParameters(strategy="buy_and_hold", cash=1000.0, history=20), slow, steps=3)
    assert [[decision.reason for decision in each.decisions] for each in told] == [
        ["signal"], ["unchanged"], ["unchanged"],
    ]  # fmt: skip


@pytest.mark.parametrize("mode", ["paper", "live"])
def test_a_stream_lets_a_flatten_go_first_and_goes_on_with_the_other_symbols(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, mode: Any
) -> None:
    told: list[list[Outcome]] = []
    symbols = ("BTC/USD", "ETH/USD")
    parameters = LiveParameters(symbols=symbols, mode=mode, strategy="buy_and_hold", cash=1000.0, history=20)
    with ThreadPoolExecutor(1) as another, practice_exchange(symbols=symbols) as practice:
        monkeypatch.setenv("JARVIS_EXCHANGE_URLS", json.dumps({"practice": practice.url}))
        practice.step(1800)
        flattened: list[Future[list[Flattened]]] = []

        def say(outcomes: list[Outcome]) -> None:
            told.append(outcomes)
            if len(told) == 1:  # the clock stands still: what waits for a close lets go all the same
                flattened.append(another.submit(flatten, lake, symbols=["BTC/USD"]))
            else:
                practice.step(60)

        live.stream(parameters, say, steps=3)
        (sold,) = flattened[0].result()
    first, back, last = told
    assert [outcome.decisions[-1].action for outcome in first] == ["buy", "buy"]
    assert (sold.left, sold.failure) == (0, "")
    assert [outcome.decisions for outcome in back] == [[], []]
    assert [outcome.decisions[-1].reason for outcome in last] == ["halted", "unchanged"]
    assert [outcome.account["position"] > 0 for outcome in last] == [False, True]


def test_a_stream_that_stepped_aside_comes_back_when_the_exchange_does(
    lake: Lake, practice: Practice, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    parameters = LiveParameters(strategy="buy_and_hold", cash=1000.0, history=20)
    opened, tries = live.opened, []

    def away_for_a_while(parameters: LiveParameters) -> Any:
        tries.append(parameters)
        if len(tries) in (2, 3):
            raise TryLater("practice: nobody answers")
        return opened(parameters)

    monkeypatch.setattr(live, "opened", away_for_a_while)
    with ExitStack() as stack:
        told: list[Outcome] = []

        def say(outcomes: list[Outcome]) -> None:
            told.extend(outcomes)
            if len(told) == 1:
                stack.enter_context(going_first("practice"))
                threading.Timer(0.2, stack.close).start()

        live.stream(parameters, say, steps=2)
    assert [outcome.failure for outcome in told] == ["", ""]
    assert caplog.messages.count("the session is not open again yet: practice: nobody answers") == 2
