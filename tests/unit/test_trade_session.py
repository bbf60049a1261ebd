"""Sessions begun and resumed: which may stand beside each other on one account."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pandas as pd
import pytest

from data.errors import BadInput
from data.writer import Lake
from tasks.exchange.orders import Fill
from tasks.trade.intent import Intent
from tasks.trade.ledger import Ledger
from tasks.trade.session import begin, session_id

SYMBOL = "BTC/USD"
NOW = pd.Timestamp("2026-01-15 12:00", tz="UTC").as_unit("us")
D = Decimal


def terms(fast: int) -> dict[str, Any]:
    """The terms of a live session, which another parameter makes another session."""
    return {
        "kind": "live", "exchange": "kraken", "symbol": SYMBOL, "account": "kraken:1", "timeframe": "1m",
        "strategy": "sma_crossover", "parameters": {"fast": fast}, "cash": 1000.0,
        "costs": {"fee": 0.004, "slippage": 0.0}, "sizing": {"min_amount": 5e-5}, "identity": {"fast": fast},
    }  # fmt: skip


def trade(lake: Lake, fast: int, *fills: tuple[Any, str, str, str]) -> None:
    """Record a session's orders: side, amount, fee and its currency."""
    begin(lake, terms(fast), NOW, 20, None)
    run = session_id(terms(fast))
    ledger = Ledger(lake, run, SYMBOL)
    for number, (side, amount, fee, currency) in enumerate(fills, 1):
        order = Intent(run, SYMBOL, NOW, side, "open", "market", D(amount), None, "signal", number)
        ledger.intend(order)
        at = NOW.as_unit("ns").value + number
        fill = Fill(f"T{number}", f"O{number}", SYMBOL, side, at, D(9), D(amount), D(9), D(fee), currency, maker=False)
        ledger.take_in(order, [fill])


@pytest.mark.parametrize(
    ("fee", "sold"),
    [(("0.004", "BTC"), "0.996"), (("4", "USD"), "0.99996")],
    ids=["a fee was kept back of what was bought", "what is left is too small to be sold"],
)
def test_a_session_that_sold_what_can_be_sold_stands_in_nobodys_way(
    lake: Lake, fee: tuple[str, str], sold: str
) -> None:
    trade(lake, 1, ("buy", "1", *fee), ("sell", sold, "4", "USD"))
    assert begin(lake, terms(2), NOW, 20, None)["parameters"] == {"fast": 2}


def test_a_session_does_not_begin_while_another_holds_its_market_on_the_same_account(lake: Lake) -> None:
    trade(lake, 1, ("buy", "1", "4", "USD"), ("sell", "0.9999", "4", "USD"))
    with pytest.raises(BadInput, match=r"holds 0\.0001 of BTC/USD on this account"):
        begin(lake, terms(2), NOW, 20, None)
    assert begin(lake, terms(1), NOW, 20, None)["parameters"] == {"fast": 1}
