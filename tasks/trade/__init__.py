"""The trade stage: the account, and what is done to it."""

from __future__ import annotations

from tasks.stage import stage
from tasks.trade.account import Account, open_account

__all__ = ["Account", "initialize"]


@stage(name="initialize")
def initialize(cash: float) -> Account:
    """Return the account with which a run starts: `cash` in quote currency and no position."""
    return open_account(cash)
