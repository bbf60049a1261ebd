"""The deployment of the live flow: when it runs, what becomes of dead and of late runs, what a run shows of itself."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import pandas as pd
import pytest
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.objects import State
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.server.schemas.schedules import IntervalSchedule as ServersSchedule
from prefect.states import Completed, Pending, Running, Scheduled

from data.errors import BadInput
from flows import live_report, zombies
from flows.deploy import DELAY, after_each_candle, deployments
from flows.live_report import decision_report, publish_live
from flows.outcome import Outcome
from flows.parameters import LiveParameters
from flows.short_names import NAMES
from flows.zombies import DEAD, LATE, LIVE, clear_deployment, mend_zombies
from tasks.trade.decision import Decision

pytestmark = pytest.mark.server

MADRID_SPRING = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)
"""Half an hour before the clocks of Europe go forward."""


def fires(timeframe: str, start: datetime, count: int, **clock: Any) -> list[datetime]:
    """Return when Prefect's own scheduler would start a run."""
    schedule = after_each_candle(timeframe, **clock)
    assert schedule.interval is not None
    servers = ServersSchedule(interval=schedule.interval, anchor_date=schedule.anchor_date, timezone=schedule.timezone)
    # Of plain datetimes, as Prefect's own kind has differences that are never equal.
    return [datetime.fromtimestamp(each.timestamp(), UTC) for each in asyncio.run(servers.get_dates(count, start))]


@pytest.mark.parametrize("start", [datetime(2026, 1, 15, 10, 7, 9, tzinfo=UTC), MADRID_SPRING])
@pytest.mark.parametrize(
    ("timeframe", "hours"), [("1m", 1 / 60), ("15m", 0.25), ("1h", 1), ("4h", 4), ("1d", 24), ("1w", 168)]
)
def test_a_run_starts_a_few_seconds_after_each_candle_in_utc(timeframe: str, hours: float, start: datetime) -> None:
    times = fires(timeframe, start, 30)
    steps = {after - before for before, after in pairwise(times)}
    assert steps == {timedelta(hours=hours)}
    opened = [(instant - DELAY).timestamp() for instant in times]
    assert all(seconds % (hours * 3600) == 0 for seconds in opened)


def test_a_week_begins_on_thursday_as_krakens_does() -> None:
    assert {instant.strftime("%a %H:%M:%S") for instant in fires("1w", MADRID_SPRING, 60)} == {"Thu 00:00:03"}


@pytest.mark.parametrize("speed", [1.0, 3.0, 7.0])
def test_on_a_clock_of_its_own_the_candles_are_those_of_the_exchange(speed: float) -> None:
    before = datetime.now(UTC)
    ahead = datetime(2027, 5, 4, 3, 2, 41, tzinfo=UTC)
    times = fires("2m", before, 200, speed=speed, exchange_time=ahead)
    since_boundary = [
        ((ahead + (instant - before) * speed).timestamp() % 120) / speed for instant in times
    ]  # in seconds of ours
    assert all(0 < seconds < 120 / speed / 5 for seconds in since_boundary)
    assert times[1] - times[0] == pytest.approx(timedelta(minutes=2) / speed, abs=timedelta(milliseconds=1))


@pytest.mark.parametrize(("timeframe", "speed"), [("1m", 10.0), ("1h", 10_000.0)])
def test_candles_too_short_for_a_run_are_refused_with_what_to_do(timeframe: str, speed: float) -> None:
    with pytest.raises(BadInput, match=r"too short.*jarvis live --stream"):
        after_each_candle(timeframe, speed)


def test_every_deployment_is_called_as_its_flow_and_known_by_one_word() -> None:
    offered = deployments(LiveParameters())
    assert all(each.name == each.flow_name for each in offered)
    assert sorted(each.name for each in offered) == sorted(NAMES)


def test_without_a_session_the_live_flow_waits_to_be_started() -> None:
    (live,) = [each for each in deployments() if each.name == LIVE]
    assert not live.schedules
    (live,) = [each for each in deployments(LiveParameters(timeframe="1h")) if each.name == LIVE]
    assert live.schedules
    assert live.concurrency_limit == 1
    assert live.concurrency_options is not None
    assert live.concurrency_options.collision_strategy == "CANCEL_NEW"


@flow(name=LIVE)
def sham(parameters: dict[str, Any]) -> None:
    """Bears the live flow's name."""


@pytest.fixture
def client(prefect_api: None) -> Iterator[SyncPrefectClient]:
    """Prefect's client, with no run of the live flow left by another test."""
    with get_client(sync_client=True) as client:
        for run in client.read_flow_runs():
            client.delete_flow_run(run.id)
        yield client


def begun(client: SyncPrefectClient, state: Any, minutes_ago: float, **parameters: Any) -> UUID:
    """A run of the live flow that was to start so many minutes ago, and got as far as this state."""
    due = datetime.now(UTC) - timedelta(minutes=minutes_ago)
    run = client.create_flow_run(sham, parameters={"parameters": parameters}, state=Scheduled(scheduled_time=due))
    client.set_flow_run_state(run.id, state, force=True)
    return run.id


def seen(client: SyncPrefectClient, run: UUID) -> tuple[str | None, str | None]:
    state = client.read_flow_run(run).state
    assert state is not None
    return state.name, state.message


def test_dead_runs_of_the_session_are_marked_and_no_others(client: SyncPrefectClient) -> None:
    dead = [begun(client, state(), 60, symbols=["BTC/USD"]) for state in (Running, Pending)]
    reporting = begun(client, Running(), 0.5, symbols=["BTC/USD"])
    elsewhere = begun(client, Running(), 60, symbols=["ETH/USD"])
    ended = begun(client, Completed(), 60, symbols=["BTC/USD"])
    own = begun(client, Running(), 0, symbols=["BTC/USD"])
    mend_zombies(str(own))
    assert [seen(client, run) for run in dead] == [("Crashed", DEAD)] * 2
    assert {seen(client, run)[0] for run in (reporting, elsewhere, own)} == {"Running"}
    assert seen(client, ended)[0] == "Completed"


def test_without_prefect_trading_goes_on_within_seconds(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def unreachable(**_: Any) -> Any:
        time.sleep(60)

    monkeypatch.setattr(zombies, "get_client", unreachable)
    monkeypatch.setattr(zombies, "_SECONDS", 0.2)
    started = time.monotonic()
    mend_zombies("00000000-0000-0000-0000-000000000000")
    assert time.monotonic() - started < 5
    assert caplog.messages == ["marking dead runs in Prefect: not done within 0.2 s"]
    mend_zombies(None)


def test_before_serving_dead_runs_free_the_place_and_late_ones_are_cancelled(client: SyncPrefectClient) -> None:
    hourly = DeploymentScheduleCreate(schedule=IntervalSchedule(interval=timedelta(hours=1)), active=False)
    deployment = client.create_deployment(
        client.create_flow_from_name(LIVE), LIVE, schedules=[hourly], concurrency_limit=1
    )
    due = {name: datetime.now(UTC) + timedelta(minutes=minutes) for name, minutes in (("late", -5), ("next", 5))}

    def scheduled(when: str, *tags: str) -> UUID:
        state: State[Any] = Scheduled(scheduled_time=due[when])
        return client.create_flow_run_from_deployment(deployment, state=state, tags=tags).id

    late = [scheduled("late", "auto-scheduled") for _ in range(53)]  # more than one request can cancel
    by_hand, coming = scheduled("late"), scheduled("next", "auto-scheduled")
    dead = scheduled("late", "auto-scheduled")
    client.set_flow_run_state(dead, Pending())
    client.set_flow_run_state(dead, Running())
    clear_deployment()
    assert {seen(client, run) for run in late} == {("Cancelled", LATE)}
    assert seen(client, dead) == ("Crashed", DEAD)
    assert {seen(client, run)[0] for run in (by_hand, coming)} == {"Scheduled"}
    limit = client.read_deployment(deployment).global_concurrency_limit
    assert limit is not None
    assert limit.active_slots == 0
    client.delete_deployment(deployment)
    clear_deployment()  # which finds nothing to clear


def test_a_server_that_answers_late_has_its_dead_runs_cleared_and_those_begun_meanwhile_left(
    client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment = client.create_deployment(client.create_flow_from_name(LIVE), LIVE, concurrency_limit=2)
    dead, alive = (client.create_flow_run_from_deployment(deployment).id for _ in range(2))
    client.set_flow_run_state(dead, Pending())
    opened, refusals = zombies.get_client, [1, 2]

    def late(**options: Any) -> Any:
        if refusals:
            refusals.pop()
            client.set_flow_run_state(alive, Running(), force=True)
            raise ConnectionError("the database is locked")
        return opened(**options)

    monkeypatch.setattr(zombies, "get_client", late)
    monkeypatch.setattr(zombies, "_SECONDS", 0.1)
    clear_deployment()
    assert not refusals
    assert seen(client, dead) == ("Crashed", DEAD)
    assert seen(client, alive)[0] == "Running"
    client.delete_deployment(deployment)


PARAMETERS = LiveParameters(symbols=("BTC/USD", "ETH/USD"), params={"fast": 3, "slow": 8})


def outcomes() -> list[Outcome]:
    when = pd.Timestamp("2026-01-15 10:31", tz="UTC")
    bought = Decision(
        "abc", "BTC/USD", when, when, "buy", "signal", "the strategy wants 1 | up from 0", 43_210.5, 1.0, 1.0, 0.0,
        amount=0.25, order_id="2026-01-15T10:31:00Z-buy-open",
    )  # fmt: skip
    account = {"cash": 89_000.0, "position": 0.25, "equity": 99_802.5, "drawdown": -0.0019}
    orders = [{"order_id": bought.order_id, "side": "buy", "status": "filled"}]
    first = Outcome("BTC/USD", "abc", [bought], account, orders, [("fill", "BTC/USD: bought 0.25 at 43,210.5")])
    return [first, Outcome("ETH/USD", "", failure="the exchange could\nnot be reached")]


def test_the_report_says_what_was_decided_and_why_a_row_a_market() -> None:
    text = decision_report(outcomes(), PARAMETERS)
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    head, bitcoin, ether = [line.replace("\\|", "/").strip("| ").split(" | ") for line in rows]
    told = dict(zip(head, bitcoin, strict=True))
    assert told["Market"].startswith("[BTC/USD](http://127.0.0.1:")
    assert told["Market"].endswith("run=abc)")
    assert told["Candle (UTC)"] == "2026-01-15 10:31"
    assert (told["Decision"], told["Order"]) == ("**buy** 0.25", "`2026-01-15T10:31:00Z-buy-open`")
    assert told["Why"] == "signal: the strategy wants 1 / up from 0"
    assert (told["Position"], told["Equity"], told["Drawdown"]) == ("0.25", "99,802.5", "-0.19%")
    assert "**failed**" in ether
    assert "the exchange could not be reached" in ether
    assert "\n- BTC/USD: bought 0.25 at 43,210.5\n" in text


def test_a_run_shows_its_tags_its_report_and_its_tables(client: SyncPrefectClient) -> None:
    @flow(name="shows")
    def shows() -> None:
        publish_live(outcomes(), PARAMETERS)

    shows()
    (run,) = client.read_flow_runs()
    assert set(run.tags) == {"paper", "practice", "sma_crossover", "1m", "BTC/USD", "ETH/USD"}
    artifacts = client.request("POST", "/artifacts/filter", json={}).json()
    mine = {each["key"]: each["type"] for each in artifacts if each["flow_run_id"] == str(run.id)}
    assert mine == {"decision-report": "markdown", "signals": "table", "orders": "table", "account": "table"}


def test_a_report_that_cannot_be_made_fails_no_run(
    client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def gone(*_: Any, **__: Any) -> None:
        raise ConnectionError("gone")

    monkeypatch.setattr(live_report, "create_markdown_artifact", gone)
    caplog.set_level(logging.WARNING, "flows")

    @flow(name="goes-on")
    def goes_on() -> str:
        publish_live(outcomes(), PARAMETERS)
        return "done"

    assert goes_on() == "done"
    assert [message for message in caplog.messages if "report" in message] == [
        "the report of this run in Prefect: ConnectionError"
    ]


def test_outside_a_flow_run_nothing_is_shown_or_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    started = time.monotonic()
    publish_live(outcomes(), PARAMETERS)
    assert time.monotonic() - started < 1
