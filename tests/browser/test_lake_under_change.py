"""Files that are replaced, compacted, torn and taken away under pages that are open: one card says so, for a while."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from data.upkeep import settle
from data.writer import Lake
from tests.browser.conftest import Serve, Visit
from tests.servers import growing_session

pytestmark = pytest.mark.browser

HELD = 40
PAGES = ("backtest", "live", "data", "parity", "sql")


@contextmanager
def torn_file(lake: Lake) -> Iterator[None]:
    with torn(max(lake.path("equity").glob("*.parquet"), key=lambda file: file.stat().st_mtime)):
        yield


@contextmanager
def cut_log(lake: Lake) -> Iterator[None]:
    with torn(max((lake.path("equity") / "_delta_log").glob("*.json"))):
        yield


@contextmanager
def torn(file: Path) -> Iterator[None]:
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    yield
    file.write_bytes(whole)


@contextmanager
def taken_away(lake: Lake) -> Iterator[None]:
    elsewhere = lake.root.parent / "elsewhere"
    shutil.move(lake.path("equity"), elsewhere)
    yield
    shutil.move(elsewhere, lake.path("equity"))


def test_what_happens_to_files_under_open_pages_spoils_no_more_than_it_has_to(
    lake_to_change: Path, serve: Serve, visit: Visit
) -> None:
    lake = Lake(lake_to_change)
    growing_session.begin(lake, HELD)
    dashboard = serve(lake_to_change)
    pages = {name: visit(f"{dashboard.url}?page={name}") for name in PAGES}
    live = pages["live"]
    number = HELD

    def go_on(*without: str) -> None:
        """Write a candle, and see it on the page."""
        nonlocal number
        for name, rows in growing_session.rows_of(number, number + 1).items():
            if name not in without:
                lake.append(name, rows)
        expect(live.get_by_role("cell", name=f"tick {number}", exact=True)).to_be_visible(timeout=60_000)
        number += 1

    for _ in range(3):
        go_on()
    settle(lake, keep=timedelta(0))
    go_on()
    for page in pages.values():
        expect(alerts(page)).to_have_count(0)
    for harm in (torn_file, cut_log, taken_away):
        with harm(lake):
            go_on("equity")
            if harm is not taken_away:  # a table that is away is one that was never written
                expect(alerts(live).first).to_be_visible()
            expect(live.get_by_role("heading", name="Decisions")).to_be_visible()
            assert str(lake.root) not in live.content()
            for name in PAGES[2:]:
                expect(alerts(pages[name])).to_have_count(0)
        go_on()
        for page in pages.values():
            expect(alerts(page)).to_have_count(0, timeout=60_000)


def alerts(page: Page) -> Locator:
    return page.get_by_role("alert").filter(visible=True)
