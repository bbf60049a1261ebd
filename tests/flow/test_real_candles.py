"""A year of Kraken's hours, from the file to the answer of an SQL query, through the command line alone."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from data.writer import Lake
from tests.servers.processes import environment

JARVIS = Path(sys.executable).parent / "jarvis"
SERIES = ("--exchange", "kraken", "--symbol", "BTC/USD", "--timeframe", "1h")


def jarvis(*arguments: str) -> Any:
    done = subprocess.run(
        [JARVIS, *arguments, "--json"],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_year_of_hours_becomes_a_backtest_that_sql_can_ask(lake: Lake, market_data: Path) -> None:
    file = market_data / "kraken_BTC-USD_1h_2021.csv"
    collected = jarvis("collect", "--file", str(file), *SERIES)
    assert (collected["new"], collected["revised"]) == (8_754, 0)
    gaps = [fact for fact in collected["facts"] if fact["kind"] == "gap"]
    assert sum(fact["candles"] for fact in gaps) == 6
    assert {fact["start"][:10] for fact in gaps} == {"2021-01-29", "2021-07-22", "2021-07-23"}

    run = jarvis("backtest", *SERIES, "--param", "fast=24", "--param", "slow=168")
    assert run["manifest"]["candles"] == 8_754
    assert run["manifest"]["calendar"] == "24/7"
    assert run["metrics"]["periods_per_year"] == 365
    assert len(run["trades"]) > 10
    closed = [trade for trade in run["trades"] if trade["status"] == "closed"]
    touched = [trade for trade in closed if trade["touches_gap"]]
    for trade in closed:
        inside = [gap for gap in gaps if trade["entry_ts"] < gap["start"] < trade["exit_ts"]]
        assert trade["touches_gap"] or not inside
    assert len(touched) < len(closed)

    answered = jarvis(
        "sql",
        "select ts::date::varchar as day, max(high) as high, min(low) as low,"
        " sum(volume::decimal(28, 12))::varchar as volume"
        " from candles where timeframe = '1h' group by day order by day",
    )
    with (market_data / "kraken_BTC-USD_1d_2015-08-07_2021-12-31.csv").open() as lines:
        days = [row for row in csv.DictReader(lines) if int(row["timestamp"]) >= 1_609_459_200]
    assert len(answered) == len(days) == 365
    for hours, day in zip(answered, days, strict=True):
        assert (hours["high"], hours["low"]) == (float(day["high"]), float(day["low"]))
        assert Decimal(hours["volume"]) == Decimal(day["volume"])

    (joined,) = jarvis("sql", "select count(*) as n, sum(profit) as profit from trades join runs using (run_id)")
    assert joined["n"] == len(run["trades"])
    assert joined["profit"] == pytest.approx(sum(trade["profit"] for trade in run["trades"]))

    versions = {table: lake.version(table) for table in ("candles", "quality", "markets")}
    assert jarvis("collect", "--file", str(file), *SERIES)["unchanged"] == 8_754
    assert {table: lake.version(table) for table in versions} == versions
