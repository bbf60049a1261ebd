"""The command line as a user calls it: its output and its exit code; of what ends well, mostly in its own process."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest
import typer
from pydantic import BaseModel

from data.writer import Lake
from flows.cli import app
from flows.options import flag
from flows.parameters import CollectParameters, LiveParameters, PortfolioParameters
from tests.servers.command_line import Jarvis, fails
from tests.servers.processes import BIN, environment

JARVIS = BIN / "jarvis"


def process(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [JARVIS, *arguments],
        env=environment(COLUMNS=200, PYTHONWARNINGS="error::DeprecationWarning:data"),
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with one backtest in it."""
    folder = tmp_path_factory.mktemp("cli") / "lake"
    done = subprocess.run(
        [JARVIS, "backtest"],
        env=environment(JARVIS_LAKE=folder),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def there(filled: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JARVIS_LAKE", str(filled))
    return filled


def test_help_names_every_command_and_the_exit_codes() -> None:
    done = process("--help")
    assert done.returncode == 0
    for word in (
        "up",
        "backtest",
        "collect",
        "sql",
        "strategies",
        "doctor",
        "live",
        "halt",
        "resume",
        "flatten",
        "sessions",
        "reconcile",
        "parity",
        "Exit codes: 0 done, 1 failed, 2 bad input",
    ):
        assert word in done.stdout


def test_the_version_is_that_of_the_package(jarvis: Jarvis) -> None:
    done = jarvis("--version")
    assert (done.code, done.out) == (0, f"jarvis {version('jarvis')}\n")


@pytest.mark.parametrize(
    ("command", "model"),
    [
        ("backtest", PortfolioParameters),
        ("collect", CollectParameters),
        ("live", LiveParameters),
        ("serve", LiveParameters),
    ],
)
def test_every_field_of_a_model_is_an_option_in_the_fields_own_words(command: str, model: type[BaseModel]) -> None:
    options = {option.name: option for option in typer.main.get_command(app).commands[command].params}  # type: ignore[attr-defined]
    for name, field in model.model_fields.items():
        assert field.description, name
        assert options[name].help.startswith(field.description)
        assert options[name].opts == [flag(name, field)]
        default = field.get_default(call_default_factory=True)
        assert (
            list(options[name].default or ()) == list(default)
            if options[name].multiple
            else (options[name].default == default)
        )


def test_backtest_prints_both_tables_of_the_lesson_and_the_run(lake: Lake) -> None:
    done = process(
        "backtest", "--param", "fast=20", "--param", "slow=60", "--start", "2020-01-01", "--end", "2023-01-01"
    )
    assert done.returncode == 0, done.stderr
    for word in ("Annual Return", "Sharpe Ratio", "Entry Share Price", "Profit/Loss", "run "):
        assert word in done.stdout


def test_sql_answers_as_a_table_csv_and_json(jarvis: Jarvis, there: Path) -> None:
    query = "select side, count(*) as n, round(sum(profit), 2) as profit from trades group by side"
    table = jarvis("sql", query)
    assert table.code == 0, table.err
    assert "long" in table.out
    rows = jarvis("sql", query, "--json").json
    assert [(row["side"]) for row in rows] == ["long"]
    written = list(csv.DictReader(io.StringIO(jarvis("sql", query, "--format", "csv").out)))
    assert [(row["side"], int(row["n"]), float(row["profit"])) for row in written] == [
        (row["side"], row["n"], row["profit"]) for row in rows
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["backtest", "--strategy", "macdd"], "did you mean 'macd'"),
        (["backtest", "--param", "fast"], "write name=value"),
        (["backtest", "--param", "fast=fifty"], "fast"),
        (["backtest", "--param", "fast=0"], "fast"),
        (["backtest", "--param", "fast=100", "--param", "slow=50"], "fast"),
        (["backtest", "--cash", "0"], "cash"),
        (["backtest", "--cash", "nan"], "cash"),
        (["backtest", "--fee", "-1"], "fee"),
        (["backtest", "--slippage", "1"], "slippage"),
        (["backtest", "--stop-loss", "1.5"], "stop_loss"),
        (["backtest", "--daily-loss", "1"], "daily_loss"),
        (["backtest", "--max-orders-a-day", "0"], "max_orders_a_day"),
        (["backtest", "--cooldown", "-1"], "cooldown"),
        (["backtest", "--max-signal-age", "0"], "max_signal_age"),
        (["backtest", "--timeframe", "1x"], "unknown timeframe '1x'"),
        (["backtest", "--start", "yesterday"], "start"),
        (["backtest", "--start", "2021-01-01", "--end", "2020-01-01"], "is not before"),
        (["backtest", "--symbol", "MSFT"], "AAPL"),
        (["backtest", "--exchange", "kraaken", "--symbol", "BTC/USD"], "kraken"),
        (["backtest", "--strategy", "no_such_file.py"], "no_such_file.py"),
        (["collect", "--file", "no_such_file.csv", "--symbol", "X"], "no_such_file.csv"),
        (["sql", "select * from tradess"], "tradess"),
        (["sql", "drop view trades"], "read-only"),
        (["sql", "select 1; select 2"], "write one SELECT"),
        (["sql", "select * from read_csv('/etc/passwd')"], "/etc/passwd"),
        (["sql", "select 1", "--format", "xml"], "table, csv, json"),
        (["strategies", "check", "nothing"], "unknown strategy 'nothing'"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(jarvis: Jarvis, lake: Lake, arguments: list[str], words: str) -> None:
    fails(jarvis(*arguments), 2, words)
    assert lake.version("runs") == -1


def test_an_unknown_option_is_refused(lake: Lake) -> None:
    done = process("backtest", "--no-such-option")
    assert (done.returncode, done.stdout) == (2, "")
    assert "No such option" in done.stderr
    assert "Traceback" not in done.stderr
    assert lake.version("runs") == -1


def test_a_strategy_that_raises_is_one_line_and_exit_code_1(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(
        "from tasks.signal import Strategy\n"
        "class Broken(Strategy):\n"
        "    @property\n"
        "    def warmup(self):\n"
        "        return 0\n"
        "    def generate(self, candles):\n"
        "        return candles.no_such_column\n"
    )
    done = process("backtest", "--strategy", "broken.py", cwd=tmp_path)
    assert done.returncode == 1
    assert "broken.py" in done.stderr
    assert "no_such_column" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert lake.version("runs") == -1


def test_a_setting_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JARVIS_DASHBOARD_PORT", "ninety")
    done = process("backtest")
    assert done.returncode == 2
    assert "JARVIS_DASHBOARD_PORT" in done.stderr


def test_strategies_are_listed_with_their_parameters(jarvis: Jarvis) -> None:
    known = jarvis("strategies", "--json").json
    assert {
        "sma_crossover",
        "ema_crossover",
        "rsi_mean_reversion",
        "bollinger_bands",
        "macd",
        "donchian_breakout",
        "volatility_targeted_momentum",
        "buy_and_hold",
    } <= set(known)
    assert known["sma_crossover"]["properties"]["fast"]["default"] == 50
    assert "sma_crossover" in jarvis("strategies").out


def test_check_passes_an_honest_strategy_and_fails_one_that_looks_ahead(jarvis: Jarvis, tmp_path: Path) -> None:
    assert jarvis("strategies", "check", "sma_crossover").code == 0
    (tmp_path / "oracle.py").write_text(
        "from tasks.signal import Strategy\n"
        "class Oracle(Strategy):\n"
        "    @property\n"
        "    def warmup(self):\n"
        "        return 0\n"
        "    def generate(self, candles):\n"
        "        rises = candles.close.shift(-1) > candles.close\n"
        "        return rises.astype(float).to_frame('target')\n"
    )
    done = jarvis("strategies", "check", str(tmp_path / "oracle.py"), "--json")
    assert done.code == 1
    assert {finding["kind"] for finding in done.json["findings"]} == {"lookahead"}


def test_the_doctor_is_content_and_names_a_lake_that_cannot_be_written(
    there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = process("doctor", "--json")
    assert done.returncode == 0, done.stdout
    assert {"Python", "packages", "lake", "table runs"} <= {finding["what"] for finding in json.loads(done.stdout)}
    monkeypatch.setenv("JARVIS_LAKE", "/proc/no/lake")
    done = process("doctor", "--json")
    assert done.returncode == 1
    assert not next(finding for finding in json.loads(done.stdout) if finding["what"] == "lake")["ok"]


def test_a_full_disk_is_said_in_a_line_and_the_run_is_whole_once_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=160k", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("needs leave to mount a small disk")
    monkeypatch.setenv("JARVIS_LAKE", str(disk / "lake"))
    try:
        full = process("backtest")
        assert full.returncode == 1
        assert full.stdout == ""
        assert full.stderr.splitlines()[-1].startswith("jarvis: disk full: nothing was written to")
        assert json.loads(process("sql", "select count(*) as n from runs", "--json").stdout) == [{"n": 0}]
        subprocess.run(["mount", "-o", "remount,size=4m", disk], check=True)
        assert process("backtest").returncode == 0
        asked = process("sql", "select count(*) as rows, count(distinct ts) as days from signals", "--json")
        assert json.loads(asked.stdout) == [{"rows": 1509, "days": 1509}]
    finally:
        subprocess.run(["umount", disk], check=True)
