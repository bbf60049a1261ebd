"""The deployments: which flows the Prefect server offers, and when it starts them by itself."""

from __future__ import annotations

from prefect import serve
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments.runner import RunnerDeployment

from flows.backtest import backtest
from flows.collect import collect
from flows.parameters import BacktestParameters, CollectParameters
from flows.upkeep import upkeep

NIGHTLY = CronSchedule(cron="17 3 * * *", timezone="UTC")


def deployments() -> list[RunnerDeployment]:
    """Return what `jarvis up` and `jarvis serve` serve: backtest/backtest, collect/collect and upkeep/upkeep."""
    defaults = {"parameters": BacktestParameters().model_dump(mode="json")}
    return [
        backtest.to_deployment("backtest", parameters=defaults, tags=["backtest"]),
        collect.to_deployment("collect", parameters={"parameters": CollectParameters().model_dump(mode="json")}),
        upkeep.to_deployment("upkeep", schedule=NIGHTLY, concurrency_limit=1),
    ]


def serve_deployments() -> None:
    """Serve the deployments until stopped; their schedules outlive it (a stop is no pause)."""
    serve(*deployments(), pause_on_shutdown=False, print_starting_message=False)
