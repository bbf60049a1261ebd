"""How fast the dashboard is, in a browser, on runs of any length: `python -m benchmarks.dashboard`.

Chromium against `panel serve`, over a lake in a temporary folder with one backtest (`dashboard_lake`; the longest takes
1.2 GB of disk and 3 GB of memory to make). Every visit is a new visitor with an empty cache. Measured are, by the
browser's own clock, what `main` prints; the goals below are what was set for two cores of their own.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import psutil
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.dashboard_lake import write_run
from data.runs import record_run
from data.writer import Lake
from tests.browser.conftest import Dashboard, serving, wait_until_filled

SIZES = (10_000, 1_000_000, 10_000_000)
_HEADS = (
    "candles", "first paint", "filled, first visitor", "filled", "refresh", "zoom, median", "zoom, most",
    "zoom, kB", "server MB",
)  # fmt: skip
_GOALS = ("goal", "500", "", "2,500", "400", "150", "300", "", "")
_STEPS = 14

_PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"

_WATCH = """() => {
  const models = Bokeh.documents.flatMap(d => d.roots()).flatMap(root => [...root.references()])
  const price = models.find(model => model.type === "Figure" && model.name === "price")
  window.turned = window.came = null
  price.renderers[0].data_source.properties.data.change.connect(() => { window.came = performance.now() })
  document.addEventListener("wheel", () => { window.turned = performance.now() }, {capture: true, passive: true})
}"""

_COUNTED = """count => new Promise(resolve => {
  const models = () => Bokeh.documents.flatMap(d => d.roots()).flatMap(root => [...root.references()])
  const look = () => models().some(model => typeof model.text === "string" && model.text.includes(count))
    ? resolve(Date.now()) : setTimeout(look, 10)
  look()
})"""


class Figures(NamedTuple):
    """What one length of run came to: milliseconds, kilobytes a zoom, megabytes of the server."""

    paint: list[float]
    first: float
    filled: list[float]
    refresh: list[float]
    zoom: list[float]
    sent: list[float]
    memory: float

    def row(self, length: int) -> list[str]:
        zoom, sent = self.zoom or [float("nan")], self.sent or [float("nan")]
        middles = [statistics.median(values) for values in (self.paint, self.filled, self.refresh, zoom)]
        paint, filled, refresh, middle = middles
        shown = (paint, self.first, filled, refresh, middle, max(zoom), statistics.median(sent), self.memory)
        return [f"{length:,}", *(f"{value:,.0f}" for value in shown)]


@contextmanager
def chromium() -> Iterator[Browser]:
    program = shutil.which("chromium")
    if program is None:
        sys.exit("this benchmark needs Chromium: sudo apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@contextmanager
def visitor(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(180_000)
    yield context.new_page()
    context.close()


def measure(browser: Browser, dashboard: Dashboard, run: str, visits: int) -> Figures:
    """Measure one run on a server that nobody has visited yet."""
    with visitor(browser) as page:
        _, first = opened(page, dashboard, run)
        zoom, sent = zooms(page)
        refresh = [refreshed(page, dashboard, number) for number in range(2, 2 + visits)]
    paint, filled = [], []
    for _ in range(visits):
        with visitor(browser) as page:
            painted, full = opened(page, dashboard, run)
            paint.append(painted)
            filled.append(full)
    return Figures(paint, first, filled, refresh, zoom, sent, memory_of(dashboard))


def opened(page: Page, dashboard: Dashboard, run: str) -> tuple[float, float]:
    """Open the run's page; return when something was painted and when all cards were filled."""
    page.goto(f"{dashboard.url}?page=backtest&run={run}", wait_until="domcontentloaded")
    wait_until_filled(page)
    filled = page.evaluate("performance.now()")
    return page.evaluate(_PAINT), filled


def zooms(page: Page) -> tuple[list[float], list[float]]:
    """Zoom in step by step; return how long after each turn of the wheel other candles came, and their kilobytes."""
    came, sent, frames = [], [], [0]
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.on("Network.webSocketFrameReceived", lambda event: frames.append(len(event["response"]["payloadData"])))
    box = page.locator("canvas").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.5 * box["height"])
    page.wait_for_timeout(1_000)
    page.evaluate(_WATCH)
    for _ in range(_STEPS):
        frames.clear()
        page.evaluate("window.came = null")
        page.mouse.wheel(0, -300)
        page.wait_for_timeout(1_500)
        turned, arrived = page.evaluate("[window.turned, window.came]")
        if arrived is not None:
            came.append(arrived - turned)
            sent.append(sum(frames) / 1000)
    return came, sent


def refreshed(page: Page, dashboard: Dashboard, number: int) -> float:
    """Record one more run; return how long after that the page counts it."""
    ts = pd.date_range("2024-01-01", periods=2, freq="min", tz="UTC", unit="us")
    row = {"run_id": f"further-{number}", "kind": "backtest", "exchange": "csv", "symbol": "A/B", "timeframe": "1m"}
    spent = {"strategy": "sma_crossover", "parameters": "{}", "cash": 1.0, "fee": 0.0, "slippage": 0.0}
    known = {"start_ts": ts[0], "end_ts": ts[1], "candles": 2, "code_version": "0", "manifest": "{}"}
    record_run(Lake(dashboard.lake), {**row, **spent, **known, "created_at": ts[0]}, {})
    recorded = time.time() * 1000
    return float(page.evaluate(_COUNTED, f"{number} backtests")) - recorded


def memory_of(dashboard: Dashboard) -> float:
    port = int(dashboard.url.split(":")[2].split("/")[0])
    held = (psutil.Process(one.pid).memory_info().rss for one in psutil.net_connections("tcp")
            if one.status == psutil.CONN_LISTEN and one.laddr.port == port and one.pid)  # fmt: skip
    return next(held) / 1e6


def made(folder: Path, length: int) -> str:
    """Write the lake in a process of its own, whose memory is free again afterwards; return the run's id."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(write_run, (Lake(folder / "lake"), length))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="candles of the runs")
    parser.add_argument("--visits", type=int, default=5, help="for each median")
    options = parser.parse_args()
    for cells in (_HEADS, ["---"] * len(_HEADS)):
        print(f"| {' | '.join(cells)} |")
    for length in options.sizes:
        with tempfile.TemporaryDirectory(prefix="jarvis-dashboard-") as name:
            run = made(Path(name), length)
            served = serving(Path(name) / "lake", Path(name), "--setup", "dashboards/setup.py")
            with served as dashboard, chromium() as browser:
                figures = measure(browser, dashboard, run, options.visits)
        print(f"| {' | '.join(figures.row(length))} |", flush=True)
    print(f"| {' | '.join(_GOALS)} |")
    print(f"\nload average {os.getloadavg()[1]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
