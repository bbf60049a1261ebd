"""A portfolio on markets so small that its account can be reckoned by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from data.errors import BadInput
from tasks.backtest import PortfolioSimulation, simulate_portfolio
from tasks.evaluate.basket import basket
from tasks.evaluate.metrics import evaluate

NAN = math.nan
DAYS = pd.date_range("2024-01-01", periods=40, freq="D", tz="UTC", unit="us", name="ts")


def candles(opens: list[float], *, days: list[int] | None = None, closes: list[float] | None = None) -> pd.DataFrame:
    """Bars whose range is open and close, the close being the open where none is given."""
    o, c = np.array(opens, float), np.array(opens if closes is None else closes, float)
    index = DAYS[list(range(len(opens))) if days is None else days]
    return pd.DataFrame({"open": o, "high": np.maximum(o, c), "low": np.minimum(o, c), "close": c}, index=index)


def trade(markets: dict[str, pd.DataFrame], weights: dict[str, list[float]], /, **terms: Any) -> PortfolioSimulation:
    index = DAYS[: len(next(iter(weights.values())))]
    free = {"cash": 1000.0, "fee": 0.0, "slippage": 0.0}
    return simulate_portfolio(markets, pd.DataFrame(weights, index=index), **{**free, **terms})


def told(result: PortfolioSimulation, *columns: str) -> list[tuple[Any, ...]]:
    frame = result.fills.assign(day=[DAYS.get_loc(ts) for ts in result.fills.ts])
    return [tuple(row) for row in frame[list(columns)].itertuples(index=False)]


def test_two_markets_share_the_cash_and_the_equity_is_that_of_both() -> None:
    markets = {"A": candles([10, 10, 12]), "B": candles([20, 20, 15])}
    result = trade(markets, {"A": [0.5, NAN, NAN], "B": [0.25, NAN, NAN]}, fee=0.01)
    assert told(result, "day", "symbol", "side") == [(1, "A", "buy"), (1, "B", "buy")]
    # A is sized by 1000; its fee of 4.95 leaves 995.05 for B's quarter.
    first = 0.5 * 1000 / (10 * 1.01)
    second = 0.25 * (1000 - first * 10 * 0.01) / (20 * 1.01)
    assert list(result.fills.amount) == pytest.approx([first, second], rel=1e-14)
    cash = 1000 - first * 10 * 1.01 - second * 20 * 1.01
    assert list(result.equity.cash) == pytest.approx([1000, cash, cash], rel=1e-14)
    assert result.equity.equity.iloc[-1] == pytest.approx(cash + first * 12 + second * 15, rel=1e-14)
    last = result.positions[result.positions.ts == DAYS[2]]
    assert list(last.symbol) == ["A", "B"]
    assert list(last.value) == pytest.approx([first * 12, second * 15])
    assert list(result.equity.price) == [1, 1, 1]


def test_a_purchase_uses_what_a_sale_of_the_same_bar_has_brought() -> None:
    markets = {"A": candles([10, 10, 10, 10]), "B": candles([5, 5, 5, 5])}
    # B comes last, but is sold first.
    result = trade(markets, {"A": [0, NAN, 1, NAN], "B": [1, NAN, 0, NAN]})
    assert told(result, "day", "symbol", "side", "amount") == [
        (1, "B", "buy", 200.0),
        (3, "B", "sell", 200.0),
        (3, "A", "buy", 100.0),
    ]
    assert result.equity.cash.iloc[-1] == 0


def test_a_change_of_side_closes_with_the_sales_and_enters_with_the_purchases() -> None:
    markets = {"A": candles([10, 10, 10, 10]), "B": candles([5, 5, 5, 5])}
    result = trade(markets, {"A": [0.5, NAN, -0.5, NAN], "B": [0.5, NAN, 0.25, NAN]})
    assert told(result, "day", "symbol", "side", "amount")[2:] == [
        (3, "A", "sell", 50.0),
        (3, "B", "sell", 50.0),
        (3, "A", "sell", 50.0),
    ]
    assert list(result.orders.order_id[2:]) == [
        "2024-01-03T00:00:00Z-sell-close-A",
        "2024-01-03T00:00:00Z-sell-open-B",
        "2024-01-03T00:00:00Z-sell-open-A",
    ]


def test_where_the_money_does_not_reach_the_last_symbols_go_short_of_it() -> None:
    # A has doubled: half of 1000 is now 1000 of 1500, and B and C want 0.5 of them each.
    markets = {"A": candles([10, 10, 20, 20]), "B": candles([5.0] * 4), "C": candles([4.0] * 4)}
    half = [NAN, NAN, 0.5, NAN]
    one = trade(markets, {"A": [0.5, NAN, NAN, NAN], "B": half, "C": [NAN, NAN, 0.25, NAN]}, gross=1.25)
    # 750 are wanted for B, and 500 are there; for C nothing is left.
    assert told(one, "day", "symbol", "amount") == [(1, "A", 50.0), (3, "B", 100.0)]
    assert one.orders.event.tolist() == ["filled", "filled", "rejected"]
    assert one.orders.reason.iloc[-1] == "the other positions leave no cash for it"
    other = trade(
        {name: markets[name] for name in "ACB"},
        {"A": [0.5, NAN, NAN, NAN], "C": [NAN, NAN, 0.25, NAN], "B": half},
        gross=1.25,
        amount_step=10.0,
    )
    assert told(other, "symbol", "amount") == [("A", 50.0), ("C", 90.0), ("B", 20.0)]
    assert other.equity.cash.iloc[-1] == 1000 - 500 - 360 - 100


def test_longs_and_shorts_together_stay_within_gross() -> None:
    markets = {"A": candles([10, 10, 30, 30]), "B": candles([10, 10, 10, 10])}
    result = trade(markets, {"A": [-0.2, NAN, NAN, NAN], "B": [NAN, NAN, 0.8, NAN]})
    # The short of 20 is worth 600, the equity 600: gross is reached, and B is not entered.
    assert told(result, "symbol", "side", "amount") == [("A", "sell", 20.0)]
    assert result.equity.equity.iloc[-1] == 600
    wider = trade(markets, {"A": [-0.2, NAN, NAN, NAN], "B": [NAN, NAN, 0.8, NAN]}, gross=1.5)
    assert told(wider, "symbol", "side", "amount")[1] == ("B", "buy", 30.0)


def test_a_symbol_without_a_candle_is_valued_at_its_last_close_and_traded_at_its_next_open() -> None:
    markets = {"A": candles([10] * 6), "B": candles([20, 20, 30, 40], days=[0, 1, 4, 5])}
    result = trade(markets, {"A": [NAN] * 6, "B": [0.5, NAN, 0.0, NAN, NAN, NAN]})
    assert told(result, "day", "side", "price", "amount") == [(1, "buy", 20, 25), (4, "sell", 30, 25)]
    # Decided at the third instant, at which B has no candle.
    assert result.fills.order_id.tolist()[1] == "2024-01-03T00:00:00Z-sell-close-B"
    assert list(result.equity.equity) == [1000, 1000, 1000, 1000, 1250, 1250]
    held = trade(markets, {"A": [NAN] * 6, "B": [0.5, *[NAN] * 5]})
    assert list(held.equity.equity) == [1000, 1000, 1000, 1000, 1250, 1500]
    assert held.positions.price.tolist() == [20, 20, 20, 30, 40]
    # Two candles of its own, and a gap between them.
    assert (result.trades.bars_held.item(), result.trades.touches_gap.item()) == (1, True)


def test_a_newer_signal_takes_the_place_of_one_that_found_no_open() -> None:
    markets = {"A": candles([10] * 5), "B": candles([20] * 3, days=[0, 3, 4])}
    result = trade(markets, {"A": [NAN] * 5, "B": [0.5, NAN, 0.25, NAN, NAN]})
    assert told(result, "day", "amount") == [(3, 12.5)]
    called_off = trade(markets, {"A": [NAN] * 5, "B": [0.5, NAN, 0.0, NAN, NAN]})
    assert called_off.orders.empty


def test_what_no_open_follows_stays_an_intent() -> None:
    markets = {"A": candles([10] * 4), "B": candles([20] * 2)}
    result = trade(markets, {"A": [NAN, NAN, NAN, 0.5], "B": [NAN, 0.5, NAN, NAN]})
    assert result.orders[["symbol", "event", "amount"]].values.tolist() == [
        ["A", "intent", 50.0],
        ["B", "intent", 25.0],
    ]


def test_what_stands_before_the_listing_is_no_signal() -> None:
    markets = {"A": candles([10] * 4), "B": candles([20] * 2, days=[2, 3])}
    result = trade(markets, {"A": [NAN] * 4, "B": [0.5, 0.5, 0.5, NAN]})
    assert told(result, "day", "symbol") == [(3, "B")]


def test_positions_are_brought_back_to_their_weights_at_every_nth_bar() -> None:
    prices = [10, 10, 20, 20, 20, 20]
    markets = {"A": candles(prices), "B": candles([10.0] * 6)}
    weights = {"A": [0.5, *[NAN] * 5], "B": [0.5, *[NAN] * 5]}
    assert len(trade(markets, weights).fills) == 2
    result = trade(markets, weights, rebalance_every=2)
    # Looked at the closes of the second, fourth and sixth: A is 1000 of 1500 at the fourth.
    assert told(result, "day", "symbol", "side", "amount", "reason")[2:] == [
        (4, "A", "sell", 12.5, "rebalance"),
        (4, "B", "buy", 25.0, "rebalance"),
    ]
    assert list(result.equity.equity) == [1000, 1000, 1500, 1500, 1500, 1500]
    # A sixth of the equity is tolerated, a smaller share is not.
    assert len(trade(markets, weights, rebalance_every=2, tolerance=0.17).fills) == 2
    assert len(trade(markets, weights, rebalance_every=2, tolerance=0.16).fills) == 4
    at_once = trade(markets, weights, rebalance_every=1)
    assert told(at_once, "day", "reason")[2:] == [(3, "rebalance"), (3, "rebalance")]


def test_after_a_stop_nothing_is_entered_by_rebalancing() -> None:
    markets = {"A": candles([10, 10, 10, 8, 8, 8], closes=[10, 10, 8, 8, 8, 8]), "B": candles([10.0] * 6)}
    weights = {"A": [0.5, *[NAN] * 5], "B": [0.5, *[NAN] * 5]}
    result = trade(markets, weights, rebalance_every=1, markets={"A": {"stop_loss": 0.1}})
    assert [row for row in told(result, "day", "symbol", "reason") if row[1] == "A"] == [
        (1, "A", "signal"),
        (2, "A", "stop_loss"),
    ]


def test_a_loss_of_the_whole_sells_all_positions() -> None:
    markets = {"A": candles([10, 10, 5, 5, 5]), "B": candles([10.0] * 5)}
    weights = {"A": [0.5, *[NAN] * 4], "B": [0.25, NAN, 0.5, NAN, NAN]}
    result = trade(markets, weights, max_drawdown=0.2)
    # 250 of 1000 are lost with A; B is sold too, and its new weight counts as acted on.
    assert told(result, "day", "symbol", "reason")[2:] == [(3, "A", "drawdown"), (3, "B", "drawdown")]
    assert result.equity.cash.iloc[-1] == 750


def test_each_symbol_has_its_own_terms() -> None:
    markets = {"A": candles([10] * 3), "B": candles([10] * 3)}
    weights = {"A": [0.33333, NAN, NAN], "B": [0.33333, NAN, NAN]}
    own = {"amount_step": 5.0, "min_amount": 50.0, "fee": 0.01}
    result = trade(markets, weights, amount_step=1.0, markets={"B": own})
    assert result.orders.event.tolist() == ["filled", "rejected"]
    assert told(result, "amount") == [(33.0,)]
    assert result.orders.reason.iloc[-1] == "the amount is below the market's minimum of 50"


def test_the_benchmark_is_the_symbols_bought_in_equal_parts_and_held() -> None:
    markets = {"A": candles([10, 20, 20]), "B": candles([5, 5], days=[1, 2], closes=[5, 10])}
    held = basket(markets)
    # B's half is money until it is listed.
    assert list(held.close) == [1.0, 1.5, 2.0]
    assert list(held.open) == [1.0, 1.5, 1.5]
    result = trade(markets, {"A": [NAN] * 3, "B": [NAN] * 3})
    figures = evaluate(
        result.equity, result.trades, result.fills, held, cash=1000.0, timeframe="1d", calendar="24/7"
    ).set_index("metric")["value"]
    assert figures["buy_and_hold_return"] == 1.0
    assert figures["exposure_time"] == 0.0


def refused(markets: dict[str, pd.DataFrame], weights: Any, /, **terms: Any) -> str:
    with pytest.raises(BadInput) as caught:
        simulate_portfolio(markets, weights, **terms)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("weights", "terms", "message"),
    [
        ({"A": [0, 0, 0]}, {}, "the weights must be a frame with one column a symbol: A, B"),
        ({"A": [0, 0, 0], "C": [0, 0, 0]}, {}, "the weights must be a frame with one column a symbol: A, B"),
        ({"A": [0, 0], "B": [0, 0]}, {}, "the weights' index is not that of the candles"),
        ({"A": [0, "x", 0], "B": [0, 0, 0]}, {}, "the weights hold something that is not a number"),
        ({"A": [0, 0, 0], "B": [0, -2, 0]}, {"gross": 3}, "the weight of B at 2024-01-02 00:00:00+00:00 is -2"),
        ({"A": [0, 0.6, 0], "B": [0, -0.6, 0]}, {}, "the weights at 2024-01-02 00:00:00+00:00 add up to 1.2"),
        ({"A": [0] * 3, "B": [0] * 3}, {"gross": 0}, "gross must be above 0, not 0"),
        ({"A": [0] * 3, "B": [0] * 3}, {"rebalance_every": 0}, "rebalance_every must be at least 1, not 0"),
        ({"A": [0] * 3, "B": [0] * 3}, {"rebalance_every": 1.5}, "rebalance_every must be a whole number, not 1.5"),
        ({"A": [0] * 3, "B": [0] * 3}, {"tolerance": 1}, "tolerance must be at least 0 and below 1, not 1"),
        ({"A": [0] * 3, "B": [0] * 3}, {"amount": 3.0}, "A: a fixed amount has no place in a portfolio"),
        ({"A": [0] * 3, "B": [0] * 3}, {"markets": {"B": {"fee": 2}}}, "B: fee must be at least 0 and below 1, not 2"),
        ({"A": [0] * 3, "B": [0] * 3}, {"markets": {"C": {}}}, "unknown symbol of markets 'C'"),
        ({"A": [0] * 3, "B": [0] * 3}, {"gap_after": {"C": []}}, "unknown symbol of gap_after 'C'"),
        ({"A": [0] * 3, "B": [0] * 3}, {"gap_after": {"B": [7]}}, "B: gap_after must hold positions of candles"),
        ({"A": [0] * 3, "B": [0] * 3}, {"cash": 0}, "cash must be above 0, not 0"),
    ],
)
def test_what_cannot_be_traded_is_refused(weights: dict[str, list[Any]], terms: dict[str, Any], message: str) -> None:
    frame = pd.DataFrame(weights, index=DAYS[: len(weights["A"])])
    assert message in refused({"A": candles([10] * 3), "B": candles([10] * 3)}, frame, **terms)


def test_bad_candles_are_refused_with_their_symbol() -> None:
    bad = candles([10] * 3)
    bad.iloc[1, 2] = 11.0
    frame = pd.DataFrame({"A": [0.0] * 3, "B": [0.0] * 3}, index=DAYS[:3])
    assert "B: the candle at 2024-01-02" in refused({"A": candles([10] * 3), "B": bad}, frame)
    assert "there are no symbols" in refused({}, frame)
