"""A stage of the pipeline: a Prefect task inside a flow run, a plain function outside one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from prefect.cache_policies import NO_CACHE
from prefect.context import FlowRunContext
from prefect.tasks import Task

P = ParamSpec("P")
R = TypeVar("R")


class Stage(Task[P, R]):
    """A task that needs no Prefect server when no flow run is under way.

    The pipeline is then the same calls in the same order, without a record in the Prefect UI.
    """

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Any:  # type: ignore[override]
        """Run the stage: as a task of the current flow run if there is one."""
        if FlowRunContext.get() is None:
            return self.fn(*args, **kwargs)
        return super().__call__(*args, **kwargs)


def stage(name: str, **options: Any) -> Callable[[Callable[P, R]], Stage[P, R]]:
    """Declare a stage; `options` are those of a Prefect task.

    Results are neither cached nor persisted: candles and tables go to the lake, and an order must never come from
    a cache.
    """

    def declare(function: Callable[P, R]) -> Stage[P, R]:
        return Stage(function, name=name, cache_policy=NO_CACHE, persist_result=False, **options)

    return declare
