"""Who is shown the lake by `panel serve dashboards/trading.py` as typed, which listens on every address."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType

import httpx
import psutil
import pytest
from bokeh.util.token import generate_jwt_token, generate_session_id
from playwright.sync_api import expect
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from dashboards.pages import PAGES
from tests.browser.conftest import Dashboard, Visit, serving, wait_until_filled

pytestmark = pytest.mark.server

REFUSAL = "answers only the machine that it runs on"
FRAME = "Equity against buy and hold"


@pytest.fixture(scope="module")
def open_to_all(lake_of_the_flow: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    with serving(lake_of_the_flow, tmp_path_factory.mktemp("open"), address=None) as dashboard:
        yield dashboard


@pytest.fixture(scope="module")
def over_the_network(open_to_all: Dashboard) -> str:
    """The dashboard's address as another machine would have it."""
    for addresses in psutil.net_if_addrs().values():
        for address in addresses:
            if address.family == socket.AF_INET and not address.address.startswith("127."):
                return open_to_all.url.replace("127.0.0.1", address.address)
    pytest.skip("needs an address beside loopback")


@pytest.mark.browser
def test_the_user_of_the_machine_is_shown_the_lake(open_to_all: Dashboard, visit: Visit) -> None:
    page = visit(open_to_all.url.replace("127.0.0.1", "localhost"))
    expect(page.locator(".run strong:visible")).to_have_text("sma_crossover")


@pytest.mark.slow
@pytest.mark.browser
def test_a_page_waits_for_a_browser_that_is_slower_than_the_server_expects(
    lake_of_the_flow: Path, tmp_path: Path, visit: Visit
) -> None:
    impatient = ("--unused-session-lifetime=200", "--check-unused-sessions=100")
    with serving(lake_of_the_flow, tmp_path, *impatient) as dashboard:
        page = visit("about:blank", filled=False)
        page.route(re.compile(r"/bokeh[^/]*\.js"), lambda route: (time.sleep(1), route.continue_()))
        page.goto(dashboard.url)
        wait_until_filled(page)
        expect(page.locator(".run strong:visible")).to_have_text("sma_crossover")
        page.close()


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Forwarded-For": "127.0.0.1", "X-Real-Ip": "127.0.0.1", "Forwarded": "for=127.0.0.1"},
        {"Host": "127.0.0.1:5006"},
        {"Origin": "http://127.0.0.1:5006"},
    ],
)
def test_a_visitor_over_the_network_is_told_how_to_start_it_right(
    over_the_network: str, headers: dict[str, str]
) -> None:
    page = httpx.get(over_the_network, headers=headers, timeout=60).text
    assert REFUSAL in page
    assert "--basic-auth" in page
    assert FRAME not in page


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"X-Forwarded-For": "203.0.113.5"}])
def test_a_foreign_name_or_a_proxy_is_not_the_machines_user(open_to_all: Dashboard, headers: dict[str, str]) -> None:
    page = httpx.get(open_to_all.url, headers=headers, timeout=60).text
    assert REFUSAL in page
    assert FRAME not in page


def test_a_websocket_over_the_network_gets_nothing_of_the_lake(open_to_all: Dashboard, over_the_network: str) -> None:
    assert '"name":"drawdown"' in pulled(open_to_all.url)
    assert '"name":"drawdown"' not in pulled(over_the_network)


def pulled(url: str, headers: Mapping[str, str] = MappingProxyType({})) -> str:
    """What the server tells a websocket that brings a token of its own making; without headers it has no Origin."""

    async def pull() -> str:
        token = generate_jwt_token(generate_session_id(), extra_payload={"headers": {"Host": "127.0.0.1"}})
        address = url.replace("http:", "ws:") + "/ws"
        request = HTTPRequest(address, headers=dict(headers))
        connection = await websocket_connect(request, subprotocols=["bokeh", token])
        acknowledged = [await connection.read_message() for _ in range(3)]
        for part in ('{"msgid": "1", "msgtype": "PULL-DOC-REQ"}', "{}", "{}"):
            await connection.write_message(part)
        reply = [str(await connection.read_message()) for _ in range(3)]
        connection.close()
        while await connection.read_message() is not None:
            pass
        assert "ACK" in str(acknowledged)
        assert "PULL-DOC-REPLY" in reply[0]
        return reply[2]

    with ThreadPoolExecutor(1) as apart:  # Playwright has an event loop running in this thread
        return apart.submit(lambda: asyncio.run(pull())).result()


def upgrade(url: str, origin: str, more: Mapping[str, str] = MappingProxyType({})) -> int:
    """The status that the server gives a page from this origin that asks for a websocket."""
    headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", **more}
    headers |= {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Origin": origin}
    with httpx.stream("GET", f"{url}/ws", headers=headers, timeout=60) as answer:
        return answer.status_code


@pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1.evil.example", "null"])
def test_a_websocket_of_another_sites_page_is_refused(open_to_all: Dashboard, origin: str) -> None:
    assert upgrade(open_to_all.url, origin) == httpx.codes.FORBIDDEN


_LOGIN = ["--basic-auth", "a password of the tests", "--cookie-secret", "a secret of the tests"]


def test_a_login_lets_a_visitor_in_and_the_lack_of_one_does_not(lake_of_the_flow: Path, tmp_path: Path) -> None:
    named = ["--allow-websocket-origin", "trading.example:5006"]
    with serving(lake_of_the_flow, tmp_path, *_LOGIN, *named) as dashboard:
        without = httpx.get(dashboard.url, timeout=60)
        assert without.is_redirect
        assert FRAME not in without.text
        forged = httpx.get(dashboard.url, headers={"Cookie": "user=user; is_guest=1"}, timeout=60)
        assert FRAME not in forged.text
        assert upgrade(dashboard.url, "http://trading.example:5006") == httpx.codes.FORBIDDEN
        assert FRAME not in logged_in(dashboard, "another password")[0]
        page, cookies = logged_in(dashboard, "a password of the tests")
        assert FRAME in page
        assert '"name":"drawdown"' in pulled(dashboard.url, {"Origin": "http://trading.example:5006", **cookies})
        for origin in ("http://evil.example", "http://127.0.0.1:5006"):
            assert upgrade(dashboard.url, origin, cookies) == httpx.codes.FORBIDDEN


def logged_in(dashboard: Dashboard, password: str) -> tuple[str, dict[str, str]]:
    """The page that a visitor sees who gave this password, and the cookies that he was given."""
    with httpx.Client(timeout=60, follow_redirects=True) as visitor:
        visitor.get(dashboard.url)
        login = {"username": "user", "password": password}
        visitor.post(dashboard.url.replace("/trading", "/login"), data=login)
        cookies = "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())
        return visitor.get(dashboard.url).text, {"Cookie": cookies}


@pytest.mark.slow
def test_a_login_elsewhere_comes_before_everything(lake_of_the_flow: Path, tmp_path: Path) -> None:
    options = ["--oauth-provider", "github", "--oauth-key", "a-key", "--oauth-secret", "a-secret"]
    options += ["--cookie-secret", "a secret of the tests"]
    with serving(lake_of_the_flow, tmp_path, *options) as dashboard:
        for page in ("", *(f"?page={kind.slug}" for kind in PAGES)):
            address = dashboard.url + page
            while address.startswith("http://127.0.0.1:"):
                answer = httpx.get(address, timeout=60)
                assert answer.is_redirect, answer.text
                assert FRAME not in answer.text
                address = str(answer.url.join(answer.headers["Location"]))
            assert address.startswith("https://github.com/login/oauth/authorize?")
            assert "client_id=a-key" in address
            assert "a-secret" not in address
        assert upgrade(dashboard.url, dashboard.url.removesuffix("/trading")) == httpx.codes.FORBIDDEN


@pytest.mark.slow
def test_a_guest_of_a_login_that_may_be_left_out_is_judged_as_without_one(
    lake_of_the_flow: Path, tmp_path: Path
) -> None:
    with serving(lake_of_the_flow, tmp_path, *_LOGIN, "--oauth-optional") as dashboard:
        assert FRAME in httpx.get(dashboard.url, timeout=60).text
        assert REFUSAL in httpx.get(dashboard.url, headers={"Host": "evil.example"}, timeout=60).text
