"""The page of a backtest, in a browser, over the lake that the flow wrote."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest
from playwright.sync_api import Browser, Page, expect

from data.views import connect
from data.writer import Lake
from tests.browser.conftest import Dashboard, Visit, chart, layer, until, visiting, wait_until_filled

pytestmark = pytest.mark.browser


def asked(dashboard: Dashboard, sql: str, *values: Any) -> pd.DataFrame:
    with connect(Lake(dashboard.lake)) as connection:
        frame: pd.DataFrame = connection.sql(sql, params=list(values)).to_arrow_table().to_pandas()
    return frame


@pytest.fixture(scope="module")
def runs(dashboard: Dashboard) -> dict[str, str]:
    """The runs by strategy."""
    found = asked(dashboard, "SELECT strategy, run_id FROM runs")
    return dict(zip(found["strategy"], found["run_id"], strict=True))


def milliseconds(times: pd.Series) -> list[float]:
    return [instant.timestamp() * 1000 for instant in times]


@pytest.fixture(scope="module")
def newest(dashboard: Dashboard, chromium: Browser) -> Iterator[Page]:
    """The page of the newest run, the SMA crossover, for tests that only look."""
    with visiting(chromium) as visit:
        yield visit(dashboard.url)


def tile(page: Page, metric: str) -> Any:
    return page.locator(f".tile[data-metric={metric}]:visible")


def test_the_frame_is_there_before_any_script_and_any_data(dashboard: Dashboard, visit: Visit) -> None:
    page = visit(dashboard.url, java_script_enabled=False, filled=False)
    for title in ("Price, indicators, entries and exits", "Equity against buy and hold", "Drawdown", "Trades"):
        expect(page.get_by_role("heading", name=title)).to_be_visible()
    expect(page).to_have_title("Backtest · jarvis")


@pytest.mark.slow
def test_the_second_visitor_sees_figures_and_charts_before_any_script(dashboard: Dashboard, visit: Visit) -> None:
    visit(dashboard.url)
    page = visit(dashboard.url, java_script_enabled=False, filled=False)
    expect(tile(page, "sharpe_ratio")).to_be_visible()
    assert page.locator(".skeleton svg polyline").count() == 4


def test_the_newest_run_is_shown_where_none_is_named(dashboard: Dashboard, visit: Visit, runs: dict[str, str]) -> None:
    page = visit(dashboard.url)
    expect(page).to_have_url(f"{dashboard.url}?page=backtest&run={runs['sma_crossover']}&theme=dark")
    expect(page.locator(".run strong:visible")).to_have_text("sma_crossover")
    expect(page.get_by_text("2 backtests")).to_be_visible()


def test_markers_stand_at_the_dates_and_prices_of_the_trades(
    dashboard: Dashboard, newest: Page, runs: dict[str, str]
) -> None:
    trades = asked(dashboard, "SELECT * FROM trades WHERE run_id = ? ORDER BY trade_id", runs["sma_crossover"])
    closed = trades[trades["exit_ts"].notna()]
    bought, sold = layer(newest, "price", "buy"), layer(newest, "price", "sell")
    assert len(trades) > 5
    assert bought["ts"] == milliseconds(trades["entry_ts"])
    assert bought["price"] == list(trades["entry_price"])
    assert sold["ts"] == milliseconds(closed["exit_ts"])
    assert sold["price"] == list(closed["exit_price"])
    assert sold["profit"] == [f"profit {profit:,.2f}" for profit in closed["profit"]]
    assert set(bought["profit"]) == {""}


def test_the_price_chart_has_every_candle_and_the_strategys_indicators(
    dashboard: Dashboard, newest: Page, runs: dict[str, str]
) -> None:
    candles = asked(dashboard, "SELECT * FROM candles ORDER BY ts")
    drawn = chart(newest, "price")["layers"]
    assert drawn[0]["glyph"] == "Segment"
    assert drawn[0]["data"]["close"] == list(candles["close"])
    assert drawn[0]["data"]["ts"] == milliseconds(candles["ts"])
    slow = asked(
        dashboard, "SELECT indicators['slow'] AS v FROM signals WHERE run_id = ? ORDER BY ts", runs["sma_crossover"]
    )
    (line,) = [one for one in drawn if one["name"] == "slow"]
    assert [value for value in line["data"][line["field"]] if value is not None] == list(slow["v"].dropna())


def test_the_equity_ends_where_the_lakes_ends_and_buy_and_hold_where_its_metric_says(
    dashboard: Dashboard, newest: Page, runs: dict[str, str]
) -> None:
    equity = asked(dashboard, "SELECT * FROM equity WHERE run_id = ? ORDER BY ts", runs["sma_crossover"])
    held = asked(
        dashboard,
        "SELECT value FROM metrics WHERE run_id = ? AND metric = 'buy_and_hold_return'",
        runs["sma_crossover"],
    )
    drawn = chart(newest, "equity")["layers"][-1]["data"]
    assert drawn["equity"] == list(equity["equity"])
    assert drawn["hold"][-1] == pytest.approx(100_000 * (1 + held["value"].iloc[0]))
    assert chart(newest, "drawdown")["layers"][-1]["data"]["drawdown"] == list(equity["drawdown"])


def test_the_tiles_say_what_the_lakes_metrics_say(dashboard: Dashboard, newest: Page, runs: dict[str, str]) -> None:
    rows = asked(dashboard, "SELECT * FROM metrics WHERE run_id = ?", runs["sma_crossover"]).set_index("metric")
    said = {
        name: tile(newest, name).locator("dd").first.inner_text() for name in ("sharpe_ratio", "max_drawdown", "trades")
    }
    assert said["sharpe_ratio"] == f"{rows['value']['sharpe_ratio']:.2f}"
    assert said["max_drawdown"] == f"{rows['value']['max_drawdown'] * 100:.2f} %"
    assert said["trades"] == f"{rows['value']['trades']:.0f}"
    interval = f"95 %: {rows['low']['sharpe_ratio']:.2f} to {rows['high']['sharpe_ratio']:.2f}"
    expect(tile(newest, "sharpe_ratio")).to_contain_text(interval)


def test_a_tile_explains_itself_to_the_mouse_and_to_the_keyboard(newest: Page) -> None:
    tip = tile(newest, "sharpe_ratio").locator(".tip")
    expect(tip).to_be_hidden()
    tile(newest, "sharpe_ratio").hover()
    expect(tip).to_contain_text("Annual return per unit of annual volatility")
    newest.mouse.move(0, 0)
    expect(tip).to_be_hidden()
    tile(newest, "sharpe_ratio").focus()
    expect(tip).to_be_visible()


def test_the_portfolio_table_has_the_lessons_rows_first(newest: Page) -> None:
    titles = newest.locator("table:has(caption:text-is('Portfolio')) th").all_inner_texts()
    lesson = ["Annual Return", "Cumulative Returns", "Annual Volatility", "Sharpe Ratio", "Sortino Ratio"]
    assert titles[:5] == lesson


def test_the_trade_table_is_sorted_filtered_paged_and_saved_and_the_address_says_how(
    dashboard: Dashboard, visit: Visit, runs: dict[str, str]
) -> None:
    trades = asked(dashboard, "SELECT * FROM trades WHERE run_id = ? ORDER BY trade_id", runs["macd"])
    page = visit(f"{dashboard.url}?run={runs['macd']}")
    table = page.locator(".rows.picks")
    first = table.locator("tbody tr").first
    expect(table.get_by_role("status")).to_have_text(f"1 to 25 of {len(trades)}")
    table.get_by_role("button", name="Next").click()
    expect(first).to_have_attribute("data-row", "26")
    table.get_by_role("button", name="Profit").click()
    page.wait_for_url(re.compile("sort=profit"))
    expect(first).to_have_attribute("data-row", str(trades.loc[trades["profit"].idxmin(), "trade_id"]))
    expect(table.get_by_role("columnheader", name="Profit")).to_have_attribute("aria-sort", "ascending")
    for form, read in (("CSV", pd.read_csv), ("Parquet", pd.read_parquet)):
        with page.expect_download() as download:
            table.get_by_role("button", name=f"Download {form}").click()
        assert download.value.suggested_filename == f"trades-{runs['macd']}.{form.lower()}"
        saved = read(download.value.path())
        assert list(saved["Profit/Loss"]) == pytest.approx(sorted(trades["profit"]))
    table.get_by_role("searchbox").fill("still open")
    expect(table.locator("tbody tr")).to_have_count(int((trades["status"] == "open").sum()))
    page.wait_for_url(re.compile("text=still"))
    page.reload(wait_until="domcontentloaded")
    wait_until_filled(page)
    expect(table.get_by_role("searchbox")).to_have_value("still open")


def test_the_account_can_be_saved_whole(dashboard: Dashboard, newest: Page, runs: dict[str, str]) -> None:
    equity = asked(dashboard, "SELECT * FROM equity WHERE run_id = ? ORDER BY ts", runs["sma_crossover"])
    table = newest.locator("section[aria-labelledby=account-title]")
    with newest.expect_download() as download:
        table.get_by_role("button", name="Download Parquet").click()
    assert download.value.suggested_filename == f"portfolio-{runs['sma_crossover']}.parquet"
    assert list(pd.read_parquet(download.value.path())["equity"]) == list(equity["equity"])


def test_a_click_on_a_trade_shows_its_candles_and_what_led_to_it(
    dashboard: Dashboard, visit: Visit, runs: dict[str, str]
) -> None:
    page = visit(dashboard.url)
    expect(page.get_by_text("Choose a trade of the table")).to_be_visible()
    page.locator(".rows.picks").get_by_role("button", name="2", exact=True).click()
    page.wait_for_url(re.compile("trade=2"))
    fills = asked(dashboard, "SELECT * FROM fills WHERE run_id = ? AND trade_id = 2 ORDER BY ts", runs["sma_crossover"])
    expect(page.locator(".lineage")).to_have_count(len(fills))
    for order in fills["order_id"]:
        expect(page.locator(f"[data-order='{order}']")).to_contain_text("Revision")
    until(lambda: chart(page, "trade"))
    assert layer(page, "trade", "buy")["price"] == list(fills[fills["side"] == "buy"]["price"])
    page.reload(wait_until="domcontentloaded")
    wait_until_filled(page)
    expect(page.locator(".lineage").first).to_be_visible()
    page.goto(f"{dashboard.url}?trade=nonsense", wait_until="domcontentloaded")
    expect(page.get_by_text("This run has no trade nonsense.")).to_be_visible()


def test_the_account_is_told_by_months_by_returns_and_over_time(
    dashboard: Dashboard, newest: Page, runs: dict[str, str]
) -> None:
    equity = asked(dashboard, "SELECT * FROM equity WHERE run_id = ? ORDER BY ts", runs["sma_crossover"])
    years = newest.locator(".calendar tbody tr")
    assert years.count() == equity["ts"].dt.year.nunique()
    heads = newest.locator(".calendar thead th").all_inner_texts()
    assert heads[1:13] == ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    totals = [1 + float(text) / 100 for text in newest.locator(".calendar td:last-child").all_inner_texts()]
    assert pd.Series(totals).prod() == pytest.approx(equity["equity"].iloc[-1] / 100_000, rel=0.01)
    assert len(layer(newest, "rolling", "sharpe")["sharpe"]) > 1_000
    exposed = layer(newest, "exposure", "exposure")["exposure"]
    assert sum(exposed) / len(exposed) == pytest.approx((equity["position"] > 0).mean(), abs=0.02)
    assert sum(layer(newest, "distribution", "distribution")["returns"]) > 500


def test_runs_are_set_beside_each_other_and_taken_out_again(
    dashboard: Dashboard, visit: Visit, runs: dict[str, str]
) -> None:
    page = visit(dashboard.url)
    box = page.get_by_role("combobox", name="Compare with another backtest")
    box.click()
    box.press_sequentially("macd")
    box.press("Enter")
    page.wait_for_url(re.compile(f"compare={runs['macd']}"))
    until(lambda: chart(page, "compare"))
    growth = layer(page, "compare", "r1")["r1"]
    equity = asked(dashboard, "SELECT * FROM equity WHERE run_id = ? ORDER BY ts", runs["macd"])
    assert growth[-1] == pytest.approx(equity["equity"].iloc[-1] / 100_000 - 1)
    expect(page.locator(".compared [data-row=sharpe_ratio] .best")).to_have_count(1)
    expect(page.locator(".compared [data-row='parameters.fast']")).to_be_visible()
    page.get_by_role("group", name="Runs compared: a click takes one out").get_by_role("button").click()
    page.wait_for_url(lambda url: "compare" not in url)
    expect(page.locator(".compared")).to_have_count(0)


def test_another_run_picked_by_keyboard_changes_everything(
    dashboard: Dashboard, visit: Visit, runs: dict[str, str]
) -> None:
    page = visit(dashboard.url)
    sharpe = tile(page, "sharpe_ratio").inner_text()
    marks = layer(page, "price", "buy")["ts"]
    box = page.get_by_role("combobox", name="Run")
    box.click()
    box.press_sequentially("macd fast=12")
    expect(page.get_by_role("option")).to_have_count(1)
    box.press("Enter")
    expect(page.locator(".run strong:visible")).to_have_text("macd")
    page.wait_for_url(re.compile(f"run={runs['macd']}"))
    until(lambda: chart(page, "oscillator-0"))
    wait_until_filled(page)
    assert tile(page, "sharpe_ratio").inner_text() != sharpe
    assert layer(page, "price", "buy")["ts"] != marks
    oscillator = {one["name"] for one in chart(page, "oscillator-0")["layers"]}
    assert {"macd", "histogram"} <= oscillator
    expect(page.get_by_text(f"Manifest of run {runs['macd']}")).to_be_visible()
    expect(box).to_have_value(re.compile("^macd"))


def test_a_search_that_finds_nothing_says_so_and_escape_leaves_the_run(dashboard: Dashboard, visit: Visit) -> None:
    page = visit(dashboard.url)
    box = page.get_by_role("combobox", name="Run")
    box.click()
    expect(page.get_by_role("option")).to_have_count(2)
    box.press_sequentially("no such words")
    expect(page.get_by_text("No run has these words")).to_be_visible()
    box.press("Escape")
    expect(page.get_by_role("listbox")).to_be_hidden()
    expect(box).to_have_value(re.compile("^sma_crossover"))


def test_an_address_can_be_shared_and_the_way_back_works(
    dashboard: Dashboard, visit: Visit, runs: dict[str, str]
) -> None:
    page = visit(f"{dashboard.url}?page=backtest&run={runs['macd']}&theme=light")
    expect(page.locator(".run strong:visible")).to_have_text("macd")
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    page.get_by_role("combobox", name="Run").click()
    page.get_by_role("option").first.click()
    page.wait_for_url(re.compile(f"run={runs['sma_crossover']}"))
    page.goto(f"{dashboard.url}?run={runs['macd']}", wait_until="domcontentloaded")
    page.go_back(wait_until="domcontentloaded")
    wait_until_filled(page)
    expect(page.locator(".run strong:visible")).to_have_text("sma_crossover")


def test_the_theme_changes_in_place_and_the_zoom_stays(dashboard: Dashboard, visit: Visit) -> None:
    page = visit(dashboard.url)
    page.locator("canvas").first.scroll_into_view_if_needed()
    box = page.locator("canvas").first.bounding_box()
    assert box is not None
    whole, dark = chart(page, "price"), page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.wheel(0, -400)
    until(lambda: chart(page, "price")["x"][0] > whole["x"][0] + 1e9)
    zoomed = chart(page, "price")
    assert zoomed["y"] != whole["y"]
    assert chart(page, "drawdown")["x"] == zoomed["x"]
    time.sleep(1)  # the server learns of the zoom
    page.locator("#theme").click()
    page.wait_for_url(re.compile("theme=light"))
    until(lambda: chart(page, "price")["layers"][0]["data"]["color"][0] != whole["layers"][0]["data"]["color"][0])
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != dark
    assert chart(page, "price")["x"] == pytest.approx(zoomed["x"])


def test_the_theme_that_was_chosen_stays_on_other_pages(dashboard: Dashboard, visit: Visit) -> None:
    page = visit(dashboard.url)
    drawn = chart(page, "price")["layers"][0]["data"]["color"][0]
    page.locator("#theme").click()
    page.wait_for_url(re.compile("theme=light"))
    until(lambda: chart(page, "price")["layers"][0]["data"]["color"][0] != drawn)
    wait_until_filled(page)
    page.get_by_role("link", name="Sweep").click()
    page.wait_for_url(re.compile("page=sweep.*theme=light"))
    wait_until_filled(page)
    assert page.evaluate("document.documentElement.dataset.theme") == "light"


def test_what_is_in_view_is_moved_by_the_keyboard_and_stands_in_the_address(dashboard: Dashboard, visit: Visit) -> None:
    page = visit(dashboard.url)
    first, last = chart(page, "price")["x"]

    def press(
        name: str, group: str = "The time in view", charts: tuple[str, str] = ("price", "drawdown")
    ) -> list[float]:
        page.get_by_role("group", name=group, exact=True).get_by_role("button", name=name).focus()
        page.keyboard.press("Enter")
        view, other = (chart(page, name)["x"] for name in charts)
        assert view == other
        return [*view]

    quarter = (last - first) / 4
    assert press("Zoom in") == pytest.approx([first + quarter, last - quarter])
    assert press("Later") == pytest.approx([last - 2 * quarter, last])
    returns = press("Zoom in", "The time in view of exposure and ratio", ("exposure", "rolling"))
    assert returns == pytest.approx([first + quarter, last - quarter])
    assert chart(page, "price")["x"] == pytest.approx([last - 2 * quarter, last])
    assert press("Earlier") == pytest.approx([first + quarter, last - quarter])
    page.wait_for_url(re.compile(r"from=20\d\d-.*to=20\d\d-"))
    shared = visit(page.url)
    assert chart(shared, "price")["x"] == pytest.approx([first + quarter, last - quarter], abs=60_000)
    assert press("Zoom out") == pytest.approx([first, last])
    page.wait_for_url(lambda url: "from=" not in url)
    press("Zoom in")
    assert press("Show all of the time") == pytest.approx([first, last])


@pytest.mark.parametrize("query", ["from=x&to=y", "from=2030-01-01T00:00&to=1990-01-01T00:00", "at=" + "9" * 5_000])
def test_an_address_that_names_nothing_shows_all(dashboard: Dashboard, visit: Visit, query: str) -> None:
    whole = chart(visit(dashboard.url), "price")["x"]
    page = visit(f"{dashboard.url}?page=backtest&{query}")
    assert chart(page, "price")["x"] == pytest.approx(whole)


def test_the_pointer_reads_the_values_of_all_charts(newest: Page) -> None:
    newest.locator("canvas").first.scroll_into_view_if_needed()
    box = newest.locator("canvas").first.bounding_box()
    assert box is not None
    newest.mouse.move(box["x"] + 400, box["y"] + 200)
    expect(newest.locator("#read-price")).to_contain_text(re.compile(r"20\d\d-\d\d-\d\d\s+Open [\d.]+\s+High .*slow"))
    expect(newest.locator("#read-equity")).to_contain_text("Buy and hold")
    expect(newest.locator("#read-drawdown")).to_contain_text("Drawdown %")


@pytest.mark.parametrize("theme", ["dark", pytest.param("light", marks=pytest.mark.slow)])
def test_a_phone_needs_no_sideways_scrolling(dashboard: Dashboard, visit: Visit, theme: str) -> None:
    page = visit(f"{dashboard.url}?theme={theme}", width=390, height=844)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("combobox", name="Run").click()
    expect(page.get_by_role("listbox")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_manifest_unfolds(newest: Page) -> None:
    text = newest.locator("details pre")
    expect(text).to_be_hidden()
    newest.locator("summary").click()
    expect(text).to_contain_text('"data_fingerprint"')


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_can_be_read_against_its_background(newest: Page, theme: str) -> None:
    colours = newest.evaluate(
        """theme => {
          document.documentElement.dataset.theme = theme
          const style = getComputedStyle(document.documentElement)
          const read = (name) => {
            const probe = document.body.appendChild(document.createElement("i"))
            probe.style.color = style.getPropertyValue(name)
            const parts = getComputedStyle(probe).color.match(/[\\d.]+/g).slice(0, 3).map(Number)
            probe.remove()
            return parts
          }
          return Object.fromEntries(["page", "card", "raised", "text", "muted", "accent", "good", "bad"]
            .map(name => [name, read(`--${name}`)]))
        }""",
        theme,
    )
    for ground in ("page", "card", "raised"):
        for ink in ("text", "muted", "accent", "good", "bad"):
            assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)


def contrast(one: list[float], other: list[float]) -> float:
    """The contrast of two colours as WCAG 2 defines it."""

    def luminance(colour: list[float]) -> float:
        parts = [part / 255 for part in colour]
        linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)
