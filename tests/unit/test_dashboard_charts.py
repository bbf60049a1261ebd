from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dashboards.charts import Charts, rehearse
from dashboards.indicator_scales import split_indicators
from dashboards.look import PALETTES, Theme
from dashboards.preview import sketch

DAYS = pd.date_range("2024-01-01", periods=200, unit="us")


def candles(level: float = 100.0, n: int = 200) -> pd.DataFrame:
    close = level * (1 + 0.3 * np.sin(np.arange(n) / 25))
    return pd.DataFrame(
        {"ts": DAYS[:n], "open": close, "high": close * 1.01, "low": close * 0.99, "close": close, "volume": 1.0}
    )


def no_markers() -> pd.DataFrame:
    return pd.DataFrame(columns=["ts", "action", "events", "price", "amount", "profit", "text"])


def markers() -> pd.DataFrame:
    rows = [(DAYS[10], "buy", 1, 101.0, 2.0, np.nan, "in"), (DAYS[20], "sell", 1, 120.0, 2.0, 37.0, "out")]
    return pd.DataFrame(rows, columns=no_markers().columns)


def equity() -> pd.DataFrame:
    value = 1_000 + np.arange(200.0)
    return pd.DataFrame({"ts": DAYS, "equity": value, "price": 100.0 + np.arange(200), "drawdown": -0.01})


def charts(theme: Theme = "dark") -> Charts:
    return Charts(DAYS[0], DAYS[-1], theme)


def indicator(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"ts": DAYS, **columns})


@pytest.mark.parametrize("level", [0.001, 1.0, 100.0, 50_000.0])
def test_averages_and_bands_lie_on_the_price_and_oscillators_below_it_at_any_price(level: float) -> None:
    price = candles(level)
    wave = np.sin(np.arange(200) / 7)
    average = price["close"].rolling(20).mean()
    known = indicator(
        average=average,
        upper=average * 1.1,
        rsi=50 + 30 * wave,
        macd=level * 0.02 * wave,
        macd_average=level * 0.015 * wave,
    )
    beside, below = split_indicators(price, known)
    assert beside == ["average", "upper"]
    assert below == [["rsi"], ["macd", "macd_average"]]


def test_an_rsi_is_told_from_a_price_of_fifty() -> None:
    price = candles(50.0).assign(low=47.0, high=53.0, close=50.0)
    assert split_indicators(price, indicator(rsi=50 + 30 * np.sin(np.arange(200) / 7))) == ([], [["rsi"]])


def test_an_indicator_without_a_value_is_not_drawn() -> None:
    assert split_indicators(candles(), indicator(late=np.nan)) == ([], [])


def test_markers_stand_at_their_times_and_prices() -> None:
    figure, *_ = charts().price(candles(), indicator(), markers())
    for action, row in (("buy", 0), ("sell", 1)):
        data = figure.select_one({"name": action}).data_source.data
        assert pd.DatetimeIndex(data["ts"]).tolist() == [markers()["ts"][row]]
        assert list(data["price"]) == [markers()["price"][row]]


def test_a_price_without_indicators_and_markers_is_drawn_all_the_same() -> None:
    (figure,) = charts().price(candles(), None, None)
    assert figure.name == "price"


def test_each_scale_has_a_figure_and_all_share_one_axis_of_time() -> None:
    drawn = charts()
    known = indicator(average=candles()["close"], rsi=50 + 30 * np.sin(np.arange(200) / 7) * 0.01)
    figures = [
        *drawn.price(candles(1_000), known.assign(average=candles(1_000)["close"]), markers()),
        *drawn.equity(equity(), 1_000.0, 99.0),
        *drawn.drawdown(equity()),
    ]
    assert [figure.name for figure in figures] == ["price", "oscillator-0", "equity", "drawdown"]
    assert {id(figure.x_range) for figure in figures} == {id(drawn.time)}


def test_a_figure_belongs_to_no_document_so_that_a_session_can_take_it() -> None:
    assert all(figure.document is None for figure in charts().price(candles(), indicator(), markers()))


def test_buy_and_hold_starts_with_the_cash_at_the_first_open() -> None:
    (figure,) = charts().equity(equity(), 1_000.0, 100.0)
    data = figure.renderers[-1].data_source.data
    assert data["hold"][0] == 1_000.0
    assert data["hold"][-1] == 1_000.0 * 299 / 100
    assert data["equity"][-1] == 1_199.0


def test_equity_is_drawn_alone_where_the_first_open_is_unknown() -> None:
    (figure,) = charts().equity(equity(), 1_000.0, None)
    assert len(figure.renderers) == 1


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_run_of_hardly_any_candles_is_drawn(n: int) -> None:
    drawn = Charts(DAYS[0], DAYS[n - 1], "light")
    assert drawn.price(candles(n=n), indicator().iloc[:n], no_markers())
    assert drawn.equity(equity().iloc[:n], 1_000.0, 99.0)
    assert drawn.drawdown(equity().iloc[:n])


def test_a_flat_price_has_a_scale_all_the_same() -> None:
    flat = candles().assign(open=5.0, high=5.0, low=5.0, close=5.0)
    figure, *_ = charts().price(flat, indicator(), no_markers())
    assert figure.y_range.start < 5.0 < figure.y_range.end


def test_names_of_indicators_go_to_the_canvas_and_never_into_a_template() -> None:
    evil = "<img src=x onerror=alert(1)> @{close}"
    figure, *_ = charts().price(candles(), indicator(**{evil: candles()["close"]}), markers())
    labels = [item.label for legend in figure.legend if legend.visible for item in legend.items]
    assert any(getattr(label, "value", label) == evil for label in labels)
    assert all(evil not in str(tool.tooltips) for tool in figure.hover)


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_each_theme_has_its_colours(theme: Theme) -> None:
    figure, *_ = charts(theme).price(candles(), indicator(), markers())
    assert figure.select_one({"name": "buy"}).glyph.fill_color == PALETTES[theme].buy


def test_the_part_in_view_is_kept_when_the_charts_are_drawn_again() -> None:
    drawn = Charts(DAYS[0], DAYS[-1], "light", view=(1.71e12, 1.715e12))
    assert (drawn.time.start, drawn.time.end) == (1.71e12, 1.715e12)


def test_the_rehearsal_draws_every_kind_of_chart() -> None:
    rehearse()


def test_a_sketch_is_svg_with_a_line_for_each_series_and_leaves_gaps_out() -> None:
    drawn = sketch([(pd.Series([1.0, np.nan, 3.0]), "#fff"), (pd.Series(np.arange(10_000.0)), "#000")])
    assert drawn.count("<polyline") == 2
    assert "nan" not in drawn
    assert len(drawn) < 10_000


def test_a_chart_that_is_drawn_and_let_go_of_leaves_nothing_behind() -> None:
    figure = weakref.ref(charts().drawdown(equity())[0])
    gc.collect()
    assert figure() is None
