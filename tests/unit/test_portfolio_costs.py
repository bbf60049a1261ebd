"""Impact, fees by tier, borrowing, funding and an end in time in a portfolio, reckoned by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from data.errors import BadInput
from tasks.backtest import PortfolioSimulation, simulate_portfolio

NAN = math.nan
DAYS = pd.date_range("2024-01-01", periods=40, freq="D", tz="UTC", unit="us", name="ts")
REST = [NAN] * 40


def candles(prices: list[float], volumes: float | list[float] = 100.0, days: list[int] | None = None) -> pd.DataFrame:
    """Candles of a day and of one price each."""
    index = DAYS[list(range(len(prices))) if days is None else days]
    frame = pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), prices), index=index, dtype=float)
    return frame.assign(volume=volumes)


def trade(markets: dict[str, pd.DataFrame], weights: dict[str, list[float]], /, **terms: Any) -> PortfolioSimulation:
    """Trade by weights, which may be longer than the candles."""
    index = DAYS[: max(DAYS.get_loc(frame.index[-1]) for frame in markets.values()) + 1]
    wanted = pd.DataFrame({name: of[: len(index)] for name, of in weights.items()}, index=index)
    free = {"cash": 1000.0, "fee": 0.0, "slippage": 0.0, "timeframe": pd.Timedelta("1D").to_pytimedelta()}
    return simulate_portfolio(markets, wanted, **{**free, **terms})


def near(values: list[float]) -> Any:
    return pytest.approx(values, rel=1e-12)


# Fees


def test_all_markets_together_reach_a_tier() -> None:
    markets = {name: candles([10, 10, 10, 10]) for name in "ABC"}
    weights = {"A": [0.4, NAN, 0.0, NAN], "B": [0.4, NAN, NAN, NAN], "C": [0.2, NAN, NAN, NAN]}
    tiers = ["0:0.01:0.02", "700:0.001:0.005"]
    result = trade(markets, weights, fee_tiers=tiers, amount_step=1.0)
    # 39 and 38 units make 770, which is a tier that none has reached alone: it holds for C in the same bar.
    assert list(result.fills.amount) == [39, 38, 19, 39]
    assert list(result.fills.fee) == near([7.8, 7.6, 0.95, 1.95])


def test_what_is_traded_at_one_fee_counts_for_the_tiers_of_the_others() -> None:
    markets = {"A": candles([10, 10, 10]), "B": candles([10, 10, 10])}
    weights = {"A": [0.5, 0.0, NAN], "B": [0.2, NAN, NAN]}
    own = {"A": {"fee_tiers": None, "fee": 0.01}}
    result = trade(markets, weights, fee_tiers=["0:0:0.02", "400:0:0.005"], amount_step=1.0, markets=own)
    assert list(result.fills.symbol) == ["A", "B", "A"]
    assert list(result.fills.fee) == near([4.9, 0.005 * 190, 4.9])


def test_a_fill_of_another_market_counts_for_thirty_days_too() -> None:
    for days, fee in ((29, 0.005), (30, 0.02)):
        markets = {"A": candles([10] * 40), "B": candles([10] * 40)}
        weights = {"A": [0.5, *REST], "B": [*REST[:days], 0.1, *REST]}
        result = trade(markets, weights, fee_tiers=["0:0:0.02", "400:0:0.005"], amount_step=1.0)
        assert list(result.fills.fee) == near([0.02 * 490, fee * 10 * result.fills.amount.iloc[1]])


# Impact


def test_each_market_bears_what_its_own_candles_say() -> None:
    # B has no candle on the third and the fourth day; its volume is that of the first two.
    markets = {"A": candles([10] * 6, 1000.0), "B": candles([10] * 4, [50.0, 150.0, 7.0, 7.0], [0, 1, 4, 5])}
    weights = {"A": [*REST[:3], 0.1, NAN, NAN], "B": [*REST[:3], 0.1, NAN, NAN]}
    result = trade(markets, weights, slippage="volume:1", amount_step=1.0)
    assert list(result.fills.amount) == [9, 9]
    assert list(result.fills.price) == near([10 * (1 + 9 / 1000), 10 * (1 + 9 / 100)])


def test_an_entry_is_cut_to_the_money_that_is_left_with_its_impact() -> None:
    # A has doubled: 1000 of 1500 are in it, and B wants half of the 1500.
    markets = {"A": candles([10, 10, 20, 20]), "B": candles([5.0] * 4)}
    weights = {"A": [0.5, *REST[:3]], "B": [NAN, NAN, 0.5, NAN]}
    for fee in (0.0, 0.01):
        result = trade(markets, weights, slippage="volume:0.5", fee=fee, markets={"A": {"slippage": 0.0, "fee": 0.0}})
        fill = result.fills.iloc[1]
        # amount * (1 + 0.005 * amount) * 5 * (1 + fee) = 500
        assert fill.amount == pytest.approx((math.sqrt(1 + 4 * 0.005 * 100 / (1 + fee)) - 1) / 0.01, rel=1e-12)
        assert fill.price * fill.amount * (1 + fee) == pytest.approx(500, rel=1e-12)
        assert 0 <= result.equity.cash.iloc[-1] < 1e-9


def test_an_entry_is_cut_to_gross_with_its_impact() -> None:
    markets = {"A": candles([10, 10, 20, 20]), "B": candles([5.0] * 4)}
    weights = {"A": [-0.2, *REST[:3]], "B": [NAN, NAN, 0.8, NAN]}
    result = trade(markets, weights, slippage="volume:0.5", markets={"A": {"slippage": 0.0}})
    # The short of 20 is worth 400, the equity 800: there is room for 400, of 640 that are wanted.
    amount = (math.sqrt(1 + 4 * 0.005 * 80) - 1) / 0.01
    assert list(result.fills.amount) == near([20, amount])
    assert result.fills.price.iloc[1] == pytest.approx(5 * (1 + 0.005 * amount))


def test_where_nothing_was_traded_in_one_market_the_others_are_entered() -> None:
    markets = {"A": candles([10] * 3, 0.0), "B": candles([10] * 3)}
    result = trade(markets, {"A": [0.5, NAN, NAN], "B": [0.5, NAN, NAN]}, slippage="sqrt:0.7")
    assert list(result.orders.event) == ["rejected", "filled"]
    assert result.orders.reason.iloc[0].startswith("nothing was traded in the candles before")


def test_a_position_is_brought_back_to_what_its_impact_leaves() -> None:
    markets = {"A": candles([10, 10, 5, 5]), "B": candles([10] * 4)}
    weights = {"A": [0.5, *REST[:3]], "B": [0.4, *REST[:3]]}
    model = {"A": {"slippage": "volume:0.5"}}
    result = trade(markets, weights, rebalance_every=3, markets=model)
    of_a = result.fills[result.fills.symbol == "A"]
    assert list(of_a.reason) == ["signal", "rebalance"]
    first, back = of_a.amount
    # All of it, times (1 + 0.005 of what is added) times 5, is half of the equity.
    assert (first + back) * (1 + 0.005 * back) * 5 == pytest.approx(result.equity.equity.iloc[2] / 2, rel=1e-12)


# What it costs to hold


def test_a_short_pays_for_what_it_has_borrowed_out_of_the_common_cash() -> None:
    markets = {"A": candles([10, 10, 20, 20, 20]), "B": candles([10] * 5)}
    weights = {"A": [-0.5, NAN, 0.0, NAN, NAN], "B": [0.5, *REST[:4]]}
    result = trade(markets, weights, borrow=0.365)
    # 50 are sold and bought back; a thousandth of their worth is due at the closes between, 0.5 and 1.
    assert list(result.trades.symbol) == ["A", "B"]
    assert list(result.trades.carry) == near([1.5, 0.0])
    assert list(result.equity.cash) == near([1000, 999.5, 998.5, -1.5, -1.5])
    assert list(result.equity.equity) == near([1000, 999.5, 498.5, 498.5, 498.5])
    assert list(result.trades.profit) == near([-501.5, 0.0])


def test_one_symbol_has_its_rates_of_funding_in_a_column() -> None:
    markets = {"A": candles([10] * 5), "B": candles([10] * 5).assign(funding=[0.5, 0.01, NAN, -0.02, 0.01])}
    weights = {"A": [0.5, *REST[:4]], "B": [0.2, *REST[:2], 0.0, NAN]}
    result = trade(markets, weights, markets={"B": {"funding": "column"}})
    assert list(result.trades.carry) == near([0.0, 200 * (0.01 - 0.02)])
    assert list(result.equity.equity) == near([1000, 998, 998, 1002, 1002])


def test_a_short_gets_the_funding_that_a_long_pays() -> None:
    markets = {"A": candles([10] * 4), "B": candles([10] * 4)}
    result = trade(markets, {"A": [0.5, *REST[:3]], "B": [-0.5, *REST[:3]]}, funding=0.01)
    assert list(result.trades.carry) == near([45, -45])  # three times a day
    assert list(result.equity.equity) == near([1000] * 4)


def test_the_days_without_a_candle_are_paid_for_at_the_next_open() -> None:
    # A is at 10 on the second day, absent for two, and at 30 on the fifth.
    markets = {"A": candles([10, 10, 30, 30], days=[0, 1, 4, 5]), "B": candles([10] * 6)}
    result = trade(markets, {"A": [-0.1, *REST[:5]], "B": REST[:6]}, borrow=0.365)
    assert list(result.trades.carry) == near([0.1 + 0.2 + 0.3 + 0.3])
    assert list(np.diff(result.equity.cash)) == near([100 - 0.1, 0, 0, -0.2 - 0.3, -0.3])


def test_what_finds_no_open_any_more_costs_nothing_more() -> None:
    markets = {"A": candles([10] * 2), "B": candles([10] * 6)}
    result = trade(markets, {"A": [-0.1, *REST[:5]], "B": REST[:6]}, borrow=0.365)
    assert list(result.trades.carry) == near([0.1])


def test_what_holding_has_cost_is_not_there_for_an_entry_of_the_same_bar() -> None:
    markets = {"A": candles([10, 10, 10], days=[0, 1, 4]), "B": candles([5.0] * 5)}
    result = trade(markets, {"A": [0.5, *REST[:4]], "B": [*REST[:3], 0.5, NAN]}, funding=0.1)
    # A pays 150 on its first day, and 300 for the two without a candle, before B is entered: 50 are left.
    assert result.fills.symbol.tolist() == ["A", "B"]
    assert result.fills.amount.iloc[1] == pytest.approx(50 / 5, rel=1e-12)


# The end in time


def test_a_position_is_sold_after_so_many_candles_of_its_own() -> None:
    markets = {"A": candles([10] * 6), "B": candles([10] * 4, days=[0, 1, 4, 5])}
    result = trade(markets, {"A": [0.5, *REST[:5]], "B": [0.5, *REST[:5]]}, max_bars=2)
    sold = result.fills[result.fills.side == "sell"]
    assert list(zip(sold.symbol, sold.ts, sold.reason, strict=True)) == [("A", DAYS[3], "time"), ("B", DAYS[5], "time")]


# What cannot be


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"slippage": "volume:0.1"}, "B: candles lack the column volume: the impact of an order is reckoned by it"),
        ({"funding": "column"}, "A: candles lack the column funding, which has the rate that is due at each close"),
        ({"markets": {"B": {"fee_tiers": ["5:0:0"]}}}, "B: fee_tiers: the first begins at 5, and must at 0"),
        ({"markets": {"B": {"borrow": -1.0}}}, "B: borrow must be at least 0, not -1"),
        ({"order_type": "limit"}, "A: a portfolio has no order_type limit: only the backtest of one market has"),
    ],
)
def test_costs_that_cannot_be_are_named_with_their_symbol(terms: dict[str, Any], message: str) -> None:
    markets = {"A": candles([10, 10]), "B": candles([10, 10]).drop(columns="volume")}
    with pytest.raises(BadInput) as caught:
        trade(markets, {"A": [0.5, NAN], "B": [0.5, NAN]}, **terms)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
