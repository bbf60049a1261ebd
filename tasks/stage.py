"""A stage of the pipeline: a Prefect task inside a flow run, a plain function outside one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

from prefect.cache_policies import NO_CACHE
from prefect.context import FlowRunContext
from prefect.tasks import Task

from data.errors import JarvisError

P = ParamSpec("P")
R = TypeVar("R")

_unrecorded: ContextVar[bool] = ContextVar("unrecorded", default=False)


class Stage(Task[P, R]):
    """A task that needs no Prefect server when no flow run is under way.

    The pipeline is then the same calls in the same order, without a record in the Prefect UI.
    """

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Any:  # type: ignore[override]
        """Run the stage: as a task of the current flow run if there is one."""
        if FlowRunContext.get() is None or _unrecorded.get():
            return self.fn(*args, **kwargs)
        return super().__call__(*args, **kwargs)


@contextmanager
def unrecorded() -> Iterator[None]:
    """Run the stages inside as plain functions: for candles so short that a record of each would take longer."""
    token = _unrecorded.set(True)
    try:
        yield
    finally:
        _unrecorded.reset(token)


def each(
    stage: Stage[..., R], work: Mapping[str, tuple[Any, ...]], failures: dict[str, str], **options: Any
) -> dict[str, R]:
    """Run a stage once for each symbol, all in one task run, and return what it gave by symbol.

    `work` has its arguments by symbol. A symbol that fails stops no other: why it failed is put among the `failures`.
    """

    def for_each() -> dict[str, R]:
        done = {}
        for symbol, arguments in work.items():
            try:
                done[symbol] = stage.fn(*arguments, **options)
            except JarvisError as error:
                failures[symbol] = str(error)
            except Exception as error:
                logging.getLogger("jarvis").exception("%s of %s", stage.name, symbol)
                failures[symbol] = f"{stage.name} failed unexpectedly: {type(error).__name__}: {error}"
        return done

    recorded: Stage[[], dict[str, R]] = Stage(for_each, name=stage.name, cache_policy=NO_CACHE, persist_result=False)
    result: dict[str, R] = recorded()
    return result


def stage(name: str, **options: Any) -> Callable[[Callable[P, R]], Stage[P, R]]:
    """Declare a stage; `options` are those of a Prefect task.

    Results are neither cached nor persisted: candles and tables go to the lake, and an order must never come from
    a cache.
    """

    def declare(function: Callable[P, R]) -> Stage[P, R]:
        return Stage(function, name=name, cache_policy=NO_CACHE, persist_result=False, **options)

    return declare
