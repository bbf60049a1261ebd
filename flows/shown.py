"""A flow as the command line runs it: shown in Prefect where its server answers in time, and done in any case."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from concurrent.futures import Future
from functools import wraps
from typing import Any, TypeVar

from prefect import Flow
from prefect.settings import PREFECT_API_REQUEST_TIMEOUT, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

_BRIEF = {PREFECT_API_REQUEST_TIMEOUT: 5.0, PREFECT_CLIENT_MAX_RETRIES: 2}
"""Seconds for an attempt, and attempts after the first, where the user has not said so: some twenty seconds in all for
what Prefect's client would try for minutes, which are longer than a candle."""

R = TypeVar("R")


def shown(flow: Flow[..., R], *arguments: Any, say: Callable[[str], None]) -> R:
    """Call a flow, and return or raise what its function does, which is called once whatever becomes of the server.

    Where Prefect fails before the function began, it is called without a flow run. `say` is told of it in one line.
    """
    done: Future[R] = Future()

    @wraps(flow.fn)
    def once(*given: Any) -> R:
        if not done.done():
            try:
                done.set_result(flow.fn(*given))
            except BaseException as error:  # noqa: BLE001 - it is raised in the next line
                done.set_exception(error)
        return done.result()

    logging.raiseExceptions = False  # a log that does not reach the server is no matter for standard error
    watched = copy.copy(flow)
    watched.fn, watched.should_validate_parameters = once, False  # the command line has done so
    why = "it did not begin the run"
    try:
        with temporary_settings(set_defaults=_BRIEF):
            watched(*arguments, return_state=True)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is Prefect's: what the function raised is kept
        why = type(error).__name__
        if done.done():
            say(f"Prefect's server failed ({why}): what it shows of this run is incomplete; the lake has it all")
    if not done.done():
        say(f"Prefect's server failed ({why}): this run is not recorded there; the lake has it all")
    return once(*arguments)
