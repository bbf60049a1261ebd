"""The page of the data, in a browser, over a lake that real collections wrote and go on writing."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Browser, Page, expect

from data.writer import Lake
from tasks.fetch import collect_series
from tasks.fetch.shelf import Shelf
from tasks.fetch.source import Series
from tests.browser.conftest import Dashboard, Serve, Visit, chart, layer, serving, until, visiting, wait_until_filled

pytestmark = pytest.mark.browser

EVIL = "<img src=x onerror=alert(1)>"
BITCOIN, ETHER, SOL = "kraken/BTC/USD/1h", "kraken/ETH/USD/1h", "kraken/SOL/USD/1h"
HOUR = pd.Timedelta(hours=1)
N = 480


def hourly(first: pd.Timestamp, n: int, *absent: int) -> pd.DataFrame:
    """A candles frame without faults: a walk, but for what is absent."""
    walk = 100 * np.exp(np.cumsum(np.random.default_rng(1).normal(0, 0.002, n)))
    prices = {"open": walk, "high": walk * 1.001, "low": walk * 0.999, "close": walk, "volume": 1.0, "trades": np.nan}
    frame = pd.DataFrame(prices, index=pd.date_range(first, periods=n, freq="h", unit="us", name="ts"))
    return frame.drop(frame.index[list(absent)])


def imported(lake: Lake, folder: Path, symbol: str, candles: pd.DataFrame, exchange: str = "kraken") -> None:
    """Collect candles out of a file, as the user does."""
    file = folder / "candles.csv"
    candles.drop(columns="trades").reset_index().to_csv(file, index=False)
    collect_series.fn(lake, exchange, symbol, "1h", file=file, calendar="24/7")


@dataclass
class Collected:
    """The lake, the dashboard over it, and the hour in which its first candle opens."""

    dashboard: Dashboard
    lake: Lake
    first: pd.Timestamp


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collected]:
    """Bitcoin up to this hour with a gap, a revision and an outlier; ether 5 h behind; a collection broken off."""
    folder = tmp_path_factory.mktemp("collected")
    lake = Lake(folder / "lake")
    first = pd.Timestamp.now("UTC").floor("h") - N * HOUR
    bitcoin = hourly(first, N, 100, 101, 102)
    bitcoin.loc[first + 303 * HOUR, "high"] *= 1.5
    imported(lake, folder, "BTC/USD", bitcoin)
    changed = bitcoin.loc[[first + 203 * HOUR]].copy()
    changed["close"] *= 1.0001
    imported(lake, folder, "BTC/USD", changed)
    imported(lake, folder, "ETH/USD", hourly(first, N - 5))
    broken_off = Shelf(lake, Series("kraken", "SOL/USD", "1h"))
    lake.append("candles", broken_off.rows(hourly(first, N, *range(50, 60)), 0))
    collect_series.fn(lake, "sample", "AAPL", "1d")
    with serving(lake.root, folder) as dashboard:
        yield Collected(dashboard, lake, first)


@pytest.fixture(scope="module")
def looked(collected: Collected, chromium: Browser) -> Iterator[Page]:
    """The page of the bitcoin series, for tests that only look."""
    with visiting(chromium) as visit:
        yield visit(f"{collected.dashboard.url}?page=data&series={BITCOIN}")


@pytest.fixture
def page(collected: Collected, visit: Visit) -> Page:
    """A visitor's page of the bitcoin series."""
    return visit(f"{collected.dashboard.url}?page=data&series={BITCOIN}")


def row(page: Page, series: str) -> Any:
    return page.locator(f"tr[data-series='{series}']")


def facts(page: Page) -> list[list[str]]:
    rows: list[list[str]] = (
        page.get_by_role("region", name="Facts about its candles")
        .locator("tbody tr")
        .evaluate_all("rows => rows.map(row => [...row.cells].map(cell => cell.textContent))")
    )
    return rows


def hours(collected: Collected, instants: list[float]) -> list[float]:
    return [(instant / 1000 - collected.first.timestamp()) / 3600 for instant in instants]


def test_the_navigation_leads_to_the_first_series(collected: Collected, visit: Visit) -> None:
    page = visit(collected.dashboard.url, filled=False)
    page.get_by_role("link", name="Data").click()
    wait_until_filled(page)
    expect(page).to_have_url(f"{collected.dashboard.url}?page=data&theme=dark&series=kraken%2FBTC%2FUSD%2F1h")
    expect(page).to_have_title("Data · jarvis")
    expect(page.get_by_text("4 series", exact=True)).to_be_visible()
    expect(page.locator(".tile[data-metric=missing]:visible")).to_contain_text("10 not asked for yet")


def test_every_series_is_listed_with_its_freshness_in_words_and_state(looked: Page) -> None:
    cells = row(looked, BITCOIN).locator("td")
    expect(cells.first).to_have_text("BTC/USD 1h kraken")
    assert cells.all_text_contents()[4:7] == [f"{N - 3}", "3", "3"]
    fresh = row(looked, BITCOIN).locator(".standing")
    expect(fresh).to_have_text(re.compile(r"^closed .* ago; next in|^1 candle behind"))
    behind = row(looked, ETHER).locator(".standing")
    expect(behind).to_have_attribute("data-state", "late")
    expect(behind).to_have_text(re.compile(r"^[56] candles behind; closed [56] h"))
    expect(row(looked, "sample/AAPL/1d").locator(".standing")).to_have_attribute("data-state", "by hand")
    expect(looked.get_by_text("1 of 3 series is late by a candle or more.")).to_be_visible()


def test_ages_are_counted_by_the_browser(page: Page) -> None:
    said = page.locator(".freshness .standing")
    before = said.text_content() or ""
    page.evaluate("() => { const now = Date.now; Date.now = () => now() + 3 * 3600 * 1000 }")
    expect(said).not_to_have_text(before)


def test_facts_are_listed_newest_first_and_filtered_by_kind(collected: Collected, page: Page) -> None:
    assert [fact[0] for fact in facts(page)] == ["outlier", "revision", "gap"]
    gap = facts(page)[2]
    assert gap[1] == f"{collected.first + 100 * HOUR:%Y-%m-%d %H:%M}"
    assert gap[3:5] == ["3", "3 candles absent"]
    assert gap[6] == "open"
    page.get_by_role("button", name="revision 1").click()
    expect(page.get_by_role("button", name="revision 1")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("region", name="Facts about its candles").locator("tbody tr")).to_have_count(1)
    page.wait_for_function("() => location.search.includes('kind=revision')")
    assert [fact[0] for fact in facts(page)] == ["revision"]


def test_a_kind_in_the_address_is_chosen_and_one_that_is_none_is_said(collected: Collected, visit: Visit) -> None:
    page = visit(f"{collected.dashboard.url}?page=data&series={BITCOIN}&kind={EVIL}&find=BTC&sort=-size")
    expect(page.get_by_text(f"No fact of the kind {EVIL}.")).to_be_visible()
    expect(page.get_by_label("Search series")).to_have_value("BTC")
    expect(page.locator("tbody tr[data-series]")).to_have_count(1)
    expect(page.locator("th[aria-sort=descending]")).to_have_text("Size")


def test_the_line_of_time_has_bars_between_gaps_and_marks_for_facts(collected: Collected, looked: Page) -> None:
    held, gap = layer(looked, "coverage", "held"), layer(looked, "coverage", "gap")
    starts = [left for row, left in zip(held["row"], held["left"], strict=True) if row == 0]
    assert hours(collected, starts) == [0, 103]
    assert (hours(collected, gap["left"]), hours(collected, gap["right"])) == ([100], [103])
    assert hours(collected, layer(looked, "coverage", "revision")["left"]) == [203]
    assert hours(collected, layer(looked, "coverage", "outlier")["left"]) == [303]
    hole = layer(looked, "coverage", "hole")
    assert (hours(collected, hole["left"]), hours(collected, hole["right"])) == ([50], [60])


def test_a_mark_explains_itself_and_a_tap_on_a_row_picks_it(page: Page) -> None:
    canvas = page.locator("canvas").first
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    height = (box["height"] - 36) / 4  # the frame, of four rows
    across = box["x"] + box["width"] / 2
    page.mouse.move(across, box["y"] + 8 + height / 2)
    page.mouse.move(across + 2, box["y"] + 8 + height / 2)
    expect(page.get_by_text(re.compile("held from .* to before"))).to_be_visible()
    page.mouse.click(across, box["y"] + 8 + 1.5 * height)
    expect(page.locator(".run strong:visible")).to_have_text("ETH/USD 1h")
    page.wait_for_function("() => location.search.includes('ETH')")


def test_a_series_is_picked_by_keyboard_and_tells_what_a_collection_would_fetch(
    collected: Collected, page: Page
) -> None:
    row(page, SOL).locator("a").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".run strong:visible")).to_have_text("SOL/USD 1h")
    told = page.get_by_role("region", name="What the next collection fetches")
    start = f"{collected.first:%Y-%m-%dT%H:%M}"
    command = f"jarvis collect --exchange kraken --symbol SOL/USD --timeframe 1h --start {start}"
    expect(told.locator("pre").last).to_have_text(command)
    expect(told).to_contain_text("also what was never asked for: 1 range")
    expect(told.locator("li").first).to_contain_text(f"from {collected.first + 49 * HOUR:%Y-%m-%d %H:%M}")
    expect(told.locator("li").first).to_contain_text("10 absent")
    expect(row(page, SOL).locator("a")).to_be_focused()


def test_series_are_found_by_words_and_sorted_by_columns(page: Page) -> None:
    page.get_by_label("Search series").fill("eth kraken")
    expect(page.locator("tbody tr[data-series]")).to_have_count(1)
    page.wait_for_function("() => location.search.includes('find=eth+kraken')")
    expect(page.locator(".run strong:visible")).to_have_text("BTC/USD 1h")
    page.get_by_label("Search series").fill("nothing like it")
    expect(page.get_by_text("No series has these words.").first).to_be_visible()
    page.get_by_label("Search series").fill("")
    expect(page.locator("tbody tr[data-series]")).to_have_count(4)
    page.get_by_role("button", name="Candles", exact=True).click()
    expect(page.locator("tbody tr[data-series]").first).to_have_attribute("data-series", SOL)
    page.get_by_role("button", name="Candles", exact=True).click()
    expect(page.locator("tbody tr[data-series]").first).to_have_attribute("data-series", "sample/AAPL/1d")
    page.wait_for_function("() => location.search.includes('sort=-candles')")


def test_an_unknown_series_says_so_and_offers_another(collected: Collected, visit: Visit) -> None:
    page = visit(f"{collected.dashboard.url}?page=data&series={EVIL}&theme=light")
    expect(page.get_by_role("alert")).to_contain_text(f"The lake has no series {EVIL}")
    page.get_by_role("link", name="Show BTC/USD 1h kraken").click()
    wait_until_filled(page)
    expect(page.locator(".run strong:visible")).to_have_text("BTC/USD 1h")
    until(lambda: "theme=light" in page.url)


def test_what_is_collected_appears_without_a_reload_and_the_view_stays(
    collected: Collected, tmp_path: Path, visit: Visit
) -> None:
    page = visit(f"{collected.dashboard.url}?page=data&series={ETHER}")
    page.evaluate("window.stayed = true")
    page.evaluate(
        "view => Bokeh.documents.flatMap(d => d.roots()).flatMap(root => [...root.references()])"
        ".find(model => model.name === 'time').setv({start: view[0], end: view[1]})",
        view := [(collected.first + hour * HOUR).timestamp() * 1000 for hour in (90, 120)],
    )
    link = row(page, ETHER).locator("a")
    link.focus()
    imported(collected.lake, tmp_path, "ETH/USD", hourly(collected.first, N))
    expect(row(page, ETHER).locator("td").nth(4)).to_have_text(f"{N}")
    expect(row(page, ETHER).locator(".standing")).not_to_have_attribute("data-state", "late")
    page.wait_for_function(
        "end => Bokeh.documents.flatMap(d => d.roots()).flatMap(root => [...root.references()])"
        ".find(model => model.name === 'held').data_source.data.right.filter(right => right === end).length >= 2",
        arg=(collected.first + N * HOUR).timestamp() * 1000,
    )
    assert chart(page, "coverage")["x"] == pytest.approx(view)
    expect(link).to_be_focused()
    assert page.evaluate("window.stayed")


@pytest.mark.parametrize("theme", ["dark", pytest.param("light", marks=pytest.mark.slow)])
def test_a_phone_needs_no_sideways_scrolling(collected: Collected, visit: Visit, theme: str) -> None:
    page = visit(f"{collected.dashboard.url}?page=data&theme={theme}", width=390, height=844)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.slow
def test_the_other_theme_draws_the_line_of_time_anew(page: Page) -> None:
    colour = "() => document.querySelector('html').dataset.theme"
    page.get_by_role("button", name="Switch between").click()
    assert page.evaluate(colour) == "light"
    page.wait_for_function("() => location.search.includes('theme=light')")
    wait_until_filled(page)
    assert chart(page, "coverage") is not None


def test_an_empty_lake_says_what_to_do_and_fills_when_candles_land(tmp_path: Path, serve: Serve, visit: Visit) -> None:
    lake = Lake(tmp_path / "lake")
    page = visit(f"{serve(lake.root).url}?page=data")
    expect(page.get_by_text("No candles yet")).to_be_visible()
    expect(page.get_by_text("jarvis collect --exchange sample --symbol AAPL --timeframe 1d")).to_be_visible()
    expect(page.get_by_role("heading", name="Coverage")).to_be_hidden()
    collect_series.fn(lake, "sample", "AAPL", "1d")
    expect(page.locator(".run strong:visible")).to_have_text("AAPL 1d")
    wait_until_filled(page)
    expect(page.get_by_text("From a file: nothing is due")).to_be_visible()


@pytest.mark.slow
def test_torn_files_spoil_only_what_needs_them_and_names_are_shown_as_text(
    collected: Collected, tmp_path: Path, serve: Serve, visit: Visit
) -> None:
    lake = Lake(shutil.copytree(collected.lake.root, tmp_path / "lake"))
    imported(lake, tmp_path, EVIL, hourly(collected.first, N - 9), exchange=EVIL)
    for file in (lake.root / "quality").glob("*.parquet"):
        file.write_bytes(b"torn")
    page = visit(f"{serve(lake.root).url}?page=data&series={EVIL}/{EVIL}/1h")
    page.on("dialog", lambda dialog: pytest.fail(f"a name was run: {dialog.message}"))
    alerts = page.get_by_role("alert")
    expect(alerts.filter(has_text="Something is left out of this page")).to_be_visible()
    expect(alerts.filter(has_text="The list of facts cannot be shown")).to_be_visible()
    expect(alerts.filter(has_text="The line of time cannot be shown")).to_be_visible()
    expect(row(page, BITCOIN).locator("td").nth(4)).to_have_text(f"{N - 3}")
    expect(page.locator(".run strong:visible")).to_have_text(f"{EVIL} 1h")
    assert str(lake.root) not in page.content()
    assert page.locator("img[src=x]").count() == 0
