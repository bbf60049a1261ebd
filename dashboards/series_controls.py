"""The parts of the page of data that live in the browser: search, the table of series, freshness, choice of a kind."""

from __future__ import annotations

import param

from dashboards.component import Component
from dashboards.look import asset, script

_DUE = asset("due.js")
_STYLES = [asset("parts.css"), asset("series.css")]


class SearchBox(Component):
    """A box to search series: `find` follows what is typed."""

    find = param.String(default="", doc="What was typed.")

    _esm = asset("search.js")
    _stylesheets = [asset("picker.css")]  # noqa: RUF012


class SeriesTable(Component):
    """Series, one a row, with the age of their newest candles counted by the browser; a click picks one."""

    heads = param.List(default=[], doc="Columns: key, title, number (right-aligned), meaning.")
    rows = param.List(default=[], doc="Series: id, cells (texts), closed, due, step (milliseconds; due may be null).")
    found = param.Integer(default=0, doc="How many series there are of which `rows` shows the first.")
    late = param.List(default=[], doc="The instants (ms) from which on each of the lake's series is late.")
    picked = param.String(default="", doc="Id of the series that is picked.")
    order = param.String(default="", doc="Key of the column that sorts, after a minus where it falls.")

    _esm = _DUE + script("series.js")
    _stylesheets = _STYLES


class Freshness(Component):
    """The age of one series' newest candle against when the next is due, counted by the browser."""

    closed = param.Number(default=0, doc="When the newest candle closed (ms).")
    due = param.Number(default=None, allow_None=True, doc="When the next closes (ms); None: none is due.")
    step = param.Number(default=1, doc="Length of a candle (ms).")
    leeway = param.Number(default=0, doc="How long a candle that has closed may take to be known (ms).")
    late = param.Boolean(default=False, doc="Whether another one has closed since: the browser says so.")

    _esm = _DUE + asset("freshness.js")
    _stylesheets = _STYLES


class Choices(Component):
    """Buttons of which one is pressed; `options` are dicts with id, title and count."""

    options = param.List(default=[], doc="What there is to choose from.")
    chosen = param.String(default="", doc="Id of the option that is pressed.")
    label = param.String(default="", doc="What is chosen, for who cannot see it.")

    _esm = asset("choices.js")
    _stylesheets = _STYLES
