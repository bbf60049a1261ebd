"""The overview of sessions: a card each, with the age of its last candle counted by the browser; a click picks one."""

from __future__ import annotations

import param

from dashboards.component import Component
from dashboards.look import asset, script


class SessionCards(Component):
    """Sessions, dicts of `session_words.card`, all shown as text."""

    sessions = param.List(default=[], doc="What is shown, the newest first.")
    found = param.Integer(default=0, doc="How many sessions there are.")
    picked = param.String(default="", doc="Id of the session that the page shows.")

    _esm = asset("due.js") + script("session_cards.js")
    _stylesheets = [asset(name) for name in ("parts.css", "series.css", "session_cards.css")]  # noqa: RUF012
