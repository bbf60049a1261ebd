"""The compiled portfolio against the slow reference, and against the engine of one market."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tasks.backtest import PortfolioSimulation, simulate, simulate_portfolio
from tests.reference.portfolio import Portfolio
from tests.reference.simulator import Bar
from tests.unit.random_markets import (
    START,
    TIMED,
    candles_of,
    cost_sets,
    engine_costs,
    limit_sets,
    markets,
    rule_sets,
    times,
    with_costs,
)

Drawn = tuple[dict[str, list[Bar | None]], dict[str, list[float]], float]

POLICIES: dict[str, list[Any]] = {"rebalance_every": [None, 1, 3], "tolerance": [0.0, 0.0137, 0.0713]}
NAN = math.nan


@st.composite
def portfolios(draw: st.DrawFn) -> Drawn:
    """Bars and weights of up to four symbols, some of them with holes, a late beginning or an early end."""
    count, gross = draw(st.integers(1, 4)), draw(st.sampled_from([1.0, 1.0, 2.0]))
    drawn = [draw(markets()) for _ in range(count)]
    size = max(len(bars) for bars, _ in drawn)
    bars: dict[str, list[Bar | None]] = {}
    weights: dict[str, list[float]] = {}
    for number, (own, target) in enumerate(drawn):
        late = draw(st.integers(0, size - len(own)))
        kept = draw(st.lists(st.sampled_from([True, True, True, False]), min_size=len(own), max_size=len(own)))
        kept[0] = True
        seen = [bar if keep else None for bar, keep in zip(own, kept, strict=True)]
        rest = size - late - len(own)
        bars[f"S{number}"] = [*[None] * late, *seen, *[None] * rest]
        wanted = [*[draw(st.sampled_from([NAN, 1.0]))] * late, *target, *[NAN] * rest]
        weights[f"S{number}"] = [weight * gross / count if count > gross else weight for weight in wanted]
    # A bar is an instant at which some symbol has a candle.
    real = [row for row in range(size) if any(of[row] is not None for of in bars.values())]
    return (
        {name: [of[row] for row in real] for name, of in bars.items()},
        {name: [of[row] for row in real] for name, of in weights.items()},
        gross,
    )


some_costs = st.just({}) | cost_sets()
policies = st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in POLICIES.items()})


def turned(costs: dict[str, Any], symbol: str, bars: list[Bar | None], cash: float) -> dict[str, Any]:
    """The volumes and rates of a symbol, which are others for each.

    All the cash buys a hundred times the least volume: where it would buy a billion times it, next to nothing is left
    of the equity, and what rounding leaves of the cash is money to trade with.
    """
    start, price = 7 * int(symbol[1:]), next(bar.open for bar in bars if bar)
    series = {name: costs[name] for name in ("volumes", "funding") if isinstance(costs.get(name), list)}
    own = {name: values[start:] + values[:start] for name, values in series.items()}
    if "volumes" in own:
        own["volumes"] = [volume * cash / price / 100 for volume in own["volumes"]]
    return own


def both(
    drawn: Drawn,
    hours: list[int],
    rules: dict[str, Any],
    costs: dict[str, Any] | None = None,
    markets: dict[str, dict[str, Any]] | None = None,
    **terms: Any,
) -> tuple[PortfolioSimulation, Portfolio, pd.DatetimeIndex]:
    """Run a portfolio and its reference; `markets` has rules of single symbols."""
    bars, weights, gross = drawn
    size = len(next(iter(bars.values())))
    after = np.cumsum([0, *hours[1:size]])
    index = pd.DatetimeIndex(START + pd.to_timedelta(after, unit="h"), name="ts").as_unit("us")
    candles = {
        name: pd.DataFrame([vars(bar) for bar in of if bar], index=index[[bar is not None for bar in of]], dtype=float)
        for name, of in bars.items()
    }
    terms = {"timeframe": timedelta(hours=hours[0]), "gross": gross, **rules, **terms}
    costs, own = costs or {}, markets or {}
    series = {name: turned(costs, name, of, rules["cash"]) for name, of in bars.items()}
    if costs:
        candles = {name: with_costs(frame, costs | series[name]) for name, frame in candles.items()}
    priced = {name: engine_costs(costs, of.get("slippage", rules["slippage"])) for name, of in own.items()}
    fast = simulate_portfolio(
        candles,
        pd.DataFrame(weights, index=index),
        markets={name: of | {"slippage": priced[name]["slippage"]} for name, of in own.items()},
        **(terms | engine_costs(costs, rules["slippage"])),
    )
    slow = Portfolio(
        bars,
        weights,
        opens_at=list(index.to_pydatetime()),
        markets={name: own.get(name, {}) | series[name] for name in bars},
        **(terms | costs),
    ).run()
    return fast, slow, index


def near(value: Any) -> Any:
    return pytest.approx(value, rel=1e-9, abs=1e-12)


def close_to(value: float, scale: float) -> Any:
    return pytest.approx(value, rel=1e-9, abs=max(1e-12, 1e-12 * scale))


def assert_same(fast: PortfolioSimulation, slow: Portfolio, index: pd.DatetimeIndex) -> None:
    noise = 1e-10 * max(map(abs, [*slow.cashes, *slow.equities]))
    orders = fast.orders
    wanted = [order for _, order in slow.orders]
    assert list(orders.symbol) == [symbol for symbol, _ in slow.orders]
    assert list(orders.event) == [order.event for order in wanted]
    assert list(index.get_indexer(orders.ts)) == [order.bar for order in wanted]
    assert list(index.get_indexer(orders.decision_ts)) == [order.decision for order in wanted]
    # A change of a position is as exact as the position.
    largest: dict[str, float] = {}
    for symbol, order in slow.orders:
        largest[symbol] = max(order.amount, largest.get(symbol, 0.0))
    rows = zip(orders.amount, slow.orders, strict=True)
    assert all(ours == close_to(order.amount, largest[symbol]) for ours, (symbol, order) in rows)
    assert [(a, b) for a, b in zip(orders.side, orders.type, strict=True) if a] == [
        (side if order.amount == 0 else order.side, order.type) for side, order in zip(orders.side, wanted, strict=True)
    ]
    assert all(order.reason in ours for ours, order in zip(orders.reason, wanted, strict=True))
    assert not orders.duplicated(["order_id", "event"]).any()

    fills = fast.fills
    assert list(fills.symbol) == [symbol for symbol, _, _ in slow.fills]
    assert list(fills.trade_id) == [number for _, _, number in slow.fills]
    assert list(fills.price) == near([fill.price for _, fill, _ in slow.fills])
    for ours, theirs, (symbol, fill, _) in zip(fills.amount, fills.fee, slow.fills, strict=True):
        assert ours == close_to(fill.amount, largest[symbol])
        assert theirs == close_to(fill.fee, largest[symbol] * fill.price)
    assert list(fills.reason) == [fill.reason for _, fill, _ in slow.fills]

    trades = fast.trades
    assert list(trades.symbol) == [symbol for symbol, _ in slow.trades]
    assert list(index.get_indexer(trades.entry_ts)) == [trade.entry_bar for _, trade in slow.trades]
    assert list(trades.side) == [trade.side for _, trade in slow.trades]
    for name in ("amount", "entry_price", "exit_price", "fees", "carry"):
        assert list(trades[name]) == near([getattr(trade, name) for _, trade in slow.trades])
    assert list(trades.worst_excursion) == near([min(trade.returns_seen) for _, trade in slow.trades])
    assert list(trades.best_excursion) == near([max(trade.returns_seen) for _, trade in slow.trades])

    assert list(fast.equity.cash) == pytest.approx(slow.cashes, rel=1e-9, abs=noise)
    assert list(fast.equity.equity) == pytest.approx(slow.equities, rel=1e-9, abs=noise)
    held = fast.positions
    rows = zip(index.get_indexer(held.ts), held.symbol, strict=True)
    assert list(rows) == [(bar, symbol) for bar, symbol, _, _ in slow.held]
    assert list(held.position) == near([position for _, _, position, _ in slow.held])
    assert list(held.price) == [price for _, _, _, price in slow.held]


def sized_by_fraction(rules: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in rules.items() if name != "amount"}


@settings(max_examples=60)
@given(portfolios(), rule_sets(), limit_sets(TIMED) | st.just({}), times(), policies, st.none() | rule_sets())
def test_engine_and_reference_make_the_same_trades(
    drawn: Drawn,
    rules: dict[str, Any],
    limits: dict[str, Any],
    hours: list[int],
    policy: dict[str, Any],
    of_the_first: dict[str, Any] | None,
) -> None:
    own = {} if of_the_first is None else {"S0": sized_by_fraction(of_the_first)}
    own.get("S0", {}).pop("cash", None)
    assert_same(*both(drawn, hours, sized_by_fraction(rules), **limits, **policy, markets=own))


@settings(max_examples=60)
@given(portfolios(), rule_sets(), limit_sets(TIMED) | st.just({}), times(), policies, cost_sets(), st.booleans())
def test_engine_and_reference_have_the_same_costs(
    drawn: Drawn,
    rules: dict[str, Any],
    limits: dict[str, Any],
    hours: list[int],
    policy: dict[str, Any],
    costs: dict[str, Any],
    the_first_has_one_fee: bool,
) -> None:
    own = {"S0": {"fee_tiers": None, "fee": 0.003, "slippage": 0.02}} if the_first_has_one_fee else {}
    if rules["min_cost"]:
        rules["min_cost"] *= 1.003  # else it is just what an entry of a fraction of 0.99 leaves of the cash
    fast, slow, index = both(drawn, hours, sized_by_fraction(rules), costs, own, **limits, **policy)
    # Where all the cash is spent with its impact, rounding decides whether a crumb is left to order.
    orders = [*zip(fast.orders.symbol, fast.orders.amount, strict=True), *((of, row.amount) for of, row in slow.orders)]
    assume(not any(0 < amount < 1e-9 * max(other for at, other in orders if at == of) for of, amount in orders))
    assert_same(fast, slow, index)


@settings(max_examples=60)
@given(markets(), rule_sets(), limit_sets(TIMED) | st.just({}), times(), some_costs)
def test_a_portfolio_of_one_symbol_is_its_backtest_to_the_last_bit(
    market: tuple[list[Bar], list[float]],
    rules: dict[str, Any],
    limits: dict[str, Any],
    hours: list[int],
    costs: dict[str, Any],
) -> None:
    bars, target = market
    candles = candles_of(bars, hours)
    terms = {**sized_by_fraction(rules), **limits, "timeframe": timedelta(hours=hours[0])}
    if costs:
        candles, terms = with_costs(candles, costs), terms | engine_costs(costs, rules["slippage"])
    alone = simulate(candles, target, symbol="S", **terms)
    whole = simulate_portfolio({"S": candles}, pd.DataFrame({"S": target}, index=candles.index), **terms)
    curves = ["ts", "cash", "equity", "drawdown"]
    if {"borrow", "funding"} & set(costs):  # where alone the table's cash is what the equity leaves
        whole.equity["cash"] = whole.equity["equity"] - whole.equity["position"]
    pd.testing.assert_frame_equal(whole.equity[curves], alone.equity[curves], check_exact=True)
    held = alone.equity.loc[alone.equity.position != 0, ["ts", "position", "price"]].reset_index(drop=True)
    pd.testing.assert_frame_equal(whole.positions[["ts", "position", "price"]], held, check_exact=True)
    for name in ("orders", "fills", "trades"):
        ours = getattr(whole, name)
        for column in [name for name in ours if name.endswith("order_id") or name == "fill_id"]:
            ours[column] = ours[column].str.replace("-S", "", regex=False)
        pd.testing.assert_frame_equal(ours, getattr(alone, name), check_exact=True)


@settings(max_examples=40)
@given(portfolios(), rule_sets(), times(), st.sampled_from([None, 1, 4]), some_costs)
def test_the_books_of_all_symbols_balance(
    drawn: Drawn, rules: dict[str, Any], hours: list[int], every: int | None, costs: dict[str, Any]
) -> None:
    result, _, _ = both(drawn, hours, sized_by_fraction(rules), costs, rebalance_every=every)
    fills, trades, equity, held = result.fills, result.trades, result.equity, result.positions
    turnover = rules["cash"] + float((fills.price * fills.amount).sum())
    near_enough = {"rtol": 1e-9, "atol": 1e-10 * turnover}
    worth = held.groupby("ts")["value"].sum().reindex(equity.ts, fill_value=0.0).to_numpy()
    np.testing.assert_allclose(equity.position * equity.price, worth, **near_enough)
    np.testing.assert_allclose(equity.equity, equity.cash + worth, **near_enough)
    sign = fills.side.map({"buy": 1.0, "sell": -1.0}).astype(float)
    moved = (-sign * fills.price * fills.amount - fills.fee).groupby(fills.ts).sum()
    cash = rules["cash"] + moved.reindex(equity.ts, fill_value=0.0).cumsum()
    carry = trades.carry.sum()
    assert equity.cash.iloc[-1] == pytest.approx(cash.iloc[-1] - carry, rel=1e-9, abs=1e-10 * turnover)
    if not {"borrow", "funding"} & set(costs):
        assert carry == 0
        np.testing.assert_allclose(equity.cash, cash, **near_enough)
    for symbol, of in held.groupby("symbol"):
        own = fills.symbol == symbol
        amounts = (sign * fills.amount)[own].groupby(fills.ts[own]).sum().reindex(equity.ts, fill_value=0.0).cumsum()
        np.testing.assert_allclose(of.position, amounts[of.ts], rtol=1e-9, atol=1e-9 * fills.amount.max())
    assert trades.profit.sum() == pytest.approx(equity.equity.iloc[-1] - rules["cash"], abs=1e-9 * turnover)
    assert trades.fees.sum() == pytest.approx(fills.fee.sum(), abs=1e-9 * turnover)


@settings(max_examples=40)
@given(portfolios(), rule_sets(), times(), some_costs)
def test_longs_are_paid_for_with_money(
    drawn: Drawn, rules: dict[str, Any], hours: list[int], costs: dict[str, Any]
) -> None:
    bars, weights, gross = drawn
    longs = {name: [abs(weight) for weight in of] for name, of in weights.items()}
    of_orders = {name: value for name, value in costs.items() if name not in ("borrow", "funding")}
    result, _, _ = both((bars, longs, gross), hours, sized_by_fraction(rules), of_orders, rebalance_every=1)
    assert (result.equity.cash >= -1e-9 * rules["cash"]).all()


@settings(max_examples=40)
@given(portfolios(), rule_sets(), times(), some_costs)
def test_the_past_does_not_depend_on_the_future(
    drawn: Drawn, rules: dict[str, Any], hours: list[int], costs: dict[str, Any]
) -> None:
    bars, weights, gross = drawn
    # Where candles are absent for long, the part has fewer symbols.
    cut = max(1, len(next(iter(bars.values()))) // 2)
    parts = {name: of[:cut] for name, of in bars.items() if any(of[:cut])}
    rest = {name: [NAN] * len(of) for name, of in weights.items() if name not in parts}
    whole, _, index = both((bars, weights | rest, gross), hours, sized_by_fraction(rules), costs)
    early = {name: weights[name][:cut] for name in parts}
    part, _, _ = both((parts, early, gross), hours, sized_by_fraction(rules), costs)
    pd.testing.assert_frame_equal(part.equity, whole.equity.iloc[:cut], check_exact=True)
    pd.testing.assert_frame_equal(part.fills, whole.fills[whole.fills.ts <= index[cut - 1]], check_exact=True)
