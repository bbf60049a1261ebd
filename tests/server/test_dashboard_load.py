"""Open sessions of the dashboard beside a writer: the page keeps up, the server stays as it is, the writer goes on.

`JARVIS_LOAD=50x600` has fifty sessions open for ten minutes.
"""

from __future__ import annotations

import asyncio
import os

import numpy as np
import pytest

from benchmarks.dashboard_load import Load, measure

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.timeout(1800)]

SESSIONS, SECONDS = map(int, os.environ.get("JARVIS_LOAD", "10x60").split("x"))


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Load:
    return asyncio.run(measure(tmp_path_factory.mktemp("load"), SESSIONS, SECONDS))


def test_every_session_hears_of_every_candle(load: Load) -> None:
    assert len(load.refreshes) >= SESSIONS * SECONDS * 0.8
    assert load.lost == 0
    assert load.missed == 0


def test_the_memory_of_the_server_stays_within_its_bounds(load: Load) -> None:
    assert max(load.memory) - load.before < 60 + 10 * SESSIONS
    assert load.growth < 15


def test_the_writer_is_not_held_up_by_readers(load: Load) -> None:
    assert len(load.beside) >= SECONDS * 0.8
    assert np.median(load.beside) < 3 * np.median(load.alone) + 20
    assert max(load.beside) < 2_000
