"""Parity of a session with its backtest: each verdict, and what it is the cause of."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.candles import fingerprint
from tasks.backtest import simulate
from tasks.evaluate.parity import Tables, compare

HOUR = pd.Timedelta(hours=1)
BEGIN = pd.Timestamp("2024-01-01", tz="UTC")
COLUMNS = [
    "ts",
    "verdict",
    "detail",
    "live_signal",
    "backtest_signal",
    "live_position",
    "backtest_position",
    "live_equity",
    "backtest_equity",
    "live_fills",
    "backtest_fills",
    "backtest_orders",
]
RULES: dict[str, Any] = {"fee": 0.001, "slippage": 0.0, "amount_step": 0.1}


def market(closes: list[float]) -> pd.DataFrame:
    index = pd.date_range(BEGIN, periods=len(closes), freq="h", unit="us", name="ts")
    close = np.array(closes)
    opens = np.concatenate([close[:1], close[:-1]])
    highs, lows = np.maximum(opens, close), np.minimum(opens, close)
    return pd.DataFrame({"open": opens, "high": highs, "low": lows, "close": close, "volume": 1.0}, index=index)


def backtest(candles: pd.DataFrame, signal: pd.Series, start: pd.Timestamp = BEGIN) -> Tables:
    made = simulate(candles, signal.where(candles.index >= start), symbol="BTC/USD", cash=1000.0, **RULES)
    return Tables(made.orders, made.fills, made.equity)


def decided(candles: pd.DataFrame, signal: pd.Series, start: pd.Timestamp = BEGIN) -> pd.DataFrame:
    """What a session writes that decides each candle on the candles up to it."""
    held = candles.index[candles.index >= start]
    return pd.DataFrame(
        {
            "ts": held,
            "reason": "unchanged",
            "detail": None,
            "signal": signal[held].to_numpy(),
            "candles": [int((candles.index <= ts).sum()) for ts in held],
            "data_fingerprint": [fingerprint(candles.loc[:ts]) for ts in held],
        }
    )


@dataclass
class Case:
    """A session that did as the backtest, until a test makes it do something else."""

    candles: pd.DataFrame
    signal: pd.Series
    start: pd.Timestamp = BEGIN
    decisions: pd.DataFrame = field(init=False)
    live: Tables = field(init=False)

    def __post_init__(self) -> None:
        self.decisions = decided(self.candles, self.signal, self.start)
        self.live = backtest(self.candles, self.signal, self.start)

    def compare(self, *, candles: pd.DataFrame | None = None, signal: pd.Series | None = None) -> pd.DataFrame:
        """Compare what the session did with what is so today."""
        today = self.candles if candles is None else candles
        says = self.signal if signal is None else signal
        made = backtest(today, says, self.start)
        return compare(today, says, self.decisions, self.live, made, timeframe=HOUR, start=self.start)

    def change(self, table: str, where: Any, **values: Any) -> None:
        """Alter rows of what the session recorded."""
        frame = getattr(self.live, table).copy()
        for name, value in values.items():
            frame.loc[where(frame), name] = value
        self.live = self.live._replace(**{table: frame})

    def decide(self, ts: pd.Timestamp, **values: Any) -> None:
        for name, value in values.items():
            self.decisions[name] = self.decisions[name].astype(object)
            self.decisions.loc[self.decisions["ts"] == ts, name] = value


CLOSES = [100.0, 101.0, 102.0, 104.0, 103.0, 105.0, 106.0, 104.0]
SIGNAL = [np.nan, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0]
"""Decided to buy at the candle 2 and to sell at 5: filled in the candles 3 and 6."""


@pytest.fixture
def case() -> Case:
    candles = market(CLOSES)
    return Case(candles, pd.Series(SIGNAL, candles.index))


def at(hour: int) -> pd.Timestamp:
    return BEGIN + hour * HOUR


def verdicts(rows: pd.DataFrame) -> list[str]:
    return list(rows["verdict"])


def said(rows: pd.DataFrame, hour: int) -> str:
    return str(rows.set_index("ts")["detail"][at(hour)])


def test_a_session_that_did_as_the_backtest_is_equal_in_each_candle_and_has_nothing_to_say(case: Case) -> None:
    rows = case.compare()
    assert list(rows.columns) == COLUMNS
    assert list(rows["ts"]) == list(case.candles.index)
    assert verdicts(rows) == ["equal"] * 8
    assert rows["detail"].isna().all()
    assert (rows["live_equity"] == rows["backtest_equity"]).all()
    assert list(rows["live_position"]) == [0.0, 0.0, 0.0, 9.7, 9.7, 9.7, 0.0, 0.0]


def test_the_fills_of_both_and_what_the_backtest_ordered_stand_with_the_candle(case: Case) -> None:
    case.change("fills", lambda rows: rows["side"] == "buy", price=102.5, reason="signal")
    rows = case.compare().set_index("ts")
    (order,) = json.loads(rows["backtest_orders"][at(2)])
    assert order == {
        "side": "buy",
        "type": "market",
        "reason": "signal",
        "event": "filled",
        "amount": 9.7,
        "price": None,
    }
    (mine,), (its,) = (json.loads(rows[name][at(3)]) for name in ("live_fills", "backtest_fills"))
    assert (mine["side"], mine["amount"], mine["price"], mine["reason"]) == ("buy", 9.7, 102.5, "signal")
    assert its["price"] == 102.0
    assert pd.Timestamp(its["decision_ts"]) == at(2)
    assert list(rows.loc[at(4), ["live_fills", "backtest_fills", "backtest_orders"]]) == ["[]", "[]", "[]"]


def test_an_order_that_the_backtest_refused_stands_with_the_candle_that_decided_it(case: Case) -> None:
    tiny = case.signal.mask(case.signal.index == at(2), 0.0001)
    (order,) = json.loads(case.compare(signal=tiny).set_index("ts")["backtest_orders"][at(2)])
    assert order["event"] == "rejected"
    assert "rounds down to 0" in order["reason"]


def test_candles_before_the_first_decision_are_not_compared() -> None:
    candles = market(CLOSES)
    rows = Case(candles, pd.Series(SIGNAL, candles.index), at(3)).compare()
    assert list(rows["ts"]) == list(candles.index[3:])
    assert verdicts(rows) == ["equal"] * 5


def test_a_missed_candle_is_data_and_so_is_the_fill_that_it_did_not_decide(case: Case) -> None:
    case.decide(at(2), reason="missed", detail="decided 2 candles later")
    case.live = backtest(case.candles, pd.Series(0.0, case.candles.index))
    rows = case.compare()
    assert verdicts(rows) == ["equal", "equal", "data", "data", "equal", "equal", "fill", "equal"]
    assert said(rows, 2) == "decided 2 candles later"
    assert said(rows, 3).startswith(
        "nothing done, the backtest bought 9.7 at 102.0; decided at 2024-01-01 02:00, where the data was another"
    )
    assert said(rows, 4).startswith("equity apart by -")
    assert "nothing done, the backtest sold 9.7 at 105.0: unchanged, after other positions" in said(rows, 6)


def test_a_candle_without_a_decision_is_data(case: Case) -> None:
    case.decisions = case.decisions[case.decisions["ts"] != at(4)]
    case.live = case.live._replace(equity=case.live.equity[case.live.equity["ts"] != at(4)])
    rows = case.compare()
    assert verdicts(rows) == ["equal"] * 4 + ["data"] + ["equal"] * 3
    assert said(rows, 4) == "the candle came too late to be decided"
    assert np.isnan(rows["live_equity"][4])


def test_a_revised_candle_is_data_from_itself_to_the_decision_that_saw_the_revision(case: Case) -> None:
    today = case.candles.copy()
    today.loc[at(3), ["close", "high"]] = 104.5
    today.loc[at(4), ["open", "high"]] = 104.5
    fingerprints = [fingerprint(today.loc[:ts]) for ts in today.index]
    for hour in (5, 6, 7):
        case.decide(at(hour), data_fingerprint=fingerprints[hour])
    rows = case.compare(candles=today)
    assert verdicts(rows) == ["equal", "equal", "equal", "data", "data", "equal", "equal", "equal"]
    assert said(rows, 3).startswith("a candle was revised since; equity apart by -4.85")


def test_a_candle_that_came_late_is_data_for_those_decided_without_it(case: Case) -> None:
    seen = case.candles.drop(at(1))
    for hour in (2, 3):
        before = seen.loc[: at(hour)]
        case.decide(at(hour), data_fingerprint=fingerprint(before), candles=len(before))
    case.decisions = case.decisions[case.decisions["ts"] != at(1)]
    rows = case.compare()
    assert verdicts(rows) == ["equal", "data", "data", "data", "equal", "equal", "equal", "equal"]
    assert said(rows, 2) == "decided on 2 candles, of which there are 3 today"


def test_a_decided_candle_that_is_in_the_lake_no_more_is_data(case: Case) -> None:
    rows = case.compare(candles=case.candles.drop(at(7)), signal=case.signal.drop(at(7)))
    assert verdicts(rows) == ["equal"] * 7 + ["data"]
    assert said(rows, 7).startswith("the candle is in the lake no more")


def test_another_signal_on_the_same_candles_is_signal_and_so_is_the_fill_that_it_decided(case: Case) -> None:
    rows = case.compare(signal=case.signal.mask(case.signal.index == at(2), 0.5))
    assert verdicts(rows)[:4] == ["equal", "equal", "signal", "signal"]
    assert said(rows, 2) == "the strategy said 1.0 and says 0.5"
    assert said(rows, 3).startswith("bought 9.7 at 102.0, the backtest bought 4.8 at 102.0; decided at")


def test_a_signal_where_there_was_none_is_another_signal(case: Case) -> None:
    rows = case.compare(signal=case.signal.fillna(0.0))
    assert verdicts(rows) == ["signal"] + ["equal"] * 7
    assert said(rows, 0) == "the strategy said nan and says 0.0"


def test_a_fill_at_another_price_is_fill_in_its_candle_alone(case: Case) -> None:
    case.change("fills", lambda rows: rows["side"] == "buy", price=102.5)
    case.change("equity", lambda rows: rows["ts"] >= at(3), equity=990.0)
    rows = case.compare()
    assert verdicts(rows) == ["equal", "equal", "equal", "fill", "equal", "equal", "equal", "equal"]
    assert said(rows, 3).startswith("bought 9.7 at 102.5, the backtest bought 9.7 at 102.0; equity apart by ")
    assert said(rows, 4).startswith("equity apart by ")


def test_a_price_that_differs_in_its_last_bit_differs(case: Case) -> None:
    case.change("fills", lambda rows: rows["side"] == "buy", price=np.nextafter(102.0, 103.0))
    assert verdicts(case.compare())[3] == "fill"


def test_a_fill_of_another_amount_is_fill(case: Case) -> None:
    case.change("fills", lambda rows: rows["side"] == "buy", amount=9.6)
    rows = case.compare()
    assert verdicts(rows)[3] == "fill"
    assert said(rows, 3) == "bought 9.6 at 102.0, the backtest bought 9.7 at 102.0"


def test_a_fill_that_the_session_lacks_is_explained_by_its_decision(case: Case) -> None:
    case.live = backtest(case.candles, pd.Series(0.0, case.candles.index))
    case.decide(at(2), reason="stale", detail="the signal is 7200 s old")
    rows = case.compare()
    assert verdicts(rows) == ["equal", "equal", "equal", "fill", "equal", "equal", "fill", "equal"]
    assert "nothing done, the backtest bought 9.7 at 102.0: stale, the signal is 7200 s old" in said(rows, 3)


def test_a_fill_that_only_the_session_has_is_fill(case: Case) -> None:
    order = {"order_id": f"{at(3):%Y-%m-%dT%H:%M:%SZ}-sell-exit", "decision_ts": at(3)}
    fill = case.live.fills.iloc[0].to_dict() | {"order_id": order["order_id"], "side": "sell", "ts": at(4)}
    orders, fills, equity = case.live
    case.live = Tables(pd.concat([orders, pd.DataFrame([order])]), pd.concat([fills, pd.DataFrame([fill])]), equity)
    rows = case.compare()
    assert verdicts(rows) == ["equal", "equal", "equal", "equal", "fill", "equal", "equal", "equal"]
    assert said(rows, 4) == "sold 9.7 at 102.0, the backtest nothing"


def test_a_stop_in_the_candle_of_the_entry_follows_the_entry_whatever_order_the_rows_have() -> None:
    candles = market([100.0, 100.0, 100.0, 80.0, 80.0])
    signal = pd.Series([0.0, 1.0, 1.0, 1.0, 1.0], candles.index)
    made = simulate(candles, signal, symbol="BTC/USD", cash=1000.0, stop_loss=0.1, **RULES)
    theirs = Tables(made.orders, made.fills, made.equity)
    ours = theirs._replace(fills=made.fills.iloc[::-1])
    rows = compare(candles, signal, decided(candles, signal), ours, theirs, timeframe=HOUR, start=BEGIN)
    assert len(made.fills) == 2
    assert verdicts(rows) == ["equal"] * 5


def test_an_instant_inside_the_candle_is_the_same_candle_and_one_in_a_gap_the_next() -> None:
    candles = market(CLOSES).drop(at(3))
    case = Case(candles, pd.Series(SIGNAL, market(CLOSES).index).drop(at(3)))
    for moment in (at(3) + pd.Timedelta(seconds=4), at(4), at(5) - pd.Timedelta(microseconds=1)):
        case.change("fills", lambda rows: rows["side"] == "buy", ts=moment)
        assert verdicts(case.compare()) == ["equal"] * 7
    case.change("fills", lambda rows: rows["side"] == "buy", ts=at(5))
    assert verdicts(case.compare()) == ["equal", "equal", "equal", "fill", "fill", "equal", "equal"]


def test_a_fill_after_the_last_decided_candle_is_not_compared_yet(case: Case) -> None:
    extra = case.live.fills.iloc[:1].assign(ts=at(8), fill_id="later")
    case.live = case.live._replace(fills=pd.concat([case.live.fills, extra]))
    assert verdicts(case.compare()) == ["equal"] * 8


def in_parts(fills: pd.DataFrame, parts: list[str], fees: list[float]) -> pd.DataFrame:
    """The purchase in parts, as an exchange fills it."""
    bought = fills[fills["side"] == "buy"].iloc[0]
    rows = [
        bought.to_dict() | {"fill_id": str(number), "amount": float(part), "amount_exact": part, "fee": fee}
        for number, (part, fee) in enumerate(zip(parts, fees, strict=True))
    ]
    return pd.concat([pd.DataFrame(rows), fills[fills["side"] == "sell"]], ignore_index=True)


def test_fills_in_parts_count_as_one_and_are_summed_as_decimals(case: Case) -> None:
    fee = float(case.live.fills["fee"].iloc[0])
    parts = ["0.1", "0.2", "9.4"]
    assert 0.1 + 0.2 + 9.4 != 9.7
    case.live = case.live._replace(fills=in_parts(case.live.fills, parts, [0.0, 0.0, fee]))
    assert verdicts(case.compare()) == ["equal"] * 8


def test_another_fee_on_the_same_fill_is_cost_in_its_candle_alone(case: Case) -> None:
    case.change("fills", lambda rows: rows["side"] == "buy", fee=2.0)
    case.change("equity", lambda rows: rows["ts"] >= at(3), equity=990.0)
    rows = case.compare()
    assert verdicts(rows) == ["equal", "equal", "equal", "cost", "equal", "equal", "equal", "equal"]
    assert said(rows, 3).startswith("paid a fee of 2.0, the backtest 0.98")


def test_a_position_that_moved_without_a_fill_is_fill_once(case: Case) -> None:
    case.change("equity", lambda rows: rows["ts"] >= at(4), position=1.0, equity=900.0)
    rows = case.compare()
    assert verdicts(rows) == ["equal", "equal", "equal", "equal", "fill", "equal", "equal", "equal"]
    assert said(rows, 4).startswith("holds 1.0, the backtest 9.7, by the same fills; equity apart by ")


def test_money_that_moved_without_a_fill_is_cost_once(case: Case) -> None:
    case.change("equity", lambda rows: rows["ts"] >= at(4), equity=900.0)
    rows = case.compare()
    assert verdicts(rows) == ["equal", "equal", "equal", "equal", "cost", "equal", "equal", "equal"]


def test_the_first_cause_is_the_verdict(case: Case) -> None:
    case.change("fills", lambda rows: rows["side"] == "buy", fee=2.0, price=102.5)
    assert verdicts(case.compare())[3] == "fill"
    other = case.compare(signal=case.signal.mask(case.signal.index == at(3), 0.5))
    assert verdicts(other)[3] == "signal"
    case.decide(at(3), reason="missed")
    assert verdicts(case.compare(signal=case.signal.mask(case.signal.index == at(3), 0.5)))[3] == "data"


def test_a_session_that_never_traded_is_compared_too() -> None:
    candles = market(CLOSES)
    rows = Case(candles, pd.Series(0.0, candles.index)).compare()
    assert verdicts(rows) == ["equal"] * 8


prices = st.lists(st.integers(80, 120).map(float), min_size=3, max_size=14)


@st.composite
def sessions(draw: st.DrawFn) -> Case:
    candles = market(draw(prices))
    size = len(candles)
    targets = draw(st.lists(st.sampled_from([np.nan, 0.0, 0.5, 1.0]), min_size=size, max_size=size))
    start = candles.index[draw(st.integers(0, size - 1))]
    return Case(candles, pd.Series(targets, candles.index), start)


@settings(max_examples=60)
@given(sessions())
def test_the_same_tables_are_equal_in_every_candle(case: Case) -> None:
    rows = case.compare()
    assert len(rows) == (case.candles.index >= case.start).sum()
    assert set(rows["verdict"]) == {"equal"}
    assert rows["detail"].isna().all()


@settings(max_examples=80)
@given(sessions(), st.data())
def test_the_first_candle_in_which_anything_differs_is_never_called_equal(case: Case, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["price", "amount", "fee", "equity", "position", "signal"]))
    table = {"equity": "equity", "position": "equity", "signal": "decisions"}.get(kind, "fills")
    rows = case.decisions if table == "decisions" else getattr(case.live, table)
    if rows.empty:
        return
    moment = data.draw(st.sampled_from(list(rows["ts"])))
    if kind == "signal":
        case.decide(moment, signal=0.25)
    else:
        side = (
            data.draw(st.sampled_from(sorted(set(rows.loc[rows["ts"] == moment, "side"])))) if table == "fills" else ""
        )
        case.change(
            table,
            lambda frame: (frame["ts"] == moment) & (frame["side"] == side if side else True),
            **{kind: rows.loc[rows["ts"] == moment, kind].iloc[0] + 1.0},
        )
    if moment < case.start:
        return
    found = case.compare().set_index("ts")["verdict"]
    assert found[moment] != "equal"
    assert (found[found.index < moment] == "equal").all()
