"""Every command of the README and of docs/ is run, in order, as a newcomer would."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from data.settings import CHECKOUT
from tasks.signal.registry import strategies
from tests.servers.practice_exchange import practice_exchange
from tests.servers.processes import environment

pytestmark = pytest.mark.long

RUN_ELSEWHERE = {
    "source .venv/bin/activate": "the tests run in the environment already",
    "panel serve dashboards/trading.py": "tests/browser",
    "jarvis practice-exchange --symbol BTC/USD --speed 60": "tests/server/test_practice_command.py",
    "prefect deployment run live-trading": "tests/server/test_up.py",
    'prefect deployment run backtest/backtest --param \'parameters={"strategy": "macd"}\'': "tests/server/test_up.py",
    'prefect deployment run sweep/sweep --param \'parameters={"strategy": "macd", "grid": {"fast": "4:8:2", "slow": '
    '"20,30"}}\'': "tests/server/test_up.py",
}

REFUSED = {
    "JARVIS_LIVE=yes jarvis live --exchange kraken --symbol BTC/USD --timeframe 1h --mode live --cash 100": (
        "KRAKEN_PUBLIC_KEY"
    ),
    "jarvis reconcile --exchange practice --accept USD": "no unexplained difference",
    "jarvis judge 0123456789abcdef": "no run 0123456789abcdef",
}
"""Commands that need what only their reader has, and the words with which they are refused here."""


def blocks(document: str, language: str) -> list[tuple[str, str]]:
    """Return the fenced blocks of a language, each with the text before it."""
    text = (CHECKOUT / document).read_text(encoding="utf-8")
    pieces = re.split(rf"```{language}\n(.*?)```\n", text, flags=re.DOTALL)
    return list(zip(pieces[::2], pieces[1::2], strict=False))


def run(command: str, folder: Path) -> None:
    done = subprocess.run(
        command, shell=True, cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )
    told = f"{command}\n{done.stdout}{done.stderr}"
    refusal = REFUSED.get(command.partition("  #")[0].rstrip())
    if refusal is None:
        assert done.returncode == 0, told
    else:
        assert done.returncode in (1, 2), told
        assert refusal in done.stderr.splitlines()[-1], told


@pytest.mark.parametrize(
    "document",
    [
        "README.md",
        pytest.param("docs/live.md", marks=pytest.mark.slow),
        pytest.param("docs/strategies.md", marks=pytest.mark.slow),
        pytest.param("docs/sweeps.md", marks=pytest.mark.slow),
    ],
)
def test_every_command_works_in_the_order_written(
    document: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JARVIS_LAKE", str(tmp_path / "lake"))
    with exchanges_on_loopback(monkeypatch):
        run_document(document, tmp_path)


@contextmanager
def exchanges_on_loopback(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the practice exchange, whose clock is this machine's, stand for the exchanges whose language it speaks."""
    balances = {"USD": Decimal(1_000_000), "BTC": Decimal(1), "ETH": Decimal(1)}
    symbols = ("BTC/USD", "ETH/USD")
    with practice_exchange(symbols=symbols, balances=balances, start=None, paused=False) as practice:
        names = ("kraken", "bitfinex", "practice")
        monkeypatch.setenv("JARVIS_EXCHANGE_URLS", json.dumps(dict.fromkeys(names, practice.url)))
        yield


def run_document(document: str, tmp_path: Path) -> None:
    write_kraken_file(tmp_path / "XBTUSD_60.csv")
    for before, code in blocks(document, "python"):
        named = re.findall(r"`(\w+\.py)`", before)
        (tmp_path / named[-1]).write_text(code, encoding="utf-8")
    commands = [line for _, block in blocks(document, "sh") for line in block.splitlines() if line]
    assert len(commands) > 1
    for command in commands:
        if command not in RUN_ELSEWHERE:
            run(command, tmp_path)


def write_kraken_file(path: Path) -> None:
    """Write a file as Kraken's archive has it: no header; ts, open, high, low, close, volume, trades."""
    steps = np.random.default_rng(1).normal(0, 0.005, 500)
    closes = np.round(30_000 * np.exp(np.cumsum(steps)), 1)
    opens = np.concatenate([[30_000.0], closes[:-1]])
    times = 1_609_459_200 + 3_600 * np.arange(500)
    rows = np.column_stack([times, opens, np.maximum(opens, closes), np.minimum(opens, closes), closes])
    path.write_text("".join(f"{int(row[0])},{','.join(map(str, row[1:]))},1.25,42\n" for row in rows), encoding="utf-8")


def test_every_shipped_strategy_is_in_the_documents() -> None:
    text = (CHECKOUT / "docs" / "strategies.md").read_text(encoding="utf-8")
    for name, strategy in strategies().items():
        assert f"| `{name}` | {strategy.description} |" in text


def test_the_documents_lead_only_to_files_that_are_there() -> None:
    for document in [CHECKOUT / "README.md", *(CHECKOUT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name} -> {target}"


def test_make_alone_explains_every_target() -> None:
    done = subprocess.run(["make", "--no-print-directory"], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[1].split())  # type: ignore[index]
    assert {line.split()[0] for line in done.stdout.splitlines()} == targets
    assert all(len(line.split()) > 2 for line in done.stdout.splitlines())


def test_the_locks_pin_every_package_by_hash_and_name_no_registry() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (CHECKOUT / name).read_text(encoding="utf-8")
        pins = re.findall(r"^[a-z0-9][^\s]*==", text, re.MULTILINE)
        assert len(pins) > 100
        assert len(re.findall(r"^[a-z0-9]", text, re.MULTILINE)) == len(pins)
        assert text.count("--hash=sha256:") >= len(pins)
        assert "http" + "s://" not in text
        assert "index-url" not in text
