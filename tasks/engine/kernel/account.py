"""The state that a pass carries from bar to bar.

`side` is 1 for long or a buy and -1 for short or a sell, so that one formula serves both: `side * (a - b) > 0` says
that a is better for the position than b. Instants are microseconds since 1970, days are UTC.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.engine.fees import FEE_DAYS, MOST_TIERS, Tiers
from tasks.engine.rules import NO_LIMITS, Limits, Rules

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Record = Any
"""One row of a structured array, seen from compiled code: fields are attributes."""

ACCOUNT = np.dtype(
    [
        ("cash", "f8"),
        ("others", "f8"),  # worth of what the same cash holds in other markets; 0 where it has this one alone
        ("room", "f8"),  # quote currency that an entry may bring the position to, costs included; infinite: any
        ("cut", "i8"),  # 1: the position wanted last is cut to it
        ("position", "f8"),
        ("best", "f8"),  # best price since the entry, up to the bar before: what a trailing stop hangs on
        ("low", "f8"),  # range of prices since the average entry price last changed
        ("high", "f8"),
        ("decision", "i8"),  # bar that decided the last fill
        ("orders", "i8"),  # rows used
        ("trades", "i8"),
        ("target", "f8"),  # last one acted on
        ("goal", "f8"),  # the one that counts as acted on when what is pending is over
        ("pending", "i8"),  # 1: something is to be done at the next price
        ("reason", "i8"),  # why; a signal's wish is the goal, any other's is to hold nothing
        ("ruined", "i8"),  # 1: the equity was gone at a close, and nothing more is decided
        ("peak", "f8"),  # highest equity so far
        ("bar", "i8"),  # bar to go on from
        ("guarded", "i8"),  # 1: a stop or a take-profit is to be looked for inside the bars
        ("dust", "i8"),  # 1: an exit was refused as too small, and is not tried again before the next fill
        ("looking_ahead", "i8"),  # 1: there is no next open; orders stay intents
        ("limited", "i8"),  # 1: there are limits, limit orders or a cap, and the fields below are kept
        ("length", "i8"),  # of a candle
        ("close", "f8"),  # the last one
        ("closed", "i8"),  # its instant
        ("equity", "f8"),  # at it
        ("day", "i8"),  # it lies in
        ("morning", "f8"),  # equity at the last close before that day
        ("locked", "i8"),  # 1: that day's loss has reached its limit
        ("stopped", "i8"),  # 1: the drawdown has reached its limit
        ("resumes", "i8"),  # first bar that may be entered in after a stop
        ("order_day", "i8"),  # day of the last order
        ("placed", "i8"),  # orders in it
        ("held", "i8"),  # closes with the position, since it was entered
        ("resting", "i8"),  # an order waits, and the fields below are its; see `resting`
        ("rest_leg", "i8"),
        ("rest_kind", "i8"),
        ("rest_reason", "i8"),
        ("rest_attempt", "i8"),
        ("rest_side", "i8"),
        ("rest_ordered", "f8"),
        ("rest_amount", "f8"),  # what of it is still to be filled
        ("rest_fills", "i8"),
        ("rest_price", "f8"),
        ("rest_position", "f8"),  # what is held when all of it is filled
        ("rest_decision", "i8"),  # bar
        ("rest_close", "f8"),  # the close that was decided on
        ("rest_closed", "i8"),  # its instant
        ("rest_since", "i8"),  # first bar in which it may be filled
        ("capacity", "f8"),  # what may still be traded in this bar, base currency; infinite: any amount
        ("taker", "f8"),  # fee of an order that takes, now
        ("maker", "f8"),  # and of one that has waited
        ("dearest", "f8"),  # highest fee that may be due when one that waits is filled
        ("tiers", "i8"),  # fee tiers there are; 0: one fee for ever
        ("tier", "f8", (MOST_TIERS, 3)),  # volume from which each holds, its maker and its taker fee
        ("traded", "f8", (FEE_DAYS,)),  # cost of what was traded, by day modulo their number
        ("fee_day", "i8"),  # day up to which that is kept
        ("friction", "f8"),  # how little the market bears
        ("carry", "f8"),  # what the trade that is open has cost to hold so far
    ]
)

DAY = 86_400_000_000  # microseconds
NOTHING = -1  # there is no order to make
SPECK = 1e-9  # a share that is rounding, and traded for by nobody
NOISE = 1e-14  # relative; two prices or amounts nearer than this differ by rounding alone


def new_account(cash: float, rules: Rules, limits: Limits, length: int, tiers: Tiers = ()) -> npt.NDArray[np.void]:
    """Return an account of one row with nothing but its cash; `tiers` are those of the rules, if they have any."""
    account = np.zeros(1, ACCOUNT)
    account["cash"] = account["peak"] = account["equity"] = account["morning"] = cash
    account["guarded"] = min(rules.stop_loss, rules.take_profit, rules.trailing_stop) < np.inf
    account["limited"] = limits != NO_LIMITS or rules.limit_bars > 0.0 or rules.max_volume < np.inf
    account["room"] = account["capacity"] = np.inf
    account["length"] = length
    account["taker"], account["maker"] = rules.fee, rules.maker_fee
    account["dearest"] = max([rules.fee, rules.maker_fee, *(fee for tier in tiers for fee in tier[1:])])
    account["tiers"] = len(tiers)
    for row, tier in enumerate(tiers):
        account["tier"][0, row] = tier
    return account
