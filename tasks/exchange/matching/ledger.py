"""Who has what: the account, the market on the other side, the fees, and the money that open orders have spoken for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal
from typing import Self

from tasks.exchange.orders import Balance, Fill

Money = defaultdict[str, Decimal]
"""By currency."""


class Ledger:
    """Money in four pockets. Nothing appears or goes: account + market + fees = deposited, in every currency."""

    def __init__(self) -> None:
        self.deposited = Money(Decimal)
        self.account = Money(Decimal)
        self.market = Money(Decimal)
        """Whoever traded with the account: it begins with nothing and may owe."""
        self.fees = Money(Decimal)
        self.held = Money(Decimal)
        self.holds: dict[str, tuple[str, Decimal]] = {}
        """By id of the order: currency and amount."""

    def free(self, currency: str) -> Decimal:
        """Return what a new order can use."""
        return self.account[currency] - self.held[currency]

    def balances(self) -> dict[str, Balance]:
        """Return what the account holds, by currency."""
        return {currency: Balance(total, self.held[currency]) for currency, total in self.account.items()}

    def deposit(self, currency: str, amount: Decimal) -> None:
        """Add money from outside; a negative amount takes it away."""
        self.deposited[currency] += amount
        self.account[currency] += amount

    def hold(self, order_id: str, currency: str, amount: Decimal) -> None:
        """Speak for money on behalf of an order, instead of what was held for it before."""
        self.release(order_id)
        self.holds[order_id] = currency, amount
        self.held[currency] += amount

    def release(self, order_id: str) -> None:
        """Hold nothing more for an order."""
        if order_id in self.holds:
            currency, amount = self.holds.pop(order_id)
            self.held[currency] -= amount

    def settle(self, fill: Fill, base: str) -> None:
        """Exchange money between account and market; the account pays the fee, in the quote currency."""
        amount, cost = (fill.amount, fill.cost) if fill.side == "buy" else (-fill.amount, -fill.cost)
        quote = fill.fee_currency
        self.account[base] += amount
        self.market[base] -= amount
        self.account[quote] -= cost + fill.fee
        self.market[quote] += cost
        self.fees[quote] += fill.fee

    def snapshot(self) -> dict[str, dict[str, str]]:
        """Return the pockets as JSON; holds follow from the open orders."""
        pockets = {"deposited": self.deposited, "account": self.account, "market": self.market, "fees": self.fees}
        return {name: {currency: str(money) for currency, money in pocket.items()} for name, pocket in pockets.items()}

    @classmethod
    def restore(cls, snapshot: Mapping[str, Mapping[str, str]]) -> Self:
        """Return the ledger of a snapshot, with nothing held."""
        ledger = cls()
        for pocket in ("deposited", "account", "market", "fees"):
            getattr(ledger, pocket).update({name: Decimal(text) for name, text in snapshot[pocket].items()})
        return ledger
