"""The tables for people, the page of metrics, and the stage."""

from __future__ import annotations

import pandas as pd
import pytest

from data.metrics import GROUPS, METRICS, PORTFOLIO, SOURCES
from tasks.evaluate import evaluate_metrics, portfolio_table, trade_table
from tasks.evaluate.handbook import PAGE, metrics_page
from tasks.evaluate.tables import format_value
from tests.unit.evaluate_runs import (
    candles_of,
    curve_of,
    equity_of,
    fills_of,
    instants,
    measured,
    random_returns,
    trades_of,
)


def test_the_portfolio_table_starts_with_the_lessons_five() -> None:
    table = portfolio_table(measured(curve_of(random_returns(1, 120))).reset_index())
    assert list(table["Metric"][:5]) == [
        "Annual Return",
        "Cumulative Returns",
        "Annual Volatility",
        "Sharpe Ratio",
        "Sortino Ratio",
    ]
    assert len(table) == len(PORTFOLIO)


def test_the_portfolio_table_writes_units_intervals_and_notes() -> None:
    trades = trades_of({"profit": 5.0}, {"profit": -1.0})
    run = measured([110.0, 125.0], market=[10.0, 12.0], first_open=10.0, trades=trades).reset_index()
    shown = portfolio_table(run).set_index("Metric")["Value"]
    assert shown["Cumulative Returns"] == "25.00 %"
    assert shown["Final Equity"] == "125.00"
    assert shown["Longest Drawdown"] == "0 days"
    assert shown["Closed Trades"] == "2"
    assert shown["Win Rate"] == "50.00 % (95 %: 9.45 % to 90.55 %)"
    assert shown["Sharpe Ratio"] == "n/a (not annualised: 2 returns in 2 days, and it takes 30 in 90 days)"


def test_the_portfolio_table_says_both_the_interval_and_the_note() -> None:
    days = instants(400)
    weekdays = days[days.day_of_week < 5]
    run = measured(curve_of(random_returns(1, len(weekdays))), ts=weekdays).reset_index()
    shown = portfolio_table(run).set_index("Metric")["Value"]["Sharpe Ratio"]
    assert " (95 %: " in shown
    assert "; 286 returns where the calendar leads to expect 400: " in shown


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (-0.0123, "fraction", "-1.23 %"),
        (12345.678, "quote", "12,345.68"),
        (1234567.0, "count", "1,234,567"),
        (1234567.0, "days", "1,234,567 days"),
        (1.26, "bars", "1.3 bars"),
        (1.005, "ratio", "1.00"),
        (float("nan"), "ratio", "n/a"),
        (None, "count", "n/a"),
    ],
)
def test_values_are_written_by_their_unit(value: float | None, unit: str, text: str) -> None:
    assert format_value(value, unit) == text


def test_the_trade_table_has_the_lessons_headings() -> None:
    table = trade_table(trades_of({"profit": 5.0, "exit_holding": 1010.0, "fees": 5.0, "exit_reason": "stop_loss"}))
    assert list(table.columns) == [
        "Stock",
        "Entry Date",
        "Exit Date",
        "Shares",
        "Entry Share Price",
        "Exit Share Price",
        "Entry Portfolio Holding",
        "Exit Portfolio Holding",
        "Profit/Loss",
        "Fees",
        "Side",
        "Exit Reason",
    ]
    row = table.iloc[0]
    assert (row["Stock"], row["Shares"], row["Profit/Loss"], row["Fees"]) == ("AAPL", 10.0, 5.0, 5.0)
    assert (row["Entry Portfolio Holding"], row["Exit Portfolio Holding"]) == (1000.0, 1010.0)
    assert row["Exit Reason"] == "stop_loss"


def test_an_open_trade_is_told_from_a_closed_one() -> None:
    table = trade_table(trades_of({}, {"status": "open", "exit_ts": pd.NaT, "exit_reason": None}))
    assert pd.isna(table["Exit Date"][1])
    assert list(table["Exit Reason"]) == ["signal", "open"]


def test_the_trade_table_of_no_trades_is_empty_with_its_headings() -> None:
    table = trade_table(trades_of())
    assert table.empty
    assert table.columns[0] == "Stock"


def test_the_page_of_metrics_is_in_step_with_the_registry() -> None:
    assert PAGE.read_text(encoding="utf-8") == metrics_page(), "renew it: python -m tasks.evaluate.handbook"


def test_every_metric_is_named_once_explained_in_one_sentence_and_has_a_known_unit() -> None:
    assert len(METRICS) == sum(len(group) for group in GROUPS.values())
    for name, metric in METRICS.items():
        assert metric.name == name
        assert metric.unit in {"fraction", "ratio", "quote", "count", "days", "bars"}
        assert metric.meaning.endswith(".")
        assert metric.meaning.count(". ") == 0, name
        assert "|" not in metric.meaning


def test_every_published_source_that_a_metric_names_is_listed_and_every_listed_one_is_named() -> None:
    named = {part.split(",")[0] for metric in METRICS.values() for part in metric.source.split("; ") if "(" in part}
    assert named == set(SOURCES)


def test_headlines_are_metrics() -> None:
    assert set(PORTFOLIO) <= set(METRICS)
    assert len(set(PORTFOLIO)) == len(PORTFOLIO)


def test_the_stage_gives_the_table_of_metrics_outside_a_flow() -> None:
    ts = instants(3)
    closes = [100.0, 101.0, 102.0]
    tables = (equity_of(closes, ts), trades_of(), fills_of(), candles_of(closes, ts))
    table = evaluate_metrics(*tables, cash=100.0, timeframe="1d", calendar="XNYS")
    assert table.set_index("metric").value["cumulative_return"] == pytest.approx(0.02)
