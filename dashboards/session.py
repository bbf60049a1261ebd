"""One visitor's page, and the cards that it is made of."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import panel as pn
from bokeh.document import Document

from dashboards.controls import Shell
from dashboards.hub import Hub
from dashboards.look import Theme, asset, part, theme_of


def html(text: str) -> pn.pane.HTML:
    """Return a pane of HTML, which `look.part` has escaped, in the pages' style."""
    return pn.pane.HTML(text, stylesheets=[asset("parts.css")], sizing_mode="stretch_width", margin=0)


class Card:
    """One place of a page: empty at first, then its content, or one line that says why there is none."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.failed = False
        self.slot = pn.Column(sizing_mode="stretch_width", margin=0)

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
        if self.slot.objects:
            self.slot.css_classes = ["filled", "waiting"]

    def clear(self) -> None:
        """Show nothing."""
        self.slot.objects = []
        self.slot.css_classes = []


class Session:
    """What a page knows about its visitor: the document, the address, the theme, and the hub to ask."""

    def __init__(self, hub: Hub, document: Document, query: Mapping[str, str]) -> None:
        self.hub = hub
        self.document = document
        self.query = {"page": "", "run": "", **query, "theme": theme_of(query.get("theme"))}
        self.shell = Shell(theme=self.query["theme"])
        self.on_theme: Callable[[], None] = lambda: None
        self.shell.param.watch(lambda _: self._change_theme(), "theme")
        self._waiting: list[Callable[[], None]] | None = []
        self._left = False
        document.on_session_destroyed(lambda _: self._leave())
        pn.state.onload(self._begin)

    @property
    def theme(self) -> Theme:
        """The theme that the visitor sees now."""
        return theme_of(self.query["theme"])

    def apply(self, change: Callable[[], None]) -> None:
        """Change the page, in one message, as soon as its lock is free; the one way in from work done elsewhere.

        Changes arrive in the order of the calls. What the handler of an event changes by itself, Panel sends when it
        can, maybe after what is applied next: where the order matters, a handler calls this too.

        Nothing changes before the browser has the whole page: what is sent while it pulls the page can overtake it, and
        Bokeh's client drops that.
        """
        if self._left:
            return
        if self._waiting is None:
            self.document.add_next_tick_callback(functools.partial(self._change, change))
        else:
            self._waiting.append(change)

    def _leave(self) -> None:
        self._left = True

    def _change(self, change: Callable[[], None]) -> None:
        self.document.hold("combine")
        try:
            change()
        finally:
            self.document.unhold()

    def _begin(self) -> None:
        waiting, self._waiting = self._waiting or [], None
        for change in waiting:
            self.apply(change)

    def visit(self, **query: str) -> None:
        """Write where the visitor is into the address bar; the caller holds the document's lock."""
        self.query.update(query)
        self.shell.query = {name: value for name, value in self.query.items() if value}

    def _change_theme(self) -> None:
        self.visit(theme=self.shell.theme)
        self.on_theme()
