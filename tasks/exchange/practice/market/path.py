"""The path of the price inside a candle: splits candles into shorter ones, and minutes into prints, exactly.

Every part of the path is a Brownian bridge: from the open to one extreme, to the other, to the close, folded back where
it would leave the candle's range. All bars are split at once, in columns; everything random is drawn by the bar's key.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.exchange.practice.market import draws
from tasks.exchange.practice.market.bars import PRINTS, Bars, Whole
from tasks.exchange.practice.market.draws import Keys
from tasks.exchange.units import SECOND

_STEPS = 8
"""Steps of the path in each part of a bar; 3 are the fewest that leave room for both extremes."""

_TURNS, _ACTIVE, _VOLUMES, _LATENESS, _COINS, _NOISE = range(6)
"""Streams of a bar's draws."""

_RANGE_OF_WALK = 1.45
"""Mean range of a random walk over the root of its steps. It is sqrt(8 / pi) = 1.6 when the steps are endless, 1.2 for
8 of them (Feller 1951); with this figure, days, hours and minutes are about equally volatile."""


@dataclass(frozen=True, slots=True)
class Prints:
    """The prints of minutes: a row of `PRINTS` for each minute."""

    offset: Whole
    """Nanoseconds since the minute's start; whole milliseconds, the first at 0."""
    price: Whole
    """Ticks."""
    amount: Whole
    """Units of volume."""
    bought: NDArray[np.bool_]
    """Whether the taker bought."""


def split(bars: Bars, keys: Keys, parts: int, minutes: int) -> Bars:
    """Return `parts` bars of `minutes` minutes for each bar: what they make together is the bar, exactly."""
    active = _active(bars, keys, parts, minutes)
    trading = active > 0
    begins: Whole = np.cumsum(trading, axis=1) - trading
    path = _walk(bars, keys, _STEPS * trading.sum(axis=1), _STEPS * parts)
    # A part in which nobody trades stands still; the path passes through the others only.
    places = _STEPS * begins[:, :, None] + np.arange(_STEPS + 1) * trading[:, :, None]
    points = np.take_along_axis(path, places.reshape(len(bars), -1), axis=1).reshape(*places.shape)
    high, low = points.max(axis=2), points.min(axis=2)
    moods = 0.25 - np.log(draws.uniform(keys, _VOLUMES, parts))
    spare = _apportion(bars.volume - PRINTS * bars.active, active * (1 + high - low) * moods)
    columns = (points[:, :, 0], high, low, points[:, :, -1], spare + PRINTS * active, active)
    return Bars(*(column.reshape(-1) for column in columns))


def prints(minutes: Bars, keys: Keys) -> Prints:
    """Return the prints of minutes in all of which somebody trades."""
    count = len(minutes)
    price = _walk(minutes, keys, np.full(count, PRINTS - 1), PRINTS - 1)
    shares, lateness, coins = (draws.uniform(keys, stream, PRINTS) for stream in (_VOLUMES, _LATENESS, _COINS))
    amount = 1 + _apportion(minutes.volume - PRINTS, 0.05 - np.log(shares))
    slot = 60_000 // PRINTS
    late = (lateness * slot).astype(np.int64)
    late[:, 0] = 0
    move = np.diff(price, axis=1, prepend=price[:, :1])
    bought = np.where(move == 0, coins < 0.5, move > 0)
    return Prints((np.arange(PRINTS) * slot + late) * (SECOND // 1000), price, amount, bought)


def _active(bars: Bars, keys: Keys, parts: int, minutes: int) -> Whole:
    """Choose the minutes in which anybody trades, the first among them, and count them by parts."""
    total = parts * minutes
    if (bars.active == total).all():
        return np.full((len(bars), parts), minutes)
    lots = draws.bits(keys, _ACTIVE, total)
    lots[:, 0] = 0
    last = np.take_along_axis(np.sort(lots, axis=1), np.maximum(bars.active - 1, 0)[:, None], axis=1)
    chosen = (lots <= last) & (bars.active > 0)[:, None]
    return np.asarray(chosen.reshape(len(bars), parts, minutes).sum(axis=2))


def _walk(bars: Bars, keys: Keys, steps: Whole, width: int) -> Whole:
    """Return `width` + 1 prices of each bar: a path through its four that arrives after `steps` (3 or more; or 0)."""
    count, rows = len(bars), np.arange(len(bars))
    place = np.arange(width + 1)
    turns, (first, second) = _turns(bars, keys, steps)
    knots = np.stack([bars.open, first, second, bars.close], axis=1).astype(np.float64)
    noise = draws.uniform(keys, _NOISE, width) * 12**0.5 - 3**0.5
    walk = np.concatenate([np.zeros((count, 1)), np.cumsum(noise, axis=1)], axis=1)
    leg = (place >= turns[:, 1, None]).astype(np.int64) + (place >= turns[:, 2, None])
    span = np.maximum(np.diff(turns, axis=1), 1)
    done = np.minimum((place - np.take_along_axis(turns, leg, axis=1)) / np.take_along_axis(span, leg, axis=1), 1.0)
    walked = walk[rows[:, None], turns]

    def line(ends: NDArray[np.float64]) -> NDArray[np.float64]:
        left, right = np.take_along_axis(ends, leg, axis=1), np.take_along_axis(ends, leg + 1, axis=1)
        return np.asarray(left + (right - left) * done)

    size = (bars.high - bars.low) / (_RANGE_OF_WALK * np.sqrt(np.maximum(steps, 1)))
    bridge = np.where(done < 1.0, walk - line(walked), 0.0) * size[:, None]
    return _fold(np.rint(line(knots) + bridge).astype(np.int64), bars.low[:, None], bars.high[:, None])


def _turns(bars: Bars, keys: Keys, steps: Whole) -> tuple[Whole, tuple[Whole, Whole]]:
    """Draw the steps at which a path begins, turns twice and ends, and the prices of the two turns."""
    chances = draws.uniform(keys, _TURNS, 3)
    early = 1 + (chances[:, 0] * (steps - 1)).astype(np.int64)
    late = 1 + (chances[:, 1] * (steps - 2)).astype(np.int64)
    late += late >= early
    turns = np.stack([np.zeros_like(steps), np.minimum(early, late), np.maximum(early, late), steps], axis=1)
    # A bar that closes higher has more often had its low first.
    rising = chances[:, 2] < 0.5 + 0.3 * np.sign(bars.close - bars.open)
    turns[steps == 0] = 0
    return turns, (np.where(rising, bars.low, bars.high), np.where(rising, bars.high, bars.low))


def _fold(prices: Whole, low: Whole, high: Whole) -> Whole:
    """Reflect prices at the bounds until they lie between them."""
    period = np.maximum(2 * (high - low), 1)
    beyond = (prices - low) % period
    return np.asarray(low + np.minimum(beyond, np.where(high > low, period - beyond, 0)))


def _apportion(totals: Whole, weights: NDArray[np.float64]) -> Whole:
    """Share out whole numbers, a row each, by weights: 0 where the weight is 0, and the row's sum is kept exactly."""
    filled = np.cumsum(weights, axis=1)
    whole = np.where(filled[:, -1:] > 0, filled[:, -1:], 1)
    reached = np.floor(filled / whole * totals[:, None]).astype(np.int64)
    return np.asarray(np.diff(reached, axis=1, prepend=0))
