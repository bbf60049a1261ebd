"""Candles as they close: at a real practice exchange, and at one whose candles come late, change or stay away."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pandas as pd
import pytest

from data.candles import read_candles
from data.errors import BadInput, Refused, SourceError
from data.upkeep import compact
from data.views import connect
from data.writer import Lake
from tasks.exchange import client as client_module
from tasks.fetch import fetch_data, fetch_live
from tasks.fetch.live import LiveMarket, live_market
from tests.servers.practice_exchange import NOW as PRACTICE_NOW
from tests.servers.practice_exchange import Practice, practice_exchange
from tests.servers.public_exchange import HOUR, KRAKEN_WINDOW, PublicExchange, candle, serve

NOW = 1_768_480_200
"""Half past the hour: the candle that opened at the full hour is still open."""
OPEN = NOW // HOUR * HOUR
SYMBOL = "BTC/USD"
MINUTE = pd.Timedelta(minutes=1)
TABLES = ("candles", "quality", "markets")


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_PAUSES", (0.01, 0.01, 0.01))


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> Iterator[PublicExchange]:
    """An exchange in Kraken's words whose clock and candles the test sets by hand."""
    with serve(PublicExchange(NOW, OPEN - 900 * HOUR)) as exchange:
        monkeypatch.setenv("JARVIS_EXCHANGE_URLS", json.dumps({"kraken": exchange.url}))
        monkeypatch.setattr("tasks.fetch.live.ExchangeClock", lambda _: StillClock(exchange))
        yield exchange


class StillClock:
    """The clock of that exchange, which moves by hand."""

    speed = None

    def __init__(self, exchange: PublicExchange) -> None:
        self._exchange = exchange

    def now(self) -> int:
        return self._exchange.now * 1_000_000_000


@contextmanager
def opened() -> Iterator[LiveMarket]:
    with LiveMarket("kraken", paced=False) as market:
        yield market


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[Practice], Any]:
    """Open the public data of a practice exchange."""

    def start(practice: Practice) -> Any:
        monkeypatch.setenv("JARVIS_EXCHANGE_URLS", json.dumps({"practice": practice.url}))
        return live_market("practice")

    return start


def ago(hours: float) -> pd.Timestamp:
    """The candle that opened so many hours before the open one."""
    return pd.Timestamp(OPEN - hours * HOUR, unit="s", tz="UTC")


def versions(lake: Lake) -> list[int]:
    return [lake.version(table) for table in TABLES]


def facts(lake: Lake) -> list[tuple[Any, ...]]:
    query = "SELECT kind, start_ts, end_ts FROM quality WHERE resolved_at IS NULL AND kind <> 'flat' ORDER BY kind"
    return connect(lake).execute(query).fetchall()


def as_in_the_lake(lake: Lake, frame: pd.DataFrame, exchange: str, timeframe: str) -> bool:
    """Whether a frame is what a reader of the lake gets, to the last bit and with the same version."""
    held = read_candles(lake, exchange, SYMBOL, timeframe, frame.index[0])
    pd.testing.assert_frame_equal(frame, held, check_exact=True)
    return frame.attrs == held.attrs


def test_each_step_brings_the_candle_that_has_closed_and_not_the_open_one(lake: Lake, at: Any) -> None:
    with practice_exchange() as practice, at(practice) as market:
        start = market.now().floor("min") - 30 * MINUTE
        for _ in range(5):
            frame = market.newest(lake, SYMBOL, "1m", start)
            assert frame.index[-1] == market.now().floor("min") - MINUTE
            assert (frame.index[1:] - frame.index[:-1] == MINUTE).all()
            assert frame.index[0] == start
            assert as_in_the_lake(lake, frame, "practice", "1m")
            practice.step(60)


def test_it_is_the_exchanges_clock_by_which_candles_close(lake: Lake, at: Any) -> None:
    with practice_exchange(start=PRACTICE_NOW + 400 * 86_400 * 10**9) as practice, at(practice) as market:
        assert market.now().timestamp() * 10**9 == PRACTICE_NOW + 400 * 86_400 * 10**9
        frame = market.newest(lake, SYMBOL, "1h", market.now() - pd.Timedelta(hours=5))
        assert frame.index[-1] == market.now().floor("h") - pd.Timedelta(hours=1)


def test_nothing_is_written_and_nothing_asked_while_no_candle_closes(lake: Lake, at: Any) -> None:
    with practice_exchange() as practice, at(practice) as market:
        start = market.now() - 30 * MINUTE
        before = market.newest(lake, SYMBOL, "1m", start)
        written, asked = versions(lake), len(practice.journal("OHLC"))
        for _ in range(3):
            practice.step(5)
            pd.testing.assert_frame_equal(market.newest(lake, SYMBOL, "1m", start), before)
        assert versions(lake) == written
        assert len(practice.journal("OHLC")) == asked


def test_one_candle_costs_one_commit_and_one_request_and_the_markets_are_loaded_once(lake: Lake, at: Any) -> None:
    with practice_exchange(symbols=(SYMBOL, "ETH/USD")) as practice, at(practice) as market:
        start = market.now() - 30 * MINUTE
        for symbol in (SYMBOL, "ETH/USD"):
            market.newest(lake, symbol, "1m", start)
        written = versions(lake)
        for steps in range(1, 4):
            practice.step(60)
            for symbol in (SYMBOL, "ETH/USD"):
                market.newest(lake, symbol, "1m", start)
            assert lake.version("candles") == written[0] + 2 * steps
        assert len(practice.journal("OHLC")) == 2 * 4
        assert len(practice.journal("AssetPairs")) == 1
        assert lake.version("markets") == written[2]


def test_a_new_process_goes_on_where_the_last_one_stopped(lake: Lake, at: Any) -> None:
    with practice_exchange() as practice:
        with at(practice) as market:
            start = market.now().floor("min") - 30 * MINUTE
            market.newest(lake, SYMBOL, "1m", start)
        practice.step(600)
        with at(practice) as market:
            frame = market.newest(lake, SYMBOL, "1m", start)
    assert len(frame) == 40
    assert as_in_the_lake(lake, frame, "practice", "1m")


def test_what_another_process_wrote_meanwhile_is_seen(lake: Lake, late: PublicExchange) -> None:
    with opened() as market, opened() as other:
        market.newest(lake, SYMBOL, "1h", ago(20))
        late.now += HOUR
        late.candles[OPEN + HOUR] = candle(OPEN + HOUR)
        other.newest(lake, SYMBOL, "1h", ago(20))
        written = versions(lake)
        frame = market.newest(lake, SYMBOL, "1h", ago(20))
        assert frame.index[-1] == ago(0)
        assert versions(lake) == written


def test_a_candle_that_is_due_and_not_shown_is_waited_for(lake: Lake, late: PublicExchange) -> None:
    with opened() as market:
        market.newest(lake, SYMBOL, "1h", ago(20))
        del late.candles[OPEN]
        late.now = OPEN + HOUR + 1
        late.candles[OPEN + HOUR] = candle(OPEN + HOUR)
        shown = threading.Timer(0.5, late.candles.__setitem__, (OPEN, candle(OPEN)))
        shown.start()
        began = time.monotonic()
        frame = market.newest(lake, SYMBOL, "1h", ago(20), due=ago(0), patience=10)
        shown.join()
    assert 0.4 < time.monotonic() - began < 5
    assert frame.index[-1] == ago(0)


def test_the_step_goes_on_without_a_candle_that_does_not_come(lake: Lake, late: PublicExchange) -> None:
    with opened() as market:
        market.newest(lake, SYMBOL, "1h", ago(20))
        del late.candles[OPEN]
        late.now = OPEN + HOUR
        late.candles[OPEN + HOUR] = candle(OPEN + HOUR)
        began = time.monotonic()
        frame = market.newest(lake, SYMBOL, "1h", ago(20), due=ago(0), patience=0.5)
        assert 0.4 < time.monotonic() - began < 3
        assert frame.index[-1] == ago(1)


def test_a_candle_of_long_ago_is_not_waited_for(lake: Lake, late: PublicExchange) -> None:
    del late.candles[OPEN - HOUR]
    with opened() as market:
        began = time.monotonic()
        frame = market.newest(lake, SYMBOL, "1h", ago(20), patience=60)
    assert time.monotonic() - began < 5
    assert frame.index[-1] == ago(2)


def test_a_candle_that_comes_late_fills_its_gap_and_the_gap_is_told_no_more(lake: Lake, late: PublicExchange) -> None:
    missed = late.candles.pop(OPEN)
    with opened() as market:
        market.newest(lake, SYMBOL, "1h", ago(20))
        for hour in (1, 2):
            late.now = OPEN + hour * HOUR + 60
            late.candles[OPEN + hour * HOUR] = candle(OPEN + hour * HOUR)
            market.newest(lake, SYMBOL, "1h", ago(20), patience=0)
        assert facts(lake) == [("gap", ago(0), ago(0))]
        late.candles[OPEN] = missed
        late.now += HOUR
        late.candles[OPEN + 3 * HOUR] = candle(OPEN + 3 * HOUR)
        frame = market.newest(lake, SYMBOL, "1h", ago(20), patience=0)
    assert len(frame) == 20 + 3
    assert frame.index[-1] == ago(-2)
    assert facts(lake) == []
    assert as_in_the_lake(lake, frame, "kraken", "1h")


def test_a_candle_left_out_of_a_long_answer_is_asked_for_with_the_next_one(
    lake: Lake, late: PublicExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened() as market:
        market.newest(lake, SYMBOL, "1h", ago(20))
    for hour in range(1, 31):
        late.candles[OPEN + hour * HOUR] = candle(OPEN + hour * HOUR)
    late.now += 30 * HOUR
    left_out = late.candles.pop(OPEN + 3 * HOUR)
    with opened() as market:
        market.newest(lake, SYMBOL, "1h", ago(20))
    assert facts(lake) == [("gap", ago(-3), ago(-3))]
    late.candles[OPEN + 3 * HOUR] = left_out
    late.candles[OPEN + 31 * HOUR] = candle(OPEN + 31 * HOUR)
    late.now += HOUR
    with opened() as market:
        frame = market.newest(lake, SYMBOL, "1h", ago(20))
    assert len(frame) == 20 + 31
    assert facts(lake) == []


def test_a_gap_of_long_ago_is_not_asked_for_again(
    lake: Lake, late: PublicExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    late.candles.pop(OPEN - 18 * HOUR)
    with opened() as market:
        market.newest(lake, SYMBOL, "1h", ago(20))
        monkeypatch.setattr("tasks.fetch.live._LATELY", timedelta(0))
        monkeypatch.setattr(market, "_ours", lambda _: 0.0)
        late.candles[OPEN + HOUR] = candle(OPEN + HOUR)
        late.now += HOUR
        late.asked.clear()
        market.newest(lake, SYMBOL, "1h", ago(20))
    since = [int(asked.query["since"]) for asked in late.candle_requests()]
    assert len(since) == 1
    assert since[0] >= OPEN - 12 * HOUR


def test_a_candle_that_was_changed_after_it_closed_is_found_with_the_next(lake: Lake, late: PublicExchange) -> None:
    with opened() as market:
        market.newest(lake, SYMBOL, "1h", ago(20))
        late.candles[OPEN - 3 * HOUR] = candle(OPEN - 3 * HOUR)._replace(volume="77.5")
        late.candles[OPEN - 15 * HOUR] = candle(OPEN - 15 * HOUR)._replace(volume="78.5")
        late.now += HOUR
        late.candles[OPEN + HOUR] = candle(OPEN + HOUR)
        frame = market.newest(lake, SYMBOL, "1h", ago(20))
        assert frame.loc[ago(3), "volume"] == 77.5
        assert frame.loc[ago(15), "volume"] != 78.5  # too long ago to be asked for again
        assert facts(lake) == [("revision", ago(3), ago(3))]
        assert as_in_the_lake(lake, frame, "kraken", "1h")


def test_what_is_older_than_the_exchanges_window_is_a_known_hole_that_is_asked_for_once(
    lake: Lake, late: PublicExchange
) -> None:
    with opened() as market:
        frame = market.newest(lake, SYMBOL, "1h", ago(800))
        assert frame.index[0] == ago(KRAKEN_WINDOW)
        assert facts(lake) == [("window", ago(800), ago(KRAKEN_WINDOW + 1))]
    late.asked.clear()
    with opened() as market:
        market.newest(lake, SYMBOL, "1h", ago(800))
        assert late.candle_requests() == []


def test_a_short_history_is_judged_by_all_that_the_lake_holds_before_it(lake: Lake, late: PublicExchange) -> None:
    with opened() as market:
        market.newest(lake, SYMBOL, "1h", ago(700))
    before = connect(lake).execute("SELECT * FROM quality ORDER BY ALL").fetchall()
    late.now += HOUR
    late.candles[OPEN + HOUR] = candle(OPEN + HOUR)
    with opened() as market:
        assert len(market.newest(lake, SYMBOL, "1h", ago(3))) == 4
    assert connect(lake).execute("SELECT * FROM quality ORDER BY ALL").fetchall() == before


@pytest.mark.parametrize("fault", [(503, "down"), (200, ""), (200, "null"), (200, "<html>"), (200, '{"error":[]}')])
def test_a_read_that_fails_is_repeated_within_seconds(lake: Lake, late: PublicExchange, fault: tuple[int, str]) -> None:
    with opened() as market:
        late.faults = [fault] * 2
        assert len(market.newest(lake, SYMBOL, "1h", ago(20))) == 20


def test_an_exchange_that_is_down_is_said_so_and_nothing_is_written(lake: Lake, late: PublicExchange) -> None:
    with opened() as market:
        late.faults = [(503, "down")] * 20
        with pytest.raises(SourceError, match="tried 4 times") as refused:
            market.newest(lake, SYMBOL, "1h", ago(20))
    assert "\n" not in str(refused.value)
    assert not lake.root.exists()


@pytest.mark.parametrize(
    ("symbol", "timeframe", "start", "said"),
    [
        ("BTC/USDD", "1h", 20, "unknown symbol 'BTC/USDD': did you mean BTC/USD"),
        (SYMBOL, "2h", 20, "kraken has no 2h candles; it has 1m, 5m"),
        (SYMBOL, "1h", -5, "no candle of BTC/USD has closed since"),
    ],
)
def test_what_cannot_be_fetched_is_refused_in_one_line(
    lake: Lake, late: PublicExchange, symbol: str, timeframe: str, start: int, said: str
) -> None:
    with opened() as market, pytest.raises(BadInput, match=said) as refused:
        market.newest(lake, symbol, timeframe, ago(start))
    assert "\n" not in str(refused.value)
    assert late.candle_requests() == []


def test_a_halted_market_is_refused(lake: Lake, late: PublicExchange) -> None:
    with opened() as market:
        market._client.markets[SYMBOL]["active"] = False
        with pytest.raises(Refused, match="kraken does not trade BTC/USD now"):
            market.newest(lake, SYMBOL, "1h", ago(20))
    assert late.candle_requests() == []


def test_an_unknown_exchange_is_answered_with_the_nearest() -> None:
    with pytest.raises(BadInput, match="did you mean practice"), live_market("practise"):
        pass


def test_the_stage_gives_what_the_collection_of_a_backtest_gives(lake: Lake, late: PublicExchange) -> None:
    with opened() as market:
        live = fetch_live(market, lake, SYMBOL, "1h", ago(50), due=ago(1))
    held = fetch_data(lake, "kraken", SYMBOL, "1h", ago(50), offline=True)
    pd.testing.assert_frame_equal(live, held, check_exact=True)
    assert len(live) == 50


def test_candles_go_on_after_their_files_were_put_together(lake: Lake, at: Any) -> None:
    with practice_exchange() as practice, at(practice) as market:
        start = market.now() - 30 * MINUTE
        for _ in range(6):
            market.newest(lake, SYMBOL, "1m", start)
            practice.step(60)
        assert not compact(lake, "candles", above=10)
        assert compact(lake, "candles", above=5)
        table = lake.table("candles")
        assert table is not None
        assert len(table.file_uris()) == 1
        frame = market.newest(lake, SYMBOL, "1m", start)
        assert len(frame) == 36
        assert as_in_the_lake(lake, frame, "practice", "1m")
