"""Given candles as a market of today: shifted in time so that they lead up to the start, and then begin again."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data.errors import BadInput
from data.timeframe import parse_timeframe
from tasks.exchange.practice.market.bars import LARGEST, PRINTS, Bars, Whole, volume_unit
from tasks.exchange.rules import MarketRules
from tasks.exchange.units import MINUTE

_DAY = 1440
_PRICES = ("open", "high", "low", "close")


class Replayed:
    """A series of given candles; after the last one, their relative moves follow again from the first on, and so forth.

    The shift is a whole number of candles, so that they begin at multiples of their length since 1970. Times without a
    candle, and candles without volume, are times in which nobody trades. Prices are rounded to the tick, volumes to
    the step. What is not kept is the number of trades: it only tells in how many minutes somebody traded (all, where it
    is not known).
    """

    def __init__(self, rules: MarketRules, frame: pd.DataFrame, timeframe: str, start: int) -> None:
        """Take candles as `data.candles.read_candles` returns them, the last of which closes at `start` (ns) or,
        when that lies within one, at its beginning.

        Raises BadInput for candles that cannot be played.
        """
        self.minutes = round(parse_timeframe(timeframe).total_seconds()) // 60
        candles, slots, self._length = _trading(frame, self.minutes, f"{rules.symbol} {timeframe}")
        self.first = start // (self.minutes * MINUTE) - self._length
        volume = candles["volume"].to_numpy()
        self.unit = volume_unit(rules.amount_step, float(volume.max()) * max(1.0, _DAY / self.minutes))
        self._prices = _on_grid(candles, slots, self._length) / float(rules.price_step)
        self._growth = self._prices[-1, -1] / self._prices[0, 0]
        units = np.rint(volume / float(self.unit)).astype(np.int64)
        active = np.minimum(_active(candles["trades"].to_numpy(), self.minutes), np.maximum(units // PRINTS, 1))
        self._volume, self._active = np.zeros((2, self._length), dtype=np.int64)
        self._volume[slots], self._active[slots] = np.maximum(units, PRINTS * active), active

    def bars(self, first: int, count: int) -> Bars:
        """Return bars by number."""
        places = np.arange(first, first + count) - self.first
        cycles, slots = np.divmod(np.maximum(places, 0), self._length)
        with np.errstate(over="ignore"):
            prices = self._prices[:, slots] * np.power(self._growth, cycles.astype(np.float64))
        open_, high, low, close = np.clip(np.rint(prices), 1, LARGEST).astype(np.int64)
        return Bars(open_, high, low, close, self._volume[slots], self._active[slots]).silent_where(places < 0)


def _trading(frame: pd.DataFrame, minutes: int, name: str) -> tuple[pd.DataFrame, Whole, int]:
    """Return the candles in which anybody trades, their places on an even grid, and its length."""
    prices = frame[list(_PRICES)]
    if (prices <= 0).any(axis=None):
        raise BadInput(
            f"the candles of {name} hold a price of 0 or below, which cannot be replayed; give other candles"
        )
    trading = ((frame["volume"] > 0) & prices.notna().all(axis=1)).to_numpy()
    if not trading.any():
        raise BadInput(
            f"no candle of {name} has any volume to replay; fetch candles first, or leave it to the generator"
        )
    times = pd.DatetimeIndex(frame.index).tz_convert(None).to_numpy().astype("datetime64[ns]").astype(np.int64)
    slots = (times - times[trading.argmax()]) // (minutes * MINUTE)
    if (np.diff(slots) < 1).any():
        raise BadInput(
            f"the candles of {name} do not lie {minutes} minutes apart in ascending order; sort or resample them"
        )
    return frame[trading], slots[trading], int(slots[-1]) + 1


def _on_grid(candles: pd.DataFrame, slots: Whole, length: int) -> NDArray[np.float64]:
    """Return open, high, low and close, a row each; where no candle is, all four are the close before."""
    prices = candles[list(_PRICES)].to_numpy(copy=True).T
    prices[1], prices[2] = prices.max(axis=0), prices.min(axis=0)
    latest = np.zeros(length, dtype=np.int64)
    latest[slots] = np.arange(len(slots))
    latest = np.maximum.accumulate(latest)
    missing = np.ones(length, dtype=np.bool_)
    missing[slots] = False
    return np.where(missing, prices[3, latest], prices[:, latest])


def _active(trades: NDArray[np.float64], minutes: int) -> Whole:
    """Return in how many minutes of a candle so many trades are expected, each at a time of its own."""
    expected = minutes * (1 - np.exp(-np.where(np.isnan(trades), np.inf, trades) / minutes))
    return np.asarray(np.clip(np.rint(expected), 1, minutes).astype(np.int64))
