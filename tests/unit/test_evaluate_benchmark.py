"""The market bought and held, and what the account owes to it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.unit.evaluate_runs import curve_of, measured, random_returns


def test_buy_and_hold_is_bought_at_the_open_of_the_first_candle() -> None:
    found = measured([100.0, 100.0], market=[120.0, 150.0], first_open=100.0).value
    assert found["buy_and_hold_return"] == pytest.approx(0.5)


def test_the_market_has_its_own_drawdown_from_the_first_open_on() -> None:
    found = measured([100.0] * 3, market=[80.0, 100.0, 90.0], first_open=100.0).value
    assert found["buy_and_hold_max_drawdown"] == pytest.approx(-0.2)


def test_an_account_that_holds_the_market_has_beta_one_and_alpha_zero() -> None:
    curve = curve_of(random_returns(1, 300))
    found = measured(curve, market=curve / 4, first_open=25.0).value
    assert found["beta"] == pytest.approx(1.0)
    assert found["correlation"] == pytest.approx(1.0)
    assert found["alpha"] == pytest.approx(0.0, abs=1e-12)
    assert found["buy_and_hold_sharpe_ratio"] == pytest.approx(found["sharpe_ratio"])
    assert found["buy_and_hold_max_drawdown"] == pytest.approx(found["max_drawdown"])


def test_an_account_that_adds_a_fixed_return_has_it_as_alpha() -> None:
    market = random_returns(2, 300)
    found = measured(curve_of(0.5 * market + 0.001), market=curve_of(market), first_open=100.0).value
    assert found["beta"] == pytest.approx(0.5)
    assert found["alpha"] == pytest.approx(0.365)


def test_a_short_of_the_market_has_beta_below_zero() -> None:
    market = random_returns(3, 300)
    found = measured(curve_of(-market), market=curve_of(market), first_open=100.0).value
    assert found["beta"] == pytest.approx(-1.0)
    assert found["correlation"] == pytest.approx(-1.0)


def test_a_market_that_does_not_move_explains_nothing() -> None:
    found = measured(curve_of(random_returns(4, 100)), market=[50.0] * 100)
    for name in ("alpha", "beta", "correlation"):
        assert math.isnan(found.value[name])
        assert found.note[name] == "the market's returns do not vary"
    assert found.value["buy_and_hold_return"] == 0.0


def test_an_idle_account_has_beta_zero_and_no_correlation() -> None:
    found = measured(np.full(100, 100.0), market=curve_of(random_returns(5, 100)))
    assert found.value["beta"] == 0.0
    assert found.value["alpha"] == 0.0
    assert found.note["correlation"] == "the returns do not vary"


def test_account_and_market_are_compared_over_the_same_days() -> None:
    market = np.repeat([110.0, 99.0, 120.0], 24)
    found = measured(market * 2, market=market, cash=200.0, timeframe="1h", first_open=100.0).value
    assert found["beta"] == pytest.approx(1.0)
