"""What stands between a server of HTTP and an exchange's own language: a request, a reply."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request."""

    method: str
    path: str
    """Without the query: /0/public/Ticker."""
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case."""
    body: str = ""


@dataclass(slots=True)
class Reply:
    """The answer, and what the journal notes of it."""

    body: Any
    """To be sent as JSON."""
    status: int = 200
    key: str | None = None
    """The public key that asked, once its signature is proven."""
    errors: tuple[str, ...] = ()
    orders: tuple[str, ...] = ()
    """Ids of the orders that this request made."""
    client_id: str | None = None
    """The sender's own id of those orders."""
