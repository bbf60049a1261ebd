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
        ("limited", "i8"),  # 1: there are limits, and the fields below are kept
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
        ("costly", "i8"),  # 1: some of the next fields are to be kept bar by bar
        ("taker", "f8"),  # fee of an order that takes, now
        ("maker", "f8"),  # and of one that rests
        ("tiers", "i8"),  # fee tiers there are; 0: one fee for ever
        ("tier", "f8", (MOST_TIERS, 3)),  # volume from which each holds, its maker and its taker fee
        ("traded", "f8", (FEE_DAYS,)),  # cost of what was traded, by day modulo their number
        ("fee_day", "i8"),  # day up to which that is kept
        ("friction", "f8"),  # how little the market bears
        ("carried", "i8"),  # 1: to hold costs something
        ("carry", "f8"),  # what the trade that is open has cost so far
        ("capped", "i8"),  # 1: a bar's volume limits what is filled in it
        ("capacity", "f8"),  # what may still be filled in this bar, base currency
        ("working", "i8"),  # of an order that is not filled whole, where its rest is tried; see `parts`
        ("leg", "i8"),  # the order: its fields are those of the log
        ("kind", "i8"),
        ("why", "i8"),
        ("side", "i8"),
        ("ordered", "f8"),
        ("rest", "f8"),
        ("aim", "f8"),  # position when it is filled whole
        ("trigger", "f8"),
        ("number", "i8"),  # fills so far
        ("decided", "i8"),
        ("attempt", "i8"),
        ("exit_decided", "i8"),  # decision of the last exit that was sent
        ("exits", "i8"),  # sent for that decision
        ("asked", "i8"),  # bar of the decision that is being carried out
        ("asked_at", "i8"),  # its close: the instant
        ("asked_close", "f8"),  # and the price
    ]
)

DAY = 86_400_000_000  # microseconds
NOTHING = -1  # there is no order to make
NOISE = 1e-14  # relative; two prices or amounts nearer than this differ by rounding alone


def new_account(cash: float, rules: Rules, limits: Limits, length: int, tiers: Tiers = ()) -> npt.NDArray[np.void]:
    """Return an account of one row with nothing but its cash; `tiers` are those of `rules`, if it has any."""
    account = np.zeros(1, ACCOUNT)
    account["cash"] = account["peak"] = account["equity"] = account["morning"] = cash
    account["guarded"] = min(rules.stop_loss, rules.take_profit, rules.trailing_stop) < np.inf
    account["limited"] = limits != NO_LIMITS
    account["length"] = length
    account["taker"], account["maker"] = rules.fee, rules.maker_fee
    account["tiers"] = len(tiers)
    for row, tier in enumerate(tiers):
        account["tier"][0, row] = tier
    account["carried"], account["capped"] = rules.carried, rules.max_volume_share < np.inf
    account["costly"] = bool(tiers) or rules.impact or rules.carried or account["capped"][0]
    account["exit_decided"] = -1
    return account
