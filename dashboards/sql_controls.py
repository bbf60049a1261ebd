"""The parts of the page of SQL that are made of JavaScript: the box, the table of a result, the choice of lines.

Each tells the page what was done in it by `on_message`, with a dict of one entry.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import param

from dashboards.component import Component
from dashboards.look import asset, script
from dashboards.sql_result import Order


class _Speaking(Component):
    __abstract = True

    def __init__(self, on_message: Callable[[str, Any], None], **values: Any) -> None:
        super().__init__(sizing_mode="stretch_width", margin=0, **values)
        self._on_message = on_message

    def _handle_msg(self, data: Any) -> None:
        if isinstance(data, dict):  # it comes from a browser: it can be anything
            for name, value in data.items():
                self._on_message(str(name), value)


class QueryBox(_Speaking):
    """The box in which a query is written; says `run` with the query, and `stop`."""

    sql = param.String(default="", doc="What stands in the box.")
    views = param.List(default=[], doc="The lake's views: name, meaning, and columns with name, type and meaning.")
    examples = param.List(default=[], doc="Queries to begin from: title and sql.")
    running = param.Boolean(default=False, doc="Whether a query is under way.")
    ended = param.Integer(default=0, doc="How many queries have ended, also those that ended as they began.")
    hint = param.String(default="", doc="A line under the box.")

    _esm = script("query.js")
    _stylesheets = [asset("query.css")]  # noqa: RUF012


class ResultTable(_Speaking):
    """The rows of a result, as text; says `sort` with a column's number, and `save` with csv or parquet."""

    heads = param.List(default=[], doc="Name, type and kind (number, when or empty) of each column.")
    rows = param.List(default=[], doc="Texts by row; None is null.")
    order = param.List(default=[-1, False], doc="Which column the rows are sorted by, and whether descending.")
    words = param.String(default="", doc="How many rows in what time.")

    _esm = script("result.js")
    _stylesheets = [asset("result.css")]  # noqa: RUF012

    def sort(self, rows: list[list[str | None]], order: Order) -> None:
        """Show rows in another order; the caller holds the document's lock."""
        self.param.update(rows=rows, order=list(order))

    def send(self, name: str, kind: str, content: bytes) -> None:
        """Hand a file to the browser. The caller holds the document's lock."""
        self._send_msg({"name": name, "type": kind, "bytes": content})


class LineChoice(_Speaking):
    """The columns that the chart can draw; says `line` with a number of one that was clicked."""

    label = param.String(default="Columns drawn", doc="What is switched, for who cannot see it.")
    lines = param.List(default=[], doc="Name, colour, and whether it is drawn, of each column of numbers.")

    _esm = asset("lines.js")
    _stylesheets = [asset("lines.css")]  # noqa: RUF012
