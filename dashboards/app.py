"""The dashboard: `build_dashboard` makes a page's frame, `update_dashboard` fills it from the lake."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Mapping
from typing import Any, Protocol

import panel as pn
from bokeh.document import Document
from panel.viewable import Viewable

from dashboards.controls import Shell
from dashboards.guard import asks_for_login, may_look
from dashboards.hub import background, hub
from dashboards.look import asset, part, theme_of
from dashboards.pages import PAGES
from dashboards.session import Session

_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24' fill='none' stroke='%236ea8fe' "
    "stroke-width='2.6' stroke-linecap='round'%3E%3Cpath d='M3 17l5-6 4 3 8-10M15 4h5v5'/%3E%3C/svg%3E"
)

_REFUSAL = part(
    "message",
    title="This dashboard answers only the machine that it runs on",
    text="It was reached over the network, and the server asks for no login. Use it on its own machine, or through a "
    "tunnel (ssh -L 5006:127.0.0.1:5006 its-machine), or start it with a login and the name it is reached by:",
    commands=[
        "panel serve dashboards/trading.py --allow-websocket-origin its-machine:5006 \\",
        "    --basic-auth a-long-password --cookie-secret a-long-random-text",
    ],
)

_FAULT = part(
    "fault", title="This page cannot be shown", text="The address may be at fault; the server's log has more."
)

_logger = logging.getLogger("jarvis.dashboard")


class Page(Protocol):
    """A page of the dashboard, open for one visitor."""

    slug: str
    title: str
    markup: str
    """The page's HTML: its cards, with `embed(roots.name)` where a slot comes."""

    def __init__(self, session: Session) -> None: ...

    @property
    def slots(self) -> Mapping[str, Viewable]:
        """What is put into the HTML, by name; `control` and `status` are places in the head."""

    def preview(self) -> Mapping[str, str]:
        """Return HTML to show until a slot is filled, from what is known already."""

    async def update(self, **query: str) -> None:
        """Fill the page for the address' parameters."""

    def lake_changed(self) -> None:
        """Take notice of a new version of the lake."""


class Dashboard:
    """A page for one visitor; `page` is None for a visitor who may not look."""

    def __init__(self, template: pn.Template, page: Page | None, query: Mapping[str, str]) -> None:
        self.template = template
        self.page = page
        self.query = query

    def servable(self) -> None:
        """Hand the page to the server."""
        title = "jarvis" if self.page is None else f"{self.page.title} · jarvis"
        document = pn.state.curdoc or Document()
        with document.models.freeze():  # else Bokeh looks through all models once for every slot
            self.template.servable(title=title)


class _Frame(pn.Template):
    def __repr__(self) -> str:
        """Tell no more than the name: Panel asks again with every slot, for a button that nobody sees."""
        return type(self).__name__


def build_dashboard(query: Mapping[str, str] | None = None) -> Dashboard:
    """Build the frame of the page that the address names; it has no data yet and waits for none.

    `query` are the address' parameters (page, run, theme), by default the ones of the request being served.
    """
    document = pn.state.curdoc or Document()
    request = getattr(document.session_context, "request", None)
    query = _query(request) if query is None else query
    if not may_look(request, login=asks_for_login(pn.config)):
        return _alone(_REFUSAL, query, heading="Not here")
    session = Session(hub(), document, query)
    kinds = {kind.slug: kind for kind in PAGES}
    try:
        page: Page = kinds.get(query.get("page", ""), PAGES[0])(session)
    except Exception:  # which Bokeh would answer with an empty page
        _logger.exception("a page could not be made")
        return _alone(_FAULT, query, heading="Not shown")
    session.query["page"] = page.slug
    slots = {"status": pn.Column(), "shell": session.shell, **page.slots}
    template = _template(page.markup, slots, session.theme, heading=page.title, slug=page.slug, preview=page.preview())
    session.hub.subscribe(document, page.lake_changed)
    return Dashboard(template, page, query)


def update_dashboard(dashboard: Dashboard, **query: str) -> None:
    """Begin to fill the page with what the address names, or with another `run`; the page changes as data arrives."""
    if dashboard.page is not None:
        background(_fill(dashboard.page, {**dashboard.query, **query}))


async def _fill(page: Page, query: Mapping[str, str]) -> None:
    await _prepare()
    await page.update(**query)


async def _prepare() -> None:
    """Import what draws the charts, once a process, after the first visitor's frame went out.

    On the loop's own thread: two threads that import at once can deadlock. `--setup dashboards/setup.py` is first.
    """
    if "dashboards.charts" not in sys.modules:
        await asyncio.sleep(0.1)
        from dashboards import charts

        charts.rehearse()


def _alone(markup: str, query: Mapping[str, str], *, heading: str) -> Dashboard:
    """Return a page that has one thing to say."""
    theme = theme_of(query.get("theme"))
    slots = {"status": pn.Column(), "shell": Shell(theme=theme)}
    return Dashboard(_template(markup, slots, theme, heading=heading, slug="", preview={}), None, query)


def _template(markup: str, slots: Mapping[str, Viewable], theme: str, **values: Any) -> pn.Template:
    template = _Frame(asset("page.html").replace("<!-- page -->", markup))
    for name, slot in slots.items():
        template.add_panel(name, slot)
    styles = "\n".join(asset(name) for name in ("colours.css", "page.css", "parts.css"))
    variables = {"html_attrs": f'data-theme="{theme}"', "app_favicon": _ICON, "apple_icon": "", "styles": styles}
    for name, value in {**variables, "theme": theme, "pages": PAGES, "slots": [*slots], **values}.items():
        template.add_variable(name, value)
    return template


def _query(request: Any) -> dict[str, str]:
    arguments = getattr(request, "arguments", None) or {}
    return {name: values[0].decode("utf-8", "replace") for name, values in arguments.items() if values}
