"""Every page as axe-core judges it, and as somebody with a keyboard goes through it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from dashboards.pages import PAGES
from tests.browser.conftest import Filled, Visit, serving

pytestmark = pytest.mark.browser

GRAVE = {"serious", "critical"}

_CONTROLS = """() => {
  const look = (element) => {
    const style = getComputedStyle(element)
    return [style.outlineStyle, style.outlineColor, style.borderColor, style.boxShadow].join()
  }
  const inside = (root) => [...root.querySelectorAll("*")]
    .flatMap(element => element.shadowRoot ? [element, ...inside(element.shadowRoot)] : [element])
  const shows = (element) => element.checkVisibility({visibilityProperty: true}) && element.getClientRects().length
  const wanted = "a[href], button, input, select, textarea, summary, [tabindex]"
  const controls = inside(document).filter(element => element.matches(wanted) && shows(element)
    && element.tabIndex >= 0 && !element.disabled)
  const looks = new Map(controls.map(element => [element, look(element)]))
  window.focused = () => {
    let element = document.activeElement
    while (element?.shadowRoot?.activeElement) element = element.shadowRoot.activeElement
    return [controls.indexOf(element), looks.get(element) !== look(element), element?.outerHTML.slice(0, 160)]
  }
  return controls.map(element => element.outerHTML.slice(0, 160))
}"""


@pytest.fixture(scope="module")
def served(lake_for_every_page: Filled, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a dashboard with something on every page."""
    with serving(lake_for_every_page.lake.root, tmp_path_factory.mktemp("server")) as dashboard:
        yield dashboard.url


def complaints(page: Page) -> list[str]:
    """What axe-core finds grave, a line each."""
    found: dict[str, Any] = Axe().run(page).response
    return [
        f"{rule['id']}: {node['html'][:200]} {' '.join(check['message'] for check in node['any'])}"
        for rule in found["violations"]
        if rule["impact"] in GRAVE
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize("theme", ["dark", pytest.param("light", marks=pytest.mark.slow)])
@pytest.mark.parametrize("slug", [page.slug for page in PAGES])
def test_axe_finds_nothing_grave(served: str, lake_for_every_page: Filled, visit: Visit, slug: str, theme: str) -> None:
    page = visit(f"{served}{lake_for_every_page.addresses()[slug]}&theme={theme}")
    assert complaints(page) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "query", ["?page=parity", "?run=nothing", "?page=live&run=nothing", "?page=data&series=nothing"]
)
def test_axe_finds_nothing_grave_where_a_page_has_only_words(served: str, visit: Visit, query: str) -> None:
    assert complaints(visit(f"{served}{query}")) == []


@pytest.mark.parametrize(
    "slug", [page.slug if page.slug == "data" else pytest.param(page.slug, marks=pytest.mark.slow) for page in PAGES]
)
def test_the_tab_key_reaches_every_control_in_order_and_shows_where_it_is(
    served: str, lake_for_every_page: Filled, visit: Visit, slug: str
) -> None:
    page = visit(served + lake_for_every_page.addresses()[slug])
    controls = page.evaluate(_CONTROLS)
    walk: list[int] = []
    unseen: list[str] = []
    for _ in range(2 * len(controls)):
        page.keyboard.press("Tab")
        number, shows, html = page.evaluate("focused()")
        if walk and number == walk[0]:
            break
        if number >= 0:
            walk.append(number)
            unseen += [] if shows else [html]
    assert [html for number, html in enumerate(controls) if number not in walk] == []
    assert walk == sorted(walk)
    assert unseen == []
