"""The page of a session, in a browser, over the lake that a replayed session wrote and goes on writing."""

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

from data.runs import canonical, read_run
from data.writer import Lake
from flows.parameters import LiveParameters
from flows.parity import check_parity
from tasks.trade.halt import halt, resume
from tests.browser.conftest import Dashboard, Serve, Visit, chart, layer, serving, until, visiting, wait_until_filled
from tests.flow.test_live_parity import FIRST, MARKET, candle_rows, random_candles
from tests.servers.recorded_market import EXCHANGE, Replay, replay

pytestmark = pytest.mark.browser

ACCOUNT = "recorded-0123abcd"
SHOWN = 40
"""The session's candles when the first visitor comes."""

_MODELS = "() => Bokeh.documents.reduce((sum, d) => sum + d._all_models.size, 0)"
_FIGURES = """() => Bokeh.documents.flatMap(d => d.roots()).flatMap(root => [...root.references()])
  .filter(model => model.type === "Figure").map(model => model.id).sort()"""


@dataclass
class Traded:
    """A session under way, and the dashboard over its lake."""

    dashboard: Dashboard
    lake: Lake
    run: str
    other: str
    """A session on paper that has begun before."""
    replayed: Replay
    position: int = FIRST

    def step(self) -> None:
        (outcome,) = self.replayed.step(self.position)
        assert not outcome.failure
        self.position += 1

    def rows(self, table: str) -> pd.DataFrame:
        return read_run(self.lake, self.run, table)

    @property
    def is_held(self) -> bool:
        fills = self.rows("fills")
        return bool((fills["amount"] * fills["side"].map({"buy": 1, "sell": -1})).sum() > 1e-9)

    @property
    def url(self) -> str:
        return f"{self.dashboard.url}?page=live&run={self.run}"


@pytest.fixture(scope="module")
def traded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traded]:
    """A session of forty candles, compared with its account and, but for the last candle, with its backtest."""
    folder = tmp_path_factory.mktemp("session")
    lake, candles = Lake(folder / "lake"), random_candles(3, FIRST + 80)
    lake.append("candles", candle_rows(candles))
    parameters = LiveParameters(exchange=EXCHANGE, timeframe="1h", strategy="macd", cash=50_000.0, stop_loss=0.01,
                                params={"fast": 3, "slow": 7, "smooth": 3})  # fmt: skip
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setenv("JARVIS_STATE", str(folder / "state"))
        with ExitStack() as early:
            paper = LiveParameters(exchange=EXCHANGE, timeframe="1h", strategy="buy_and_hold", cash=50_000.0)
            begun = replay(lake, candles, paper, MARKET, FIRST, early)
            for position in (FIRST, FIRST + 1):
                begun.step(position)
            (other,) = begun.session.runs.values()
        replayed = replay(lake, candles, parameters, MARKET, FIRST, stack)
        (session,) = replayed.session.runs.values()
        made = Traded(Dashboard("", lake.root, folder), lake, session.run_id, other.run_id, replayed)
        for _ in range(SHOWN - 1):
            made.step()
        compare_by_hand(made)
        made.step()
        made.dashboard = stack.enter_context(serving(lake.root, folder))
        yield made


def compare_by_hand(made: Traded) -> None:
    """Compare the session with its backtest, from which one candle differs, and with an account that it is given."""
    check_parity(made.lake, made.run)
    parity = made.rows("parity")
    made.lake.upsert("parity", parity.iloc[[5]].assign(verdict="fill", detail="bought at another price"))
    row = made.rows("runs").iloc[0].to_dict()
    manifest = canonical({**json.loads(row["manifest"]), "account": ACCOUNT})
    made.lake.upsert("runs", pd.DataFrame([{**row, "kind": "live", "manifest": manifest}]))
    told = {
        "account": [ACCOUNT, ACCOUNT, ACCOUNT, "of-another"],
        "currency": ["USD", "BTC", "EUR", "USD"],
        "ts": pd.date_range("2024-03-11", periods=4, freq="h", tz="UTC", unit="us"),
        "kind": ["unexplained", "unexplained", "deposit", "unexplained"],
        "expected": ["100.5", "1", "7", "7"],
        "actual": ["90.25", "2", "8", "8"],
        "difference": [-10.25, 1.0, 1.0, 1.0],
        "flows": "0",
        "detail": [
            "USD: 10.25 less cannot be explained",
            "BTC: 1 more cannot be explained",
            "EUR: a deposit",
            "theirs",
        ],
    }
    made.lake.append("reconciliations", pd.DataFrame(told))
    accepted = pd.DataFrame(told).iloc[[1]]
    later = accepted["ts"] + pd.Timedelta(hours=9)
    made.lake.append("reconciliations", accepted.assign(ts=later, kind="accepted", detail="BTC: 2 accepted"))


@pytest.fixture(scope="module")
def looked(traded: Traded, chromium: Browser) -> Iterator[Page]:
    """The page of the session, for tests that only look."""
    with visiting(chromium) as visit:
        yield visit(traded.url)


@pytest.fixture
def page(traded: Traded, visit: Visit) -> Page:
    """A visitor's page of the session."""
    return visit(traded.url)


def cells(page: Page, title: str) -> list[list[str]]:
    """The rows of the card with this title."""
    rows: list[list[str]] = (
        page.get_by_role("region", name=title)
        .locator("tbody tr")
        .evaluate_all("rows => rows.map(row => [...row.cells].map(cell => cell.textContent))")
    )
    return rows


def test_the_navigation_leads_to_the_newest_session(traded: Traded, visit: Visit) -> None:
    page = visit(traded.dashboard.url, filled=False)
    expect(page.get_by_text("No backtest yet")).to_be_visible()
    page.get_by_role("link", name="Live").click()
    wait_until_filled(page)
    expect(page).to_have_url(f"{traded.dashboard.url}?page=live&run={traded.run}&theme=dark")
    expect(page).to_have_title("LIVE · BTC/USD 1h · jarvis")
    expect(page.get_by_text("2 sessions")).to_be_visible()


def test_the_headline_says_where_the_session_stands(traded: Traded, looked: Page) -> None:
    equity, decisions = traded.rows("equity").iloc[-1], traded.rows("decisions").iloc[-1]
    said = {name: looked.locator(f".tile[data-metric={name}]:visible") for name in
            ("candle", "position", "equity", "gain", "balance", "drawdown", "decision")}  # fmt: skip
    expect(looked.locator(".run strong:visible")).to_have_text("macd")
    expect(looked.get_by_role("region", name="Mode")).to_contain_text(f"Real money: orders are sent to {EXCHANGE}")
    expect(looked.locator(".banner .badge.live:visible")).to_have_text("live")
    expect(said["candle"]).to_contain_text(f"{equity['ts']:%H:%M}")
    expect(said["equity"]).to_contain_text(f"{equity['equity']:,.2f}")
    expect(said["gain"]).to_contain_text(f"{equity['equity'] - 50_000:+,.2f}")
    expect(said["drawdown"]).to_contain_text(f"{100 * equity['drawdown']:,.2f} %")
    expect(said["decision"]).to_contain_text(decisions["action"])
    fills = traded.rows("fills")
    held = (fills["amount"] * fills["side"].map({"buy": 1, "sell": -1})).sum()
    expect(said["position"]).to_contain_text(f"{round(held, 8):,.8g}")
    spent = (fills["price"] * fills["amount"] * fills["side"].map({"buy": 1, "sell": -1})).sum() + fills["fee"].sum()
    expect(said["balance"]).to_contain_text(f"{50_000 - spent:,.2f}")


def test_health_is_told_in_lights_with_words(looked: Page) -> None:
    expect(looked.locator(".freshness [data-state=late]")).to_contain_text("candles behind")
    lights = {name: looked.locator(f"[data-sign={name}] .light:visible") for name in
              ("trading", "delay", "clock", "gaps", "orders", "account")}  # fmt: skip
    expect(lights["delay"]).to_have_text("Decided 0.0 s after the close")
    expect(lights["orders"]).to_have_text("No unknown order")
    expect(lights["account"]).to_have_text("1 difference unexplained")
    expect(lights["account"]).to_have_class("light bad")
    for name in ("trading", "clock", "gaps"):
        expect(lights[name]).not_to_contain_text("cannot be read")


def test_a_card_leads_to_its_session_without_a_reload(traded: Traded, page: Page) -> None:
    page.evaluate("window.stayed = true")
    cards = page.get_by_role("navigation", name="Sessions").get_by_role("link")
    assert cards.evaluate_all("links => links.map(link => link.dataset.run)") == [traded.run, traded.other]
    expect(cards.nth(0)).to_have_attribute("aria-current", "true")
    expect(cards.nth(0)).to_contain_text("BTC/USD 1h")
    cards.nth(1).focus()
    page.keyboard.press("Enter")
    expect(page).to_have_title("PAPER · BTC/USD 1h · jarvis")
    expect(page.get_by_role("region", name="Mode")).to_contain_text("Orders are simulated")
    until(lambda: f"run={traded.other}" in page.url)
    expect(cards.nth(1)).to_have_attribute("aria-current", "true")
    wait_until_filled(page)
    bought = layer(page, "price", "levels")
    assert bought["text"] == [f"entry: {price:,.8g}" for price in bought["price"]]
    assert len(bought["price"]) == 1
    assert page.evaluate("window.stayed")


def test_the_decisions_are_listed_newest_first(traded: Traded, looked: Page) -> None:
    told, decisions = cells(looked, "Decisions"), traded.rows("decisions").iloc[::-1]
    assert [row[0] for row in told] == [f"{ts:%Y-%m-%d %H:%M}" for ts in decisions["ts"]]
    assert [row[3] for row in told] == decisions["detail"].tolist()
    assert {row[1] for row in told} == {"buy", "sell", "hold"}


def test_an_order_is_told_with_its_events_and_its_fill(traded: Traded, looked: Page) -> None:
    told, fills = cells(looked, "Orders"), traded.rows("fills")
    assert {row[0] for row in told} == set(traded.rows("orders")["order_id"])
    assert re.fullmatch(r"intent \S+ \S+ → sent \S+ \S+ → accepted \S+ \S+ → filled \S+ \S+", told[-1][5])
    first = fills.sort_values("ts").iloc[0]
    assert told[-1][0] == first["order_id"]
    assert told[-1][6:] == [*(f"{first[name]:,.8g}" for name in ("amount", "price")), f"{first['fee']:,.2f}"]


def test_the_profit_of_a_trade_has_the_colour_of_a_gain_or_of_a_loss(traded: Traded, looked: Page) -> None:
    profits = traded.rows("trades").query("status == 'closed'")["profit"]
    table = looked.get_by_role("region", name="Trades")
    for tone, count in ("good", int((profits > 0).sum())), ("bad", int((profits < 0).sum())):
        assert count
        expect(table.locator(f"td.{tone}")).to_have_count(2 * count)  # the return as well


def test_what_is_unexplained_comes_first_and_is_marked_while_it_stands(looked: Page) -> None:
    told = cells(looked, "Account against ledger")
    assert [row[2] for row in told] == ["unexplained: stops trading", "unexplained", "accepted", "deposit"]
    assert told[0][1:6] == ["USD", told[0][2], "100.5", "90.25", "USD: 10.25 less cannot be explained"]
    marked = looked.get_by_role("region", name="Account against ledger").locator("tr.bad")
    expect(marked).to_have_count(1)


def test_parity_is_told_by_verdict_with_the_candles_that_differ(traded: Traded, page: Page) -> None:
    parity = traded.rows("parity")
    expect(page.locator("[data-verdict=equal]")).to_have_text(f"equal {len(parity) - 1}")
    expect(page.locator("[data-verdict=fill]")).to_have_text("fill 1")
    expect(page.get_by_text("1 candle decided since")).to_be_visible()
    (told,) = cells(page, "Parity with the backtest")
    assert told[:3] == [f"{parity['ts'][5]:%Y-%m-%d %H:%M}", "fill", "bought at another price"]
    page.get_by_role("link", name="Candle by candle").click()
    page.wait_for_url(re.compile(f"page=parity&run={traded.run}"))
    wait_until_filled(page)  # the sketch of the head has the same link
    page.get_by_role("link", name="Session", exact=True).click()
    page.wait_for_url(re.compile(f"page=live&run={traded.run}"))


def test_fills_are_marked_at_the_price_beside_the_strategys_indicators(traded: Traded, looked: Page) -> None:
    fills = traded.rows("fills")
    for side in ("buy", "sell"):
        marks, made = layer(looked, "price", side), fills[fills["side"] == side].sort_values("ts")
        assert marks["ts"] == [ts.timestamp() * 1000 for ts in made["ts"].dt.floor("h")]
        assert marks["price"] == pytest.approx(list(made["price"]))
    assert {"macd", "histogram"} <= {one["name"] for one in chart(looked, "oscillator-0")["layers"]}
    equity = traded.rows("equity")
    assert chart(looked, "equity")["layers"][-1]["data"]["equity"] == list(equity["equity"])
    assert chart(looked, "drawdown")["layers"][-1]["data"]["drawdown"] == list(equity["drawdown"])


def test_a_new_decision_appears_in_tables_charts_and_lines_without_a_reload_and_a_zoom_stays(
    traded: Traded, page: Page
) -> None:
    page.evaluate("window.stayed = true")
    before, figures = chart(page, "price"), page.evaluate(_FIGURES)
    traded.step()
    newest = traded.rows("decisions").iloc[-1]
    first = page.get_by_role("region", name="Decisions").locator("tbody tr").first
    expect(first).to_contain_text(f"{newest['ts']:%Y-%m-%d %H:%M}")
    until(lambda: chart(page, "price")["layers"][0]["data"]["ts"][-1] == newest["ts"].timestamp() * 1000)
    until(lambda: chart(page, "price")["x"][1] == pytest.approx(before["x"][1] + 3_600_000, abs=120_000))
    assert chart(page, "equity")["layers"][-1]["data"]["ts"][-1] == newest["ts"].timestamp() * 1000
    was_held = traded.is_held
    start, end = chart(page, "price")["x"]
    page.get_by_role("group", name="The time in view").get_by_role("button", name="Zoom in").click()
    zoomed = chart(page, "price")["x"]
    assert zoomed == pytest.approx([start + (end - start) / 4, end - (end - start) / 4])
    while traded.is_held == was_held:
        traded.step()
    lines = ["entry", "stop loss, by the settings"] if traded.is_held else []
    drawn = lambda: [text.partition(":")[0] for text in layer(page, "price", "levels")["text"]]  # noqa: E731
    until(lambda: drawn() == lines, 150)  # drawing takes a tenth of the time, which is long where others work, too
    newest = traded.rows("decisions").iloc[-1]["ts"].timestamp() * 1000
    until(lambda: chart(page, "price")["layers"][0]["data"]["ts"][-1] == newest)
    assert chart(page, "price")["x"] == zoomed
    assert page.evaluate(_FIGURES) == figures
    assert page.evaluate("window.stayed")


@pytest.mark.slow
def test_a_page_that_follows_a_session_does_not_grow(traded: Traded, page: Page) -> None:
    traded.step()
    newest = traded.rows("decisions").iloc[-1]["ts"].timestamp() * 1000
    until(lambda: chart(page, "price")["layers"][0]["data"]["ts"][-1] == newest)
    models = page.evaluate(_MODELS)
    for _ in range(4):
        traded.step()
        newest = traded.rows("decisions").iloc[-1]["ts"].timestamp() * 1000
        until(lambda: chart(page, "price")["layers"][0]["data"]["ts"][-1] == newest)  # noqa: B023
    assert page.evaluate(_MODELS) == models


def test_what_halts_the_session_is_said_at_the_top_until_it_is_over(traded: Traded, page: Page) -> None:
    alert = page.get_by_role("alert")
    expect(alert).to_have_count(0)
    halt("a person looks into it")
    traded.step()
    expect(alert).to_contain_text("Nothing is traded: halted")
    expect(alert).to_contain_text("a person looks into it")
    light = page.locator("[data-sign=trading] .light:visible")
    expect(light).to_have_text("Nothing is traded: halted")
    expect(page.locator(f"[data-run='{traded.run}'] .standing")).to_have_text("not trading: halted")
    resume()
    traded.step()
    expect(alert).to_have_count(0)
    expect(light).to_contain_text("of the day without")


@pytest.mark.parametrize("theme", ["dark", pytest.param("light", marks=pytest.mark.slow)])
def test_a_phone_needs_no_sideways_scrolling(traded: Traded, visit: Visit, theme: str) -> None:
    page = visit(f"{traded.url}&theme={theme}", width=390, height=844)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for sign in page.locator("[data-sign]:visible").all():
        sign.focus()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.slow
def test_a_torn_file_spoils_what_needs_it_and_no_more(
    traded: Traded, tmp_path: Path, serve: Serve, visit: Visit
) -> None:
    lake = Path(shutil.copytree(traded.lake.root, tmp_path / "lake"))
    for file in (lake / "orders").glob("*.parquet"):
        file.write_bytes(b"torn")
    page = visit(f"{serve(lake).url}?page=live")
    expect(page.get_by_role("alert")).to_have_count(3)
    for told in ("The list of orders cannot", "The list of open orders cannot", "Something is left out of this chart"):
        expect(page.get_by_role("alert").filter(has_text=told)).to_have_count(1)
    expect(page.locator("[data-sign=orders] .light:visible")).to_have_text("Orders cannot be read")
    expect(page.locator("[data-sign=account] .light:visible")).to_have_text("1 difference unexplained")
    assert chart(page, "price") is not None
