"""How much the account traded: time with a position, fees, volume."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tasks.evaluate.account import Account, numbers, require
from tasks.evaluate.figure import Figure, Figures, absent, figure

_QUOTE = r"/([^:]+)"
"""The quote currency in a symbol such as BTC/USD; a symbol without one, such as AAPL, does not name it."""


def activity_figures(account: Account, fills: pd.DataFrame) -> Figures:
    """Compute exposure, fees, volume and turnover.

    Raises BadInput if a fill lacks its instant, price, amount or fee.
    """
    require(fills, "fills", ("ts", "price", "amount", "fee"))
    prices, amounts = numbers(fills["price"], "fills.price"), numbers(fills["amount"], "fills.amount")
    volume, mean_equity = float((prices * amounts).sum()), float(account.equity.mean())
    return {
        "exposure_time": figure(np.count_nonzero(account.position) / len(account.position)),
        "fees_paid": _fees(fills),
        "volume_traded": figure(volume),
        "turnover": figure(volume / mean_equity) if mean_equity > 0 else absent("the mean equity is not above 0"),
    }


def _fees(fills: pd.DataFrame) -> Figure:
    """Add the fees up, unless one was paid in a currency other than the market's quote."""
    fees = numbers(fills["fee"], "fills.fee")
    if {"fee_currency", "symbol"} <= set(fills.columns):
        paid = fills.loc[fills["fee_currency"].notna(), ["symbol", "fee_currency"]].astype("str")
        quote = paid["symbol"].str.extract(_QUOTE, expand=False)
        foreign = paid.loc[quote.notna() & (paid["fee_currency"] != quote), "fee_currency"]
        if len(foreign):
            return absent(f"a fee was paid in {foreign.iloc[0]}, which has no price here")
    return figure(fees.sum())
