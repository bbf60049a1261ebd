"""Recorded candles as a live session meets them: one more each time, and the next one's open for a price."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pandas as pd

from data.candles import read_candles
from data.markets import Market
from data.timeframe import parse_timeframe
from data.writer import Lake
from flows.live import step
from flows.outcome import Outcome
from flows.parameters import LiveParameters
from flows.session import Session, admit
from tasks.signal.registry import create
from tasks.trade.paper import RecordedPrices

EXCHANGE = "recorded"


class RecordedMarket:
    """What `LiveMarket` is, over candles that are in the lake already, as far as `present` has come."""

    speed = 1.0

    def __init__(self, market: Market) -> None:
        self._market = market
        self.present = pd.Timestamp(0, tz="UTC")

    def now(self) -> pd.Timestamp:
        return self.present

    def market(self, symbol: str) -> Market:
        return self._market

    def newest(self, lake: Lake, symbol: str, timeframe: str, start: pd.Timestamp, **options: Any) -> pd.DataFrame:
        step = pd.Timedelta(parse_timeframe(timeframe))
        return read_candles(lake, EXCHANGE, symbol, timeframe, start, self.present - step + pd.Timedelta(1, "us"))


@dataclass
class Replay:
    """A paper session over recorded candles."""

    session: Session
    candles: pd.DataFrame
    prices: RecordedPrices
    market: RecordedMarket

    def step(self, position: int) -> list[Outcome]:
        """Take the step at the close of the candle in this position: the price is the next candle's open."""
        length = pd.Timedelta(parse_timeframe(self.session.parameters.timeframe))
        last = position + 1 == len(self.candles)
        opens = self.candles.index[position] + length if last else self.candles.index[position + 1]
        price = self.candles["close"].iloc[position] if last else self.candles["open"].iloc[position + 1]
        self.market.present = opens
        self.prices.at(opens.value, float(price))
        return step(self.session)


def replay(
    lake: Lake, candles: pd.DataFrame, parameters: LiveParameters, market: Market, first: int, stack: ExitStack
) -> Replay:
    """Begin a session whose first decision is at the close of candle number `first`; candles are in the lake."""
    prices, recorded = RecordedPrices(), RecordedMarket(market)
    length = pd.Timedelta(parse_timeframe(parameters.timeframe))
    recorded.present = candles.index[first] + length
    prices.at(recorded.present.value, float(candles["open"].iloc[first]))
    session = Session(lake, parameters, create(parameters.strategy, parameters.params), recorded)  # type: ignore[arg-type]
    admit(session, market, prices, stack)
    return Replay(session, candles, prices, recorded)
