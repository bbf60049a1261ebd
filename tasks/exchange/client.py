"""Clients of ccxt for public market data, guarded against answers that are none.

ccxt takes seconds and 90 MB to import: it is imported inside the functions that need it.
"""

from __future__ import annotations

import difflib
import random
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from data.errors import BadInput, SourceError
from data.settings import settings

T = TypeVar("T")

TIMEOUT_MS = 20_000

_PAUSES = (0.5, 1.0, 2.0, 4.0)
"""Seconds between the attempts of one read."""

_PASSING = ("EService:", "Throttled", "timed out", "Timeout")
"""Texts of errors that ccxt does not class, though they pass (Kraken answers them with HTTP 200)."""


def exchange_names() -> list[str]:
    """Return the exchanges that ccxt knows."""
    import ccxt

    return list(ccxt.exchanges)


def unknown_on(kind: str, name: str, known: Iterable[str], where: str) -> BadInput:
    """Build the error for a misspelt name among too many to list: the nearest ones, and how many there are."""
    names = list(known)
    folded = {candidate.casefold(): candidate for candidate in names}
    near = [folded[n] for n in difflib.get_close_matches(name.casefold(), folded, n=3, cutoff=0.6)]
    guess = f" did you mean {' or '.join(near)}?" if near else ""
    return BadInput(f"unknown {kind} '{name}':{guess} {where} has {len(names)}")


@contextmanager
def public_client(exchange: str, *, paced: bool = True) -> Iterator[Any]:
    """Open a ccxt client without keys, and close it.

    It waits between requests as the exchange's rate limit asks, unless not `paced`. `JARVIS_EXCHANGE_URLS` may point
    it at another address. Raises BadInput for an exchange that ccxt does not know.
    """
    import ccxt

    if exchange not in ccxt.exchanges:
        raise unknown_on("exchange", exchange, ccxt.exchanges, "ccxt")
    guarded = type(f"Guarded_{exchange}", (_Guard, getattr(ccxt, exchange)), {})
    client = guarded({"enableRateLimit": paced, "timeout": TIMEOUT_MS})
    address = settings().exchange_urls.get(exchange)
    if address is not None:
        client.urls["api"] = _pointed_at(client.urls["api"], _http(exchange, address))
    try:
        yield client
    finally:
        client.close()


def ask(read: Callable[..., T], *args: Any) -> T:
    """Call a read of a client, again after a pause where its failure may pass.

    For reads only: nothing that places an order may come through here. Raises SourceError, with what the exchange
    said, when the attempts are used up or another try is pointless.
    """
    import ccxt

    for pause in (*_PAUSES, None):
        try:
            return read(*args)
        except ccxt.BaseError as error:
            passing = isinstance(error, (ccxt.NetworkError, ccxt.BadResponse)) or any(t in str(error) for t in _PASSING)
            if not passing or pause is None:
                tries = f" (tried {len(_PAUSES) + 1} times)" if passing else ""
                raise SourceError(f"{_said(error)}{tries}") from None
            time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  so that many clients do not return at once
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            # ccxt lets these through where an answer has another shape than the exchange's documentation says.
            raise SourceError(f"the exchange's answer was not understood: {type(error).__name__}: {error}") from None
    raise AssertionError("unreachable")


class _Guard:
    """Refuses answers that ccxt takes for empty ones: no JSON, null, or an envelope without its content.

    Unguarded, HTTP 200 with a page of HTML reads as "no candles", and some errors of a proxy as nothing at all.
    """

    id: str

    def handle_errors(
        self, code: int, reason: str, url: str, method: str, headers: Any, body: str, response: Any, *request: Any
    ) -> Any:
        """Raise what ccxt raises, and BadResponse or ExchangeNotAvailable where it would say nothing."""
        import ccxt

        try:
            handled = super().handle_errors(code, reason, url, method, headers, body, response, *request)  # type: ignore[misc]
        except ccxt.ExchangeError as error:
            if code < 500 or type(error) is not ccxt.ExchangeError:
                raise
        if code >= 500:
            raise ccxt.ExchangeNotAvailable(f"{self.id} {method} {url} {code} {reason}")
        if code < 400 and (response is None or (self.id == "kraken" and not _is_kraken(url, response))):
            raise ccxt.BadResponse(f"{self.id} {method} {url} answered {body[:60]!r}, which is no data")
        return handled


def _is_kraken(url: str, response: Any) -> bool:
    result = response.get("result") if isinstance(response, dict) else None
    if "/public/OHLC" in url:  # the still-open candle is always there, so a list that is empty is no answer
        return isinstance(result, dict) and any(isinstance(rows, list) and rows for rows in result.values())
    return result is not None


def _pointed_at(urls: Any, address: str) -> Any:
    return {key: _pointed_at(url, address) for key, url in urls.items()} if isinstance(urls, dict) else address


def _http(exchange: str, address: str) -> str:
    if not address.startswith(("http://", "https://")):
        raise BadInput(f"JARVIS_EXCHANGE_URLS: {exchange} needs an address with http:// or https://, not {address!r}")
    return address.rstrip("/")


def _said(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200] if lines else 'no reason given'}"
