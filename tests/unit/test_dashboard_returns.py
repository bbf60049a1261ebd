from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dashboards import queries, return_queries, return_words
from dashboards.return_cards import draw
from data.errors import LakeError
from data.views import connect
from data.writer import Lake
from tasks.evaluate.account import read_account
from tasks.evaluate.returns import annual_sharpe
from tasks.evaluate.sample import draw_sample
from tests.unit import dashboard_lake as rows

CASH = 1_000.0


def record(lake: Lake, values: Any, *, step: str = "1d", year: float | None = 365.0, **columns: Any) -> Any:
    """Record a run whose account is worth these values at its closes, and return it with the lake."""
    freq = {"1d": "D", "1h": "h", "1w": "7D", "1m": "min"}[step]
    ts = pd.date_range(rows.START, periods=len(values), freq=freq, unit="us")
    account = pd.DataFrame(
        {"ts": ts, "cash": 0.0, "position": 1.0, "price": values, "equity": values, "drawdown": 0.0, **columns}
    )
    known = pd.DataFrame({"metric": ["periods_per_year"], "value": [year], "low": np.nan, "high": np.nan})
    rows.record(
        lake, n=len(values), timeframe=step, end_ts=ts[-1],
        tables={"equity": account, "metrics": known, "trades": rows.trades(0), "signals": rows.signals(1)},
    )  # fmt: skip
    connection = connect(lake)
    run = queries.run(connection, "run-1")
    assert run is not None
    return connection, run


def answer(question: Any, connection: Any, run: Any) -> Any:
    """Answer a question of the run's returns."""
    return question(connection, run, return_queries.returns(connection, run))


def walk(n: int, seed: int = 5) -> np.ndarray:
    values: np.ndarray = CASH * np.cumprod(1 + np.random.default_rng(seed).normal(0.0005, 0.01, n))
    return values


@pytest.mark.parametrize(("step", "n"), [("1d", 400), ("1h", 24 * 400), ("1w", 120)])
def test_the_last_rolling_ratio_is_that_of_the_evaluation_over_the_same_returns(lake: Lake, step: str, n: int) -> None:
    values = walk(n)
    year = {"1d": 365.0, "1h": 365.0, "1w": 365 / 7}[step]
    found = answer(return_queries.rolling_sharpe, *record(lake, values, step=step, year=year))
    ts = pd.date_range(rows.START, periods=n, freq={"1d": "D", "1h": "h", "1w": "7D"}[step], unit="us")
    market = pd.DataFrame({"open": values, "close": values}, index=ts)
    table = pd.DataFrame({"ts": ts, "equity": values, "position": 1.0, "price": values, "cash": 0.0, "drawdown": 0.0})
    sample = draw_sample(read_account(table, market, cash=CASH, timeframe=step, calendar="24/7"))
    assert found.returns == len(sample.returns)
    assert found.window == {"1d": 182, "1h": 182, "1w": 30}[step]
    expected = annual_sharpe(sample.returns[-found.window :], sample).value
    assert found.rows["sharpe"].iloc[-1] == pytest.approx(expected, rel=1e-9)
    assert len(found.rows) == found.returns - found.window + 1


def test_a_run_shorter_than_the_window_has_no_rolling_ratio_and_says_how_long_it_is(lake: Lake) -> None:
    connection, run = record(lake, walk(20))
    found = answer(return_queries.rolling_sharpe, connection, run)
    assert found.rows.empty
    assert (
        return_words.too_short(run, found) == "A window takes the returns of 91 candles, and the run has those of 20."
    )


def test_returns_that_do_not_vary_have_no_ratio(lake: Lake) -> None:
    found = answer(return_queries.rolling_sharpe, *record(lake, [CASH] * 200))
    assert found.rows["sharpe"].isna().all()


def test_without_its_metrics_no_returns_are_annualised(lake: Lake) -> None:
    connection, run = record(lake, walk(100), year=None)
    found = answer(return_queries.rolling_sharpe, connection, run)
    assert found.rows.empty
    assert "do not say how many returns make a year" in return_words.too_short(run, found)


def test_every_chart_of_a_long_run_has_few_points(lake: Lake) -> None:
    connection, run = record(lake, walk(20_000), step="1h")
    assert len(return_queries.exposure(connection, run)) <= return_queries.MERGED_POINTS
    assert len(answer(return_queries.rolling_sharpe, connection, run).rows) <= return_queries.MERGED_POINTS
    assert len(answer(return_queries.distribution, connection, run).rows) <= 62


def test_months_and_years_compound_to_the_whole(lake: Lake) -> None:
    values = walk(800)
    found = answer(return_queries.monthly, *record(lake, values))
    years = found[found["month"].isna()]
    months = found[found["month"].notna()]
    assert (1 + years["value"]).prod() == pytest.approx(values[-1] / CASH)
    assert (1 + months["value"]).prod() == pytest.approx(values[-1] / CASH)
    first = months.iloc[0]
    assert (first["year"], first["month"], first["value"]) == (2024, 1, pytest.approx(values[30] / CASH - 1))


def test_days_on_which_nothing_moved_do_not_hide_the_others(lake: Lake) -> None:
    values = [CASH, CASH, 1_010.0, 1_010.0, 999.9, 999.9]
    connection, run = record(lake, values)
    found = answer(return_queries.distribution, connection, run)
    assert (found.returns, found.still, found.rows["returns"].sum()) == (6, 4, 2)
    assert not ((found.rows["low"] < 0) & (found.rows["high"] > 1e-15)).any()
    assert return_words.spread_of(run, found) == "Returns of 2 candles; 4 on which nothing moved are left out."


def test_an_account_that_never_moved_says_so(lake: Lake) -> None:
    connection, run = record(lake, [CASH] * 5)
    found = answer(return_queries.distribution, connection, run)
    assert found.rows.empty
    assert "the returns of all 5 candles are 0" in return_words.spread_of(run, found)


def test_returns_end_with_the_candle_that_ruins_the_account(lake: Lake) -> None:
    found = answer(return_queries.distribution, *record(lake, [CASH, 500.0, -100.0, -200.0]))
    assert found.returns == 3
    assert found.rows["low"].min() <= -1.2


def test_exposure_is_the_share_of_the_equity_below_zero_when_short(lake: Lake) -> None:
    columns = {"position": [1.0, -0.5, 0.0], "price": [50.0, 50.0, 50.0], "equity": [100.0, 100.0, 0.0]}
    found = return_queries.exposure(*record(lake, [100.0] * 3, **columns))
    assert list(found["exposure"])[:2] == [0.5, -0.25]
    assert math.isnan(found["exposure"].iloc[2])


def test_the_calendar_has_every_month_in_its_place(lake: Lake) -> None:
    told = return_words.calendar(answer(return_queries.monthly, *record(lake, [CASH] * 31 + [1_100.0] * 29)))
    (row,) = [line for line in told.splitlines() if 'data-year="2024"' in line]
    assert told.index(">Jan<") < told.index(">Feb<") < told.index(">Dec<")
    assert told.count("<tr data-year") == 1
    assert "2024" in row
    assert told.index(">0.0<") < told.index(">+10.0<")


def test_a_question_that_fails_spoils_its_card_alone(lake: Lake) -> None:
    connection, run = record(lake, walk(100))
    answers = {
        "rolling": LakeError("table metrics: torn"),
        "distribution": answer(return_queries.distribution, connection, run),
        "months": answer(return_queries.monthly, connection, run),
        "exposure": return_queries.exposure(connection, run),
    }
    shown = draw(run, answers, "light")
    assert shown["rolling"] == "table metrics: torn"
    assert all(isinstance(shown[name], list) for name in ("distribution", "months", "exposure"))
