"""A practice exchange on candles of the lake: begun with, taken up again, and not with others."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from data.errors import BadInput
from data.writer import Lake
from tasks.exchange.practice.server.plan import Plan
from tasks.exchange.practice.server.venue import Venue
from tasks.exchange.units import MINUTE
from tests.servers.practice_exchange import NOW
from tests.unit.lake_rows import EPOCH, candles

PLAN = Plan(("BTC/USD",), candles="kraken:1h")
HOUR = 60 * MINUTE


def opened(folder: Path | None, time: int = NOW) -> Venue:
    return Venue.open(PLAN, folder, wall=lambda: time)


def closes(venue: Venue, count: int = 12) -> list[int]:
    """The closes of the last hours, in the market's prices."""
    market = venue.exchange.markets["BTC/USD"]
    return [int(candle.close) for candle in market.candles(60, venue.exchange.synced, count + 1)[:-1]]


def test_the_lakes_candles_lead_up_to_the_beginning(lake: Lake) -> None:
    lake.append("candles", candles(48))
    venue = opened(None)
    assert closes(venue) == list(range(137, 149))
    venue.close()


def test_it_goes_on_with_the_candles_that_it_began_with_when_the_lake_has_more(lake: Lake, tmp_path: Path) -> None:
    lake.append("candles", candles(48))
    opened(tmp_path).close()
    lake.append("candles", candles(24, start=EPOCH + pd.Timedelta(hours=48)))
    venue = opened(tmp_path, NOW + HOUR)
    assert closes(venue, 13)[:12] == list(range(137, 149))
    venue.close()


def test_it_does_not_go_on_with_other_candles(lake: Lake, tmp_path: Path) -> None:
    lake.append("candles", candles(48))
    opened(tmp_path).close()
    lake.upsert("candles", candles(48, volume=6.0))
    with pytest.raises(BadInput, match="are not those that this exchange began with: give another --state folder"):
        opened(tmp_path)


def test_candles_that_the_lake_does_not_have_are_named(lake: Lake) -> None:
    told = "`jarvis collect --exchange kraken --symbol BTC/USD --timeframe 1h` brings them"
    with pytest.raises(BadInput, match=told):
        opened(None)
    with pytest.raises(BadInput, match="--exchange sample --symbol AAPL --timeframe 1d"):
        Venue.open(Plan(("AAPL/USD",), candles="sample"))


def test_the_sample_is_a_market_of_its_own(lake: Lake) -> None:
    days = {"exchange": "sample", "timeframe": "1d", "ts": pd.date_range(EPOCH, periods=30, freq="D")}
    lake.append("candles", candles(30, symbol="AAPL", **days))
    venue = Venue.open(Plan(("AAPL/USD",), candles="sample"))
    assert venue.exchange.engine.last("AAPL/USD") > 100
    venue.close()
