"""Every fault of the practice exchange against every call of the client; the outcomes are docs/faults.md.

JARVIS_WRITE_DOCS=1 writes that page anew (`make docs` does it); otherwise it must say what the run has seen.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from data.errors import ExchangeError, OutcomeUnknown, SourceError, TryLater
from data.settings import CHECKOUT
from tasks.exchange import Quote, TradingClient, client, trading_client
from tasks.exchange.orders import Order, OrderRequest
from tasks.fetch.exchange import ExchangeSource
from tests.servers.practice_exchange import Practice, practice_exchange

PAGE = CHECKOUT / "docs" / "faults.md"
BTC = "BTC/USD"
SILENT = frozenset({"hang_before", "hang_after", "drip"})


def timeout_of(fault: str) -> float:
    """Return the seconds of one request: few where they have to pass, many where only a busy machine needs them."""
    return 0.5 if fault in SILENT else 5.0


LONGEST = 20.0
"""Seconds that a call may take, its repetitions and the search for an order included; the machine may be busy."""

Fault = dict[str, Any]
FAULTS: dict[str, Fault] = {
    "EService:Unavailable": {"kind": "error", "message": "EService:Unavailable"},
    "EService:Busy": {"kind": "error", "message": "EService:Busy"},
    "EService:Timeout": {"kind": "error", "message": "EService:Timeout"},
    "EService:Timeout, work done": {"kind": "error", "message": "EService:Timeout", "worked": True},
    "EService: Throttled": {"kind": "error", "message": "EService: Throttled: 1768480300"},
    "EGeneral:Internal error, work done": {"kind": "error", "message": "EGeneral:Internal error", "worked": True},
    "EAPI:Rate limit exceeded": {"kind": "error", "message": "EAPI:Rate limit exceeded"},
    "EAPI:Invalid nonce": {"kind": "error", "message": "EAPI:Invalid nonce"},
    "EAPI:Invalid key": {"kind": "error", "message": "EAPI:Invalid key"},
    "EGeneral:Permission denied": {"kind": "error", "message": "EGeneral:Permission denied"},
    "maintenance": {"kind": "maintenance"},
    "cancel_only": {"kind": "maintenance", "status": "cancel_only"},
    **{f"HTTP {status}": {"kind": "http", "status": status} for status in (429, 500, 503, 520)},
    **{f"HTTP {status}, work done": {"kind": "http", "status": status, "worked": True} for status in (502, 524)},
    **{
        kind: {"kind": kind}
        for kind in (
            *("hang_before", "hang_after", "reset_before", "reset_after", "truncated", "html", "empty", "null"),
            *("empty_object", "empty_list", "null_result", "no_id", "partial_fill"),
            *("candles_missing", "candles_duplicated", "candles_disordered"),
        )
    },
    "drip": {"kind": "drip", "seconds": 30},
    "stale": {"kind": "stale", "seconds": 7200},
    "skew": {"kind": "skew", "seconds": 30},
    "restart": {"drop_connections": False},
    "restart, connections dropped": {"drop_connections": True},
}

RIGHT, DATED, HOLES = "right", "right, dated", "right, with holes"
HEAD = """# What each fault does to each call

Made by tests/server/test_every_fault.py (`make docs` writes it anew) with the practice exchange and Jarvis' own client.

- **right**: the call returned what is true, or did what it was asked to do; a read may have asked again.
- **right, dated**: what it returned is of an earlier time, and says of which.
- **right, with holes**: candles are missing, none is wrong; the collection records the gaps.
- **TryLater**, **Refused**: the error it raised, and it did nothing; **OutcomeUnknown**: it may have done it or not,
  and `find` was right about it afterwards.

Reads meet the fault once, then at every attempt; where the two end differently, both are told. A restart happens
between two calls.

"""
BETWEEN = "What changes something is sent once, whatever happens, and the fault strikes its own endpoint."
Read = Callable[[TradingClient, Order, Order], Any]


def candles(_: TradingClient, __: Order, ___: Order) -> Any:
    with ExchangeSource("practice", paced=False) as source:
        return next(source.candles(BTC, "1h", None, None)).candles


READS: dict[str, Read] = {
    "candles": candles,
    "price": lambda trader, *_: replace(trader.price(BTC), arrived=0),
    "fee": lambda trader, *_: trader.fee(BTC),
    "balance": lambda trader, *_: trader.balance(),
    "open_orders": lambda trader, *_: trader.open_orders(),
    "order": lambda trader, filled, _: trader.order(filled.id),
    "fills": lambda trader, filled, _: trader.fills(filled.opened),
    "find, open": lambda trader, filled, resting: trader.find("resting", filled.opened),
    "find, filled": lambda trader, filled, resting: trader.find("filled", filled.opened),
    "validate": lambda trader, *_: trader.validate(request("checked")),
}


def request(client_id: str, kind: Any = "market", price: str | None = None) -> OrderRequest:
    return OrderRequest(
        BTC, "buy", kind, Decimal("0.001"), None if price is None else Decimal(price), client_id=client_id
    )


@dataclass(frozen=True)
class Write:
    """A call that changes something: its endpoint, the call, and a figure of the exchange that it changes."""

    endpoint: str
    call: Callable[[TradingClient, Order, str], Any]
    figure: Callable[[Practice], Any]


def made(practice: Practice) -> int:
    return len(practice.exchange.engine.orders)


def open_now(practice: Practice) -> int:
    return len(practice.exchange.engine.open_orders())


WRITES = {
    "submit, market": Write("AddOrder", lambda trader, _, new: trader.submit(request(new)), made),
    "submit, limit": Write("AddOrder", lambda trader, _, new: trader.submit(request(new, "limit", "20000")), made),
    "cancel": Write("CancelOrder", lambda trader, resting, _: trader.cancel(resting.id), open_now),
    "cancel, client id": Write("CancelOrder", lambda trader, *_: trader.cancel(client_id="resting"), open_now),
    "cancel_all": Write("CancelAll", lambda trader, *_: trader.cancel_all(), open_now),
    "cancel_all_after": Write(
        "CancelAllOrdersAfter",
        lambda trader, *_: trader.cancel_all_after(60),
        lambda practice: practice.exchange.engine.snapshot()["switch"],
    ),
}


@pytest.fixture(scope="module")
def outcomes() -> Iterator[dict[str, dict[str, str]]]:
    """What was seen, by fault and call; compared with the page when all has been seen."""
    yield (seen := {})
    calls = ["time", *READS, *WRITES]
    if set(seen) != set(FAULTS) or any(set(row) != set(calls) for row in seen.values()):
        return  # a part of the tests was run
    text = page(seen)
    if os.environ.get("JARVIS_WRITE_DOCS"):
        PAGE.write_text(text, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == text, "docs/faults.md says other than what happens: run `make docs`"


@contextmanager
def quick(monkeypatch: pytest.MonkeyPatch, practice: Practice, state: Any, timeout: float) -> Iterator[TradingClient]:
    """A client that repeats its reads twice, without waiting long."""
    monkeypatch.setenv("JARVIS_EXCHANGE_URLS", f'{{"practice": "{practice.url}"}}')
    monkeypatch.setenv("JARVIS_STATE", str(state))
    monkeypatch.setattr(client, "_PAUSES", (0.01, 0.02))
    monkeypatch.setattr(client, "TIMEOUT_MS", int(timeout * 1000))
    with trading_client("practice", timeout=timeout) as trader:
        yield trader


@pytest.mark.server
@pytest.mark.parametrize("name", FAULTS)
def test_no_fault_makes_a_call_answer_wrongly_or_hang(
    name: str, outcomes: dict[str, dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = outcomes[name] = {}
    with practice_exchange() as practice, quick(monkeypatch, practice, tmp_path, timeout_of(name)) as trader:
        filled, resting = trader.submit(request("filled")), rest(trader)
        for call, read in READS.items():
            truth = read(trader, filled, resting)
            seen[call] = with_fault(practice, name, lambda read=read: read(trader, filled, resting), truth)
        assert made(practice) == 2
    # The real time: a clock that stands still is not this machine's anyway, and how far it is off says nothing.
    with (
        practice_exchange(paused=False, start=None) as practice,
        quick(monkeypatch, practice, tmp_path, timeout_of(name)) as trader,
    ):
        seen["time"] = with_fault(practice, name, lambda: timed(trader), None)
        for number, (call, write) in enumerate(WRITES.items()):
            seen[call] = written(practice, name, trader, write, f"new-{number}")


def timed(trader: TradingClient) -> None:
    trader.clock.measure()
    trader.clock.check()


def rest(trader: TradingClient) -> Order:
    return trader.submit(request("resting", "limit", "10000"))


def strike(practice: Practice, name: str, **options: Any) -> None:
    """Put a fault in force; a restart is one that happens between two calls."""
    if "drop_connections" in FAULTS[name]:
        practice.restart(**FAULTS[name])
        time.sleep(0.2)  # until the system has told our end of the connections
    else:
        practice.fault(**FAULTS[name], **options)


def with_fault(practice: Practice, name: str, call: Callable[[], Any], truth: Any) -> str:
    """Return how a read ends that meets a fault once, and how it ends when the fault stays."""
    ends = []
    for times in ({"times": 1}, {}):
        strike(practice, name, **times)
        ends.append(outcome(call, truth))
        practice.clear_faults()
    return ends[0] if ends[0] == ends[1] else f"{ends[0]}, then {ends[1]}"


def written(practice: Practice, name: str, trader: TradingClient, write: Write, new: str) -> str:
    """Return how a call ends that changes something, and check that its end says no more than is true."""
    trader.clock.measure()
    practice.on_loop(practice.exchange.engine.cancel_all)
    practice.on_loop(practice.exchange.engine.cancel_all_after, 0)
    resting = rest(trader)
    before = write.figure(practice)
    strike(practice, name, endpoint="Time" if name == "skew" else write.endpoint)
    if name == "skew":
        trader.clock.measure()
    end = outcome(lambda: write.call(trader, resting, new) and None, None)
    practice.clear_faults()
    done = write.figure(practice) != before
    assert done or end != RIGHT, "it says that it did it, and did not"
    assert not done or end in (RIGHT, OutcomeUnknown.__name__), "it says that it did not do it, and did"
    if write.figure is made:
        assert made(practice) - before <= 1
        if end == OutcomeUnknown.__name__:
            assert (trader.find(new, resting.opened) is not None) == done
    return end


def outcome(call: Callable[[], Any], truth: Any) -> str:
    """Return `right`, or the name of the error that the call ends in; a wrong value fails the test."""
    started = time.monotonic()
    try:
        value = call()
    except (ExchangeError, SourceError) as error:
        seen = TryLater.__name__ if isinstance(error, SourceError) else type(error).__name__
        told = str(error)
    else:
        seen, told = compared(value, truth), ""
    assert "\n" not in told
    assert "<" not in told
    assert time.monotonic() - started < LONGEST
    return seen


def compared(value: Any, truth: Any) -> str:
    """Return `right`, or `dated` for what is of an earlier time and says so."""
    if isinstance(truth, pd.DataFrame):
        both = value.index.intersection(truth.index)
        assert len(both) > len(truth) // 2
        assert value.loc[both].equals(truth.loc[both]), "a candle is not what it was"
        return DATED if value.index[-1] < truth.index[-1] else HOLES if len(both) < len(truth) else RIGHT
    if value != truth and isinstance(truth, Quote):
        assert truth.traded - value.traded >= 7000 * 10**9, f"{value} is not {truth}"
        return DATED
    assert value == truth, f"{value} is not {truth}"
    return RIGHT


def page(seen: dict[str, dict[str, str]]) -> str:
    """Write docs/faults.md."""
    return HEAD + "\n".join([table(seen, ["time", *READS]), "", BETWEEN, "", table(seen, list(WRITES)), ""])


def table(seen: dict[str, dict[str, str]], calls: list[str]) -> str:
    lines = ["| fault | " + " | ".join(calls) + " |", "|---" * (len(calls) + 1) + "|"]
    return "\n".join(
        lines + [f"| {name} | " + " | ".join(seen[name][call] for call in calls) + " |" for name in FAULTS]
    )
