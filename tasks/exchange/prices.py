"""Prices without an account: what a market shows, and the exchange's clock, by a public client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tasks.exchange.client import PRACTICE, insist, opened, unknown_on
from tasks.exchange.clock import ExchangeClock
from tasks.exchange.trading import Quote, dialect_of, read_quote, sorting


@contextmanager
def public_prices(exchange: str, *, timeout: float = 20.0, paced: bool | None = None) -> Iterator[PublicPrices]:
    """Open an exchange for its prices, without keys, and close it.

    `timeout` is of one request, in seconds; a read is repeated within three times that. Requests keep the distance that
    the exchange asks for, if `paced`: by default everywhere but at the practice exchange. Raises BadInput for an
    unknown exchange, TryLater when it does not answer.
    """
    paced = exchange not in PRACTICE if paced is None else paced
    options = {"enableRateLimit": paced, "timeout": int(timeout * 1000), "number": str}
    with opened(exchange, options) as client:
        with sorting(f"{exchange}: the markets"):
            insist(client.load_markets, patience=3 * timeout)
        yield PublicPrices(client, exchange, patience=3 * timeout)


class PublicPrices:
    """The prices of one exchange. Times are nanoseconds since 1970 UTC, by the exchange's clock.

    Raised are TryLater, Refused and BadInput, after `patience` seconds at most.
    """

    def __init__(self, client: Any, exchange: str, *, patience: float) -> None:
        self.exchange = exchange
        self.clock = ExchangeClock(client, patience=patience)
        self._client = client
        self._dialect = dialect_of(client, exchange, patience)

    def now(self) -> int:
        """Return the time."""
        with sorting(f"{self.exchange}: the clock"):
            return self.clock.now()

    def price(self, symbol: str) -> Quote:
        """Return what a market shows now. Raises TryLater when its latest trades know nothing of that price."""
        if symbol not in self._client.markets:
            raise unknown_on("symbol", symbol, self._client.markets, self.exchange)
        with sorting(f"{self.exchange}: the price of {symbol}"):
            return read_quote(self._dialect, self.clock, symbol)
