"""Keys: read where they are needed, shown nowhere, held by one process; and where each may be sent."""

from __future__ import annotations

import base64
import os
import pickle
import signal
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

from data import settings
from data.errors import BadInput, TryLater
from data.settings import CHECKOUT
from tasks.exchange.keys import Secret, practice_keys, read_keys, refuse_address
from tasks.exchange.lock import going_first, is_waited_for, sole_trader
from tasks.exchange.practice.keys import PREFIX, secret_of

SECRET = base64.b64encode(b"secret bytes" * 5).decode()


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith(("KRAKEN_", "BITFINEX_", "OKX_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(settings, "CHECKOUT", tmp_path)
    monkeypatch.setenv("JARVIS_STATE", str(tmp_path / "state"))
    return tmp_path


def test_keys_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KRAKEN_PUBLIC_KEY", "public")
    monkeypatch.setenv("KRAKEN_SECRET_KEY", SECRET)
    assert dict(read_keys("kraken").for_ccxt()) == {"apiKey": "public", "secret": SECRET}


def test_keys_come_from_the_file_of_the_checkout_unless_the_environment_has_them(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (checkout / ".env").write_text(f"KRAKEN_PUBLIC_KEY=of-the-file\nKRAKEN_SECRET_KEY='{SECRET}'\n")
    assert read_keys("kraken").public == "of-the-file"
    monkeypatch.setenv("KRAKEN_PUBLIC_KEY", "of-the-environment")
    assert read_keys("kraken").public == "of-the-environment"
    assert "KRAKEN_SECRET_KEY" not in os.environ


@pytest.mark.parametrize(
    ("exchange", "wanted", "names"),
    [
        ("bitfinex", (), ["BITFINEX_PUBLIC_KEY", "BITFINEX_SECRET_KEY"]),
        ("okx", ("apiKey", "secret", "password"), ["OKX_PUBLIC_KEY", "OKX_SECRET_KEY", "OKX_PASSWORD"]),
    ],
)
def test_any_exchanges_keys_are_named_alike(
    exchange: str, wanted: tuple[str, ...], names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in names:
        with pytest.raises(BadInput, match=f"^{name} is not set: give it in the environment or in .*\\.env$"):
            read_keys(exchange, wanted)
        monkeypatch.setenv(name, f"value-of-{name}")
    assert list(read_keys(exchange, wanted).for_ccxt().values()) == [f"value-of-{name}" for name in names]


@pytest.mark.parametrize("secret", ["not base64!", "AAA", "=", "päss", "AA AA", "\x07AAA"])
def test_a_malformed_secret_is_named_and_not_shown(monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    monkeypatch.setenv("KRAKEN_PUBLIC_KEY", "public")
    monkeypatch.setenv("KRAKEN_SECRET_KEY", secret)
    with pytest.raises(BadInput, match=r"^KRAKEN_SECRET_KEY cannot be used: ") as refused:
        read_keys("kraken")
    assert secret not in str(refused.value)


def test_a_key_that_cannot_be_used_is_not_shown_by_a_traceback_with_its_variables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KRAKEN_PUBLIC_KEY", "pasted with blanks")
    with pytest.raises(BadInput) as refused:
        read_keys("kraken")
    variables = repr([frame.f_locals for frame, _ in traceback.walk_tb(refused.value.__traceback__)][1:])
    assert "KRAKEN_PUBLIC_KEY" in variables
    assert "pasted with blanks" not in variables


def test_keys_show_themselves_nowhere() -> None:
    keys = practice_keys("shown")
    shown = f"{keys!r} {keys} {keys.for_ccxt()} {[keys.public]} {keys.secret!r} %s" % ({"API-Key": keys.public},)
    assert PREFIX not in shown
    assert secret_of(f"{PREFIX}shown") not in shown
    assert keys.public == f"{PREFIX}shown"
    assert pickle.loads(pickle.dumps(keys.public)) == keys.public


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:8100", "https://localhost/x", "http://[::1]:1/", "http://127.9.9.9"]
)
def test_practice_keys_go_to_loopback_and_real_ones_do_not(address: str) -> None:
    refuse_address(f"{PREFIX}trader", address)
    with pytest.raises(BadInput, match="a real key is not sent to a loopback address"):
        refuse_address("real", address)


@pytest.mark.parametrize(
    "address",
    [
        "https://api.kraken.com/0/private/AddOrder",
        "http://127.0.0.1.example.com",
        "http://localhost.example.com",
        "https://example.com/127.0.0.1",
        "http://0.0.0.0:80",
        "http://10.0.0.1",
        "http://2130706433",
        "http://[::ffff:8.8.8.8]",
        "http://[::]",
        "",
    ],
)
def test_practice_keys_go_nowhere_else(address: str) -> None:
    with pytest.raises(BadInput, match="a practice key is sent to a loopback address only"):
        refuse_address(f"{PREFIX}trader", address)


@pytest.mark.parametrize("address", ["http://127.0.0.1@example.com", "http://127.0.0.1\\@example.com"])
def test_an_address_that_hides_its_host_gets_no_key(address: str) -> None:
    for key in (f"{PREFIX}trader", "real"):
        with pytest.raises(BadInput):
            refuse_address(key, address)


@pytest.mark.parametrize("address", ["https://0.0.0.0", "https://[::]", "https://[::ffff:127.0.0.1]"])
def test_real_keys_do_not_reach_this_machine_by_its_other_names(address: str) -> None:
    with pytest.raises(BadInput, match="a real key is not sent to a loopback address"):
        refuse_address("real", address)


def test_real_keys_go_by_https_only() -> None:
    refuse_address("real", "https://api.kraken.com/0/private/AddOrder")
    with pytest.raises(BadInput, match=r"^a key is sent by https only, not to http://api\.kraken\.com$"):
        refuse_address("real", "http://api.kraken.com/0/private/AddOrder")


def test_a_key_is_held_once_and_again_after_it_is_let_go() -> None:
    with sole_trader("kraken", "public"):
        with (
            pytest.raises(TryLater, match=f"^kraken: process {os.getpid()} trades with this key already"),
            sole_trader("kraken", "public"),
        ):
            raise AssertionError("it was held twice")
        with sole_trader("kraken", "another"), sole_trader("bitfinex", "public"):
            pass
    with sole_trader("kraken", "public"):
        pass


def test_the_files_of_the_lock_do_not_name_the_key(checkout: Path) -> None:
    with sole_trader("kraken", "public-key-of-mine"):
        names = [str(path) for path in (checkout / "state").rglob("*")]
        texts = [path.read_text() for path in (checkout / "state").rglob("*.lock")]
    assert len(texts) == 1
    assert "public-key-of-mine" not in "".join(names + texts)


def test_a_process_that_is_killed_lets_go_of_the_key(checkout: Path) -> None:
    code = (
        "import sys, time; from tasks.exchange.lock import sole_trader\n"
        "with sole_trader('kraken', 'public'): print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(TryLater, match=f"process {holder.pid} trades with this key already; one at a time can$"),
            sole_trader("kraken", "public"),
        ):
            raise AssertionError("it was held twice")
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait(10)
        with sole_trader("kraken", "public"):
            pass
    finally:
        holder.kill()
        holder.wait(10)
        holder.stdout.close()


def test_a_secret_is_text_to_those_who_use_it() -> None:
    assert Secret("abc") == "abc"
    assert Secret("abc").encode() == b"abc"


def test_several_may_go_first_at_once_and_are_waited_for_until_all_are_done() -> None:
    assert not is_waited_for("kraken")
    with going_first("kraken"):
        with going_first("kraken"):
            assert is_waited_for("kraken")
        assert is_waited_for("kraken")
        assert not is_waited_for("bitfinex")
    assert not is_waited_for("kraken")
