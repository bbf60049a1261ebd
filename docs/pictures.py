"""Takes the pictures of the dashboard that the README shows: `make pictures`.

The lake is a fresh one, filled by the backtest flow on the sample; the browser is Chromium.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

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
        python("-m", "flows.cli", "backtest", "--exchange", "sample", "--symbol", "AAPL").wait()
        port = free_port()
        server = python(
            *("-m", "panel", "serve", "dashboards/trading.py", "--address", "127.0.0.1", "--port", str(port)),
            *("--setup", "dashboards/setup.py"),
        )
        try:
            wait_for(port, server)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
                take(browser, f"http://127.0.0.1:{port}/trading")
        finally:
            server.terminate()
            server.wait()


def python(*arguments: str) -> subprocess.Popen[bytes]:
    """Start Python in the checkout, quietly."""
    return subprocess.Popen([sys.executable, *arguments], cwd=DOCS.parent, stdout=subprocess.DEVNULL)  # noqa: S603


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    """Wait until the server listens; exits where it ended instead."""
    while server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    sys.exit("the dashboard could not be started")


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
