"""A defect that is planted in the engine's state is found and named."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from tasks.exchange.matching import InvariantBroken, MatchingEngine
from tasks.exchange.units import SECOND
from tests.unit.matching_market import RULES, SYMBOL, D, open_market, order, printed


def busy() -> MatchingEngine:
    """An engine with trades, a partly filled order, orders that rest and one that waits."""
    engine = open_market()
    engine.submit(order("buy", "market", "4"))
    engine.submit(order("buy", "limit", "3", "95", client_id="mine"))
    engine.submit(order("buy", "limit", "3", "94"))
    engine.submit(order("sell", "limit", "1", "105"))
    engine.submit(order("sell", "stop_loss", "1", trigger="80"))
    printed(engine, "94")
    engine.check()
    return engine


def move(pocket: str, currency: str, amount: str) -> Callable[[Any], None]:
    def plant(engine: Any) -> None:
        getattr(engine._ledger, pocket)[currency] += D(amount)

    return plant


def pit(engine: Any) -> Any:
    return engine._pits[SYMBOL]


def on_first_bid(attribute: str, value: Any) -> Callable[[Any], None]:
    return lambda engine: setattr(engine.open_orders()[0], attribute, value)


DEFECTS: dict[str, Callable[[Any], Any]] = {
    "money in USD": move("account", "USD", "0.000000000001"),
    "money in BTC": move("account", "BTC", "-1"),
    "money in USD: ": move("fees", "USD", "1"),
    "money in EUR": move("account", "EUR", "1"),
    "held in USD": move("held", "USD", "1"),
    "hold of order": lambda engine: engine._ledger.release(engine.open_orders()[0].id),
    "held of": move("held", "USD", "-1000"),
    "amount of order": on_first_bid("filled", D("0.5")),
    "fee of order": on_first_bid("fee", D(0)),
    "cost of order": on_first_bid("cost", D(96)),
    "whether order .* is open": on_first_bid("status", "cancelled"),
    "client ids": lambda engine: engine._client_ids.clear(),
    "order of a queue": lambda engine: pit(engine).bids.line.reverse(),
    "places": lambda engine: pit(engine).rising.line.extend(pit(engine).falling.line),
}


@pytest.mark.parametrize("named", DEFECTS)
def test_a_planted_defect_is_found_at_once(named: str) -> None:
    engine = busy()
    DEFECTS[named](engine)
    with pytest.raises(InvariantBroken, match=named):
        engine.check(whole=False)


def test_a_fill_that_was_changed_is_found_by_the_whole_check() -> None:
    engine = busy()
    engine.fills[0].amount += D("0.01")
    engine.check(whole=False)
    with pytest.raises(InvariantBroken, match="amount of order"):
        engine.check()


def test_a_fill_that_was_lost_is_found_by_the_whole_check() -> None:
    engine = busy()
    engine.fills.pop()
    with pytest.raises(InvariantBroken, match="account in BTC"):
        engine.check()


def test_an_order_filled_beyond_its_amount_is_found() -> None:
    engine = busy()
    closed: Any = next(iter(engine.orders.values()))
    closed.request = order("buy", "market", "3")
    with pytest.raises(InvariantBroken, match="filled beyond its amount"):
        engine.check()


def restored(engine: MatchingEngine) -> MatchingEngine:
    snapshot = json.loads(json.dumps(engine.snapshot()))
    return MatchingEngine.restore([RULES], snapshot, copy.deepcopy(list(engine.orders.values())))


def test_a_restored_engine_is_the_same() -> None:
    engine = busy()
    again = restored(engine)
    assert again.snapshot() == engine.snapshot()
    assert (again.orders, again.fills, again.balances()) == (engine.orders, engine.fills, engine.balances())
    assert again.take_changed() == []
    assert printed(again, "90", "100") == printed(engine, "90", "100") != []


def test_a_restored_engine_remembers_what_was_taken_and_what_is_due() -> None:
    engine = busy()
    engine.submit(order("buy", "market", "3"))
    engine.cancel_all_after(60)
    again = restored(engine)
    for each in (engine, again):
        assert each.book(SYMBOL, 1).asks[0] == (97, 2)  # of 3; the 2 at 96 are gone, 95 is the own bid's
        each.advance(each.now + 60 * SECOND)
        assert each.open_orders() == []
    assert again.fills == engine.fills
    assert again.volume() == engine.volume()


def test_options_may_change_with_a_restart_and_otherwise_stay() -> None:
    engine = open_market(share=D("0.5"), max_open=3, seed=7)
    snapshot = engine.snapshot()
    assert MatchingEngine.restore([RULES], snapshot, []).snapshot() == snapshot
    assert MatchingEngine.restore([RULES], snapshot, [], share=D(1)).share == 1


def test_a_snapshot_with_the_orders_of_another_moment_is_refused() -> None:
    engine = busy()
    early, orders = engine.snapshot(), copy.deepcopy(list(engine.orders.values()))
    printed(engine, "90", "100")
    late = list(engine.orders.values())
    for snapshot, others in ((early, late), (engine.snapshot(), orders), (early, orders[:-1]), (early, orders[1:])):
        with pytest.raises(InvariantBroken):
            MatchingEngine.restore([RULES], snapshot, copy.deepcopy(others))
