"""The pass over many markets that share one account's money.

Each market keeps an account of its own, and its orders are drafted and filled by the very functions of one market. The
cash is lent to an account for as long as it is dealt with, together with what the money holds elsewhere. An array of
prices or weights has one row a market and one column a bar; NaN in the opens: the market has no candle in that bar.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tasks.engine.codes import CLOSE, MARKET, ORDERS_A_BAR, REBALANCE, SIGNAL, TIME
from tasks.engine.costs import Costs
from tasks.engine.fees import FEE_DAYS
from tasks.engine.kernel.account import DAY, NOTHING, SPECK, Floats, Ints, Record
from tasks.engine.kernel.bars import decide, note_bar, protect, rebalance, watch
from tasks.engine.kernel.compiled import compiled
from tasks.engine.kernel.costs import forget, pay, set_fees
from tasks.engine.kernel.fills import mark, place
from tasks.engine.kernel.orders import draft_next
from tasks.engine.kernel.sizing import affordable, round_down, within

POOL = np.dtype(
    [
        ("cash", "f8"),
        ("worth", "f8"),  # of the positions at their marks; while an account is dealt with, of the others
        ("gross", "f8"),  # the same with shorts counted as longs
        ("peak", "f8"),  # highest equity so far
        ("traded", "f8", (FEE_DAYS,)),  # in all markets, as in an account
        ("fee_day", "i8"),
        ("bar", "i8"),  # bar to go on from
        ("waiting", "i8"),  # 1: some account has something to do at its next open
        ("orders", "i8"),  # rows used
        ("trades", "i8"),
        ("held", "i8"),
    ]
)
SEAT = np.dtype(
    [
        ("mark", "f8"),  # price at which the position is valued; NaN before the first candle
        ("closed", "i8"),  # bar of the last close
        ("decided", "i8"),  # bar at whose close that which is pending was decided
        ("trade", "i8"),  # row of the trade that is open
    ]
)
"""What the pass knows of a market beside its account."""

HOLDING = np.dtype([("bar", "i4"), ("owner", "i4"), ("position", "f8"), ("price", "f8")])
"""A position held at a close."""


class Policy(NamedTuple):
    """When positions are brought back to their weights, and how much may be held in all."""

    every: int
    """Bars from one look to the next; 0: never."""
    tolerance: float
    """Share of the equity that a position may be off its weight by."""
    gross: float
    """Positions, shorts counted as longs, over equity that entries may lead to."""


@compiled
def share_fees(pool: Record, account: Record) -> None:
    """Set an account's fees to those of the tier that the volume of all markets together is in."""
    for day in range(FEE_DAYS):
        account.traded[day] = pool.traded[day]
    account.fee_day = pool.fee_day
    set_fees(account)


@compiled
def charge(pool: Record, account: Record, price: float, on_long: float, on_short: float) -> None:
    """Pay out of the common money for the position, as `pay` does."""
    account.cash = pool.cash
    pay(account, price, on_long, on_short)
    pool.cash = account.cash


@compiled
def begin(
    pool: Record, accounts: Record, seats: Record, at: int, column: int, opens: Floats, costs: Costs | None
) -> None:
    """Begin a day of fees, and pay for the time since the last candle of each market that has one now."""
    if costs is None:
        return
    if at // DAY > pool.fee_day:
        forget(pool, at // DAY)
    for owner in range(accounts.size):
        if accounts[owner].position != 0.0 and not np.isnan(opens[owner, column]):
            long, short = costs.long_between[owner, column], costs.short_between[owner, column]
            charge(pool, accounts[owner], seats[owner].mark, long, short)


@compiled
def lend(pool: Record, account: Record, seat: Record, market: float, gross: float) -> None:
    """Let an account deal with the money at a price of its market."""
    held = account.position
    pool.worth -= held * seat.mark
    pool.gross -= abs(held) * seat.mark
    account.cash, account.others = pool.cash, pool.worth
    equity = account.cash + account.others + held * market
    room = gross * max(equity, 0.0) - pool.gross
    if account.goal > 0.0:
        room = min(room, account.cash + held * market)  # longs are paid for with money, not with debt
    account.room = room if room > SPECK * equity else 0.0
    if account.tiers:
        share_fees(pool, account)
    account.orders = pool.orders
    account.trades = pool.trades if held == 0.0 else seat.trade + 1


@compiled
def take_back(pool: Record, account: Record, seat: Record, owners: Ints, owner: int) -> None:
    """Take the money back, and note whose the new orders are."""
    pool.cash = account.cash
    pool.worth += account.position * seat.mark
    pool.gross += abs(account.position) * seat.mark
    if account.tiers:
        today = pool.fee_day % FEE_DAYS
        pool.traded[today] = account.traded[today]
    owners[pool.orders : account.orders] = owner
    pool.orders = account.orders
    pool.trades = max(pool.trades, account.trades)
    seat.trade = account.trades - 1


@compiled
def reduce(
    account: Record,
    orders: Record,
    trades: Record,
    bar: int,
    decision: int,
    at: int,
    market: float,
    rules: Record,
    limits: Record,
) -> None:
    """Do of what is pending what makes the position smaller, and leave the rest of it pending."""
    order = orders[account.orders]
    age = (at - account.closed) / 1e6
    why = draft_next(account, order, bar, at, age, market, rules, limits)
    if why == NOTHING:
        account.pending, account.target = 0, account.goal
    elif abs(order.position) < abs(account.position):
        filled = place(account, order, trades, bar, decision, at, why, limits)
        if not (filled and order.leg == CLOSE):
            account.pending, account.target = 0, account.goal


@compiled
def trade_pending(
    pool: Record,
    accounts: Record,
    seats: Record,
    orders: Record,
    owners: Ints,
    trades: Record,
    bar: int,
    at: int,
    opens: Floats,
    rules: Record,
    limits: Record,
    ts: Ints,
    policy: Policy,
) -> None:
    """Do what is pending where there is a price: first all that makes positions smaller, then the rest."""
    pool.worth, pool.gross = 0.0, 0.0
    for owner in range(accounts.size):
        if not np.isnan(opens[owner]):
            seats[owner].mark = opens[owner]
        if accounts[owner].position != 0.0:
            pool.worth += accounts[owner].position * seats[owner].mark
            pool.gross += abs(accounts[owner].position) * seats[owner].mark
    for entering in range(2):
        for owner in range(accounts.size):
            account, seat, market = accounts[owner], seats[owner], opens[owner]
            if account.pending and not np.isnan(market):
                lend(pool, account, seat, market, policy.gross)
                account.closed = ts[seat.decided] + account.length
                if entering:
                    rebalance(account, orders, trades, bar, seat.decided, at, market, rules[owner], limits[owner])
                else:
                    reduce(account, orders, trades, bar, seat.decided, at, market, rules[owner], limits[owner])
                take_back(pool, account, seat, owners, owner)


@compiled
def off_weight(
    pool: Record, account: Record, price: float, equity: float, rules: Record, limits: Record, tolerance: float
) -> bool:
    """Tell whether a position has left its weight by more than is tolerated, and can be brought back."""
    position, target = account.position, account.target
    if position == 0.0 or target * position <= 0.0 or account.stopped or account.locked or account.dust:
        return False
    if account.tiers:
        share_fees(pool, account)
    unit = price * (1.0 + rules.slippage) * (1.0 + account.taker)
    wanted = target * rules.fraction * max(equity, 0.0) / unit
    if rules.impact > 0.0:
        wanted = np.copysign(affordable(account, abs(position), abs(wanted), rules), wanted)
    wanted = round_down(wanted, rules.amount_step)
    if account.limited and abs(wanted) > abs(position):
        wanted = within(account, wanted, price * (1.0 + rules.slippage), MARKET, rules, limits)
    change = abs(wanted - position)
    if change < rules.min_amount or change * price < rules.min_cost:
        return False
    return bool(change * price > max(tolerance, SPECK) * equity)


@compiled
def decide_weight(
    pool: Record,
    account: Record,
    seat: Record,
    bar: int,
    goal: float,
    looking: bool,
    equity: float,
    rules: Record,
    limits: Record,
    tolerance: float,
) -> None:
    """Decide at a close: take the weight as `decide` does or, failing that, bring a position back that has left it."""
    waiting = bool(account.pending and account.reason == REBALANCE)
    if waiting:
        account.pending, account.reason = 0, SIGNAL
    decide(account, goal, limits)
    if account.pending or account.ruined:
        return
    if not waiting and looking and off_weight(pool, account, seat.mark, equity, rules, limits, tolerance):
        seat.decided, waiting = bar, True
    if waiting:
        account.pending, account.goal, account.reason = 1, account.target, REBALANCE


@compiled
def watch_and_decide(
    pool: Record,
    account: Record,
    seat: Record,
    bar: int,
    at: int,
    goal: float,
    looking: bool,
    equity: float,
    rules: Record,
    limits: Record,
    tolerance: float,
) -> None:
    """See at the close of a bar whether the whole may go on, and decide for one market."""
    pending, reason, wanted = account.pending, account.reason, account.goal
    if equity <= 0.0 or account.limited:
        held, account.peak = account.held, pool.peak
        watch(account, at, seat.mark, equity, limits)
        if seat.closed != bar:  # it is none of those that `max_bars` counts
            account.held = held
            if account.reason == TIME:
                account.pending, account.reason = pending, reason
    if not np.isnan(seat.mark):
        decide_weight(pool, account, seat, bar, goal, looking, equity, rules, limits, tolerance)
    if account.pending:
        pool.waiting = 1
        same = pending and reason == account.reason and (wanted == account.goal or reason != SIGNAL)
        if account.reason != REBALANCE and not same:
            seat.decided = bar


@compiled
def close_bar(
    pool: Record,
    accounts: Record,
    seats: Record,
    bar: int,
    at: int,
    column: int,
    highs: Floats,
    lows: Floats,
    closes: Floats,
    weights: Floats,
    costs: Costs | None,
    rules: Record,
    limits: Record,
    policy: Policy,
    held: Record,
) -> float:
    """Value all positions, watch over the whole, decide for each market; return the equity."""
    pool.worth = 0.0
    for owner in range(accounts.size):
        account, seat, close = accounts[owner], seats[owner], closes[owner, column]
        if not np.isnan(close):
            seat.mark, seat.closed = close, bar
            if account.position != 0.0:
                note_bar(account, highs[owner, column], lows[owner, column])
                if costs is not None:
                    charge(pool, account, close, costs.long[owner, column], costs.short[owner, column])
            if costs is not None:
                account.friction = costs.friction[owner, column]
        if account.position != 0.0:
            pool.worth += account.position * seat.mark
            row = held[pool.held]
            row.bar, row.owner, row.position, row.price = bar, owner, account.position, seat.mark
            pool.held += 1
    equity: float = pool.cash + pool.worth
    pool.peak, pool.waiting = max(pool.peak, equity), 0
    looking = policy.every > 0 and (bar + 1) % policy.every == 0
    for owner in range(accounts.size):
        account, seat = accounts[owner], seats[owner]
        goal, own, bounds = weights[owner, column], rules[owner], limits[owner]
        watch_and_decide(pool, account, seat, bar, at, goal, looking, equity, own, bounds, policy.tolerance)
    return equity


@compiled
def advance_portfolio(
    pools: Record,
    accounts: Record,
    seats: Record,
    orders: Record,
    owners: Ints,
    trades: Record,
    ts: Ints,
    first: int,
    opens: Floats,
    highs: Floats,
    lows: Floats,
    closes: Floats,
    weights: Floats,
    costs: Costs | None,
    rules: Record,
    limits: Record,
    policy: Policy,
    curves: Floats,
    held: Record,
) -> None:
    """Simulate the bars from `pool.bar` on, of which those given begin at `first`; it is then the first not simulated.

    That is before their end only where the logs might not hold another bar's orders. `rules` and `limits` have a row a
    market, as the arrays of `costs` have; `curves` are cash, worth of the positions, equity and drawdown, and `held`
    takes the positions in the bars given. `pools` has one row.
    """
    pool = pools[0]
    for bar in range(pool.bar, first + opens.shape[1]):
        most = ORDERS_A_BAR * accounts.size
        if pool.orders + most > orders.size or pool.trades + most > trades.size:
            return
        column, at = bar - first, ts[bar]
        begin(pool, accounts, seats, at, column, opens, costs)
        if pool.waiting:
            trade_pending(
                pool, accounts, seats, orders, owners, trades, bar, at, opens[:, column], rules, limits, ts, policy
            )
        for owner in range(accounts.size):
            account, seat, open_ = accounts[owner], seats[owner], opens[owner, column]
            if account.guarded and account.position != 0.0 and not account.dust and not np.isnan(open_):
                lend(pool, account, seat, open_, policy.gross)
                high, low = highs[owner, column], lows[owner, column]
                protect(account, orders, trades, bar, at, open_, high, low, rules[owner], limits[owner])
                take_back(pool, account, seat, owners, owner)
        equity = close_bar(
            pool, accounts, seats, bar, at, column, highs, lows, closes, weights, costs, rules, limits, policy, held
        )
        curves[0, bar], curves[1, bar], curves[2, bar] = pool.cash, pool.worth, equity
        curves[3, bar] = equity / pool.peak - 1.0
        pool.bar = bar + 1


@compiled
def finish_portfolio(
    pools: Record,
    accounts: Record,
    seats: Record,
    orders: Record,
    owners: Ints,
    trades: Record,
    ts: Ints,
    rules: Record,
    limits: Record,
    policy: Policy,
) -> None:
    """Mark the trades that are still open, and note the orders that wait for an open which is not there yet."""
    pool, last = pools[0], ts.size - 1
    closes = np.empty(accounts.size)
    for owner in range(accounts.size):
        account, closes[owner] = accounts[owner], seats[owner].mark
        account.looking_ahead = 1
        if account.position != 0.0:
            account.trades = seats[owner].trade + 1
            mark(account, trades, closes[owner])
    trade_pending(pool, accounts, seats, orders, owners, trades, last, ts[last], closes, rules, limits, ts, policy)
