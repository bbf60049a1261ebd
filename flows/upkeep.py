"""The upkeep flow: the lake's many small files become few."""

from __future__ import annotations

from dataclasses import asdict

from prefect import flow
from prefect.artifacts import create_table_artifact

from data.upkeep import Upkeep, settle
from data.writer import Lake
from flows.report import flow_run_id


@flow(name="upkeep", flow_run_name="upkeep of the lake")
def upkeep() -> list[Upkeep]:
    """Compact every table of the lake and remove what no reader needs."""
    done = settle(Lake.open())
    if flow_run_id() is not None:
        create_table_artifact([asdict(table) for table in done], key="upkeep", description="Files before and after")
    return done
