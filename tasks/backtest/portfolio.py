"""The simulation of many markets on one account: candles by symbol and weights in, tables out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, Unpack

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from data.errors import BadInput, unknown
from tasks.engine import codes, frames, inputs
from tasks.engine.costs import Costs, read_costs
from tasks.engine.fees import read_tiers
from tasks.engine.rules import Limits, Rules, Terms, check_cash, check_policy, read_terms, refuse_alone

if TYPE_CHECKING:
    from tasks.engine.codes import Log
    from tasks.engine.fees import Tiers
    from tasks.engine.inputs import Bars, Floats, Ints

_AT_ONCE = 1 << 20
"""Candles that lie side by side in memory at a time, whatever the number of bars: 40 MB with their weights, 80 with
what costs depend on."""
_FEWEST = 256
"""Bars at a time, at least."""
_ROUNDING = 1e-9


@dataclass(frozen=True, repr=False)
class PortfolioSimulation:
    """The tables of a `Simulation`, with the `symbol` of each row, and `positions`: what is held by instant and symbol.

    In `equity`, `position` is the worth of all positions, at a `price` of 1.
    """

    fills: pd.DataFrame
    trades: pd.DataFrame
    equity: pd.DataFrame
    orders: pd.DataFrame
    positions: pd.DataFrame


class _Market(NamedTuple):
    """One symbol's candles and terms, in which bars of the union they lie, and what its costs depend on."""

    bars: Bars
    at: Ints
    gaps: Ints
    rules: Rules
    limits: Limits
    tiers: Tiers
    costs: Costs | None


def simulate_portfolio(
    candles: Mapping[str, pd.DataFrame],
    weights: pd.DataFrame,
    *,
    cash: float = 100_000.0,
    rebalance_every: int | None = None,
    tolerance: float = 0.0,
    gross: float = 1.0,
    timeframe: timedelta | None = None,
    gap_after: Mapping[str, npt.ArrayLike] | None = None,
    markets: Mapping[str, Terms] | None = None,
    **terms: Unpack[Terms],
) -> PortfolioSimulation:
    """Trade many markets by weights, from one account's cash.

    `candles` are those of each symbol, as in `simulate`; they need not be of the same instants. A *bar* is an instant
    at which any of them has a candle. `weights` has one row a bar and one column a symbol: the wanted position as a
    fraction of the equity of the whole, -1 to 1; NaN: no signal. `markets` has terms of single symbols, which go before
    `terms`; `gap_after` is by symbol. Entries at a limit and detail are none of a portfolio's. What is not said here is
    as in `simulate`, and a portfolio of one symbol, without rebalancing, is that symbol's `simulate` to the last bit.

    **Decision.** A weight is decided on at the close of its bar, and executed at its symbol's next open, be that a bar
    later or many; until then a newer signal takes its place. What stands before a symbol's first candle is no signal.
    A decision that no open follows stays an order with the event `intent`.

    **Price.** A symbol without a candle in a bar is not traded in it, and is valued at its last close.

    **Size.** The equity E is cash and all positions, at the open where there is one in the bar, else at the last close.
    An order is sized by the E that the orders before it have left.

    **Order in a bar.** At the opens, symbol by symbol in the order of `candles`, first all orders that make a position
    smaller or close it, then, again in this order, all others; a change of side closes in the first round and enters in
    the second. So a purchase can use what a sale of the same bar has brought. Then the stops, in the same order. The
    closes come last.

    **Costs.** Impact is reckoned by the candles of the symbol itself, the fee of a tier by what the account has traded
    in all symbols together, those that have one fee as well. A position is paid for at the closes of its symbol's
    candles, and at an open for the time since the last of them, at the price of its close, before anything is traded
    in that bar; so one that finds no open any more is not.

    **Room.** The worth of all positions, shorts counted as longs, is brought by no entry to more than `gross` times the
    equity, and longs are paid for with money, not with debt: an entry for which there is less room than it wants is cut
    to it, fee, slippage and impact included, in steps; so it is the symbols at the end of the order that go short of
    it. One that is cut to nothing is refused. The weights of a bar, without their signs, add up to `gross` at most.

    **Rebalancing.** By default a position is left to itself until its target changes. With `rebalance_every` N, it is
    looked at the close of every Nth bar: one that is off its weight by more than `tolerance`, as a share of the equity,
    is brought back to it at the next open by an order for the reason `rebalance`; with N = 1, whenever it is. Off is
    the distance to what an order would bring it to, in steps, at that close. A position that is not held is not entered
    so, after a stop least of all; nor is an order made that is below the market's minimum.

    **Limits.** `daily_loss`, `max_drawdown` and ruin look at the equity of the whole, at every bar, and sell all the
    positions of the symbols that have them; `max_position`, `max_order`, `cooldown`, `max_orders_a_day`,
    `max_deviation`, `max_signal_age` and `max_bars` are each symbol's own.

    **Tables.** Rows of orders, fills and trades stand in the order in which they came about, and an order's id ends
    with its symbol. `positions` has one row for each position held at a bar's close: equity = cash + the sum of their
    values. A trade's `bars_held` are candles of its symbol.

    Raises BadInput for whatever of this is not so, in one line.
    """
    if not candles:
        raise BadInput("there are no symbols: give the candles of at least one")
    start = check_cash(cash)
    policy = check_policy(rebalance_every, tolerance, gross)
    own = {name: dict(given) for name, given in _by_symbol("markets", markets, candles).items()}
    gaps = _by_symbol("gap_after", gap_after, candles)
    asked = {name: Terms(**{**terms, **own.get(name, {})}) for name in candles}
    read = {name: _read(name, frame, gaps.get(name), asked[name]) for name, frame in candles.items()}
    index = _union([market.bars.ts for market in read.values()])
    goals = _read_weights(weights, list(candles), index, policy[2])
    length = inputs.find_length(index, timeframe)
    costs = {name: _read_costs(name, candles[name], asked[name], market, length) for name, market in read.items()}
    placed = [market._replace(at=_places(market.bars.ts, index), costs=costs[name]) for name, market in read.items()]
    passed = _run(placed, goals, inputs.read_instants(index), start, policy, length)
    return _tables(list(candles), placed, index, passed)


class _Passed(NamedTuple):
    """What the pass wrote down; `owners` says which symbol each order is of."""

    orders: Log
    owners: Ints
    trades: Log
    curves: Floats
    held: Log


def _run(
    markets: list[_Market], goals: Floats, ts: Ints, cash: float, policy: tuple[int, float, float], length: int
) -> _Passed:
    """Make the pass, so many bars at a time that their candles fit into little memory."""
    from tasks.engine import kernel

    symbols, size = goals.shape
    accounts = np.concatenate(
        [
            kernel.new_account(cash, each.rules, each.limits, length, tiers)
            for each, tiers in zip(markets, _schedules(markets), strict=True)
        ]
    )
    pool, seats = np.zeros(1, kernel.POOL), np.zeros(symbols, kernel.SEAT)
    pool["cash"] = pool["peak"] = cash
    seats["mark"] = np.nan
    rules, limits = _rows([each.rules for each in markets]), _rows([each.limits for each in markets])
    rows = codes.ORDERS_A_BAR * symbols
    orders, trades = np.empty(rows + 64 + size // 16, codes.ORDER), np.empty(rows + 64 + size // 32, codes.TRADE)
    owners, curves = np.empty(len(orders), np.int64), np.empty((4, size))
    bars = min(max(_FEWEST, _AT_ONCE // symbols), size)
    room, holdings = np.empty(symbols * bars, kernel.HOLDING), []
    plan = kernel.Policy(*policy)
    for first in range(0, size, bars):
        last = min(first + bars, size)
        block, costs = _side_by_side(markets, goals, first, last)
        pool["held"] = 0
        while pool["bar"][0] < last:
            state, logs = (pool, accounts, seats), (orders, owners, trades)
            kernel.advance_portfolio(*state, *logs, ts, first, *block, costs, rules, limits, plan, curves, room)
            orders, owners = _longer(orders, pool["orders"][0], rows), _longer(owners, pool["orders"][0], rows)
            trades = _longer(trades, pool["trades"][0], rows)
        holdings.append(room[: pool["held"][0]].copy())
    kernel.finish_portfolio(pool, accounts, seats, orders, owners, trades, ts, rules, limits, plan)
    used, ended = pool["orders"][0], pool["trades"][0]
    return _Passed(orders[:used], owners[:used], trades[:ended], curves, np.concatenate(holdings))


def _tables(
    symbols: list[str], markets: list[_Market], index: pd.DatetimeIndex, passed: _Passed
) -> PortfolioSimulation:
    """Turn the logs into tables."""
    names = pa.array(symbols, pa.string())
    orders, owners, trades, curves, held = passed
    owned = names.take(pa.array(owners))
    ids = frames.order_ids(orders, index, owned)
    serial, lasts, gaps = _numbered(markets, orders, owners)
    trader = owners[trades["entry_order"]]
    # A refusal's words name the limits of its own symbol.
    words = [word for each in markets for word in frames.reasons(each.rules, each.limits)[len(codes.REASONS) :]]
    spoken = orders.copy()
    refusals = len(words) // len(markets)
    spoken["reason"] += np.where(orders["reason"] >= len(codes.REASONS), owners * refusals, 0)
    opened = index.take(orders["bar"])
    cash, worth, equity, drawdown = curves
    return PortfolioSimulation(
        fills=frames.fill_frame(orders, ids, index, owned),
        trades=frames.trade_frame(trades, serial, ids, opened, lasts[trader], gaps, names.take(pa.array(trader))),
        equity=frames.whole_frame(index, cash, worth, equity, drawdown),
        orders=frames.order_frame(spoken, ids, index, (*codes.REASONS, *words), owned),
        positions=frames.position_frame(index.take(held["bar"]), names.take(pa.array(held["owner"])), held),
    )


def _numbered(markets: list[_Market], orders: Log, owners: Ints) -> tuple[Log, Ints, Ints]:
    """Count orders' bars in candles of their symbols, numbered through: first those of the first, and so on.

    Returns the orders so numbered, the last candle of each symbol, and the candles after which others are absent. The
    decision of a bar without a candle counts as that of the candle before.
    """
    sizes = [each.at.size for each in markets]
    starts = np.cumsum([0, *sizes[:-1]])
    numbered = orders.copy()
    by_owner = np.argsort(owners, kind="stable")
    bounds = np.searchsorted(owners[by_owner], np.arange(len(markets) + 1))
    for owner, (each, start) in enumerate(zip(markets, starts, strict=True)):
        rows = by_owner[bounds[owner] : bounds[owner + 1]]
        for name in ("bar", "decision"):
            numbered[name][rows] = start + np.searchsorted(each.at, orders[name][rows], side="right") - 1
    gaps = np.concatenate([start + each.gaps for each, start in zip(markets, starts, strict=True)])
    return numbered, (starts + sizes - 1).astype(np.int64), gaps.astype(np.int64)


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Say of which symbol that is which cannot be."""
    try:
        yield
    except BadInput as error:
        raise BadInput(f"{name}: {error}") from None


def _read(name: str, frame: pd.DataFrame, gap_after: npt.ArrayLike | None, terms: Terms) -> _Market:
    """Check one symbol's candles and terms."""
    with _named(name):
        rules, limits = read_terms(terms)
        refuse_alone(rules, "a portfolio")
        if rules.amount:
            raise BadInput("a fixed amount has no place in a portfolio: its weights are fractions of the equity")
        bars = inputs.read_bars(frame)
        inputs.check_prices(bars)
        gaps = inputs.find_gaps(bars.ts, gap_after)
        return _Market(bars, np.empty(0, np.int64), gaps, rules, limits, read_tiers(terms.get("fee_tiers")), None)


def _read_costs(name: str, frame: pd.DataFrame, terms: Terms, market: _Market, length: int) -> Costs | None:
    with _named(name):
        return read_costs(terms, market.rules, frame, market.bars, length)


def _schedules(markets: list[_Market]) -> list[Tiers]:
    """Return the fee tiers of each; where any has some, one fee is a tier too, as what is traded for it counts."""
    if not any(each.tiers for each in markets):
        return [() for _ in markets]
    return [each.tiers or ((0.0, each.rules.maker_fee, each.rules.fee),) for each in markets]


def _by_symbol(what: str, given: Mapping[str, Any] | None, candles: Mapping[str, pd.DataFrame]) -> Mapping[str, Any]:
    for name in given or {}:
        if name not in candles:
            raise unknown(f"symbol of {what}", name, candles)
    return given or {}


def _union(indexes: list[pd.DatetimeIndex]) -> pd.DatetimeIndex:
    """Return the instants of all, each once, in order."""
    first = indexes[0]
    others = [each for each in indexes[1:] if not np.array_equal(each.asi8, first.asi8)]
    if not others:
        return first
    instants = np.unique(np.concatenate([first.asi8, *(each.asi8 for each in others)]))
    return pd.DatetimeIndex(instants.view("M8[us]")).tz_localize("UTC").rename("ts")


def _places(ts: pd.DatetimeIndex, index: pd.DatetimeIndex) -> Ints:
    every = len(ts) == len(index)
    return np.arange(len(ts)) if every else np.searchsorted(index.asi8, ts.asi8).astype(np.int64)


def _read_weights(weights: pd.DataFrame, symbols: list[str], index: pd.DatetimeIndex, gross: float) -> Floats:
    """Take the weights, a row a symbol. Raises BadInput where they do not match the candles or leave their bounds."""
    if sorted(map(str, getattr(weights, "columns", ()))) != sorted(symbols):
        raise BadInput(f"the weights must be a frame with one column a symbol: {', '.join(symbols)}")
    if not weights.index.equals(index):
        raise BadInput(
            "the weights' index is not that of the candles: give one row for each instant at which any symbol has one"
        )
    ordered = weights if list(weights.columns) == symbols else weights[symbols]
    try:
        goals = ordered.to_numpy(np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        raise BadInput("the weights hold something that is not a number: use -1 to 1, or NaN for no signal") from None
    for first in range(0, len(index), _FEWEST):  # not at once, as that would take as much memory again
        _check_weights(np.abs(goals[first : first + _FEWEST]), goals, first, symbols, index, gross)
    return goals.T


def _check_weights(
    sizes: Floats, goals: Floats, first: int, symbols: list[str], index: pd.DatetimeIndex, gross: float
) -> None:
    """Refuse weights, of which `sizes` are those from bar `first` on without their signs, that leave their bounds."""
    if np.fmax.reduce(sizes, axis=None) > 1.0:
        bar, column = np.argwhere(sizes > 1.0)[0]
        where, weight = index[first + bar], goals[first + bar, column]
        raise BadInput(f"the weight of {symbols[column]} at {where} is {weight:g}: it must lie between -1 and 1")
    total = np.nansum(sizes, axis=1)
    if total.max() > gross + _ROUNDING:
        bar = int(np.argmax(total > gross + _ROUNDING))
        raise BadInput(
            f"the weights at {index[first + bar]} add up to {total[bar]:g} without their signs, and gross allows "
            f"{gross:g}"
        )


def _side_by_side(
    markets: list[_Market], goals: Floats, first: int, last: int
) -> tuple[tuple[Floats, Floats, Floats, Floats, Floats], Costs | None]:
    """Return opens, highs, lows, closes and weights of a stretch of bars, a row a symbol; NaN: no candle. And costs."""
    shape = len(markets), last - first
    prices, costs = [np.full(shape, np.nan) for _ in inputs.PRICES], None
    if any(each.costs is not None for each in markets):
        costs = Costs(*(np.zeros(shape) for _ in Costs._fields))
    for row, each in enumerate(markets):
        start, end = np.searchsorted(each.at, [first, last])
        places = each.at[start:end] - first
        series = [*zip(prices, each.bars[1:], strict=True), *zip(costs or (), each.costs or (), strict=False)]
        for array, values in series:
            array[row, places] = values[start:end]
    opens, highs, lows, closes = prices
    return (opens, highs, lows, closes, np.ascontiguousarray(goals[:, first:last])), costs


def _rows(tuples: list[Any]) -> npt.NDArray[np.void]:
    """Return tuples of numbers as the rows of a structured array, whose fields compiled code reads like theirs."""
    return np.array([tuple(each) for each in tuples], [(name, np.float64) for name in tuples[0]._fields])


def _longer(log: Any, used: int, rows: int) -> Any:
    """Return a log with room for what one more bar can write, and as much again as it holds."""
    if used + rows <= len(log):
        return log
    longer = np.empty(2 * len(log) + rows, log.dtype)
    longer[:used] = log[:used]
    return longer
