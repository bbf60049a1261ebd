"""The page of a session while hundreds of bars stream through it: `JARVIS_SOAK_BARS` says how many.

With `--log-cli-level=INFO` it tells the sizes of page and server at each check, in bytes and counts.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
from playwright.sync_api import CDPSession, Page

from data.runs import read_run
from data.writer import Lake
from tests.browser.conftest import Dashboard, Visit, chart, serving, until
from tests.servers.streamed_session import MINUTE, RUN, START, StreamedSession

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(36_000)]

BARS = int(os.environ.get("JARVIS_SOAK_BARS", "300"))
HISTORY = 2_100
"""So many bars are merged in the charts, which then have about the same number of candles throughout."""

CHECKED_EVERY = min(50, max(1, BARS // 6))
SEEN_EVERY = CHECKED_EVERY if BARS > 1_000 else 1
"""Bars until the page is waited for; that none is missed is told by what it lists at each check."""

LISTED = 100

_ZOOM = """width => {
  const models = Bokeh.documents.flatMap(d => d.roots()).flatMap(root => [...root.references()])
  const axis = models.find(model => model.type === "Figure" && model.name === "price").x_range
  axis.setv({start: axis.end - width})
}"""
"""Zoom in to the end, with which a view moves on."""


class Size(NamedTuple):
    """What the page and the server take."""

    heap: float
    nodes: float
    listeners: float
    server: float

    @classmethod
    def now(cls, devtools: CDPSession, pid: int) -> Size:
        devtools.send("HeapProfiler.collectGarbage")
        told = {metric["name"]: metric["value"] for metric in devtools.send("Performance.getMetrics")["metrics"]}
        counted = (told[name] for name in ("JSHeapUsedSize", "Nodes", "JSEventListeners"))
        return cls(*counted, psutil.Process(pid).memory_info().rss)


@pytest.fixture
def streamed(tmp_path: Path) -> Iterator[tuple[StreamedSession, Dashboard]]:
    session = StreamedSession(Lake(tmp_path / "lake"), HISTORY)
    with serving(session.lake.root, tmp_path) as dashboard:
        yield session, dashboard


def newest_drawn(page: Page) -> bool:
    """Whether the last bar that is listed lies in the last candle that is drawn, and in the line of equity."""
    bar = (START + int(listed(page)[0].removeprefix("bar ")) * MINUTE).timestamp() * 1000
    drawn = chart(page, "price")["layers"][0]["data"]["ts"]
    equity = chart(page, "equity")["layers"][-1]["data"]["ts"]
    return bool(drawn[-1] <= bar < drawn[-1] + drawn[1] - drawn[0] and equity[-1] == bar)


def listed(page: Page) -> list[str]:
    told: list[str] = (
        page.get_by_role("region", name="Decisions")
        .locator("tbody tr")
        .evaluate_all("rows => rows.map(row => row.cells[3].textContent)")
    )
    return told


def test_bars_stream_through_a_page_that_stays_as_small_and_where_it_is(
    streamed: tuple[StreamedSession, Dashboard], visit: Visit
) -> None:
    session, dashboard = streamed
    page = visit(f"{dashboard.url}?page=live&run={RUN}")
    devtools = page.context.new_cdp_session(page)
    devtools.send("Performance.enable")
    zoom = 500 * MINUTE.total_seconds() * 1000
    page.evaluate(_ZOOM, zoom)
    sizes = []
    for step in range(1, BARS + 1):
        session.step()
        if step % SEEN_EVERY == 0:
            newest = f"bar {session.bars - 1}"
            until(lambda: listed(page)[:1] == [newest], 300)  # noqa: B023
        if step % CHECKED_EVERY == 0:
            decisions = read_run(session.lake, RUN, "decisions")
            assert listed(page) == list(decisions["detail"].iloc[::-1][:LISTED])
            until(lambda: newest_drawn(page), 300)
            start, end = chart(page, "price")["x"]
            assert end - start == pytest.approx(zoom)
            sizes.append(Size.now(devtools, dashboard.pid))
            logging.getLogger(__name__).info("bar %s: %s", step, sizes[-1])
    settled, last = sizes[len(sizes) // 3], sizes[-1]
    for name in Size._fields:
        assert getattr(last, name) < 1.15 * getattr(settled, name), (name, sizes)
