from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from tornado.httputil import HTTPHeaders

from dashboards.guard import asks_for_login, is_foreign, may_look


def request(peer: str = "127.0.0.1", **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in ({"Host": "localhost:5006"} | headers).items()}
    context = SimpleNamespace(address=(peer, 50_000))
    return SimpleNamespace(connection=SimpleNamespace(context=context), remote_ip="127.0.0.1", headers=named)


@pytest.fixture(autouse=True)
def _no_further_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BOKEH_ALLOW_WS_ORIGIN", raising=False)


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("host", ["localhost:5006", "127.0.0.1:5006", "[::1]:5006", "LOCALHOST", "jarvis.localhost"])
def test_the_machine_itself_may_look(peer: str, host: str) -> None:
    assert may_look(request(peer, Host=host), login=False)


@pytest.mark.parametrize("peer", ["192.168.1.20", "10.0.0.1", "2001:db8::1", "::ffff:192.168.1.20", "", "nonsense"])
def test_a_visitor_over_the_network_may_not_look_whatever_the_headers_say(peer: str) -> None:
    claims = {"X_Forwarded_For": "127.0.0.1", "X_Real_Ip": "127.0.0.1", "Forwarded": "for=127.0.0.1"}
    assert not may_look(request(peer), login=False)
    assert not may_look(request(peer, **claims), login=False)


def test_whoever_logged_in_may_look() -> None:
    assert may_look(request("192.168.1.20", Host="trading.example"), login=True)


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:5006", ""])
def test_a_name_that_somebody_else_points_at_this_machine_is_refused(host: str) -> None:
    assert not may_look(request(Host=host), login=False)


def test_what_came_through_a_proxy_is_not_from_this_machine() -> None:
    assert not may_look(request(X_Forwarded_For="203.0.113.5"), login=False)


def test_a_proxy_on_this_machine_may_pass_on_the_names_that_were_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOKEH_ALLOW_WS_ORIGIN", "trading.example:443, other.example")
    passed_on = {"Host": "Trading.example:443", "X_Forwarded_For": "203.0.113.5"}
    assert may_look(request(**passed_on), login=False)
    assert not may_look(request("192.168.1.20", **passed_on), login=False)
    assert not may_look(request(Host="third.example"), login=False)


def test_a_star_in_the_allowed_names_allows_nobody_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOKEH_ALLOW_WS_ORIGIN", "*")
    assert not may_look(request(Host="*"), login=False)


def test_a_request_that_hides_its_socket_is_refused() -> None:
    assert not may_look(SimpleNamespace(headers={"Host": "localhost"}, remote_ip="127.0.0.1"), login=False)


@pytest.mark.parametrize(
    ("site", "mode", "dest", "foreign"),
    [
        pytest.param("cross-site", "no-cors", "image", True, id="an image on another site's page"),
        pytest.param("cross-site", "no-cors", "script", True, id="a script on it"),
        pytest.param("cross-site", "cors", "empty", True, id="its own script asks"),
        pytest.param("cross-site", "navigate", "iframe", True, id="a frame on it"),
        pytest.param("cross-site", "navigate", "object", True, id="an object on it"),
        pytest.param("cross-site", "navigate", "document", False, id="a link on it"),
        pytest.param("same-site", "navigate", "document", False, id="a link from another port"),
        pytest.param("same-origin", "no-cors", "script", False, id="the page itself"),
        pytest.param("none", "navigate", "document", False, id="an address that was typed"),
    ],
)
def test_what_another_sites_page_asks_for_is_foreign_but_its_links_are_not(
    site: str, mode: str, dest: str, foreign: bool
) -> None:
    headers = HTTPHeaders({"sec-fetch-site": site, "sec-fetch-mode": mode, "sec-fetch-dest": dest})
    assert is_foreign(headers) is foreign


def test_what_is_no_browser_is_not_foreign() -> None:
    assert not is_foreign(HTTPHeaders({"Host": "127.0.0.1:5006"}))


@pytest.mark.parametrize(
    ("settings", "asked"),
    [
        ({}, False),
        ({"basic_auth": "a password"}, True),
        ({"oauth_provider": "github"}, True),
        ({"oauth_provider": "github", "oauth_optional": True}, False),
        ({"oauth_provider": "github", "oauth_guest_endpoints": ["/trading"]}, False),
    ],
)
def test_a_login_that_lets_guests_in_is_none(settings: dict[str, Any], asked: bool) -> None:
    none = {"basic_auth": None, "oauth_provider": None, "oauth_optional": False, "oauth_guest_endpoints": None}
    assert asks_for_login(SimpleNamespace(**none | settings)) is asked
