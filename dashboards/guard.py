"""Who may look: the person at this machine, or whoever has logged in.

`panel serve` listens on all interfaces unless told otherwise, and checks the origin of browsers only. So without a
login a page is filled only for a connection that comes from this machine itself, judged by the socket's peer: headers
such as X-Forwarded-For can make a visitor less trusted, never more. The name in the Host header has to be this
machine's too, or a page elsewhere could read this one by pointing its own name here; BOKEH_ALLOW_WS_ORIGIN, Bokeh's own
setting, names further hosts, for a proxy on this machine that asks for a login itself.

The browser of the person at this machine also asks what pages elsewhere make it ask. They cannot use the answer, but
each would cost a session of a minute, and a frame could have clicks meant for something else. So no session is begun
for them, and no other site may put a page into a frame.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from typing import Any

from bokeh.server.views.auth_request_handler import AuthRequestHandler
from bokeh.server.views.session_handler import SessionHandler
from tornado.web import HTTPError

_PROXY_HEADERS = ("forwarded", "x-forwarded-for", "x-real-ip")


def asks_for_login(config: Any) -> bool:
    """Tell whether the server, of this configuration of Panel's, lets in nobody without a login."""
    guests = config.oauth_optional or config.oauth_guest_endpoints
    return bool(config.basic_auth or config.oauth_provider) and not guests


def may_look(request: Any, *, login: bool) -> bool:
    """Tell whether the session of a request may see the lake; `login` says that the server asks for one."""
    if login:
        return True
    if request is None:  # not served at all: a notebook, or a script that saves the page
        return True
    headers = {str(name).lower(): str(value) for name, value in dict(request.headers or {}).items()}
    host = headers.get("host", "").lower()
    if not _is_loopback(_peer(request)):
        return False
    if host in _allowed_hosts():
        return True
    proxied = any(name in headers for name in _PROXY_HEADERS)
    return not proxied and _is_this_machine(_without_port(host))


def is_foreign(headers: Mapping[str, str]) -> bool:
    """Tell whether a page of another site asks, and not by a link that opens the page in place of its own.

    By what browsers say themselves, which no page can change; what is no browser says nothing of it.
    """
    asked = headers.get("Sec-Fetch-Mode"), headers.get("Sec-Fetch-Dest")
    return headers.get("Sec-Fetch-Site") == "cross-site" and asked != ("navigate", "document")


def stand_guard() -> None:
    """Refuse foreign requests from now on before a session is begun, and forbid other sites to frame a page."""
    SessionHandler.prepare = _prepare  # type: ignore[assignment, method-assign]


async def _prepare(handler: SessionHandler) -> None:
    if is_foreign(handler.request.headers):
        raise HTTPError(403)
    handler.set_header("Content-Security-Policy", "frame-ancestors 'self'")
    await AuthRequestHandler.prepare(handler)


def _peer(request: Any) -> str:
    """Return the address at the other end of the socket, whatever the headers say."""
    context = getattr(getattr(request, "connection", None), "context", None)
    address = getattr(context, "address", None)
    return str(address[0]) if isinstance(address, tuple) and address else ""


def _allowed_hosts() -> set[str]:
    named = os.environ.get("BOKEH_ALLOW_WS_ORIGIN", "").lower().split(",")
    return {host.strip() for host in named if host.strip() and "*" not in host}


def _is_this_machine(name: str) -> bool:
    return name == "localhost" or name.endswith(".localhost") or _is_loopback(name)


def _is_loopback(address: str) -> bool:
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(ip, "ipv4_mapped", None)
    return bool((mapped or ip).is_loopback)


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rsplit(":", 1)[0] if host.count(":") == 1 else host
