"""Candles of any exchange that ccxt knows, page by page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from types import TracebackType
from typing import Any

import numpy as np
import pandas as pd

from data.candles import PRICES
from data.errors import BadInput, SourceError
from data.markets import Market
from data.timeframe import parse_timeframe
from tasks.exchange import ask, public_client, unknown_on
from tasks.exchange.client import PRACTICE
from tasks.fetch import clock
from tasks.fetch.quality import drop_repeats, find_fault
from tasks.fetch.source import Batch, Fact

_MICROSECOND = pd.Timedelta(microseconds=1)
_USUAL_PAGE = 100

_ENDS_OPEN = frozenset({"kraken"})
"""Exchanges whose every answer ends with the candle that is open. One that the clock says is over was not complete when
it was answered, from a cache or a moment before its end: it is not taken as closed before another follows it."""


class ExchangeSource:
    """Public candles of one exchange; a context manager, which opens one client and closes it.

    A page that fails is asked for again here, a few times within seconds, because a flow is not always around the
    stage and because only here the pages already answered are not asked for again. Prefect's retries of the stage,
    minutes apart, are for an exchange that is down; they continue after the last page that was stored.
    """

    remote = True

    def __init__(self, exchange: str, *, paced: bool = True) -> None:
        self.name = exchange
        self._paced = paced
        self._ends_open = PRACTICE.get(exchange, exchange) in _ENDS_OPEN
        self._stack = ExitStack()
        self._client: Any = None

    def __enter__(self) -> ExchangeSource:
        client = self._stack.enter_context(public_client(self.name, paced=self._paced))
        try:
            ask(client.load_markets)
            if not client.markets:
                raise SourceError(f"{self.name} answered no markets")
        except BaseException:
            self._stack.close()
            raise
        self._client = client
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def market(self, symbol: str) -> Market:
        """Return steps, minimums and fees as the exchange tells them. Raises BadInput for an unknown symbol."""
        if symbol not in self._client.markets:
            raise unknown_on("symbol", symbol, self._client.markets, self.name)
        market = self._client.markets[symbol]
        limits = market["limits"]
        return Market(
            self.name,
            symbol,
            base=market["base"],
            quote=market["quote"],
            amount_step=self._step(market["precision"]["amount"]),
            price_step=self._step(market["precision"]["price"]),
            min_amount=limits["amount"]["min"],
            min_cost=limits["cost"]["min"],
            maker=market["maker"],
            taker=market["taker"],
        )

    def check_timeframe(self, timeframe: str) -> None:
        """Raise BadInput for a timeframe of which the exchange has no candles."""
        if not self._client.has["fetchOHLCV"] or timeframe not in self._client.timeframes:
            there = ", ".join(self._client.timeframes or {}) or "none"
            raise BadInput(f"{self.name} has no {timeframe} candles; it has {there}")

    def candles(self, symbol: str, timeframe: str, since: datetime | None, until: datetime | None) -> Iterator[Batch]:
        """Yield closed candles page by page; without `since` the newest page alone.

        An exchange that answers from later on than it was asked (Kraken: the last 720 candles, whatever is asked) has
        that told as a `window`: what lies before is not to be had there. Raises SourceError where it has no candle at
        all, or one that cannot be.
        """
        self.market(symbol)
        self.check_timeframe(timeframe)
        step = pd.Timedelta(parse_timeframe(timeframe))
        now = self.now()
        end = now - step + _MICROSECOND if until is None else min(now - step + _MICROSECOND, pd.Timestamp(until))
        if since is None:
            answer, facts = self._page(symbol, timeframe, None)
            _refuse_nothing(answer.empty, self.name, symbol, timeframe)
            closed = self._complete(answer).loc[: end - _MICROSECOND]
            yield Batch(closed, facts, done=len(closed), total=len(closed))
        else:
            yield from self._pages(symbol, timeframe, step, pd.Timestamp(since), end)

    def _pages(
        self, symbol: str, timeframe: str, step: pd.Timedelta, since: pd.Timestamp, end: pd.Timestamp
    ) -> Iterator[Batch]:
        cursor, silent = since, True
        total = max(0, int((end - since) // step) + 1)
        while cursor < end:
            answer, facts = self._page(symbol, timeframe, cursor)
            if silent and not answer.empty:
                facts += _window(self.name, since, answer.index[0], step, end)
                silent = False
            complete = self._complete(answer)
            wanted = complete.loc[cursor : end - _MICROSECOND]
            if answer.empty:  # some exchanges look no further than a page beyond the time they are asked for
                cursor += step * (self._page_limit(symbol) or _USUAL_PAGE)
            elif not complete.empty and complete.index[-1] >= cursor:
                cursor = complete.index[-1] + step
            else:  # asked again it would answer the same: there is nothing later
                cursor = end
            yield Batch(wanted, facts, done=min(total, int((cursor - since) // step)), total=total)
        _refuse_nothing(silent, self.name, symbol, timeframe)

    def _page(self, symbol: str, timeframe: str, since: pd.Timestamp | None) -> tuple[pd.DataFrame, tuple[Fact, ...]]:
        """Ask for one page, the candle that is still open included, and check it."""
        since_ms = None if since is None else int(since.timestamp() * 1000)
        rows = ask(self._client.fetch_ohlcv, symbol, timeframe, since_ms, self._page_limit(symbol))
        try:
            table = np.array(rows, dtype=np.float64).reshape(len(rows), 6)
            ts = np.array([row[0] for row in rows], dtype=np.int64) * 1000
        except (TypeError, ValueError):
            raise SourceError(f"{self.name} answered rows that are no candles of {symbol}") from None
        index = pd.DatetimeIndex(ts.astype("datetime64[us]"), name="ts").tz_localize("UTC")
        candles = pd.DataFrame(table[:, 1:], columns=PRICES, index=index)
        candles["trades"] = np.nan  # ccxt leaves the count out
        fault = find_fault(candles, timeframe)
        if fault is not None:
            at = f"{index[fault.row]:%Y-%m-%d %H:%M}"
            raise SourceError(
                f"{self.name} answered a {timeframe} candle of {symbol} at {at} that cannot be: {fault.reason}"
            )
        unique, facts = drop_repeats(candles)
        return unique, tuple(facts)

    def _complete(self, answer: pd.DataFrame) -> pd.DataFrame:
        """Return the candles of an answer that will not change any more, if the clock says that they are closed."""
        return answer.iloc[:-1] if self._ends_open else answer

    def _page_limit(self, symbol: str) -> int | None:
        """Return how many candles the exchange answers at most, None where ccxt does not know."""
        limit = self._client.feature_value(symbol, "fetchOHLCV", "limit")
        return None if limit is None else int(limit) + self._ends_open  # the open one comes on top

    def now(self) -> pd.Timestamp:
        """Return the time by the exchange's clock where it tells one, else by this machine's."""
        if self._client.has["fetchTime"] is True:
            milliseconds = ask(self._client.fetch_time)
            if milliseconds is None:
                raise SourceError(f"{self.name} answered no time")
            return pd.Timestamp(milliseconds, unit="ms", tz="UTC")
        return clock.now()

    def _step(self, precision: float | None) -> float | None:
        import ccxt

        if precision is None or self._client.precisionMode == ccxt.SIGNIFICANT_DIGITS:
            return None  # so many digits, of whatever size, are no step
        return float(precision) if self._client.precisionMode == ccxt.TICK_SIZE else float(f"1e-{int(precision)}")


def _window(
    name: str, since: pd.Timestamp, first: pd.Timestamp, step: pd.Timedelta, end: pd.Timestamp
) -> tuple[Fact, ...]:
    earlier = int((first - since) // step)
    start = first - earlier * step
    missed = min(earlier, int(-((start - end) // step)))
    if missed < 1:
        return ()
    detail = f"{name} answered from {first:%Y-%m-%d %H:%M} on, asked from {since:%Y-%m-%d %H:%M} on"
    return (Fact("window", start, start + (missed - 1) * step, missed, detail),)


def _refuse_nothing(nothing: bool, name: str, symbol: str, timeframe: str) -> None:
    if nothing:
        raise SourceError(f"{name} answered no {timeframe} candles of {symbol} in the range asked for")
