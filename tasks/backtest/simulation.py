"""The simulation: candles and target in, fills, trades, equity and orders out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Unpack

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.engine import codes, frames, inputs
from tasks.engine.codes import with_room
from tasks.engine.costs import read_costs
from tasks.engine.rules import Limits, Rules, Terms, check_cash, read_terms

if TYPE_CHECKING:
    from tasks.engine.codes import Log
    from tasks.engine.costs import Costs
    from tasks.engine.inputs import Bars, Floats


@dataclass(frozen=True)
class Simulation:
    """What came of it; columns as `data/tables.py` declares them, without `run_id`."""

    fills: pd.DataFrame
    trades: pd.DataFrame
    equity: pd.DataFrame
    orders: pd.DataFrame


def simulate(
    candles: pd.DataFrame,
    target: pd.Series | npt.ArrayLike,
    *,
    cash: float = 100_000.0,
    timeframe: timedelta | None = None,
    gap_after: npt.ArrayLike | None = None,
    symbol: str = "",
    **terms: Unpack[Terms],
) -> Simulation:
    """Trade one market by a target position, from cash alone.

    `candles` has open, high, low and close by `ts` (UTC, the instant at which a candle opens, strictly increasing).
    `target` has one number a candle: the wanted position as a fraction of equity, -1 to 1; NaN: no signal. `cash` and
    `min_cost` are in quote currency, `amount`, `amount_step` and `min_amount` in base currency, the rest are fractions.
    `gap_after`: positions of candles after which others are absent; by default wherever a step is longer than usual.
    `timeframe`: length of a candle, which tells when it closes; by default the usual step. `terms` are those of
    `tasks.engine.rules.Terms`; by default a fee of 0.4 %, slippage of 0.05 %, all in, and nothing else.

    **Decision.** At the close of candle t a target that is not NaN and differs from the last one acted on (0 at the
    start) becomes an order, executed at the open of t + 1. A decision of the last candle stays an order with the event
    `intent`, its amount reckoned at the last close.

    **Price.** A buy pays `open * (1 + slippage)`, a sale gets `open * (1 - slippage)`; the fee is `fee * price *
    amount` on each.

    **Size.** With the equity E = cash + position * open at that instant, the wanted position is `target * fraction * E
    / (open * (1 + slippage) * (1 + fee))`, or `target * amount`, rounded towards 0 to `amount_step`. The order is for
    the difference. A change of side is two orders: one closes, the next is sized by the equity that is left. Closing
    sells all, exactly. An order below `min_amount` or `min_cost`, one that rounds to nothing, and one of a fixed
    `amount` that equity beyond the position held does not cover with its fee, is `rejected` with its reason in words;
    the target counts as acted on. So a position too small to be sold stays, and where it bars the way so does the
    order for the other side.

    **Stops** are looked for inside each bar, that of the entry included, after the order at its open. Stop-loss and
    take-profit are fractions of the average entry price, the trailing stop is one of the best price since the entry:
    the first entry price, then the highs (lows when short) of the bars up to the one before. The tighter of stop-loss
    and trailing stop holds. A bar that touches it is left at the stop, or at the open where that is worse, with
    slippage. Failing that, a bar that touches the take-profit is left at exactly that price: no slippage, nothing
    better when the open jumps over it, and the same fee as any other order. Where a bar touches both, the stop came
    first. After such an exit nothing is entered before the target changes to another value.

    **Limits.** An order that makes the position larger is an entry; no limit holds back or cuts any other. An entry is
    cut, in steps, so that the position is worth `max_position` and the order costs `max_order` at most, both in quote
    currency at the price paid. It is refused where that leaves nothing; more than `max_signal_age` seconds after the
    close that was decided on; at an open off that close by a larger fraction than `max_deviation`; in the `cooldown`
    candles after the one of a stop; and once `max_orders_a_day` were filled in the UTC day. A close at which equity
    has lost the fraction `daily_loss` since the last close of the UTC day before (the cash on the first) sells all at
    the next open, and bars entries for what is left of that day; one at which it is `max_drawdown` below its highest
    does so for good. Such a sale is an exit of the reasons `daily_loss` and `drawdown`, and a target given at that
    close counts as acted on. `long_only` takes a target below 0 as 0.

    **Ruin.** A short can lose more than there is. When equity at a close is 0 or less, the position is closed at the
    next open (reason `ruin`) and nothing more is traded.

    **The end.** A trade still open is marked at the last close: status `open`, no exit instant, reason or order.

    **Excursions** are returns on the average entry price over the ranges of the bars held. Of the bar of the exit only
    what the trade can have seen counts, the adverse side first: the exit price, and for a take-profit also the bar's
    adverse extreme.

    Raises BadInput for whatever of this is not so, in one line.
    """
    from tasks.engine import kernel

    start = check_cash(cash)
    rules, limits = read_terms(terms)
    bars = inputs.read_bars(candles)
    goal = inputs.read_target(target, candles.index)
    gaps = inputs.find_gaps(bars.ts, gap_after)
    inputs.check_prices(bars)
    length = inputs.find_length(bars.ts, timeframe)
    costs, tiers = read_costs(terms, rules, candles, bars, length)
    account = kernel.new_account(start, rules, limits, length, tiers)
    orders, trades, curves = _run(account, bars, goal, costs, rules, limits)
    ids = frames.order_ids(orders, bars.ts)
    opened = bars.ts.take(orders["bar"])
    return Simulation(
        fills=frames.fill_frame(orders, ids, bars.ts, symbol),
        trades=frames.trade_frame(trades, orders, ids, opened, len(bars.ts) - 1, gaps, symbol),
        equity=frames.equity_frame(bars, *curves),
        orders=frames.order_frame(orders, ids, bars.ts, rules, limits, symbol),
    )


def _run(
    account: Log, bars: Bars, goal: Floats, costs: Costs, rules: Rules, limits: Limits
) -> tuple[Log, Log, list[Floats]]:
    """Make the pass; return the logs of orders and trades, and cash, position, equity and drawdown by bar."""
    from tasks.engine import kernel

    size = goal.size
    # A guess of how often is traded; memory that is not written to costs nothing.
    orders, trades = np.empty(64 + size // 16, codes.ORDER), np.empty(64 + size // 32, codes.TRADE)
    curves = [np.empty(size) for _ in range(4)]
    ts = inputs.read_instants(bars.ts)
    while kernel.advance(account, orders, trades, ts, *bars[1:], goal, costs, rules, limits, *curves) < size:
        orders, trades = with_room(orders, account["orders"][0]), with_room(trades, account["trades"][0])
    orders, trades = with_room(orders, account["orders"][0]), with_room(trades, account["trades"][0])
    kernel.finish(account, orders, trades, ts[-1], bars.closes[-1], costs, rules, limits, size - 1)
    return orders[: account["orders"][0]], trades[: account["trades"][0]], curves
