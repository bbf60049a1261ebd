"""How far a long flow is: a bar on a terminal, a progress artifact in the Prefect UI."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from prefect.artifacts import create_progress_artifact, update_progress_artifact

from flows import output
from flows.report import flow_run_id

_EVERY = 2.0
"""Seconds between two updates of the artifact, each of which asks the server."""


def say(text: str) -> None:
    """Say something on standard error, and in the log of the flow run."""
    typer.echo(text, err=True)
    if flow_run_id() is not None:
        logging.getLogger("flows.progress").info(text)


@contextmanager
def progress(what: str, key: str) -> Iterator[Callable[[int, int], None]]:
    """Show how far it is; yields the function (done, total) that moves it."""
    artifact = create_progress_artifact(0.0, key=key, description=what) if flow_run_id() else None
    told = time.monotonic()
    with output.progress(what, quiet=not sys.stderr.isatty()) as bar:

        def report(done: int, total: int) -> None:
            nonlocal told
            bar(done, total)
            if artifact is not None and (done >= total or time.monotonic() - told > _EVERY):
                update_progress_artifact(artifact, 100.0 * done / max(1, total))  # type: ignore[arg-type]
                told = time.monotonic()

        yield report
