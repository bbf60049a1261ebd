"""What pages have in common of JavaScript: the address with its theme, the box to pick a run, boxes to choose in."""

from __future__ import annotations

import param

from dashboards.component import Component
from dashboards.look import asset, script


class Shell(Component):
    """Keeps the address bar, the theme and the title of the browser in step with the session; shows nothing itself."""

    query = param.Dict(default={}, doc="The page's parameters, as they stand in the address bar.")
    theme = param.String(default="dark", doc="dark or light.")

    title = param.String(default="", doc="Title of the browser's window; empty: as the page came with.")

    _esm = asset("shell.js")


class RunPicker(Component):
    """A searchable box of runs; `runs` are dicts with id, title, details, where and when, all shown as text."""

    runs = param.List(default=[], doc="What the list shows: the newest runs that have the words of `search`.")
    found = param.Integer(default=0, doc="How many runs have the words of `search`.")
    run = param.String(default="", doc="Id of the run that is picked.")
    label = param.String(default="", doc="What the box shows while nobody types.")
    search = param.String(default="", doc="What was typed.")
    purpose = param.String(default="Run", doc="What a run is picked for.")

    _esm = script("picker.js")
    _stylesheets = [asset("picker.css")]  # noqa: RUF012


class Selects(Component):
    """Boxes side by side, each to choose one of some; `chosen` has the id of the option by the name of the box."""

    boxes = param.List(default=[], doc="Boxes: dicts of name, label and options, which are dicts of id and title.")
    chosen = param.Dict(default={}, doc="What is chosen, by name.")

    _esm = script("selects.js")
    _stylesheets = [asset("candle_table.css"), asset("selects.css")]  # noqa: RUF012
