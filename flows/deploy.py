"""The deployments: which flows the Prefect server offers, and when it starts them by itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

from prefect import serve
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.deployments.runner import RunnerDeployment
from prefect.schedules import Cron, Interval, Schedule
from pydantic import BaseModel

from data.errors import BadInput
from data.timeframe import parse_timeframe
from flows.backtest import backtest
from flows.collect import collect
from flows.live import live_trading
from flows.parameters import BacktestParameters, LiveParameters, PortfolioParameters, SweepParameters
from flows.portfolio import portfolio
from flows.server import api_url
from flows.sweep import sweep
from flows.upkeep import upkeep
from flows.zombies import clear_deployment
from tasks.exchange.lock import alone
from tasks.fetch.live import live_market

NIGHTLY = Cron("17 3 * * *", timezone="UTC")
ONE_AT_A_TIME = ConcurrencyLimitConfig(
    limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW, grace_period_seconds=60
)
"""What would overlap is cancelled: the run that is under way, or the one after it, takes its candle in. One that died
before it began keeps the place for a minute."""

DELAY = timedelta(seconds=3)
"""From the end of a candle to the run that takes it in: exchanges need a moment to publish it."""
SHORTEST = timedelta(seconds=10)
"""Between two scheduled runs: each is a process of its own, which has to start, and to end before the next."""

GRID = {"fast": "5:50:5", "slow": "60:200:20"}
"""Of the sweep that is started as it is: one without a grid would have nothing to try."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""Where the count of every timeframe begins; a Thursday, as the first day of a week is at Kraken."""
_POLL_SECONDS, _AHEAD_SECONDS = 2.0, 6.0
"""How often the server is asked for runs, and how long before its time a run's process is started."""


def deployments(
    live: LiveParameters | None = None, speed: float = 1.0, *, exchange_time: datetime | None = None
) -> list[RunnerDeployment]:
    """Return what `jarvis up` and `jarvis serve` serve; each deployment is called as its flow is.

    `live` is what live-trading trades; without it, it has no schedule. `speed` and `exchange_time` (UTC, now) are those
    of an exchange whose clock is not the world's. Raises BadInput when its candles are too short to be scheduled.
    """
    session = _given(live or LiveParameters())
    schedule = None if live is None else after_each_candle(live.timeframe, speed, exchange_time)
    served = (  # live-trading first, as its next candle is near
        live_trading.to_deployment(
            "live-trading", parameters=session, schedule=schedule, concurrency_limit=ONE_AT_A_TIME
        ),
        backtest.to_deployment("backtest", parameters=_given(BacktestParameters())),
        portfolio.to_deployment("portfolio", parameters=_given(PortfolioParameters())),
        sweep.to_deployment("sweep", parameters=_given(SweepParameters(grid=GRID))),
        collect.to_deployment("collect"),
        upkeep.to_deployment("upkeep", schedule=NIGHTLY, concurrency_limit=1),
    )
    return [cast("RunnerDeployment", deployment) for deployment in served]


def _given(parameters: BaseModel) -> dict[str, Any]:
    """Return what a flow is called with, as the form in the UI shows it."""
    return {"parameters": parameters.model_dump(mode="json")}


def after_each_candle(timeframe: str, speed: float = 1.0, exchange_time: datetime | None = None) -> Schedule:
    """Return the schedule that fires a few seconds after the end of every candle, in UTC, which knows no summer time.

    An exchange with a clock of its own shows `exchange_time` (UTC) now, and `speed` of its seconds pass in one of ours.
    Raises BadInput when that is too often.
    """
    step = parse_timeframe(timeframe)
    interval = step / speed
    if interval < SHORTEST:
        seconds = f"{interval.total_seconds():g} s"
        raise BadInput(f"a candle of {timeframe} lasts {seconds}, too short for a run each: use `jarvis live --stream`")
    anchor = _EPOCH
    if exchange_time is not None:
        begun = (exchange_time - _EPOCH) % step
        anchor = datetime.now(UTC) - begun / speed
    return Interval(interval, anchor_date=anchor + min(DELAY, interval / 10), timezone="UTC")


def serve_deployments(live: LiveParameters | None = None, speed: float = 1.0) -> None:
    """Serve the deployments until stopped; their schedules outlive it (a stop is no pause).

    `live` is what is traded, `speed` that of a practice exchange's clock. Raises BadInput for what cannot be scheduled,
    SourceError when a practice exchange does not answer, TryLater when another process serves them.
    """
    with alone("serving", api_url(), "process {} serves the deployments already"):
        time = None
        if live is not None and live.exchange == "practice":
            with live_market(live.exchange) as market:
                time = market.now().to_pydatetime()
        offered = deployments(live, speed, exchange_time=time)
        clear_deployment()
        serve(
            *offered,
            pause_on_shutdown=False,
            print_starting_message=False,
            query_seconds=_POLL_SECONDS,
            prefetch_seconds=_AHEAD_SECONDS,
        )
