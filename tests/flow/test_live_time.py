"""Time in live trading: clocks that differ, runs that are late or come twice, candles that come late or change."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from data.runs import read_run
from data.views import connect
from data.writer import Lake
from flows.deploy import DELAY, after_each_candle
from flows.live import live_trading
from flows.outcome import Outcome
from flows.parameters import LiveParameters
from flows.parity import check_parity
from tasks.exchange.units import SECOND
from tasks.fetch import fetch_live
from tests.servers.practice_exchange import Practice, practice_exchange
from tests.servers.processes import BIN, environment

MINUTE = pd.Timedelta(minutes=1)
TWICE_AN_HOUR = """
from tasks.signal import Strategy

class TwiceAnHour(Strategy):
    @property
    def warmup(self):
        return 0
    def generate(self, candles):
        minute = candles.index.minute
        held = ((minute >= 15) & (minute < 30)) | ((minute >= 45) & (minute < 58))
        return candles.assign(target=held.astype(float))[["target"]]
"""
"""Holds twice in each hour: in the candles of minutes 15 to 29 and 45 to 57."""


@pytest.fixture(autouse=True)
def no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JARVIS_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("PREFECT_API_URL", "")


@pytest.fixture
def practice(monkeypatch: pytest.MonkeyPatch) -> Iterator[Practice]:
    """A practice exchange whose clock stands at 13:00:02 until it is stepped."""
    with practice_exchange() as exchange:
        monkeypatch.setenv("JARVIS_EXCHANGE_URLS", json.dumps({"practice": exchange.url}))
        exchange.step(30 * 60 + 2)
        yield exchange


def a_session(**changes: Any) -> LiveParameters:
    return LiveParameters(**{"mode": "live", "strategy": "buy_and_hold", "cash": 1000.0, "history": 20, **changes})


def run(parameters: LiveParameters) -> Outcome:
    """One run of the flow; nothing failed."""
    outcomes: Any = live_trading.fn(parameters)
    outcome: Outcome = outcomes[0]
    assert (len(outcomes), outcome.failure) == (1, "")
    return outcome


def wait_briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a run give up soon on a candle that is not shown."""
    defaults: Any = fetch_live.fn.__kwdefaults__
    monkeypatch.setitem(defaults, "patience", 0.2)


def reasons(outcome: Outcome) -> list[str]:
    return [decision.reason for decision in outcome.decisions]


def minutes(outcome: Outcome) -> list[str]:
    return [f"{decision.ts:%H:%M}" for decision in outcome.decisions]


def orders_sent(practice: Practice) -> int:
    """How many orders the exchange has had, those that it refused included and those it was only to check left out."""
    return sum("validate" not in json.dumps(entry) for entry in practice.journal("AddOrder"))


def decided_once(lake: Lake, run_id: str, step: pd.Timedelta = MINUTE) -> pd.DataFrame:
    """Every candle from the first to the last has one decision, and one row of equity."""
    rows = read_run(lake, run_id, "decisions").sort_values("ts", ignore_index=True)
    assert rows["ts"].tolist() == list(pd.date_range(rows["ts"].iloc[0], rows["ts"].iloc[-1], freq=step))
    assert sorted(read_run(lake, run_id, "equity")["ts"]) == rows["ts"].tolist()
    return rows


# Clocks.


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Set the clock of the machine ahead, which the practice exchange goes by as well; it begins at second 20."""
    real = time.time_ns
    ahead = [20 * SECOND - real() % (60 * SECOND)]
    monkeypatch.setattr(time, "time_ns", lambda: real() + ahead[0])

    def forward(seconds: float) -> None:
        ahead[0] += int(seconds * SECOND)

    return forward


@pytest.mark.parametrize("seconds", [15.0, -15.0])
def test_while_the_clocks_differ_nothing_is_sent_and_it_goes_on_when_they_agree(
    lake: Lake, wall: Callable[[float], None], monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    with practice_exchange(start=None, paused=False) as practice:
        monkeypatch.setenv("JARVIS_EXCHANGE_URLS", json.dumps({"practice": practice.url}))
        practice.fault("skew", seconds=seconds)
        session = a_session(max_signal_age=100.0)
        outcome = run(session)
        (decision,) = outcome.decisions
        assert (decision.action, decision.reason) == ("hold", "failed")
        assert f"clock is {seconds:+.0f}"[:-1] in decision.detail
        assert decision.detail.endswith("set this machine's clock")
        assert "\n" not in decision.detail
        assert "failure" in {kind for kind, _ in outcome.notes}
        assert orders_sent(practice) == 0

        practice.clear_faults()
        wall(60)
        outcome = run(session)
        assert reasons(outcome) == ["signal"]
        assert orders_sent(practice) == 1
        decided_once(lake, outcome.run_id)


def test_a_clock_that_is_a_second_off_does_not_stop_trading(
    lake: Lake, wall: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with practice_exchange(start=None, paused=False) as practice:
        monkeypatch.setenv("JARVIS_EXCHANGE_URLS", json.dumps({"practice": practice.url}))
        practice.fault("skew", seconds=1)
        assert reasons(run(a_session())) == ["signal"]


# Late runs.


@pytest.mark.parametrize("mode", ["paper", "live"])
def test_late_runs_record_what_they_missed_enter_in_time_only_and_leave_always(
    lake: Lake, practice: Practice, tmp_path: Path, mode: str
) -> None:
    path = tmp_path / "twice.py"
    path.write_text(TWICE_AN_HOUR)
    session = a_session(mode=mode, strategy=str(path), max_signal_age=300.0)
    run(session)
    practice.step(19 * 60)  # 13:19: wanted since the close of 13:15, three minutes ago
    late = run(session)
    assert reasons(late) == ["missed"] * 18 + ["signal"]
    assert late.decisions[-1].action == "buy"
    practice.step(26 * 60)  # 13:45: to be left since the close of 13:30, a quarter of an hour ago
    left = run(session)
    assert (reasons(left)[-1], left.decisions[-1].action) == ("signal", "sell")
    assert set(reasons(left)[:-1]) == {"missed"}
    practice.step(10 * 60)  # 13:55: wanted since the close of 13:45, nine minutes ago
    stale = run(session)
    assert (reasons(stale)[-1], stale.decisions[-1].action) == ("stale", "hold")
    assert "stale_data" in {kind for kind, _ in stale.notes}
    practice.step(60)
    assert reasons(run(session)) == ["unchanged"]
    rows = decided_once(lake, late.run_id)
    assert len(rows) == 57
    assert rows["action"].value_counts().to_dict() == {"hold": 55, "buy": 1, "sell": 1}


def test_the_same_candle_run_twice_makes_no_second_order(lake: Lake, practice: Practice) -> None:
    first = run(a_session())
    assert reasons(first) == ["signal"]
    for _ in range(3):
        practice.step(5)
        again = run(a_session())
        assert (again.decisions, again.run_id) == ([], first.run_id)
    assert orders_sent(practice) == 1
    assert len(decided_once(lake, first.run_id)) == 1


# Two runs at once.


def started(session: LiveParameters) -> subprocess.Popen[str]:
    options = ("--strategy", session.strategy, "--cash", str(session.cash), "--history", str(session.history))
    return subprocess.Popen(
        [BIN / "jarvis", "live", "--mode", session.mode, *options, "--json"],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_of_two_runs_at_once_one_does_it_and_the_other_says_so_and_does_nothing(lake: Lake, practice: Practice) -> None:
    session = a_session(mode="paper")
    practice.fault("drip", "OHLC", seconds=1.5)
    one = started(session)
    while not practice.journal("OHLC"):
        assert one.poll() is None
        time.sleep(0.02)
    one.send_signal(signal.SIGSTOP)  # in the middle of its step
    other = started(session)
    told = other.communicate(timeout=60)
    one.send_signal(signal.SIGCONT)
    out, said = one.communicate(timeout=60)
    assert (one.returncode, said) == (0, "")
    assert (other.returncode, told[0]) == (1, "")
    assert f"process {one.pid} is at it" in told[1]
    assert len(told[1].strip().splitlines()) == 1
    (outcome,) = json.loads(out)
    assert [decision["reason"] for decision in outcome["decisions"]] == ["signal"]
    assert len(read_run(lake, outcome["run_id"], "fills")) == 1


def test_of_two_runs_with_real_orders_at_once_the_second_waits_and_finds_nothing_to_do(
    lake: Lake, practice: Practice
) -> None:
    both = [started(a_session()) for _ in range(2)]
    ends = [process.communicate(timeout=90) for process in both]
    assert [process.returncode for process in both] == [0, 0], ends
    found = [json.loads(out)[0] for out, _ in ends]
    assert sorted(len(outcome["decisions"]) for outcome in found) == [0, 1]
    assert orders_sent(practice) == 1
    assert len(decided_once(lake, found[0]["run_id"])) == 1


# Candles that come late, or change.


def test_a_candle_that_is_not_shown_is_not_decided_until_it_comes_and_then_as_missed(
    lake: Lake, practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_briefly(monkeypatch)
    session = a_session(max_signal_age=3600.0)
    first = run(session)
    practice.fault("candles_missing", "OHLC")  # among them, for two minutes, that of 13:00
    practice.step(60)
    assert run(session).decisions == []
    practice.step(60)
    assert minutes(run(session)) == ["13:01"]
    practice.clear_faults()
    practice.step(60)
    come = run(session)
    assert (minutes(come), reasons(come)) == (["13:00", "13:02"], ["missed", "unchanged"])
    decided_once(lake, first.run_id)
    assert orders_sent(practice) == 1
    verdicts = check_parity(lake, first.run_id).set_index("ts")["verdict"]
    assert [verdicts.iloc[1], verdicts.iloc[2]] == ["data", "data"]  # 13:01 was decided without 13:00


def test_candles_that_stay_away_are_told_and_nothing_is_decided_meanwhile(
    lake: Lake, practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_briefly(monkeypatch)
    run(a_session())
    practice.step(10 * 60)
    practice.fault("stale", "OHLC", seconds=602.1)  # as it was just before the full hour
    silent = run(a_session())
    assert silent.decisions == []
    assert ("stale_data", "BTC/USD: no candle since that of 2026-01-15 12:59 UTC") in silent.notes


def test_a_candle_revised_after_its_decision_is_kept_as_it_was_decided_and_told_everywhere(
    lake: Lake, practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.fetch.exchange._ENDS_OPEN", frozenset())  # such an exchange is not taken in by this
    session = a_session(mode="paper")
    practice.fault("skew", seconds=35)  # the exchange shows as closed what goes on being traded for 30 s
    practice.step(23)
    first = run(session)
    (made,) = first.decisions
    assert (f"{made.ts:%H:%M}", made.action) == ("13:00", "buy")
    practice.clear_faults()
    practice.step(60)
    assert run(session).decisions == []  # 13:00 has its decision, 13:01 goes on
    practice.step(60)
    assert minutes(run(session)) == ["13:01"]
    query = "SELECT close, revision FROM candles WHERE ts = ? AND timeframe = '1m'"
    ((close, revision),) = connect(lake).execute(query, [made.ts.to_pydatetime()]).fetchall()
    assert revision == 1
    assert close != made.close
    kept = decided_once(lake, first.run_id).iloc[0]
    assert (kept["close"], kept["action"], kept["order_id"]) == (made.close, "buy", made.order_id)
    told = connect(lake).execute("SELECT start_ts FROM quality WHERE kind = 'revision'").fetchall()
    assert told == [(made.ts.to_pydatetime(),)]
    parity = check_parity(lake, first.run_id)
    assert parity["verdict"].iloc[0] == "data"
    assert "revised" in parity["detail"].iloc[0]


# Summer time.

SWITCHES = {
    "Europe/Madrid": ("2026-03-29 00:30", "2026-10-25 00:30"),
    "America/New_York": ("2026-11-01 05:30",),
}
"""Half an hour (UTC) before the clocks of a zone change."""
HOURS = 3


def trade_hours(begins: tuple[str, ...], folder: Path, told: Any) -> None:
    """In a process of its own, with a practice exchange of its own: one run after each hour from each of these times.

    Told are the zone's names and, for each time and each run, what was decided.
    """
    session = a_session(timeframe="1h")
    for begin in begins:
        os.environ["JARVIS_LAKE"] = str(folder / begin)
        with practice_exchange(start=pd.Timestamp(begin, tz="UTC").value) as practice:
            os.environ["JARVIS_EXCHANGE_URLS"] = json.dumps({"practice": practice.url})
            decided = []
            for seconds in [1805, *[3600] * (HOURS - 1)]:
                practice.step(seconds)
                decided.append([(str(each.ts), each.reason) for each in run(session).decisions])
        told.put((time.tzname, begin, decided))


@pytest.mark.slow
def test_every_hour_is_decided_once_when_clocks_change_wherever_the_machine_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = multiprocessing.get_context("spawn")
    told = context.Queue()
    processes = []
    for zone, begins in SWITCHES.items():
        monkeypatch.setenv("TZ", zone)
        processes.append(context.Process(target=trade_hours, args=(begins, tmp_path, told)))
        processes[-1].start()
    for _ in range(sum(map(len, SWITCHES.values()))):
        (standard, summer), begin, decided = told.get(timeout=120)
        assert standard != summer
        first = pd.Timestamp(begin, tz="UTC").floor("h")
        hours = [str(first + pd.Timedelta(hours=count)) for count in range(HOURS)]
        assert [[ts for ts, _ in each] for each in decided] == [[hour] for hour in hours]
        assert [each[0][1] for each in decided] == ["signal", *["unchanged"] * (HOURS - 1)]
    for process in processes:
        process.join(60)


@pytest.mark.parametrize("begins", [begin for begins in SWITCHES.values() for begin in begins])
def test_the_schedule_starts_one_run_an_hour_when_clocks_change(begins: str) -> None:
    import asyncio

    from prefect.server.schemas.schedules import IntervalSchedule

    schedule: Any = after_each_candle("1h")
    servers = IntervalSchedule(interval=schedule.interval, anchor_date=schedule.anchor_date, timezone=schedule.timezone)
    start = datetime.fromisoformat(f"{begins}+00:00")
    fires = [datetime.fromtimestamp(each.timestamp(), UTC) for each in asyncio.run(servers.get_dates(12, start))]
    assert fires[0] == start.replace(minute=0) + timedelta(hours=1) + DELAY
    assert {after - before for before, after in pairwise(fires)} == {timedelta(hours=1)}
