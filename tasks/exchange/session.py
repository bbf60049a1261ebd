"""ccxt's HTTP session, with a last look at every request and a bound on every answer."""

from __future__ import annotations

import functools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

Look = Callable[[str, bool], None]
"""Told the address that a request really goes to, and whether by a proxy; raises where it must not go."""

_METHODS = frozenset({"delete", "get", "head", "options", "patch", "post", "put"})


class WatchedSession:
    """Stands in for aiohttp's session: looks at each request, and follows no redirect."""

    def __init__(self, session: Any, look: Look) -> None:
        self._session = session
        self._look = look

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._session, name)
        if name not in _METHODS:
            return attribute

        def send(address: Any, **options: Any) -> Any:
            self._look(str(address), options.get("proxy") is not None)
            return attribute(address, allow_redirects=False, **options)

        return send


class BoundedSession(WatchedSession):
    """Stands in for requests' session, whose timeout is one of silence: an answer that drips would never end."""

    sent = 0
    answered = 0
    """When the last request went out and its answer was there: nanoseconds since 1970 UTC by this machine's clock."""

    def __init__(self, session: Any, look: Look) -> None:
        super().__init__(session, look)
        for adapter in session.adapters.values():
            adapter.poolmanager.pool_classes_by_scheme = _bounded_pools()

    def request(self, method: str, address: str, *, timeout: float, **options: Any) -> Any:
        """Ask, and have the whole answer within `timeout` seconds of the connection."""
        from requests.exceptions import ReadTimeout

        self._look(address, bool(options.get("proxies")))
        until = time.monotonic() + timeout
        self.sent = time.time_ns()
        response = self._session.request(
            method, address, timeout=timeout, allow_redirects=False, stream=True, **options
        )
        late = threading.Event()

        def cut() -> None:
            late.set()
            with suppress(OSError, RuntimeError, ValueError):  # it has ended in this very moment
                response.raw.shutdown()

        try:
            with _after(until - time.monotonic(), cut):
                response.content  # noqa: B018  reads all of it
        except Exception:
            response.close()
            if not late.is_set():
                raise
        if late.is_set():
            response.close()
            raise ReadTimeout(f"no whole answer within {timeout:g} s")
        self.answered = time.time_ns()
        return response


@contextmanager
def _after(seconds: float, cut: Callable[[], None]) -> Iterator[None]:
    """Call `cut`, in a thread of its own, if the block has not ended in so many seconds."""
    watch = threading.Timer(max(0.0, seconds), cut)
    watch.daemon = True
    watch.start()
    try:
        yield
    finally:
        watch.cancel()


@functools.cache
def _bounded_pools() -> dict[str, Any]:
    """Return urllib3's pools, with connections whose answers have all headers within the timeout, if they drip too."""
    from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

    def bounded(pool: Any) -> Any:
        def getresponse(self: Any) -> Any:
            with _after(self.timeout, functools.partial(_shut, self.sock)):
                return pool.ConnectionCls.getresponse(self)

        connection = type("Bounded", (pool.ConnectionCls,), {"getresponse": getresponse})
        return type(f"Bounded{pool.__name__}", (pool,), {"ConnectionCls": connection})

    return {"http": bounded(HTTPConnectionPool), "https": bounded(HTTPSConnectionPool)}


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):  # it has ended in this very moment
        connection.shutdown(socket.SHUT_RDWR)
