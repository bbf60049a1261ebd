from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dashboards import parity_queries, parity_words, queries
from dashboards.look import NONE
from dashboards.parity_charts import ParityCharts
from dashboards.parity_queries import PAGE, PENDING, Candle
from dashboards.queries import Run
from data.errors import LakeError
from data.views import connect
from data.writer import Lake
from tests.unit import dashboard_lake as rows
from tests.unit.test_dashboard_sessions import EVIL, decisions, fill, order, session

Connection = queries.Connection


def deal(side: str = "buy", price: float = 100.0, fee: float = 1.0) -> dict[str, Any]:
    """A fill as the table parity has it."""
    return {"side": side, "amount": 2.0, "price": price, "fee": fee, "reason": "signal", "decision_ts": None}


def parity(*verdicts: str, **columns: Any) -> pd.DataFrame:
    """Rows of the table parity: a minute each, both worth 1,000, nothing filled."""
    known = {"symbol": "BTC/USD", "ts": rows.times(len(verdicts)), "verdict": list(verdicts), "detail": None}
    values = {"live_equity": 1_000.0, "backtest_equity": 1_000.0, "live_signal": 1.0, "backtest_signal": 1.0}
    texts = {"live_fills": "[]", "backtest_fills": "[]", "backtest_orders": "[]", "compared_at": rows.MADE}
    return pd.DataFrame({**known, **values, **texts, **columns})


def compared(
    lake: Lake, told: pd.DataFrame, decided: int | None = None, tables: dict[str, Any] | None = None, **run: Any
) -> tuple[Connection, Run]:
    """Record a session that was compared, by default each candle that was decided."""
    count = len(told) if decided is None else decided
    return session(lake, {"parity": told, "decisions": decisions(*["unchanged"] * count), **(tables or {})}, **run)


def minute(number: int) -> pd.Timestamp:
    return rows.times(number + 1)[number].tz_localize(None)


def test_what_the_causes_cost_adds_up_to_how_far_the_equities_are_apart(lake: Lake) -> None:
    live = [1_000.0, 990.0, 985.0, 995.0, 994.0]
    found = parity_queries.standing(*compared(lake, parity("equal", "fill", "equal", "data", "cost", live_equity=live)))
    assert {cause.verdict: cause.money for cause in found.causes} == {
        "data": 10.0, "fill": -10.0, "cost": -1.0, "equal": -5.0,
    }  # fmt: skip
    assert [cause.verdict for cause in found.causes] == ["data", "fill", "cost", "equal"]
    assert found.counts == {"data": 1, "fill": 1, "cost": 1, "equal": 2}
    assert (found.money, found.apart, found.widest) == (-6.0, pytest.approx(-60.0), pytest.approx(-150.0))


def test_a_candle_whose_equity_is_not_known_costs_nothing_and_the_next_one_has_it(lake: Lake) -> None:
    live = [999.0, np.nan, 990.0, np.nan]
    found = parity_queries.standing(*compared(lake, parity("cost", "data", "fill", "data", live_equity=live)))
    assert {cause.verdict: cause.money for cause in found.causes} == {"data": None, "fill": -9.0, "cost": -1.0}
    assert found.money == -10.0


def test_slippage_is_how_much_worse_the_session_bought_and_sold_and_fees_are_summed(lake: Lake) -> None:
    mine = [[deal(price=101.0, fee=3.0)], [deal("sell", 99.0)], [deal()], [deal("sell")]]
    its = [[deal(fee=1.0)], [deal("sell", 100.0)], [deal("sell"), deal()], []]
    texts = {"live_fills": [*map(json.dumps, mine)], "backtest_fills": [*map(json.dumps, its)]}
    found = parity_queries.standing(*compared(lake, parity("fill", "fill", "fill", "data", **texts)))
    by_fill = next(cause for cause in found.causes if cause.verdict == "fill")
    by_data = next(cause for cause in found.causes if cause.verdict == "data")
    assert (by_fill.fills, by_fill.slippage, by_fill.fees) == (2, pytest.approx(100.0), 1.0)
    assert (by_data.fills, by_data.slippage, by_data.fees) == (0, None, 1.0)


def test_what_was_decided_since_is_counted_and_what_came_too_late_to_be_decided_is_not(lake: Lake) -> None:
    late = parity("equal", "data", "equal")
    decided = decisions(*["unchanged"] * 4, ts=rows.times(5)[[0, 2, 3, 4]])
    connection, run = session(lake, {"parity": late, "decisions": decided})
    found = parity_queries.standing(connection, run)
    assert (found.pending, sum(found.counts.values())) == (2, 3)
    assert list(parity_queries.strip(connection, run)["verdict"]) == ["equal", "data", "equal", PENDING, PENDING]


def test_rows_from_before_fills_were_recorded_have_no_fees_and_say_so(lake: Lake) -> None:
    old = parity("fill", "equal").drop(columns=["live_fills", "backtest_fills", "backtest_orders"])
    connection, run = compared(lake, old)
    found = parity_queries.standing(connection, run)
    assert [(cause.fills, cause.slippage, cause.fees) for cause in found.causes] == [(0, None, None)] * 2
    assert "compare again" in parity_words.neighbours(
        minute(0), parity_queries.neighbourhood(connection, run, minute(0))
    )
    assert NONE in parity_words.tiles(run, found)


def test_of_merged_candles_the_worst_verdict_wins_and_the_last_equity_stands(lake: Lake) -> None:
    n = queries.MOST_CANDLES + 2_000
    verdicts = np.full(n, "equal", dtype=object)
    verdicts[[10, 11, 12]] = "cost", "signal", "fill"
    connection, run = compared(lake, parity(*verdicts, live_equity=1_000.0 + np.arange(n)))
    assert run.bucket == 300
    strip, curves = parity_queries.strip(connection, run), parity_queries.curves(connection, run)
    assert len(strip) == len(curves) == n / 5
    assert list(strip["verdict"][:4]) == ["equal", "equal", "signal", "equal"]
    assert list(strip.loc[2, ["candles", "equal", "cost", "signal", "fill", "data"]]) == [5, 2, 1, 1, 1, 0]
    assert (curves["live"][2], curves["ts"][2]) == (1_014.0, minute(14))


def test_a_verdict_that_nobody_knows_is_drawn_as_none(lake: Lake) -> None:
    connection, run = compared(lake, parity("odd", "equal"))
    strip = parity_queries.strip(connection, run)
    (figure,) = ParityCharts(run.start_ts, run.end_ts, "dark").strip(strip, pd.Timedelta("1min"))
    assert list(figure.renderers[0].data_source.data["verdict"]) == [PENDING, "equal"]
    assert parity_queries.standing(connection, run).counts == {"odd": 1, "equal": 1}


def test_candles_that_differ_are_narrowed_down_by_verdict_and_by_text(lake: Lake) -> None:
    words = ["100 % as told", "Bought at 10", "bought at 20", None]
    connection, run = compared(lake, parity("equal", "fill", "cost", "data", detail=words))

    def found(*wanted: Any) -> tuple[int, list[str]]:
        count, told = parity_queries.differing(connection, run, *wanted)
        return count, list(told["verdict"])

    assert found("", "", 0) == (3, ["data", "cost", "fill"])
    assert found("fill", "", 0) == (1, ["fill"])
    assert found("", "BOUGHT", 0) == (2, ["cost", "fill"])
    assert found("", "2024-01-01 00:03", 0) == (1, ["data"])
    assert found("equal", "", 0) == found("", "%", 0) == found("'; DROP", "'", 0) == (0, [])
    whole = parity_queries.differing_whole(connection, run, "", "bought")
    assert list(whole["detail"]) == ["bought at 20", "Bought at 10"]


def test_the_candles_that_differ_come_in_pages_newest_first(lake: Lake) -> None:
    connection, run = compared(lake, parity(*["fill"] * (PAGE + 2)))
    count, last = parity_queries.differing(connection, run, "", "", 1)
    assert (count, list(last["ts"])) == (PAGE + 2, [minute(1), minute(0)])


def test_a_candle_stands_between_its_neighbours_with_what_both_did(lake: Lake) -> None:
    told = parity("equal", "equal", "equal", "fill", "equal", "equal", "equal")
    told["live_fills"], told["backtest_fills"] = "[]", "[]"
    told.loc[3, ["live_fills", "backtest_fills"]] = [json.dumps([deal(price=101.0)]), json.dumps([deal()])]
    bought = {"side": "buy", "type": "market", "reason": "signal", "event": "filled", "amount": 2.0, "price": None}
    told.loc[2, "backtest_orders"] = json.dumps([bought])
    events = [order(event, 200, decision_ts=rows.times(3)[2]) for event in ("intent", "sent", "accepted", "filled")]
    tables = {"orders": pd.DataFrame(events), "fills": pd.DataFrame([fill(200)])}
    connection, run = compared(lake, told, tables=tables)
    found = parity_queries.neighbourhood(connection, run, minute(3))
    assert [candle.ts for candle in found] == [minute(number) for number in range(1, 6)]
    assert [one["event"] for one in found[1].live_orders] == ["filled"]
    said = parity_words.neighbours(minute(3), found)
    assert said.index("Chosen") < said.index("00:03") < said.index("Before it") < said.index("00:02")
    for words in ("bought 2 at 101, fee 1 (signal)", "bought 2 at 100, fee 1 (signal)", "100 bp worse",
                  "buy 2 at market: filled", "hold: unchanged", "candle 3"):  # fmt: skip
        assert words in said
    assert parity_queries.neighbourhood(connection, run, minute(9)) == []


def test_what_differs_is_marked_and_written_with_the_digits_that_tell_it_apart() -> None:
    known: dict[str, Any] = dict.fromkeys(Candle._fields)
    close = {"live_position": 2.0, "backtest_position": 2.0, "live_equity": 1e6, "backtest_equity": 1e6 + 1e-9}
    same = {"ts": minute(0), "verdict": "equal", "live_orders": [], "live_fills": [], "backtest_fills": []}
    said = parity_words.neighbours(minute(0), [Candle(**{**known, **same, **close})])
    assert "1000000.000000001" in said
    assert said.count('class="differs"') == 1


def test_sessions_are_listed_with_those_that_were_never_compared(lake: Lake) -> None:
    compared(lake, parity("equal", "fill", live_equity=[1_000.0, 999.0]), decided=3)
    session_rows = {"created_at": rows.MADE + pd.Timedelta(days=1), "run_id": "run-2", "kind": "paper"}
    manifest = f'{{"start":"{rows.START.isoformat()}"}}'
    empty = dict.fromkeys(("signals", "equity", "trades", "metrics"), ())
    rows.record(lake, tables={**empty, "decisions": decisions("warm_up")}, manifest=manifest, **session_rows)
    found = parity_queries.overview(connect(lake))
    assert [(one.run.run_id, one.counts, one.pending) for one in found] == [
        ("run-2", {}, 1),
        ("run-1", {"equal": 1, "fill": 1}, 1),
    ]
    said = parity_words.sessions(found, "light")
    assert "never: <code>jarvis parity run-2</code>" in said
    assert "?page=parity&amp;run=run-1&amp;theme=light" in said
    assert "1 by fill" in said
    assert "-10.00" in said


@pytest.mark.parametrize(
    ("verdicts", "decided", "words"),
    [
        (["equal"], 1, ["The only candle is as in the backtest"]),
        (["equal"] * 3, 3, ["All 3 candles are as in the backtest", "Compared 2024-06-01 12:00 UTC."]),
        (["equal", "data"], 2, ["1 of 2 candles is as in the backtest", "1 differs: 1 by data."]),
        (["data", "fill"], 3, ["0 of 2 candles are", "2 differ: 1 by data, 1 by fill.", "1 candle was decided since"]),
    ],
)
def test_the_verdict_is_a_sentence(lake: Lake, verdicts: list[str], decided: int, words: list[str]) -> None:
    connection, run = compared(lake, parity(*verdicts), decided)
    said = parity_words.verdict(run, parity_queries.standing(connection, run))
    assert [word for word in words if word not in said] == []
    assert ("jarvis parity run-1" in said) == (decided > len(verdicts))


def test_a_session_that_was_never_compared_says_how_to_compare_it(lake: Lake) -> None:
    connection, run = session(lake, {"decisions": decisions("warm_up")})
    found = parity_queries.standing(connection, run)
    assert (found.causes, found.compared_at, found.pending, found.money) == ([], None, 1, None)
    said = parity_words.never(run)
    assert "was never compared" in said
    assert "jarvis parity run-1" in said
    assert list(parity_queries.strip(connection, run)["verdict"]) == [PENDING]
    with pytest.raises(LakeError, match="no candle yet"):
        parity_queries.curves(connection, run)


def test_a_session_that_decided_nothing_has_nothing_to_compare(lake: Lake) -> None:
    connection, run = session(lake)
    assert "decided nothing yet" in parity_words.never(run)
    with pytest.raises(LakeError, match="no candle has closed"):
        parity_queries.strip(connection, run)


def test_what_the_lake_says_of_parity_is_shown_as_text(lake: Lake) -> None:
    evil = json.dumps([{**deal(EVIL), "reason": EVIL}])
    told = parity(EVIL, detail=EVIL, live_fills=evil, backtest_fills=evil)
    connection, run = compared(lake, told)
    named = run._replace(run_id=EVIL, symbol=f"BTC/{EVIL}", strategy=EVIL)
    found = parity_queries.standing(connection, run)
    shown = [
        parity_words.verdict(named, found._replace(pending=1)),
        parity_words.never(named),
        parity_words.tiles(named, found),
        parity_words.causes(named, found),
        parity_words.neighbours(minute(0), parity_queries.neighbourhood(connection, run, minute(0))),
        parity_words.sessions([one._replace(run=named) for one in parity_queries.overview(connection)], "dark"),
    ]
    assert not [html for html in shown if "<script" in html]
    assert all("&lt;script&gt;" in html for html in shown)


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_marks_differ_in_colour_and_height_and_say_what_they_are(lake: Lake, theme: Any) -> None:
    connection, run = compared(lake, parity("data", "signal", "fill", "cost", "equal"), decided=6)
    charts = ParityCharts(run.start_ts, run.end_ts, theme)
    (figure,) = charts.strip(parity_queries.strip(connection, run), pd.Timedelta("1min"))
    marks = figure.renderers[0].data_source.data
    assert len(set(marks["color"])) == len(set(marks["top"])) == 6
    assert list(marks["top"]) == sorted(marks["top"], reverse=True)
    assert list(marks["told"]) == ["data", "signal", "fill", "cost", "equal", PENDING]


def test_equities_that_are_the_same_are_drawn_with_a_distance_of_zero(lake: Lake) -> None:
    connection, run = compared(lake, parity("equal"))
    curves = parity_queries.curves(connection, run)
    charts = ParityCharts(run.start_ts, run.end_ts, "dark")
    (both,), (distance,) = charts.curves(curves), charts.distance(curves)
    charts.connect()
    shown = [list(line.data_source.data[line.glyph.y]) for line in both.renderers]
    assert shown == [[1_000.0], [1_000.0]]
    assert list(distance.renderers[-1].data_source.data["apart"]) == [0.0]
    assert distance.y_range.start < 0 < distance.y_range.end
