"""What the page does when the lake is not what one hopes for."""

from __future__ import annotations

import json
import re
import shutil
import time
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from playwright.sync_api import Browser, expect

from data.runs import read_run, record_run
from data.views import connect
from data.writer import Lake
from tests.browser.conftest import Dashboard, Filled, Serve, Visit, backtest, chart, serving, until, wait_until_filled

pytestmark = pytest.mark.browser

EVIL = "<img src=x onerror=alert(1)>"


@pytest.mark.parametrize("exists", [pytest.param(False, marks=pytest.mark.slow), True])
def test_an_empty_lake_says_what_to_do_and_fills_when_the_first_run_lands(
    exists: bool, tmp_path: Path, serve: Serve, visit: Visit, lake_of_the_flow: Path
) -> None:
    lake = tmp_path / "lake"
    if exists:
        lake.mkdir()
    dashboard = serve(lake)
    page = visit(dashboard.url)
    expect(page.get_by_text("No backtest yet")).to_be_visible()
    expect(page.get_by_text("jarvis backtest --exchange sample --symbol AAPL")).to_be_visible()
    expect(page.get_by_role("heading", name="Drawdown")).to_be_hidden()
    if exists:
        shutil.copytree(lake_of_the_flow, lake, dirs_exist_ok=True)
    else:
        backtest(lake)
    expect(page.locator(".run strong:visible")).to_have_text("sma_crossover")
    wait_until_filled(page)
    expect(page.get_by_text("No backtest yet")).to_be_hidden()
    until(lambda: "run=" in page.url)


def test_a_run_that_lands_is_offered_without_a_reload_and_the_page_stays(
    lake_to_change: Path, serve: Serve, visit: Visit
) -> None:
    dashboard = serve(lake_to_change)
    page = visit(dashboard.url)
    address = page.url
    backtest(lake_to_change, "--param", "fast=20", "--param", "slow=60")
    expect(page.get_by_text("3 backtests")).to_be_visible()
    expect(page.locator(".run strong:visible + .chip")).to_have_text("AAPL 1d")
    assert address == page.url
    page.get_by_role("combobox", name="Run").click()
    expect(page.get_by_role("option").first).to_contain_text("fast=20")


@pytest.mark.slow
def test_an_unknown_run_says_so_and_offers_the_newest(lake_of_the_flow: Path, serve: Serve, visit: Visit) -> None:
    dashboard = serve(lake_of_the_flow)
    page = visit(f"{dashboard.url}?run={EVIL}&theme=light")
    expect(page.get_by_role("alert")).to_contain_text(f"The lake has no backtest {EVIL}")
    page.get_by_role("link", name=re.compile("Show the newest")).click()
    wait_until_filled(page)
    expect(page.locator(".run strong:visible")).to_have_text("sma_crossover")
    until(lambda: "theme=light" in page.url)


def test_a_file_that_is_torn_under_the_open_page_spoils_one_card_until_it_is_whole_again(
    lake_to_change: Path, serve: Serve, visit: Visit
) -> None:
    page = visit(serve(lake_to_change).url)
    whole = {file: file.read_bytes() for file in (lake_to_change / "trades").glob("*.parquet")}
    for file in whole:
        file.write_bytes(b"torn")
    page.get_by_role("combobox", name="Run").click()
    page.get_by_role("option", name=re.compile("^macd")).click()
    alerts = page.get_by_role("alert")
    expect(alerts).to_have_count(2)  # the table of trades, and a word above the price: its markers are absent
    assert chart(page, "price") is not None
    expect(alerts.filter(has_text="The table of trades cannot be shown")).to_be_visible()
    assert str(lake_to_change) not in page.content()
    expect(page.locator(".tile:visible")).to_have_count(12)
    expect(page.get_by_role("heading", name="Drawdown")).to_be_visible()
    for file, content in whole.items():
        file.write_bytes(content)
    expect(alerts).to_have_count(0)
    expect(page.locator(".rows.picks tbody tr")).to_have_count(25)


@pytest.mark.slow
def test_a_torn_list_of_runs_is_said_in_one_line(lake_to_change: Path, serve: Serve, visit: Visit) -> None:
    for entry in (lake_to_change / "runs" / "_delta_log").iterdir():
        entry.write_text("torn")
    dashboard = serve(lake_to_change)
    page = visit(dashboard.url)
    expect(page.get_by_role("alert")).to_contain_text("The list of runs cannot be shown")


def test_names_out_of_the_lake_are_shown_as_text(lake_to_change: Path, serve: Serve, visit: Visit) -> None:
    lake = Lake(lake_to_change)
    with connect(lake) as connection:
        run = connection.sql("SELECT * FROM runs WHERE strategy = 'sma_crossover'").to_arrow_table().to_pylist()[0]
        tables = {
            name: connection.sql(
                f"SELECT * EXCLUDE run_id FROM {name} WHERE run_id = '{run['run_id']}'"
            ).to_arrow_table()
            for name in ("signals", "equity", "trades", "metrics")
        }
    ts = tables["signals"]["ts"]
    maps = pa.array([[(EVIL, 100.0)]] * len(ts), pa.map_(pa.string(), pa.float64()))
    tables["signals"] = pa.table({"symbol": [EVIL] * len(ts), "ts": ts, "indicators": maps})
    trades = tables["trades"].to_pandas().assign(symbol=EVIL, exit_reason=EVIL)
    words = {"strategy": EVIL, "parameters": json.dumps({EVIL: EVIL}), "flow_run_id": EVIL, "manifest": EVIL}
    later = run["created_at"] + pd.Timedelta(days=1)
    record_run(lake, {**run, **words, "run_id": "evil", "created_at": later}, {**tables, "trades": trades})
    dashboard = serve(lake_to_change)
    page = visit(f"{dashboard.url}?trade=1&compare={run['run_id']}")
    page.on("dialog", lambda dialog: pytest.fail(f"a name was run: {dialog.message}"))
    expect(page.locator(".run strong:visible")).to_have_text(EVIL)
    expect(page.locator("[data-column=reason]").first).to_have_text(EVIL)
    expect(page.locator(".compared tbody")).to_have_count(2)
    expect(page.locator("[data-row=strategy]")).to_contain_text(EVIL[:20])
    page.get_by_role("combobox", name="Run").click()
    expect(page.get_by_role("option").first).to_contain_text(EVIL)
    page.keyboard.press("Escape")
    page.locator("summary").click()
    canvas = page.locator("canvas").first
    box = canvas.bounding_box()
    assert box is not None
    for step in range(0, int(box["width"]), 12):
        page.mouse.move(box["x"] + step, box["y"] + box["height"] / 2)
    assert page.locator("img[src=x]").count() == 0
    assert page.evaluate("() => [...document.images].filter(i => i.src.endsWith('/x')).length") == 0


@pytest.mark.slow
def test_names_out_of_a_session_are_shown_as_text_on_every_page(
    lake_for_every_page: Filled, tmp_path: Path, serve: Serve, visit: Visit
) -> None:
    lake, run = Lake(shutil.copytree(lake_for_every_page.lake.root, tmp_path / "lake")), lake_for_every_page.run
    for table, columns in {
        "runs": ["exchange", "symbol", "strategy", "flow_run_id"],
        "decisions": ["detail"],
        "orders": ["reason"],
        "parity": ["detail"],
    }.items():
        rows = read_run(lake, run, table)
        lake.upsert(table, rows.assign(**{name: EVIL for name in columns if name in rows}))
    url = serve(lake.root).url
    addresses = [*lake_for_every_page.addresses().values(), "?page=live", "?page=parity", f"?page={EVIL}&theme={EVIL}"]
    for address in addresses:
        page = visit(url + address)
        page.on("dialog", lambda dialog: pytest.fail(f"a name was run: {dialog.message}"))
        if "live" in address or "parity" in address:
            expect(page.get_by_text(EVIL).locator("visible=true").first).to_be_visible()
        assert page.locator("img").count() == 0, address


def test_a_page_whose_server_went_away_says_so_and_comes_back_with_it(
    lake_of_the_flow: Path, tmp_path: Path, chromium: Browser
) -> None:
    context = chromium.new_context()
    page = context.new_page()
    with serving(lake_of_the_flow, tmp_path) as dashboard:
        page.goto(f"{dashboard.url}?theme=light")
        wait_until_filled(page)
        address = page.url
    expect(page.get_by_text("The server does not answer")).to_be_visible()
    port = int(dashboard.url.split(":")[2].split("/")[0])
    with serving(lake_of_the_flow, tmp_path, port=port):
        expect(page.get_by_text("The server does not answer")).to_be_hidden(timeout=60_000)
        wait_until_filled(page)
        assert page.url == address
        context.close()


_MUTE = """const send = WebSocket.prototype.send
WebSocket.prototype.send = function (message) { setTimeout(() => send.call(this, message), 2000) }"""


@pytest.mark.parametrize("late", ["scripts", "words"])
def test_what_the_server_knows_before_the_browser_asks_and_while_it_pulls_the_page_is_shown(
    dashboard: Dashboard, visit: Visit, late: str
) -> None:
    page = visit(f"{dashboard.url}?page=sql")
    if late == "words":
        page.add_init_script(_MUTE)
    else:
        page.route("**/panel.min.js*", lambda route: (time.sleep(2), route.continue_()))  # type: ignore[func-returns-value]
    page.goto(f"{dashboard.url}?page=backtest", wait_until="domcontentloaded")
    wait_until_filled(page)
    for name in ("price", "equity", "drawdown", "rolling"):
        assert chart(page, name)["layers"][0]["data"]["ts"]
    expect(page.locator(".tile[data-metric=sharpe_ratio]:visible")).to_have_count(1)
