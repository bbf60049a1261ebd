"""Ten visitors of a lake that is written to all the while; `make bench-load` measures fifty."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.dashboard_load import Load, measure, quarters

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.timeout(900)]

SESSIONS = 10
SECONDS = 90


@pytest.fixture(scope="module")
def load() -> Load:
    return measure(SESSIONS, SECONDS)


def test_every_visitor_is_told_of_every_bar(load: Load) -> None:
    assert load.watched
    assert load.missed == 0
    assert len(load.ages["live"]) == len(load.watched) * SESSIONS / 2
    assert load.ages["backtest"]


def test_memory_does_not_grow_while_visitors_watch(load: Load) -> None:
    second, last = quarters(load)
    assert last < 1.1 * second


def test_a_bar_takes_its_writer_less_than_twice_the_processor_that_it_takes_when_nobody_looks(load: Load) -> None:
    """How long it waits for its turn is the machine's affair, and no lock is the readers'."""
    alone, watched = (np.median([bar.cpu for bar in bars]) for bars in (load.alone, load.watched))
    assert watched < 2 * alone


def test_visitors_that_leave_give_their_places_back(load: Load) -> None:
    assert load.remained == 0
