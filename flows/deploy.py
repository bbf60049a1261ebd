"""The deployments: which flows the Prefect server offers, and when it starts them by itself."""

from __future__ import annotations

from typing import cast

from prefect import serve
from prefect.deployments.runner import RunnerDeployment
from prefect.schedules import Cron

from flows.backtest import backtest
from flows.collect import collect
from flows.parameters import BacktestParameters
from flows.upkeep import upkeep

NIGHTLY = Cron("17 3 * * *", timezone="UTC")


def deployments() -> list[RunnerDeployment]:
    """Return what `jarvis up` and `jarvis serve` serve: backtest/backtest, collect/collect and upkeep/upkeep."""
    sample = {"parameters": BacktestParameters().model_dump(mode="json")}
    served = (
        backtest.to_deployment("backtest", parameters=sample),
        collect.to_deployment("collect"),
        upkeep.to_deployment("upkeep", schedule=NIGHTLY, concurrency_limit=1),
    )
    return [cast("RunnerDeployment", deployment) for deployment in served]


def serve_deployments() -> None:
    """Serve the deployments until stopped; their schedules outlive it (a stop is no pause)."""
    serve(*deployments(), pause_on_shutdown=False, print_starting_message=False)
