"""The compiled engine against the slow reference, on random markets, targets, stops and market rules."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.backtest import Simulation, fit_detail, simulate
from tasks.backtest.sweep import Course
from tasks.engine.changes import changes_of
from tests.reference.simulator import Bar, Simulator
from tests.unit.random_markets import (
    PARTS,
    TIMED,
    candles_of,
    cap_sets,
    cost_sets,
    detailed_markets,
    engine_costs,
    entry_sets,
    finer_of,
    limit_sets,
    markets,
    rule_sets,
    times,
    with_costs,
)

NAN = math.nan
HOUR = timedelta(hours=1)

some_limits = st.one_of(st.just({}), limit_sets(TIMED))
some_entries = st.one_of(st.just({}), entry_sets())
some_caps = st.one_of(st.just({}), cap_sets())


def positions(instants: pd.Series, index: pd.Index) -> list[int | None]:
    return [None if pd.isna(ts) else index.get_loc(ts) for ts in instants]


def near(value: Any) -> Any:
    return pytest.approx(value, rel=1e-9, abs=1e-12)


def assert_same(fast: Simulation, slow: Simulator) -> None:
    fills, index = fast.fills, pd.Index(fast.equity.ts)
    assert positions(fills.ts, index) == [fill.bar for fill in slow.fills]
    assert [name.rpartition("-")[2] for name in fills.fill_id] == [str(fill.number) for fill in slow.fills]
    for name in ("side", "reason", "liquidity"):
        assert list(fills[name]) == [getattr(fill, name) for fill in slow.fills]
    assert list(fills.trade_id) == [fill.trade for fill in slow.fills]
    for name in ("price", "amount", "fee"):
        assert list(fills[name]) == near([getattr(fill, name) for fill in slow.fills])

    orders = fast.orders
    assert list(orders.event) == [order.event for order in slow.orders]
    assert positions(orders.ts, index) == [order.bar for order in slow.orders]
    assert positions(orders.decision_ts, index) == [order.decision for order in slow.orders]
    for name in ("side", "type"):
        ours = [value for value, order in zip(orders[name], slow.orders, strict=True) if order.amount > 0]
        assert ours == [getattr(order, name) for order in slow.orders if order.amount > 0]
    assert list(orders.amount) == near([order.amount for order in slow.orders])
    triggers = [NAN if order.trigger is None else order.trigger for order in slow.orders]
    assert list(orders.price) == pytest.approx(triggers, rel=1e-9, nan_ok=True)
    assert all(order.reason in ours for ours, order in zip(orders.reason, slow.orders, strict=True))

    trades = fast.trades
    assert list(trades.side) == [trade.side for trade in slow.trades]
    assert positions(trades.entry_ts, index) == [trade.entry_bar for trade in slow.trades]
    assert positions(trades.exit_ts, index) == [trade.exit_bar for trade in slow.trades]
    assert [None if pd.isna(r) else r for r in trades.exit_reason] == [trade.exit_reason for trade in slow.trades]
    for name in ("amount", "entry_price", "exit_price", "fees", "carry"):
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


@settings(max_examples=80)
@given(markets(), rule_sets())
def test_engine_and_reference_make_the_same_trades(
    market: tuple[list[Bar], list[float]], rules: dict[str, Any]
) -> None:
    bars, target = market
    assert_same(simulate(candles_of(bars), target, **rules), Simulator(bars, target, **rules).run())


@settings(max_examples=80)
@given(markets(), rule_sets(), limit_sets(TIMED), times())
def test_engine_and_reference_keep_the_same_limits(
    market: tuple[list[Bar], list[float]], rules: dict[str, Any], limits: dict[str, Any], hours: list[int]
) -> None:
    bars, target = market
    candles = candles_of(bars, hours)
    opens_at: list[datetime] = list(candles.index.to_pydatetime())
    timeframe = timedelta(hours=hours[0])
    slow = Simulator(bars, target, **rules, **limits, opens_at=opens_at, timeframe=timeframe)
    assert_same(simulate(candles, target, **rules, **limits, timeframe=timeframe), slow.run())


@settings(max_examples=80)
@given(markets(), rule_sets(), some_limits, times(), entry_sets())
def test_engine_and_reference_enter_at_the_same_limit_prices(
    market: tuple[list[Bar], list[float]],
    rules: dict[str, Any],
    limits: dict[str, Any],
    hours: list[int],
    entries: dict[str, Any],
) -> None:
    bars, target = market
    terms = rules | limits | entries
    candles, timeframe = candles_of(bars, hours), timedelta(hours=hours[0])
    opens_at: list[datetime] = list(candles.index.to_pydatetime())
    slow = Simulator(bars, target, **terms, opens_at=opens_at, timeframe=timeframe)
    assert_same(simulate(candles, target, **terms, timeframe=timeframe), slow.run())


@settings(max_examples=80)
@given(detailed_markets(), rule_sets(), some_limits, some_entries, st.sets(st.integers(0, 9), max_size=2), some_caps)
def test_engine_and_reference_find_the_same_inside_finer_candles(
    market: tuple[list[Bar], list[float], list[list[Bar]]],
    rules: dict[str, Any],
    limits: dict[str, Any],
    entries: dict[str, Any],
    holes: set[int],
    caps: dict[str, Any],
) -> None:
    bars, target, parts = market
    terms, candles = rules | limits | entries, candles_of(bars)
    volumes = caps.pop("volumes", [NAN] * 40)
    candles, terms = candles.assign(volume=volumes[: len(bars)]), terms | caps
    absent = [bar * PARTS + bar % PARTS for bar in holes if bar < len(bars)]
    finer = finer_of(candles, parts)
    detail = fit_detail(candles, finer.drop(finer.index[absent]), HOUR, HOUR / PARTS)
    assert (detail.incomplete, detail.different) == (len(absent), 0)
    paths = [None if bar in holes else part for bar, part in enumerate(parts)]
    found = simulate(candles, target, **terms, timeframe=HOUR, detail=detail)
    assert_same(found, Simulator(bars, target, **terms, detail=paths, volumes=volumes).run())

    course = Course(candles, np.arange(len(bars)), timeframe=HOUR, detail=detail, **terms)
    measured = course.measure([changes_of(np.array(target, float))])
    assert list(measured.values[0]) == list(found.equity.equity)


@settings(max_examples=80)
@given(markets(), rule_sets(), some_limits, some_entries, times(), cost_sets())
def test_engine_and_reference_reckon_the_same_costs(
    market: tuple[list[Bar], list[float]],
    rules: dict[str, Any],
    limits: dict[str, Any],
    entries: dict[str, Any],
    hours: list[int],
    costs: dict[str, Any],
) -> None:
    assert_same_costs(market, rules | limits | entries, hours, costs)


def assert_same_costs(
    market: tuple[list[Bar], list[float]], terms: dict[str, Any], hours: list[int], costs: dict[str, Any]
) -> None:
    """Hold the engine to the reference, and a sweep's pass to the engine."""
    bars, target = market
    candles, timeframe = with_costs(candles_of(bars, hours), costs), timedelta(hours=hours[0])
    opens_at: list[datetime] = list(candles.index.to_pydatetime())
    # What the money pays for with its impact is found to the last digits alone: let no cost be the minimum exactly.
    terms = terms | {"min_cost": terms["min_cost"] and terms["min_cost"] * 1.037}
    slow = Simulator(bars, target, **terms, **costs, opens_at=opens_at, timeframe=timeframe).run()
    terms |= engine_costs(costs, terms["slippage"])
    found = simulate(candles, target, **terms, timeframe=timeframe)
    assert_same(found, slow)

    course = Course(candles, np.arange(len(bars)), timeframe=timeframe, **terms)
    measured = course.measure([changes_of(np.array(target, float))])
    assert list(measured.values[0]) == list(found.equity.equity)


@settings(max_examples=80)
@given(markets(), rule_sets(), some_limits, some_entries, times(), st.one_of(st.just({}), cost_sets()), cap_sets(),
       st.booleans())  # fmt: skip
def test_engine_and_reference_fill_the_same_parts(
    market: tuple[list[Bar], list[float]],
    rules: dict[str, Any],
    limits: dict[str, Any],
    entries: dict[str, Any],
    hours: list[int],
    costs: dict[str, Any],
    caps: dict[str, Any],
    patient: bool,
) -> None:
    bars, target = market
    if patient:  # few decisions, all in: then it is the money that ends an entry
        target = [goal if number % 6 == 0 else NAN for number, goal in enumerate(target)]
        rules = {name: rule for name, rule in rules.items() if name not in ("amount", "fraction")}
    assert_same_costs((bars, target), rules | limits | entries, hours, costs | caps)


@settings(max_examples=50)
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


@settings(max_examples=50)
@given(markets(), rule_sets(), some_entries)
def test_the_past_does_not_depend_on_the_future(
    market: tuple[list[Bar], list[float]], rules: dict[str, Any], entries: dict[str, Any]
) -> None:
    bars, target = market
    whole = simulate(candles_of(bars), target, **rules, **entries)
    cut = max(1, len(bars) // 2)
    part = simulate(candles_of(bars[:cut]), target[:cut], **rules, **entries)
    assert_begins(whole, part)


@settings(max_examples=40)
@given(detailed_markets(), rule_sets(), some_entries)
def test_finer_candles_tell_nothing_of_the_future(
    market: tuple[list[Bar], list[float], list[list[Bar]]], rules: dict[str, Any], entries: dict[str, Any]
) -> None:
    bars, target, parts = market
    terms, candles = rules | entries | {"timeframe": HOUR}, candles_of(bars)
    detail = fit_detail(candles, finer_of(candles, parts), HOUR, HOUR / PARTS)
    cut = max(1, len(bars) // 2)
    whole = simulate(candles, target, **terms, detail=detail)
    assert_begins(whole, simulate(candles[:cut], target[:cut], **terms, detail=detail.part(slice(0, cut))))


def assert_begins(whole: Simulation, part: Simulation) -> None:
    """What happened in the first candles is what happens when there are no others."""
    pd.testing.assert_frame_equal(part.equity, whole.equity.iloc[: len(part.equity)], check_exact=True)
    pd.testing.assert_frame_equal(part.fills, whole.fills[whole.fills.ts <= part.equity.ts.iloc[-1]], check_exact=True)


@settings(max_examples=50)
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
