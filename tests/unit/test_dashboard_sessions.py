from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from bokeh.document import Document
from bokeh.models import ColumnDataSource, Range1d, Scatter
from bokeh.models.renderers import GlyphRenderer
from bokeh.plotting import figure

from dashboards import health_words, order_queries, parity_queries, queries, run_words, session_queries, session_words
from dashboards.health_words import Sign
from dashboards.hub import Hub
from dashboards.look import NONE, PALETTES
from dashboards.order_queries import Level
from dashboards.pages.session import SessionPage
from dashboards.price_lines import FIELD, draw_levels
from dashboards.queries import Run
from dashboards.renewal import renew
from dashboards.session import Session
from dashboards.session_queries import Account, Arrival, Timing
from data.views import connect
from data.writer import Lake
from tests.unit import dashboard_lake as rows

EVIL = "<script>alert(1)</script>"
FIRST = rows.times(1)[0]
NOW = pd.Timestamp("2024-01-01 12:00")
NOON_100 = (rows.MADE + pd.Timedelta("100s")).tz_localize(None)


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


def account_of(connection: queries.Connection, run: Run) -> Account:
    """Where the session stands, asked for as the page does, amid another."""
    return session_queries.accounts(connection, (run, run._replace(run_id="another")))[run.run_id]


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
    account = account_of(connection, run)
    assert account[:9] == (0, 0.0, 1_000.0, None, 1_000.0, None, 0.0, 0.0, 1_000.0)
    assert set(account[9:]) == {None}
    assert "none yet" in session_words.tiles(run, account, NOW)
    assert session_words.hindrance(account) == []
    assert session_words.schedule(run, account, None)["closed"] is None
    assert session_queries.timing(connection, run) == Timing(None, None, None, 0, 0)
    assert order_queries.levels(connection, run) == []


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
    account = account_of(*session(lake, tables))
    assert (account.fills, account.position, account.equity, account.price) == (3, 2.4, 1_001.0, 102.0)
    assert (account.reason, account.detail) == ("halted", "candle 1")
    assert account.cash == pytest.approx(1_000 - 200 - 200 - 0.5 + 200 - 0.5)


def test_what_is_held_was_bought_at_the_average_of_its_round_trip(lake: Lake) -> None:
    fills = [
        fill(1, trade_id=1, price=50.0), fill(2, "sell", trade_id=1, price=60.0),
        fill(3, trade_id=2, amount=1.0, amount_exact="1", price=98.0),
        fill(4, trade_id=2, amount=3.0, amount_exact="3", price=102.0),
        fill(5, "sell", trade_id=2, amount=2.0, price=110.0),
    ]  # fmt: skip
    tables = {"fills": pd.DataFrame(fills), "decisions": decisions("signal", "unchanged"), "equity": rows.equity(2)}
    connection, run = session(lake, tables)
    account = account_of(connection, run)
    assert (account.position, account.entry, account.price) == (2.0, 101.0, 102.0)
    told = session_words.tiles(run, account, NOW)
    assert "+2.00</dd>" in told
    assert "+0.99\N{NO-BREAK SPACE}%, bought at 101" in told


def test_the_day_begins_at_midnight_with_the_last_equity_before_it(lake: Lake) -> None:
    ts = pd.DatetimeIndex(["2024-01-01 22:00", "2024-01-01 23:00", "2024-01-02 00:00", "2024-01-02 01:00"], tz="UTC")
    worth = rows.equity(4).assign(ts=ts, equity=[1_000.0, 1_100.0, 900.0, 990.0], drawdown=[0, 0, -0.2, -0.1])
    connection, run = session(lake, {"equity": worth, "decisions": decisions(*["unchanged"] * 4, ts=ts)})
    account = account_of(connection, run)
    assert (account.morning, account.equity, account.drawdown, account.deepest) == (1_100.0, 990.0, -0.1, -0.2)
    told = session_words.tiles(run, account, NOW)
    assert "02 Jan" in told
    assert "-110.00</dd>" in told
    assert "-10.00\N{NO-BREAK SPACE}% since 00:00 UTC" in told
    assert "-1.00\N{NO-BREAK SPACE}%" in told
    assert "Today" in session_words.tiles(run, account, pd.Timestamp("2024-01-02 23:59"))


def test_a_session_has_one_card_with_how_it_stands(lake: Lake) -> None:
    connection, run = session(lake, {"decisions": decisions("unknown_order"), "equity": rows.equity(2)}, kind="paper")
    card = session_words.card(run, account_of(connection, run), None, NOW)
    assert (card["mode"], card["market"], card["stopped"]) == ("paper", "BTC/USD 1m", "unknown order")
    assert (card["equity"], card["gain"], card["tone"]) == ("1,001.00 USD", "+1.00 (+0.10 %)", "good")
    closes = (FIRST + pd.Timedelta("1min")).timestamp() * 1000
    assert (card["closed"], card["due"], card["step"], card["leeway"]) == (closes, closes + 60_000, 60_000, 15_000)


def test_candles_of_a_clock_of_their_own_are_due_by_when_the_last_ones_came(lake: Lake) -> None:
    came = rows.MADE + pd.to_timedelta(np.arange(6) * 20, "s")
    lake.append("candles", rows.candles(6, exchange="practice", fetched_at=came))
    lake.append("candles", rows.candles(6))
    connection, run = session(lake, {"decisions": decisions(*["unchanged"] * 5)}, exchange="practice")
    found = session_queries.arrivals(connection)
    arrival = found["practice", "BTC/USD", "1m"]
    assert found == {("practice", "BTC/USD", "1m"): Arrival(rows.times(6)[5].tz_localize(None), NOON_100, 20.0)}
    told = session_words.schedule(run, account_of(connection, run), arrival)
    before = (rows.MADE + pd.Timedelta("80s")).timestamp() * 1000  # the session is one candle behind the series
    assert (told["closed"], told["due"], told["step"]) == (before, before + 20_000, 20_000)


@pytest.mark.parametrize(
    ("kind", "exchange", "mode"),
    [("paper", "kraken", "paper"), ("paper", "practice", "paper"), ("live", "practice", "practice"),
     ("live", "practice-bitfinex", "practice"), ("live", "kraken", "live"), ("live", "practiceless", "live")],
)  # fmt: skip
def test_the_mode_is_said_in_a_word_in_the_title_too(lake: Lake, kind: str, exchange: str, mode: str) -> None:
    _, run = session(lake, kind=kind, exchange=exchange)
    assert run.mode == mode
    assert f'badge {mode}">{mode}<' in session_words.banner(run)
    assert session_words.title(run) == f"{mode.upper()} · BTC/USD 1m · jarvis"
    assert ("Real money" in session_words.banner(run)) == (mode == "live")
    assert mode in run_words.option(run)["where"]


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
    told = session_queries.decisions(*session(lake, {"decisions": decisions("warm_up", "unknown_order", "stale")}))
    assert list(told["Reason"]) == ["stale", "unknown order", "warm up"]
    assert list(told["marked"]) == [False, True, False]
    assert NONE in session_words.listing(told, "")


def test_only_the_newest_decisions_are_listed(lake: Lake) -> None:
    told = session_queries.decisions(
        *session(lake, {"decisions": decisions(*["unchanged"] * (session_queries.NEWEST + 5))})
    )
    assert len(told) == session_queries.NEWEST
    assert told["Detail"].iloc[0] == f"candle {session_queries.NEWEST + 4}"


def test_an_order_has_its_events_in_their_order_and_the_sum_of_its_fills(lake: Lake) -> None:
    events = [order("filled", 3), order("accepted", 2), order("sent", 2), order("intent", 1)]
    fills = [fill(2, amount=1.0), fill(3, amount=1.0, price=110.0)]
    told = order_queries.orders(*session(lake, {"orders": pd.DataFrame(events), "fills": pd.DataFrame(fills)}))
    said = "intent 01-01 00:00:01 → sent 01-01 00:00:02 → accepted 01-01 00:00:02 → filled 01-01 00:00:03"
    assert told["Events (UTC)"].tolist() == [said]
    assert told[["Why", "Filled", "Average price", "Fee"]].to_numpy().tolist() == [["signal", 2.0, 105.0, 1.0]]


def test_a_rejected_order_says_why_it_was_made_and_why_it_ended(lake: Lake) -> None:
    events = [order("intent", 1, reason="stop_loss"), order("rejected", 2, reason="no money")]
    told = order_queries.orders(*session(lake, {"orders": pd.DataFrame(events)}))
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
    told = session_queries.reconciliations(*session(lake))
    assert list(told["Kind"]) == ["unexplained: stops trading", "unexplained", "deposit", "accepted", "opening"]
    assert list(told["Currency"][:2]) == ["BTC", "USD"]
    assert list(told["marked"]) == [True, False, False, False, False]


def test_a_session_on_paper_has_no_account(lake: Lake) -> None:
    lake.append("reconciliations", pd.DataFrame([compared("unexplained", 1)]))
    manifest = f'{{"start":"{FIRST.isoformat()}","account":null}}'
    told = session_queries.reconciliations(*session(lake, kind="paper", manifest=manifest))
    assert told.empty
    assert "nothing here" in session_words.listing(told, "nothing here")


def parity_of(connection: queries.Connection, run: Run) -> str:
    """The card of parity, asked for as the page does."""
    (found,) = parity_queries.overview(connection)
    return session_words.parity(run, found, parity_queries.differing(connection, run, "", "", 0)[1], "light")


def test_parity_counts_its_verdicts_lists_what_differs_and_says_what_came_later(lake: Lake) -> None:
    verdicts = pd.DataFrame({"symbol": "BTC/USD", "ts": rows.times(3), "verdict": ["equal", "fill", "equal"]})
    verdicts = verdicts.assign(detail="another price", live_position=2.0, compared_at=rows.MADE)
    connection, run = session(lake, {"parity": verdicts, "decisions": decisions(*["unchanged"] * 5)})
    told = parity_of(connection, run)
    assert "equal <b>2</b>" in told
    assert "fill <b>1</b>" in told
    assert told.count("another price") == 1
    assert "compared 2024-06-01 12:00; 2 candles decided since" in told
    assert "?page=parity&amp;run=run-1&amp;theme=light" in told


def test_both_pages_count_alike_what_is_not_compared_where_candles_were_compared_that_nobody_decided(
    lake: Lake,
) -> None:
    verdicts = pd.DataFrame({"symbol": "BTC/USD", "ts": rows.times(3), "verdict": "equal", "compared_at": rows.MADE})
    decided = decisions(*["unchanged"] * 3, ts=rows.times(4)[[0, 2, 3]])
    connection, run = session(lake, {"parity": verdicts, "decisions": decided})
    assert parity_queries.standing(connection, run).pending == 1
    assert "1 candle decided since" in parity_of(connection, run)


def test_a_session_that_was_not_compared_says_how_to(lake: Lake) -> None:
    told = parity_of(*session(lake))
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
    account = account_of(*session(lake, {"decisions": decisions(reason, detail=EVIL)}))
    told = "".join(session_words.hindrance(account))
    assert said in told
    assert bool(told) == bool(said)
    assert EVIL not in told


def test_what_the_lake_says_of_a_session_is_shown_as_text(lake: Lake) -> None:
    connection, run = session(lake, {"decisions": decisions(EVIL, detail=EVIL)})
    evil = run._replace(run_id=EVIL, symbol=EVIL, exchange=EVIL)
    account = account_of(connection, run)
    timing = session_queries.timing(connection, run)
    shown = [
        session_words.banner(evil),
        session_words.tiles(evil, account, NOW),
        health_words.signs([health_words.trading(account._replace(reason="halted"), timing)], late=False),
        session_words.listing(session_queries.decisions(connection, run), ""),
        session_words.parity(evil, parity_queries.overview(connection)[0], pd.DataFrame(), "dark"),
        run_words.head(evil),
    ]
    assert not [html for html in shown if "<script" in html]
    assert all("&lt;script&gt;" in html for html in shown)


def test_a_session_is_linked_on_its_own_page(lake: Lake) -> None:
    _, run = session(lake)
    assert "page=live&amp;run=run-1" in run_words.absent("x", run, "dark", page="live")
    assert "no session <code>x</code>" in run_words.absent("x", run, "dark", page="live")
    assert run_words.matching([run], "live") == [run]


def test_orders_that_have_not_ended_are_listed_with_their_state_and_those_in_doubt_are_marked(lake: Lake) -> None:
    events = [
        order("intent", 1, order_id="ended"), order("filled", 2, order_id="ended"),
        order("intent", 3, order_id="rests", type="limit", price=99.0),
        order("accepted", 4, order_id="rests", type="limit", price=99.0),
        order("partially_filled", 5, order_id="rests", type="limit", price=99.0),
        order("intent", 6, order_id="lost"), order("unknown", 7, order_id="lost"),
    ]  # fmt: skip
    fills = [fill(5, order_id="rests", amount=0.5)]
    told = order_queries.open_orders(*session(lake, {"orders": pd.DataFrame(events), "fills": pd.DataFrame(fills)}))
    assert told[["Order", "State", "Filled", "marked"]].to_numpy().tolist() == [
        ["lost", "unknown", 0.0, True], ["rests", "partially filled", 0.5, False],
    ]  # fmt: skip
    assert health_words.orders(told)[1:3] == ("bad", "1 order of unknown outcome")
    assert health_words.orders(told[1:])[1:3] == ("good", "1 order open, none unknown")
    assert health_words.orders(told[:0])[1:3] == ("good", "No unknown order")
    assert health_words.orders(told[:1].assign(State="intent"))[1:3] == ("warn", "1 order under way")


def test_a_trade_that_is_open_is_worth_what_nobody_knows_yet(lake: Lake) -> None:
    told = order_queries.trades(*session(lake, {"trades": rows.trades(2, status=["closed", "open"])}))
    assert told["Exit reason"].tolist() == ["still open", "signal"]
    assert told["Profit"].isna().tolist() == [True, False]
    assert told["Return"][1] == pytest.approx(0.095)
    listed = session_words.listing(told, "")
    assert f">{told['Profit'][1]:,.2f}</td>" in listed
    assert ">9.50 %</td>" in listed


SETTINGS = '{"start":"2024-01-01","stops":{"stop_loss":0.02,"take_profit":0.1,"trailing_stop":null}}'


def test_lines_are_drawn_where_open_orders_rest_and_where_the_settings_leave_the_position(lake: Lake) -> None:
    bought = pd.DataFrame([fill(1, trade_id=1)])
    limit = order("accepted", 2, order_id="b", type="limit", price=95.0)
    connection, run = session(lake, {"orders": pd.DataFrame([limit]), "fills": bought}, manifest=SETTINGS)
    assert order_queries.levels(connection, run) == [
        Level("buy", 95.0, "limit to buy 2"),
        Level("entry", 100.0, "entry"),
        Level("stop", 98.0, "stop loss, by the settings"),
        Level("goal", pytest.approx(110.0), "take profit, by the settings"),
    ]


def test_a_stop_that_rests_at_the_exchange_is_the_stop_and_one_that_ended_is_none(lake: Lake) -> None:
    stop = {"side": "sell", "type": "stop", "reason": "stop_loss"}
    events = [
        order("accepted", 1, order_id="old", price=90.0, **stop),
        order("cancelled", 2, order_id="old", price=90.0, **stop),
        order("accepted", 3, order_id="new", price=97.5, **stop),
    ]  # fmt: skip
    tables = {"orders": pd.DataFrame(events), "fills": pd.DataFrame([fill(1, trade_id=1)])}
    found = order_queries.levels(*session(lake, tables, manifest=SETTINGS))
    assert [(level.kind, level.price) for level in found] == [
        ("stop", 97.5), ("entry", 100.0), ("goal", pytest.approx(110.0)),
    ]  # fmt: skip


def test_the_price_makes_room_for_lines_that_are_near_and_is_not_squeezed_by_one_far_away() -> None:
    candles, levels = rows.candles(10), [Level("stop", 97.0, "stop"), Level("buy", 1.0, EVIL)]
    data = draw_levels(figure(), levels, candles, PALETTES["dark"]).data
    assert list(data["price"]) == [97.0, 1.0]
    assert data[FIELD][0] == 97.0
    assert np.isnan(data[FIELD][1])
    assert data["text"][0] == "stop: 97"
    assert not len(draw_levels(figure(), [], candles, PALETTES["dark"]).data["price"])


def test_the_delay_and_the_clocks_are_those_of_the_newest_candle_decided_in_time(lake: Lake) -> None:
    lake.append("candles", rows.candles(4, fetched_at=rows.times(4) + pd.Timedelta("60.5s")))
    decided = decisions("halted", "unchanged", "unchanged", "missed", age=[9.0, 3.0, 2.0, 500.0])
    connection, run = session(lake, {"decisions": decided})
    timing = session_queries.timing(connection, run)
    assert timing == Timing(2.0, 9.0, 1.5, 1, 1)
    assert health_words.delay(run, timing)[1:3] == ("warn", "1 candle of the day missed")
    assert health_words.delay(run, timing._replace(missed=0))[1:3] == ("good", "Decided 2.0 s after the close")
    assert health_words.delay(run, timing._replace(missed=0, age=90.0))[1:3] == (
        "warn",
        "Decided 1.5 min after the close",
    )


@pytest.mark.parametrize(
    ("exchange", "ahead", "tone", "text"),
    [("kraken", 1.5, "good", "Clocks +1.5 s at most"), ("kraken", -30.0, "warn", "Clocks -30 s"),
     ("practice", 90_000.0, "muted", "Its own clock: +1.0 d"), ("kraken", None, "muted", "Clocks not known")],
)  # fmt: skip
def test_what_is_known_of_the_clocks_is_said(
    lake: Lake, exchange: str, ahead: float | None, tone: str, text: str
) -> None:
    _, run = session(lake, exchange=exchange)
    assert health_words.clock(run, Timing(2.0, 9.0, ahead, 0, 0))[1:3] == (tone, text)


def test_an_exchange_that_could_not_be_reached_is_named_with_what_it_said(lake: Lake) -> None:
    connection, run = session(lake, {"decisions": decisions("failed")}, exchange="kraken")
    account = account_of(connection, run)._replace(detail="timed out")
    assert health_words.exchange(run, account)[1:] == ("bad", "kraken could not be reached", "timed out")
    answered = health_words.exchange(run, account._replace(reason="unchanged"))
    assert answered[1:3] == ("good", "kraken answered at the last candle")
    assert health_words.exchange(run, account._replace(reason=None))[1:3] == ("muted", "kraken: not asked yet")


def test_halts_are_told_while_they_last_and_on_their_day(lake: Lake) -> None:
    account = account_of(*session(lake, {"decisions": decisions("halted")}))
    timing = Timing(1.0, 1.0, 1.0, 0, 1)
    assert health_words.trading(account, timing)[1:3] == ("bad", "Nothing is traded: halted")
    going = account._replace(reason="unchanged")
    assert health_words.trading(going, timing)[1:3] == ("warn", "Trades; 1 candle of the day without")
    free = health_words.trading(going, timing._replace(stopped=0))
    assert free[1:3] == ("good", "No halt at the last candle")
    assert "once a candle is decided after it" in free.meaning
    assert health_words.trading(account._replace(reason=None), timing)[1:3] == ("muted", "No candle yet")


def test_what_was_well_at_the_last_candle_is_so_no_more_once_that_is_late() -> None:
    told = [
        Sign("trading", "good", "No halt at the last candle", ""),
        Sign("exchange", "bad", "kraken could not be reached", ""),
        Sign("delay", "good", "Decided 0.0 s after the close", ""),
        Sign("orders", "good", "No unknown order", ""),
    ]

    def tones(late: bool) -> list[str]:
        return re.findall(r'class="light (\w+)"', health_words.signs(told, late=late))

    assert tones(late=False) == ["good", "bad", "good", "good"]
    assert tones(late=True) == ["muted", "bad", "muted", "good"]


@pytest.mark.parametrize("late", [True, False])
def test_the_lights_follow_the_browser_that_finds_the_newest_candle_late(
    lake: Lake, late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Session, "apply", lambda _, change: change())
    page = SessionPage(Session(Hub(lake), Document(), {}))
    page._show_health([Sign("trading", "good", "No halt at the last candle", "")])
    page._fresh.late = True
    page._fresh.late = late
    assert ("light muted" in page.slots["health"].object) == late
    assert ("light good" in page.slots["health"].object) != late


def test_facts_of_the_day_are_listed_and_gaps_counted(lake: Lake) -> None:
    minute = pd.Timedelta(minutes=1)
    known = {"exchange": "csv", "symbol": "BTC/USD", "timeframe": "1m", "detail": "in words", "found_at": rows.MADE}
    told = [  # of the second only the candles of 00:00 and 00:01 are of the day, the others of the evening before
        ("gap", 2, FIRST + 4 * minute, FIRST + 5 * minute, pd.NaT),
        ("gap", 5, FIRST - 3 * minute, FIRST + minute, pd.NaT),
        ("gap", 9, FIRST - 9 * minute, FIRST - minute, pd.NaT),
        ("gap", 5, FIRST, FIRST + 4 * minute, rows.MADE),
        ("outlier", 1, FIRST, FIRST, pd.NaT),
    ]
    found = pd.DataFrame(told, columns=["kind", "candles", "start_ts", "end_ts", "resolved_at"])
    lake.append("quality", found.assign(**known))
    facts = session_queries.facts(*session(lake, {"decisions": decisions("unchanged")}))
    assert facts[["Kind", "Candles", "Of the day"]].to_numpy().tolist() == [
        ["gap", "2", "2"], ["outlier", "1", "1"], ["gap", "5", "2"],
    ]  # fmt: skip
    assert health_words.gaps(facts)[1:3] == ("warn", "4 candles of the day absent")
    assert health_words.gaps(facts[1:2])[1:3] == ("good", "No gap; 1 outlier")
    assert health_words.gaps(facts[:0])[1:3] == ("good", "No gap")


def test_an_account_is_well_until_something_of_it_is_unexplained(lake: Lake) -> None:
    lake.append("reconciliations", pd.DataFrame([compared("equal", 1), compared("unexplained", 2)]))
    connection, run = session(lake)
    told = session_queries.reconciliations(connection, run)
    assert health_words.account(run, told)[1:3] == ("bad", "1 difference unexplained")
    assert health_words.account(run, told[1:])[1:3] == ("good", "Account as expected")
    assert health_words.account(run, told[:0])[1:3] == ("muted", "Account not compared yet")
    assert health_words.account(run._replace(kind="paper"), told[:0])[1:3] == ("muted", "No account: on paper")


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
