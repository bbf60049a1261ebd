"""The compiled engine against the slow reference, on random markets, targets, stops and market rules."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.backtest import Simulation, simulate
from tests.reference.simulator import Bar, Simulator

NAN = math.nan
START = pd.Timestamp("2024-01-01", tz="UTC")

# Quarters and round percentages, so that prices often touch stops and amounts often are whole steps exactly.
moves = st.integers(-12, 12).map(lambda quarters: quarters / 4)
tails = st.sampled_from([0.0, 0.0, 0.25, 1.0, 2.5, 6.0])
targets = st.sampled_from([NAN, NAN, 0.0, 1.0, 1.0, -1.0, 0.5, -0.5, 0.75, -0.25, 0.01])


@st.composite
def markets(draw: st.DrawFn) -> tuple[list[Bar], list[float]]:
    size = draw(st.integers(1, 40))
    scale = draw(st.sampled_from([1.0, 1.0, 1e-6, 64.0]))
    wild = draw(st.sampled_from([1, 1, 8]))
    bars, close = [], draw(st.integers(20, 200)) / 2
    for _ in range(size):
        open_ = max(close + draw(moves) * wild / 2, 0.25)
        close = max(open_ + draw(moves) * wild, 0.25)
        high = max(open_, close) + draw(tails)
        low = max(min(open_, close) - draw(tails), 0.125)
        bars.append(Bar(open_ * scale, high * scale, low * scale, close * scale))
    return bars, draw(st.lists(targets, min_size=size, max_size=size))


@st.composite
def rule_sets(draw: st.DrawFn) -> dict[str, Any]:
    sized = draw(
        st.sampled_from(
            [{}, {}, {"fraction": 0.5}, {"fraction": 0.99}, {"amount": 3.0}, {"amount": 10.0}, {"amount": 0.7}]
        )
    )
    return {
        "cash": draw(st.sampled_from([1000.0, 100_000.0, 777.77])),
        "fee": draw(st.sampled_from([0.0, 0.001, 0.004, 0.05])),
        "slippage": draw(st.sampled_from([0.0, 0.0005, 0.01])),
        "stop_loss": draw(st.sampled_from([None, 0.01, 0.05, 0.25])),
        "take_profit": draw(st.sampled_from([None, 0.01, 0.05, 0.5])),
        "trailing_stop": draw(st.sampled_from([None, 0.02, 0.05, 0.1])),
        "amount_step": draw(st.sampled_from([None, None, 0.001, 0.1, 0.25, 1.0, 5.0])),
        "min_amount": draw(st.sampled_from([None, None, 0.1, 2.0])),
        "min_cost": draw(st.sampled_from([None, None, 10.0, 500.0])),
        **sized,
    }


def candles_of(bars: list[Bar]) -> pd.DataFrame:
    index = pd.date_range(START, periods=len(bars), freq="h", unit="us", name="ts")
    return pd.DataFrame([vars(bar) for bar in bars], index=index, dtype=float)


def positions(instants: pd.Series) -> list[int | None]:
    return [None if pd.isna(ts) else round((ts - START) / pd.Timedelta("1h")) for ts in instants]


def near(value: Any) -> Any:
    return pytest.approx(value, rel=1e-9, abs=1e-12)


def assert_same(fast: Simulation, slow: Simulator) -> None:
    fills = fast.fills
    assert positions(fills.ts) == [fill.bar for fill in slow.fills]
    for name in ("side", "reason"):
        assert list(fills[name]) == [getattr(fill, name) for fill in slow.fills]
    assert list(fills.trade_id) == [fill.trade for fill in slow.fills]
    for name in ("price", "amount", "fee"):
        assert list(fills[name]) == near([getattr(fill, name) for fill in slow.fills])

    orders = fast.orders
    assert list(orders.event) == [order.event for order in slow.orders]
    assert positions(orders.ts) == [order.bar for order in slow.orders]
    assert positions(orders.decision_ts) == [order.decision for order in slow.orders]
    for name in ("side", "type"):
        ours = [value for value, order in zip(orders[name], slow.orders, strict=True) if order.amount > 0]
        assert ours == [getattr(order, name) for order in slow.orders if order.amount > 0]
    assert list(orders.amount) == near([order.amount for order in slow.orders])
    triggers = [NAN if order.trigger is None else order.trigger for order in slow.orders]
    assert list(orders.price) == pytest.approx(triggers, rel=1e-9, nan_ok=True)
    assert all(order.reason in ours for ours, order in zip(orders.reason, slow.orders, strict=True))

    trades = fast.trades
    assert list(trades.side) == [trade.side for trade in slow.trades]
    assert positions(trades.entry_ts) == [trade.entry_bar for trade in slow.trades]
    assert positions(trades.exit_ts) == [trade.exit_bar for trade in slow.trades]
    assert [None if pd.isna(r) else r for r in trades.exit_reason] == [trade.exit_reason for trade in slow.trades]
    for name in ("amount", "entry_price", "exit_price", "fees"):
        assert list(trades[name]) == near([getattr(trade, name) for trade in slow.trades])
    scale = [trade.amount * max(trade.entry_price, trade.exit_price) for trade in slow.trades]
    for ours, trade, holding in zip(trades.profit, slow.trades, scale, strict=True):
        assert ours == pytest.approx(trade.profit, abs=1e-9 * holding)
    assert list(trades.worst_excursion) == near([min(trade.returns_seen) for trade in slow.trades])
    assert list(trades.best_excursion) == near([max(trade.returns_seen) for trade in slow.trades])

    noise = 1e-10 * max(map(abs, [*slow.cashes, *slow.equities]))
    assert list(fast.equity.cash) == pytest.approx(slow.cashes, rel=1e-9, abs=noise)
    assert list(fast.equity.position) == near(slow.positions)
    assert list(fast.equity.equity) == pytest.approx(slow.equities, rel=1e-9, abs=noise)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(markets(), rule_sets())
def test_engine_and_reference_make_the_same_trades(
    market: tuple[list[Bar], list[float]], rules: dict[str, Any]
) -> None:
    bars, target = market
    assert_same(simulate(candles_of(bars), target, **rules), Simulator(bars, target, **rules).run())


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(markets(), rule_sets())
def test_the_books_balance(market: tuple[list[Bar], list[float]], rules: dict[str, Any]) -> None:
    bars, target = market
    result = simulate(candles_of(bars), target, **rules)
    fills, trades, equity = result.fills, result.trades, result.equity
    turnover = rules["cash"] + float((fills.price * fills.amount).sum())
    near_enough = {"rtol": 1e-9, "atol": 1e-10 * turnover}

    np.testing.assert_allclose(equity.equity, equity.cash + equity.position * equity.price, **near_enough)
    sign = fills.side.map({"buy": 1.0, "sell": -1.0}).astype(float)
    moved = (-sign * fills.price * fills.amount - fills.fee).groupby(fills.ts).sum()
    cash = rules["cash"] + moved.reindex(equity.ts, fill_value=0.0).cumsum()
    np.testing.assert_allclose(equity.cash, cash, **near_enough)
    held = (sign * fills.amount).groupby(fills.ts).sum().reindex(equity.ts, fill_value=0.0).cumsum()
    np.testing.assert_allclose(equity.position, held, rtol=1e-9, atol=1e-12 * max(1.0, fills.amount.max() or 0.0))

    assert trades.profit.sum() == pytest.approx(equity.equity.iloc[-1] - rules["cash"], abs=1e-9 * turnover)
    assert trades.fees.sum() == pytest.approx(fills.fee.sum(), abs=1e-9 * turnover)
    peak = np.maximum.accumulate(equity.equity)
    np.testing.assert_allclose(equity.drawdown, equity.equity / peak - 1, rtol=1e-9, atol=1e-12)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(markets(), rule_sets())
def test_the_past_does_not_depend_on_the_future(market: tuple[list[Bar], list[float]], rules: dict[str, Any]) -> None:
    bars, target = market
    whole = simulate(candles_of(bars), target, **rules)
    cut = max(1, len(bars) // 2)
    part = simulate(candles_of(bars[:cut]), target[:cut], **rules)
    pd.testing.assert_frame_equal(part.equity, whole.equity.iloc[:cut], check_exact=True)
    pd.testing.assert_frame_equal(part.fills, whole.fills[whole.fills.ts <= part.equity.ts.iloc[-1]], check_exact=True)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(markets(), rule_sets())
def test_without_shorts_cash_never_falls_below_zero(
    market: tuple[list[Bar], list[float]], rules: dict[str, Any]
) -> None:
    bars, target = market
    long_only = [abs(value) for value in target]
    result = simulate(candles_of(bars), long_only, **rules)
    assert (result.equity.cash >= 0).all()
    assert (result.fills.amount > 0).all()
    assert (result.fills.fee >= 0).all()
