"""Takes the pictures of the dashboard: `make pictures`, or of some pages `python -m docs.pictures live parity`.

Every page that the dashboard has, dark and light, on a desktop and on a phone, as far as the screen goes and from its
head to its end, into docs/pictures; and the three of the README. The lake is a fresh one that the flows have written:
backtests and a sweep of the sample, and a session on random candles that end now, compared with its backtest, from
which it differs where its prices were others. The browser is Chromium.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pandas as pd
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from dashboards.pages import PAGES
from data.settings import CHECKOUT
from data.views import read
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
_ASKEW = slice(FIRST + 80, FIRST + 90)
"""The session's candles that open higher where it asks for the price than in the lake: there parity finds fills that
differ."""

_QUERY = "Equity and drawdown of the newest run"
_REFUSED = "SELECT * FROM read_csv('/etc/passwd')"
"""The queries of the page of SQL: an example that is there, and one that is beyond the walls."""


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
        shown = write_lake(Path(folder))
        served = serving(Path(folder) / "lake", Path(folder), "--setup", "dashboards/setup.py")
        with served as dashboard, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
            for slug in slugs:
                for name, act in _ACTS.get(slug, {slug: None}).items():
                    take(browser, f"{dashboard.url}?page={slug}{shown.get(slug, '')}", name, act)
            browser.close()


def write_lake(folder: Path) -> dict[str, str]:
    """Let the flows fill a lake; return what the address of a page picks, by slug."""
    os.environ |= {"JARVIS_LAKE": str(folder / "lake"), "JARVIS_STATE": str(folder / "state"), "PREFECT_API_URL": ""}
    for flow in _FLOWS:
        command = [sys.executable, "-m", "flows.cli", *flow.split()]
        subprocess.run(command, cwd=CHECKOUT, stdout=subprocess.DEVNULL, check=True)  # noqa: S603
    lake, candles, hour = Lake(folder / "lake"), random_candles(3, FIRST + _CANDLES), pd.Timedelta("1h")
    candles.index += pd.Timestamp.now("UTC").floor("h") - hour - candles.index[-1]
    lake.append("candles", candle_rows(candles).assign(fetched_at=candles.index + hour))
    candles.iloc[_ASKEW, candles.columns.get_loc("open")] *= 1.002
    parameters = LiveParameters(exchange=EXCHANGE, timeframe="1h", strategy="macd", cash=50_000.0, stop_loss=0.03,
                                params={"fast": 3, "slow": 7, "smooth": 3})  # fmt: skip
    with ExitStack() as stack:
        replayed = replay(lake, candles, parameters, MARKET, FIRST, stack)
        for position in range(FIRST, len(candles)):
            replayed.step(position)
        (session,) = replayed.session.runs.values()
    parity = check_parity(lake, session.run_id)
    differs = parity["ts"][parity["verdict"] != "equal"].iloc[0]
    query = "SELECT run_id FROM runs WHERE kind = 'backtest' AND strategy = 'macd'"
    (other,) = read(lake, query, None, tables={"runs"})["run_id"].to_pylist()
    return {
        "backtest": f"&trade=2&compare={other}",
        "parity": f"&run={session.run_id}&candle={differs:%Y-%m-%dT%H:%M:%S}",
    }


def take(browser: Browser, address: str, name: str, act: Callable[[Page], None] | None) -> None:
    """Take the pictures of a page after an act of its visitor."""
    for size, (width, height) in SIZES.items():
        for theme in ("dark", "light"):
            page = browser.new_page(viewport={"width": width, "height": height})
            page.set_default_timeout(180_000)
            page.goto(f"{address}&theme={theme}", wait_until="domcontentloaded")
            wait_until_filled(page)
            if act is not None:
                act(page)
            page.wait_for_timeout(1_500)  # charts are painted after they have come
            taken = f"{name}-{theme}-{size}"
            save(page.screenshot(), DOCS / "pictures" / f"{taken}.png")
            if taken in README:
                save(page.screenshot(), DOCS / f"{README[taken]}.png")
            save(page.screenshot(full_page=True), DOCS / "pictures" / f"{taken}-whole.png")
            page.close()


def ask(page: Page) -> None:
    """Run an example, and wait for its answer."""
    page.get_by_role("combobox", name="Examples").select_option(label=_QUERY)
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_role("columnheader", name="drawdown").wait_for()


def ask_in_vain(page: Page) -> None:
    """Run a query that is refused."""
    page.get_by_role("textbox", name="SQL query").fill(_REFUSED)
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_role("alert").wait_for()


_ACTS: dict[str, dict[str, Callable[[Page], None] | None]] = {"sql": {"sql": ask, "sql-refused": ask_in_vain}}
"""What is done on a page before its pictures are taken, by their name; on the others nothing."""


def save(picture: bytes, path: Path) -> None:
    """Write a picture in all its colours, without transparency, as small as PNG gets."""
    path.parent.mkdir(exist_ok=True)
    Image.open(io.BytesIO(picture)).convert("RGB").save(path, optimize=True)


if __name__ == "__main__":
    main()
