"""A table of any number of rows, of which a page is shown: the server sorts, filters and turns the pages."""

from __future__ import annotations

from collections.abc import Callable

import param

from dashboards.component import Component
from dashboards.look import asset, script


class RowTable(Component):
    """A page of rows, dicts of id and cells, all shown as text; `on_save` is told csv or parquet."""

    label = param.String(default="Rows", doc="What the rows are, for who cannot see the table.")
    heads = param.List(default=[], doc="Columns: dicts of key, title and kind (number, when or empty).")
    rows = param.List(default=[], doc="The rows of this page; a cell is a text, or a list of text, tone and address.")
    found = param.Integer(default=0, doc="How many rows there are on all pages.")
    size = param.Integer(default=25, doc="Rows of a full page.")
    page = param.Integer(default=0, doc="Number of this page, from 0.")
    order = param.String(default="", doc="Key of the column that sorts, after a minus where it falls.")
    text = param.String(default="", doc="The words wanted in a row.")
    picks = param.Boolean(default=False, doc="Whether a row can be picked.")
    picked = param.String(default="", doc="Id of the row that is picked.")
    leads = param.String(default="", doc="Id of the heading to go to when a row was picked, where the page is narrow.")

    _esm = script("row_table.js")
    _stylesheets = [asset("candle_table.css"), asset("row_table.css")]  # noqa: RUF012

    def __init__(self, on_save: Callable[[str], None], **values: object) -> None:
        super().__init__(sizing_mode="stretch_width", margin=0, **values)
        self._on_save = on_save

    def _handle_msg(self, data: object) -> None:
        if isinstance(data, dict) and isinstance(data.get("save"), str):  # it comes from a browser: it can be anything
            self._on_save(data["save"])

    def send(self, name: str, kind: str, content: bytes) -> None:
        """Hand a file to the browser. The caller holds the document's lock."""
        self._send_msg({"name": name, "type": kind, "bytes": content})
