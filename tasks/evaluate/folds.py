"""Walk-forward: where the candles that choose a set end, and those on which it is tried begin.

Sources: R. Pardo, "The Evaluation and Optimization of Trading Strategies", 2nd ed., Wiley 2008, ch. 11, for the walk;
M. Lopez de Prado, "Advances in Financial Machine Learning", Wiley 2018, ch. 7, for the purge (7.4.1) and the embargo
(7.4.2). There the embargo follows a test, as training follows it too. In a walk no training follows the test that it is
for, so here it stands before the test, beside the purge.
"""

from __future__ import annotations

from dataclasses import dataclass

from data.errors import BadInput


@dataclass(frozen=True)
class Fold:
    """Positions of the candles that choose a set, and of those that it is tried on."""

    train: slice
    test: slice


def walk(
    candles: int, tests: int, *, train: int = 3, anchored: bool = False, purge: int = 0, embargo: int = 0
) -> list[Fold]:
    """Return the folds of a walk over so many candles, the earliest first.

    Tests are of one length, follow each other without a gap, and end with the last candle. Each has `train` times its
    length of candles before it that choose; anchored, all from the first candle on. Between the two lie `purge` and
    `embargo` candles, whose results choose nothing: a position opened in the one might be closed in the other. Raises
    BadInput where there are too few candles.

    >>> [(fold.train.start, fold.train.stop, fold.test.start, fold.test.stop) for fold in walk(100, 2, purge=5)]
    [(0, 57, 62, 81), (19, 76, 81, 100)]
    """
    gap = purge + embargo
    length = (candles - gap) // (train + tests)
    if length < 1:
        raise BadInput(
            f"{candles:,} candles are too few for a walk-forward of {tests} tests with {train} times as many before "
            f"each{f' and a gap of {gap:,}' if gap else ''}: take a longer history or fewer tests"
        )
    starts = range(candles - tests * length, candles, length)
    return [
        Fold(slice(0 if anchored else start - gap - train * length, start - gap), slice(start, start + length))
        for start in starts
    ]
