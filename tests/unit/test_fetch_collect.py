"""Candles into the lake: once each, revised openly, with the facts about them; interrupted anywhere, whole."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.candles import read_candles
from data.errors import BadInput, LakeError, SourceError
from data.markets import Market, read_market
from data.views import connect
from data.writer import Claim, Lake
from tasks.fetch import store
from tasks.fetch.collect import Collected, collect
from tasks.fetch.files import FileSource
from tasks.fetch.quality import find_facts
from tasks.fetch.source import Batch

TABLES = ("candles", "quality", "markets")
START = pd.Timestamp("2024-01-01", tz="UTC")


def hours(count: int, skip: set[int] | None = None) -> pd.DataFrame:
    ts = pd.date_range(START, periods=count, freq="h", unit="us", name="ts")
    close = 100 + np.sin(np.arange(count))
    frame = pd.DataFrame({"open": close, "high": close + 1, "low": close - 1, "close": close, "volume": 5.0}, index=ts)
    frame["trades"] = 3.0
    return frame.iloc[[row for row in range(count) if row not in (skip or set())]]


class Shelf:
    """A source that answers the candles on it, a batch at a time, and may fail after some."""

    remote = False
    name = "shelf"

    def __init__(self, frame: pd.DataFrame, batch: int = 1000, fail_after: int | None = None) -> None:
        self.frame = frame
        self.batch = batch
        self.fail_after = fail_after
        self.taker: float | None = 0.004

    def market(self, symbol: str) -> Market:
        return Market(self.name, symbol, base="BTC", quote="USD", taker=self.taker)

    def candles(self, symbol: str, timeframe: str, since: datetime | None, until: datetime | None) -> Iterator[Batch]:
        inside = self.frame.loc[since:until]
        for number, row in enumerate(range(0, len(inside), self.batch)):
            if number == self.fail_after:
                raise SourceError("the shelf broke")
            part = inside.iloc[row : row + self.batch]
            yield Batch(part, done=row + len(part), total=len(inside))


def fill(lake: Lake, frame: pd.DataFrame, **options: Any) -> Collected:
    return collect(Shelf(frame, **options), lake, "BTC/USD", "1h")


def held(lake: Lake) -> pd.DataFrame:
    return read_candles(lake, "shelf", "BTC/USD", "1h")


def facts(lake: Lake, *, resolved: bool = False) -> list[tuple[str, datetime, datetime, int]]:
    connection = connect(lake)
    rows = connection.execute(
        f"SELECT kind, start_ts, end_ts, candles FROM quality WHERE resolved_at IS {'NOT' if resolved else ''} NULL "
        "ORDER BY start_ts, kind"
    ).fetchall()
    connection.close()
    return rows


def found(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    return sorted((fact[:4] for fact in find_facts(frame, "1h")), key=lambda fact: (fact[1], fact[0]))


def test_new_candles_are_stored_as_first_revisions(lake: Lake) -> None:
    done = fill(lake, hours(50))
    assert (done.new, done.revised, done.unchanged, done.facts) == (50, 0, 0, ())
    assert (done.first, done.last) == (START, START + pd.Timedelta(hours=49))
    pd.testing.assert_frame_equal(held(lake), hours(50), check_freq=False)
    revisions = (
        connect(lake).execute("SELECT DISTINCT revision, superseded_at, trades FROM candle_revisions").fetchall()
    )
    assert revisions == [(0, None, 3)]


def test_the_same_again_writes_nothing_at_all(lake: Lake) -> None:
    fill(lake, hours(300, skip={7, 8, 200}))
    before = [lake.version(table) for table in TABLES]
    done = fill(lake, hours(300, skip={7, 8, 200}), batch=13)
    assert (done.new, done.revised, done.unchanged, done.facts) == (0, 0, 297, ())
    assert [lake.version(table) for table in TABLES] == before


def test_a_changed_candle_is_kept_as_a_revision_in_one_commit(lake: Lake) -> None:
    fill(lake, hours(50))
    version = lake.version("candles")
    changed = hours(51)
    changed.iloc[20, changed.columns.get_loc("volume")] = 7.5
    done = fill(lake, changed)
    assert (done.new, done.revised, done.unchanged) == (1, 1, 49)
    assert lake.version("candles") == version + 1
    rows = connect(lake).execute(
        "SELECT revision, volume, superseded_at IS NULL FROM candle_revisions WHERE ts = ? ORDER BY revision",
        [changed.index[20]],
    )
    assert rows.fetchall() == [(0, 5.0, False), (1, 7.5, True)]
    assert [(fact.kind, fact.start, fact.detail) for fact in done.facts] == [
        ("revision", changed.index[20], "volume 5.0 became 7.5 (revision 1)")
    ]
    pd.testing.assert_frame_equal(held(lake), changed, check_freq=False)


def test_what_was_known_at_a_time_can_be_read_later(lake: Lake) -> None:
    fill(lake, hours(3))
    for close in (100.25, 100.5):
        changed = hours(3)
        changed.iloc[1, changed.columns.get_loc("close")] = close
        fill(lake, changed)
    rows = connect(lake).execute(
        "SELECT fetched_at, superseded_at, close FROM candle_revisions WHERE ts = ? ORDER BY revision",
        [hours(3).index[1]],
    )
    (_, first_end, _), (second, second_end, close), (third, third_end, _) = rows.fetchall()
    assert first_end <= second < second_end <= third
    assert third_end is None
    assert close == 100.25


def test_a_count_of_trades_that_only_one_source_knows_is_no_revision(lake: Lake) -> None:
    fill(lake, hours(5))
    assert fill(lake, hours(5).assign(trades=np.nan)).revised == 0
    assert fill(lake, hours(5).assign(trades=4.0)).revised == 5


def test_a_gap_is_resolved_when_it_is_filled_and_what_is_left_of_it_stays(lake: Lake) -> None:
    whole = hours(100)
    fill(lake, hours(100, skip={40, 41, 42, 43}))
    assert facts(lake) == [("gap", whole.index[40], whole.index[43], 4)]
    done = fill(lake, hours(100, skip={42, 43}))
    assert [fact[:4] for fact in done.facts] == [("gap", whole.index[42], whole.index[43], 2)]
    assert facts(lake) == [("gap", whole.index[42], whole.index[43], 2)]
    fill(lake, whole)
    assert facts(lake) == []
    assert len(facts(lake, resolved=True)) == 2


def test_a_fact_that_is_known_keeps_the_time_at_which_it_was_found(lake: Lake) -> None:
    fill(lake, hours(100, skip={40}))
    (before,) = connect(lake).execute("SELECT found_at FROM quality").fetchall()
    fill(lake, hours(140, skip={40, 120}))
    after = connect(lake).execute("SELECT found_at FROM quality ORDER BY start_ts").fetchall()
    assert after[0] == before
    assert after[1] > before


@pytest.mark.slow
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    absent=st.sets(st.integers(1, 398), max_size=40), spikes=st.sets(st.integers(110, 399), max_size=3), data=st.data()
)
def test_facts_do_not_depend_on_how_the_candles_came(
    tmp_path_factory: pytest.TempPathFactory, absent: set[int], spikes: set[int], data: st.DataObject
) -> None:
    whole = hours(400)
    for row in spikes:
        whole.iloc[row, whole.columns.get_loc("low")] = 20.0
    for row in range(5, 400, 50):
        whole.iloc[row, :5] = [100.0, 100.0, 100.0, 100.0, 0.0]
    whole = whole.iloc[[row for row in range(400) if row not in absent]]
    cut = data.draw(st.integers(1, len(whole) - 1))
    lake = Lake(tmp_path_factory.mktemp("lake"))
    parts = [whole.iloc[:cut], whole.iloc[cut:]]
    for part in reversed(parts) if data.draw(st.booleans()) else parts:
        fill(lake, part, batch=data.draw(st.sampled_from([30, 150, 1000])))
    assert facts(lake) == found(whole)


def test_a_failure_leaves_what_was_stored_before_and_nothing_of_the_rest(lake: Lake) -> None:
    with pytest.raises(SourceError, match="the shelf broke"):
        fill(lake, hours(500, skip={30, 450}), batch=100, fail_after=3)
    assert len(held(lake)) == 300
    assert [fact[1] for fact in facts(lake)] == [hours(500).index[30]]
    fill(lake, hours(500, skip={30, 450}), batch=100)
    assert facts(lake) == found(hours(500, skip={30, 450}))


def test_killed_between_facts_and_candles_the_next_collection_finds_both(lake: Lake, monkeypatch: Any) -> None:
    def killed(*args: Any) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Lake, "append", killed)
        with pytest.raises(KeyboardInterrupt):
            fill(lake, hours(100, skip={40}))
    assert held(lake).empty
    fill(lake, hours(100, skip={40}))
    assert len(held(lake)) == 99
    assert facts(lake) == found(hours(100, skip={40}))


def test_collectors_at_once_store_every_candle_once(lake: Lake) -> None:
    with ThreadPool(4) as pool:
        done = pool.map(lambda batch: fill(lake, hours(240, skip={50}), batch=batch), (60, 70, 80, 90))
    assert sum(one.new for one in done) == 239
    assert connect(lake).execute("SELECT count(*), count(DISTINCT ts) FROM candle_revisions").fetchall() == [(239, 239)]
    assert facts(lake) == found(hours(240, skip={50}))


def test_a_claim_lost_to_another_collector_is_tried_again_with_its_candles_held(lake: Lake, monkeypatch: Any) -> None:
    append = Lake.append
    overtaken = []

    def overtake(self: Lake, name: str, rows: Any, claim: Claim | None = None) -> bool:
        if name == "candles" and not overtaken:
            overtaken.append(True)
            fill(lake, hours(60))
        return append(self, name, rows, claim)

    monkeypatch.setattr(Lake, "append", overtake)
    done = fill(lake, hours(100))
    assert (done.new, done.unchanged) == (40, 60)
    assert len(held(lake)) == 100


def test_the_market_is_written_once_and_again_when_it_changes(lake: Lake) -> None:
    source = Shelf(hours(5))
    collect(source, lake, "BTC/USD", "1h")
    version = lake.version("markets")
    collect(source, lake, "BTC/USD", "1h")
    assert lake.version("markets") == version
    source.taker = 0.0035
    collect(source, lake, "BTC/USD", "1h")
    assert read_market(lake, "shelf", "BTC/USD").taker == 0.0035
    source.taker = None
    collect(source, lake, "BTC/USD", "1h")
    assert read_market(lake, "shelf", "BTC/USD").taker == 0.0035


def test_progress_is_told_after_each_batch(lake: Lake) -> None:
    told: list[tuple[int, int]] = []
    collect(Shelf(hours(50), batch=20), lake, "BTC/USD", "1h", progress=lambda done, total: told.append((done, total)))
    assert told == [(20, 50), (40, 50), (50, 50)]


def test_a_range_that_is_empty_is_refused(lake: Lake) -> None:
    with pytest.raises(BadInput, match="start 2024-01-02 00:00 is not before end 2024-01-02 00:00"):
        collect(Shelf(hours(5)), lake, "BTC/USD", "1h", datetime(2024, 1, 2), datetime(2024, 1, 2))  # noqa: DTZ001


def test_a_lake_that_never_lets_the_claim_go_is_said_so(lake: Lake, monkeypatch: Any) -> None:
    monkeypatch.setattr(Lake, "append", lambda *args: False)
    with pytest.raises(LakeError, match=f"{store._ATTEMPTS} commits lost against other collectors"):
        fill(lake, hours(5))


@pytest.fixture
def kraken(lake: Lake, market_data: Path) -> Lake:
    """A lake with Kraken's hours of 2021 and days of six years, of both markets."""
    for base in ("BTC", "ETH"):
        for name in ("1h_2021", "1d_2015-08-07_2021-12-31"):
            path = market_data / f"kraken_{base}-USD_{name}.csv"
            source = FileSource(path, exchange="kraken", symbol=f"{base}/USD")
            collect(source, lake, source.symbol, source.timeframe)
    return lake


def test_krakens_outages_of_2021_are_found(kraken: Lake) -> None:
    rows = connect(kraken).execute(
        """SELECT symbol, strftime(start_ts, '%m-%d %H'), strftime(end_ts, '%m-%d %H'), candles FROM quality
        WHERE kind = 'gap' AND timeframe = '1h' ORDER BY symbol, start_ts"""
    )
    outages = [("01-29 16", "01-29 16", 1), ("07-22 22", "07-23 01", 4), ("07-23 13", "07-23 13", 1)]
    assert rows.fetchall() == [(symbol, *outage) for symbol in ("BTC/USD", "ETH/USD") for outage in outages]


def test_krakens_hours_make_its_days_exactly(kraken: Lake) -> None:
    for symbol in ("BTC/USD", "ETH/USD"):
        hourly = read_candles(kraken, "kraken", symbol, "1h")
        daily = read_candles(kraken, "kraken", symbol, "1d").loc["2021":]
        groups = hourly.groupby(hourly.index.floor("D"))
        assert len(groups) == len(daily) == 365
        for day, group in groups:
            volume = sum(Decimal(repr(printed)) for printed in group["volume"].tolist())
            made = (group["open"].iloc[0], group["high"].max(), group["low"].min(), group["close"].iloc[-1], volume)
            told = daily.loc[day].tolist()
            assert made == (*told[:4], Decimal(repr(told[4])))
            assert group["trades"].sum() == told[5]


def test_krakens_hours_make_its_days_exactly_in_sql_too(kraken: Lake) -> None:
    rows = connect(kraken).execute(
        """WITH days AS (
            SELECT exchange, symbol, date_trunc('day', ts) AS ts, sum(volume::DECIMAL(28, 10)) AS volume
            FROM candles WHERE timeframe = '1h' GROUP BY ALL
        )
        SELECT symbol, count(*), count(*) FILTER (days.volume = daily.volume::DECIMAL(28, 10))
        FROM days JOIN candles AS daily USING (exchange, symbol, ts) WHERE daily.timeframe = '1d'
        GROUP BY symbol ORDER BY symbol"""
    )
    assert rows.fetchall() == [("BTC/USD", 365, 365), ("ETH/USD", 365, 365)]


def test_krakens_files_a_second_time_write_nothing(kraken: Lake, market_data: Path) -> None:
    before = [kraken.version(table) for table in TABLES]
    source = FileSource(market_data / "kraken_BTC-USD_1h_2021.csv", exchange="kraken", symbol="BTC/USD")
    done = collect(source, kraken, "BTC/USD", "1h")
    assert (done.new, done.revised, done.unchanged) == (0, 0, 8754)
    assert [kraken.version(table) for table in TABLES] == before


def test_the_flash_crash_is_in_the_table_of_quality(kraken: Lake) -> None:
    rows = connect(kraken).execute(
        "SELECT timeframe FROM quality WHERE kind = 'outlier' AND symbol = 'ETH/USD' AND start_ts::DATE = '2021-02-22'"
    )
    assert sorted(rows.fetchall()) == [("1d",), ("1h",)]
