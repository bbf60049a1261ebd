"""The series that costs depend on: what the market bears, and what it costs to hold, candle by candle."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np

from data.errors import BadInput
from tasks.engine.inputs import frozen, read_instants
from tasks.engine.rules import COLUMN, FUNDING_HOURS, Rules, Terms, check_carry
from tasks.engine.slippage import read_slippage

if TYPE_CHECKING:
    import pandas as pd

    from tasks.engine.inputs import Bars, Floats, Ints

HOUR = 3_600_000_000  # microseconds
YEAR = 365 * 24 * HOUR


class Costs(NamedTuple):
    """Read-only arrays of one number a candle.

    What is held costs a fraction of its worth, below 0 where it earns: at a candle's close for the candle, and at its
    open for the time that no candle covers before it.
    """

    friction: Floats
    """How little the market bears after the close: see `slippage`."""
    long: Floats
    short: Floats
    long_between: Floats
    short_between: Floats


def read_costs(terms: Terms, rules: Rules, candles: pd.DataFrame, bars: Bars, length: int) -> Costs | None:
    """Return the series that the rules ask for, None where they ask for none; `rules` are those made of the terms.

    `length` is a candle's, in microseconds. Raises BadInput for candles that lack a column.
    """
    if not (rules.impact or rules.carried or rules.tiers):
        return None
    void = frozen(np.zeros(len(candles)))
    friction = void
    if rules.impact:
        friction = frozen(read_slippage(terms["slippage"]).friction(candles))
        if friction.shape != (len(candles),):
            raise BadInput(f"the slippage gives {friction.shape} numbers for {len(candles)} candles: give one a candle")
    if not rules.carried:
        return Costs(friction, void, void, void, void)
    opens = read_instants(bars.ts)
    closes = opens + length
    before = np.minimum(np.concatenate([opens[:1], closes[:-1]]), opens)
    borrow, rate, hours = check_carry(
        terms.get("borrow"), terms.get("funding"), terms.get("funding_hours", FUNDING_HOURS)
    )
    if terms.get("funding") == COLUMN:
        funding, between = _read_funding(candles), np.zeros(len(opens))
    else:
        funding, between = _due(opens, closes, rate, hours), _due(before, opens, rate, hours)
    lent, lent_between = borrow * (closes - opens) / YEAR, borrow * (opens - before) / YEAR
    short, short_between = lent - funding, lent_between - between
    return Costs(friction, frozen(funding), frozen(short), frozen(between), frozen(short_between))


def _due(after: Ints, until: Ints, rate: float, hours: float) -> Floats:
    """Return the funding that is due at instants after the one and until the other, both in microseconds."""
    step = round(hours * HOUR)
    return cast("Floats", rate * (until // step - after // step))


def _read_funding(candles: pd.DataFrame) -> Floats:
    if "funding" not in candles.columns:
        raise BadInput("candles lack the column funding, which has the rate that is due at each close")
    try:
        rates = candles["funding"].to_numpy(np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        raise BadInput("the candles' column funding holds something that is not a number") from None
    bad = np.flatnonzero(np.isinf(rates))
    if bad.size:
        raise BadInput(f"the funding at {candles.index[bad[0]]} is {rates[bad[0]]:g}: it must be a fraction")
    known: Floats = np.nan_to_num(rates)
    return known
