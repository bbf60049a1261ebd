"""The kill switch: a file, and nothing that could be down."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from data.errors import BadInput, JarvisError
from data.settings import CHECKOUT
from tasks.trade.halt import halt, halted, halts, resume

SYMBOLS = ("BTC/USD", "ETH/USD")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the files of the halts lie."""
    monkeypatch.setenv("JARVIS_STATE", str(tmp_path / "state"))
    return tmp_path / "state" / "halt"


def reason_of(symbol: str | None = None) -> str | None:
    found = halted(symbol)
    return None if found is None else found.reason


def test_nothing_is_halted_where_nobody_halted() -> None:
    assert halted() is None
    assert halted("BTC/USD") is None
    assert halts() == {}
    assert not resume()
    assert not resume("BTC/USD")


def test_a_halt_of_all_halts_each_symbol_with_its_reason_and_instant() -> None:
    before = datetime.now(UTC)
    halt("the news are bad")
    for symbol in (None, *SYMBOLS):
        found = halted(symbol)
        assert found is not None
        assert found.reason == "the news are bad"
        assert before <= found.at <= datetime.now(UTC)
    assert set(halts()) == {None}


def test_a_halt_of_one_symbol_leaves_the_others_free() -> None:
    halt("odd prices", "BTC/USD")
    assert reason_of("BTC/USD") == "odd prices"
    assert halted("ETH/USD") is None
    assert halted() is None
    assert set(halts()) == {"BTC/USD"}


def test_a_symbol_stays_halted_until_both_its_own_and_the_common_halt_are_lifted() -> None:
    halt("one", "BTC/USD")
    halt("all")
    assert reason_of("BTC/USD") == "all"
    assert resume()
    assert reason_of("BTC/USD") == "one"
    assert halted("ETH/USD") is None
    assert resume("BTC/USD")
    assert halted("BTC/USD") is None
    assert not resume("BTC/USD")


def test_a_later_halt_takes_the_place_of_an_earlier_one() -> None:
    halt("first")
    first = halted()
    halt("second")
    second = halted()
    assert first is not None
    assert second is not None
    assert second.reason == "second"
    assert second.at >= first.at


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"null", b"[]", b"{}", b'{"at": "noon", "reason": "x"}', b'{"at": 3}', b"0"]
)
def test_a_file_that_cannot_be_read_halts(folder: Path, content: bytes) -> None:
    folder.mkdir(parents=True)
    (folder / "all").write_bytes(content)
    assert reason_of() == "the file of the halt cannot be read"
    assert reason_of("BTC/USD") is not None
    assert resume()
    assert halted("BTC/USD") is None


def test_a_folder_that_cannot_be_looked_into_halts(folder: Path) -> None:
    folder.parent.mkdir()
    folder.write_text("no folder")
    assert halted() is not None
    assert halted("BTC/USD") is not None
    assert set(halts()) == {None}


def test_a_disk_without_room_for_the_reason_is_halted_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tasks.trade.halt._write", full)
    halt("the news are bad")
    assert reason_of("BTC/USD") == "the file of the halt cannot be read"


def test_a_halt_that_cannot_be_noted_says_that_nothing_is_halted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JARVIS_STATE", "/proc/no/state")
    with pytest.raises(JarvisError, match=r"NOT HALTED.*/proc/no/state.*end the trading process") as error:
        halt("the news are bad")
    assert "\n" not in str(error.value)


def test_a_halt_that_cannot_be_lifted_says_that_it_is_still_there(folder: Path) -> None:
    (folder / "all").mkdir(parents=True)
    with pytest.raises(JarvisError, match="still halted"):
        resume()
    assert halted() is not None


@pytest.mark.parametrize("symbol", ["", "  "])
def test_an_empty_symbol_is_no_way_to_say_all(symbol: str) -> None:
    with pytest.raises(BadInput, match="symbol is empty"):
        halt("x", symbol)
    assert halts() == {}


@hypothesis_settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(min_size=1, max_size=16).filter(str.strip), st.text(max_size=80))
def test_any_symbol_and_reason_come_back_as_they_were(symbol: str, reason: str) -> None:
    halt(reason, symbol)
    try:
        assert reason_of(symbol) == reason
        assert halted() is None
        assert set(halts()) == {symbol}
    finally:
        assert resume(symbol)


def test_another_process_sees_it_at_once(tmp_path: Path) -> None:
    code = "from tasks.trade.halt import halted; found = halted('BTC/USD'); print(found.reason if found else '')"
    environment = os.environ | {"JARVIS_STATE": str(tmp_path / "state")}
    seen = []
    for act in (lambda: halt("now"), resume):
        act()
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=True
        )
        seen.append(done.stdout.strip())
    assert seen == ["now", ""]


def test_a_draft_that_a_killed_process_left_is_no_halt(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / ".all.123").write_text("{")
    assert halted() is None
    assert halts() == {}


def test_a_halt_of_long_ago_is_still_one(folder: Path) -> None:
    folder.mkdir(parents=True)
    then = datetime.now(UTC) - timedelta(days=400)
    (folder / "all").write_text(f'{{"at": "{then.isoformat()}", "reason": "holiday"}}')
    found = halted("ETH/USD")
    assert found is not None
    assert (found.at, found.reason) == (then, "holiday")
