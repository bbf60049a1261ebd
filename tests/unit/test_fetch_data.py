"""The stage `fetch_data`: from whichever source into the lake, and out of it; outside a flow and inside one."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from data.errors import BadInput, SourceError
from data.markets import read_market
from data.settings import CHECKOUT
from data.views import connect
from data.writer import Lake
from tasks import fetch
from tasks.fetch import collect_series, fetch_data
from tests.servers.public_exchange import HOUR, PublicExchange, serve

NOW = 1_768_480_200  # half past an hour, so that no hour ends while a test runs
ROWS = ["2021-01-04,10,12,9,11,5", "2021-01-05,10,12,9,11,5", "2021-01-07,10,12,9,11,5"]


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.fetch.clock.now", lambda: pd.Timestamp(NOW, unit="s", tz="UTC"))


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    path = tmp_path / "prices.csv"
    path.write_text("\n".join(["date,open,high,low,close,volume", *ROWS]))
    return path


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **options: object) -> None:
        pytest.fail("an exchange was asked")

    monkeypatch.setattr(fetch, "ExchangeSource", refuse)


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_the_sample_is_apples_days_as_they_were_traded(lake: Lake) -> None:
    frame = fetch_data(lake, "sample", "AAPL", "1d")
    assert len(frame) == 1509
    assert (frame.index[0], frame.index[-1]) == (day("2019-01-02"), day("2024-12-30"))
    assert frame.iloc[-1].tolist()[:5] == [252.23, 253.5, 250.75, 252.2, 35557500]
    assert read_market(lake, "sample", "AAPL").calendar == "XNYS"
    assert connect(lake).execute("SELECT count(*) FROM quality").fetchone() == (0,)


def test_a_range_begins_with_its_start_and_ends_before_its_end(lake: Lake) -> None:
    frame = fetch_data(lake, "sample", "AAPL", "1d", day("2020-01-02"), day("2020-01-06"))
    assert [f"{ts:%Y-%m-%d}" for ts in frame.index] == ["2020-01-02", "2020-01-03"]


@pytest.mark.parametrize(
    ("series", "message"),
    [
        (("sample", "MSFT", "1d"), "the sample has no 'MSFT': it holds AAPL, 1d"),
        (("sample", "AAPL", "1h"), "the sample has no 1h candles: it holds AAPL, 1d"),
        (("sample", "AAPL", "1x"), "unknown timeframe '1x'"),
        (("sample", "AAPL", None), "name the exchange, the symbol and the timeframe, or a file"),
        ((None, "AAPL", "1d"), "name the exchange, the symbol and the timeframe, or a file"),
        (("file", "ABC", "1d"), "the lake has no candles of file ABC 1d; `jarvis collect --file FILE --symbol ABC"),
    ],
)
def test_what_is_not_there_is_refused_and_nothing_written(
    lake: Lake, series: tuple[str, str, str], message: str
) -> None:
    with pytest.raises(BadInput) as refused:
        fetch_data(lake, *series)
    assert str(refused.value).startswith(message)
    assert not lake.root.exists()


def test_a_start_that_is_not_before_the_end_is_refused(lake: Lake) -> None:
    with pytest.raises(BadInput, match="start 2021-01-01 00:00 is not before end 2020-01-01 00:00"):
        fetch_data(lake, "sample", "AAPL", "1d", day("2021-01-01"), day("2020-01-01"))


def test_a_range_without_candles_is_refused_with_its_bounds(lake: Lake) -> None:
    with pytest.raises(BadInput, match="no candles of sample AAPL 1d from 1999-01-01 00:00 before 1999-06-01 00:00"):
        fetch_data(lake, "sample", "AAPL", "1d", day("1999-01-01"), day("1999-06-01"))


def test_a_file_is_imported_and_later_read_without_it(lake: Lake, csv: Path, no_network: None) -> None:
    frame = fetch_data(lake, None, "ABC", None, file=str(csv))
    csv.unlink()
    pd.testing.assert_frame_equal(fetch_data(lake, "file", "ABC", "1d"), frame)
    gaps = connect(lake).execute("SELECT exchange, kind, start_ts FROM quality").fetchall()
    assert gaps == [("file", "gap", day("2021-01-06"))]


def test_a_file_may_be_given_an_exchange_and_a_calendar(lake: Lake, csv: Path, no_network: None) -> None:
    done = collect_series(lake, "mybroker", "ABC/USD", "1d", file=csv, calendar="XNYS")
    assert (done.new, [fact.detail for fact in done.facts]) == (3, ["1 trading day absent (XNYS)"])
    assert len(fetch_data(lake, "mybroker", "ABC/USD", "1d")) == 3


def test_what_is_absent_under_a_name_of_ones_own_is_asked_of_no_exchange(
    lake: Lake, csv: Path, no_network: None
) -> None:
    collect_series(lake, "mybroker", "ABC/USD", "1d", file=csv)
    command = "`jarvis collect --file FILE --exchange mybroker --symbol XYZ --timeframe 1d` brings them"
    with pytest.raises(BadInput, match=f"^the lake has no candles of mybroker XYZ 1d; {command}$"):
        fetch_data(lake, "mybroker", "XYZ", "1d")


def test_a_misspelt_name_of_ones_own_is_an_unknown_exchange(lake: Lake, csv: Path) -> None:
    collect_series(lake, "mybroker", "ABC/USD", "1d", file=csv)
    with pytest.raises(BadInput, match=r"^unknown exchange 'mybrokr'"):
        fetch_data(lake, "mybrokr", "ABC/USD", "1d")


def test_a_calendar_that_was_given_once_holds_for_the_next_file(lake: Lake, csv: Path) -> None:
    collect_series(lake, "mybroker", "ABC", "1d", file=csv, calendar="XNYS")
    csv.write_text(csv.read_text() + "\n2021-01-11,10,12,9,11,5\n")
    done = collect_series(lake, "mybroker", "ABC", "1d", file=csv)
    assert [f"{fact.start:%m-%d} {fact.end:%m-%d}" for fact in done.facts] == ["01-08 01-08"]
    assert read_market(lake, "mybroker", "ABC").calendar == "XNYS"


def test_a_calendar_given_later_judges_the_same_file_anew(lake: Lake, csv: Path) -> None:
    csv.write_text(
        "date,open,high,low,close,volume\n2021-01-08,1,1,1,1,1\n2021-01-11,1,1,1,1,1\n2021-01-12,1,1,1,1,1\n"
    )
    assert len(collect_series(lake, None, "ABC", "1d", file=csv).facts) == 1
    collect_series(lake, None, "ABC", "1d", file=csv, calendar="XNYS")
    assert connect(lake).execute("SELECT count(*) FROM quality WHERE resolved_at IS NULL").fetchone() == (0,)


@pytest.mark.parametrize("row", ["2021-01-08,10,abc,9,11,5", "2021-01-06,10,12,9,11,5", "2021-01-08,10,12,9,11"])
def test_a_file_that_is_bad_in_its_last_line_leaves_nothing_behind(lake: Lake, csv: Path, row: str) -> None:
    csv.write_text(csv.read_text() + "\n" + row)
    with pytest.raises(BadInput, match=r"prices\.csv line 5"):
        fetch_data(lake, "mybroker", "ABC", "1d", file=csv)
    assert not lake.root.exists()


def test_a_file_cannot_take_the_name_of_the_sample(lake: Lake, csv: Path) -> None:
    with pytest.raises(BadInput, match="'sample' names the candles that come with Jarvis"):
        fetch_data(lake, "sample", "AAPL", "1d", file=csv)


def test_a_calendar_is_for_files(lake: Lake) -> None:
    with pytest.raises(BadInput, match="a calendar can be given for a file only"):
        fetch_data(lake, "sample", "AAPL", "1d", calendar="XNYS")


@pytest.fixture
def kraken(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> PublicExchange:
    """An exchange of which the lake holds the last 48 closed hours; it is gone now."""
    with serve(PublicExchange(NOW, NOW // HOUR * HOUR - 100 * HOUR)) as exchange:
        monkeypatch.setenv("JARVIS_EXCHANGE_URLS", json.dumps({"kraken": exchange.url}))
        start = pd.Timestamp(NOW // HOUR * HOUR - 48 * HOUR, unit="s", tz="UTC")
        assert len(fetch_data(lake, "kraken", "BTC/USD", "1h", start)) == 48
        return exchange


def test_a_range_that_the_lake_holds_is_asked_of_no_exchange(
    lake: Lake, kraken: PublicExchange, no_network: None
) -> None:
    start, end = (pd.Timestamp(NOW // HOUR * HOUR - hours * HOUR, unit="s", tz="UTC") for hours in (48, 0))
    assert len(fetch_data(lake, "kraken", "BTC/USD", "1h", start, end)) == 48
    assert len(fetch_data(lake, "kraken", "BTC/USD", "1h", start)) == 48


def test_without_a_refresh_only_an_empty_range_is_asked_for(
    lake: Lake, kraken: PublicExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "ExchangeSource", lambda name: pytest.fail("an exchange was asked"))
    assert len(fetch_data(lake, "kraken", "BTC/USD", "1h", day("2015-01-01"), refresh=False)) == 48
    with pytest.raises(pytest.fail.Exception, match="an exchange was asked"):
        fetch_data(lake, "kraken", "ETH/USD", "1h", refresh=False)


def test_offline_the_lake_is_all_there_is(lake: Lake, kraken: PublicExchange, no_network: None) -> None:
    assert len(fetch_data(lake, "kraken", "BTC/USD", "1h", day("2015-01-01"), offline=True)) == 48
    with pytest.raises(BadInput, match="jarvis collect --exchange kraken --symbol ETH/USD --timeframe 1h"):
        fetch_data(lake, "kraken", "ETH/USD", "1h", offline=True)


def test_a_stage_imports_ccxt_only_to_ask_an_exchange(tmp_path: Path) -> None:
    code = (
        "import sys; from data.writer import Lake; from pathlib import Path; from tasks.fetch import fetch_data;"
        f"fetch_data(Lake(Path({str(tmp_path)!r})), 'sample', 'AAPL', '1d'); print('ccxt' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.server
@pytest.mark.parametrize(("error", "attempts"), [(SourceError, 3), (BadInput, 1)])
def test_in_a_flow_a_source_that_fails_is_tried_again_and_bad_input_is_not(
    lake: Lake, prefect_api: None, monkeypatch: pytest.MonkeyPatch, error: type[Exception], attempts: int
) -> None:
    from prefect import flow

    tried = []

    def fails() -> None:
        tried.append(1)
        raise error("no")

    monkeypatch.setattr(fetch, "SampleSource", fails)
    quick = fetch_data.with_options(retries=2, retry_delay_seconds=0, retry_jitter_factor=0)

    @flow
    def collecting() -> None:
        quick(lake, "sample", "AAPL", "1d")

    with pytest.raises(error):
        collecting()
    assert len(tried) == attempts
