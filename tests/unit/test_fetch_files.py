"""CSV and Parquet files as people have them: understood, or refused with the line and the reason."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import BadInput
from tasks.fetch.files import FileSource

HEADER = "timestamp,open,high,low,close,volume"
DAYS = ["2021-01-04", "2021-01-05", "2021-01-06"]
ROWS = [f"{day},10,12,9,11,5" for day in DAYS]

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write lines to prices.csv, or what else is named."""

    def write_lines(*lines: str, name: str = "prices.csv", encoding: str = "utf-8") -> Path:
        path = tmp_path / name
        path.write_bytes("".join(line + "\n" for line in lines).encode(encoding))
        return path

    return write_lines


def read(path: Path, **given: Any) -> pd.DataFrame:
    source = FileSource(path, **{"symbol": "ABC/USD", **given})
    return next(source.candles(source.symbol, source.timeframe, None, None)).candles


def refusal(path: Path, **given: Any) -> str:
    with pytest.raises(BadInput) as refused:
        FileSource(path, **{"symbol": "ABC/USD", **given})
    message = str(refused.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    "header",
    [
        "timestamp,open,high,low,close,volume",
        "Date,Open,High,Low,Close,Volume",
        "TIME,O,H,L,C,V",
        "Open time,Open,High,Low,Close,Volume",
        "<DATE>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>",
        "datetime,Open Price,High Price,Low Price,Price,Vol.",
        "unix,open,high,low,close,Volume ABC",
        ",Open,High,Low,Close,Volume",
    ],
)
def test_columns_are_recognised_by_their_usual_names(write: Write, header: str) -> None:
    frame = read(write(header, *ROWS))
    assert frame.to_numpy()[:, :5].tolist() == [[10, 12, 9, 11, 5]] * 3
    assert frame["trades"].isna().all()
    assert [f"{ts:%Y-%m-%d}" for ts in frame.index] == DAYS


def test_columns_may_stand_in_any_order_among_others(write: Write) -> None:
    rows = [f"x,11,5,12,{day},9,10,0.5,42" for day in DAYS]
    frame = read(write("symbol,close,volume,high,date,low,open,vwap,trade_count", *rows))
    assert frame.iloc[0].tolist() == [10, 12, 9, 11, 5, 42]


@pytest.mark.parametrize("separator", [";", "\t", ","])
def test_separators(write: Write, separator: str) -> None:
    assert len(read(write(*(line.replace(",", separator) for line in (HEADER, *ROWS))))) == 3


def test_a_byte_order_mark_blank_lines_and_dos_line_ends_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join([HEADER, ROWS[0], "", *ROWS[1:], "", ""]).encode())
    assert len(read(path)) == 3


@pytest.mark.parametrize(
    "times",
    [
        ["2021-01-04 14:00", "2021-01-04 15:00"],
        ["2021-01-04T14:00:00Z", "2021-01-04T15:00:00Z"],
        ["2021-01-04 15:00:00+01:00", "2021-01-04 16:00:00+01:00"],
        ["2021-01-04 14:00:00.000 UTC", "2021-01-04 15:00:00.000 UTC"],
        ["2021/01/04 14:00", "2021/01/04 15:00"],
        ["2021.01.04 14:00", "2021.01.04 15:00"],
        ["1609768800", "1609772400"],
        ["1609768800.0", "1609772400.0"],
        ["1609768800000", "1609772400000"],
        ["1609768800000000", "1609772400000000"],
        ["1609768800000000000", "1609772400000000000"],
    ],
)
def test_times_are_recognised_and_are_utc(write: Write, times: list[str]) -> None:
    frame = read(write(HEADER, *(f"{time},10,12,9,11,5" for time in times)))
    assert frame.index[0] == pd.Timestamp("2021-01-04 14:00", tz="UTC")
    assert frame.index[1] == pd.Timestamp("2021-01-04 15:00", tz="UTC")
    assert str(frame.index.dtype) == "datetime64[us, UTC]"


def test_a_date_of_eight_digits_is_a_date(write: Write) -> None:
    assert read(write(HEADER, *(row.replace("-", "") for row in ROWS))).index[2].day == 6


def test_date_and_time_of_day_in_two_columns_are_read_together(write: Write) -> None:
    frame = read(write("Date,Time,Open,High,Low,Close,Volume", *(f"2021.01.04,{h}:00,10,12,9,11,5" for h in (14, 15))))
    assert frame.index[1] == pd.Timestamp("2021-01-04 15:00", tz="UTC")


def test_rows_from_the_newest_to_the_oldest_are_turned_round(write: Write) -> None:
    frame = read(write(HEADER, *reversed(ROWS)))
    assert [f"{ts:%Y-%m-%d}" for ts in frame.index] == DAYS


@pytest.mark.parametrize(
    ("step", "timeframe"), [(60, "1m"), (900, "15m"), (5400, "90m"), (14400, "4h"), (86400, "1d"), (604800, "1w")]
)
def test_the_timeframe_is_told_from_the_rows(write: Write, step: int, timeframe: str) -> None:
    first = 1609459200 // step * step
    path = write(HEADER, *(f"{first + step * n},10,12,9,11,5" for n in (0, 1, 2, 5, 6)))
    assert FileSource(path, symbol="ABC").timeframe == timeframe


@pytest.mark.parametrize("wrong", ["1h", "1w"])
def test_a_timeframe_that_is_not_the_rows_is_refused(write: Write, wrong: str) -> None:
    assert refusal(write(HEADER, *ROWS), timeframe=wrong) == f"prices.csv: its candles are 1d apart, not {wrong}"


def test_weekdays_alone_make_a_calendar_of_weekdays(write: Write) -> None:
    days = pd.bdate_range("2021-01-04", periods=20)
    path = write(HEADER, *(f"{day:%Y-%m-%d},10,12,9,11,5" for day in days))
    assert FileSource(path, symbol="ABC").market("ABC").calendar == "24/5"
    assert FileSource(path, symbol="ABC", calendar="XNYS").market("ABC").calendar == "XNYS"


def test_the_candle_that_is_still_open_is_left_out_and_counted(write: Write) -> None:
    today = datetime.now(UTC).date()
    rows = [f"{today - timedelta(days=ago)},10,12,9,11,5" for ago in (2, 1, 0)]
    batch = next(FileSource(write(HEADER, *rows), symbol="ABC").candles("ABC", "1d", None, None))
    assert (len(batch.candles), batch.still_open) == (2, 1)


def test_repeated_rows_are_kept_once_and_told(write: Write) -> None:
    batch = next(
        FileSource(write(HEADER, ROWS[0], ROWS[1], ROWS[1], ROWS[2]), symbol="A").candles("A", "1d", None, None)
    )
    assert len(batch.candles) == 3
    assert [(fact.kind, fact.start.day, fact.candles) for fact in batch.facts] == [("duplicate", 5, 1)]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "prices.csv is empty"),
        (["", ""], "prices.csv is empty"),
        ([HEADER], "prices.csv has a header but no rows"),
        (ROWS, "prices.csv line 1: no column for timestamp"),
        (["1,2,3,4,5,6"], "prices.csv line 1: no header; name the columns: timestamp,open,high,low,close,volume"),
        (["timestamp,open,high,close,volume", "x"], "prices.csv line 1: no column for low; there are timestamp, open,"),
        (
            ["timestamp,open,high,low,close,Close,volume", "x"],
            "prices.csv line 1: has 2 columns named close; leave one",
        ),
        ([HEADER, ROWS[0], "2021-01-05,10,12"], "prices.csv line 3: has 3 columns, not 6"),
        ([HEADER, ROWS[0], "2021-01-05,10,abc,9,11,5"], "prices.csv line 3: high is not a number: 'abc'"),
        ([HEADER, ROWS[0], "2021-01-05,10,,9,11,5"], "prices.csv line 3: high is empty"),
        (
            [HEADER, ROWS[0], "", "2021-01-05,10,nan,9,11,5"],
            "prices.csv line 4: high is missing or not a finite number",
        ),
        ([HEADER, "2021-01-05,10,1_2,9,11,5"], "prices.csv line 2: high is not a number: '1_2'"),
        ([HEADER, *ROWS, "2021-01-07,-1,12,-9,11,5"], "prices.csv line 5: open is not above 0: -1"),
        ([HEADER, *ROWS, "2021-01-07,10,9.5,9,11,5"], "prices.csv line 5: high 9.5 is below open 10"),
        (
            [HEADER, ROWS[0], ROWS[2], ROWS[1]],
            "prices.csv line 4: 2021-01-05 00:00 is out of order; sort the rows by time",
        ),
        (
            [HEADER, *ROWS, "2021-01-06,10,12,9,11,6"],
            "prices.csv line 5: 2021-01-06 00:00 is there twice, with different",
        ),
        (
            [HEADER, "01/02/2021,10,12,9,11,5"],
            "prices.csv line 2: time is not understood: '01/02/2021'; write 2021-01-31",
        ),
        (
            [HEADER, "1609459200,1,1,1,1,1", "1609459260000,1,1,1,1,1"],
            "prices.csv line 3: time is not Unix time in s as",
        ),
        ([HEADER, *ROWS, "2199-01-07,10,12,9,11,5"], "prices.csv line 5: 2199-01-07 00:00 lies in the future"),
        (
            [HEADER, *ROWS, "2021-01-07 13:00,10,12,9,11,5"],
            "prices.csv line 5: 2021-01-07 13:00 is not the start of a 1d",
        ),
        ([HEADER, ROWS[0]], "prices.csv has one candle, which does not tell its timeframe: name it"),
        (
            [HEADER, "2021-01-04 00:00:00,1,1,1,1,1", "2021-01-04 00:00:47,1,1,1,1,1"],
            "prices.csv: its rows are 47 seconds",
        ),
        (["x" * 70_000], "prices.csv line 1 is longer than 65536 characters: not a file of candles"),
        (
            [HEADER.replace(",", ";"), "2021-01-04;1,5;2;1;1;1"],
            "prices.csv line 2: open is not a number: '1,5'; write dec",
        ),
    ],
)
def test_what_is_not_understood_is_refused_with_its_line(write: Write, lines: list[str], message: str) -> None:
    assert refusal(write(*lines)).startswith(message)


def test_a_line_is_counted_from_the_end_of_a_file_that_begins_with_the_newest(write: Write) -> None:
    message = refusal(write(HEADER, ROWS[2], ROWS[1], "2021-01-04,10,12,9,11,-5"))
    assert message == "prices.csv line 4: volume is below 0: -5"


def test_a_file_that_is_not_there_or_not_one_is_refused(tmp_path: Path, write: Write) -> None:
    assert refusal(tmp_path / "no.csv").endswith("no.csv cannot be read: no such file or directory")
    (tmp_path / "folder.csv").mkdir()
    assert refusal(tmp_path / "folder.csv").endswith("folder.csv cannot be read: is a directory")
    assert refusal(write("x", name="prices.xls")).startswith("prices.xls is neither a CSV nor a Parquet file")
    assert refusal(write(HEADER, *ROWS, encoding="utf-16")) == "prices.csv is not text in UTF-8"


def test_a_file_without_a_known_market_needs_its_symbol(write: Write) -> None:
    assert refusal(write(HEADER, *ROWS), symbol=None).endswith("does not say which market it holds: name the symbol")


def test_a_file_named_as_krakens_but_with_a_header_is_the_users_own(write: Write) -> None:
    source = FileSource(write(HEADER, *ROWS, name="XBTUSD_60.csv"), symbol="ABC")
    assert (source.name, source.symbol, source.timeframe) == ("file", "ABC", "1d")


def frame(**columns: Any) -> pd.DataFrame:
    prices = {"open": 10.0, "high": 12.0, "low": 9.0, "close": 11.0, "volume": 5.0}
    return pd.DataFrame({"timestamp": pd.DatetimeIndex(DAYS, tz="UTC"), **prices, **columns})


@pytest.mark.parametrize(
    "timestamp",
    [
        pd.DatetimeIndex(DAYS, tz="UTC"),
        pd.DatetimeIndex(DAYS),
        pd.DatetimeIndex(DAYS).as_unit("ns"),
        pd.DatetimeIndex(["2021-01-04 01:00", "2021-01-05 01:00", "2021-01-06 01:00"], tz="Europe/Berlin"),
        [datetime(2021, 1, day).date() for day in (4, 5, 6)],  # noqa: DTZ001
        [1609718400, 1609804800, 1609891200],
        [1609718400000, 1609804800000, 1609891200000],
        DAYS,
    ],
)
def test_parquet_is_read_whatever_the_type_of_its_times(tmp_path: Path, timestamp: Any) -> None:
    frame(timestamp=timestamp).to_parquet(tmp_path / "prices.parquet")
    read_back = read(tmp_path / "prices.parquet")
    assert [f"{ts:%Y-%m-%d %H}" for ts in read_back.index] == [f"{day} 00" for day in DAYS]
    assert str(read_back.index.dtype) == "datetime64[us, UTC]"


def test_the_index_of_a_pandas_frame_may_be_the_time(tmp_path: Path) -> None:
    frame().set_index(pd.DatetimeIndex(DAYS)).drop(columns="timestamp").to_parquet(tmp_path / "prices.parquet")
    assert len(read(tmp_path / "prices.parquet")) == 3


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"high": [12.0, None, 12.0]}, "prices.parquet row 2: high is missing or not a finite number"),
        ({"low": [9, 9, -9]}, "prices.parquet row 3: low is not above 0: -9"),
        ({"close": ["11", "11", "eleven"]}, "prices.parquet row 3: close is not a number: 'eleven'"),
        ({"close": [[1], [2], [3]]}, "prices.parquet: column close is list"),
        ({"timestamp": [pd.Timestamp(DAYS[0]), None, pd.Timestamp(DAYS[2])]}, "prices.parquet row 2: time is empty"),
    ],
)
def test_what_is_wrong_in_parquet_is_refused_with_its_row(tmp_path: Path, columns: Any, message: str) -> None:
    frame(**columns).to_parquet(tmp_path / "prices.parquet")
    assert refusal(tmp_path / "prices.parquet").startswith(message)


def test_parquet_without_rows_or_without_sense_is_refused(tmp_path: Path) -> None:
    frame().head(0).to_parquet(tmp_path / "prices.parquet")
    assert refusal(tmp_path / "prices.parquet") == "prices.parquet has no rows"
    (tmp_path / "prices.parquet").write_bytes(b"PAR1 and then nothing")
    assert refusal(tmp_path / "prices.parquet").startswith("prices.parquet is not a Parquet file")


@given(st.lists(st.floats(1e-9, 1e12), min_size=1, max_size=30))
def test_every_printed_number_is_read_back_exactly(
    tmp_path_factory: pytest.TempPathFactory, prices: list[float]
) -> None:
    path = tmp_path_factory.mktemp("exact") / "prices.csv"
    first = 1_600_000_020
    path.write_text(HEADER + "".join(f"\n{first + 60 * n},{p!r},{p!r},{p!r},{p!r},{p!r}" for n, p in enumerate(prices)))
    assert read(path, timeframe="1m")["close"].tolist() == prices


def test_a_minute_file_of_many_batches_is_read_whole(write: Write) -> None:
    count = 120_001
    path = write(HEADER, *(f"{1_600_000_020 + 60 * n},10,12,9,11,{n}" for n in range(count)))
    volumes = read(path)["volume"].to_numpy()
    assert np.array_equal(volumes, np.arange(count))


def test_the_files_of_real_exchanges_are_read(market_data: Path) -> None:
    found = {}
    for path in sorted(market_data.glob("*.csv")):
        source = FileSource(path, symbol="ABC/USD")
        candles = next(source.candles("ABC/USD", source.timeframe, None, None)).candles
        found[path.name.partition("_")[2]] = (source.timeframe, len(candles), source.calendar)
    assert found == {
        "BTC-USD_1m_2025-01-07.csv": ("1m", 1440, "24/7"),
        "BTC-USD_1d_2015-08-07_2021-12-31.csv": ("1d", 2339, "24/7"),
        "BTC-USD_1h_2021.csv": ("1h", 8754, "24/7"),
        "BTC-USD_1m_2017-08-10T22_12h.csv": ("1m", 719, "24/7"),
        "ETH-USD_1d_2015-08-07_2021-12-31.csv": ("1d", 2333, "24/7"),
        "ETH-USD_1h_2021.csv": ("1h", 8754, "24/7"),
    }
