"""What goes wrong elsewhere (docs/peers.md) and is held by no other test: small things."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pandas as pd

from flows.live import LIVE_TIMEOUT, live_trading
from tasks.exchange.orders import Side
from tasks.trade.execution import DEADLINE, FOLLOW
from tasks.trade.intent import Intent, Leg

CANDLE = pd.Timestamp("2026-01-15 13:00", tz="UTC")


LEGS: tuple[tuple[Side, Leg], ...] = (("buy", "open"), ("sell", "close"), ("sell", "exit"))


def test_no_two_orders_share_a_client_id_whatever_session_market_or_attempt_they_are_of() -> None:
    orders = [
        Intent(
            run, symbol, CANDLE + pd.Timedelta(minutes=minute), side, leg, "market", Decimal(1), None, "signal", turn
        )
        for run in ("one", "another")
        for symbol in ("BTC/USD", "ETH/USD")
        for minute in range(3)
        for side, leg in LEGS
        for turn in (1, 2)
    ]
    assert len({order.client_id for order in orders}) == len(orders)


def test_the_same_decision_makes_the_same_client_id_in_every_process() -> None:
    order = Intent("a-session", "BTC/USD", CANDLE, "buy", "open", "market", Decimal(1), None, "signal")
    assert order.client_id == "4260a359-ac8b-5457-8095-bc0d299a70c2"
    assert replace(order, amount=Decimal(2), intended=5).client_id == order.client_id


def test_a_run_ends_in_time_and_has_room_for_what_an_order_may_take() -> None:
    assert live_trading.timeout_seconds == LIVE_TIMEOUT
    assert 3 * (DEADLINE + FOLLOW) < LIVE_TIMEOUT <= 3600
