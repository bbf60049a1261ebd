"""The guard that is mixed into ccxt's classes: nothing unsafe goes out by it, and nothing damaged comes in.

    class SafeKraken(Guard, ccxt.kraken): ...

What it stops was measured in ccxt: a Decimal or numpy value in `params` is dropped in silence (an order for 25 dollars
buys 25 bitcoins), HTTP 200 with a page of HTML reads as "no open orders", and a failed request's traceback holds the
keys. It works for the synchronous and the asynchronous classes.
"""

from __future__ import annotations

import functools
import inspect
import json
import logging
import math
from collections.abc import Mapping
from decimal import Decimal
from enum import Enum
from types import FunctionType
from typing import Any
from uuid import UUID

from data.errors import BadInput
from tasks.exchange.keys import refuse_address
from tasks.exchange.session import BoundedSession, WatchedSession
from tasks.exchange.shapes import is_answer

_UNIFIED = ("cancel_", "create_", "edit_", "fetch_")
_PLACING = frozenset({"create_order", "edit_order", "create_market_order_with_cost"})
_RETRIES = "maxRetriesOnFailure"

_SILENT = logging.Logger("ccxt", logging.CRITICAL + 1)
"""ccxt logs whole requests, the key's header with them."""


def plain(value: Any, where: str) -> Any:
    """Return a value in builtin types, as ccxt reads no others: Decimal and UUID as text, numpy's scalars as Python's.

    Raises BadInput naming the place of what cannot be turned without a guess.
    """
    if value is None or type(value) in (bool, int, str):
        return value
    if isinstance(value, Mapping):
        return {_name(name, where): plain(inner, f"{where}.{name}") for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner, f"{where}[{at}]") for at, inner in enumerate(value)]
    scalar = _scalar(value)
    if scalar is None or (isinstance(scalar, float) and not math.isfinite(scalar)):
        raise BadInput(f"{where} cannot be sent: {_shown(value)} is neither text nor a number")
    return scalar


def _name(name: Any, where: str) -> str:
    if type(name) is not str:
        raise BadInput(f"{where} cannot be sent: the name {name!r} in it is no text")
    return name


def _scalar(value: Any) -> bool | int | float | str | None:
    if isinstance(value, Enum):
        return None
    if isinstance(value, Decimal):
        return format(value, "f") if value.is_finite() else None
    if isinstance(value, UUID):
        return str(value)
    if type(value).__module__ == "numpy":
        value = value.item() if getattr(value, "ndim", 1) == 0 and value.dtype.kind in "biufU" else None
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return None


def _shown(value: Any) -> str:
    return repr(value) if isinstance(value, float | Decimal) else f"a {type(value).__name__}"


class Guard:
    """Mixed into an exchange's own ccxt class, before it."""

    id: str
    synchronous: bool
    session: Any
    number: Any
    httpExceptions: Mapping[str, Any]  # noqa: N815  ccxt's name
    logger = _SILENT

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name in dir(cls):
            method = inspect.getattr_static(cls, name)
            if name.startswith(_UNIFIED) and isinstance(method, FunctionType):
                code = method.__code__
                if "params" in code.co_varnames[: code.co_argcount]:
                    setattr(cls, name, _guarded(name, method))

    def __init__(self, config: Mapping[str, Any] | None = None) -> None:
        super().__init__(dict(config or {}))  # type: ignore[call-arg]
        if self.synchronous:
            self.session = BoundedSession(self.session, self._look)

    def open(self, lazy: bool = False) -> None:
        """Open the asynchronous session, behind the watch that looks at each request."""
        super().open(lazy)  # type: ignore[misc]
        if self.session is not None and not isinstance(self.session, WatchedSession):
            self.session = WatchedSession(self.session, self._look)

    def _look(self, address: str, by_proxy: bool) -> None:
        keys = [getattr(self, name, None) for name in ("apiKey", "secret", "privateKey", "token")]
        if any(keys):
            if by_proxy or self.check_proxy_url_settings() is not None:  # type: ignore[attr-defined]
                raise BadInput(f"{self.id}: keys are not sent through a proxy")
            refuse_address(str(keys[0] or ""), address)

    def fetch2(
        self, path: Any, api: Any = "public", method: str = "GET", params: Any = None, config: Any = None
    ) -> Any:
        """Sign and send one request, once; a failure leaves without the frames that hold the keys."""
        request = (path, api, method, plain({} if params is None else params, "params"), config or {})
        if not self.synchronous:
            return self._fetch2_later(request)
        try:
            return super().fetch2(*request)  # type: ignore[misc]
        except BaseException as error:  # noqa: BLE001  it is raised again, below, where its frames are left behind
            failure = error
        try:
            raise self._bare(failure)
        finally:
            del failure

    async def _fetch2_later(self, request: tuple[Any, ...]) -> Any:
        try:
            return await super().fetch2(*request)  # type: ignore[misc]
        except BaseException as error:  # noqa: BLE001
            failure = error
        try:
            raise self._bare(failure)
        finally:
            del failure

    def _bare(self, error: BaseException) -> BaseException:
        """Take from an exception all that may hold a key: frames, causes, and the key in its text.

        What the causes told is kept as `unsent`: true when no connection was made, so that nothing was asked.
        """
        error.unsent = _never_connected(error)  # type: ignore[attr-defined]
        error.__cause__ = error.__context__ = None
        error.args = tuple(self._hidden(arg) if isinstance(arg, str) else arg for arg in error.args)
        return error.with_traceback(None)

    def _hidden(self, text: str) -> str:
        for name in ("apiKey", "secret", "password", "privateKey", "token"):
            key = getattr(self, name, None)
            if isinstance(key, str) and key:
                text = text.replace(str(key), "***")
        return text

    def log(self, *words: Any) -> None:
        """Print what `verbose` asks for, without headers and keys."""
        shown = [sorted(word) if isinstance(word, Mapping) else self._hidden(str(word)) for word in words]
        super().log(*shown)  # type: ignore[misc]

    def set_last_request(self, request: Any) -> None:
        """Keep nothing: a signed request holds the key."""

    def handle_option_integer_and_params(self, params: Any, method: Any, option: str, default: Any = None) -> Any:
        """Return the option; retries are 0, whatever is asked: a repeated request can be a second order."""
        value, rest = super().handle_option_integer_and_params(  # type: ignore[misc]
            params, method, option, default
        )
        return [0 if option == _RETRIES else value, rest]

    def on_json_response(self, response_body: str) -> Any:
        """Read an answer: where the client's numbers are text, those of its JSON stay as they were written."""
        return json.loads(response_body, parse_float=str if self.number is str else None)

    def handle_errors(
        self, code: int, reason: str, url: str, method: str, headers: Any, body: str, response: Any, *request: Any
    ) -> Any:
        """Raise what ccxt raises, and BadResponse, ExchangeNotAvailable or ExchangeError where it would say nothing."""
        import ccxt

        where = f"{self.id} {method} {url.partition('?')[0]}"
        if 300 <= code < 400:
            raise ccxt.BadResponse(f"{where} answered {code}, a redirect, which is not followed")
        try:
            handled = super().handle_errors(code, reason, url, method, headers, body, response, *request)  # type: ignore[misc]
        except ccxt.ExchangeError as error:
            named = isinstance(response, list) and response[:1] == ["error"]
            if code < 500 or named or type(error) is not ccxt.ExchangeError:
                raise
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            handled = None
            response = None
        if code >= 500:
            raise ccxt.ExchangeNotAvailable(f"{where} {code} {reason}")
        if code >= 400 and str(code) not in self.httpExceptions:
            raise ccxt.ExchangeError(f"{where} {code} {reason}")
        sent = request[1] if len(request) > 1 and isinstance(request[1], str) else ""
        if code < 300 and (response is None or not is_answer(self.id, url, sent, response)):
            raise ccxt.BadResponse(f"{where} answered {body[:60]!r}, which is no data")
        return handled


def _guarded(name: str, method: FunctionType) -> Any:
    """Wrap a unified method: its arguments are plain, and an order that it places has an id."""

    @functools.wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        args = tuple(plain(arg, f"{name}: argument {at}") for at, arg in enumerate(args, 1))
        kwargs = {key: plain(value, f"{name}: {key}") for key, value in kwargs.items()}
        answer = method(self, *args, **kwargs)
        if name not in _PLACING or any("validate" in arg for arg in (*args, *kwargs.values()) if isinstance(arg, dict)):
            return answer
        return _identified_later(self.id, answer) if inspect.isawaitable(answer) else _identified(self.id, answer)

    return call


async def _identified_later(exchange: str, answer: Any) -> Any:
    return _identified(exchange, await answer)


def _identified(exchange: str, order: Any) -> Any:
    import ccxt

    if not isinstance(order, dict) or not order.get("id"):
        raise ccxt.BadResponse(f"{exchange} answered an order without an id")
    return order


def _never_connected(error: BaseException) -> bool:
    """Tell from the causes whether no connection was made at all."""
    seen: BaseException | None = error
    while seen is not None:
        names = {kind.__name__ for kind in type(seen).__mro__}
        names |= {kind.__name__ for kind in type(getattr(seen, "reason", None)).__mro__}
        if names & _NO_CONNECTION:
            return True
        inner = seen.args[0] if seen.args and isinstance(seen.args[0], BaseException) else None
        seen = seen.__cause__ or inner  # not the context: it leads to failures that the caller was busy with
    return False


_NO_CONNECTION = frozenset(
    {
        "ClientConnectorError",  # aiohttp: refused, no such host, or another certificate
        "ConnectionTimeoutError",
        "ConnectTimeoutError",  # urllib3
        "NewConnectionError",
        "NameResolutionError",
        "gaierror",
    }
)
"""Names of the errors of requests, urllib3 and aiohttp that come before anything is sent."""
