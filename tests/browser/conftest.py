"""A real dashboard over a lake that the real flow wrote, and a real browser, which may find nothing to complain of."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from filelock import FileLock
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect, sync_playwright

from dashboards.pages import PAGES
from data.runs import read_run
from data.settings import CHECKOUT
from data.views import read
from data.writer import Lake
from flows.parameters import LiveParameters
from flows.parity import check_parity
from tests.flow.test_live_parity import FIRST, MARKET, candle_rows, random_candles
from tests.servers.processes import free_port
from tests.servers.recorded_market import EXCHANGE, replay

RUNS = (["--strategy", "macd"], ["--strategy", "sma_crossover"])
"""The backtests in the lake; the last is the newest."""

_VISITOR_LEFT = re.compile(
    r"Task exception was never retrieved\nfuture: .*?\ntornado\.websocket\.WebSocketClosedError\n", re.S
)
"""What Tornado logs of a patch that was on its way to a page that was closed; nobody can catch it but Bokeh."""

_FILLED = """() => {
  const slots = [...document.querySelectorAll("main .slot")].filter(slot => slot.offsetParent !== null)
  return slots.every(slot => slot.querySelector(".filled") && !slot.querySelector(".waiting"))
    && document.querySelector("main .filled") !== null && Bokeh.documents.every(d => d.is_idle)
}"""

expect.set_options(timeout=20_000)
"""Milliseconds; Playwright's own 5,000 are short where other tests share the processor."""

_CHART = """name => {
  const models = Bokeh.documents.flatMap(d => d.roots()).flatMap(root => [...root.references()])
  const figure = models.find(model => model.type === "Figure" && model.name === name)
  if (figure === undefined) return null
  const plain = (column) => Array.from(column, value => Number.isNaN(value) ? null : value)
  const layers = figure.renderers.map(layer => ({
    name: layer.name, glyph: layer.glyph.type, field: layer.glyph.y?.field,
    data: Object.fromEntries(Object.entries(layer.data_source.data).map(([key, column]) => [key, plain(column)])),
  }))
  return {layers, x: [figure.x_range.start, figure.x_range.end], y: [figure.y_range.start, figure.y_range.end]}
}"""


@dataclass
class Dashboard:
    """A dashboard that is being served."""

    url: str
    lake: Path
    log: Path
    pid: int = 0


Serve = Callable[[Path], Dashboard]
Visit = Callable[..., Page]


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """Return a folder that `make` fills for all the processes of a test run; nobody may change it."""
    parent = factory.getbasetemp()
    folder = (parent.parent if "PYTEST_XDIST_WORKER" in os.environ else parent) / name
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            unfinished = folder.with_name(f"{name}.unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            make(unfinished)
            unfinished.rename(folder)
    return folder


@pytest.fixture(scope="session")
def lake_of_the_flow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with two backtests of the sample, written by the flow."""

    def make(folder: Path) -> None:
        for options in RUNS:
            backtest(folder / "lake", *options)

    return made_once(tmp_path_factory, "lake_of_the_flow", make) / "lake"


@dataclass
class Filled:
    """A lake with something for every page, and the session that is in it."""

    lake: Lake
    run: str

    def addresses(self) -> dict[str, str]:
        """What to ask for to see each page with all its cards, by slug."""
        sessions = {"live": f"&run={self.run}", "parity": f"&run={self.run}"}
        return {page.slug: f"?page={page.slug}{sessions.get(page.slug, '')}" for page in PAGES}


@pytest.fixture(scope="session")
def lake_for_every_page(lake_of_the_flow: Path, tmp_path_factory: pytest.TempPathFactory) -> Filled:
    """The lake of the flow, with a sweep, and a session that was compared; in one candle it filled otherwise."""

    def make(folder: Path) -> None:
        lake = Lake(Path(shutil.copytree(lake_of_the_flow, folder / "lake")))
        jarvis(lake.root, "sweep", "--grid", "fast=5:15:5", "--grid", "slow=20:40:10", "--split", "0.7", "--best", "0")
        candles = random_candles(3, FIRST + 60)
        lake.append("candles", candle_rows(candles))
        parameters = LiveParameters(exchange=EXCHANGE, timeframe="1h", cash=50_000.0, params={"fast": 2, "slow": 4},
                                    history=500, stop_loss=0.01)  # fmt: skip
        with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
            patch.setenv("JARVIS_STATE", str(folder / "state"))
            replayed = replay(lake, candles, parameters, MARKET, FIRST, stack)
            for position in range(FIRST, FIRST + 30):
                (outcome,) = replayed.step(position)
            check_parity(lake, outcome.run_id)
            parity = read_run(lake, outcome.run_id, "parity")
            lake.upsert("parity", parity.iloc[[5]].assign(verdict="fill", detail="bought at another price"))

    lake = Lake(made_once(tmp_path_factory, "lake_for_every_page", make) / "lake")
    rows = read(lake, "SELECT run_id FROM runs WHERE kind = 'paper'", None, tables={"runs"})
    return Filled(lake, rows["run_id"][0].as_py())


@pytest.fixture
def lake_to_change(lake_of_the_flow: Path, tmp_path: Path) -> Path:
    """A copy of that lake, for one test alone."""
    return Path(shutil.copytree(lake_of_the_flow, tmp_path / "lake"))


def backtest(lake: Path, *options: str) -> None:
    """Run the flow, as the user does."""
    jarvis(lake, "backtest", *options)


def jarvis(lake: Path, flow: str, *options: str) -> None:
    """Run a flow over the sample."""
    command = [sys.executable, "-m", "flows.cli", flow, "--exchange", "sample", "--symbol", "AAPL", *options]
    environment = {**os.environ, "JARVIS_LAKE": str(lake), "PREFECT_API_URL": ""}
    done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@contextmanager
def serving(
    lake: Path, folder: Path, *options: str, address: str | None = "127.0.0.1", port: int = 0
) -> Iterator[Dashboard]:
    """Serve the dashboard as the user does; afterwards its log must have no traceback."""
    port = port or free_port()
    command = [sys.executable, "-m", "panel", "serve", "dashboards/trading.py", "--port", str(port), "--liveness"]
    command += [*(["--address", address] if address else []), *options]
    log = folder / "server.log"
    environment = {**os.environ, "JARVIS_LAKE": str(lake)}
    with log.open("w") as out:
        process = subprocess.Popen(command, cwd=CHECKOUT, env=environment, stdout=out, stderr=subprocess.STDOUT)
    try:
        _wait_for_the_server(port, process, log)
        yield Dashboard(f"http://127.0.0.1:{port}/trading", lake, log, process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
    said = _VISITOR_LEFT.sub("", log.read_text())
    assert not [line for line in said.splitlines() if "Traceback" in line or " ERROR" in line], said


def _wait_for_the_server(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        try:
            httpx.get(f"http://127.0.0.1:{port}/liveness", timeout=5)
        except httpx.HTTPError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"the dashboard does not answer:\n{log.read_text()}")


@pytest.fixture(scope="session")
def dashboard(lake_of_the_flow: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """The dashboard over the lake of the flow, which stays as it is."""
    with serving(lake_of_the_flow, tmp_path_factory.mktemp("server")) as served:
        yield served


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The browser; skips where the machine has none."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("needs Chromium: `make test` installs it, or apt-get install chromium")
    # Not for the session: while Playwright runs, no other test of this process can run an event loop.
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Serve a lake until the test's visitors have left."""
    with ExitStack() as stack:
        yield lambda lake: stack.enter_context(serving(lake, tmp_path))


@pytest.fixture
def visit(chromium: Browser, serve: Serve) -> Iterator[Visit]:
    """Open a page as a new visitor."""
    with visiting(chromium) as opened:
        yield opened


@contextmanager
def visiting(chromium: Browser) -> Iterator[Visit]:
    """Open pages; at the end none may have an error, or have asked anything of another machine."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type == "error":
            complaints.append(message.text)

    def watch(request: Request) -> None:
        if not request.url.startswith(("http://127.0.0.1:", "http://localhost:", "data:", "blob:")):
            complaints.append(f"asked for {request.url}")

    def opened(url: str, *, width: int = 1440, height: int = 900, filled: bool = True, **options: Any) -> Page:
        context = chromium.new_context(viewport={"width": width, "height": height}, **options)
        context.set_default_timeout(60_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", hear)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", watch)
        page.goto(url, wait_until="domcontentloaded")
        if filled:
            wait_until_filled(page)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not complaints


def wait_until_filled(page: Page) -> None:
    """Wait until every card that is shown has its content."""
    page.wait_for_function("() => window.Bokeh && Bokeh.documents.length > 0", polling=50)
    page.wait_for_function(_FILLED, polling=50)


def until(condition: Callable[[], Any], seconds: float = 60.0) -> None:
    """Wait until a condition holds; it is asked twenty times a second and more."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def chart(page: Page, name: str) -> Any:
    """What is in a chart: the layers with their data, and the ranges in view; None where there is no such chart."""
    return page.evaluate(_CHART, name)


def layer(page: Page, name: str, layer_name: str) -> dict[str, list[Any]]:
    """The data of one layer of a chart."""
    found = [layer["data"] for layer in chart(page, name)["layers"] if layer["name"] == layer_name]
    assert len(found) == 1, f"{len(found)} layers {layer_name} in chart {name}"
    data: dict[str, list[Any]] = found[0]
    return data
