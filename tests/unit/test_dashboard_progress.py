from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from bokeh.document import Document
from bokeh.models import ColumnDataSource
from hypothesis import given
from hypothesis import strategies as st

from dashboards import order_queries, queries
from dashboards.chart_columns import owned
from dashboards.charts import Charts
from dashboards.progress import Progress, extend, progress
from dashboards.queries import Run
from data.errors import LakeError
from data.views import connect
from data.writer import Lake
from tests.servers.streamed_session import StreamedSession

HOURS = pd.date_range("2024-01-01", periods=100, freq="h").to_numpy()
HOURS.flags.writeable = False


def columns(values: list[float]) -> dict[str, Any]:
    return {"ts": HOURS[: len(values)], "value": np.array(values), "text": [f"{value:g}" for value in values]}


def sent(shown: list[float], then: list[float]) -> list[str]:
    """The kinds of the messages by which a source comes to show other values."""
    source, document, kinds = ColumnDataSource(owned(columns(shown))), Document(), []
    document.add_root(source)
    document.on_change(lambda event: kinds.append(event.kind))
    wanted = columns(then)
    extend(source, wanted)
    assert_shows(source, columns(then))
    source.patch({"value": [(n, 9.0) for n in range(len(then))]})
    source.stream({"ts": HOURS[:1], "value": np.array([9.0]), "text": ["9"]})
    assert (len(wanted["text"]), wanted["text"]) == (len(then), columns(then)["text"])  # it may be shown elsewhere
    np.testing.assert_array_equal(wanted["value"], then)
    return kinds[:-2]


def assert_shows(source: ColumnDataSource, wanted: dict[str, Any]) -> None:
    assert source.data.keys() == wanted.keys()
    for name, values in wanted.items():
        shown = np.asarray(source.data[name])
        if shown.dtype.kind == "f":  # DuckDB adds up in no order of its own
            np.testing.assert_allclose(shown, values, rtol=1e-12, err_msg=name)
        else:
            np.testing.assert_array_equal(shown, values, err_msg=name)


@pytest.mark.parametrize(
    ("then", "kinds"),
    [
        pytest.param([1, 2, 3, np.nan], [], id="nothing is new"),
        pytest.param([1, 2, 3, np.nan, 5, 6], ["ColumnsStreamed"], id="candles came"),
        pytest.param([1, 2, 3, 4], ["ColumnsPatched"], id="the last is another by now"),
        pytest.param([1, 2, 3, 4, 5], ["ColumnsPatched", "ColumnsStreamed"], id="and one came"),
        pytest.param([7, 2, 3, np.nan, 5], ["ModelChanged"], id="an old one was revised"),
        pytest.param([1, 2], ["ModelChanged"], id="there are fewer"),
        pytest.param([], ["ModelChanged"], id="there are none"),
    ],
)
def test_a_source_is_sent_what_is_new_alone(then: list[float], kinds: list[str]) -> None:
    told = sent([1, 2, 3, np.nan], then)
    assert [kind.replace("ColumnDataChanged", "ModelChanged") for kind in told] == kinds


def test_an_empty_source_is_filled_as_a_whole() -> None:
    assert len(sent([], [1, 2])) == 1


@given(
    shown=st.lists(st.sampled_from([1.0, 2.0, np.nan]), max_size=6),
    then=st.lists(st.sampled_from([1.0, 2.0, np.nan]), max_size=6),
)
def test_whatever_was_shown_the_source_then_shows_what_it_should(shown: list[float], then: list[float]) -> None:
    sent(shown, then)


def look(lake: Lake) -> tuple[Run, Progress]:
    connection = connect(lake)
    (run,) = queries.runs(connection, "session")
    return run, progress(connection, run, run.whole, "dark", queries.fill_markers, order_queries.levels)


def drawn(lake: Lake) -> Charts:
    connection = connect(lake)
    (run,) = queries.runs(connection, "session")
    charts = Charts(run.drawn_from, run.end_ts, "dark")
    asked = (queries.candles, queries.indicators, queries.fill_markers)
    charts.price(*(question(connection, run, run.whole) for question in asked), order_queries.levels(connection, run))
    equity = queries.equity(connection, run, run.whole)
    charts.equity(equity, run.cash, queries.first_open(connection, run))
    charts.drawdown(equity)
    return charts


@pytest.mark.parametrize("history", [30, 2_100])
def test_charts_that_went_on_show_what_charts_drawn_anew_would(lake: Lake, history: int) -> None:
    session = StreamedSession(lake, history)
    charts = drawn(lake)
    for _ in range(15):
        session.step()
    run, news = look(lake)
    fed = charts.sources_for(news, whole=True)
    assert fed is not None
    for source, wanted in fed:
        extend(source, wanted)
    again = drawn(lake).sources_for(news, whole=True)
    assert again is not None
    assert len(fed) == len(again) == 5
    for (source, _), (anew, _) in zip(fed, again, strict=True):
        assert_shows(source, dict(anew.data))
    assert fed[0][0].data["ts"][-1] == run.end_ts.floor(f"{run.bucket or 60}s").to_datetime64()


def test_charts_of_other_indicators_are_drawn_anew(lake: Lake) -> None:
    StreamedSession(lake, 30)
    charts = drawn(lake)
    _, news = look(lake)
    names, beside, below = news.layout
    assert (names, beside, below) == (("fast", "slow"), ("fast", "slow"), ())
    moved = news._replace(layout=(names, ("fast",), (("slow",),)))
    assert charts.sources_for(moved, whole=True) is None
    assert charts.sources_for(moved, whole=False) is not None  # a part of the time tells nothing of the scale
    assert charts.sources_for(news._replace(layout=(("fast",), ("fast",), ())), whole=False) is None
    without = {topic: rows for topic, rows in news.columns.items() if topic != "levels"}
    assert charts.sources_for(news._replace(columns=without), whole=True) is None


def test_a_session_whose_candles_are_gone_is_told_of_as_by_its_charts(lake: Lake) -> None:
    StreamedSession(lake, 30)
    connection = connect(lake)
    (run,) = queries.runs(connection, "session")
    with pytest.raises(LakeError, match="no longer has the candles of ETH/USD"):
        progress(connection, run._replace(symbol="ETH/USD"), run.whole, "dark", queries.fill_markers, None)
