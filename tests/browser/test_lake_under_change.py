"""What open pages show while the lake's files are compacted, torn, moved away and put back: right again by itself."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from data.runs import read_run
from data.upkeep import settle
from data.writer import Lake
from tests.browser.conftest import Filled, Visit, serving, visiting, wait_until_filled

pytestmark = [pytest.mark.browser, pytest.mark.slow]

_FIGURES = """() => {
  const inside = (root) => [...root.querySelectorAll("*")]
    .flatMap(element => element.shadowRoot ? [element, ...inside(element.shadowRoot)] : [element])
  return inside(document.querySelector("main")).filter(e => e.matches("dd, .run, .listing td") && e.checkVisibility())
    .map(e => e.textContent)
}"""

_WATCH = """() => {
  window.faults = new Set()
  const alerts = (root) => [...root.querySelectorAll("*")].flatMap(
    element => element.shadowRoot ? alerts(element.shadowRoot) : element.matches("[role=alert]") ? [element] : [])
  setInterval(() => alerts(document).forEach(one => one.checkVisibility() && window.faults.add(one.textContent)), 20)
}"""


@dataclass
class Watched:
    """Every page of the dashboard, open over a lake that is about to suffer."""

    url: str
    lake: Lake
    filled: Filled
    visit: Visit
    pages: dict[str, Page]

    def commit(self) -> None:
        """Write a version of the lake, so that every page looks at it afresh."""
        self.lake.upsert("fills", read_run(self.filled.lake, self.filled.run, "fills"))

    def figures(self, *slugs: str) -> dict[str, list[str]]:
        return {slug: self.pages[slug].evaluate(_FIGURES) for slug in slugs or self.pages}

    def expect_figures(self, figures: dict[str, list[str]]) -> None:
        """Wait until every page shows these again, and no fault; nobody reloads a page."""
        for slug, page in self.pages.items():
            expect(page.get_by_role("alert")).to_have_count(0)
            page.wait_for_function(f"wanted => ({_FIGURES})().join('|') === wanted.join('|')", arg=figures[slug])
            wait_until_filled(page)


@pytest.fixture(scope="module")
def watched(
    lake_for_every_page: Filled, tmp_path_factory: pytest.TempPathFactory, chromium: Browser
) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("changed")
    lake = Lake(Path(shutil.copytree(lake_for_every_page.lake.root, folder / "lake")))
    with serving(lake.root, folder) as dashboard, visiting(chromium) as visit:
        addresses = lake_for_every_page.addresses()
        pages = {slug: visit(dashboard.url + address) for slug, address in addresses.items()}
        for page in pages.values():
            page.evaluate(_WATCH)
        yield Watched(dashboard.url, lake, lake_for_every_page, visit, pages)


@contextmanager
def torn(*files: Path) -> Iterator[None]:
    """Files of which the second half is gone, put back at the end without a commit."""
    whole = {file: file.read_bytes() for file in files}
    for file, content in whole.items():
        file.write_bytes(content[: len(content) // 2])
    yield
    for file, content in whole.items():
        file.write_bytes(content)


def test_the_lakes_own_upkeep_is_seen_by_nobody(watched: Watched) -> None:
    before = watched.figures("backtest", "sweep", "live", "parity", "sql")
    files = {file for file in watched.lake.root.rglob("*.parquet") if "_delta_log" not in file.parts}
    for _ in range(3):
        watched.commit()
        settle(watched.lake, keep=timedelta(0))
    left = {file for file in watched.lake.root.rglob("*.parquet") if "_delta_log" not in file.parts}
    assert len(left) < len(files) / 2
    watched.expect_figures({**before, **watched.figures("data")})
    for slug, page in watched.pages.items():
        faults = page.evaluate("() => [...window.faults]")
        assert len(faults) <= 1, (slug, faults)
        expect(watched.visit(watched.url + watched.filled.addresses()[slug]).get_by_role("alert")).to_have_count(0)


def test_a_file_that_is_torn_and_put_back_spoils_what_needs_it_until_then(watched: Watched) -> None:
    before = watched.figures()
    files = [file for name in ("trades", "orders") for file in (watched.lake.root / name).glob("*.parquet")]
    with torn(*files):
        watched.commit()
        spoilt = watched.pages["live"].get_by_role("alert")
        expect(spoilt.filter(has_text="The list of orders cannot be shown")).to_be_visible()
        newcomer = watched.visit(watched.url)
        faults = newcomer.get_by_role("alert")
        expect(faults.filter(has_text="The table of trades cannot be shown")).to_be_visible()
        expect(faults.filter(has_text="Something is left out of this chart")).to_be_visible()
        expect(watched.pages["data"].get_by_role("alert")).to_have_count(0)
    expect(newcomer.get_by_role("alert")).to_have_count(0, timeout=60_000)
    watched.expect_figures(before)
    wait_until_filled(newcomer)
    assert newcomer.evaluate(_FIGURES) == before["backtest"]


@pytest.mark.parametrize("table", ["runs", "equity", "candles", "parity"])
def test_a_log_that_is_torn_and_put_back_takes_nothing_from_what_is_shown(watched: Watched, table: str) -> None:
    before = watched.figures()
    log = watched.lake.path(table) / "_delta_log"
    with torn(*log.glob("*.json"), *log.glob("*.parquet")):
        watched.commit()
        page = watched.pages["data" if table == "candles" else "live"]
        expect(page.get_by_text("cannot be").first).to_be_visible()
    watched.expect_figures(before)
    for slug in ("backtest", "live"):
        expect(watched.pages[slug].get_by_text("cannot be read")).to_have_count(0)


def test_a_lake_that_is_moved_away_and_replaced_by_its_copy_fills_the_pages_again(watched: Watched) -> None:
    before = watched.figures()
    away = watched.lake.root.with_name("away")
    watched.lake.root.rename(away)
    expect(watched.pages["backtest"].get_by_text("0 backtests")).to_be_visible()
    expect(watched.pages["data"].get_by_text("0 series")).to_be_visible()
    shutil.copytree(away, watched.lake.root)
    expect(watched.pages["backtest"].get_by_text("2 backtests")).to_be_visible()
    watched.expect_figures(before)
