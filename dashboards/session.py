"""One visitor's page, and the cards that it is made of."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import MAXYEAR, MINYEAR
from typing import Any

import pandas as pd
import panel as pn
from bokeh.document import Document
from panel.io.state import set_curdoc

from dashboards.controls import Shell
from dashboards.hub import Hub
from dashboards.look import Theme, asset, part, theme_of

_AWAITED = 60.0
"""Seconds for which a page waits for its browser. Bokeh's 15 are too few where both are busy: it would make the page
anew then, with other names for its places, and the browser would show nothing."""

_logger = logging.getLogger("jarvis.dashboard")


def whole_number(text: str) -> int:
    """Return the whole number of up to seven digits that a text of the address is, else 0.

    >>> whole_number("12"), whole_number("x"), whole_number("9" * 5_000)
    (12, 0, 0)
    """
    return int(text) if text.isdecimal() and len(text) < 8 else 0


def instant_of(text: str) -> pd.Timestamp | None:
    """Return an instant as the address writes it, naive UTC; None where the text is none that DuckDB takes."""
    try:
        ts = pd.Timestamp(text)
    except (ValueError, OverflowError):
        return None
    return None if pd.isna(ts) or ts.tz is not None or not MINYEAR <= ts.year <= MAXYEAR else ts


def html(text: str) -> pn.pane.HTML:
    """Return a pane of HTML, which `look.part` has escaped, in the pages' style."""
    return pn.pane.HTML(text, stylesheets=[asset("parts.css")], sizing_mode="stretch_width", margin=0)


class Card:
    """One place of a page: empty at first, then its content, or one line that says why there is none."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.failed = False
        self.slot: Any = self._place()

    def _place(self) -> Any:
        return pn.Column(sizing_mode="stretch_width", margin=0)

    @property
    def is_filled(self) -> bool:
        """Whether it shows something."""
        return bool(self.slot.objects)

    def show(self, *contents: Any, alone: bool = False) -> None:
        """Show contents; `alone` hides the rest of the page. The caller holds the document's lock."""
        self.failed = False
        shown = self.slot.objects
        if len(shown) == len(contents) and all(
            isinstance(pane, pn.pane.HTML) and isinstance(content, str)
            for pane, content in zip(shown, contents, strict=True)
        ):  # text that is the same as before is not sent again
            for pane, content in zip(shown, contents, strict=True):
                pane.object = content
        elif len(shown) != len(contents) or any(old is not new for old, new in zip(shown, contents, strict=True)):
            self.slot.objects = [html(content) if isinstance(content, str) else content for content in contents]
        self.slot.css_classes = ["filled", "alone"] if alone else ["filled"]

    def fail(self, reason: str, *, alone: bool = False) -> None:
        """Show why there is nothing to show."""
        self.show(part("fault", title=f"{self.title} cannot be shown", text=reason), alone=alone)
        self.failed = True

    def wait(self) -> None:
        """Dim what is shown: it is about to be replaced."""
        if self.is_filled:
            self.slot.css_classes = ["filled", "waiting"]

    def clear(self) -> None:
        """Show nothing."""
        self.slot.objects = []
        self.slot.css_classes = []


class Words(Card):
    """A card of text alone, which costs the server and the browser half of what the others do."""

    def _place(self) -> Any:
        return html("")

    @property
    def is_filled(self) -> bool:
        """Whether it says something."""
        return bool(self.slot.object)

    def show(self, *contents: str, alone: bool = False) -> None:
        """Show parts of HTML, one below the other."""
        self.failed = False
        self.slot.param.update(object="".join(contents), css_classes=["filled", "alone"] if alone else ["filled"])

    def clear(self) -> None:
        """Show nothing."""
        self.slot.param.update(object="", css_classes=[])


class Session:
    """What a page knows about its visitor: the document, the address, the theme, and the hub to ask."""

    def __init__(self, hub: Hub, document: Document, query: Mapping[str, str]) -> None:
        self.hub = hub
        self.document = document
        self.query = {"page": "", "run": "", **query, "theme": theme_of(query.get("theme"))}
        self.shell = Shell(theme=self.query["theme"])
        self.on_theme: Callable[[], None] = lambda: None
        self.shell.param.watch(lambda _: self._change_theme(), "theme")
        self._changes: list[Callable[[], None]] = []
        self._begun = self._left = False
        self._kept = ExitStack()
        document.on_session_destroyed(lambda _: self._leave())
        document.add_next_tick_callback(self._keep)
        pn.state.onload(self._begin)

    @property
    def theme(self) -> Theme:
        """The theme that the visitor sees now."""
        return theme_of(self.query["theme"])

    def apply(self, change: Callable[[], None]) -> None:
        """Change the page as soon as its lock is free; the one way in from work done elsewhere.

        Changes are made in the order of the calls; those that have come until the lock is free go to the browser in one
        message, which it lays out once. What the handler of an event changes by itself, Panel sends when it can, maybe
        after what is applied next: where the order matters, a handler calls this too.

        What is known before the browser asks for the page becomes a part of the page. Nothing changes while it pulls
        the page: what is sent meanwhile can overtake it, and Bokeh's client drops that.
        """
        if self._left:
            return
        self._changes.append(change)
        if len(self._changes) == 1:
            self.document.add_next_tick_callback(self._change)

    def _leave(self) -> None:
        self._left = True

    @property
    def _served(self) -> Any:
        """The server's session of the page; None where nobody serves it."""
        return getattr(self.document.session_context, "session", None)

    @property
    def _is_pulled(self) -> bool:
        """Whether the browser is asking for the page right now."""
        served = self._served
        return not self._begun and served is not None and served.connection_count > 0

    def _change(self) -> None:
        if self._is_pulled:
            return  # until it has begun
        changes, self._changes = self._changes, []
        with set_curdoc(self.document), _writable(self.document), pn.io.hold(self.document), _frozen(self.document):
            for change in changes:
                try:
                    change()
                except Exception:  # it spoils its own card
                    _logger.exception("a card could not be changed")

    def _keep(self) -> None:
        """Keep the page until its browser is there, or does not come."""
        served = self._served
        if served is not None:
            served.block_expiration()
            self._kept.callback(served.unblock_expiration)
            asyncio.get_running_loop().call_later(_AWAITED, self._kept.close)

    def _begin(self) -> None:
        self._begun = True
        self._kept.close()
        if self._changes:
            self.document.add_next_tick_callback(self._change)

    def number(self, name: str) -> int:
        """Return the whole number above 0 that the address gives, else 1."""
        return whole_number(self.query.get(name, "")) or 1

    def visit(self, **query: str) -> None:
        """Write where the visitor is into the address bar; the caller holds the document's lock."""
        self.query.update(query)
        self.shell.query = {name: value for name, value in self.query.items() if value}

    def _change_theme(self) -> None:
        self.visit(theme=self.shell.theme)
        self.on_theme()


@contextmanager
def _writable(document: Document) -> Iterator[None]:
    """Let Panel change a document here and now before a browser is there; by itself it would put that off."""
    before = pn.state._connected.get(document)
    pn.state._connected[document] = True
    try:
        yield
    finally:
        if before is None:
            del pn.state._connected[document]


@contextmanager
def _frozen(document: Document) -> Iterator[None]:
    """Put off to the end that Bokeh looks through all models of a document; where none came or went, it need not.

    It does so at the end of whatever Panel changes, which is most of what new data for a chart would cost.
    """
    models: Any = document.models
    stale: list[bool] = []
    models.invalidate, models.recompute = lambda: stale.append(True), lambda: None
    try:
        with models.freeze():
            yield
    finally:
        del models.invalidate, models.recompute
        if stale:
            models.invalidate()
