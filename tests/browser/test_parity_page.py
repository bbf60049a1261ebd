"""The page of parity, in a browser, over a session that was replayed, tampered with and compared by the real flow."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Browser, Page, expect

from dashboards.parity_queries import VERDICTS
from data.runs import read_run
from data.writer import Lake
from flows.parameters import LiveParameters
from flows.parity import check_parity
from tests.browser.conftest import Dashboard, Serve, Visit, chart, layer, serving, until, visiting, wait_until_filled
from tests.browser.test_states import EVIL
from tests.flow.test_live_parity import FIRST, MARKET, candle_rows, random_candles
from tests.servers.recorded_market import EXCHANGE, Replay, replay

pytestmark = pytest.mark.browser

COMPARED, PENDING = 60, 3
"""Candles of the session that were compared, and those that were decided since."""

ASKEW = range(30, 36)
"""Steps of the session at which the market's price was not the next open."""

MISSED, OTHER_SIGNAL, REVISED = 42, 47, 55
"""Steps that are planted: one never taken, one whose recorded signal is another, one whose candle was revised."""


@dataclass
class Compared:
    """A session that was compared, and the dashboard over its lake."""

    dashboard: Dashboard
    lake: Lake
    run: str
    other: str
    candles: pd.DataFrame

    def rows(self, table: str) -> pd.DataFrame:
        return read_run(self.lake, self.run, table)

    def at(self, step: int) -> pd.Timestamp:
        """The candle decided at a step."""
        return self.candles.index[FIRST + step]

    @property
    def url(self) -> str:
        return f"{self.dashboard.url}?page=parity&run={self.run}"


def trade(lake: Lake, candles: pd.DataFrame, cash: float, stack: ExitStack) -> Replay:
    """Begin a session on paper over recorded candles, which are in the lake."""
    parameters = LiveParameters(exchange=EXCHANGE, timeframe="1h", cash=cash, params={"fast": 2, "slow": 4},
                                history=500, stop_loss=0.01)  # fmt: skip
    return replay(lake, candles, parameters, MARKET, FIRST, stack)


def step(replayed: Replay, number: int) -> str:
    """Take a step, in some at another price than the next candle's open; return the run."""
    position = FIRST + number
    opens = replayed.candles.columns.get_loc("open")
    price = replayed.candles.iloc[position + 1, opens]
    if number in ASKEW:
        replayed.candles.iloc[position + 1, opens] = round(price * 1.002, 1)
    (outcome,) = replayed.step(position)
    replayed.candles.iloc[position + 1, opens] = price
    assert not outcome.failure
    return outcome.run_id


def tamper(lake: Lake, run: str, candles: pd.DataFrame) -> None:
    """Plant a fee that was higher, a signal that was another, and a candle that was revised."""
    fills, equity, decisions = (read_run(lake, run, name) for name in ("fills", "equity", "decisions"))
    first = fills.sort_values("ts").iloc[:1]
    lake.upsert("fills", first.assign(fee=first["fee"] + 7.5))
    later = equity[equity["ts"] >= first["ts"].iloc[0].floor("h")]
    lake.upsert("equity", later.assign(equity=later["equity"] - 7.5, cash=later["cash"] - 7.5))
    other = decisions[decisions["ts"] == candles.index[FIRST + OTHER_SIGNAL]]
    lake.upsert("decisions", other.assign(signal=0.25))
    revised = candle_rows(candles.iloc[FIRST + REVISED : FIRST + REVISED + 1])
    lake.upsert("candles", revised.assign(volume=123.0))


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compared]:
    """A session with every verdict in it, three candles that came later, and one more that was never compared."""
    folder = tmp_path_factory.mktemp("parity")
    lake, candles = Lake(folder / "lake"), random_candles(3, FIRST + COMPARED + PENDING + 10)
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setenv("JARVIS_STATE", str(folder / "state"))
        lake.append("candles", candle_rows(candles))
        replayed, second = (trade(lake, candles, cash, stack) for cash in (50_000.0, 9_000.0))
        for number in range(COMPARED):
            if number != MISSED:
                run = step(replayed, number)
        tamper(lake, run, candles)
        check_parity(lake, run)
        for number in range(COMPARED, COMPARED + PENDING):
            step(replayed, number)
            other = step(second, number - COMPARED)
        yield Compared(stack.enter_context(serving(lake.root, folder)), lake, run, other, candles)


@pytest.fixture(scope="module")
def looked(compared: Compared, chromium: Browser) -> Iterator[Page]:
    """The page of the session's parity, for tests that only look."""
    with visiting(chromium) as visit:
        yield visit(compared.url)


def listed(page: Page) -> list[list[str]]:
    """The candles that the list shows."""
    rows: list[list[str]] = page.locator("tr[data-candle]").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
    )
    return rows


def cells(page: Page, region: str) -> list[list[str]]:
    """The rows of a card's table."""
    found = page.get_by_role("region", name=region).locator("tbody tr")
    rows: list[list[str]] = found.evaluate_all("rows => rows.map(row => [...row.cells].map(cell => cell.textContent))")
    return rows


def minute(ts: pd.Timestamp) -> str:
    return f"{ts:%Y-%m-%d %H:%M}"


def test_the_fixture_has_every_verdict(compared: Compared) -> None:
    verdicts = compared.rows("parity").set_index("ts")["verdict"]
    assert set(verdicts) == {*VERDICTS}
    assert verdicts[compared.at(MISSED)] == verdicts[compared.at(REVISED)] == "data"
    assert verdicts[compared.at(OTHER_SIGNAL)] == "signal"


def test_without_a_session_in_the_address_all_are_listed_and_lead_to_theirs(compared: Compared, visit: Visit) -> None:
    page = visit(f"{compared.dashboard.url}?theme=light", filled=False)
    page.wait_for_function("() => window.Bokeh && Bokeh.documents.length > 0")  # left before, Bokeh complains of it
    page.get_by_role("link", name="Parity").click()
    wait_until_filled(page)
    expect(page.locator("tr[data-run]")).to_have_count(2)
    expect(page.locator(f"tr[data-run='{compared.run}']")).to_contain_text("by data, 1 by signal")
    expect(page.locator(f"tr[data-run='{compared.other}']")).to_contain_text(f"never: jarvis parity {compared.other}")
    expect(page.get_by_role("heading", name="Candle by candle")).to_be_hidden()
    page.locator(f"tr[data-run='{compared.run}'] a").click()
    wait_until_filled(page)
    expect(page).to_have_url(f"{compared.url}&theme=light")
    expect(page).to_have_title("Parity · jarvis")


def test_the_verdict_is_said_with_what_to_type_for_the_candles_that_came_later(
    compared: Compared, looked: Page
) -> None:
    counts = compared.rows("parity")["verdict"].value_counts()
    head = looked.get_by_role("region", name="The session and its parity")
    expect(head).to_contain_text(f"{counts['equal']} of {COMPARED} candles are as in the backtest")
    causes = ", ".join(f"{counts[name]} by {name}" for name in VERDICTS[:-1])
    expect(head).to_contain_text(f"{COMPARED - counts['equal']} differ: {causes}.")
    expect(head).to_contain_text(f"{PENDING} candles were decided since and not compared yet")
    expect(head).to_contain_text(f"jarvis parity {compared.run}")
    tile = looked.locator(".tile[data-metric=equal]:visible")
    expect(tile).to_contain_text(f"{100 * counts['equal'] / COMPARED:.2f} %")


def test_every_candle_has_a_mark_by_its_verdict(compared: Compared, looked: Page) -> None:
    told, marks = compared.rows("parity"), layer(looked, "strip", "marks")
    later = compared.rows("decisions")["ts"].iloc[-PENDING:]
    assert marks["ts"] == [ts.timestamp() * 1000 for ts in [*told["ts"], *later]]
    assert marks["verdict"] == [*told["verdict"], *["not compared"] * PENDING]
    assert len(set(marks["color"])) == 6


def test_both_equities_and_their_distance_are_drawn_on_one_time(compared: Compared, looked: Page) -> None:
    told = compared.rows("parity")
    backtest, live = (one["data"] for one in chart(looked, "curves")["layers"])
    assert live["live"] == list(told["live_equity"])
    assert backtest["backtest"] == list(told["backtest_equity"])
    apart = chart(looked, "distance")["layers"][-1]["data"]["apart"]
    assert apart == pytest.approx(list(1e4 * (told["live_equity"] / told["backtest_equity"] - 1)))
    canvas = looked.locator("canvas").first.bounding_box()
    assert canvas is not None
    looked.mouse.move(canvas["x"] + canvas["width"] / 3, canvas["y"] + 40)
    expect(looked.locator("#read-strip")).to_contain_text("equal")
    looked.mouse.wheel(0, -400)
    whole = [ts.timestamp() * 1000 for ts in told["ts"].iloc[[0, -1]]]
    until(lambda: chart(looked, "distance")["x"][0] > whole[0])
    assert chart(looked, "strip")["x"] == chart(looked, "curves")["x"] == chart(looked, "distance")["x"]


def test_the_candles_that_differ_are_listed_newest_first_with_their_detail_in_full(
    compared: Compared, looked: Page
) -> None:
    told = compared.rows("parity").query("verdict != 'equal'").iloc[::-1]
    assert [row[:3] for row in listed(looked)] == [
        [minute(ts), verdict, detail] for ts, verdict, detail in told[["ts", "verdict", "detail"]].to_numpy()
    ]


def test_the_list_is_narrowed_down_and_downloaded_and_the_address_says_how(compared: Compared, visit: Visit) -> None:
    page = visit(compared.url)
    page.get_by_label("Verdict", exact=True).select_option("fill")
    fills = compared.rows("parity").query("verdict == 'fill'")
    until(lambda: len(listed(page)) == len(fills))
    page.get_by_label("Text", exact=True).press_sequentially("SOLD 2", delay=20)
    sold = fills[fills["detail"].str.startswith("sold 2")]
    until(lambda: [row[0] for row in listed(page)] == [minute(ts) for ts in sold["ts"].iloc[::-1]])
    until(lambda: "verdict=fill&text=SOLD+2" in page.url)
    with page.expect_download() as download:
        page.get_by_text("Download CSV").click()
    saved = pd.read_csv(download.value.path())
    assert download.value.suggested_filename == f"parity-{compared.run}.csv"
    assert list(saved["detail"]) == list(sold["detail"].iloc[::-1])
    assert json.loads(saved["backtest_fills"][0])[0]["side"] == "sell"
    again = visit(page.url)
    expect(again.get_by_label("Text", exact=True)).to_have_value("SOLD 2")
    assert listed(again) == listed(page)


def test_a_candle_is_picked_by_mouse_or_keys_and_shown_amid_its_neighbours(compared: Compared, visit: Visit) -> None:
    page = visit(compared.url)
    card = page.get_by_role("region", name="The candle and its neighbours")
    expect(card).to_contain_text("Choose a candle")
    told = compared.rows("parity").set_index("ts")
    fill = next(ts for ts in told.index if told["verdict"][ts] == "fill")
    page.locator("tr[data-candle] td.detail").filter(has_text=str(told["detail"][fill])).click()
    expect(card).to_contain_text("Chosen")
    (mine,), (its,) = (json.loads(told[name][fill]) for name in ("live_fills", "backtest_fills"))
    shown = card.locator("article").first
    expect(shown).to_contain_text(minute(fill))
    expect(shown).to_contain_text(f"bought {mine['amount']:.8g} at {mine['price']:,.8g}, fee {mine['fee']:.8g}")
    expect(shown).to_contain_text(f"bought {its['amount']:.8g} at {its['price']:,.8g}, fee {its['fee']:.8g}")
    expect(shown).to_contain_text("20 bp worse")
    before = card.locator("article").nth(1)
    expect(before).to_contain_text("buy: signal")
    expect(before).to_contain_text(f"buy {its['amount']:.8g} at market: filled")
    expect(card.locator("article")).to_have_count(5)
    page.locator("tr[data-candle] button").first.focus()
    page.keyboard.press("Enter")
    newest = told.query("verdict != 'equal'").index[-1]
    expect(card.locator("article").first).to_contain_text(minute(newest))
    expect(page.locator("button[aria-pressed=true]")).to_have_text(minute(newest))
    again = visit(page.url)
    expect(again.locator("article").first).to_contain_text(minute(newest))


def test_what_the_causes_come_to_adds_up(compared: Compared, looked: Page) -> None:
    told = compared.rows("parity")
    rows = {row[0]: row[1:] for row in cells(looked, "What each cause comes to")}
    assert [*rows] == [*VERDICTS, "all"]
    apart = (told["live_equity"] - told["backtest_equity"]).iloc[-1]
    assert rows["all"][0] == str(COMPARED)
    assert float(rows["all"][1].replace(",", "")) == pytest.approx(apart, abs=0.006)
    assert sum(float(rows[name][1]) for name in VERDICTS) == pytest.approx(apart, abs=0.03)
    assert rows["cost"][1:5] == ["-7.50", rows["cost"][2], "0.00", "+7.50"]
    assert float(rows["fill"][3]) > 0


@pytest.mark.slow
def test_an_address_with_things_that_are_not_there_says_so(compared: Compared, visit: Visit) -> None:
    page = visit(f"{compared.url}&candle=2020-01-01T00:00:00&verdict={EVIL}&at=99")
    card = page.get_by_role("region", name="The candle and its neighbours")
    expect(card).to_contain_text("No candle 2020-01-01T00:00:00 of this session was compared")
    expect(page.get_by_text("None differs in this way")).to_be_visible()
    other = visit(f"{compared.url}&candle={EVIL}&at=99")
    expect(other.get_by_text(f"No candle {EVIL} of this session")).to_be_visible()
    assert len(listed(other)) > 0
    gone = visit(f"{compared.dashboard.url}?page=parity&run={EVIL}")
    expect(gone.get_by_role("alert")).to_contain_text(f"The lake has no session {EVIL}")
    gone.get_by_role("link", name="Show the newest").click()
    expect(gone.get_by_text(f"jarvis parity {compared.other}")).to_be_visible()
    assert f"page=parity&run={compared.other}" in gone.url


@pytest.mark.parametrize("theme", ["dark", pytest.param("light", marks=pytest.mark.slow)])
def test_a_phone_needs_no_sideways_scrolling(compared: Compared, visit: Visit, theme: str) -> None:
    page = visit(f"{compared.url}&theme={theme}", width=390, height=844)
    page.locator("tr[data-candle] td.detail").last.click()
    expect(page.get_by_text("Chosen")).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert visit(f"{compared.dashboard.url}?page=parity", width=390).evaluate("document.body.scrollWidth") <= 390


def test_a_torn_table_spoils_the_cards_that_need_it(
    compared: Compared, tmp_path: Path, serve: Serve, visit: Visit
) -> None:
    lake = Path(shutil.copytree(compared.lake.root, tmp_path / "lake"))
    for file in (lake / "orders").glob("*.parquet"):
        file.write_bytes(b"torn")
    url = f"{serve(lake).url}?page=parity&run={compared.run}"
    page = visit(f"{url}&candle={compared.at(OTHER_SIGNAL):%Y-%m-%dT%H:%M:%S}")
    expect(page.get_by_role("alert")).to_have_count(1)
    expect(page.get_by_role("alert")).to_contain_text("The candle cannot be shown")
    for file in (lake / "parity").glob("*.parquet"):
        file.write_bytes(b"torn")
    page = visit(url)
    expect(page.get_by_role("alert").filter(has_text="The verdicts cannot be shown")).to_be_visible()
    expect(page.locator(".run strong:visible")).to_have_text("sma_crossover")
    assert str(lake) not in page.content()


def test_a_session_that_was_never_compared_says_how_and_fills_when_it_is(compared: Compared, visit: Visit) -> None:
    page = visit(f"{compared.dashboard.url}?page=parity&run={compared.other}")
    expect(page.get_by_text("sma_crossover on BTC/USD 1h was never compared with its backtest")).to_be_visible()
    expect(page.get_by_text(f"jarvis parity {compared.other}")).to_be_visible()
    expect(page.get_by_role("heading", name="Candle by candle")).to_be_hidden()
    check_parity(compared.lake, compared.other)
    expect(page.get_by_text(f"All {PENDING} candles are as in the backtest")).to_be_visible()
    until(lambda: layer(page, "strip", "marks")["verdict"] == ["equal"] * PENDING)
    expect(page.get_by_text("None differs in this way")).to_be_visible()
    wait_until_filled(page)


@pytest.mark.slow
def test_another_session_that_is_picked_begins_without_what_was_chosen_for_the_first(
    compared: Compared, visit: Visit
) -> None:
    page = visit(f"{compared.url}&verdict=fill&candle=2024-03-12T01:00:00")
    page.get_by_role("combobox", name="Run").click()
    page.get_by_role("option").filter(has_text=compared.other).click()
    expect(page.locator(".chip", has_text=compared.other).first).to_be_visible()
    until(lambda: page.url == f"{compared.dashboard.url}?page=parity&run={compared.other}&theme=dark")
    expect(page.get_by_label("Verdict", exact=True)).to_have_value("")
    expect(page.get_by_text("Choose a candle of the list")).to_be_visible()


def test_what_is_compared_anew_is_shown_while_what_was_typed_and_picked_stays(compared: Compared, visit: Visit) -> None:
    page = visit(compared.url)
    page.evaluate("window.stayed = true")
    text = page.get_by_label("Text", exact=True)
    text.press_sequentially("revised", delay=20)
    until(lambda: {row[1] for row in listed(page)} == {"data"})
    page.locator("tr[data-candle] button").first.click()
    text.focus()
    check_parity(compared.lake, compared.run)
    until(lambda: "not compared" not in layer(page, "strip", "marks")["verdict"])
    expect(page.get_by_text(re.compile("decided since"))).to_have_count(0)
    expect(text).to_have_value("revised")
    expect(text).to_be_focused()
    expect(page.locator("button[aria-pressed=true]")).to_have_count(1)
    assert page.evaluate("window.stayed")


@pytest.mark.slow
def test_an_empty_lake_says_what_to_do(tmp_path: Path, serve: Serve, visit: Visit) -> None:
    page = visit(f"{serve(tmp_path / 'lake').url}?page=parity")
    expect(page.get_by_text("No session yet")).to_be_visible()
    expect(page.get_by_text("jarvis live --exchange practice --stream")).to_be_visible()
