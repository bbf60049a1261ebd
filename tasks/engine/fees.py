"""Fees by tier: the more was traded in 30 days, the lower they are."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from data.errors import BadInput

Tier = tuple[float, float, float]
"""Volume of 30 days (quote currency) from which it holds, maker fee, taker fee (fractions)."""

Tiers = tuple[Tier, ...]

MOST_TIERS = 32

FEE_DAYS = 30
"""UTC days whose volume counts: that of the fill, and those before it."""


def read_tiers(given: Sequence[Tier | str] | None) -> Tiers:
    """Return a schedule as an exchange publishes it; empty: there is none.

    A tier is three numbers, or text as in `10000:0.002:0.0035`. Raises BadInput for what is no schedule: the first
    begins at 0, each begins above the one before, fees are at least 0 and below 1.
    """
    tiers: list[Tier] = [_tier(each) for each in given or ()]
    if len(tiers) > MOST_TIERS:
        raise BadInput(f"fee_tiers: {len(tiers)} are too many, the most is {MOST_TIERS}")
    if tiers and tiers[0][0] != 0.0:
        raise BadInput(f"fee_tiers: the first begins at {tiers[0][0]:g}, and must at 0")
    for before, tier in pairwise(tiers):
        if not tier[0] > before[0]:
            raise BadInput(f"fee_tiers: {tier[0]:g} comes after {before[0]:g}: give them by rising volume, each once")
    return tuple(tiers)


def _tier(given: Tier | str) -> Tier:
    parts = given.split(":") if isinstance(given, str) else given
    try:
        volume, maker, taker = map(float, parts)
    except (TypeError, ValueError):
        raise BadInput(f"fee_tiers: {given!r} is no tier: write volume:maker:taker, as in 10000:0.002:0.0035") from None
    if not volume < float("inf"):
        raise BadInput(f"fee_tiers: the volume of {given!r} is no number")
    for fee in (maker, taker):
        if not 0.0 <= fee < 1.0:
            raise BadInput(f"fee_tiers: a fee must be at least 0 and below 1, not {fee:g}")
    return volume, maker, taker
