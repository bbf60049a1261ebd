"""Who is shown the lake by `panel serve dashboards/trading.py` as typed, which listens on every address."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest
from bokeh.util.token import generate_jwt_token, generate_session_id
from playwright.sync_api import expect
from tornado.websocket import websocket_connect

from tests.browser.conftest import Dashboard, Visit, serving

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


def pulled(url: str) -> str:
    """What the server tells a websocket that brings a token of its own making, and no Origin, as no browser would."""

    async def pull() -> str:
        token = generate_jwt_token(generate_session_id(), extra_payload={"headers": {"Host": "127.0.0.1"}})
        address = url.replace("http:", "ws:") + "/ws"
        connection = await websocket_connect(address, subprotocols=["bokeh", token])
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


def test_a_websocket_of_another_sites_page_is_refused(open_to_all: Dashboard) -> None:
    assert websocket_status(open_to_all.url, "http://evil.example") == httpx.codes.FORBIDDEN


def websocket_status(url: str, origin: str) -> int:
    """What the server answers a page of this origin that asks for a websocket."""
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    upgrade |= {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Origin": origin}
    return httpx.get(f"{url}/ws", headers=upgrade, timeout=60).status_code


def test_a_login_lets_a_visitor_in_and_the_lack_of_one_does_not(lake_of_the_flow: Path, tmp_path: Path) -> None:
    options = ["--basic-auth", "a password of the tests", "--cookie-secret", "a secret of the tests"]
    with serving(lake_of_the_flow, tmp_path, *options) as dashboard:
        without = httpx.get(dashboard.url, timeout=60)
        assert FRAME not in without.text
        assert websocket_status(dashboard.url, dashboard.url.removesuffix("/trading")) == httpx.codes.FORBIDDEN
        with httpx.Client(timeout=60) as stranger:
            wrong = {"username": "user", "password": "a guess"}
            stranger.post(dashboard.url.replace("/trading", "/login"), data=wrong, params={"next": "/trading"})
            assert FRAME not in stranger.get(dashboard.url).text
        with httpx.Client(timeout=60, follow_redirects=True) as visitor:
            visitor.get(dashboard.url)
            login = {"username": "user", "password": "a password of the tests"}
            page = visitor.post(dashboard.url.replace("/trading", "/login"), data=login, params={"next": "/trading"})
        assert FRAME in page.text


def test_a_provider_of_logins_is_asked_who_the_visitor_is(lake_of_the_flow: Path, tmp_path: Path) -> None:
    options = ["--oauth-provider", "github", "--oauth-key", "a-key", "--oauth-secret", "a-secret"]
    options += ["--cookie-secret", "a secret of the tests"]
    with (
        serving(lake_of_the_flow, tmp_path, *options) as dashboard,
        httpx.Client(timeout=60) as visitor,
    ):
        answer = visitor.get(dashboard.url)
        while (place := answer.headers.get("location", "")).startswith(("/", "./")):
            answer = visitor.get(answer.url.join(place))
        assert place.startswith("https://github.com/login/oauth/authorize?"), answer.text
        assert "client_id=a-key" in place
        assert FRAME not in answer.text
