"""Orders whose answer is lost: the client finds the truth each time, and no trial ends with two orders.

One trial: a limit or market order is sent while the exchange takes it and hangs, cuts the connection or answers 502; or
does the same before taking it; or answers as it should. What follows is what the live flow does: an order that is
unknown is resolved, and only when it certainly is none is it sent again, under a new client id.
"""

from __future__ import annotations

import random
import uuid
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from data.errors import OutcomeUnknown, Refused
from tasks.exchange import TradingClient, client, trading_client
from tasks.exchange.orders import Order, OrderRequest
from tests.servers.practice_exchange import Practice, practice_exchange

pytestmark = pytest.mark.server

LOST_AFTER = ("hang_after", "reset_after", "bad_gateway_after", "no_id", "truncated", "html")
LOST_BEFORE = ("hang_before", "reset_before")
SPEED = 120.0
"""The exchange's seconds in one of ours: a deadline of some seconds passes within the trial."""
ATTEMPTS = 10
"""How often an order is sent that was certainly not taken; on a busy machine one comes too late more than once."""


@pytest.mark.parametrize(
    "trials", [40, pytest.param(1000, marks=[pytest.mark.slow, pytest.mark.timeout(3000)])], ids=["some", "thousand"]
)
def test_the_truth_is_found_and_no_trial_ends_with_two_orders(
    trials: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JARVIS_STATE", str(tmp_path))
    monkeypatch.setattr(client, "_PAUSES", (0.01, 0.02, 0.05, 0.1))
    dice = random.Random(1)
    ends: Counter[str] = Counter()
    with practice_exchange(
        paused=False, speed=SPEED, balances={"USD": Decimal(10**9), "BTC": Decimal(10**6)}
    ) as practice:
        monkeypatch.setenv("JARVIS_EXCHANGE_URLS", f'{{"practice": "{practice.url}"}}')
        with trading_client("practice", timeout=0.5) as trader:
            for number in range(trials):
                ends[trial(practice, trader, dice, uuid.UUID(int=number + 1, version=4))] += 1
        practice.on_loop(practice.exchange.engine.check)
    assert sum(ends.values()) == trials
    assert all(ends[end] for end in ("answered", "found", "absent, sent again")), ends


def trial(practice: Practice, trader: TradingClient, dice: random.Random, decision: uuid.UUID) -> str:
    """Bring one decision to its order, as the live flow would, and return how that went."""
    fault = dice.choice([*LOST_AFTER, *LOST_BEFORE, None])
    if fault:
        practice.fault(fault, "AddOrder", times=1)
    if dice.random() < 0.2:  # the way to the truth is not always free either
        practice.fault(dice.choice(["reset_before", "html", "bad_gateway_after"]), "*Orders", times=1)
    sent: list[str] = []
    order, end = settled(trader, dice, decision, sent)
    practice.clear_faults()
    made = [each for client_id in sent for each in practice.orders_of(client_id)]
    assert made == [order.id], f"{fault}: {len(made)} orders of one decision"
    known = practice.on_loop(lambda: practice.exchange.engine.orders[order.id])
    assert (known.request.client_id, known.request.amount) == (sent[-1], order.request.amount)
    if fault in LOST_AFTER:
        assert end == "found"
    elif fault in LOST_BEFORE:
        assert end == "absent, sent again"
    if known.status == "open":
        trader.cancel(order.id)
    return end


def settled(trader: TradingClient, dice: random.Random, decision: uuid.UUID, sent: list[str]) -> tuple[Order, str]:
    """Send the order of a decision until it certainly is one; return it, and `answered`, `found` or `absent, ...`."""
    kind, price = dice.choice([("market", None), ("limit", Decimal(20_000))])
    for attempt in range(ATTEMPTS):
        client_id = str(uuid.uuid5(decision, str(attempt)))
        sent.append(client_id)
        deadline = trader.deadline(0.4)
        wanted = OrderRequest(
            "BTC/USD",
            "buy",
            kind,
            Decimal("0.001"),
            price,
            client_id=client_id,
            deadline=deadline,  # type: ignore[arg-type]
        )
        begun = trader.clock.now()
        try:
            return trader.submit(wanted), "absent, sent again" if attempt else "answered"
        except OutcomeUnknown:
            found = trader.resolve(wanted, begun, timeout=30)
            if found is not None:
                return found, "found"
        except Refused as error:
            if "Deadline elapsed" not in str(error):  # a busy machine: it came too late, and is certainly none
                raise
    pytest.fail(f"{ATTEMPTS} orders in a row were lost before they were taken")
