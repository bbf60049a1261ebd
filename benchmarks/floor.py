"""The least work that could be called a sweep of SMA pairs: what the ratios of `benchmarks.sweep` are taken to.

Plain numba over float64 arrays for this one strategy and nothing else: long or flat, all in, a fee, no slippage, no
short, no stop, no rounding, no tables. Averages come from one cumulative sum; the signal is compared many bars at a
time and looked at singly only where it changes; between two fills the account is a constant times the close, so the
Sharpe ratio of the bars comes from prefix sums of the market's own returns, and the drawdown from the extremes of
blocks of bars.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, cast

import numba
import numpy as np
import numpy.typing as npt

from benchmarks.market import CASH, FEE

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

BLOCK = 16
WORD = 64


class Market(NamedTuple):
    """What all pairs share."""

    opens: Floats
    closes: Floats
    sums: Floats
    """Of the closes, in ticks, exact; one longer."""
    returns: Floats
    """Sums of the closes' returns before each bar, and of their squares."""
    squares: Floats
    lowest: Floats
    highest: Floats


def read(opens: Floats, closes: Floats, ticks: float) -> Market:
    """Reckon what all pairs share of prices that are whole numbers of 1 / `ticks`."""
    change = np.concatenate(([0.0], closes[1:] / closes[:-1] - 1.0))
    begins = np.arange(0, closes.size, BLOCK)
    return Market(
        opens,
        closes,
        np.concatenate(([0.0], np.cumsum(np.rint(closes * ticks)))),
        np.concatenate(([0.0], np.cumsum(change))),
        np.concatenate(([0.0], np.cumsum(change * change))),
        np.minimum.reduceat(closes, begins),
        np.maximum.reduceat(closes, begins),
    )


def crossings_pass(sums: Floats, fast: int, slow: int, turns: Ints) -> int:
    """Write down the bars at which the fast average goes above the slow one and at which it ceases to be."""
    now, late, early = sums[slow:], sums[slow - fast :], sums
    short, long_ = float(fast), float(slow)
    flags = np.empty(WORD, np.uint8)
    words = flags.view(np.uint64)
    state, count, size = np.uint8(0), 0, now.size
    for first in range(0, size, WORD):
        if first + WORD <= size:
            for bar in range(WORD):
                up = (now[first + bar] - late[first + bar]) * long_ > (now[first + bar] - early[first + bar]) * short
                flags[bar] = up
        else:
            for bar in range(size - first):
                up = (now[first + bar] - late[first + bar]) * long_ > (now[first + bar] - early[first + bar]) * short
                flags[bar] = up
            flags[size - first :] = flags[size - first - 1]
        for word in range(WORD // 8):
            if words[word] != np.uint64(state) * np.uint64(0x0101010101010101):
                for bar in range(8 * word, 8 * word + 8):
                    turns[count] = first + bar + slow - 1
                    count += flags[bar] != state
                    state = flags[bar]
    return count


crossings = cast("Any", numba.njit(crossings_pass, nogil=True))


def pair_pass(market: Market, fast: int, slow: int, turns: Ints, row: Floats) -> None:
    """Backtest one pair: return, Sharpe ratio of the bars, drawdown and trades into the row."""
    opens, closes, sums, returns, squares, lowest, highest = market
    count, size = crossings(sums, fast, slow, turns), closes.size
    money, peak, deepest, total, square, trades = CASH, CASH, 1.0, 0.0, 0.0, 0
    for turn in range(0, count, 2):
        first = turns[turn] + 1
        if first == size:
            break
        last = turns[turn + 1] if turn + 1 < count else size - 1  # the last close at which it is held
        held = money / (opens[first] * (1.0 + FEE))
        change = held * closes[first] / money - 1.0
        trades += 1
        total += change + returns[last + 1] - returns[first + 1]
        square += change * change + squares[last + 1] - squares[first + 1]
        top, bottom, bar = peak / held, deepest, first
        while bar <= last:
            until = min(bar - bar % BLOCK + BLOCK, last + 1)
            if until - bar == BLOCK:
                most = max(top, highest[bar // BLOCK])
                if lowest[bar // BLOCK] >= bottom * most:
                    top, bar = most, until
                    continue
            while bar < until:
                top = max(top, closes[bar])
                if closes[bar] < bottom * top:
                    bottom = closes[bar] / top
                bar += 1
        peak, deepest, worth = top * held, bottom, held * closes[last]
        money = worth
        if last + 1 < size:
            money = held * opens[last + 1] * (1.0 - FEE)
            change = money / worth - 1.0
            total, square, deepest = total + change, square + change * change, min(deepest, money / peak)
    mean = total / size
    row[0], row[1] = money / CASH - 1.0, mean / np.sqrt((square / size - mean * mean) * size / (size - 1))
    row[2], row[3] = deepest - 1.0, trades


pair = cast("Any", numba.njit(pair_pass, nogil=True))


def pairs_pass(market: Market, pairs: Ints, turns: Ints, rows: Floats) -> None:
    """Backtest pairs, one after the other."""
    for row in range(len(pairs)):
        pair(market, pairs[row, 0], pairs[row, 1], turns, rows[row])


many = cast("Any", numba.njit(pairs_pass, nogil=True))


def sweep(opens: Floats, closes: Floats, ticks: float, pairs: Sequence[tuple[int, int]], threads: int) -> Floats:
    """Backtest all pairs in so many threads: a row each of return, Sharpe ratio of the bars, drawdown and trades."""
    market, rows, chosen = read(opens, closes, ticks), np.empty((len(pairs), 4)), np.array(pairs, np.int64)
    bounds = np.linspace(0, len(pairs), 8 * threads + 1).astype(int)

    def run(block: int) -> None:
        own = slice(bounds[block], bounds[block + 1])
        many(market, chosen[own], np.empty(closes.size + 1, np.int64), rows[own])

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(run, range(8 * threads)))
    return rows


def threads_here() -> int:
    """Return how many threads the machine runs side by side."""
    return len(os.sched_getaffinity(0))
