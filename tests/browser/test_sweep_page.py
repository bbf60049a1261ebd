"""The page of sweeps, in a browser, over a sweep that the real flow wrote."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa
import pytest
from playwright.sync_api import expect

from data.metrics import METRICS
from data.runs import read_run
from data.tables import TABLES
from data.writer import Lake
from flows.parameters import SweepParameters
from flows.sweep import Sweep, sweep
from tests.browser.conftest import Dashboard, Visit, chart, layer, serving, until, wait_until_filled

pytestmark = pytest.mark.browser

GRID = {"fast": "5:25:5", "slow": "20:60:8"}


@dataclass
class Swept:
    """A sweep, and the dashboard over its lake."""

    dashboard: Dashboard
    lake: Lake
    sweep: Sweep
    sets: pd.DataFrame

    @property
    def url(self) -> str:
        return f"{self.dashboard.url}?page=sweep"


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swept]:
    """A sweep of thirty sets with a split, of which one was run in full."""
    folder = tmp_path_factory.mktemp("sweep")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JARVIS_LAKE", str(folder / "lake"))
        patch.setenv("JARVIS_STATE", str(folder / "state"))
        lake = Lake.open()
        (done,) = sweep.fn(SweepParameters(grid=GRID, split=0.7, best=1))
    with serving(lake.root, folder) as dashboard:
        yield Swept(dashboard, lake, done, read_run(lake, done.run_id, "sweeps"))


def test_the_verdict_comes_first_then_the_sets_in_charts_and_in_a_table_that_leads_on(
    swept: Swept, visit: Visit
) -> None:
    page = visit(f"{swept.url}&theme=light")
    expect(page).to_have_title("Sweep · jarvis")
    metrics, tried = swept.sweep.metrics.set_index("metric"), swept.sets[swept.sets["objective"].notna()]
    title, reason = swept.sweep.verdict.split(": ", 1)
    banner = page.locator(".verdict:visible")
    expect(banner.locator("strong")).to_have_text(title, ignore_case=True)
    expect(banner).to_contain_text(reason[1:])
    tile = page.locator(".tile[data-metric=deflated_sharpe]:visible")
    expect(tile).to_contain_text(f"{metrics.loc['deflated_sharpe', 'value'] * 100:.2f} %")
    cells = layer(page, "map", "cells")
    assert sorted(cells["value"]) == pytest.approx(sorted(tried["objective"]))
    best, at = layer(page, "map", "best"), cells["value"].index(max(cells["value"]))
    assert (best["x"], best["y"]) == ([cells["left"][at] + 0.5], [cells["bottom"][at] + 0.5])
    expect(page.get_by_text("A star marks the best objective")).to_be_visible()
    assert len(layer(page, "parallel", "sets")["ys"]) == len(tried)
    dots = layer(page, "sample", "sets")
    assert sorted(dots["outside"]) == pytest.approx(sorted(tried["out_objective"].dropna()))
    assert any(one["name"] == "diagonal" for one in chart(page, "sample")["layers"])
    expect(page.get_by_role("heading", name="Walk-forward")).to_be_hidden()
    changes = page.get_by_role("region", name="What little changes do to the best set")
    expect(changes.locator("tr.own")).to_contain_text("as it is")
    table = page.get_by_role("region", name="Parameter sets")
    first = table.locator("tbody tr").first
    expect(first).to_contain_text(swept.sweep.runs[0])
    table.get_by_role("searchbox").fill("failed")
    expect(table.locator("tbody tr")).to_have_count(int(swept.sets["failure"].notna().sum()))
    expect(first).to_contain_text("must be below")
    table.get_by_role("searchbox").fill("")
    table.get_by_role("button", name="Sharpe").click()
    expect(first).to_have_attribute("data-row", str(tried.loc[tried["sharpe_ratio"].idxmin(), "number"]))
    with page.expect_download() as download:
        table.get_by_role("button", name="Download CSV").click()
    saved = pd.read_csv(download.value.path())
    assert list(saved["sharpe_ratio"].dropna()) == pytest.approx(sorted(tried["sharpe_ratio"].dropna()))
    table.get_by_role("button", name="Rank").click()
    expect(first).to_contain_text(swept.sweep.runs[0])
    first.get_by_role("link").click()
    expect(page).to_have_title("Backtest · jarvis")
    wait_until_filled(page)
    until(lambda: f"page=backtest&run={swept.sweep.runs[0]}&theme=light" in page.url)


def test_on_a_phone_the_map_follows_what_is_chosen_and_a_sweep_that_begins_is_told_of(
    swept: Swept, visit: Visit
) -> None:
    page = visit(f"{swept.url}&x=evil%3Cscript%3E&y=fast&figure=trades", width=390, height=844)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    expect(page.get_by_text("No parameter evil<script> varies in this sweep.")).to_be_visible()
    values = sorted(layer(page, "map", "cells")["value"])
    assert values == sorted(swept.sets["trades"].dropna())
    assert page.get_by_label("Across").input_value() == "slow"
    page.get_by_label("Across").select_option("fast")
    expect(page.get_by_text("Trades by fast and slow")).to_be_visible()
    assert sorted(layer(page, "map", "cells")["value"]) == values
    page.get_by_label("Figure").select_option("max_drawdown")
    expect(page.get_by_text("by fast and slow")).to_contain_text(METRICS["max_drawdown"].title)
    for part in ("x=fast", "y=slow", "figure=max_drawdown", "cell=best"):
        page.wait_for_url(re.compile(part))
    row = {"run_id": "begun", "number": 1, "parameters": '{"fast":5,"slow":20}', "objective": 1.0, "wanted": 4}
    swept.lake.append("sweeps", pa.Table.from_pylist([row], TABLES["sweeps"].schema))
    expect(page.get_by_text("begun: 1 of 4 sets tried")).to_be_visible()
    expect(page.get_by_role("progressbar", name="begun")).to_have_attribute("value", "1")
    expect(page.locator(".verdict:visible")).to_be_visible()
    expect(page.get_by_text("by fast and slow")).to_be_visible()
