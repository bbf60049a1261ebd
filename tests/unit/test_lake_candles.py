"""Candles out of the lake: the current ones, in order, between the bounds, and their fingerprint."""

from __future__ import annotations

import hashlib
import struct
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data.candles import PRICES, fingerprint, fingerprints, read_candles
from data.errors import BadInput
from data.writer import Lake
from tests.unit.lake_rows import EPOCH, candles, hours


def read(lake: Lake, **bounds: datetime | None) -> pd.DataFrame:
    return read_candles(lake, "kraken", "BTC/USD", "1h", **bounds)


def assert_well_formed(frame: pd.DataFrame) -> None:
    assert frame.index.name == "ts"
    assert str(frame.index.dtype) == "datetime64[us, UTC]"
    assert frame.index.is_monotonic_increasing
    assert frame.index.is_unique
    assert list(frame.columns) == [*PRICES, "trades"]
    assert set(frame.dtypes) == {np.dtype("float64")}


def test_an_empty_lake_gives_an_empty_frame(lake: Lake) -> None:
    assert_well_formed(read(lake))
    assert read(lake).empty
    assert not lake.root.exists()


def test_an_unknown_series_gives_an_empty_frame(lake: Lake) -> None:
    lake.append("candles", candles())
    for series in (("binance", "BTC/USD", "1h"), ("kraken", "BTC/US", "1h"), ("kraken", "BTC/USD", "1d")):
        assert_well_formed(read_candles(lake, *series))
        assert read_candles(lake, *series).empty


def test_the_frame_bears_what_was_written(lake: Lake) -> None:
    lake.append("candles", candles(2, trades=[3, None]))
    frame = read(lake)
    assert_well_formed(frame)
    assert frame.index.tolist() == hours(2).tolist()
    assert frame.to_dict("list") == {
        "open": [100, 101],
        "high": [102, 103],
        "low": [98, 99],
        "close": [101, 102],
        "volume": [5, 5],
        "trades": [3, pytest.approx(float("nan"), nan_ok=True)],
    }


def test_candles_are_in_order_however_they_came(lake: Lake) -> None:
    for k in (5, 0, 3, 1, 4, 2):
        lake.append("candles", candles(10, start=EPOCH + timedelta(hours=10 * k)))
    assert_well_formed(read(lake))
    assert read(lake).index.equals(hours(60).as_unit("us").rename("ts"))


def test_start_is_inclusive_and_end_exclusive(lake: Lake) -> None:
    lake.append("candles", candles(5))
    ts = hours(5).to_pydatetime()
    microsecond = timedelta(microseconds=1)
    assert read(lake, start=ts[1], end=ts[3]).index.tolist() == list(hours(5)[1:3])
    assert len(read(lake, start=ts[1] + microsecond, end=ts[3] + microsecond)) == 2
    assert len(read(lake, start=ts[1])) == 4
    assert len(read(lake, end=ts[1])) == 1
    assert_well_formed(read(lake, start=ts[4] + microsecond))
    assert read(lake, start=ts[3], end=ts[3]).empty
    assert read(lake, start=ts[3], end=ts[1]).empty


def test_a_bound_of_another_zone_is_the_same_instant(lake: Lake) -> None:
    lake.append("candles", candles(5))
    three = datetime(2024, 1, 1, 5, tzinfo=timezone(timedelta(hours=2)))
    assert read(lake, start=three).index[0] == pd.Timestamp("2024-01-01 03:00", tz="UTC")


@pytest.mark.parametrize("bound", ["start", "end"])
def test_a_bound_without_a_zone_is_refused(lake: Lake, bound: str) -> None:
    with pytest.raises(BadInput, match=f"{bound} 2024-01-01 00:00:00 bears no time zone; give it in UTC"):
        read(lake, **{bound: datetime(2024, 1, 1)})  # noqa: DTZ001


def test_candles_long_before_1970_and_after_2100_keep_their_microsecond(lake: Lake) -> None:
    instants = [datetime(1850, 1, 1, 0, 0, 0, 1, UTC), datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC)]
    instants += [datetime(2101, 6, 1, 12, 0, 0, 7, UTC), datetime(2400, 2, 29, tzinfo=UTC)]
    lake.append("candles", candles(4, ts=instants))
    assert [ts.to_pydatetime() for ts in read(lake).index] == instants
    assert len(read(lake, start=instants[1], end=instants[3])) == 2


def test_only_the_current_revision_is_read(lake: Lake) -> None:
    lake.append("candles", candles(3))
    old = candles(3).iloc[[1]].assign(superseded_at=EPOCH)
    new = candles(3).iloc[[1]].assign(revision=1, close=55.0)
    lake.upsert("candles", pd.concat([old, new]))
    assert_well_formed(read(lake))
    assert read(lake)["close"].tolist() == [101, 55, 103]


def test_reading_pays_for_its_own_series_alone(lake: Lake) -> None:
    lake.append("candles", candles(10))
    lake.append("candles", candles(10, symbol="ETH/USD"))
    next(file for file in lake.path("candles").rglob("*.parquet") if "ETH" in str(file)).unlink()
    assert len(read(lake)) == 10


FIXED = pd.DataFrame(
    {"open": [1.0, 2.0], "high": [3.0, 4.0], "low": [0.5, 0.25], "close": [1.5, -0.0], "volume": [0.0, 1e9]},
    index=pd.DatetimeIndex(["2024-01-01T00:00Z", "2024-01-01T01:00Z"], name="ts").as_unit("us"),
)


def test_the_fingerprint_of_a_fixed_frame_is_known() -> None:
    """sha256 of 1704067200000000 as int64 and open, high, low, close, volume as float64, then of the second row."""
    rows = struct.pack("<q5dq5d", 1704067200000000, 1, 3, 0.5, 1.5, 0, 1704070800000000, 2, 4, 0.25, -0.0, 1e9)
    assert fingerprint(FIXED) == hashlib.sha256(rows).hexdigest()
    assert fingerprint(FIXED) == "cdab10c9b46ebb423adb4e063d5f21ecad4e29c70204b091fe2006a1041aa2ee"


def test_the_fingerprints_are_those_of_each_beginning() -> None:
    frame = pd.concat([FIXED, FIXED.set_axis(FIXED.index + pd.Timedelta(hours=5)) * 3])
    assert fingerprints(frame) == [fingerprint(frame.iloc[:rows]) for rows in (1, 2, 3, 4)]
    assert fingerprints(frame.iloc[:0]) == []


def test_the_fingerprint_does_not_see_the_unit_the_zone_or_other_columns() -> None:
    wanted = fingerprint(FIXED)
    assert fingerprint(FIXED.assign(trades=5.0)) == wanted
    assert fingerprint(FIXED[FIXED.columns[::-1]]) == wanted
    for unit in ("s", "ms", "ns"):
        assert fingerprint(FIXED.set_axis(FIXED.index.as_unit(unit))) == wanted
    assert fingerprint(FIXED.set_axis(FIXED.index.tz_convert("America/New_York"))) == wanted


@pytest.mark.parametrize("column", PRICES)
@pytest.mark.parametrize("row", [0, 1])
def test_the_fingerprint_sees_the_last_bit_of_every_price(column: str, row: int) -> None:
    changed = FIXED.copy()
    value = changed[column].iloc[row]
    changed.loc[changed.index[row], column] = np.nextafter(value, np.inf)
    assert fingerprint(changed) != fingerprint(FIXED)


def test_the_fingerprint_sees_a_microsecond_a_missing_row_and_the_order() -> None:
    later = FIXED.set_axis(FIXED.index + pd.Timedelta(microseconds=1))
    swapped = FIXED.rename(columns={"high": "low", "low": "high"})
    frames = [FIXED, later, FIXED.iloc[:1], FIXED.iloc[::-1], FIXED.iloc[:0], swapped]
    assert len({fingerprint(frame) for frame in frames}) == len(frames)


def test_the_fingerprint_survives_the_lake_its_upkeep_and_another_time_zone(lake: Lake) -> None:
    from data.upkeep import settle

    lake.append("candles", candles(20).iloc[10:])
    lake.append("candles", candles(20).iloc[:10])
    wanted = fingerprint(read(lake))
    assert wanted == fingerprint(candles(20).set_index("ts"))
    settle(lake, keep=timedelta(0))
    assert fingerprint(read(lake)) == wanted
    script = (
        "from pathlib import Path; from data.candles import *; from data.writer import Lake\n"
        f"print(fingerprint(read_candles(Lake(Path({str(lake.root)!r})), 'kraken', 'BTC/USD', '1h')))"
    )
    found = subprocess.run(
        [sys.executable, "-c", script],
        env={"TZ": "Asia/Kolkata", "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == wanted


MEMORY = """
import sys
from pathlib import Path
from data.candles import read_candles
from data.writer import Lake

def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) * 1024

lake = Lake(Path(sys.argv[1]))
read_candles(lake, "kraken", "ETH/USD", "1h")
before = peak()
frame = read_candles(lake, "kraken", "BTC/USD", "1h")
print(peak() - before, int(frame.memory_usage().sum()), len(frame))
"""


def test_many_candles_take_a_few_times_their_own_size_in_memory(lake: Lake) -> None:
    lake.append("candles", candles(300_000, start="1990-01-01"))
    lake.append("candles", candles(10, symbol="ETH/USD"))
    found = subprocess.run(
        [sys.executable, "-c", MEMORY, str(lake.root)],
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    grown, own, rows = map(int, found.stdout.split())
    assert rows == 300_000
    assert grown < 6 * own, f"{grown >> 20} MiB for a frame of {own >> 20} MiB"
