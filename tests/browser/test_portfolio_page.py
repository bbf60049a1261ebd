"""The page of a backtest of several markets on one account, in Chromium, on a lake that the flow wrote."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd
import pytest
from playwright.sync_api import Page, expect

from data.runs import read_run
from data.views import connect
from data.writer import Lake
from flows.backtest import Backtest, backtest
from flows.parameters import BacktestParameters, PortfolioParameters
from flows.portfolio import portfolio
from tests.browser.conftest import Visit, chart, layer, serving, until
from tests.servers.sweeps import fill

pytestmark = pytest.mark.browser

SYMBOLS = ("A/USD", "B/USD", "C/USD")


@dataclass
class Recorded:
    """What the page shows, and where."""

    url: str
    lake: Lake
    of_one: Backtest
    of_several: Backtest

    def rows(self, table: str) -> pd.DataFrame:
        return read_run(self.lake, self.of_several.run_id, table)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    """A backtest of one market, then one of three, which is the newest."""
    folder = tmp_path_factory.mktemp("portfolio")
    lake = Lake(folder / "lake")
    fill(lake, SYMBOLS)
    rest = {"exchange": "file", "timeframe": "1h", "strategy": "sma_crossover", "params": {"fast": 5, "slow": 20}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JARVIS_LAKE", str(lake.root))
        alone = backtest.fn(BacktestParameters(symbol="A/USD", **rest))  # type: ignore[arg-type]
        several = portfolio.fn(PortfolioParameters(symbols=SYMBOLS, **rest))  # type: ignore[arg-type]
    with serving(lake.root, folder) as served:
        yield Recorded(served.url, lake, alone, several)


def test_the_price_is_that_of_the_market_that_is_chosen(recorded: Recorded, visit: Visit) -> None:
    page = visit(recorded.url)
    market = page.get_by_role("combobox", name="Market")
    expect(market).to_have_value("A/USD")
    market.select_option("B/USD")
    page.wait_for_url(re.compile("symbol=B%2FUSD"))
    bought = recorded.rows("trades").query("symbol == 'B/USD'").sort_values("entry_ts")
    wanted = list(bought["entry_price"])
    until(lambda: layer(page, "price", "buy")["price"] == wanted)
    closes = connect(recorded.lake).sql("SELECT close FROM candles WHERE symbol = 'B/USD' ORDER BY ts").fetchall()
    assert layer(page, "price", "fast")["close"] == [close for (close,) in closes]
    shared = visit(page.url)
    expect(shared.get_by_role("combobox", name="Market")).to_have_value("B/USD")
    assert layer(shared, "price", "buy")["price"] == wanted


def test_equity_weights_and_positions_are_those_of_all_markets(recorded: Recorded, visit: Visit) -> None:
    page = visit(recorded.url)
    metrics = recorded.rows("metrics").set_index("metric")["value"]
    equity = chart(page, "equity")["layers"][0]["data"]
    assert equity["hold"][-1] / 100_000 - 1 == pytest.approx(metrics["buy_and_hold_return"], rel=1e-9)
    lines = chart(page, "weights")["layers"]
    account = recorded.rows("equity").iloc[-1]
    ends = [one["data"][one["field"]][-1] for one in lines]
    assert sum(ends) == pytest.approx(account["position"] * account["price"] / account["equity"], abs=1e-12)
    table = page.get_by_role("region", name="Positions at each close")
    held = recorded.rows("positions")
    expect(table.get_by_role("status")).to_contain_text(f"of {len(held):,}")
    table.get_by_role("searchbox").fill("c/usd")
    own = held[held["symbol"] == "C/USD"]
    expect(table.get_by_role("status")).to_contain_text(f"of {len(own):,}")
    with page.expect_download() as saved:
        table.get_by_role("button", name="Download CSV").click()
    rows = pd.read_csv(saved.value.path())
    assert set(rows["symbol"]) == {"C/USD"}
    assert list(rows["value"]) == pytest.approx(list(rows["position"] * rows["price"]))


def test_a_trade_names_its_market_and_shows_its_candles(recorded: Recorded, visit: Visit) -> None:
    trades = recorded.rows("trades")
    trade = trades[trades["symbol"] == "C/USD"].iloc[0]
    page = visit(recorded.url)
    table = page.get_by_role("region", name="Trades", exact=True)
    expect(table.get_by_role("columnheader", name="Symbol")).to_be_visible()
    table.get_by_role("searchbox").fill("c/usd")
    expect(table.locator("td[data-column=symbol]").first).to_have_text("C/USD")
    table.get_by_role("button", name=str(trade["trade_id"]), exact=True).click()
    until(lambda: chart(page, "trade"))
    assert layer(page, "trade", "buy")["price"][0] == trade["entry_price"]
    ts = layer(page, "trade", "buy")["ts"][0]
    around = chart(page, "trade")["layers"][0]["data"]
    opened = connect(recorded.lake).execute(
        "SELECT open FROM candles WHERE symbol = 'C/USD' AND epoch_ms(ts) = ?", [int(ts)]
    ).fetchall()  # fmt: skip
    assert around["open"][around["ts"].index(ts)] == opened[0][0]


def test_a_run_of_one_market_has_nothing_of_this(recorded: Recorded, visit: Visit) -> None:
    page = visit(recorded.url)
    expect(page.get_by_role("heading", name="Positions at each close")).to_be_visible()
    box = page.get_by_role("combobox", name="Run")
    box.click()
    box.press_sequentially(recorded.of_one.run_id)
    expect(page.get_by_role("option")).to_have_count(1 + len(SYMBOLS))  # the run, and the markets of the one shown
    box.press("Enter")
    page.wait_for_url(re.compile(f"run={recorded.of_one.run_id}"))
    _nothing_of_several(page)
    _nothing_of_several(visit(f"{recorded.url}?run={recorded.of_one.run_id}&symbol=C%2FUSD"))


def _nothing_of_several(page: Page) -> None:
    expect(page.get_by_role("combobox", name="Market")).to_have_count(0)
    for heading in ("Positions at each close", "Weights of the markets"):
        expect(page.get_by_role("heading", name=heading)).to_be_hidden()
    table = page.get_by_role("region", name="Trades", exact=True)
    expect(table.get_by_role("columnheader", name="Side")).to_be_visible()
    expect(table.get_by_role("columnheader", name="Symbol")).to_have_count(0)
