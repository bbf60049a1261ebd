"""Runs of the live flow whose process is gone: Prefect keeps them Running, or late, until somebody says otherwise."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowFilter, FlowFilterName, FlowRunFilter
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound
from prefect.states import Crashed

from data.errors import JarvisError
from flows.aside import aside

LIVE = "live-trading"
DEAD = "its process ended without a word; what it left is taken up by the next run"
LATE = "late: its candle is taken in by the next run"

_SECONDS, _STARTING_SECONDS = 2.0, 30.0
"""What a run may spend on it, and what there is time for before the first one."""
_KEPT_SECONDS = 300.0
"""For so long Prefect keeps the place of a dead run."""
_ENDING = timedelta(minutes=2)
"""After its work and without the lock, a run may take this long to tell Prefect that it is Completed."""
_ALIVE = {"type": {"any_": ["RUNNING", "PENDING", "CANCELLING"]}}


def mend_zombies(flow_run: str | None) -> None:
    """Mark dead runs of this run's session as Crashed; to be called with the session's lock held.

    Dead is whatever has the same parameters, began minutes before and has not ended: the system gives the lock to one
    process at a time, and takes it from the dead. Takes seconds at most, and raises nothing.
    """
    if flow_run is not None:
        aside("marking dead runs in Prefect", lambda: _mend(UUID(flow_run)), _SECONDS)


def clear_deployment() -> None:
    """Before the live deployment is served: mark its dead runs as Crashed, and cancel those that are late.

    To be called by the one process that serves it: the runs of its predecessors ended with them. A dead run would keep
    the only place that there is for runs. While the server does not answer, as it may when it has just started, it is
    tried again behind the serving. Raises nothing.
    """
    began = datetime.now(UTC)
    aside("clearing the runs of the live deployment", lambda: _insist(lambda: _clear(began)), _STARTING_SECONDS)


def _insist(work: Callable[[], None]) -> None:
    until = time.monotonic() + _KEPT_SECONDS
    while True:
        try:
            work()
            return
        except Exception:  # whatever it is: the server or what is between
            if time.monotonic() > until:
                raise
            time.sleep(_SECONDS)


def _mend(own_id: UUID) -> None:
    with get_client(sync_client=True) as client:
        own = client.read_flow_run(own_id)
        filters = {"state": _ALIVE, "expected_start_time": {"before_": _iso(_begun(own) - _ENDING)}}
        others = client.read_flow_runs(
            flow_filter=FlowFilter(name=FlowFilterName(any_=[LIVE])), flow_run_filter=FlowRunFilter(**filters)
        )
        for other in others:
            if other.id != own.id and other.parameters == own.parameters:
                _crash(client, other.id)


def _clear(began: datetime) -> None:
    with get_client(sync_client=True) as client:
        try:
            deployment = client.read_deployment_by_name(f"{LIVE}/{LIVE}").id
        except ObjectNotFound:
            return
        of_it = {"deployment_id": {"any_": [str(deployment)]}}
        for run in client.read_flow_runs(flow_run_filter=FlowRunFilter(**of_it, state=_ALIVE)):
            if run.state is not None and run.state.timestamp < began:
                _crash(client, run.id)
        late = of_it | {
            "state": {"type": {"any_": ["SCHEDULED"]}},
            "tags": {"all_": ["auto-scheduled"]},  # what a person asked for is done, however late
            "next_scheduled_start_time": {"before_": _iso(began)},
        }
        while _cancel(client, late):
            pass


def _crash(client: SyncPrefectClient, flow_run: UUID) -> None:
    client.set_flow_run_state(flow_run, Crashed(message=DEAD), force=True)


def _cancel(client: SyncPrefectClient, flow_runs: dict[str, Any]) -> bool:
    """Cancel some of these runs in one request, and tell whether there may be more."""
    body = {"flow_runs": flow_runs, "state": {"type": "CANCELLED", "name": "Cancelled", "message": LATE}}
    results = client.request("POST", "/flow_runs/bulk_set_state", json=body).json()["results"]  # type: ignore[arg-type]
    if any(each["status"] != "ACCEPT" for each in results):
        raise JarvisError("the server keeps late runs of the live deployment")
    return bool(results)


def _begun(run: FlowRun) -> datetime:
    return run.start_time or run.expected_start_time or datetime.now(UTC)


def _iso(instant: datetime) -> str:
    return instant.isoformat()
