"""The AAPL backtest, recomputed from the CSV file alone with nothing but arithmetic, is what `jarvis backtest` says."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from data.tables import TABLES

CASH, FEE, SLIPPAGE, FAST, SLOW = 100_000.0, 0.004, 0.0005, 50, 100


def rows_of_the_file() -> list[tuple[str, float, float]]:
    path = files("hvsampledata") / "_data" / "apple_stocks.csv"
    with path.open() as lines:  # type: ignore[call-overload]
        return [(row["date"], float(row["open"]), float(row["close"])) for row in csv.DictReader(lines)]


def trades_by_hand(rows: list[tuple[str, float, float]]) -> list[dict[str, Any]]:
    """Long while the mean of the last 50 closes is above that of the last 100; traded at the next open."""
    closes = [close for _, _, close in rows]
    cash, shares, trades = CASH, 0.0, []
    for today in range(SLOW - 1, len(rows) - 1):
        wanted = sum(closes[today - FAST + 1 : today + 1]) / FAST > sum(closes[today - SLOW + 1 : today + 1]) / SLOW
        date, next_open, _ = rows[today + 1]
        if wanted and not shares:
            price = next_open * (1 + SLIPPAGE)
            shares = cash / (price * (1 + FEE))
            trades.append({"entry": date, "entry_price": price, "amount": shares, "paid": cash})
            cash = 0.0
        elif not wanted and shares:
            price = next_open * (1 - SLIPPAGE)
            cash = shares * price * (1 - FEE)
            trades[-1] |= {"exit": date, "exit_price": price, "profit": cash - trades[-1]["paid"]}
            shares = 0.0
    if shares:
        last = closes[-1]
        trades[-1] |= {"exit": None, "exit_price": last, "profit": shares * last - trades[-1]["paid"]}
    return trades


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    options = ["--cash", str(CASH), "--fee", str(FEE), "--slippage", str(SLIPPAGE)]
    parameters = ["--param", f"fast={FAST}", "--param", f"slow={SLOW}", "--json"]
    done = subprocess.run(
        [Path(sys.executable).parent / "jarvis", "backtest", *options, *parameters],
        env={"JARVIS_LAKE": str(tmp_path_factory.mktemp("sample") / "lake"), "PATH": "", "HOME": str(Path.home())},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_the_trades_are_those_of_the_csv_file(answer: dict[str, Any]) -> None:
    expected = trades_by_hand(rows_of_the_file())
    assert len(expected) > 5
    assert [trade["entry_ts"][:10] for trade in answer["trades"]] == [trade["entry"] for trade in expected]
    assert [trade["exit_ts"] and trade["exit_ts"][:10] for trade in answer["trades"]] == [t["exit"] for t in expected]
    for trade, by_hand in zip(answer["trades"], expected, strict=True):
        for name in ("entry_price", "exit_price", "amount", "profit"):
            assert trade[name] == pytest.approx(by_hand[name], rel=1e-9)


def test_the_fills_carry_all_the_money_that_moved(answer: dict[str, Any]) -> None:
    cash = CASH
    for fill in answer["fills"]:
        cost = fill["price"] * fill["amount"]
        assert fill["fee"] == pytest.approx(cost * FEE, rel=1e-12)
        cash += (cost if fill["side"] == "sell" else -cost) - fill["fee"]
    held = sum(fill["amount"] * (1 if fill["side"] == "buy" else -1) for fill in answer["fills"])
    last_close = rows_of_the_file()[-1][2]
    assert cash + held * last_close == pytest.approx(answer["metrics"]["final_equity"], rel=1e-9)


def test_the_rows_have_the_columns_of_the_lake(answer: dict[str, Any]) -> None:
    for table in ("trades", "fills"):
        assert all(list(row) == TABLES[table].schema.names for row in answer[table])
        assert {row["run_id"] for row in answer[table]} == {answer["run_id"]}


def test_the_manifest_says_what_was_run(answer: dict[str, Any]) -> None:
    manifest = answer["manifest"]
    assert manifest["parameters"] == {"fast": FAST, "slow": SLOW, "short": False}
    assert (manifest["costs"]["fee"], manifest["costs"]["slippage"]) == (FEE, SLIPPAGE)
    assert manifest["candles"] == len(rows_of_the_file())
