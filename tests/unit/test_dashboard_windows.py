from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboards import queries, windows
from dashboards.charts import Charts
from dashboards.hub import Hub
from dashboards.queries import Connection, Run
from dashboards.run_charts import RunCharts
from dashboards.windows import MERGED_CANDLES, MOST_CANDLES, Window
from data.errors import LakeError
from data.views import connect
from data.writer import Lake
from tests.unit import dashboard_lake as rows

N = 40_000
START = rows.START.tz_localize(None)
MINUTE = pd.Timedelta(minutes=1)


def minute(n: float) -> pd.Timestamp:
    return START + n * MINUTE


@pytest.fixture(scope="module")
def long_lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A run of 40,000 candles of a minute whose prices walk."""
    lake = Lake(tmp_path_factory.mktemp("long") / "lake")
    close = 1_000 + np.cumsum(np.random.default_rng(5).normal(size=N))
    prices = {"open": close - 0.5, "close": close, "high": close + 1, "low": close - 1}
    lake.append("candles", rows.candles(N, **prices))
    rows.record(lake, n=N, tables={"trades": rows.trades(1_000)})
    return lake


@pytest.fixture(scope="module")
def long_run(long_lake: Lake) -> tuple[Connection, Run]:
    connection = connect(long_lake)
    run = queries.run(connection, "run-1")
    assert run is not None
    return connection, run


@pytest.mark.parametrize(
    ("candles", "candle", "expected"),
    [(1_500, 60, 60), (1_501, 60, 120), (10_000, 60, 600), (40_000, 60, 1_800), (10_000_000, 60, 604_800),
     (10_000, 86_400, 604_800), (2_000, 420, 840), (40_000_000, 60, 1_600_020), (1_501, 3_600, 7_200)],
)  # fmt: skip
def test_merged_candles_are_of_a_round_length_where_one_fits(candles: int, candle: int, expected: int) -> None:
    assert windows.bucket(candles * candle, candle, 1_500) == expected


def test_a_view_of_a_long_run_has_the_window_that_was_reckoned_by_hand(long_run: tuple[Connection, Run]) -> None:
    _, run = long_run
    assert run.whole == Window(START, minute(N), 1_800)
    assert run.around(minute(0), minute(N)) == run.whole
    assert run.around(minute(10_000), minute(13_200)) == Window(minute(8_960), minute(14_080), 300)
    assert run.around(minute(10_000), minute(10_500)) == Window(minute(9_856), minute(10_688), 0)
    assert run.around(minute(-300), minute(200)) == Window(START, minute(384), 0)
    assert run.around(minute(N - 100), minute(N + 300)) == Window(minute(39_744), minute(N), 0)


@settings(deadline=None)
@given(
    candles=st.integers(2, 12_000_000),
    timeframe=st.sampled_from(["1m", "7m", "1h", "1d", "1w"]),
    at=st.floats(-0.02, 1.02),
    share=st.floats(1e-8, 1.05),
)
def test_a_window_has_what_is_in_view_and_no_more_candles_than_a_screen_can_show(
    long_run: tuple[Connection, Run], candles: int, timeframe: str, at: float, share: float
) -> None:
    candle = {"1m": 60, "7m": 420, "1h": 3600, "1d": 86400, "1w": 604800}[timeframe]
    candles = min(candles, 5_000_000_000 // candle)
    span = pd.Timedelta(seconds=candle) * (candles - 1)
    run = long_run[1]._replace(candles=candles, timeframe=timeframe, end_ts=START + span)
    start, end = START + (at - share / 2) * span, START + (at + share / 2) * span
    window = run.around(start, end)
    assert window.bucket % candle == 0
    assert (window.end - window.start).total_seconds() / (window.bucket or candle) <= MOST_CANDLES
    assert window.start <= max(start, run.whole.start)
    assert window.end >= min(end, run.whole.end)
    assert window.shows(start, end, window)
    assert not window.shows(start, end, window._replace(bucket=window.bucket + candle))


def test_a_window_of_own_candles_has_each_of_them(long_run: tuple[Connection, Run]) -> None:
    window = Window(minute(100), minute(300), 0)
    shown = queries.candles(*long_run, window)
    assert list(shown["ts"]) == [minute(n) for n in range(100, 300)]
    whole = queries.candles(*long_run, Window(START, minute(N), 0))
    pd.testing.assert_frame_equal(shown, whole[100:300].reset_index(drop=True))
    assert list(queries.indicators(*long_run, window)["fast"]) == [201.0 + n for n in range(200)]
    assert list(queries.equity(*long_run, window)["equity"]) == [1_100.0 + n for n in range(200)]


@settings(deadline=None, max_examples=40)
@given(first=st.integers(0, N - 2), length=st.integers(2, N), bucket=st.sampled_from([120, 300, 420, 3_600, 604_800]))
def test_merged_candles_keep_the_first_the_last_and_every_extreme(
    long_run: tuple[Connection, Run], first: int, length: int, bucket: int
) -> None:
    window = Window(minute(first), minute(min(N, first + length)), bucket)
    own, shown = (queries.candles(*long_run, one) for one in (window._replace(bucket=0), window))
    assert (shown["open"].iloc[0], shown["close"].iloc[-1]) == (own["open"].iloc[0], own["close"].iloc[-1])
    assert (shown["high"].max(), shown["low"].min()) == (own["high"].max(), own["low"].min())
    assert shown["volume"].sum() == len(own)
    seconds = (shown["ts"] - pd.Timestamp("1900-01-01")).dt.total_seconds()
    assert (seconds % bucket == 0).all()
    assert shown["ts"].is_monotonic_increasing


def test_a_window_has_the_markers_and_indicators_of_its_candles(long_run: tuple[Connection, Run]) -> None:
    marks = queries.markers(*long_run, Window(minute(100), minute(200), 0))
    assert list(marks["ts"]) == [minute(n) for n in range(100, 200)]
    assert set(marks["events"]) == {1}
    merged = queries.markers(*long_run, Window(minute(120), minute(180), 600))
    assert list(merged["events"]) == [5] * 12
    closes = queries.indicators(*long_run, Window(minute(0), minute(40), 600))
    assert list(zip(closes["ts"], closes["fast"], strict=True)) == [(minute(10 * n), 110.0 + 10 * n) for n in range(4)]


def test_what_is_told_from_the_outline_is_what_the_lake_tells(
    long_run: tuple[Connection, Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    connection, run = long_run
    assert run.outline == run.whole
    monkeypatch.setattr(queries, "_OUTLINED", N - 1)
    monkeypatch.setattr(queries, "_OUTLINE", 8_000)
    assert run.outline == run.whole._replace(bucket=300)
    window = Window(minute(1_230), minute(N - 60), 3_600)
    assert run.outlined(window)
    assert run.outlined(run.whole)
    assert not run.outlined(window._replace(bucket=120))
    assert not run.outlined(window._replace(bucket=0))
    whole_hours = window._replace(start=minute(1_260))
    for question in (queries.candles, queries.indicators, queries.equity):
        outline = question(connection, run, run.outline)
        assert len(outline) == 8_000
        told = question(connection.cursor(), run, whole_hours, outline)
        pd.testing.assert_frame_equal(told, question(connection, run, whole_hours))


def test_a_window_without_candles_is_empty_and_a_run_without_them_is_told(long_run: tuple[Connection, Run]) -> None:
    nothing = Window(minute(N + 10), minute(N + 20), 0)
    assert queries.candles(*long_run, nothing).empty
    assert queries.equity(*long_run, nothing).empty
    assert list(queries.indicators(*long_run, nothing).columns) == ["ts"]
    with pytest.raises(LakeError, match="no longer has the candles"):
        queries.candles(long_run[0], long_run[1]._replace(symbol="ETH/USD"))


class Visitor:
    """What the charts need of a session: a hub, and a page that changes at once."""

    theme = "dark"

    def __init__(self, lake: Lake) -> None:
        self.hub = Hub(lake)
        self.query: dict[str, str] = {}
        self.asked: list[Window] = []
        glance = self.hub.glance

        async def heard(question: Any, run: Run, window: Window, *rest: Any) -> Any:
            if question is queries.candles:
                self.asked.append(window)
            return await glance(question, run, window, *rest)

        self.hub.glance = heard  # type: ignore[assignment, method-assign]

    def apply(self, change: Callable[[], None]) -> None:
        change()


async def opened(lake: Lake) -> tuple[Visitor, RunCharts, Charts]:
    """The charts of the run, as somebody sees them who has just come."""
    visitor = Visitor(lake)
    (run,) = await visitor.hub.ask(queries.runs, "backtest")
    shown = RunCharts(cast("Any", visitor), queries.markers)
    await shown.fill(run)
    assert shown.charts is not None
    return visitor, shown, shown.charts


def zoomed(charts: Charts, start: float, end: float) -> None:
    first, last = (minute(n).timestamp() * 1000 for n in (start, end))
    charts.time.start, charts.time.end = first, last


async def settled(shown: RunCharts) -> None:
    async with asyncio.timeout(20):
        await asyncio.sleep(0.06)
        while shown._zooming.busy:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def times_of(shown: RunCharts, card: str) -> pd.DatetimeIndex:
    figure = cast("Any", shown._drawn[card][0])
    return pd.DatetimeIndex(figure.renderers[-1 if card == "equity" else 0].data_source.data["ts"])


def test_a_zoom_gives_the_figures_that_are_shown_finer_candles_and_the_way_back_the_merged_ones(
    long_lake: Lake,
) -> None:
    async def visit() -> None:
        visitor, shown, charts = await opened(long_lake)
        figures = {card: [*drawn] for card, drawn in shown._drawn.items()}
        before = times_of(shown, "price")
        assert len(before) <= MERGED_CANDLES
        zoomed(charts, 10_000, 10_500)
        await settled(shown)
        expected = [minute(n) for n in range(9_856, 10_688)]
        assert list(times_of(shown, "price")) == list(times_of(shown, "equity")) == expected
        for source in charts._sources.values():
            assert len({len(column) for column in source.data.values()}) == 1
        zoomed(charts, 0, N)
        await settled(shown)
        assert list(times_of(shown, "price")) == list(before)
        assert {card: [*drawn] for card, drawn in shown._drawn.items()} == figures
        assert visitor.asked == [Window(minute(9_856), minute(10_688), 0)]  # the whole was kept

    asyncio.run(visit())


def test_of_a_burst_of_zooms_the_last_is_asked_and_a_small_pan_asks_nothing(long_lake: Lake) -> None:
    async def visit() -> list[Window]:
        visitor, shown, charts = await opened(long_lake)
        for width in range(5_000, 400, -100):
            zoomed(charts, 10_000, 10_000 + width)
        await settled(shown)
        zoomed(charts, 10_040, 10_540)
        await settled(shown)
        return visitor.asked

    assert asyncio.run(visit()) == [Window(minute(9_856), minute(10_688), 0)]


def test_charts_that_are_drawn_anew_while_zoomed_stay_as_fine(long_lake: Lake) -> None:
    async def visit() -> None:
        _, shown, charts = await opened(long_lake)
        zoomed(charts, 10_000, 10_500)
        await settled(shown)
        fine = list(times_of(shown, "price"))
        (run,) = await shown.session.hub.ask(queries.runs, "backtest")
        await shown.fill(run)
        assert shown.charts is not charts
        assert list(times_of(shown, "price")) == fine
        shown.follow(run)
        await asyncio.sleep(0.5)
        assert list(times_of(shown, "price")) == fine

    asyncio.run(visit())


def test_a_zoom_that_cannot_be_answered_is_said_in_its_card(long_lake: Lake) -> None:
    async def visit() -> tuple[bool, bool]:
        visitor, shown, charts = await opened(long_lake)

        async def torn(question: Any, *_: Any) -> Any:
            raise LakeError("torn") if question is queries.candles else LakeError("torn too")

        visitor.hub.glance = torn  # type: ignore[assignment, method-assign]
        zoomed(charts, 10_000, 10_500)
        await settled(shown)
        return shown.cards["price"].failed, shown.cards["drawdown"].failed

    assert asyncio.run(visit()) == (True, True)


def test_a_view_that_makes_no_sense_asks_nothing(long_lake: Lake) -> None:
    async def visit() -> list[Window]:
        visitor, shown, charts = await opened(long_lake)
        charts.time.start = charts.time.end = float("nan")
        await settled(shown)
        charts.time.start, charts.time.end = charts.time.bounds[1] * 2, charts.time.bounds[0]
        await settled(shown)
        return visitor.asked

    assert asyncio.run(visit()) == []


def test_axis_and_scale_of_values_fit_what_is_in_view(long_lake: Lake) -> None:
    async def visit() -> None:
        _, shown, charts = await opened(long_lake)
        zoomed(charts, 10_000, 10_500)
        await settled(shown)
        (run,) = await shown.session.hub.ask(queries.runs, "backtest")
        await shown.fill(run)
        part = await shown.session.hub.ask(queries.candles, run, Window(minute(10_000), minute(10_501), 0))
        axis = cast("Any", shown._drawn["price"][0]).y_range
        margin = 0.06 * (part["high"].max() - part["low"].min())
        assert (axis.start, axis.end) == pytest.approx((part["low"].min() - margin, part["high"].max() + margin))

    asyncio.run(visit())


def test_what_is_asked_once_is_not_kept_and_what_lasts_outlives_the_versions_of_the_lake(lake: Lake) -> None:
    asked: list[str] = []

    def question(_: Connection, name: str) -> SimpleNamespace:
        asked.append(name)
        if name == "torn" and asked.count(name) <= 2:  # an answer is tried twice
            raise LakeError("torn")
        return SimpleNamespace(name=name)

    async def visit() -> None:
        hub = Hub(lake)
        assert (await hub.glance(question, "seldom")).name == (await hub.glance(question, "seldom")).name
        assert hub.kept(question, "seldom") is None
        first = await hub.ask_lasting(question, "lasting")
        hub._edition = None
        both = await asyncio.gather(hub.ask_lasting(question, "lasting"), hub.ask_lasting(question, "lasting"))
        assert both == [first, first]
        assert hub.kept(question, "lasting") is first
        with pytest.raises(LakeError, match="torn"):
            await hub.ask_lasting(question, "torn")
        assert (await hub.ask_lasting(question, "torn")).name == "torn"

    asyncio.run(visit())
    assert asked == ["seldom", "seldom", "lasting", "torn", "torn", "torn"]
