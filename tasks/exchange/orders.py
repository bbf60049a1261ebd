"""The words that client, matching engine and brokers share: request, order, fill, balance. Money is Decimal."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

Side = Literal["buy", "sell"]

OrderType = Literal["market", "limit", "stop_loss", "take_profit", "stop_loss_limit", "take_profit_limit"]
"""The last four wait for the market to reach `trigger`, and are then a market or a limit order."""

TimeInForce = Literal["GTC", "IOC", "GTD"]

Status = Literal["open", "closed", "cancelled", "expired", "rejected"]
"""`closed` is filled wholly; `cancelled` and `expired` orders may be filled in part."""


CLIENT_ID = re.compile(r"[0-9a-fA-F]{32}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[ -~]{1,18}")
"""What Kraken takes as the sender's own id of an order: a UUID with or without hyphens, or a short text."""


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """What is wanted of an exchange."""

    symbol: str
    side: Side
    type: OrderType
    amount: Decimal
    """Base currency, above 0; the quote currency to spend when `in_quote`."""
    price: Decimal | None = None
    """Limit price, of the types that have one."""
    trigger: Decimal | None = None
    """Price at which a stop-loss or take-profit order wakes."""
    client_id: str | None = None
    """The sender's own id: at Kraken a UUID or at most 18 characters."""
    post_only: bool = False
    time_in_force: TimeInForce = "GTC"
    expires: int | None = None
    """Of a GTD order: nanoseconds since 1970 UTC."""
    deadline: int | None = None
    """An order that arrives later is refused: nanoseconds since 1970 UTC, by the exchange's clock."""
    in_quote: bool = False
    """Of a market order to buy: `amount` is money to spend."""


@dataclass(slots=True)
class Fill:
    """One trade of an order."""

    id: str
    order_id: str
    symbol: str
    side: Side
    time: int
    """Nanoseconds since 1970 UTC."""
    price: Decimal
    amount: Decimal
    """Base currency, above 0."""
    cost: Decimal
    """Quote currency, without the fee."""
    fee: Decimal
    fee_currency: str
    maker: bool


@dataclass(slots=True)
class Order:
    """An order as its exchange knows it."""

    id: str
    request: OrderRequest
    status: Status
    opened: int
    """Nanoseconds since 1970 UTC."""
    closed: int | None = None
    reason: str = ""
    """Why it was cancelled, expired or rejected; empty otherwise."""
    triggered: bool = False
    filled: Decimal = Decimal(0)
    cost: Decimal = Decimal(0)
    """Quote currency paid or received for what is filled, without fees."""
    fee: Decimal = Decimal(0)
    fee_currency: str = ""
    fills: list[Fill] = field(default_factory=list)

    @property
    def average(self) -> Decimal | None:
        """Average price of what is filled; None before the first fill."""
        return self.cost / self.filled if self.filled else None


@dataclass(frozen=True, slots=True)
class Balance:
    """What an account holds of one currency."""

    total: Decimal
    held: Decimal
    """The part of `total` that open orders have spoken for."""

    @property
    def free(self) -> Decimal:
        """What a new order can use."""
        return self.total - self.held
