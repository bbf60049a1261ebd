"""Kraken's downloadable history: which market a file holds, and which member of a ZIP is meant."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from data.errors import BadInput
from tasks.fetch.files import FileSource
from tasks.fetch.kraken_archive import parse_name

HOURS = """\
1609459200,28959.4,29069.3,28739.6,29069.0,272.11314761,2071
1609462800,29061.4,29498.0,29014.9,29452.8,718.0,3675
"""
MINUTES = """\
1609459200,28959.4,29069.3,28739.6,29069.0,2.1,20
1609459260,29061.4,29498.0,29014.9,29452.8,7.0,36
"""


def archive(folder: Path, **members: str) -> Path:
    path = folder / "Kraken_OHLCVT.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for name, text in members.items():
            target.writestr(f"quarter/{name}.csv", text)
    return path


@pytest.mark.parametrize(
    ("name", "symbol", "timeframe"),
    [
        ("XBTUSD_60.csv", "BTC/USD", "1h"),
        ("XXBTZUSD_1440.csv", "BTC/USD", "1d"),
        ("XETHZUSD_5.csv", "ETH/USD", "5m"),
        ("XETHXXBT_240.csv", "ETH/BTC", "4h"),
        ("ETHXBT_1.csv", "ETH/BTC", "1m"),
        ("XDGEUR_720.csv", "DOGE/EUR", "12h"),
        ("XRPUSD_15.csv", "XRP/USD", "15m"),
        ("USDTUSD_60.csv", "USDT/USD", "1h"),
        ("SOLUSDT_10080.csv", "SOL/USDT", "1w"),
        ("1INCHUSD_60.csv", "1INCH/USD", "1h"),
    ],
)
def test_the_name_tells_market_and_timeframe(name: str, symbol: str, timeframe: str) -> None:
    assert parse_name(name) == (symbol, timeframe)


@pytest.mark.parametrize(
    "name", ["prices.csv", "XBTUSD.csv", "USD_60.csv", "XBTUSD_0.csv", "XBTUSD_60.txt", "AAPL_60.csv"]
)
def test_another_name_tells_nothing(name: str) -> None:
    assert parse_name(name) is None


def test_a_file_alone_is_read_without_being_told_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "XBTUSD_60.csv"
    path.write_text(HOURS)
    source = FileSource(path)
    assert (source.name, source.symbol, source.timeframe) == ("kraken", "BTC/USD", "1h")
    batch = next(source.candles("BTC/USD", "1h", None, None))
    assert batch.candles["volume"].tolist() == [272.11314761, 718.0]
    assert batch.candles["trades"].tolist() == [2071, 3675]


def test_the_member_that_is_meant_is_read_out_of_a_zip_and_nothing_is_unpacked(tmp_path: Path) -> None:
    path = archive(tmp_path, XBTUSD_60=HOURS, XBTUSD_1=MINUTES, ETHUSD_60=HOURS)
    source = FileSource(path, symbol="BTC/USD", timeframe="1m")
    assert source.timeframe == "1m"
    assert [entry.name for entry in tmp_path.iterdir()] == ["Kraken_OHLCVT.zip"]


def test_the_only_member_needs_no_name(tmp_path: Path) -> None:
    source = FileSource(archive(tmp_path, ETHUSD_60=HOURS))
    assert (source.symbol, source.timeframe) == ("ETH/USD", "1h")


def test_several_members_that_fit_are_listed(tmp_path: Path) -> None:
    path = archive(tmp_path, XBTUSD_60=HOURS, XBTUSD_1=MINUTES, ETHUSD_60=HOURS)
    with pytest.raises(BadInput, match=r"holds several; name the symbol and timeframe of one: BTC/USD 1h, BTC/USD 1m$"):
        FileSource(path, symbol="BTC/USD")


def test_a_member_that_is_not_there_is_answered_with_what_there_is(tmp_path: Path) -> None:
    path = archive(tmp_path, XBTUSD_60=HOURS, XBTUSD_1=MINUTES, ETHUSD_60=HOURS)
    with pytest.raises(BadInput, match=r"has no BTC/USD 1d; it holds BTC/USD 1h, BTC/USD 1m$"):
        FileSource(path, symbol="BTC/USD", timeframe="1d")
    with pytest.raises(BadInput, match=r"has no SOL/USD; it holds BTC/USD 1h, BTC/USD 1m, ETH/USD 1h$"):
        FileSource(path, symbol="SOL/USD")


def test_a_zip_of_other_things_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds no file named as Kraken's"):
        FileSource(archive(tmp_path, holiday=HOURS))


def test_what_is_no_zip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "k.zip"
    path.write_bytes(b"PK\x03\x04 and then nothing")
    with pytest.raises(BadInput, match=r"k\.zip cannot be unpacked"):
        FileSource(path)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.99])
def test_a_zip_cut_short_is_refused(tmp_path: Path, share: float) -> None:
    path = archive(tmp_path, XBTUSD_60=HOURS)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(BadInput, match="cannot be unpacked"):
        FileSource(path)


def test_a_member_that_was_damaged_is_refused_whole(tmp_path: Path) -> None:
    path = tmp_path / "k.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as target:
        target.writestr("XBTUSD_60.csv", HOURS)
    path.write_bytes(path.read_bytes().replace(b"28959.4", b"28950.4"))  # a price that could be, but was not written
    with pytest.raises(BadInput, match="cannot be unpacked: Bad CRC-32"):
        FileSource(path)


def test_a_symbol_that_is_not_the_files_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "XBTUSD_60.csv"
    path.write_text(HOURS)
    with pytest.raises(BadInput, match="holds BTC/USD, not ETH/USD"):
        FileSource(path, symbol="ETH/USD")


def test_the_line_is_named_inside_a_zip(tmp_path: Path) -> None:
    broken = HOURS + "1609466400,1,2,x,1,1,1\n"
    with pytest.raises(BadInput, match=r"^Kraken_OHLCVT.zip/XBTUSD_60.csv line 3: low is not a number: 'x'$"):
        FileSource(archive(tmp_path, XBTUSD_60=broken))


def test_a_member_that_unpacks_into_one_endless_line_is_not_read_to_its_end(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="line 1 is longer than 65536 characters"):
        FileSource(archive(tmp_path, XBTUSD_60="0" * 50_000_000))
