from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from bokeh.models import ColumnDataSource, Range1d, Scatter
from bokeh.models.renderers import GlyphRenderer

from dashboards import queries, run_words, session_words
from dashboards.look import NONE
from dashboards.queries import Account, Run
from dashboards.renewal import renew
from data.views import connect
from data.writer import Lake
from tests.unit import dashboard_lake as rows

EVIL = "<script>alert(1)</script>"
FIRST = rows.times(1)[0]


def decisions(*reasons: str, **columns: Any) -> pd.DataFrame:
    """Rows of the table decisions: a minute each, nothing done."""
    ts = rows.times(len(reasons))
    told = {"action": "hold", "detail": [f"candle {n}" for n in range(len(reasons))], "close": 101.0, "signal": np.nan}
    known = {"symbol": "BTC/USD", "ts": ts, "decided_at": ts + pd.Timedelta("62s"), "reason": list(reasons)}
    return pd.DataFrame({**known, **told, "position": 0.0, **columns})


def order(event: str, seconds: int, **columns: Any) -> dict[str, Any]:
    """A row of the table orders."""
    row = {"symbol": "BTC/USD", "order_id": "a-buy-open", "event": event, "ts": FIRST + pd.Timedelta(seconds=seconds)}
    return {**row, "side": "buy", "type": "market", "amount": 2.0, "reason": "signal", **columns}


def fill(seconds: int, side: str = "buy", **columns: Any) -> dict[str, Any]:
    """A row of the table fills: 2 at 100."""
    row = {"symbol": "BTC/USD", "fill_id": f"{seconds}", "order_id": "a-buy-open", "side": side, "reason": "signal"}
    money = {"price": 100.0, "amount": 2.0, "fee": 0.5, "amount_exact": "2", "fee_exact": "0.5"}
    return {**row, "ts": FIRST + pd.Timedelta(seconds=seconds), **money, **columns}


def session(lake: Lake, tables: dict[str, Any] | None = None, **run: Any) -> tuple[queries.Connection, Run]:
    """Record a live session as the flow does, its ends unknown in `runs`, and return it as the page has it."""
    manifest = f'{{"start":"{FIRST.isoformat()}","account":"exchange-1"}}'
    known = {"kind": "live", "end_ts": pd.NaT, "candles": None, "data_fingerprint": None, "manifest": manifest}
    empty = dict.fromkeys(("signals", "equity", "trades", "metrics"), ())
    history = rows.START - pd.Timedelta(days=1)
    rows.record(lake, tables={**empty, **(tables or {})}, **{**known, "start_ts": history, **run})
    connection = connect(lake)
    (found,) = queries.runs(connection, "session")
    return connection, found


def compared(kind: str, hour: int, *, account: str = "exchange-1", currency: str = "USD") -> dict[str, Any]:
    """A row of the table reconciliations."""
    at = FIRST + pd.Timedelta(hours=hour)
    numbers = {"expected": "1.50", "actual": "2", "difference": 0.5, "flows": "0", "detail": f"hour {hour}"}
    return {"account": account, "currency": currency, "ts": at, "kind": kind, **numbers}


def test_sessions_are_on_paper_or_live_and_come_as_far_as_they_have_decided(lake: Lake) -> None:
    rows.record(lake, "backtest-1")
    _, run = session(lake, {"decisions": decisions("warm_up", "unchanged", "missed")}, kind="paper")
    assert (run.run_id, run.candles) == ("run-1", 3)
    assert [run.start_ts, run.end_ts] == [ts.tz_localize(None) for ts in rows.times(3)[[0, 2]]]
    assert run == queries.runs(connect(lake), "session")[0]


def test_a_session_that_has_decided_nothing_begins_at_its_first_candle_with_its_cash(lake: Lake) -> None:
    connection, run = session(lake)
    assert (run.candles, run.start_ts, run.end_ts) == (0, rows.START.tz_localize(None), rows.START.tz_localize(None))
    account = queries.account(connection, run)
    assert account == Account(0, 0.0, 1_000.0, 0.0, None, None, None, None, None)
    assert "none yet" in session_words.tiles(run, account)
    assert session_words.hindrance(account) == []


def test_the_charts_of_a_session_show_candles_before_it_and_those_that_came_after_its_beginning(lake: Lake) -> None:
    lake.append("candles", rows.candles(300, fetched_at=rows.MADE + pd.Timedelta(days=9)))
    late = rows.times(300)[200:]
    connection, run = session(lake, {"decisions": decisions(*["unchanged"] * 100, ts=late)})
    shown = queries.candles(connection, run)
    assert len(shown) == 100 + queries.LEAD
    assert shown["ts"].iloc[-1] == late[-1].tz_localize(None)
    assert queries.first_open(connection, run) == 100.0 + 200


def test_the_position_is_what_all_fills_leave_and_fees_in_coins_are_taken_from_it(lake: Lake) -> None:
    fills = [fill(1, fee_currency="BTC"), fill(2, fee_currency="USD"), fill(3, "sell", amount_exact="1.1")]
    tables = {"fills": pd.DataFrame(fills), "decisions": decisions("signal", "halted"), "equity": rows.equity(2)}
    account = queries.account(*session(lake, tables))
    assert (account.fills, account.position, account.equity) == (3, 2.4, 1_001.0)
    assert (account.reason, account.detail) == ("halted", "candle 1")


def test_fills_are_marked_at_the_candles_in_which_they_were(lake: Lake) -> None:
    fills = [fill(61, amount=1.0), fill(119, price=130.0), fill(180, "sell")]
    marks = queries.fill_markers(*session(lake, {"fills": pd.DataFrame(fills), "decisions": decisions("signal")}))
    minutes = [ts.tz_localize(None) for ts in rows.times(4)[[1, 3]]]
    assert list(zip(marks["ts"], marks["action"], marks["events"], marks["price"], strict=True)) == [
        (minutes[0], "buy", 2, 120.0),
        (minutes[1], "sell", 1, 100.0),
    ]
    assert list(marks["text"]) == ["2 fills", "sell: signal"]


def test_decisions_come_newest_first_and_those_that_nothing_may_follow_are_marked(lake: Lake) -> None:
    told = queries.decisions(*session(lake, {"decisions": decisions("warm_up", "unknown_order", "stale")}))
    assert list(told["Reason"]) == ["stale", "unknown order", "warm up"]
    assert list(told["marked"]) == [False, True, False]
    assert NONE in session_words.listing(told, "")


def test_only_the_newest_decisions_are_listed(lake: Lake) -> None:
    told = queries.decisions(*session(lake, {"decisions": decisions(*["unchanged"] * (queries.NEWEST + 5))}))
    assert len(told) == queries.NEWEST
    assert told["Detail"].iloc[0] == f"candle {queries.NEWEST + 4}"


def test_an_order_has_its_events_in_their_order_and_the_sum_of_its_fills(lake: Lake) -> None:
    events = [order("filled", 3), order("accepted", 2), order("sent", 2), order("intent", 1)]
    fills = [fill(2, amount=1.0), fill(3, amount=1.0, price=110.0)]
    told = queries.orders(*session(lake, {"orders": pd.DataFrame(events), "fills": pd.DataFrame(fills)}))
    said = "intent 01-01 00:00:01 → sent 01-01 00:00:02 → accepted 01-01 00:00:02 → filled 01-01 00:00:03"
    assert told["Events (UTC)"].tolist() == [said]
    assert told[["Why", "Filled", "Average price", "Fee"]].to_numpy().tolist() == [["signal", 2.0, 105.0, 1.0]]


def test_a_rejected_order_says_why_it_was_made_and_why_it_ended(lake: Lake) -> None:
    events = [order("intent", 1, reason="stop_loss"), order("rejected", 2, reason="no money")]
    told = queries.orders(*session(lake, {"orders": pd.DataFrame(events)}))
    assert told["Why"][0] == "stop loss"
    assert told["Events (UTC)"][0].endswith("rejected (no money) 01-01 00:00:02")
    assert bool(told["marked"][0])
    assert told["Filled"].isna().all()


def test_what_is_unexplained_comes_first_and_is_marked_until_something_later_is_told_of_its_currency(
    lake: Lake,
) -> None:
    found = [
        compared("opening", 0),
        compared("unexplained", 1),
        compared("accepted", 2),
        compared("unexplained", 1, currency="BTC"),
        compared("deposit", 9, currency="EUR"),
        compared("unexplained", 10, account="exchange-2"),
    ]
    lake.append("reconciliations", pd.DataFrame(found))
    told = queries.reconciliations(*session(lake))
    assert list(told["Kind"]) == ["unexplained: stops trading", "unexplained", "deposit", "accepted", "opening"]
    assert list(told["Currency"][:2]) == ["BTC", "USD"]
    assert list(told["marked"]) == [True, False, False, False, False]


def test_a_session_on_paper_has_no_account(lake: Lake) -> None:
    lake.append("reconciliations", pd.DataFrame([compared("unexplained", 1)]))
    manifest = f'{{"start":"{FIRST.isoformat()}","account":null}}'
    told = queries.reconciliations(*session(lake, kind="paper", manifest=manifest))
    assert told.empty
    assert "nothing here" in session_words.listing(told, "nothing here")


def test_parity_counts_its_verdicts_lists_what_differs_and_says_what_came_later(lake: Lake) -> None:
    verdicts = pd.DataFrame({"symbol": "BTC/USD", "ts": rows.times(3), "verdict": ["equal", "fill", "equal"]})
    verdicts = verdicts.assign(detail="another price", live_position=2.0, compared_at=rows.MADE)
    connection, run = session(lake, {"parity": verdicts, "decisions": decisions(*["unchanged"] * 5)})
    found = queries.parity(connection, run)
    assert found.counts == {"equal": 2, "fill": 1}
    assert list(found.differing["Detail"]) == ["another price"]
    assert "compared 2024-06-01 12:00; 2 candles came later" in session_words.parity(run, found)


def test_a_session_that_was_not_compared_says_how_to(lake: Lake) -> None:
    connection, run = session(lake)
    told = session_words.parity(run, queries.parity(connection, run))
    assert "not compared yet: <code>jarvis parity run-1</code>" in told


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("unchanged", ""),
        ("missed", ""),
        ("halted", "Nothing is traded: halted"),
        ("unknown_order", "Nothing is traded: unknown order"),
        ("max_orders", "Nothing was done: max orders"),
    ],
)
def test_what_kept_the_session_from_trading_is_said(lake: Lake, reason: str, said: str) -> None:
    account = queries.account(*session(lake, {"decisions": decisions(reason, detail=EVIL)}))
    told = "".join(session_words.hindrance(account))
    assert said in told
    assert bool(told) == bool(said)
    assert EVIL not in told


def test_what_the_lake_says_of_a_session_is_shown_as_text(lake: Lake) -> None:
    connection, run = session(lake, {"decisions": decisions(EVIL, detail=EVIL)})
    evil = run._replace(run_id=EVIL, symbol=EVIL, exchange=EVIL)
    account = queries.account(connection, run)
    shown = [
        session_words.tiles(evil, account),
        session_words.listing(queries.decisions(connection, run), ""),
        session_words.parity(evil, queries.parity(connection, run)),
        run_words.head(evil),
    ]
    assert not [html for html in shown if "<script" in html]
    assert all("&lt;script&gt;" in html for html in shown)


def test_a_session_is_linked_on_its_own_page(lake: Lake) -> None:
    _, run = session(lake)
    assert "page=live&amp;run=run-1" in run_words.absent("x", run, "dark", page="live")
    assert "no session <code>x</code>" in run_words.absent("x", run, "dark", page="live")
    assert run_words.has(run, "live")


class Figure:
    """As much of a figure as is renewed."""

    def __init__(self, **columns: Any) -> None:
        self.name = "price"
        source = ColumnDataSource({**columns})
        self.renderers: list[Any] = [GlyphRenderer(data_source=source, glyph=Scatter(), name="line")]


@pytest.mark.parametrize(
    ("view", "moved"),
    [
        pytest.param((0, 100), (0, 110), id="all in view stays all"),
        pytest.param((60, 100), (70, 110), id="the end in view is followed"),
        pytest.param((20, 50), (20, 50), id="another part stays where it is"),
    ],
)
def test_a_renewed_chart_keeps_what_is_in_view(view: tuple[float, float], moved: tuple[float, float]) -> None:
    axis, shown = Range1d(start=view[0], end=view[1], bounds=(0, 100)), Figure(ts=[1.0])
    assert renew(axis, {"price": [shown]}, Range1d(bounds=(0, 110)), {"price": [Figure(ts=[1.0, 2.0])]})
    assert shown.renderers[0].data_source.data == {"ts": [1.0, 2.0]}
    assert ((axis.start, axis.end), axis.bounds) == (moved, (0, 110))


@pytest.mark.parametrize("new", [[Figure(ts=[2.0], fast=[1.0])], ["a word", Figure(ts=[2.0])], "it is gone", []])
def test_charts_that_are_made_otherwise_are_not_renewed(new: Any) -> None:
    axis, shown = Range1d(start=0, end=100, bounds=(0, 100)), Figure(ts=[1.0])
    assert not renew(axis, {"price": [shown]}, Range1d(bounds=(0, 110)), {"price": new})
    assert shown.renderers[0].data_source.data == {"ts": [1.0]}
    assert axis.bounds == (0, 100)
