"""The table of trades: sorted, paged, and to be downloaded as CSV."""

from __future__ import annotations

import io
from typing import Any

import pandas as pd
import panel as pn
from bokeh.models.widgets.tables import DateFormatter, NumberFormatter

from dashboards.look import NONE, asset
from dashboards.queries import Run

PAGE = 12

_MONEY = {"Entry Portfolio Holding", "Exit Portfolio Holding", "Profit/Loss", "Fees"}
_PRICES = {"Entry Share Price", "Exit Share Price"}
_TIMES = {"Entry Date", "Exit Date"}
_WORDS = ("Stock", "Side", "Exit Reason")


def trade_table(run: Run, trades: pd.DataFrame) -> list[Any]:
    """Return the table of a run's trades, as `queries.trades` gives them, and the button to download all of it."""
    table = pn.widgets.Tabulator(
        trades,
        name="trades",
        disabled=True,
        show_index=False,
        pagination="remote",
        page_size=PAGE,
        layout="fit_data_stretch",
        theme="simple",
        configuration={"columnDefaults": {"headerWordWrap": True}},
        formatters=_formatters(run, trades),
        widths={"Exit Reason": 120},
        text_align={name: "left" if name in _WORDS else "right" for name in trades.columns},
        stylesheets=[asset("table.css")],
        sizing_mode="stretch_width",
        margin=0,
    )
    save = pn.widgets.FileDownload(
        callback=lambda: io.StringIO(trades.to_csv(index=False)),
        filename=f"trades-{run.run_id}.csv",
        label="Download CSV",
        stylesheets=[asset("button.css")],
        margin=(10, 0, 0, 0),
    )
    return [table, save]


def _formatters(run: Run, trades: pd.DataFrame) -> dict[str, Any]:
    day = "%Y-%m-%d" if run.timeframe[-1] in "dw" else "%Y-%m-%d %H:%M"
    formatters: dict[str, Any] = {name: {"type": "plaintext"} for name in _WORDS}
    formatters |= {name: DateFormatter(format=day, nan_format="open") for name in _TIMES}
    for name in (*_PRICES, *_MONEY, "Shares"):
        formatters[name] = NumberFormatter(format=_decimals(trades[name]), nan_format=NONE)
    formatters["Return"] = NumberFormatter(format="0.00 %", nan_format=NONE)
    return formatters


def _decimals(values: pd.Series) -> str:
    """Return a format with two decimals where values are in the tens and above, more where they are small."""
    return "0,0.00" if values.abs().median() >= 10 else "0,0.00[000000]"
