"""The page of SQL: a query in the box, its answer as table, chart and file, and attempts at what it must not do."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pandas as pd
import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Dashboard, Serve, Visit, chart, serving, until, visiting, wait_until_filled

pytestmark = pytest.mark.browser

EVIL = "<img src=x onerror=alert(1)>"
ENDLESS = "SELECT count(*) FROM range(1000000) a, range(1000000) b"
EQUITY = "Equity and drawdown of the newest run"


@pytest.fixture(scope="module")
def served(lake_of_the_flow: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """A dashboard of this module's own, whose lake is compared before and after."""
    folder = tmp_path_factory.mktemp("sql")
    lake = Path(shutil.copytree(lake_of_the_flow, folder / "lake"))
    with serving(lake, folder) as dashboard:
        yield dashboard


@pytest.fixture(scope="module")
def looked(served: Dashboard, chromium: Browser) -> Iterator[Page]:
    """One page for all attempts."""
    with visiting(chromium) as visit:
        yield visit(f"{served.url}?page=sql")


@pytest.fixture
def page(served: Dashboard, chromium: Browser) -> Iterator[Page]:
    with visiting(chromium) as visit:
        yield visit(f"{served.url}?page=sql")


def write(page: Page, sql: str) -> None:
    page.get_by_role("textbox", name="SQL query").fill(sql)


def run(page: Page, sql: str) -> None:
    write(page, sql)
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("button", name="Run", exact=True)).to_be_enabled(timeout=8_000)
    wait_until_filled(page)


def cells(page: Page) -> list[list[str]]:
    return [row.locator("td").all_inner_texts() for row in page.locator(".result tbody tr").all()]


def test_an_example_is_run_drawn_sorted_and_saved(page: Page, tmp_path: Path) -> None:
    expect(page.get_by_text("Nothing has run yet")).to_be_visible()
    page.get_by_role("combobox", name="Examples").select_option(label=EQUITY)
    page.get_by_role("textbox", name="SQL query").press("Control+Enter")
    expect(page.get_by_text(re.compile(r"1,509 rows in .*; the table shows 1,000"))).to_be_visible(timeout=60_000)
    wait_until_filled(page)
    (line,) = chart(page, "result")["layers"]
    assert len(line["data"]["y"]) == 1_509
    until(lambda: "sql=SELECT" in page.url)
    first = cells(page)[0][0]
    page.get_by_role("columnheader", name="ts").click()
    page.get_by_role("columnheader", name="ts").click()
    expect(page.get_by_role("columnheader", name="ts")).to_have_attribute("aria-sort", "descending")
    expect(page.locator(".result td").first).not_to_have_text(first)
    line_of = page.get_by_role("group", name="Columns drawn").get_by_role("button", name="drawdown")
    line_of.click()
    expect(line_of).to_have_attribute("aria-pressed", "true")
    page.wait_for_url(re.compile("lines=0%2C1"))
    for form in ("CSV", "Parquet"):
        with page.expect_download() as saved:
            page.get_by_role("button", name=f"Download {form}").click()
        saved.value.save_as(tmp_path / saved.value.suggested_filename)
    assert len(pd.read_csv(tmp_path / "query.csv")) == 1_509
    assert pq.read_table(tmp_path / "query.parquet").column_names == ["ts", "equity", "drawdown", "price"]


def test_an_address_fills_the_box_and_runs_nothing(served: Dashboard, chromium: Browser) -> None:
    with visiting(chromium) as visit:
        page = visit(f"{served.url}?page=sql&lines=1&sql={quote('SELECT i, i AS a, -i AS b FROM range(5) t(i)')}")
        expect(page.get_by_text("came with the address and has not run")).to_be_visible()
        page.wait_for_timeout(1_500)
        expect(page.get_by_text("Nothing has run yet")).to_be_visible()
        page.get_by_role("textbox", name="SQL query").press("Control+Enter")
        expect(page.get_by_text("5 rows in")).to_be_visible(timeout=60_000)
        wait_until_filled(page)
        assert {layer["data"]["y"][-1] for layer in chart(page, "result")["layers"]} == {-4}


def test_a_click_on_a_view_or_a_column_inserts_its_name(page: Page) -> None:
    write(page, "SELECT  FROM ")
    box = page.get_by_role("textbox", name="SQL query")
    page.get_by_role("button", name="trades", exact=True).click()
    page.get_by_role("button", name="Columns of trades").press("Enter")
    box.evaluate("box => box.setSelectionRange(7, 7)")
    page.get_by_role("button", name=re.compile("^return")).click()
    expect(box).to_have_value("SELECT return FROM trades")
    box.press("Control+Enter")
    expect(page.get_by_role("columnheader", name="return")).to_be_visible(timeout=60_000)


def test_many_rows_are_thinned_and_a_zoom_brings_the_detail(page: Page) -> None:
    run(page, "SELECT TIMESTAMP '2024-01-01' + to_seconds(i) AS ts, sin(i / 1000) AS y FROM range(100000) t(i)")
    models = "Bokeh.documents.flatMap(d => [...d._all_models.values()])"
    data = f"() => {models}.find(m => m.type === 'Figure' && m.name === 'result')"
    (line,) = chart(page, "result")["layers"]
    assert 500 < len(line["data"]["ts"]) <= 2_000
    start = line["data"]["ts"][0]
    page.evaluate(f"([a, b]) => ({data})().x_range.setv({{start: a, end: b}})", [start, start + 100_000])
    page.wait_for_function(
        f"a => {{ const ts = ({data})().renderers[0].data_source.data.ts; return ts[1] - ts[0] === 1000 }}", arg=start
    )


def test_tags_in_names_and_values_are_shown_as_text(page: Page) -> None:
    page.on("dialog", lambda dialog: pytest.fail(f"a name was run: {dialog.message}"))
    query = f"""SELECT i, i AS "{EVIL}", '{EVIL}' AS "$$x$$", i AS "$$\\href{{javascript:alert(1)}}{{y}}$$" """
    run(page, query + "FROM range(3) t(i)")
    assert cells(page)[0] == ["0", "0", EVIL, "0"]
    expect(page.get_by_role("columnheader", name=EVIL)).to_be_visible()
    expect(page.get_by_role("group", name="Columns drawn").get_by_role("button").first).to_have_text(EVIL)
    box = page.locator("canvas").first.bounding_box()
    assert box is not None
    for step in range(0, int(box["width"]), 40):
        page.mouse.move(box["x"] + step, box["y"] + box["height"] / 2)
    expect(page.locator("#read-result")).to_contain_text(EVIL)
    run(page, f"SELECT error('{EVIL}')")
    expect(page.get_by_role("alert")).to_contain_text(EVIL)
    run(page, f"SELECT * FROM '{EVIL}'")
    expect(page.get_by_role("alert")).to_contain_text(EVIL)
    assert page.locator("img").count() == 0


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("SELECT * FROM read_csv('/etc/passwd')", "disabled"),
        ("WITH x AS (COPY (SELECT 1) TO 'stolen.csv') SELECT * FROM x", "disabled"),
        ("COPY runs TO 'stolen.csv'", "COPY is not possible here"),
        ("INSTALL httpfs", "not possible here"),
        ("SELECT 1; DROP VIEW runs", "2 statements given"),
        ("SELECT repeat('x', 2000000000)", "512 MiB of memory"),
        ("SELECT '" + "x" * 1_000_000 + "'", "1,000,009 characters: 10,000 are the most"),
    ],
    ids=lambda value: value[:40],
)
def test_an_attempt_gets_a_word_and_changes_no_file(looked: Page, served: Dashboard, query: str, word: str) -> None:
    before = {file: file.read_bytes() for file in served.lake.rglob("*") if file.is_file()}
    run(looked, query)
    expect(looked.get_by_role("alert")).to_contain_text(word)
    assert str(served.lake.parent) not in looked.content()
    assert {file: file.read_bytes() for file in served.lake.rglob("*") if file.is_file()} == before


def test_a_query_refused_at_once_leaves_the_button_free_each_time(page: Page) -> None:
    for _ in range(20):
        run(page, f"SELECT '{'x' * 10_001}'")
    expect(page.get_by_role("alert")).to_contain_text("10,000 are the most")


def test_a_query_is_stopped_and_others_are_served_meanwhile(page: Page, served: Dashboard, chromium: Browser) -> None:
    with visiting(chromium) as visit:
        other = visit(f"{served.url}?page=sql")  # before, as a query ends by itself after some seconds
        write(page, ENDLESS)
        page.get_by_role("button", name="Run", exact=True).click()
        expect(page.get_by_text(re.compile(r"^Running, \d s"))).to_be_visible()
        run(other, "SELECT count(*) AS runs FROM runs")
        page.get_by_role("button", name="Stop").click()
        assert cells(other) == [["2"]]
    expect(page.get_by_text("Stopped.")).to_be_visible()
    run(page, "SELECT 42 AS n")
    assert cells(page) == [["42"]]


def test_an_empty_lake_has_views_without_rows(tmp_path: Path, serve: Serve, visit: Visit) -> None:
    page = visit(f"{serve(tmp_path / 'none' / 'lake').url}?page=sql")
    expect(page.get_by_text("21 views")).to_be_visible()
    run(page, "FROM runs")
    expect(page.get_by_text("0 rows in")).to_be_visible()
    expect(page.get_by_text("The lake has no rows for this")).to_be_visible()


@pytest.mark.slow
def test_a_torn_file_spoils_the_queries_that_need_it(lake_to_change: Path, serve: Serve, visit: Visit) -> None:
    for file in (lake_to_change / "trades").glob("*.parquet"):
        file.write_bytes(b"torn")
    page = visit(f"{serve(lake_to_change).url}?page=sql")
    run(page, "SELECT * FROM trades")
    expect(page.get_by_role("alert")).to_be_visible()
    assert str(lake_to_change) not in page.content()
    run(page, "SELECT count(*) AS n FROM runs")
    assert cells(page) == [["2"]]


@pytest.mark.parametrize("theme", ["dark", pytest.param("light", marks=pytest.mark.slow)])
def test_a_phone_scrolls_no_page_sideways(served: Dashboard, chromium: Browser, theme: str) -> None:
    with visiting(chromium) as visit:
        page = visit(f"{served.url}?page=sql&theme={theme}", width=390, height=844)
        run(page, "SELECT created_at, * FROM runs")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        expect(page.get_by_role("button", name="Download CSV")).to_be_visible()


def test_a_page_of_another_site_gets_no_word_in(served: Dashboard) -> None:
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    upgrade |= {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Origin": "http://evil.example"}
    address = f"{served.url}/ws?page=sql&sql=SELECT+1"
    assert httpx.get(address, headers=upgrade, timeout=60).status_code == httpx.codes.FORBIDDEN
    foreign = httpx.get(f"{served.url}?page=sql&sql=SELECT+1", headers={"Host": "evil.example"}, timeout=60).text
    assert "answers only the machine that it runs on" in foreign
    assert "SELECT 1" not in foreign
