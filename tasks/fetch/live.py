"""The newest candles for a session: one client for all its symbols, and the exchange's clock instead of this machine's.

with live_market("practice") as market:
    candles = market.newest(lake, "BTC/USD", "1m", start)
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd

from data.errors import BadInput, ExchangeError, Refused, SourceError
from data.markets import Market
from data.timeframe import parse_timeframe
from data.writer import Lake
from tasks.exchange.client import PRACTICE
from tasks.exchange.clock import ExchangeClock
from tasks.fetch.collect import bring
from tasks.fetch.exchange import ExchangeSource
from tasks.fetch.missing import missing
from tasks.fetch.shelf import KeptShelf
from tasks.fetch.source import Series
from tasks.fetch.survey import reach

AGAIN = 10
"""So many of the last candles are asked for again with a new one: what came late or was changed is found in them."""

_LATELY = timedelta(minutes=10)
"""A gap that was found no longer ago is asked for again: one answer that leaves a candle out proves little."""

_PAUSE = 0.2
"""Seconds between two questions for a candle that is not shown yet."""


@contextmanager
def live_market(exchange: str) -> Iterator[LiveMarket]:
    """Open an exchange's public data for a step, or for a stream of them, and close it.

    Raises BadInput for an unknown exchange, SourceError for one that does not answer.
    """
    with LiveMarket(exchange, paced=exchange not in PRACTICE) as market:
        yield market


class LiveMarket(ExchangeSource):
    """Candles as they close. It keeps in memory what it has seen, so that a step asks and reads for what is new.

    For one thread.
    """

    def __init__(self, exchange: str, *, paced: bool = True) -> None:
        super().__init__(exchange, paced=paced)
        self._clock: ExchangeClock
        self._shelves: dict[tuple[Path, Series], KeptShelf] = {}

    def __enter__(self) -> LiveMarket:
        super().__enter__()
        self._clock = ExchangeClock(self._client)
        return self

    def now(self) -> pd.Timestamp:
        """Return the time by the exchange's clock, or a moment before, UTC. Raises SourceError."""
        try:
            return pd.Timestamp(self._clock.now(), unit="ns", tz="UTC").as_unit("us")
        except ExchangeError as error:
            raise SourceError(str(error)) from None

    @property
    def speed(self) -> float:
        """The exchange's seconds in one of ours; 1 of a real exchange."""
        return max(1.0, self._clock.speed or 1.0)

    def market(self, symbol: str) -> Market:
        """Return steps, minimums and fees. Raises BadInput for an unknown symbol, Refused for one that is halted."""
        known = super().market(symbol)
        if self._client.markets[symbol]["active"] is False:
            raise Refused(f"{self.name} does not trade {symbol} now: there are no new candles")
        return known

    def newest(
        self,
        lake: Lake,
        symbol: str,
        timeframe: str,
        start: pd.Timestamp,
        *,
        due: pd.Timestamp | None = None,
        patience: float = 10.0,
    ) -> pd.DataFrame:
        """Return the closed candles from `start` on, having brought into the lake those that it lacks.

        `due` is when the candle opens that shall be there; None: the last one that closed by the exchange's clock. It
        is asked for until it is shown, or `patience` seconds of ours have passed since it closed; then the candles are
        returned without it. With new candles the last held ones are asked for again, back to the first gap that was
        found lately, so that revisions and late ones are found. Nothing is written where nothing is new. Raises
        BadInput for a symbol or timeframe that the exchange does not have, Refused for a halted market, SourceError
        where it does not answer, LakeError.
        """
        market = self.market(symbol)
        self.check_timeframe(timeframe)
        step = pd.Timedelta(parse_timeframe(timeframe))
        began = self.now()
        last = _last_closed(began, step) if due is None else due
        if start > last:
            raise BadInput(f"no candle of {symbol} has closed since {start:%Y-%m-%d %H:%M}, where the history starts")
        until = time.monotonic() + max(0.0, patience - max(0.0, self._ours(began - last - step)))
        shelf = self._shelf(lake, Series(self.name, symbol, timeframe), start)
        shelf.refresh()
        claimed = shelf.claimed()
        again = self._again(shelf, start, step)
        bring(self, shelf, market, missing(shelf, start, None, began, again=again))
        while shelf.candles(last).empty and (left := until - time.monotonic()) > 0:
            time.sleep(min(_PAUSE, left))
            bring(self, shelf, market, missing(shelf, start, None, self.now(), again=again))
        if shelf.claimed() != claimed:
            shelf.refresh()
        return shelf.candles(start)

    def _again(self, shelf: KeptShelf, start: pd.Timestamp, step: pd.Timedelta) -> int:
        """Return how many of the last candles are asked for again: as far back as the first gap that was found lately.

        Such a gap may lie among many candles that were caught up with at once.
        """
        times = shelf.times(start)
        if not (times[1:] - times[:-1] > step).any():
            return AGAIN
        lately = datetime.now(UTC) - max(_LATELY, timedelta(seconds=AGAIN * self._ours(step)))
        gaps = [
            known.fact.start
            for known in shelf.facts()
            if known.fact.kind == "gap" and known.resolved_at is None and known.found_at > lately
        ]
        return max(AGAIN, len(times) - int(times.searchsorted(min(gaps))) + 1) if gaps else AGAIN

    def _ours(self, passed: pd.Timedelta) -> float:
        """Return in seconds of ours what passed by the exchange's clock; the practice exchange's may run faster."""
        return passed.total_seconds() / self.speed

    def _shelf(self, lake: Lake, series: Series, start: pd.Timestamp) -> KeptShelf:
        key = (lake.root, series)
        if key not in self._shelves:
            self._shelves[key] = KeptShelf(lake, series, start - reach(series.timeframe))
        return self._shelves[key]


def _last_closed(now: pd.Timestamp, step: pd.Timedelta) -> pd.Timestamp:
    """Return when the last closed candle opened, by the grid that counts from 1970: weeks may open some days later."""
    return now.floor(step) - step
