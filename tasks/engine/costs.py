"""The series that costs depend on: what the market bears, and what it costs to hold, candle by candle."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np

from data.errors import BadInput
from tasks.engine.fees import Tiers, read_tiers
from tasks.engine.friction import read_volumes
from tasks.engine.inputs import frozen, read_instants
from tasks.engine.rules import COLUMN, FUNDING_HOURS, Rules, Terms, check_carry
from tasks.engine.slippage import read_slippage

if TYPE_CHECKING:
    import pandas as pd

    from tasks.engine.inputs import Bars, Floats, Ints

HOUR = 3_600_000_000  # microseconds
YEAR = 365 * 24 * HOUR


class Costs(NamedTuple):
    """Read-only arrays of one number a candle; empty where no rule asks for any of them.

    What is held costs a fraction of its worth, below 0 where it earns: at a candle's close for the candle, and at its
    open for the time that no candle covers before it.
    """

    friction: Floats
    """How little the market bears after the close: see `slippage`."""
    volume: Floats
    """Base currency."""
    long: Floats
    short: Floats
    long_between: Floats
    short_between: Floats


def read_costs(terms: Terms, rules: Rules, candles: pd.DataFrame, bars: Bars, length: int) -> tuple[Costs, Tiers]:
    """Return the series that the rules ask for, and the fee tiers; `rules` are those made of the terms.

    `length` is a candle's, in microseconds. Raises BadInput for candles that lack a column.
    """
    costly = rules.impact or rules.carried or rules.tiers or rules.max_volume_share < np.inf
    void = frozen(np.zeros(len(candles) if costly else 0))
    friction = volume = long = short = long_between = short_between = void
    if rules.impact:
        friction = frozen(read_slippage(terms["slippage"]).friction(candles))
        if friction.shape != (len(candles),):
            raise BadInput(f"the slippage gives {friction.shape} numbers for {len(candles)} candles: give one a candle")
    if rules.max_volume_share < np.inf:
        volume = frozen(read_volumes(candles, "an order is filled by a share of it"))
    if rules.carried:
        opens = read_instants(bars.ts)
        closes = opens + length
        before = np.minimum(np.concatenate([opens[:1], closes[:-1]]), opens)
        borrow, rate, hours = check_carry(
            terms.get("borrow"), terms.get("funding"), terms.get("funding_hours", FUNDING_HOURS)
        )
        funding, between = _due(opens, closes, rate, hours), _due(before, opens, rate, hours)
        if terms.get("funding") == COLUMN:
            funding, between = _read_funding(candles), np.zeros(len(opens))
        lent, lent_between = borrow * (closes - opens) / YEAR, borrow * (opens - before) / YEAR
        long, short = frozen(funding), frozen(lent - funding)
        long_between, short_between = frozen(between), frozen(lent_between - between)
    return Costs(friction, volume, long, short, long_between, short_between), read_tiers(terms.get("fee_tiers"))


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
