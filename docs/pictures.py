"""Takes the pictures of the dashboard that the README shows: `make pictures`.

The lake is a fresh one, filled by the backtest flow on the sample; the browser is Chromium.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from data.settings import CHECKOUT, settings
from flows.up import dashboard_command, free_port, listens

DOCS = Path(__file__).parent
PICTURES = {
    "dashboard": ("dark", 1440, 1080),
    "dashboard-light": ("light", 1440, 1080),
    "dashboard-phone": ("dark", 390, 844),
}


def main() -> None:
    """Fill a lake, serve it, take the pictures."""
    program = shutil.which("chromium")
    if program is None:
        sys.exit("pictures need Chromium: sudo apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["JARVIS_LAKE"] = str(Path(folder) / "lake")
        subprocess.run(
            [sys.executable, "-m", "flows.cli", "backtest"], cwd=CHECKOUT, stdout=subprocess.DEVNULL, check=True
        )
        port = free_port(settings().dashboard_port)
        server = subprocess.Popen(dashboard_command(port), cwd=CHECKOUT, stdout=subprocess.DEVNULL)  # noqa: S603
        try:
            wait_for(port, server)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
                take(browser, f"http://127.0.0.1:{port}/trading")
        finally:
            server.terminate()
            server.wait()


def wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    """Wait until the server answers; exits where it ended instead."""
    while not listens(port):
        if server.poll() is not None:
            sys.exit("the dashboard could not be started")
        time.sleep(0.2)


def take(browser: Browser, address: str) -> None:
    """Take each picture once the page is filled."""
    for name, (theme, width, height) in PICTURES.items():
        page = browser.new_page(viewport={"width": width, "height": height})
        page.goto(f"{address}?theme={theme}")
        page.locator("canvas").first.wait_for(timeout=120_000)
        page.wait_for_timeout(3_000)  # the tables come after the charts
        page.screenshot(path=DOCS / f"{name}.png")
        page.close()


if __name__ == "__main__":
    main()
