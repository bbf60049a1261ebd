"""What the dashboard as `jarvis up` serves it answers to what other sites' pages make a browser ask."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from data.writer import Lake
from tests.browser.conftest import serving
from tests.unit import dashboard_lake

pytestmark = pytest.mark.server

LINK = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
FRAME = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}
SCRIPT = {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("guarded")
    dashboard_lake.record(Lake(folder / "lake"))
    with serving(folder / "lake", folder, "--setup", "dashboards/setup.py") as dashboard:
        yield dashboard.url


def ask(url: str, site: str, headers: dict[str, str]) -> httpx.Response:
    return httpx.get(url, headers={"Sec-Fetch-Site": site, **headers}, timeout=60)


@pytest.mark.parametrize("headers", [FRAME, SCRIPT])
@pytest.mark.parametrize("place", ["", "?page=live", "/autoload.js?bokeh-autoload-element=1"])
def test_what_another_sites_page_asks_for_is_refused(url: str, place: str, headers: dict[str, str]) -> None:
    answer = ask(url + place, "cross-site", headers)
    assert answer.status_code == httpx.codes.FORBIDDEN
    assert "bokeh" not in answer.text.lower()


@pytest.mark.parametrize("site", ["cross-site", "same-site", "same-origin", "none"])
def test_a_link_from_anywhere_leads_to_the_page_which_no_other_site_may_frame(url: str, site: str) -> None:
    answer = ask(url, site, LINK)
    assert "Equity against buy and hold" in answer.text
    assert answer.headers["Content-Security-Policy"] == "frame-ancestors 'self'"


def test_what_is_no_browser_is_shown_the_page(url: str) -> None:
    assert "Equity against buy and hold" in httpx.get(url, timeout=60).text
