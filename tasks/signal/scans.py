"""Compiled loops over candles, for the quick ways of the strategies that sweeps take. Importing it imports numba.

A target of -1, 0 and 1 is a byte a candle here (`int8`): eight of them are compared at once, and looked at singly only
where they change. All of it is in one file, as numba renews its copy of a function when the function's own file
changes, and only then.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tasks.engine.kernel.compiled import compiled

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Levels = npt.NDArray[np.int8]
Flags = npt.NDArray[np.bool_]

_BLOCK = 1_024
"""Means folded at a time: three arrays of it fit into the nearest cache."""


@compiled
def find_changes(levels: Levels, first: int, bars: Ints, goals: Floats) -> int:
    """Note at which bar from `first` on the target has which other value; return how often. There is room for all."""
    count, state, size = 0, levels[first], levels.size
    bars[0], goals[0], count = first, state, 1
    begin = first + (8 - first % 8)
    words = levels[: size - size % 8].view(np.uint64)
    for bar in range(first + 1, min(begin, size)):
        if levels[bar] != state:
            state = levels[bar]
            bars[count], goals[count], count = bar, state, count + 1
    for word in range(begin // 8, words.size):
        if words[word] == np.uint64(np.uint8(state)) * np.uint64(0x0101010101010101):
            continue
        for bar in range(8 * word, 8 * word + 8):
            bars[count], goals[count] = bar, levels[bar]
            count += levels[bar] != state
            state = levels[bar]
    for bar in range(max(begin, size - size % 8), size):
        if levels[bar] != state:
            state = levels[bar]
            bars[count], goals[count], count = bar, state, count + 1
    return count


@compiled
def sum_ticks(values: Floats, grid: float, sums: Floats) -> float:
    """Sum the values before each bar as whole numbers of 1 / grid, up to the whole; return the largest number.

    -1 where a value is no such number: the float nearest to the decimal is.
    """
    total, most = 0.0, 0.0
    sums[0] = 0.0
    for bar in range(values.size):
        ticks = np.rint(values[bar] * grid)
        if ticks / grid != values[bar]:
            return -1.0
        total += ticks
        most = max(most, abs(ticks))
        sums[bar + 1] = total
    return most


@compiled
def compare_means(sums: Floats, fast: int, slow: int, short: bool, levels: Levels) -> None:
    """Put 1 where the mean of `fast` values is above that of `slow`, else 0; -1 where it is below, if `short`.

    `sums` are those of the values before each bar, one longer than the bars; all of them, and each sum of one window
    times the other window, must be whole numbers that float64 holds exactly.
    """
    now, late, early = sums[slow:], sums[slow - fast :], sums
    goals, times_fast, times_slow = levels[slow - 1 :], float(fast), float(slow)
    if short:
        for bar in range(now.size):
            first, second = (now[bar] - late[bar]) * times_slow, (now[bar] - early[bar]) * times_fast
            goals[bar] = np.int8(first > second) - np.int8(first < second)
    else:
        for bar in range(now.size):
            goals[bar] = (now[bar] - late[bar]) * times_slow > (now[bar] - early[bar]) * times_fast


@compiled
def find_crossings(
    sums: Floats, windows: Ints, first: int, levels: Levels, starts: Ints, bars: Ints, goals: Floats
) -> int:
    """Note as `find_changes` where two means cross, for one pair of windows after the other, from `first` on.

    A row of `windows` has the fast one, the slow one, and 1 where the target may be short. The changes of pair i are
    from `starts[i]` on; return the first pair for which there might not be room.
    """
    for pair in range(first, len(windows)):
        fast, slow, short = windows[pair]
        begin, count = starts[pair], 0
        if begin + levels.size > bars.size:
            return pair
        if slow <= levels.size:
            compare_means(sums, fast, slow, short == 1, levels)
            count = find_changes(levels, slow - 1, bars[begin:], goals[begin:])
        starts[pair + 1] = begin + count
    return len(windows)


@compiled
def hold_levels(entries: Flags, exits: Flags, first: int, levels: Levels) -> int:
    """Put 1 from an entry to the next exit, 0 from there to the next entry; an exit wins.

    Return the first bar, from `first` on, with an event of either kind: before it nothing is put.
    """
    size, known = entries.size, first
    while known < size and not (entries[known] or exits[known]):
        known += 1
    state = np.int8(0)
    for bar in range(known, size):
        # In words of bits: a branch a bar would be foretold wrongly too often.
        state = (state | np.int8(entries[bar])) & ~np.int8(exits[bar])
        levels[bar] = state
    return known


@compiled
def find_held(entries: Flags, exits: Flags, first: int, bars: Ints, goals: Floats) -> int:
    """Note as `find_changes` of what `hold_levels` puts.

    Of eight bars without an entry, or without an exit while something is held, none is looked at.
    """
    size, known = entries.size, first
    while known < size and not (entries[known] or exits[known]):
        known += 1
    if known >= size:
        return 0
    state = np.int8(entries[known]) & ~np.int8(exits[known])
    bars[0], goals[0], count = known, state, 1
    whole, bar = size - size % 8, known + 1
    into, out = entries[:whole].view(np.uint64), exits[:whole].view(np.uint64)
    while bar < size:
        if bar % 8 == 0 and bar < whole:
            events = out[bar // 8] if state else into[bar // 8]
            if events == 0:
                bar += 8
                continue
        until = min(bar - bar % 8 + 8, size)
        while bar < until:
            before, state = state, (state | np.int8(entries[bar])) & ~np.int8(exits[bar])
            bars[count], goals[count] = bar, state
            count, bar = count + (state != before), bar + 1
    return count


@compiled
def leave_band(values: Floats, middle: Floats, spread: Floats, width: float, side: float, flags: Flags) -> None:
    """Tell where values are beyond `width` times the spread from the middle: below it on side 1, above it on side -1.

    A change of sign rounds nothing.
    """
    for bar in range(values.size):
        flags[bar] = side * values[bar] < side * middle[bar] - width * spread[bar]


@compiled
def find_sizes(
    direction: Floats, volatility: Floats, risk: float, steps: float, first: int, bars: Ints, goals: Floats
) -> int:
    """Note as `find_changes` the target direction * risk / volatility, the share being 1 at most and in whole steps."""
    count, before, block = 0, np.nan, np.empty(_BLOCK)
    for begin in range(first, direction.size, _BLOCK):
        end = min(begin + _BLOCK, direction.size)
        for bar in range(begin, end):
            share = np.floor(risk / max(volatility[bar], risk) * steps) / steps
            block[bar - begin] = share * direction[bar]
        for bar in range(begin, end):
            bars[count], goals[count] = bar, block[bar - begin]
            count += block[bar - begin] != before
            before = block[bar - begin]
    return count


@compiled
def join(older: Floats, newer: Floats, share: float, means: Floats) -> None:
    """Put the means of two blocks each, of which the older has this share of the weight."""
    for place in range(means.size):
        means[place] = newer[place] + (older[place] - newer[place]) * share


@compiled
def fold_block(
    block: Floats, other: Floats, size: int, window: int, doubled: Floats, joined: Floats, means: Floats
) -> None:
    """Reduce every `window` neighbours of the first `size` of a block, which is lost, to their exponential mean.

    The operations are those of `indicators.ema`, in its order. `doubled` and `joined` are the shares of the older half
    where two blocks of 1, 2, 4 ... become one, and where a block is joined to what was taken already.
    """
    taken, width, level = 0, 1, 0
    while True:
        if window & width:
            newer = block[taken : taken + means.size]
            if taken == 0:
                means[:] = newer
            else:
                join(means, newer, joined[level], means)
            taken += width
            if taken == window:
                break
        size -= width
        join(block[:size], block[width : width + size], doubled[level], other[:size])
        block, other = other, block
        width, level = 2 * width, level + 1


@compiled
def fold_exponential(values: Floats, window: int, doubled: Floats, joined: Floats, means: Floats) -> None:
    """Reduce every `window` neighbours to their exponential mean, a block at a time; see `fold_block`."""
    length = max(_BLOCK, 2 * window)
    block, other = np.empty(length + window - 1), np.empty(length + window - 1)
    for first in range(0, means.size, length):
        out = means[first : first + length]
        size = out.size + window - 1
        block[:size] = values[first : first + size]
        fold_block(block, other, size, window, doubled, joined, out)


@compiled
def compare_smoothed(
    fast: Floats, slow: Floats, window: int, doubled: Floats, joined: Floats, short: bool, levels: Levels
) -> None:
    """Put 1 where `fast - slow` is above its own exponential mean, else 0; -1 where it is below, if `short`.

    The means are `window - 1` longer than the levels.
    """
    length = max(_BLOCK, 2 * window)
    block, other, means = np.empty(length + window - 1), np.empty(length + window - 1), np.empty(length)
    for first in range(0, levels.size, length):
        out = levels[first : first + length]
        size = out.size + window - 1
        for bar in range(size):
            block[bar] = fast[first + bar] - slow[first + bar]
        fold_block(block, other, size, window, doubled, joined, means[: out.size])
        last = first + window - 1
        now, then = fast[last : last + out.size], slow[last : last + out.size]
        for bar in range(out.size):
            out[bar] = now[bar] - then[bar] > means[bar]
        if short:
            for bar in range(out.size):
                out[bar] -= np.int8(now[bar] - then[bar] < means[bar])
