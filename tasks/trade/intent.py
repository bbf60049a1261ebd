"""The intent of an order: what a decision asks for, under ids that the same decision gives again."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

import pandas as pd

from tasks.exchange.orders import OrderRequest, OrderType, Side

Leg = Literal["open", "close", "exit"]

Event = Literal["intent", "sent", "accepted", "partially_filled", "filled", "cancelled", "rejected", "unknown"]

FINAL: frozenset[Event] = frozenset({"filled", "cancelled", "rejected"})
IN_DOUBT: frozenset[Event] = frozenset({"intent", "sent", "unknown"})

NEVER_REACHED = "never reached the exchange"
"""How the reason of a rejected order begins that no exchange refused."""

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "jarvis/orders")

_TYPES: dict[str, OrderType] = {"market": "market", "limit": "limit", "stop": "stop_loss"}


@dataclass(slots=True)
class Intent:
    """An order of a session, from the wish to its end."""

    run_id: str
    symbol: str
    decision: pd.Timestamp
    """Candle at whose close it was decided."""
    side: Side
    leg: Leg
    type: Literal["market", "limit", "stop"]
    amount: Decimal
    """Base currency, in steps of the market."""
    price: Decimal | None
    """Limit or stop price, in steps of the market."""
    reason: str
    attempt: int = 1
    intended: int = 0
    """When the intent was written, before anything was sent: nanoseconds, by the exchange's clock."""
    deadline: int | None = None
    event: Event = "intent"
    """The last that happened to it."""
    exchange_id: str | None = None
    filled: Decimal = Decimal(0)
    ended: str = ""
    """Why it was rejected or cancelled."""

    @property
    def order_id(self) -> str:
        """The order's name in its run, which is the backtest's name for it."""
        first = f"{self.decision:%Y-%m-%dT%H:%M:%SZ}-{self.side}-{self.leg}"
        return first if self.attempt == 1 else f"{first}-{self.attempt}"

    @property
    def client_id(self) -> str:
        """The id that the exchange is told: the same for the same order of the same run."""
        return str(uuid.uuid5(NAMESPACE, f"{self.run_id}/{self.symbol}/{self.order_id}"))

    @property
    def is_final(self) -> bool:
        """Whether nothing more can happen to it."""
        return self.event in FINAL

    @property
    def in_doubt(self) -> bool:
        """Whether the exchange may have it, or not."""
        return self.event in IN_DOUBT

    @property
    def never_reached(self) -> bool:
        """Whether the exchange certainly never had it: the same may be wanted again, by another attempt."""
        return self.event == "rejected" and not self.filled and self.ended.startswith(NEVER_REACHED)

    def request(self) -> OrderRequest:
        """Return what the exchange is asked."""
        return OrderRequest(
            self.symbol,
            self.side,
            _TYPES[self.type],
            self.amount,
            price=self.price if self.type == "limit" else None,
            trigger=self.price if self.type == "stop" else None,
            client_id=self.client_id,
            deadline=self.deadline,
        )
