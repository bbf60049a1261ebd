"""The compiled rules; `tasks.backtest.simulate` has their meaning in words. Importing it imports numba."""

from tasks.engine.kernel.account import NOTHING, new_account
from tasks.engine.kernel.bars import first_bad_bar
from tasks.engine.kernel.curves import advance, finish
from tasks.engine.kernel.fills import note_adverse
from tasks.engine.kernel.inside import DIFFERENT, INCOMPLETE, Fine, fit
from tasks.engine.kernel.portfolio import HOLDING, POOL, SEAT, Policy, advance_portfolio, finish_portfolio
from tasks.engine.kernel.segments import extremes, first_unfit, follow
from tasks.engine.kernel.steps import (
    close_bars,
    count_now,
    decide_now,
    levels_now,
    mark_now,
    plan,
    plan_exit,
    take_next,
)
from tasks.engine.kernel.tallies import measure

__all__ = [
    "DIFFERENT",
    "HOLDING",
    "INCOMPLETE",
    "NOTHING",
    "POOL",
    "SEAT",
    "Fine",
    "Policy",
    "advance",
    "advance_portfolio",
    "close_bars",
    "count_now",
    "decide_now",
    "extremes",
    "finish",
    "finish_portfolio",
    "first_bad_bar",
    "first_unfit",
    "fit",
    "follow",
    "levels_now",
    "mark_now",
    "measure",
    "new_account",
    "note_adverse",
    "plan",
    "plan_exit",
    "take_next",
]
