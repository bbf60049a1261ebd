"""The account: what is there before the first order, and after each."""

from __future__ import annotations

import math
from dataclasses import dataclass

from data.errors import BadInput


@dataclass(frozen=True)
class Account:
    """Money (quote currency) and position (base currency, or shares)."""

    cash: float
    position: float = 0.0


def open_account(cash: float) -> Account:
    """Return an account with money and no position. Raises BadInput unless cash is a finite number above 0."""
    if not (math.isfinite(cash) and cash > 0):
        raise BadInput(f"cash is {cash:g}: it must be above 0")
    return Account(cash=cash)
