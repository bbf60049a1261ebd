"""The charts of long runs, in a browser: what is in view is drawn as finely as the screen shows it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from playwright.sync_api import Page

from data.runs import canonical
from data.writer import Lake
from tests.browser.conftest import Dashboard, Visit, chart, serving, until
from tests.unit import dashboard_lake as rows

pytestmark = pytest.mark.browser

LONG, SESSION = 40_000, 2_500
MINUTE = 60_000
EVER = {"fetched_at": rows.START}

_FIGURES = """() => Bokeh.documents.flatMap(d => d.roots()).flatMap(root => [...root.references()])
  .filter(model => model.type === "Figure").map(model => model.id).sort()"""


def candle_rows(first: int, n: int, symbol: str) -> pd.DataFrame:
    """Rows of the table candles whose close is 1,000 and the number of the minute, from a certain minute on."""
    close = 1_000.0 + np.arange(first, first + n)
    prices = {"open": close - 1, "close": close, "high": close + 1, "low": close - 2}
    return rows.candles(n, symbol=symbol, ts=rows.times(first + n)[first:], **prices, **EVER)


def session_rows(first: int, n: int) -> dict[str, Any]:
    """What a session writes for its candles, by table."""
    ts = rows.times(first + n)[first:]
    close = 1_000.0 + np.arange(first, first + n)
    told = {"action": "hold", "reason": "unchanged", "detail": "", "close": close, "signal": 0.0, "position": 0.0}
    decisions = pd.DataFrame({"symbol": "BTC/USD", "ts": ts, "decided_at": ts + pd.Timedelta("61s"), **told})
    equity = pd.DataFrame({"ts": ts, "price": close, "equity": close, "drawdown": 0.0})
    maps = pa.array([[("fast", value)] for value in close], pa.map_(pa.string(), pa.float64()))
    signals = pa.table({"symbol": ["BTC/USD"] * n, "ts": pa.array(ts), "indicators": maps})
    return {"decisions": decisions, "equity": equity, "signals": signals}


@pytest.fixture(scope="module")
def long_runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """A backtest of 40,000 candles and a session of 2,500, both of which are merged as a whole."""
    folder = tmp_path_factory.mktemp("zoom")
    lake = Lake(folder / "lake")
    lake.append("candles", candle_rows(0, LONG, "ETH/USD"))
    lake.append("candles", candle_rows(0, SESSION, "BTC/USD"))
    rows.record(lake, "long", LONG, symbol="ETH/USD", tables={"trades": rows.trades(500, symbol="ETH/USD")})
    manifest = canonical({"start": rows.START.isoformat()})
    known = {"kind": "paper", "end_ts": pd.NaT, "candles": None, "data_fingerprint": None, "manifest": manifest}
    tables = {**session_rows(0, SESSION), "trades": (), "metrics": ()}
    rows.record(lake, "session", SESSION, tables=tables, **known)
    with serving(lake.root, folder) as served:
        yield served


def times(page: Page, name: str = "price", layer: int = 0) -> list[float]:
    found: list[float] = chart(page, name)["layers"][layer]["data"]["ts"]
    return found


def zoom(page: Page, share: float, enough: Callable[[], bool]) -> None:
    """Turn the wheel over the price, at a share of its width, until enough is in view."""
    canvas = page.locator("canvas").first
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * share, box["y"] + box["height"] / 2)
    for _ in range(40):
        if enough():
            return
        page.mouse.wheel(0, -200)
        page.wait_for_timeout(150)
    raise AssertionError("the wheel does not zoom")


def zoom_out(page: Page) -> None:
    """Click twice on the price: all of it comes into view."""
    box = page.locator("canvas").first.bounding_box()
    assert box is not None
    page.mouse.dblclick(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)


def span(page: Page) -> float:
    start, end = chart(page, "price")["x"]
    return (end - start) / MINUTE


def test_a_zoom_on_a_long_run_brings_its_own_candles_and_zooming_out_the_merged_ones(
    long_runs: Dashboard, visit: Visit
) -> None:
    page = visit(f"{long_runs.url}?page=backtest&run=long")
    merged, figures = chart(page, "price"), page.evaluate(_FIGURES)
    whole = times(page)
    assert whole[1] - whole[0] == 30 * MINUTE
    zoom(page, 0.5, lambda: span(page) < 200)
    until(lambda: np.diff(times(page)[:2]) == [MINUTE])
    shown = chart(page, "price")
    body, start, end = shown["layers"][0]["data"], *shown["x"]
    assert len(body["ts"]) <= 2_000
    assert set(np.diff(body["ts"])) == {MINUTE}
    assert body["ts"][0] <= start < end <= body["ts"][-1]
    numbers = (np.array(body["ts"]) - rows.START.timestamp() * 1000) / MINUTE
    assert body["close"] == list(1_000 + numbers)
    assert body["i0"] == list(101 + numbers)
    assert shown["layers"][1]["data"]["right"][0] - shown["layers"][1]["data"]["left"][0] == pytest.approx(0.7 * MINUTE)
    assert times(page, "equity", -1) == times(page, "drawdown", -1) == body["ts"]
    seen = [close for close, at in zip(body["close"], body["ts"], strict=True) if start <= at <= end]
    until(lambda: chart(page, "price")["y"][1] < max(seen) + 50)
    assert chart(page, "price")["y"][0] > min(seen) - 50
    zoom_out(page)
    until(lambda: times(page) == whole)
    back = chart(page, "price")
    assert [layer["data"] for layer in back["layers"]] == [layer["data"] for layer in merged["layers"]]
    assert back["y"] == pytest.approx(merged["y"])
    assert page.evaluate(_FIGURES) == figures


@pytest.mark.slow
def test_a_zoomed_view_of_a_session_stays_as_it_is_while_candles_arrive(long_runs: Dashboard, visit: Visit) -> None:
    page = visit(f"{long_runs.url}?page=live&run=session")
    assert np.diff(times(page)[:2]) == [2 * MINUTE]
    zoom(page, 0.5, lambda: span(page) < 200)
    until(lambda: np.diff(times(page)[:2]) == [MINUTE])
    page.wait_for_timeout(500)
    before, figures = chart(page, "price"), page.evaluate(_FIGURES)
    lake = Lake(Path(long_runs.lake))
    lake.append("candles", candle_rows(SESSION, 1, "BTC/USD"))
    for table, added in session_rows(SESSION, 1).items():
        told = added.append_column("run_id", [["session"]]) if table == "signals" else added.assign(run_id="session")
        lake.append(table, told)
    closed = f"{rows.times(SESSION + 1)[-1]:%H:%M}"
    page.locator(".tile[data-metric=candle]:visible", has_text=closed).wait_for()
    bounds = """() => Bokeh.documents.flatMap(d => d.roots()).flatMap(root => [...root.references()])
      .find(model => model.type === "Figure" && model.name === "price").x_range.bounds[1]"""
    until(lambda: page.evaluate(bounds) > rows.times(SESSION + 1)[-1].timestamp() * 1000)
    page.wait_for_timeout(500)
    after = chart(page, "price")
    assert after["x"] == before["x"]
    assert json.dumps(after["layers"]) == json.dumps(before["layers"])
    assert page.evaluate(_FIGURES) == figures
    zoom_out(page)
    until(lambda: chart(page, "equity")["layers"][-1]["data"]["equity"][-1] == 1_000.0 + SESSION)
