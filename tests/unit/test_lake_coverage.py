"""What the log tells of every series, against the candles themselves."""

from __future__ import annotations

import pandas as pd
import pytest

from data.coverage import coverage
from data.errors import LakeError
from data.upkeep import compact
from data.views import connect
from data.writer import Lake
from tests.unit import lake_rows as rows

_COUNTED = """SELECT exchange, symbol, timeframe, min(ts), max(ts), max(fetched_at),
    count(*) FILTER (superseded_at IS NULL), count(superseded_at)
    FROM candle_revisions GROUP BY ALL ORDER BY ALL"""


def test_a_lake_without_candles_covers_nothing(lake: Lake) -> None:
    assert coverage(lake) == []
    lake.append("candles", rows.candles(0))
    assert coverage(lake) == []


def test_what_the_log_tells_is_what_the_candles_say(lake: Lake) -> None:
    lake.append("candles", rows.candles(5))
    lake.append("candles", rows.candles(3, start="2024-01-01 09:00"))
    lake.append("candles", rows.candles(2, symbol="ETH/USD", timeframe="1d"))
    revised = rows.candles(2)
    later = rows.EPOCH + pd.Timedelta(days=3)
    lake.upsert(
        "candles",
        pd.concat([revised.assign(superseded_at=later), revised.assign(revision=1, fetched_at=later, close=101.5)]),
    )
    told = [tuple(held)[:8] for held in coverage(lake)]
    with connect(lake) as connection:
        assert told == connection.execute(_COUNTED).fetchall()
    bitcoin, ether = coverage(lake)
    assert (bitcoin.candles, bitcoin.superseded, bitcoin.fetched_at) == (8, 2, later)
    assert bitcoin.size == sum(
        file.stat().st_size for file in map(lake.path("candles").joinpath, _files(lake)) if "BTC" in str(file)
    )
    assert ether.files == 1


def _files(lake: Lake) -> list[str]:
    table = lake.table("candles")
    assert table is not None
    return lake.files("candles", table)


def test_compaction_changes_nothing_but_files_and_size(lake: Lake) -> None:
    for hour in range(5):
        lake.append("candles", rows.candles(1, start=rows.EPOCH + pd.Timedelta(hours=hour)))
    (before,) = coverage(lake)
    compact(lake, "candles", above=1)
    (after,) = coverage(lake)
    assert before.files == 5
    assert after == before._replace(files=1, size=after.size)


def test_a_torn_file_of_candles_is_still_counted_and_a_torn_log_is_said(lake: Lake) -> None:
    lake.append("candles", rows.candles(5))
    for file in rows.data_files(lake, "candles"):
        file.write_bytes(b"torn")
    (held,) = coverage(lake)
    assert held.candles == 5
    for entry in (lake.path("candles") / "_delta_log").iterdir():
        entry.write_text("torn")
    with pytest.raises(LakeError, match="cannot be read"):
        coverage(lake)
