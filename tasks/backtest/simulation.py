"""The simulation: candles and target in, fills, trades, equity and orders out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Unpack

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from tasks.engine import codes, frames, inputs
from tasks.engine.codes import with_room
from tasks.engine.costs import Costs, read_costs
from tasks.engine.detail import Detail, fine_of
from tasks.engine.fees import read_tiers
from tasks.engine.rules import NO_LIMITS, Limits, Rules, Terms, check_cash, read_terms

if TYPE_CHECKING:
    from tasks.engine.codes import Log
    from tasks.engine.inputs import Bars, Floats, Ints
    from tasks.engine.kernel import Fine


@dataclass(frozen=True, repr=False)
class Simulation:
    """What came of it: as the engine keeps it, and as tables with the columns that `data/tables.py` declares.

    A table is made when it is first asked for; until then the candles must be left as they are.
    """

    order_log: Log
    """Rows as in `tasks.engine.codes.ORDER`, in the order made."""
    trade_log: Log
    """Rows as in `tasks.engine.codes.TRADE`."""
    curve: Floats
    """Equity at each close, quote currency."""
    bars: Bars
    cash: float
    """At the start, quote currency."""
    terms: tuple[Rules, Limits]
    gaps: Ints | None
    """Positions of candles after which others are absent; None: to be found by their steps."""
    symbol: str

    @cached_property
    def fills(self) -> pd.DataFrame:
        """One row a fill, without `run_id`, as the next ones."""
        return frames.fill_frame(self.order_log, self._ids, self.bars.ts, self.symbol)

    @cached_property
    def trades(self) -> pd.DataFrame:
        """One row a round trip."""
        gaps = inputs.find_gaps(self.bars.ts, self.gaps)
        opened, last = self.bars.ts.take(self.order_log["bar"]), len(self.bars.ts) - 1
        return frames.trade_frame(self.trade_log, self.order_log, self._ids, opened, last, gaps, self.symbol)

    @cached_property
    def equity(self) -> pd.DataFrame:
        """One row a candle."""
        carried = bool(self.terms[0].carried)
        return frames.equity_frame(self.bars, self.order_log, self.cash, self.curve, carried=carried)

    @cached_property
    def orders(self) -> pd.DataFrame:
        """One row an order."""
        return frames.order_frame(self.order_log, self._ids, self.bars.ts, frames.reasons(*self.terms), self.symbol)

    @cached_property
    def _ids(self) -> pa.Array:
        return frames.order_ids(self.order_log, self.bars.ts)


def simulate(
    candles: pd.DataFrame,
    target: pd.Series | npt.ArrayLike,
    *,
    cash: float = 100_000.0,
    timeframe: timedelta | None = None,
    gap_after: npt.ArrayLike | None = None,
    symbol: str = "",
    detail: Detail | None = None,
    **terms: Unpack[Terms],
) -> Simulation:
    """Trade one market by a target position, from cash alone.

    `candles` has open, high, low and close by `ts` (UTC, the instant at which a candle opens, strictly increasing).
    `target` has one number a candle: the wanted position as a fraction of equity, -1 to 1; NaN: no signal. `cash` and
    `min_cost` are in quote currency, `amount`, `amount_step` and `min_amount` in base currency, the rest are fractions.
    `gap_after`: positions of candles after which others are absent; by default wherever a step is longer than usual.
    `timeframe`: length of a candle, which tells when it closes; by default the usual step. `detail`: finer candles, as
    `fit_detail` fits them to these. `terms` are those of `tasks.engine.rules.Terms`; by default a fee of 0.4 %,
    slippage of 0.05 %, all in at market, and nothing else.

    **Decision.** At the close of candle t a target that is not NaN and differs from the last one acted on (0 at the
    start) becomes an order, executed at the open of t + 1. A decision of the last candle stays an order with the event
    `intent`, its amount reckoned at the last close.

    **Price.** A buy pays `open * (1 + slippage)`, a sale gets `open * (1 - slippage)`; the fee is `fee * price *
    amount` on each. An entry that has waited at a limit pays `maker_fee` instead, by default the same. `slippage` may
    be a model of `tasks.engine.slippage` or its text: what of it grows with the order, its impact, comes on top, `open
    * (1 + slippage) * (1 + impact)` or `open * (1 - slippage) / (1 + impact)`, and is reckoned by candles closed before
    the one of the fill. Where nothing was traded in them it is not known: an entry is refused, an exit goes without.

    **Fees by tier.** `fee_tiers` go before `fee` and `maker_fee`: the fees of a fill are those of the last tier whose
    volume is not above the cost of all fills of the account on that UTC day and the 29 before it, before this one.

    **Holding.** A short position costs the yearly rate `borrow` of its worth, by the time; and a long pays `funding` of
    its worth to the shorts (below 0: gets it from them) every `funding_hours` from midnight UTC on. Both are paid at a
    candle's close by what is held then, at that close, for the whole candle, all times of funding after its open and up
    to its close; and at an open for the time without candles before it, by what was held then, at the close before.
    With `funding` "column" a candle's own rate is in its column `funding` (NaN: none), due at its close. It is in the
    cash, which may go below 0 by it, and in the trade's `carry` and profit.

    **Size.** With the equity E = cash + position * open at that instant, the wanted position is `target * fraction * E
    / (open * (1 + slippage) * (1 + fee))`, or `target * amount`, rounded towards 0 to `amount_step`. With impact it is
    so much less that this money pays for it with the impact of what is added; the same counts for the limits of size.
    The order is for the difference. A change of side is two orders: one closes, the next is sized by the equity that is
    left. Closing sells all, exactly. An order below `min_amount` or `min_cost`, one that rounds to nothing, and one of
    a fixed `amount` that equity beyond the position held does not cover with its fee, is `rejected` with its reason in
    words; the target counts as acted on. So a position too small to be sold stays, and where it bars the way so does
    the order for the other side.

    **Volume.** With `max_volume` no more than that fraction of a candle's own `volume` (a column, base currency) is
    filled in it, by all orders together, in steps of `amount_step`. What is left of an order is tried again at the
    following opens, at market whatever its type was; but what is left of an entry at a limit waits on at its limit. A
    signal's order is cancelled by whatever is decided next, and by a stop or a take-profit inside a bar. One that makes
    the position larger is cancelled too at an open at which a limit of loss bars entries, or its impact is not known;
    and where the equity beyond the position pays for less than the candle would fill, after that part. An exit is
    never cancelled, and nothing is decided at a close at which it is not whole. The second order of a change of side
    comes at the open at which the first is whole. An order is sized, limited and held against the market's minimums
    once, as a whole, its impact with it; each part pays the price, the impact and the fee of its own. An exit too small
    for the market is not made, and not refused either, while an order waits. Less than a billionth of an order, or of
    what may be traded, is nothing. An order filled in parts has the event `partially_filled` at the first, and after
    the last candle its last event is that, or `accepted` without any.

    **Stops** are looked for inside each bar, that of the entry included, after the order at its open. Stop-loss and
    take-profit are fractions of the average entry price, the trailing stop is one of the best price since the entry:
    the first entry price, then the highs (lows when short) of the bars up to the one before. The tighter of stop-loss
    and trailing stop holds. A bar that touches it is left at the stop, or at the open where that is worse, with
    slippage. Failing that, a bar that touches the take-profit is left at exactly that price: no slippage, nothing
    better when the open jumps over it, and the same fee as any other order. Where a bar touches both, the stop came
    first. After such an exit nothing is entered before the target changes to another value.

    **Entries at a limit.** With the `order_type` "limit" an order of a signal that makes the position larger, as sized
    at the open, waits from there on at a limit price: the close that was decided on, less `limit_offset` of it for a
    buy and more for a sale, rounded down for a buy and up for a sale to `price_step`, but not to 0. Its size, its cost
    and what is refused are reckoned as if the market stood at the limit, without slippage; where that makes nothing
    larger, it rounds to nothing. A bar fills it whose prices go beyond the limit; to touch it is not enough. Where the
    open of the first bar is beyond it already, it takes that open as a market order would, slippage included, but
    nothing beyond the limit. Else it is filled at the open of a later bar that is beyond the limit, or at the limit,
    without slippage and as the maker. Nothing changes its size, and there is one at most. It is cancelled by whatever
    is decided next; when the position that it would add to is left inside a bar; at an open at which a limit of loss
    refuses entries; and at the open that follows on `limit_bars` bars (None: never). Then, with `on_timeout` "market",
    its target is made an order for that open, as at the one after the decision: sized, limited and refused anew, and
    not made at all where it would make the position smaller. After the last candle one that waits has the event
    `accepted`.

    A bar that fills a limit order inside, and not at its open, is looked through in this order: the stop, where the
    position held has one that the price meets before the limit or with it, and then the order is not filled in this
    bar; the order; the stop and the take-profit of what is held then, by what is certain to come after: the bar's
    adverse extreme, and the better of limit and close for the favourable one. The same counts for excursions and
    trailing stop.

    **Detail.** Where a candle has finer ones that are all there and make up its very prices, what happens inside it is
    looked for on these, one after the other, each by the rules for a bar; so a stop and a take-profit that both are
    touched come in the order of the path, and a trailing stop hangs on the finer candles before. All else is as
    without: decisions, orders at the open, the waiting time of a limit order, the marks, and the instants in the
    tables, which are those of candles. Other candles are passed as without detail.

    **Limits.** An order that makes the position larger is an entry; no limit holds back or cuts any other. An entry is
    cut, in steps, so that the position is worth `max_position` and the order costs `max_order` at most, both in quote
    currency at the price paid. It is refused where that leaves nothing; more than `max_signal_age` seconds after the
    close that was decided on; at an open off that close by a larger fraction than `max_deviation`; in the `cooldown`
    candles after the one of a stop; and once `max_orders_a_day` were filled in the UTC day, each at its first fill. A
    close at which equity has lost the fraction `daily_loss` since the last close of the UTC day before (the cash on the
    first) sells all at the next open, and bars entries for what is left of that day; one at which it is `max_drawdown`
    below its highest does so for good. Failing that, the close that is the `max_bars`th since the position was entered,
    and every later one, sells all too. Such a sale is an exit of the reasons `daily_loss`, `drawdown` and `time`, and a
    target given at that close counts as acted on; but where the reason would be `time`, a new target for nothing or for
    the other side is acted on instead. `long_only` takes a target below 0 as 0.

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
    gaps = None if gap_after is None else inputs.find_gaps(bars.ts, gap_after)
    inputs.check_prices(bars)
    fine = fine_of(detail, candles, rules)
    # The length of a candle is for limits and for what it costs to hold.
    plain = timeframe is None and limits == NO_LIMITS and not rules.carried
    length = 0 if plain else inputs.find_length(bars.ts, timeframe)
    costs = read_costs(terms, rules, candles, bars, length)
    account = kernel.new_account(start, rules, limits, length, read_tiers(terms.get("fee_tiers")))
    orders, trades, curve = _run(account, bars, goal, fine, costs, rules, limits)
    return Simulation(orders, trades, curve, bars, start, (rules, limits), gaps, symbol)


def _run(
    account: Log, bars: Bars, goal: Floats, fine: Fine | None, costs: Costs | None, rules: Rules, limits: Limits
) -> tuple[Log, Log, Floats]:
    """Make the pass; return the logs of orders and trades, and the equity by bar."""
    from tasks.engine import kernel

    size = goal.size
    # A guess of how often is traded; memory that is not written to costs nothing.
    orders, trades = np.empty(64 + size // 16, codes.ORDER), np.empty(64 + size // 32, codes.TRADE)
    curve = np.empty(size)
    ts = inputs.read_instants(bars.ts)
    while kernel.advance(account, orders, trades, ts, *bars[1:], goal, fine, costs, rules, limits, curve) < size:
        orders, trades = with_room(orders, account["orders"][0]), with_room(trades, account["trades"][0])
    orders, trades = with_room(orders, account["orders"][0]), with_room(trades, account["trades"][0])
    kernel.finish(account, orders, trades, ts[-1], bars.closes[-1], costs, rules, limits, size - 1)
    return orders[: account["orders"][0]], trades[: account["trades"][0]], curve
