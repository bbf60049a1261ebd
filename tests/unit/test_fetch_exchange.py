"""The real, unmodified ccxt against Kraken's and Bitfinex's wire on loopback: pages, windows, faults, resumption."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pandas as pd
import pytest

from data.candles import PRICES, read_candles
from data.errors import BadInput, SourceError
from data.markets import read_market
from data.missing import Range
from data.views import connect
from data.writer import Lake
from tasks.exchange import ask, client
from tasks.fetch.collect import Collected, collect
from tasks.fetch.exchange import ExchangeSource
from tasks.fetch.shelf import Shelf
from tasks.fetch.source import Batch, Series
from tasks.fetch.store import store
from tests.servers.public_exchange import HOUR, KRAKEN_WINDOW, PublicExchange, candle, serve

NOW = 1_768_480_200
"""Half past the hour: the candle that opened at the full hour is still open."""
OPEN = NOW // HOUR * HOUR
SYMBOL = "BTC/USD"

Serve = Callable[..., Any]


def ago(hours: int) -> pd.Timestamp:
    """The candle that opened so many candles before the open one."""
    return pd.Timestamp(OPEN - hours * HOUR, unit="s", tz="UTC")


@pytest.fixture(autouse=True)
def machine_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.fetch.clock.now", lambda: pd.Timestamp(NOW, unit="s", tz="UTC"))


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_PAUSES", (0.01, 0.01, 0.01, 0.01))


@pytest.fixture
def serving(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Serve an exchange for the test, and send ccxt there."""

    @contextmanager
    def started(**options: Any) -> Iterator[PublicExchange]:
        with serve(PublicExchange(NOW, **{"first": OPEN - 3000 * HOUR, **options})) as exchange:
            addresses = {"kraken": exchange.url, "bitfinex": exchange.url}
            monkeypatch.setenv("JARVIS_EXCHANGE_URLS", json.dumps(addresses))
            yield exchange

    return started


def fetch(lake: Lake, name: str, start: int | None = None, end: int | None = None, **options: Any) -> Collected:
    with ExchangeSource(name, paced=False) as source:
        bounds = [None if hours is None else ago(hours) for hours in (start, end)]
        return collect(source, lake, SYMBOL, "1h", *bounds, **options)


def held(lake: Lake, name: str) -> pd.DataFrame:
    return read_candles(lake, name, SYMBOL, "1h")


def facts(lake: Lake, *columns: str) -> list[tuple[Any, ...]]:
    query = f"SELECT {', '.join(columns)} FROM quality WHERE resolved_at IS NULL ORDER BY start_ts, kind"
    return connect(lake).execute(query).fetchall()


def test_candles_are_stored_as_the_exchange_prints_them(lake: Lake, serving: Serve) -> None:
    for name in ("kraken", "bitfinex"):
        with serving():
            fetch(lake, name, 100)
        frame = held(lake, name)
        assert len(frame) == 100
        for ts, row in frame.iterrows():
            assert row.tolist()[:5] == [float(text) for text in candle(int(ts.timestamp()))]
        assert frame["trades"].isna().all()


@pytest.mark.parametrize("name", ["kraken", "bitfinex"])
def test_the_candle_that_is_still_open_is_not_stored(lake: Lake, serving: Serve, name: str) -> None:
    with serving():
        done = fetch(lake, name, 10)
    assert done.last == ago(1)
    assert held(lake, name).index[-1] == ago(1)


def test_it_is_the_exchanges_clock_that_closes_a_candle(lake: Lake, serving: Serve) -> None:
    with serving() as exchange:
        exchange.now = OPEN - 5 * HOUR + 10
        fetch(lake, "kraken", 20)
    assert held(lake, "kraken").index[-1] == ago(6)


def test_an_answer_from_before_a_candles_end_does_not_make_it_a_closed_one(lake: Lake, serving: Serve) -> None:
    with serving() as exchange:
        last = OPEN - HOUR
        exchange.candles[last] = candle(last)._replace(close=candle(last).open)
        hidden = exchange.candles.pop(OPEN)  # as a cache answers that was filled before the hour was full
        assert fetch(lake, "kraken", 10).last == ago(2)
        exchange.candles |= {last: candle(last), OPEN: hidden}
        done = fetch(lake, "kraken", 10)
    assert (done.last, done.new, done.revised) == (ago(1), 1, 0)
    assert held(lake, "kraken")["close"].iloc[-1] == float(candle(last).close)


def test_pages_follow_each_other_without_a_hole_or_a_doubled_candle(lake: Lake, serving: Serve) -> None:
    told: list[tuple[int, int]] = []
    with serving(page=300) as exchange:
        done = fetch(lake, "bitfinex", 1000, progress=lambda done, total: told.append((done, total)))
    assert (done.new, len(held(lake, "bitfinex"))) == (1000, 1000)
    starts = [int(asked.query["start"]) // 1000 for asked in exchange.candle_requests()]
    assert starts == [OPEN - hours * HOUR for hours in (1000, 700, 400, 100)]
    assert told == [(300, 1000), (600, 1000), (900, 1000), (1000, 1000)]


def test_the_end_of_a_range_is_not_part_of_it(lake: Lake, serving: Serve) -> None:
    with serving():
        fetch(lake, "bitfinex", 100, 50)
    assert (held(lake, "bitfinex").index[0], held(lake, "bitfinex").index[-1]) == (ago(100), ago(51))


def test_krakens_window_is_told_as_a_hole_and_nothing_stands_in_for_it(lake: Lake, serving: Serve) -> None:
    with serving() as exchange:
        done = fetch(lake, "kraken", 2000)
        assert len(exchange.candle_requests()) == 1
    assert held(lake, "kraken").index[0] == ago(KRAKEN_WINDOW)
    assert [fact[:4] for fact in done.facts] == [("window", ago(2000), ago(KRAKEN_WINDOW + 1), 2000 - KRAKEN_WINDOW)]
    assert "kraken answered from" in done.facts[0].detail


def test_a_window_that_is_known_is_not_asked_for_again(lake: Lake, serving: Serve) -> None:
    with serving() as exchange:
        fetch(lake, "kraken", 2000)
        exchange.asked.clear()
        done = fetch(lake, "kraken", 2000)
        assert exchange.candle_requests() == []
    assert done == Collected(done.series)


def test_a_window_between_what_is_held_and_what_is_answered_is_a_gap_too(lake: Lake, serving: Serve) -> None:
    with serving() as exchange:
        exchange.now = NOW - 1500 * HOUR
        fetch(lake, "kraken", 1600)
        exchange.now = NOW
        done = fetch(lake, "kraken")
    hole = (ago(1500), ago(KRAKEN_WINDOW + 1))
    assert sorted((fact.kind, fact.start, fact.end) for fact in done.facts) == [("gap", *hole), ("window", *hole)]
    assert held(lake, "kraken").index[100] == ago(KRAKEN_WINDOW)


def test_a_range_wholly_before_the_window_brings_nothing_but_the_fact(lake: Lake, serving: Serve) -> None:
    with serving():
        done = fetch(lake, "kraken", 2000, 1900)
    assert (done.new, held(lake, "kraken").empty) == (0, True)
    assert [fact[:4] for fact in done.facts] == [("window", ago(2000), ago(1901), 100)]


def test_a_second_fetch_asks_for_what_is_new_and_for_the_last_candle_again(lake: Lake, serving: Serve) -> None:
    with serving() as exchange:
        exchange.now = NOW - 5 * HOUR
        fetch(lake, "kraken", 50)
        exchange.now = NOW
        exchange.asked.clear()
        done = fetch(lake, "kraken", 50)
        (asked,) = exchange.candle_requests()
    assert int(asked.query["since"]) == OPEN - 6 * HOUR - HOUR  # ccxt asks from one interval earlier
    assert (done.new, done.unchanged) == (5, 1)


def test_an_earlier_start_asks_for_what_is_earlier_alone(lake: Lake, serving: Serve) -> None:
    with serving(page=100) as exchange:
        fetch(lake, "bitfinex", 100)
        exchange.asked.clear()
        done = fetch(lake, "bitfinex", 250)
        starts = [int(asked.query["start"]) // 1000 for asked in exchange.candle_requests()]
    assert starts == [OPEN - hours * HOUR for hours in (250, 150)]
    assert (done.new, done.unchanged) == (150, 1)


def test_a_candle_that_was_changed_after_it_closed_becomes_a_revision(lake: Lake, serving: Serve) -> None:
    with serving() as exchange:
        fetch(lake, "kraken", 50)
        exchange.candles[OPEN - 3 * HOUR] = candle(OPEN - 3 * HOUR)._replace(volume="77.5")
        assert fetch(lake, "kraken", 50).revised == 0
        assert fetch(lake, "kraken", 50, again=True).revised == 1
    assert held(lake, "kraken").loc[ago(3), "volume"] == 77.5
    assert facts(lake, "kind", "start_ts") == [("revision", ago(3))]


def test_minutes_without_a_trade_are_a_gap_that_is_not_asked_for_again(lake: Lake, serving: Serve) -> None:
    with serving() as exchange:
        for hours in (40, 41, 60):
            del exchange.candles[OPEN - hours * HOUR]
        fetch(lake, "bitfinex", 100)
        assert facts(lake, "kind", "start_ts", "end_ts") == [("gap", ago(60), ago(60)), ("gap", ago(41), ago(40))]
        exchange.asked.clear()
        fetch(lake, "bitfinex", 100)
        assert exchange.candle_requests() == []


def test_a_gap_is_filled_when_asked_again(lake: Lake, serving: Serve) -> None:
    with serving() as exchange:
        del exchange.candles[OPEN - 40 * HOUR]
        fetch(lake, "bitfinex", 100)
        exchange.candles[OPEN - 40 * HOUR] = candle(OPEN - 40 * HOUR)
        assert fetch(lake, "bitfinex", 100, again=True).new == 1
    assert facts(lake, "kind") == []


def test_flat_candles_are_kept_and_counted(lake: Lake, serving: Serve) -> None:
    flat = candle(OPEN)._replace(open="5.0", high="5.0", low="5.0", close="5.0", volume="0.0")
    with serving() as exchange:
        exchange.candles = {ts: flat if ts == OPEN - 30 * HOUR else row for ts, row in exchange.candles.items()}
        fetch(lake, "kraken", 50)
    assert len(held(lake, "kraken")) == 50
    assert ("flat", 1) in facts(lake, "kind", "candles")


def test_candles_that_come_twice_are_stored_once_and_told(lake: Lake, serving: Serve) -> None:
    with serving() as exchange:
        exchange.repeat = {OPEN - 7 * HOUR}
        fetch(lake, "bitfinex", 20)
    assert len(held(lake, "bitfinex")) == 20
    assert facts(lake, "kind", "start_ts") == [("duplicate", ago(7))]


RATE_LIMIT = {"kraken": '{"error":["EAPI:Rate limit exceeded"]}', "bitfinex": '["error",11010,"ratelimit: error"]'}


@pytest.mark.parametrize("name", ["kraken", "bitfinex"])
@pytest.mark.parametrize("fault", ["500", "503", "520", "524", "429", "limit", "html", "empty", "null", "cut"])
def test_a_failure_that_passes_is_overcome(lake: Lake, serving: Serve, name: str, fault: str) -> None:
    answers = {
        "limit": (200 if name == "kraken" else 500, RATE_LIMIT[name]),
        "html": (200, "<html>checking your browser</html>"),
        "empty": (200, ""),
        "null": (200, "null"),
        "cut": (200, '{"error":[],"result":{"XXBTZUSD":[[16'),
    }
    with serving() as exchange:
        exchange.faults = [answers.get(fault, (int(fault) if fault.isdigit() else 0, "<html>down</html>"))] * 2
        assert fetch(lake, name, 20).new == 20
        assert len(exchange.candle_requests()) == 3


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("kraken", "<html>checking your browser</html>"),
        ("kraken", ""),
        ("kraken", "null"),
        ("kraken", "{}"),
        ("kraken", "[]"),
        ("kraken", '{"error":[],"result":null}'),
        ("kraken", '{"error":[],"result":{}}'),
        ("kraken", '{"error":[],"result":{"XXBTZUSD":[],"last":1}}'),
        ("bitfinex", "<html>checking your browser</html>"),
        ("bitfinex", ""),
        ("bitfinex", "null"),
        ("bitfinex", "{}"),
        ("bitfinex", "[]"),
        ("bitfinex", "[[1,2]]"),
        ("bitfinex", "[1,2,3]"),
    ],
)
def test_an_answer_that_is_none_does_not_read_as_no_candles(lake: Lake, serving: Serve, name: str, body: str) -> None:
    with serving() as exchange:
        fetch(lake, name, 30, 20)
        before = [lake.version(table) for table in ("candles", "quality", "markets")]
        exchange.faults = [(200, body)] * 50
        with pytest.raises(SourceError) as refused:
            fetch(lake, name, 30)
    assert "\n" not in str(refused.value)
    assert [lake.version(table) for table in ("candles", "quality", "markets")] == before


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (candle(OPEN)._replace(high="1.0"), "high 1 is below"),
        (candle(OPEN)._replace(low="-5.0"), "low is not above 0: -5"),
        (candle(OPEN)._replace(close="oops"), "close is missing"),
    ],
)
def test_a_candle_that_cannot_be_is_refused_with_its_batch(lake: Lake, serving: Serve, row: Any, reason: str) -> None:
    with serving() as exchange:
        exchange.candles[OPEN - 5 * HOUR] = row
        with pytest.raises(SourceError, match=f"kraken answered a 1h candle of BTC/USD at .* that cannot be: {reason}"):
            fetch(lake, "kraken", 20)
    assert held(lake, "kraken").empty


def test_an_interruption_keeps_the_pages_before_it_and_the_next_fetch_goes_on_there(lake: Lake, serving: Serve) -> None:
    with serving(page=100) as exchange:
        fetch(lake, "bitfinex", 100)
        answer = exchange.answer

        def fails_late(path: str, query: dict[str, str]) -> tuple[int, str]:
            late = "/candles/" in path and int(query["start"]) // 1000 >= OPEN - 300 * HOUR
            return (503, "down") if late else answer(path, query)

        exchange.answer = fails_late  # type: ignore[method-assign]
        with pytest.raises(SourceError, match=r"ExchangeNotAvailable.*tried 5 times"):
            fetch(lake, "bitfinex", 500)
        assert [len(held(lake, "bitfinex")), facts(lake, "kind")] == [300, []]
        exchange.answer = answer  # type: ignore[method-assign]
        exchange.asked.clear()
        fetch(lake, "bitfinex", 500)
        starts = [int(asked.query["start"]) // 1000 for asked in exchange.candle_requests()]
    assert starts[0] == OPEN - 301 * HOUR
    assert len(held(lake, "bitfinex")) == 500
    assert facts(lake, "kind") == []


def test_an_exchange_that_is_silent_before_its_first_candle_is_asked_page_by_page(lake: Lake, serving: Serve) -> None:
    with serving(first=OPEN - 50 * HOUR) as exchange:
        answer = exchange.answer

        def looks_a_page_ahead(path: str, query: dict[str, str]) -> tuple[int, str]:
            status, body = answer(path, query)
            ahead = int(query.get("start", 0)) + 10_000 * HOUR * 1000
            return (status, "[]") if "/candles/" in path and ahead < (OPEN - 50 * HOUR) * 1000 else (status, body)

        exchange.answer = looks_a_page_ahead  # type: ignore[method-assign]
        done = fetch(lake, "bitfinex", 25_000)
        assert len(exchange.candle_requests()) == 3
    assert done.new == 50
    assert [fact[:4] for fact in done.facts] == [("window", ago(25_000), ago(51), 24_950)]


def test_without_a_start_the_newest_page_is_fetched(lake: Lake, serving: Serve) -> None:
    with serving(page=300):
        assert fetch(lake, "bitfinex").new == 299
        assert fetch(lake, "kraken").new == KRAKEN_WINDOW


def test_the_market_is_known_with_its_steps_minimums_and_fees(lake: Lake, serving: Serve) -> None:
    with serving():
        fetch(lake, "kraken", 5)
        fetch(lake, "bitfinex", 5)
    kraken = read_market(lake, "kraken", SYMBOL)
    assert (kraken.base, kraken.quote, kraken.calendar) == ("BTC", "USD", "24/7")
    assert (kraken.amount_step, kraken.price_step, kraken.min_amount, kraken.min_cost) == (1e-8, 0.1, 0.00005, 0.5)
    assert (kraken.maker, kraken.taker) == (0.0025, 0.004)
    bitfinex = read_market(lake, "bitfinex", SYMBOL)
    assert (bitfinex.price_step, bitfinex.min_amount, bitfinex.min_cost) == (None, 0.00004, None)


def test_requests_keep_the_distance_that_the_exchange_asks_for(lake: Lake, serving: Serve) -> None:
    with serving() as exchange, ExchangeSource("bitfinex") as source:
        collect(source, lake, SYMBOL, "1h", ago(5))
        times = [asked.at for asked in exchange.asked]
    assert min(later - earlier for earlier, later in pairwise(times)) > 0.2


def test_a_misspelt_exchange_is_answered_with_the_nearest(lake: Lake) -> None:
    with pytest.raises(BadInput, match=r"^unknown exchange 'krakn': did you mean kraken\? ccxt has \d+$"):
        fetch(lake, "krakn")


def test_a_misspelt_symbol_is_answered_with_the_nearest_before_anything_is_fetched(lake: Lake, serving: Serve) -> None:
    with serving() as exchange, ExchangeSource("kraken", paced=False) as source:
        with pytest.raises(BadInput, match=r"^unknown symbol 'BTC/USDD': did you mean BTC/USD\? kraken has 1$"):
            collect(source, lake, "BTC/USDD", "1h")
        assert exchange.candle_requests() == []
    assert not lake.root.exists()


def test_a_timeframe_that_the_exchange_lacks_is_answered_with_those_it_has(lake: Lake, serving: Serve) -> None:
    with serving() as exchange, ExchangeSource("kraken", paced=False) as source:
        with pytest.raises(BadInput, match="kraken has no 2h candles; it has 1m, 5m, 15m, 30m, 1h, 4h, 1d, 1w, 2w"):
            collect(source, lake, SYMBOL, "2h")
        assert exchange.candle_requests() == []
    assert not lake.root.exists()


def test_an_exchange_that_cannot_be_reached_is_said_so(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JARVIS_EXCHANGE_URLS", '{"kraken": "http://127.0.0.1:9"}')
    with pytest.raises(SourceError, match=r"^NetworkError: kraken GET http://127.0.0.1:9/.*\(tried 5 times\)$"):
        fetch(lake, "kraken")


def test_an_address_that_is_none_is_refused(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JARVIS_EXCHANGE_URLS", '{"kraken": "file:///etc"}')
    with pytest.raises(BadInput, match="JARVIS_EXCHANGE_URLS: kraken needs an address with http"):
        fetch(lake, "kraken")


def test_the_client_is_closed_when_the_work_is_done(serving: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    import ccxt

    closed = []
    monkeypatch.setattr(ccxt.Exchange, "close", lambda self: closed.append(id(self)))
    with serving(), ExchangeSource("kraken", paced=False) as source:
        opened = id(source._client)
        assert opened not in closed
    assert opened in closed


def test_a_window_that_a_file_filled_is_told_no_more(lake: Lake, serving: Serve) -> None:
    with serving() as exchange:
        fetch(lake, "kraken", 800)
        assert facts(lake, "kind", "candles") == [("window", 80)]
        times = range(OPEN - 900 * HOUR, OPEN - KRAKEN_WINDOW * HOUR, HOUR)
        rows = [[float(text) for text in candle(ts)] for ts in times]
        index = pd.DatetimeIndex(pd.to_datetime(list(times), unit="s", utc=True), name="ts").as_unit("us")
        archive = pd.DataFrame(rows, columns=PRICES, index=index).assign(trades=9.0)
        store(Shelf(lake, Series("kraken", SYMBOL, "1h")), Batch(archive), Range(None, None), "24/7")
        assert facts(lake, "kind") == []
        assert fetch(lake, "kraken", 800, again=True).facts == ()
        exchange.asked.clear()
        fetch(lake, "kraken", 900)
        assert exchange.candle_requests() == []


def test_an_error_that_will_not_pass_is_not_tried_again() -> None:
    import ccxt

    calls = []

    def refuse() -> None:
        calls.append(1)
        raise ccxt.PermissionDenied("kraken says no")

    with pytest.raises(SourceError, match=r"^PermissionDenied: kraken says no$"):
        ask(refuse)
    assert len(calls) == 1
