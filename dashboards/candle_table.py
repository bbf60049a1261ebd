"""The table of the candles in which a session and its backtest differ, with what narrows it down."""

from __future__ import annotations

import param

from dashboards.component import Component
from dashboards.look import asset, script


class CandleTable(Component):
    """A page of rows, dicts of id, ts, verdict, detail and apart, all shown as text; one may be picked."""

    rows = param.List(default=[], doc="The candles of this page, newest first.")
    verdicts = param.List(default=[], doc="What can be chosen as verdict.")
    found = param.Integer(default=0, doc="How many candles there are on all pages.")
    size = param.Integer(default=25, doc="Candles of a full page.")
    page = param.Integer(default=0, doc="Number of this page, from 0.")
    verdict = param.String(default="", doc="The verdict wanted; any where it is empty.")
    text = param.String(default="", doc="The text wanted in a candle's words.")
    candle = param.String(default="", doc="Id of the candle that is picked.")

    _esm = script("candle_table.js")
    _stylesheets = [asset("candle_table.css")]  # noqa: RUF012
