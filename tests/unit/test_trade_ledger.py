"""The ledger of a session: written once, read back as it was, never by two at once."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.errors import LakeError
from data.runs import read_run
from data.views import read_unrecorded
from data.writer import Lake
from tasks.engine.books import Mark
from tasks.exchange.orders import Fill
from tasks.trade.decision import Decision
from tasks.trade.intent import Intent
from tasks.trade.ledger import Ledger
from tests.unit.lake_rows import a_run as run_row
from tests.unit.trade_sessions import START, STEP, SYMBOL, Killed, dying, signals_of, some_candles

D = Decimal
AT = START.value
RUN = "a-session"


def intent(**changes: object) -> Intent:
    wish = Intent(RUN, SYMBOL, START, "buy", "open", "market", D("0.10000000"), None, "signal", intended=AT + 1_000)
    return replace(wish, **changes)  # type: ignore[arg-type]


def fill(number: int, amount: str = "0.1", side: str = "buy", fee: str = "8.0", currency: str = "USD") -> Fill:
    price = D("20000.1")
    return Fill(
        f"T{number}",
        "O1",
        SYMBOL,
        side,
        AT + number * 1_000,
        price,
        D(amount),
        price * D(amount),
        D(fee),
        currency,
        False,
    )  # type: ignore[arg-type]


def decision(hour: int = 0, **changes: object) -> Decision:
    ts = START + hour * STEP
    row = Decision(RUN, SYMBOL, ts, ts + STEP, "hold", "unchanged", "nothing", 20_000.0, 1.0, 1.0, 0.0)
    return replace(row, **changes)  # type: ignore[arg-type]


def decide_and_die(ledger: Ledger, signals: pd.DataFrame) -> None:
    """A decision after which the process ends, if it did not before."""
    ledger.decide([decision(1)], [MARK], signals)
    raise Killed


MARK = Mark(10_000.0, 0.0, 10_000.0, 0.0)


def test_an_order_is_read_back_as_it_was_written(lake: Lake) -> None:
    ledger = Ledger(lake, RUN, SYMBOL)
    order = intent(type="limit", price=D("19999.10"), deadline=AT + 20_000_000_000)
    ledger.intend(order)
    order.exchange_id = "O1"
    ledger.note(order, "sent", "accepted", at=AT + 2_000)
    ledger.take_in(order, [fill(3, "0.04"), fill(4, "0.01")])
    ledger.note(order, "cancelled", at=AT + 5_000, reason="User requested")
    assert order.filled == D("0.05")
    again = Ledger(lake, RUN, SYMBOL)
    assert again.orders == {"2024-01-01T00:00:00Z-buy-open": order}
    assert again.fills == ledger.fills
    assert again.orders[order.order_id].request() == order.request()
    assert again.orders[order.order_id].ended == "User requested"


def test_decimals_are_kept_to_the_last_digit(lake: Lake) -> None:
    ledger = Ledger(lake, RUN, SYMBOL)
    exact = D(0.1 + 0.2)
    order = intent(amount=D("123456789.123456789123456789"))
    ledger.intend(order)
    ledger.take_in(order, [replace(fill(1), price=exact)])
    again = Ledger(lake, RUN, SYMBOL)
    assert again.orders[order.order_id].amount == D("123456789.123456789123456789")
    assert (again.fills[0].price, again.fills[0].price_float) == (exact, 0.1 + 0.2)


def test_a_fill_is_taken_in_once(lake: Lake) -> None:
    ledger = Ledger(lake, RUN, SYMBOL)
    order = intent()
    ledger.intend(order)
    assert [taken.fill_id for taken in ledger.take_in(order, [fill(2, "0.06"), fill(1, "0.04")])] == ["T1", "T2"]
    assert ledger.take_in(order, [fill(1, "0.04"), fill(2, "0.06")]) == []
    again = Ledger(lake, RUN, SYMBOL)
    assert again.take_in(again.orders[order.order_id], [fill(1, "0.04")]) == []
    assert (again.position, again.orders[order.order_id].filled) == (D("0.1"), D("0.1"))


def test_a_fee_in_the_base_currency_is_not_held(lake: Lake) -> None:
    ledger = Ledger(lake, RUN, SYMBOL)
    order = intent()
    ledger.intend(order)
    ledger.take_in(order, [fill(1, "0.1", fee="0.0004", currency="BTC"), fill(2, "0.1", fee="1", currency="BNB")])
    assert ledger.position == Ledger(lake, RUN, SYMBOL).position == D("0.1996")
    assert ledger.cash(10_000.0) == D(10_000) - D("0.2") * D("20000.1")


def test_round_trips_are_counted_from_flat_to_flat(lake: Lake) -> None:
    ledger = Ledger(lake, RUN, SYMBOL)
    order = intent()
    ledger.intend(order)
    sides = ["buy", "buy", "sell", "sell", "buy"]
    taken = ledger.take_in(order, [fill(number, side=side) for number, side in enumerate(sides)])
    assert [each.trade_id for each in taken] == [1, 1, 1, 1, 2]


def test_only_an_order_that_certainly_never_arrived_may_be_wanted_again(lake: Lake) -> None:
    ledger = Ledger(lake, RUN, SYMBOL)
    absent, refused = intent(), intent(leg="exit", side="sell", intended=AT + 2_000)
    for order, reason in (
        (absent, "never reached the exchange: no connection"),
        (refused, "EOrder:Insufficient funds"),
    ):
        ledger.intend(order)
        ledger.note(order, "rejected", at=AT + 2_000, reason=reason)
    again = Ledger(lake, RUN, SYMBOL)
    assert [order.never_reached for order in again.orders.values()] == [True, False]
    assert [order.is_final for order in again.orders.values()] == [True, True]


def test_an_order_in_doubt_stays_in_doubt_until_its_fate_is_written(lake: Lake) -> None:
    ledger = Ledger(lake, RUN, SYMBOL)
    order = intent()
    ledger.intend(order)
    assert Ledger(lake, RUN, SYMBOL).orders[order.order_id].in_doubt
    ledger.note(order, "unknown", at=AT + 2_000)
    assert Ledger(lake, RUN, SYMBOL).orders[order.order_id].in_doubt
    order.exchange_id = "O1"
    ledger.note(order, "sent", "accepted", at=AT + 1_500)  # by the exchange's clock it was opened before
    read = Ledger(lake, RUN, SYMBOL).orders[order.order_id]
    assert (read.in_doubt, read.event, read.exchange_id) == (False, "accepted", "O1")


def test_an_event_that_happens_again_is_one_row(lake: Lake) -> None:
    ledger = Ledger(lake, RUN, SYMBOL)
    order = intent()
    ledger.intend(order)
    ledger.note(order, "partially_filled", at=AT + 2_000)
    order.filled = D("0.06")
    ledger.note(order, "partially_filled", at=AT + 3_000)
    lake.append("runs", pd.DataFrame([run_row(RUN)]))
    rows = read_run(lake, RUN, "orders")
    assert rows["event"].tolist() == ["intent", "partially_filled"]
    assert rows["filled_exact"].tolist() == ["0", "0.06"]


def test_two_processes_cannot_both_believe_that_an_order_is_theirs(lake: Lake) -> None:
    one, other = Ledger(lake, RUN, SYMBOL), Ledger(lake, RUN, SYMBOL)
    one.intend(intent())
    with pytest.raises(LakeError, match=r"another process writes to session a-session \(BTC/USD\)"):
        other.intend(intent())
    assert other.orders == {}
    one.decide([decision()], [MARK], signals_of(some_candles(2), [1.0, 1.0]))
    with pytest.raises(LakeError, match="another process"):
        other.decide([decision()], [MARK], signals_of(some_candles(2), [1.0, 1.0]))


def test_sessions_do_not_disturb_each_other(lake: Lake) -> None:
    one, other = Ledger(lake, RUN, SYMBOL), Ledger(lake, "another", SYMBOL)
    for _ in range(2):
        one.intend(intent(attempt=len(one.orders) + 1))
        other.intend(intent(run_id="another", attempt=len(other.orders) + 1))
    assert len(Ledger(lake, RUN, SYMBOL).orders) == len(Ledger(lake, "another", SYMBOL).orders) == 2


def test_decisions_are_read_back_oldest_first(lake: Lake) -> None:
    signals = signals_of(some_candles(3), [float("nan"), 1.0, 1.0])
    rows = [decision(1, price=20_001.5, amount=0.1, order_id="x", flow_run_id="f"), decision(2)]
    Ledger(lake, RUN, SYMBOL).decide(rows, [MARK, MARK], signals)
    first = decision(0, signal=float("nan"), reason="missed")
    Ledger(lake, RUN, SYMBOL).decide([first], [MARK], signals)
    read = Ledger(lake, RUN, SYMBOL).decisions
    assert read[1:] == rows
    assert pd.isna(read[0].signal)
    assert replace(read[0], signal=0.0) == replace(first, signal=0.0)


@pytest.mark.parametrize("at", [0, 1, 2, 3])
def test_a_writer_killed_between_the_rows_of_a_decision_leaves_one_of_each(lake: Lake, at: int) -> None:
    signals = signals_of(some_candles(2), [1.0, 1.0])
    Ledger(lake, RUN, SYMBOL).decide([decision(0)], [MARK], signals)
    with pytest.raises(Killed), dying(at):
        decide_and_die(Ledger(lake, RUN, SYMBOL), signals)
    ledger = Ledger(lake, RUN, SYMBOL)
    if len(ledger.decisions) == 1:
        ledger.decide([decision(1)], [MARK._replace(cash=9_000.0)], signals)
    lake.append("runs", pd.DataFrame([run_row(RUN)]))
    for name in ("equity", "signals", "decisions"):
        assert read_run(lake, RUN, name)["ts"].tolist() == [START, START + STEP], name


def test_what_is_no_session_of_this_lake_is_empty(lake: Lake) -> None:
    ledger = Ledger(lake, RUN, SYMBOL)
    assert (ledger.orders, ledger.fills, ledger.decisions, ledger.position) == ({}, [], [], 0)
    assert ledger.fills_frame().columns.tolist()[:3] == ["symbol", "fill_id", "order_id"]


def test_a_ledger_that_cannot_be_read_says_which(lake: Lake) -> None:
    Ledger(lake, RUN, SYMBOL).intend(intent())
    for file in lake.path("orders").glob("*.parquet"):
        file.write_bytes(b"")
    with pytest.raises(LakeError, match="the orders of run a-session cannot be read"):
        Ledger(lake, RUN, SYMBOL)


amounts = st.integers(1, 10**12).map(lambda count: D(count) * D("1e-8"))


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from(["buy", "sell"]), amounts, amounts, st.sampled_from(["USD", "BTC", "BNB"])),
        max_size=6,
    )
)
def test_position_and_cash_are_the_exact_sums_of_the_fills(
    tmp_path_factory: pytest.TempPathFactory, moves: list[tuple[str, Decimal, Decimal, str]]
) -> None:
    lake = Lake(tmp_path_factory.mktemp("lake"))
    ledger = Ledger(lake, RUN, SYMBOL)
    ledger.intend(intent())
    order = next(iter(ledger.orders.values()))
    position, cash = D(0), D(1_000)
    for number, (side, amount, fee, currency) in enumerate(moves):
        ledger.take_in(order, [replace(fill(number, side=side), amount=amount, fee=fee, fee_currency=currency)])
        sign = 1 if side == "buy" else -1
        position += sign * amount - (fee if currency == "BTC" else 0)
        cash -= sign * amount * D("20000.1") + (fee if currency == "USD" else 0)
    for each in (ledger, Ledger(lake, RUN, SYMBOL)):
        assert each.position == position
        assert each.cash(1_000.0) == cash


def test_a_ledger_reads_rows_however_they_were_written(lake: Lake) -> None:
    """An append writes texts as texts, a merge as views of them, and Arrow cannot compare the two."""
    row = pd.DataFrame({"run_id": ["r"], "symbol": "BTC/USD", "trade_id": 1, "side": "long", "status": "open"})
    for write in (lake.append, lake.upsert, lake.upsert):
        write("trades", row.assign(entry_ts=pd.Timestamp("2024-01-01", tz="UTC")))
    for run in ("r", "s"):
        delta = lake.table("trades")
        rows = read_unrecorded(lake, "trades", delta, run, ["trade_id", "status"]).to_pylist()
        assert rows == ([{"trade_id": 1, "status": "open"}] if run == "r" else [])
