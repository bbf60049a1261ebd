"""Takes the pictures of the dashboard: `make pictures`, or of some pages `python -m docs.pictures live parity`.

Every page that the dashboard has, dark and light, on a desktop and on a phone, and on a desktop from its head to its
end, into docs/pictures; and the three of the README. The lake is a fresh one that the flows have written: backtests and
a sweep of the sample, and a session on recorded candles, compared with its backtest. The browser is Chromium.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from dashboards.pages import PAGES
from data.settings import CHECKOUT
from data.writer import Lake
from flows.parameters import LiveParameters
from flows.parity import check_parity
from tests.browser.conftest import serving, wait_until_filled
from tests.flow.test_live_parity import FIRST, MARKET, candle_rows, random_candles
from tests.servers.recorded_market import EXCHANGE, replay

DOCS = Path(__file__).parent
SIZES = {"desktop": (1440, 1080), "phone": (390, 844)}
README = {
    "backtest-dark-desktop": "dashboard",
    "backtest-light-desktop": "dashboard-light",
    "backtest-dark-phone": "dashboard-phone",
}
"""Pictures that stand in docs under another name too."""

_FLOWS = (
    "backtest --strategy macd",
    "sweep --strategy sma_crossover --grid fast=5:50:5 --grid slow=20:200:20 --split 0.7",
    "backtest --strategy sma_crossover",
)
_CANDLES = 120
_QUERY = "Equity and drawdown of the newest run"
"""The example of the page of SQL that is shown."""


def main() -> None:
    """Fill a lake, serve it, take the pictures."""
    known = [page.slug for page in PAGES]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", nargs="*", help=f"one of {', '.join(known)}; without any, all of them")
    slugs = parser.parse_args().page or known
    if strangers := sorted(set(slugs) - set(known)):
        parser.error(f"unknown page {strangers[0]}: there are {', '.join(known)}")
    program = shutil.which("chromium")
    if program is None:
        sys.exit("pictures need Chromium: sudo apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder:
        session = write_lake(Path(folder))
        served = serving(Path(folder) / "lake", Path(folder), "--setup", "dashboards/setup.py")
        with served as dashboard, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
            for slug in slugs:
                named = f"&run={session}" if slug == "parity" else ""
                take(browser, f"{dashboard.url}?page={slug}{named}", slug)
            browser.close()


def write_lake(folder: Path) -> str:
    """Let the flows fill a lake; return the run of its session."""
    os.environ |= {"JARVIS_LAKE": str(folder / "lake"), "JARVIS_STATE": str(folder / "state"), "PREFECT_API_URL": ""}
    for flow in _FLOWS:
        command = [sys.executable, "-m", "flows.cli", *flow.split()]
        subprocess.run(command, cwd=CHECKOUT, stdout=subprocess.DEVNULL, check=True)  # noqa: S603
    lake, candles = Lake(folder / "lake"), random_candles(3, FIRST + _CANDLES)
    lake.append("candles", candle_rows(candles))
    parameters = LiveParameters(
        exchange=EXCHANGE, timeframe="1h", strategy="macd", cash=50_000.0, params={"fast": 3, "slow": 7, "smooth": 3}
    )
    with ExitStack() as stack:
        replayed = replay(lake, candles, parameters, MARKET, FIRST, stack)
        for position in range(FIRST, len(candles)):
            replayed.step(position)
        (run,) = replayed.session.runs.values()
    check_parity(lake, run.run_id)
    return run.run_id


def take(browser: Browser, address: str, slug: str) -> None:
    """Take the pictures of a page."""
    for size, (width, height) in SIZES.items():
        for theme in ("dark", "light"):
            page = browser.new_page(viewport={"width": width, "height": height})
            page.set_default_timeout(180_000)
            page.goto(f"{address}&theme={theme}", wait_until="domcontentloaded")
            wait_until_filled(page)
            if slug == "sql":
                ask(page)
            page.wait_for_timeout(1_500)  # charts are painted after they have come
            name = f"{slug}-{theme}-{size}"
            save(page.screenshot(), DOCS / "pictures" / f"{name}.png")
            if name in README:
                save(page.screenshot(), DOCS / f"{README[name]}.png")
            if size == "desktop":
                save(page.screenshot(full_page=True), DOCS / "pictures" / f"{slug}-{theme}-whole.png")
            page.close()


def ask(page: Page) -> None:
    """Run an example, and wait for its answer."""
    page.get_by_role("combobox", name="Examples").select_option(label=_QUERY)
    page.get_by_role("button", name="Run").first.click()
    page.get_by_role("columnheader", name="drawdown").wait_for()


def save(picture: bytes, path: Path) -> None:
    """Write a picture with 256 colours: a third of the bytes, and nobody sees a difference."""
    path.parent.mkdir(exist_ok=True)
    picked = Image.open(io.BytesIO(picture)).convert("RGB").quantize(256, kmeans=2, dither=Image.Dither.NONE)
    picked.save(path, optimize=True)


if __name__ == "__main__":
    main()
