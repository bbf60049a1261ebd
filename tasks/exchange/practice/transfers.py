"""Money that came to the account from outside, or left it: what its ledger tells besides trades."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, NamedTuple


class Transfer(NamedTuple):
    """A deposit, or a withdrawal where the amount is negative."""

    time: int
    """Nanoseconds since 1970 UTC, by the exchange's clock."""
    currency: str
    amount: Decimal
    silent: bool = False
    """A fault: it moved the balance, and the account's ledger does not tell of it."""


def as_json(transfers: Iterable[Transfer]) -> list[list[Any]]:
    """Return transfers as they are kept over a restart."""
    return [[each.time, each.currency, f"{each.amount:f}", each.silent] for each in transfers]


def from_json(rows: Iterable[list[Any]]) -> list[Transfer]:
    """Return the transfers that were kept."""
    return [Transfer(time, currency, Decimal(amount), silent) for time, currency, amount, silent in rows]
