"""Clients of ccxt, guarded, each for one exchange and one run.

ccxt takes seconds and 90 MB to import: it is imported inside the functions that need it.
"""

from __future__ import annotations

import difflib
import functools
import random
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from data.errors import BadInput, ExchangeError, SourceError, TryLater
from data.settings import settings
from tasks.exchange.failures import NOT_UNDERSTOOD, sort_failure
from tasks.exchange.keys import Keys

T = TypeVar("T")

TIMEOUT_MS = 20_000

PRACTICE = {"practice": "kraken", "practice-bitfinex": "bitfinex"}
"""Names of the practice exchange, and whose language it speaks under each. In the lake its data bear these names."""

_PAUSES = (0.5, 1.0, 2.0, 4.0)
"""Seconds between the attempts of one read."""


def exchange_names() -> list[str]:
    """Return the exchanges that can be reached: those that ccxt knows, and the practice exchange."""
    import ccxt

    return [*ccxt.exchanges, *PRACTICE]


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
    it at another address. Raises BadInput for an exchange that is not known.
    """
    with opened(exchange, {"enableRateLimit": paced, "timeout": TIMEOUT_MS}) as client:
        yield client


@contextmanager
def private_client(exchange: str, keys: Keys, *, timeout: float, paced: bool) -> Iterator[Any]:
    """Open a ccxt client that can trade, and close it. `timeout` is of one request, in seconds.

    Its numbers are text, as the exchange wrote them, for Decimal.
    """
    options = {"enableRateLimit": paced, "timeout": int(timeout * 1000), "number": str, **keys.for_ccxt()}
    with opened(exchange, options) as client:
        yield client


@contextmanager
def opened(exchange: str, options: dict[str, Any]) -> Iterator[Any]:
    """Open a guarded client with ccxt's options, and close it. Raises BadInput for an exchange that is not known."""
    client = guarded_class(exchange)(options)
    address = settings().exchange_urls.get(exchange)
    if address is None and exchange in PRACTICE:
        address = f"http://127.0.0.1:{settings().practice_port}"
    if address is not None:
        client.urls["api"] = _pointed_at(client.urls["api"], _http(exchange, address))
    try:
        yield client
    finally:
        client.close()


@functools.cache
def guarded_class(exchange: str) -> Any:
    """Return the exchange's ccxt class with the guard mixed in. Raises BadInput for an exchange that is not known."""
    import ccxt

    from tasks.exchange.guard import Guard

    if exchange not in exchange_names():
        raise unknown_on("exchange", exchange, exchange_names(), "ccxt")
    name = PRACTICE.get(exchange, exchange)
    return type(f"Guarded_{name}", (Guard, getattr(ccxt, name)), {})


def ask(read: Callable[..., T], *args: Any) -> T:
    """Call a read of a client, again after a pause where its failure may pass.

    For reads only: nothing that places an order may come through here. Raises SourceError, with what the exchange
    said, when the attempts are used up or another try is pointless.
    """
    try:
        return insist(read, *args)
    except ExchangeError as error:
        raise SourceError(str(error)) from None


def insist(read: Callable[..., T], *args: Any, patience: float = float("inf"), **options: Any) -> T:
    """Call a read, again after a pause where its failure may pass, for `patience` seconds at most.

    For reads only. Raises TryLater when the attempts are used up, Refused where another try is pointless.
    """
    import ccxt

    until = time.monotonic() + patience
    for tries, pause in enumerate((*_PAUSES, None), 1):
        try:
            return read(*args, **options)
        except (ccxt.BaseError, *NOT_UNDERSTOOD) as error:
            failure = sort_failure(error, may_change=False)
        if not isinstance(failure, TryLater):
            break
        if pause is None or time.monotonic() + pause > until:
            raise TryLater(f"{failure} (tried {tries} times)")
        time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  so that many clients do not return at once
    raise failure


def _pointed_at(urls: Any, address: str) -> Any:
    return {key: _pointed_at(url, address) for key, url in urls.items()} if isinstance(urls, dict) else address


def _http(exchange: str, address: str) -> str:
    if not address.startswith(("http://", "https://")):
        raise BadInput(f"JARVIS_EXCHANGE_URLS: {exchange} needs an address with http:// or https://, not {address!r}")
    return address.rstrip("/")
