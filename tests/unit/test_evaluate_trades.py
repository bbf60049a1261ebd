"""Trades, costs and exposure: known answers on a handful of trades."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest
from scipy import stats

from tests.unit.evaluate_runs import fills_of, measured, trades_of

DAY = pd.Timedelta(days=1)


def with_trades(*rows: dict[str, Any]) -> pd.DataFrame:
    return measured([100.0, 100.0], trades=trades_of(*rows))


def of_profits(*profits: float) -> pd.DataFrame:
    return with_trades(*({"profit": profit} for profit in profits))


def test_open_trades_are_counted_apart_and_stay_out_of_the_statistics() -> None:
    found = with_trades(
        {"profit": 10.0}, {"profit": -5.0}, {"profit": 77.0, "status": "open", "exit_ts": pd.NaT, "exit_reason": None}
    ).value
    assert (found["trades"], found["closed_trades"], found["open_trades"]) == (3, 2, 1)
    assert found["open_profit"] == 77.0
    assert found["expectancy"] == 2.5
    assert found["best_trade"] == pytest.approx(0.01)


def test_win_rate_counts_profits_above_zero_after_fees() -> None:
    assert of_profits(10.0, 0.0, -5.0, 1.0).value["win_rate"] == 0.5


def test_win_rate_has_the_interval_of_wilson() -> None:
    found = of_profits(*[1.0] * 7, *[-1.0] * 3).loc["win_rate"]
    wilson = stats.binomtest(7, 10).proportion_ci(method="wilson")
    assert (found.low, found.high) == (pytest.approx(wilson.low), pytest.approx(wilson.high))


def test_a_win_rate_of_one_is_not_certain() -> None:
    found = of_profits(1.0, 2.0).loc["win_rate"]
    assert found.value == 1.0
    assert found.high == 1.0
    assert 0.3 < found.low < 0.4


def test_profit_factor_is_money_won_over_money_lost() -> None:
    assert of_profits(30.0, -5.0, -5.0, 10.0).value["profit_factor"] == pytest.approx(4.0)


def test_payoff_ratio_and_kelly_follow_from_mean_win_and_loss() -> None:
    found = of_profits(30.0, 10.0, -10.0, -10.0).value
    assert found["payoff_ratio"] == pytest.approx(2.0)
    assert found["kelly_criterion"] == pytest.approx(0.5 - 0.5 / 2)


def test_system_quality_is_the_mean_profit_in_standard_errors() -> None:
    assert of_profits(1.0, 2.0, 3.0, 4.0).value["sqn"] == pytest.approx(2 * 2.5 / math.sqrt(5 / 3))


def test_best_worst_and_average_trades_are_returns() -> None:
    found = of_profits(30.0, -10.0, 10.0, -20.0).value
    assert found["best_trade"] == pytest.approx(0.03)
    assert found["worst_trade"] == pytest.approx(-0.02)
    assert found["average_trade"] == pytest.approx(0.0025)
    assert found["average_win"] == pytest.approx(0.02)
    assert found["average_loss"] == pytest.approx(-0.015)


def test_long_and_short_trades_are_told_apart() -> None:
    found = with_trades({"profit": 3.0}, {"profit": -2.0, "side": "short"}, {"profit": 7.0, "side": "short"}).value
    assert (found["long_trades"], found["short_trades"]) == (1, 2)
    assert (found["long_profit"], found["short_profit"]) == (3.0, 5.0)


def test_durations_are_from_entry_to_exit() -> None:
    start = pd.Timestamp("2024-01-02", tz="UTC")
    found = with_trades(
        {"profit": 1.0, "entry_ts": start, "exit_ts": start + 3 * DAY, "bars_held": 3},
        {"profit": -1.0, "entry_ts": start, "exit_ts": start + DAY / 2, "bars_held": 1},
    ).value
    assert found["average_trade_days"] == 1.75
    assert found["max_trade_days"] == 3.0
    assert found["average_win_days"] == 3.0
    assert found["average_loss_days"] == 0.5
    assert found["average_trade_bars"] == 2.0


def test_streaks_are_unbroken_rows_and_break_even_breaks_them() -> None:
    found = of_profits(1.0, 2.0, -1.0, 3.0, 1.0, 0.0, 1.0, -1.0, -2.0).value
    assert found["max_win_streak"] == 2
    assert found["max_loss_streak"] == 2


def test_streaks_follow_the_order_of_exits() -> None:
    start = pd.Timestamp("2024-01-02", tz="UTC")
    exits = [3, 1, 2]
    rows = [{"profit": p, "exit_ts": start + e * DAY} for p, e in zip([1.0, 1.0, -1.0], exits, strict=True)]
    assert with_trades(*rows).value["max_win_streak"] == 1


def test_without_a_trade_counts_are_zero_and_the_rest_is_absent() -> None:
    found = with_trades()
    for name in ("trades", "closed_trades", "open_trades", "open_profit", "long_profit", "max_win_streak"):
        assert found.value[name] == 0
    for name in ("win_rate", "profit_factor", "expectancy", "payoff_ratio", "sqn", "kelly_criterion", "best_trade"):
        assert math.isnan(found.value[name])
        assert found.note[name] == "no closed trade"


def test_without_a_losing_trade_profit_factor_and_kelly_are_absent() -> None:
    found = of_profits(1.0, 2.0)
    for name in ("profit_factor", "payoff_ratio", "kelly_criterion", "average_loss", "average_loss_days"):
        assert math.isnan(found.value[name])
        assert found.note[name] == "no trade lost"


def test_without_a_winning_trade_the_profit_factor_is_zero_and_kelly_absent() -> None:
    found = of_profits(-1.0, -2.0)
    assert found.value["profit_factor"] == 0.0
    assert found.note["kelly_criterion"] == "no trade won"


@pytest.mark.parametrize(
    ("profits", "reason"), [([1.0], "needs 2 closed trades"), ([0.1] * 3, "the profits do not vary")]
)
def test_system_quality_needs_profits_that_vary(profits: list[float], reason: str) -> None:
    found = of_profits(*profits)
    assert math.isnan(found.value["sqn"])
    assert found.note["sqn"] == reason


def test_exposure_is_the_share_of_closes_with_a_position() -> None:
    assert measured([100.0] * 4, position=[0.0, 2.0, -1.0, 0.0]).value["exposure_time"] == 0.5


def test_fees_and_volume_are_summed_over_fills() -> None:
    fills = fills_of({"price": 100.0, "amount": 2.0, "fee": 0.5}, {"price": 110.0, "amount": 2.0, "fee": 0.25})
    found = measured([200.0, 220.0], fills=fills).value
    assert found["fees_paid"] == 0.75
    assert found["volume_traded"] == 420.0
    assert found["turnover"] == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("symbol", "currency"), [("BTC/USD", "USD"), ("BTC/USD", None), ("BTC/USD:USD", "USD"), ("AAPL", "USD")]
)
def test_fees_in_the_quote_currency_are_added(symbol: str, currency: str | None) -> None:
    fills = fills_of({"symbol": symbol, "fee": 1.5, "fee_currency": currency})
    assert measured([100.0], fills=fills).value["fees_paid"] == 1.5


def test_fees_in_another_currency_are_not_added_as_if_they_were_money() -> None:
    fills = fills_of({"fee": 1.0, "fee_currency": "USD"}, {"fee": 0.001, "fee_currency": "BTC"})
    found = measured([100.0], fills=fills)
    assert math.isnan(found.value["fees_paid"])
    assert found.note["fees_paid"] == "a fee was paid in BTC, which has no price here"
